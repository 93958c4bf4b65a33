#include "transport/api/operation_view.hpp"

#include <algorithm>

#include "model/json.hpp"

namespace orrery::transport::api {
namespace {

namespace operation = model::operation;

/// What people have asked for, of the members that a request has.
constexpr std::string_view shown_members[] = {"mode",   "format", "product", "dryRun",
                                              "keys",   "name",   "action",  "asked",
                                              "reason", "tags",   "columns", "rate"};

model::object show_request(const operation::state& s) {
  auto o = model::object{};
  const auto request = model::parse_json(s.request);
  if (!request || !request->is_object())
    return o;
  for (const auto& [name, v] : request->as_object())
    if (std::find(std::begin(shown_members), std::end(shown_members), name) !=
        std::end(shown_members))
      o.emplace_back(name == "asked" ? "filter" : name, v);
    else if (name == "ids" && v.is_array())
      o.emplace_back("ids", static_cast<std::int64_t>(v.as_array().size()));
  return o;
}

/// Percent; nothing if nobody can tell.
std::optional<std::int64_t> progress_of(const operation::state& s) {
  if (s.phase == operation::state_code::succeeded)
    return 100;
  auto done = std::uint64_t{0}, all = std::uint64_t{0};
  if (s.kind == operation::work_kind::import_devices) {
    all = s.input_bytes;
    if (const auto colon = s.position.find(':'); colon != std::string::npos && colon < 18)
      for (const auto c : s.position.substr(0, colon))
        done = done * 10 + static_cast<std::uint64_t>(c - '0');
  } else if (s.total) {
    all = *s.total;
    done = s.counts.done();
  }
  if (all == 0)
    return std::nullopt;
  return static_cast<std::int64_t>(std::min(done * 100 / all, std::uint64_t{100}));
}

}  // namespace

const operation::operation_snapshot* operation_in(const actors::outcome& done) {
  const auto* reply = std::get_if<operation::reply>(&done.answer);
  return reply ? std::get_if<operation::operation_snapshot>(reply) : nullptr;
}

actors::any_command operation_order(const identity& who, operation::order what) {
  return operation::command{std::move(what), who.actor, {}, who.organisation};
}

model::entity_id fresh_operation(const service_parts& parts, const std::string& organisation) {
  return model::make_entity_id(actors::operation_shard(organisation, parts.shard_count),
                               parts.now(), model::random_entropy());
}

operation::create_operation new_operation(const service_parts& parts, const identity& who,
                                          const model::entity_id& id, operation::work_kind kind,
                                          model::value request, std::string_view permission) {
  auto o = operation::create_operation{};
  o.organisation = who.organisation;
  o.kind = kind;
  o.request = model::to_json(request);
  if (const auto reached = who.products_for(permission))
    o.products = std::vector<std::string>(reached->begin(), reached->end());
  o.seed = parts.keys->seal(model::random_text(43), operation::seed_owner(id));
  const auto& limits = parts.settings.operations;
  o.retention = limits.retention;
  o.max_open = limits.max_open;
  return o;
}

model::object show_operation(const exchange& e, const model::entity_id& id,
                             const operation::state& s) {
  auto counts = model::object{{"done", static_cast<std::int64_t>(s.counts.done())},
                              {"ok", static_cast<std::int64_t>(s.counts.ok)},
                              {"failed", static_cast<std::int64_t>(s.counts.failed)},
                              {"skipped", static_cast<std::int64_t>(s.counts.skipped)}};
  if (s.total)
    counts.emplace_back("total", static_cast<std::int64_t>(*s.total));
  auto o = model::object{{"id", to_string(id)},
                         {"kind", operation::name_of(s.kind)},
                         {"state", operation::name_of(s.phase)},
                         {"counts", std::move(counts)},
                         {"request", show_request(s)},
                         {"createdAt", e.show(s.created_at)},
                         {"createdBy", s.actor}};
  if (const auto percent = progress_of(s))
    o.emplace_back("progress", *percent);
  if (s.cancel_wanted && !operation::is_over(s.phase))
    o.emplace_back("cancelling", true);
  if (s.started_at != model::timestamp{})
    o.emplace_back("startedAt", e.show(s.started_at));
  if (operation::is_over(s.phase)) {
    o.emplace_back("endedAt", e.show(s.ended_at));
    o.emplace_back("expiresAt", e.show(s.ended_at + s.retention));
  }
  if (!s.reason.empty())
    o.emplace_back("error", model::object{{"code", s.reason}, {"detail", s.detail}});
  if (s.result_pieces > 0)
    o.emplace_back("result",
                   "/api/v1/orgs/" + s.organisation + "/operations/" + to_string(id) + "/result");
  if (s.wants_secrets)
    o.emplace_back("secrets", s.secrets_shown_at ? "shown" : "kept");
  return o;
}

void reply_begun(const exchange_ptr& e, const actors::outcome& done) {
  const auto* made = operation_in(done);
  if (!made)
    return e->fail({model::errc::internal, "", "the operation has said something else"});
  auto h = exchange::revision_headers(done);
  h.emplace_back("Location",
                 "/api/v1/orgs/" + made->what->organisation + "/operations/" + to_string(made->id));
  e->reply(202, show_operation(*e, made->id, *made->what), std::move(h));
}

void make_room(const service_parts& parts, const std::string& organisation,
               std::function<void()> then) {
  auto q = actors::operation_list_question{};
  q.shard = actors::operation_shard(organisation, parts.shard_count);
  q.organisation = organisation;
  q.limit = 2 * max_kept;
  parts.query->operations(std::move(q), [ask = parts.ask, organisation, then = std::move(then)](
                                            const model::result<actors::operation_page>& got) {
    auto kept = std::size_t{0};
    auto bytes = std::uint64_t{0};
    if (got)
      for (const auto& o : got->operations) {  // newest first
        if (!operation::is_over(o.what.phase))
          continue;
        ++kept;
        bytes += o.what.result_bytes;
        if (kept < max_kept && (kept == 1 || bytes <= max_kept_bytes))
          continue;
        ask->ask(o.id,
                 operation::command{operation::remove_operation{}, "service", {}, organisation},
                 [](const actors::answer&) {});
      }
    then();
  });
}

void begin_operation(const exchange_ptr& e, const model::entity_id& id,
                     operation::create_operation what) {
  make_room(e->parts(), e->who.organisation, [e, id, what = std::move(what)] {
    e->ask(id, operation_order(e->who, what),
           [e](const actors::outcome& done) { reply_begun(e, done); });
  });
}

}  // namespace orrery::transport::api
