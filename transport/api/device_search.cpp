// Lists, searches and counts of devices (group D of the API).
#include <charconv>

#include "model/blueprint/inheritance.hpp"
#include "model/filter/expression.hpp"
#include "model/filter/projection.hpp"
#include "model/json.hpp"
#include "transport/api/cursor.hpp"
#include "transport/api/device_filter.hpp"
#include "transport/api/device_question.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace filter = model::filter;
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

/// Narrows a filter to the products that the caller may see.
std::string within_reach(const exchange& e, std::string text) {
  const auto reached = e.who.products_for(e.at->permission);
  return reached ? both(text, one_of("productKey", *reached)) : text;
}

/// What is asked for, wherever it stands in the request.
struct question {
  std::string filter, sort, fields, cursor;
  std::size_t limit = 50;
  bool count = false;
};

struct listing {
  actors::device_list_question what;
  std::optional<filter::projection> fields;
  std::string bound_to;  // what cursors are bound to
  bool count = false;
};

model::result<listing> read(const exchange& e, question q) {
  auto own = device_filter(q.filter, product_facts_of(e));
  if (!own)
    return own.error();
  auto l = listing{};
  l.bound_to = e.who.organisation + "\ndevices\n" + q.filter + '\n' + q.sort;
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
  l.what.filter = within_reach(e, std::move(*own));
  l.what.sort = std::move(q.sort);
  l.what.cursor = std::move(*cursor);
  l.what.limit = q.limit;
  l.what.not_before = *seen;
  l.count = q.count;
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

void run(const exchange_ptr& e, question q) {
  auto read_one = read(*e, std::move(q));
  if (!read_one)
    return e->fail(read_one.error());
  const auto l = std::make_shared<const listing>(std::move(*read_one));
  e->parts().query->devices(l->what, [e, l](model::result<actors::device_page> page) {
    if (!page)
      return e->fail(page.error());
    if (!l->count)
      return answer(e, *l, *page, std::nullopt);
    auto all = actors::device_count_question{l->what.organisation, l->what.filter};
    const auto held = std::make_shared<actors::device_page>(std::move(*page));
    e->parts().query->count(std::move(all), [e, l, held](model::result<actors::device_counts> n) {
      if (!n)
        return e->fail(n.error());
      auto total = std::uint64_t{0};
      for (const auto& [group, count] : n->of)
        total += count;
      answer(e, *l, *held, total);
    });
  });
}

void list(const exchange_ptr& e) {
  const auto limit = e->limit();
  if (!limit)
    return e->fail(limit.error());
  auto q = question{.filter = e->query("filter"),
                    .sort = e->query("sort"),
                    .fields = e->query("fields"),
                    .cursor = e->query("cursor"),
                    .limit = *limit,
                    .count = e->query("count") == "true"};
  const auto status = e->query("status");
  if (!status.empty() && status != "online" && status != "offline" && status != "inactive" &&
      status != "disabled")
    return e->fail({errc::invalid_argument, "malformed",
                    "status: expected online, offline, inactive or disabled"});
  if (!status.empty())
    q.filter = both(q.filter, equals("status", status));
  if (const auto product = e->query("productKey"); !product.empty())
    q.filter = both(q.filter, equals("productKey", product));
  if (const auto text = e->query("q"); !text.empty())
    q.filter = both(q.filter, mentions(text));
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
  auto own = device_filter(text, product_facts_of(*e));
  const auto seen = min_revision(*e);
  if (!own || !seen)
    return e->fail(own ? seen.error() : own.error());
  auto q = actors::device_count_question{
      e->who.organisation, within_reach(*e, std::move(*own)), {}, *seen};
  for (const auto& name : names)
    q.groups += (q.groups.empty() ? "" : ",") + name;
  e->parts().query->count(std::move(q), [e, names](model::result<actors::device_counts> counts) {
    if (!counts)
      return e->fail(counts.error());
    auto total = std::int64_t{0};
    for (const auto& [group, n] : counts->of)
      total += static_cast<std::int64_t>(n);
    auto o = model::object{{"total", total}};
    if (!names.empty())
      o.emplace_back("groups", show_counts(*counts, names));
    e->reply(200, std::move(o));
  });
}

/// How many are in which state.
void statistics(const exchange_ptr& e) {
  const auto product = e->query("productKey");
  auto q = actors::device_count_question{
      e->who.organisation,
      within_reach(*e, product.empty() ? std::string{} : equals("productKey", product)), "status"};
  e->parts().query->count(std::move(q), [e](model::result<actors::device_counts> counts) {
    if (!counts)
      return e->fail(counts.error());
    auto total = std::int64_t{0};
    auto of_each = model::object{};
    for (const auto* status : {"online", "offline", "inactive", "disabled"}) {
      const auto found = counts->of.find("[\"" + std::string{status} + "\"]");
      const auto n = found == counts->of.end() ? 0 : static_cast<std::int64_t>(found->second);
      of_each.emplace_back(status, n);
      total += n;
    }
    auto o = model::object{{"total", total}};
    std::move(of_each.begin(), of_each.end(), std::back_inserter(o));
    e->reply(200, std::move(o));
  });
}

}  // namespace

std::vector<product_facts> product_facts_of(const exchange& e) {
  auto all = std::vector<product_facts>{};
  const auto known = e.parts().known->current();
  for (const auto& [key, p] : known->products)
    if (p->state->organisation == e.who.organisation) {
      auto facts = product_facts{key, p->state->model, {}, false};
      facts.gateway = p->state->node == model::product::node_type::gateway;
      auto path = known->path_of(model::blueprint::key_of(p->state->organisation, p->state->model));
      if (!path.empty())
        path.pop_back();  // itself
      for (const auto& model : path)
        facts.ancestors.push_back(model.substr(model.find('/') + 1));
      all.push_back(std::move(facts));
    }
  return all;
}

std::vector<route> device_search_routes() {
  return {
      {"GET", "~/devices", "device:read", list, "listDevices",
       "Devices: all, or those that a filter accepts", "", "DeviceList", 200,
       "limit cursor filter sort fields count productKey status q"},
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
