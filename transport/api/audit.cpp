// The audit log: lists, searches, exports (part of group R of the API).
#include <algorithm>

#include "model/audit/chain.hpp"
#include "model/filter/expression.hpp"
#include "model/json.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/bans.hpp"

namespace orrery::transport::api {
namespace {

namespace audit = model::audit;
namespace filter = model::filter;
using model::errc;
using model::failure;

constexpr std::size_t most_exported = 10'000;
constexpr std::size_t max_export_bytes = 8 * 1024 * 1024;
constexpr auto begin_of_time = model::from_ms(0), end_of_time = model::from_ms(253'402'300'799'999);

/// Whose log is asked for: the caller's organisation's, or the installation's, which is for its own
/// organisation. Empty, and answered, if it is not for him.
std::string log_of(const exchange_ptr& e) {
  if (!e->at->pattern.starts_with("/system/"))
    return e->who.organisation;
  if (e->who.organisation == owner_organisation)
    return std::string{audit::installation};
  e->fail({errc::forbidden, "forbidden",
           "the log of the installation is the matter of the organisation " +
               std::string{owner_organisation}});
  return {};
}

actors::audit_question question(const exchange& e, const std::string& log) {
  auto q = actors::audit_question{};
  q.log = audit::log_id_of(log, e.parts().shard_count);
  q.shard = q.log.shard;
  q.from = begin_of_time;
  q.to = end_of_time;
  return q;
}

model::value show(const audit::record& r) {
  auto read = model::parse_json(r.text, {.max_bytes = 2 * audit::max_entry_bytes, .max_depth = 64});
  auto o = read && read->is_object()
               ? read->as_object()
               : model::object{{"number", static_cast<std::int64_t>(r.number)}};
  o.emplace_back("hash", r.hash);
  return o;
}

/// The numbers in cursors.
std::optional<std::uint64_t> read_place(const std::string& text) {
  if (text.empty())
    return 0;
  if (text.size() > 19 || text.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoull(text);
}

void reply_records(const exchange_ptr& e, actors::audit_question q, const std::string& cursor) {
  const auto place = read_place(cursor);
  if (!place)
    return e->fail({errc::invalid_argument, "bad_cursor", "that cursor is none of ours"});
  q.place = *place;
  e->parts().query->audit(std::move(q), [e](model::result<actors::audit_page> page) {
    if (!page)
      return e->fail(page.error());
    auto items = model::array{};
    for (const auto& r : page->records)
      items.push_back(show(r));
    e->reply_page(std::move(items), page->next == 0 ? "" : std::to_string(page->next));
  });
}

/// `name = "text"`.
filter::expression equals(const char* name, const std::string& text) {
  return {.what = filter::expression::kind::one,
          .test = {{name}, filter::comparison::equal, {text}},
          .parts = {}};
}

void list(const exchange_ptr& e) {
  const auto log = log_of(e);
  if (log.empty())
    return;
  auto q = question(*e, log);
  const auto limit = e->limit();
  const auto cursor = e->cursor();
  const auto from = e->time("from", q.from), to = e->time("to", q.to);
  for (const auto* why : {limit ? nullptr : &limit.error(), cursor ? nullptr : &cursor.error(),
                          from ? nullptr : &from.error(), to ? nullptr : &to.error()})
    if (why)
      return e->fail(*why);
  auto wanted = std::vector<filter::expression>{};
  for (const auto* name : {"actor", "action", "resource", "result"})
    if (const auto text = e->query(name); !text.empty())
      wanted.push_back(equals(name, text));
  if (const auto text = e->query("filter"); !text.empty()) {
    auto parsed = filter::parse(text);
    if (!parsed)
      return e->fail(parsed.error());
    wanted.push_back(std::move(*parsed));
  }
  if (wanted.size() == 1)
    q.filter = filter::print(wanted.front());
  else if (!wanted.empty())
    q.filter = filter::print(
        {.what = filter::expression::kind::all, .test = {}, .parts = std::move(wanted)});
  q.from = *from;
  q.to = *to;
  q.limit = *limit;
  reply_records(e, std::move(q), *cursor);
}

struct span {
  model::timestamp from, to;
};
span read_span(fields& f) {
  return {f.time("from").value_or(begin_of_time), f.time("to").value_or(end_of_time)};
}

void search(const exchange_ptr& e) {
  const auto log = log_of(e);
  if (log.empty())
    return;
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto q = question(*e, log);
  const auto within = read_span(f);
  q.filter = f.text("filter", 64 * 1024).value_or("");
  q.oldest_first = f.truth("oldestFirst").value_or(false);
  q.limit = static_cast<std::uint64_t>(f.integer("limit", 1, 500).value_or(50));
  q.from = within.from;
  q.to = within.to;
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto cursor = e->cursor();
  if (!cursor)
    return e->fail(cursor.error());
  reply_records(e, std::move(q), *cursor);
}

/// A part of the log as lines that verify (model/audit/chain.hpp). What does not fit into one
/// answer follows from `after` on.
void export_lines(const exchange_ptr& e) {
  const auto log = log_of(e);
  if (log.empty())
    return;
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto q = question(*e, log);
  const auto within = read_span(f);
  q.from = within.from;
  q.to = within.to;
  q.place = static_cast<std::uint64_t>(f.integer("after", 0, 1LL << 62).value_or(0));
  q.limit = static_cast<std::uint64_t>(
      f.integer("limit", 1, most_exported).value_or(std::int64_t{most_exported}));
  q.oldest_first = true;
  q.max_bytes = max_export_bytes;
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->parts().query->audit(std::move(q), [e, log](model::result<actors::audit_page> page) {
    if (!page)
      return e->fail(page.error());
    const auto& all = page->records;
    auto what = audit::part{.organisation = log,
                            .first = page->first,
                            .anchor = page->anchor,
                            .last = page->first - 1,
                            .head = page->anchor};
    if (page->organisation.empty())  // there is no log yet
      what.anchor = what.head = audit::no_hash();
    if (!all.empty()) {
      what.last = all.back().number;
      what.head = all.back().hash;
    }
    auto r = http_response{};
    r.content_type = "application/x-ndjson";
    r.headers.emplace_back("X-Next", std::to_string(page->next));
    r.body = audit::line_of(what) + '\n';
    for (const auto& one : all)
      r.body += audit::line_of(one) + '\n';
    e->send(std::move(r));
  });
}

void head(const exchange_ptr& e) {
  const auto log = log_of(e);
  if (log.empty())
    return;
  e->ask(audit::log_id_of(log, e->parts().shard_count),
         audit::command{audit::read_head{}, e->who.actor, {}},
         [e, log](const actors::outcome& got) {
           const auto* any = std::get_if<audit::reply>(&got.answer);
           const auto* h = any ? std::get_if<audit::head>(any) : nullptr;
           if (!h)
             return e->fail({errc::internal, "", "the audit log gave another answer"});
           auto o = model::object{{"organisation", log},
                                  {"number", static_cast<std::int64_t>(h->number)},
                                  {"hash", h->hash},
                                  {"first", static_cast<std::int64_t>(h->first)},
                                  {"anchor", h->anchor}};
           if (h->number > 0)
             o.emplace_back("time", e->show(h->time));
           e->reply_one(std::move(o));
         });
}

constexpr auto list_query = "limit cursor from to actor action resource result filter";

}  // namespace

std::vector<route> audit_routes() {
  return {
      {"GET", "~/audit", "audit:read", list, "listAuditLog",
       "What was done and refused, newest first", "", "AuditRecords", 200, list_query},
      {"POST", "~/audit/search", "audit:read", search, "searchAuditLog",
       "The same, with the question in the body", "AuditSearch", "AuditRecords", 200, "cursor"},
      {"POST", "~/audit:export", "audit:read", export_lines, "exportAuditLog",
       "A part of the log that anybody can verify, oldest first", "AuditSpan", "AuditLine", 200,
       ""},
      {"GET", "~/audit/head", "audit:read", head, "getAuditHead",
       "Number and hash of the newest record, to be kept elsewhere as a witness", "", "AuditHead",
       200, ""},
      {"GET", "/system/audit", "sys:audit", list, "listSystemAuditLog",
       "What was done and refused where no organisation is known, newest first", "", "AuditRecords",
       200, list_query},
      {"POST", "/system/audit/search", "sys:audit", search, "searchSystemAuditLog",
       "The same, with the question in the body", "AuditSearch", "AuditRecords", 200, "cursor"},
      {"POST", "/system/audit:export", "sys:audit", export_lines, "exportSystemAuditLog",
       "A part of that log that anybody can verify, oldest first", "AuditSpan", "AuditLine", 200,
       ""},
      {"GET", "/system/audit/head", "sys:audit", head, "getSystemAuditHead",
       "Number and hash of its newest record", "", "AuditHead", 200, ""},
  };
}

}  // namespace orrery::transport::api
