// Measure points: newest values, history, and writes by applications (group G of the API).
#include <algorithm>
#include <atomic>
#include <mutex>

#include "transport/api/fields.hpp"
#include "transport/api/mirrored.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"
#include "transport/api/time_text.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

std::vector<std::string> split(const std::string& text) {
  auto all = std::vector<std::string>{};
  for (std::size_t from = 0; from < text.size();) {
    const auto to = std::min(text.find(',', from), text.size());
    if (to > from)
      all.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return all;
}

model::value show_latest(const exchange& e, const device::latest_point& p) {
  auto o = model::object{{"point", p.id.text()},
                         {"value", p.v},
                         {"time", e.show(p.time)},
                         {"serverTime", e.show(p.server_time)},
                         {"ageMs", (e.parts().now() - p.server_time).count()}};
  if (p.quality >= 0)
    o.emplace_back("quality", int{p.quality});
  return o;
}

void latest(const exchange_ptr& e) {
  const auto ids = split(e->query("ids"));
  e->with_device([e, ids](const found_device& d) {
    read_latest(e, d, ids, [e](const model::result<latest_values>& got) {
      if (!got)
        return e->fail(got.error());
      auto items = model::array{};
      for (const auto& p : *got)
        items.push_back(show_latest(*e, p));
      e->reply(200, model::object{{"items", std::move(items)}});
    });
  });
}

struct many_latest_rows {
  std::vector<model::array> rows;
  std::atomic<std::size_t> open;
  std::mutex mutex;
  std::optional<failure> why;  // of one whose values nobody can tell now
};

void many_latest(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto ids = f.texts("ids", 1000);
  const auto points = f.texts("points", 1000).value_or(std::vector<std::string>{});
  auto whom = std::vector<actors::target>{};
  if (!ids)
    f.missing("ids");
  for (std::size_t i = 0; ids && i < ids->size(); ++i) {
    const auto id = model::parse_entity_id((*ids)[i]);
    if (id && id->shard < e->parts().shard_count)
      whom.emplace_back(*id);
    else
      f.note("ids/" + std::to_string(i), "type_mismatch", "expected an assetId");
  }
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_devices(std::move(whom), [e, points](const exchange::found_devices& devices) {
    auto seen = std::vector<found_device>{};
    for (const auto& d : devices)
      if (d)
        seen.push_back(*d);
    if (seen.empty())
      return e->reply(200, model::object{{"items", model::array{}}});
    const auto found = std::make_shared<many_latest_rows>();
    found->rows.resize(seen.size());
    found->open = seen.size();
    for (std::size_t i = 0; i < seen.size(); ++i)
      read_latest(
          e, seen[i], points,
          [e, found, i, id = seen[i].id](const model::result<latest_values>& values) {
            if (!values && values.error().code != errc::not_found) {  // else: gone meanwhile
              const auto hold = std::lock_guard{found->mutex};
              found->why = values.error();
            }
            if (values)
              for (const auto& p : *values) {
                auto row = show_latest(*e, p).as_object();
                row.insert(row.begin(), {"assetId", to_string(id)});
                found->rows[i].emplace_back(std::move(row));
              }
            if (found->open.fetch_sub(1) != 1)
              return;
            if (found->why)
              return e->fail(*found->why);
            auto items = model::array{};
            for (auto& rows : found->rows)
              std::move(rows.begin(), rows.end(), std::back_inserter(items));
            e->reply(200, model::object{{"items", std::move(items)}});
          });
  });
}

/// Reads from, to, limit, order and cursor of a history request. The cursor is the time of the next
/// page's first row.
model::result<actors::history_question> read_question(const exchange& e) {
  auto q = actors::history_question{};
  const auto from = e.time("from", e.parts().now() - std::chrono::hours{24});
  const auto to = e.time("to", e.parts().now());
  const auto limit = e.limit(1000, 10'000);
  for (const auto* why : {from ? nullptr : &from.error(), to ? nullptr : &to.error(),
                          limit ? nullptr : &limit.error()})
    if (why)
      return *why;
  q.from = *from;
  q.to = *to;
  q.limit = *limit;
  if (q.from > q.to)
    return failure{errc::invalid_argument, "validation_failed", "from is later than to"};
  const auto order = e.query("order");
  if (!order.empty() && order != "asc" && order != "desc")
    return failure{errc::invalid_argument, "malformed", "order: expected asc or desc"};
  q.newest_first = order == "desc";
  const auto cursor = e.cursor();
  if (!cursor)
    return cursor.error();
  if (!cursor->empty()) {
    const auto next = parse_time(*cursor);
    if (!next)
      return failure{errc::invalid_argument, "bad_cursor",
                     "that cursor is none of ours: begin without one"};
    (q.newest_first ? q.to : q.from) = *next;
  }
  return q;
}

void answer_history(const exchange_ptr& e, actors::history_question q, bool with_point) {
  e->with_device([e, q = std::move(q), with_point](const found_device& d) mutable {
    read_history(
        e, d, std::move(q), [e, with_point](const model::result<actors::history_page>& page) {
          if (!page)
            return e->fail(page.error());
          auto items = model::array{};
          items.reserve(page->rows.size());
          for (const auto& r : page->rows) {
            auto o = model::object{{"time", e->show(r.time)}, {"value", r.point.v}};
            if (with_point)
              o.insert(o.begin(), {"point", r.point.id});
            if (r.point.quality >= 0)
              o.emplace_back("quality", int{r.point.quality});
            items.emplace_back(std::move(o));
          }
          e->reply_page(std::move(items),
                        page->next ? std::to_string(model::to_ms(*page->next)) : std::string{});
        });
  });
}

void history(const exchange_ptr& e) {
  auto q = read_question(*e);
  if (!q)
    return e->fail(q.error());
  q->points = {e->param("point")};
  answer_history(e, std::move(*q), false);
}

void history_of_many(const exchange_ptr& e) {
  auto q = read_question(*e);
  if (!q)
    return e->fail(q.error());
  q->points = split(e->query("points"));
  answer_history(e, std::move(*q), true);
}

/// Samples that an application brings: [{time?, points{}}].
void ingest(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto mode = f.word("mode", {"online", "backfill"});
  const auto* items = f.array("items", 1000);
  if (!items)
    f.missing("items");
  auto order = device::report_points{};
  order.backfill = mode && *mode == "backfill";
  for (std::size_t i = 0; items && i < items->size(); ++i) {
    auto one = fields{(*items)[i], "/items/" + std::to_string(i)};
    auto sample = device::posted_sample{};
    sample.time = one.time("time");
    const auto points = one.object("points");
    if (!points || points->empty())
      one.missing("points");
    else
      for (const auto& [id, v] : *points)
        sample.points.push_back({id, v});
    if (auto ok = one.finish(); !ok)
      f.problems.insert(f.problems.end(), ok.error().problems.begin(), ok.error().problems.end());
    order.samples.push_back(std::move(sample));
  }
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, order = std::move(order)](const found_device& d) {
    e->ask(d.id, device_order(*e, order), [e](const actors::outcome& done) {
      auto dropped = model::array{};
      if (const auto* taken = device_reply<device::points_taken>(done))
        for (const auto& p : taken->dropped)
          dropped.push_back(
              model::object{{"pointer", p.where}, {"code", p.code}, {"detail", p.detail}});
      e->reply(200, model::object{{"dropped", std::move(dropped)}},
               exchange::revision_headers(done));
    });
  });
}

}  // namespace

std::vector<route> point_routes() {
  return {
      {"GET", "@d/points/latest", "data:read", latest, "getLatest", "Newest values", "",
       "LatestList", 200, "ids"},
      {"POST", "~/points/latest", "data:read", many_latest, "getLatestOfMany",
       "Newest values of up to 1,000 devices", "LatestQuestion", "LatestOfMany", 200, ""},
      {"GET", "@d/points/history", "data:read", history_of_many, "getHistoryOfPoints",
       "Samples of several points", "", "HistoryOfPoints", 200,
       "points from to limit order cursor"},
      {"GET", "@d/points/{point}/history", "data:read", history, "getHistory",
       "Samples of a point, as they came", "", "History", 200, "from to limit order cursor"},
      {"POST", "@d/points", "data:write", ingest, "ingestPoints", "Add samples for a device",
       "Samples", "Ingested", 200, ""},
  };
}

}  // namespace orrery::transport::api
