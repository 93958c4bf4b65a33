// Operations: how far long work has come, its end and its result (group R of the API).
#include <charconv>

#include "model/json.hpp"
#include "model/operation/outcomes.hpp"
#include "transport/api/csv.hpp"
#include "transport/api/operation_view.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

namespace operation = model::operation;
using model::errc;
using model::failure;
using std::chrono::milliseconds;
using steady = std::chrono::steady_clock;

constexpr std::string_view read_any = "ops:read", change_any = "ops:write";
constexpr auto look_interval = milliseconds{500};  // while somebody waits for the end of one
constexpr std::uint64_t result_read_bytes = 256 * 1024;

const auto unknown = failure{errc::not_found, "operation_unknown", "no such operation here"};

struct found_operation {
  model::entity_id id;
  std::uint64_t revision = 0;
  std::shared_ptr<const operation::state> what;
};

/// The operation of the route, if the caller has begun it or has the right for all.
void with_operation(const exchange_ptr& e, std::string_view right,
                    std::function<void(found_operation)> then) {
  const auto id = model::parse_entity_id(e->param("operation"));
  if (!id || id->shard != actors::operation_shard(e->who.organisation, e->parts().shard_count))
    return e->fail(unknown);
  e->parts().ask->ask(
      *id, operation_order(e->who, operation::read_operation{}),
      [e, right = std::string{right}, then = std::move(then)](const actors::answer& got) {
        if (!got)
          return e->fail(got.error().code == errc::not_found ? unknown : got.error());
        const auto* found = operation_in(*got);
        const auto own = found && found->what->actor == e->who.actor;
        if (!found || (!own && !e->who.may(right))) {
          e->facts.out_of_reach = found != nullptr;
          return e->fail(unknown);
        }
        then({found->id, got->revision, found->what});
      });
}

/// Shows it when it is over, or when the time is.
void show_when_over(const exchange_ptr& e, steady::time_point until) {
  with_operation(e, read_any, [e, until](const found_operation& o) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - steady::now());
    if (operation::is_over(o.what->phase) || left.count() <= 0)
      return e->reply(200, show_operation(*e, o.id, *o.what),
                      {{"ETag", exchange::etag(o.revision)}});
    // Nobody says when it is over: it is looked at again and again, for at most a minute.
    e->parts().ask->expect_command(std::min(left, look_interval),
                                   [e, until](bool) { show_when_over(e, until); });
  });
}

void get(const exchange_ptr& e) {
  auto wait = e->query("wait");
  auto seconds = 0;
  if (!wait.empty()) {
    if (wait.back() == 's')
      wait.pop_back();
    const auto [end, error] = std::from_chars(wait.data(), wait.data() + wait.size(), seconds);
    if (error != std::errc{} || end != wait.data() + wait.size() || seconds < 0 || seconds > 60)
      return e->fail(
          {errc::invalid_argument, "malformed", "wait: expected seconds from 0 to 60, as in 30s"});
  }
  show_when_over(e, steady::now() + std::chrono::seconds{seconds});
}

void list(const exchange_ptr& e) {
  const auto limit = e->limit();
  const auto cursor = e->cursor();
  if (!limit || !cursor)
    return e->fail(limit ? cursor.error() : limit.error());
  auto q = actors::operation_list_question{};
  q.shard = actors::operation_shard(e->who.organisation, e->parts().shard_count);
  q.organisation = e->who.organisation;
  q.cursor = *cursor;
  q.limit = *limit;
  if (!e->who.may(read_any))
    q.actor = e->who.actor;
  if (const auto state = e->query("state"); !state.empty()) {
    q.phase = operation::parse_state(state);
    if (!q.phase)
      return e->fail({errc::invalid_argument, "malformed",
                      "state: expected receiving, queued, running, succeeded, failed or "
                      "cancelled"});
  }
  if (const auto kind = e->query("kind"); !kind.empty()) {
    q.kind = operation::parse_work_kind(kind);
    if (!q.kind)
      return e->fail({errc::invalid_argument, "malformed",
                      "kind: expected deviceImport, deviceBulk, deviceExport or "
                      "deviceProvision"});
  }
  e->parts().query->operations(std::move(q), [e](const model::result<actors::operation_page>& got) {
    if (!got)
      return e->fail(got.error());
    auto items = model::array{};
    for (const auto& o : got->operations)
      items.emplace_back(show_operation(*e, o.id, o.what));
    e->reply_page(std::move(items), got->next);
  });
}

