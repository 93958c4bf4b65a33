// Lists, searches and counts of devices (group D of the API).
#include <charconv>

#include "actors/tag_counts.hpp"
#include "model/filter/expression.hpp"
#include "model/filter/projection.hpp"
#include "model/json.hpp"
#include "transport/api/cursor.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/node_filters.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace filter = model::filter;
namespace organisation = model::organisation;
using model::errc;
using model::failure;

constexpr std::size_t max_text = 64 * 1024;

/// The write that must be seen: X-Min-Revision, an X-Revision of before.
model::result<std::optional<actors::journal_place>> min_revision(const exchange& e) {
  const auto text = e.request().header("x-min-revision");
  if (text.empty())
    return std::optional<actors::journal_place>{};
  const auto bad = failure{errc::invalid_argument, "malformed",
                           "X-Min-Revision: expected an X-Revision that a write has returned"};
  auto at = actors::journal_place{};
  const auto* end = text.data() + text.size();
  const auto shard = std::from_chars(text.data(), end, at.shard);
  if (shard.ec != std::errc{} || shard.ptr == end || *shard.ptr != '-')
    return bad;
  const auto offset = std::from_chars(shard.ptr + 1, end, at.offset);
  if (offset.ec != std::errc{} || offset.ptr != end)
    return bad;
  return std::optional{at};
}

/// What is asked for, wherever it stands in the request.
struct question {
  std::string filter, sort, fields, cursor;
  std::size_t limit = 50;
  bool count = false;
  bool with_retired = false;
};

/// Devices that are out of service come behind all others: a cursor that begins so goes on with
/// them.
constexpr std::string_view at_retired = "retired ";

struct listing {
  actors::device_list_question what;
  std::optional<filter::projection> fields;
  std::string bound_to;  // what cursors are bound to
  bool count = false;
  bool with_retired = false;
};

/// The same question about those that are out of service.
actors::device_list_question of_retired(actors::device_list_question what) {
  what.filter = organisation::both(organisation::equals("status", "retired"), what.filter);
  return what;
}

/// `own`: the filter as the index reads it.
model::result<listing> read(const exchange& e, question q, std::string own) {
  auto l = listing{};
  l.bound_to = e.who.organisation + "\ndevices\n" + q.filter + '\n' + q.sort;
  if (q.with_retired)
    l.bound_to += "\nretired";
  if (!q.fields.empty()) {
    auto parts = filter::projection::parse(q.fields);
    if (!parts)
      return parts.error();
    l.fields = std::move(*parts);
  }
  auto cursor = q.cursor.empty() ? model::result<std::string>{std::string{}}
                                 : read_cursor(q.cursor, l.bound_to, e.parts().now());
  if (!cursor)
    return cursor.error();
  const auto seen = min_revision(e);
  if (!seen)
    return seen.error();
  l.what.organisation = e.who.organisation;
  l.what.filter = std::move(own);
  l.what.sort = std::move(q.sort);
  l.what.cursor = std::move(*cursor);
  l.what.limit = q.limit;
  l.what.not_before = *seen;
  l.count = q.count;
  l.with_retired = q.with_retired;
  return l;
}

void answer(const exchange_ptr& e, const listing& l, const actors::device_page& page,
            std::optional<std::uint64_t> total) {
  auto items = model::array{};
  for (const auto& d : page.devices) {
    auto item = show_device(*e, d.id, *d.what);
    items.push_back(l.fields ? l.fields->of(item) : std::move(item));
  }
  auto o = model::object{{"items", std::move(items)}};
  if (!page.next.empty())
    o.emplace_back("nextCursor", write_cursor(page.next, l.bound_to, e->parts().now()));
  if (total)
    o.emplace_back("total", static_cast<std::int64_t>(*total));
  e->reply(200, std::move(o));
}

/// How many the listing is of: those in service, and the others if they are asked for.
void count_all(const exchange_ptr& e, const std::shared_ptr<const listing>& l,
               std::function<void(std::uint64_t)> then) {
  const auto sum = [](const actors::device_counts& counts) {
    auto total = std::uint64_t{0};
    for (const auto& [group, n] : counts.of)
      total += n;
    return total;
  };
  const auto& what = l->what;
  e->parts().query->count(
      {what.organisation, what.filter},
      [e, l, sum, then = std::move(then)](const model::result<actors::device_counts>& n) {
        if (!n)
          return e->fail(n.error());
        if (!l->with_retired)
          return then(sum(*n));
        e->parts().query->count(
            {l->what.organisation, of_retired(l->what).filter},
            [e, sum, then, others = sum(*n)](const model::result<actors::device_counts>& more) {
              more ? then(others + sum(*more)) : e->fail(more.error());
            });
      });
}

void end_page(const exchange_ptr& e, const std::shared_ptr<const listing>& l,
              actors::device_page page) {
  if (!l->count)
    return answer(e, *l, page, std::nullopt);
  const auto held = std::make_shared<actors::device_page>(std::move(page));
  count_all(e, l, [e, l, held](std::uint64_t total) { answer(e, *l, *held, total); });
}

/// Goes on behind the last of those in service; a page that is full only looks for one more.
void add_retired(const exchange_ptr& e, const std::shared_ptr<const listing>& l,
                 actors::device_page page) {
  auto what = of_retired(l->what);
  const auto is_full = page.devices.size() >= what.limit;
  what.limit = is_full ? 1 : what.limit - page.devices.size();
  what.cursor = what.cursor.starts_with(at_retired) ? what.cursor.substr(at_retired.size()) : "";
  const auto held = std::make_shared<actors::device_page>(std::move(page));
  e->parts().query->devices(
      std::move(what), [e, l, held, is_full](model::result<actors::device_page> more) {
        if (!more)
          return e->fail(more.error());
        if (is_full) {
          if (!more->devices.empty() || !more->next.empty())
            held->next = at_retired;
        } else {
          std::move(more->devices.begin(), more->devices.end(), std::back_inserter(held->devices));
          if (!more->next.empty())
            held->next = std::string{at_retired} + more->next;
        }
        end_page(e, l, std::move(*held));
      });
}

void read_page(const exchange_ptr& e, const std::shared_ptr<const listing>& l) {
  if (l->what.cursor.starts_with(at_retired))
    return add_retired(e, l, {});
  e->parts().query->devices(l->what, [e, l](model::result<actors::device_page> page) {
    if (!page)
      return e->fail(page.error());
    if (l->with_retired && page->next.empty())
      return add_retired(e, l, std::move(*page));
    end_page(e, l, std::move(*page));
  });
}

void run(const exchange_ptr& e, question q) {
  const auto text = q.filter;
  with_device_filter(e, text, [e, q = std::move(q)](std::string own) {
    auto read_one = read(*e, q, std::move(own));
    if (!read_one)
      return e->fail(read_one.error());
    const auto l = std::make_shared<listing>(std::move(*read_one));
    e->with_reach(l->what.filter, [e, l](std::string filter) {
      l->what.filter = std::move(filter);
      read_page(e, l);
    });
  });
}

model::result<question> read_query(const exchange& e) {
  const auto limit = e.limit();
  if (!limit)
    return limit.error();
  const auto retired = e.query("includeRetired");
  if (!retired.empty() && retired != "true" && retired != "false")
    return failure{errc::invalid_argument, "malformed", "includeRetired: expected true or false"};
  return question{.filter = e.query("filter"),
                  .sort = e.query("sort"),
                  .fields = e.query("fields"),
                  .cursor = e.query("cursor"),
                  .limit = *limit,
                  .count = e.query("count") == "true",
                  .with_retired = retired == "true"};
}

void list(const exchange_ptr& e) {
  auto read_one = read_query(*e);
  if (!read_one)
    return e->fail(read_one.error());
  auto& q = *read_one;
  const auto status = e->query("status");
  if (!status.empty() && status != "online" && status != "offline" && status != "inactive" &&
      status != "disabled" && status != "mirror")
    return e->fail({errc::invalid_argument, "malformed",
                    "status: expected online, offline, inactive, disabled or mirror"});
  if (!status.empty())
    q.filter = organisation::both(q.filter, organisation::equals("status", status));
  if (const auto product = e->query("productKey"); !product.empty())
    q.filter = organisation::both(q.filter, organisation::equals("productKey", product));
  if (const auto text = e->query("q"); !text.empty())
    q.filter = organisation::both(q.filter, organisation::mentions(text));
  run(e, std::move(q));
}

void search(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto q = question{};
  q.filter = f.text("filter", max_text).value_or("");
  q.sort = f.text("sort", max_text).value_or("");
  q.fields = f.text("fields", max_text).value_or("");
  q.cursor = f.text("cursor", max_text).value_or("");
  q.limit = static_cast<std::size_t>(f.integer("limit", 1, 500).value_or(50));
  q.count = f.truth("count").value_or(false);
  q.with_retired = f.truth("includeRetired").value_or(false);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  run(e, std::move(q));
}