void cancel(const exchange_ptr& e) {
  with_operation(e, change_any, [e](const found_operation& o) {
    e->ask(o.id, operation_order(e->who, operation::cancel_operation{}),
           [e](const actors::outcome& done) {
             const auto* after = operation_in(done);
             if (!after)
               return e->fail({errc::internal, "", "the operation has said something else"});
             e->reply(200, show_operation(*e, after->id, *after->what),
                      exchange::revision_headers(done));
           });
  });
}

void remove(const exchange_ptr& e) {
  with_operation(e, change_any, [e](const found_operation& o) {
    e->ask(o.id, operation_order(e->who, operation::remove_operation{}),
           [e](const actors::outcome&) { e->reply_empty(204); });
  });
}

// ---- results
// -------------------------------------------------------------------------------------

/// What is read of a result, and how it is shown.
struct result_view {
  exchange_ptr e;
  model::entity_id id;
  std::shared_ptr<const operation::state> what;
  bool csv = false, failed_only = false;
  std::string seed;  // "": without secrets
  std::uint64_t next = 0;
  bool begun = false;
};

void add_row(const result_view& v, const operation::row_outcome& row, std::string& out) {
  const auto name = model::device_name{row.product_key, row.device_key};
  const auto secret =
      v.seed.empty() || !row.has_secret ? std::string{} : operation::secret_of(v.seed, name);
  if (v.csv) {
    auto cells = csv_row{std::to_string(row.index),
                         row.product_key,
                         row.device_key,
                         std::string{name_of(row.status)},
                         row.id,
                         row.code,
                         row.detail};
    if (!v.seed.empty())
      cells.push_back(secret);
    return write_csv(out, cells);
  }
  auto o = model::object{{"index", static_cast<std::int64_t>(row.index)},
                         {"productKey", row.product_key},
                         {"deviceKey", row.device_key},
                         {"status", name_of(row.status)}};
  if (!row.id.empty())
    o.emplace_back("id", row.id);
  if (!row.code.empty())
    o.emplace_back("error", model::object{{"code", row.code}, {"detail", row.detail}});
  if (!secret.empty())
    o.emplace_back("deviceSecret", secret);
  model::write_json(o, out);
  out += '\n';
}

/// The text of some pieces; nothing if they cannot be read.
std::optional<std::string> text_of_pieces(const result_view& v,
                                          const std::vector<std::string>& pieces) {
  auto out = std::string{};
  for (const auto& piece : pieces) {
    if (v.what->form != operation::result_form::outcomes) {
      out += piece;
      continue;
    }
    const auto rows = operation::decode_outcomes(piece);
    if (!rows)
      return std::nullopt;
    for (const auto& row : *rows)
      if (!v.failed_only || row.status == operation::row_status::failed)
        add_row(v, row, out);
  }
  return out;
}

void next_of_result(const std::shared_ptr<result_view>& v,
                    const http_response::piece_taker& taken) {
  if (!std::exchange(v->begun, true) && v->csv &&
      v->what->form == operation::result_form::outcomes) {
    auto titles = csv_row{"index", "productKey", "deviceKey", "status", "id", "error", "detail"};
    if (!v->seed.empty())
      titles.emplace_back("deviceSecret");
    auto text = std::string{};
    write_csv(text, titles);
    return taken(std::move(text));
  }
  if (v->next >= v->what->result_pieces)
    return taken(std::string{});
  v->e->parts().query->operations(
      actors::operation_rows_question{.shard = v->id.shard,
                                      .operation = v->id,
                                      .inputs = false,
                                      .from = v->next,
                                      .max_bytes = result_read_bytes},
      [v, taken](const model::result<actors::operation_page>& got) {
        if (!got || got->pieces.empty())
          return taken(std::nullopt);
        v->next += got->pieces.size();
        auto text = text_of_pieces(*v, got->pieces);
        if (text && text->empty())  // nothing of these is to be shown, and that would be the end
          return next_of_result(v, taken);
        taken(std::move(text));
      });
}

void send_result(std::shared_ptr<result_view> v) {
  auto r = http_response{};
  const auto e = v->e;
  r.content_type = v->csv ? "text/csv; charset=utf-8" : "application/x-ndjson";
  r.source_size = http_response::unknown_size;
  r.source = [v](const http_response::piece_taker& taken) { next_of_result(v, taken); };
  e->send(std::move(r));
}