/// The groups of a count as they are shown: the value of each field by its name.
model::array show_counts(const actors::device_counts& counts,
                         const std::vector<std::string>& names) {
  auto rows = model::array{};
  for (const auto& [group, n] : counts.of) {
    const auto values = model::parse_json(group);
    auto by = model::object{};
    for (std::size_t i = 0; values && i < names.size() && i < values->as_array().size(); ++i)
      by.emplace_back(names[i], values->as_array()[i]);
    rows.push_back(
        model::object{{"group", std::move(by)}, {"count", static_cast<std::int64_t>(n)}});
  }
  return rows;
}

void count(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto text = f.text("filter", max_text).value_or("");
  const auto names =
      f.texts("groupBy", actors::max_count_fields).value_or(std::vector<std::string>{});
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto seen = min_revision(*e);
  if (!seen)
    return e->fail(seen.error());
  auto q = actors::device_count_question{.organisation = e->who.organisation, .not_before = *seen};
  for (const auto& name : names)
    q.groups += (q.groups.empty() ? "" : ",") + name;
  if (q.groups == actors::every_tag)
    return e->fail({errc::invalid_argument, "bad_group",
                    "GET ~/tags counts all tags; here name one, as in tags.site"});
  const auto show = [e, names](const model::result<actors::device_counts>& counts) {
    if (!counts)
      return e->fail(counts.error());
    auto total = std::int64_t{0};
    for (const auto& [group, n] : counts->of)
      total += static_cast<std::int64_t>(n);
    auto o = model::object{{"total", total}};
    if (!names.empty())
      o.emplace_back("groups", show_counts(*counts, names));
    e->reply(200, std::move(o));
  };
  with_device_filter(e, text, [e, q, show](std::string own) {
    e->with_reach(std::move(own), [e, q, show](std::string filter) mutable {
      q.filter = std::move(filter);
      e->parts().query->count(std::move(q), show);
    });
  });
}

void show_statuses(const exchange_ptr& e, const model::result<actors::device_counts>& counts) {
  if (!counts)
    return e->fail(counts.error());
  auto total = std::int64_t{0};
  auto of_each = model::object{};
  for (const auto* status : {"online", "offline", "inactive", "disabled", "mirror"}) {
    const auto found = counts->of.find("[\"" + std::string{status} + "\"]");
    const auto n = found == counts->of.end() ? 0 : static_cast<std::int64_t>(found->second);
    of_each.emplace_back(status, n);
    total += n;
  }
  auto o = model::object{{"total", total}};
  std::move(of_each.begin(), of_each.end(), std::back_inserter(o));
  e->reply(200, std::move(o));
}

/// How many are in which state.
void statistics(const exchange_ptr& e) {
  const auto product = e->query("productKey");
  e->with_reach(
      product.empty() ? std::string{} : organisation::equals("productKey", product),
      [e](std::string filter) {
        e->parts().query->count(
            actors::device_count_question{e->who.organisation, std::move(filter), "status"},
            [e](const auto& counts) { show_statuses(e, counts); });
      });
}

}  // namespace

void list_devices(const exchange_ptr& e, const std::string& among) {
  auto q = read_query(*e);
  if (!q)
    return e->fail(q.error());
  q->filter = organisation::both(q->filter, among);
  run(e, std::move(*q));
}

std::vector<route> device_search_routes() {
  return {
      {"GET", "~/devices", "device:read", list, "listDevices",
       "Devices: all that are in service, or those of them that a filter accepts", "", "DeviceList",
       200, "limit cursor filter sort fields count productKey status q includeRetired"},
      {"POST", "~/devices/search", "device:read", search, "searchDevices",
       "The same, with the question in the body", "DeviceSearch", "FoundDevices", 200, ""},
      {"POST", "~/devices:count", "device:read", count, "countDevices",
       "How many devices a filter accepts, by the values of fields", "DeviceCountQuestion",
       "DeviceCountAnswer", 200, ""},
      {"GET", "~/stats/devices", "stats:read", statistics, "getDeviceStatistics",
       "How many devices are in which state", "", "DeviceCounts", 200, "productKey"},
  };
}

}  // namespace orrery::transport::api