/// `then` if the caller has that right now for all that the operation was for; else it is refused.
/// What was reached by groups, rules or trees is compared as it is written: after a change of these
/// somebody who has the right for everything may look, or it is begun again.
void with_right(const exchange_ptr& e, const operation::state& s, std::string_view right,
                std::function<void()> then) {
  if (e->who.may(right))
    return then();
  auto covered = s.products && e->who.may_for_some(right);
  if (covered)
    for (const auto& key : *s.products)
      covered = covered && e->who.may_for(right, key);
  const auto refusal =
      failure{errc::forbidden, "forbidden",
              "needs the permission " + std::string{right} + " for what the operation was for"};
  if (!covered)
    return e->fail(refusal);
  const auto request = model::parse_json(s.request);
  const auto* reach = request ? request->find("reach") : nullptr;
  if (!reach || !reach->is_string())
    return then();
  set_reach(*e, right);
  e->with_reach({}, [e, refusal, was = reach->as_string(), then](const std::string& now) {
    now == was ? then() : e->fail(refusal);
  });
}

void result(const exchange_ptr& e) {
  const auto format = e->query("format"), secrets = e->query("secrets"), only = e->query("failed");
  if (!format.empty() && format != "csv" && format != "ndjson")
    return e->fail({errc::invalid_argument, "malformed", "format: expected csv or ndjson"});
  for (const auto& truth : {secrets, only})
    if (!truth.empty() && truth != "true" && truth != "false")
      return e->fail(
          {errc::invalid_argument, "malformed", "secrets, failed: expected true or false"});
  with_operation(e, read_any, [=](const found_operation& o) {
    const auto is_file = o.what->form != operation::result_form::outcomes;
    if (is_file && o.what->phase != operation::state_code::succeeded)
      return e->fail({errc::conflict, "operation_not_over",
                      "its file is whole when it has succeeded; it is " +
                          std::string{name_of(o.what->phase)}});
    auto v = std::make_shared<result_view>();
    v->e = e;
    v->id = o.id;
    v->what = o.what;
    v->failed_only = only == "true";
    v->csv = is_file ? o.what->form == operation::result_form::csv : format == "csv";
    if (secrets != "true" && !is_file)
      return send_result(std::move(v));
    if (secrets != "true")
      return with_right(e, *v->what, "device:read", [v] { send_result(v); });
    if (o.what->actor != e->who.actor)
      return e->fail(
          {errc::forbidden, "forbidden", "secrets are shown to whoever has begun the operation"});
    if (v->what->wants_secrets) {  // before they count as shown
      v->seed = e->parts().keys->open(v->what->seed, operation::seed_owner(v->id)).value_or("");
      if (v->seed.empty())
        return e->fail({errc::internal, "operation_seed_lost",
                        "what its secrets are made of cannot be opened with this service's master "
                        "key"});
    }
    const auto right =
        v->what->kind == operation::work_kind::bulk_devices ? "device:credential" : "device:write";
    with_right(e, *v->what, right, [e, v] {
      e->ask(v->id, operation_order(e->who, operation::show_secrets{}),
             [v](const actors::outcome&) { send_result(v); });
    });
  });
}

}  // namespace

std::vector<route> operation_routes() {
  return {
      {"GET", "~/operations", "any", list, "listOperations",
       "Operations, newest first: one's own, or all with `ops:read`", "", "OperationList", 200,
       "limit cursor state kind"},
      {"GET", "~/operations/{operation}", "any", get, "getOperation",
       "How far an operation has come; with `wait` the answer comes at its end, or after so many "
       "seconds (at most 60)",
       "", "Operation", 200, "wait"},
      {"POST", "~/operations/{operation}:cancel", "any", cancel, "cancelOperation",
       "End an operation after the rows in hand; what was done stays (one's own, or `ops:write`)",
       "", "Operation", 200, ""},
      {"DELETE", "~/operations/{operation}", "any", remove, "deleteOperation",
       "Remove an operation that is over, with its result (one's own, or `ops:write`)", "", "", 204,
       ""},
      {"GET", "~/operations/{operation}/result", "any", result, "getOperationResult",
       "What became of each row, or the file, as NDJSON or CSV; secrets once, for whoever began it",
       "", "", 200, "format secrets failed"},
  };
}

}  // namespace orrery::transport::api
