// Events that devices raised (group H of the API).
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;

void list(const exchange_ptr& e) {
  const auto from = e->time("from", model::timestamp{});
  const auto to = e->time("to", e->parts().now() + std::chrono::hours{24});
  const auto limit = e->limit();
  const auto cursor = e->cursor();
  for (const auto* why : {from ? nullptr : &from.error(), to ? nullptr : &to.error(),
                          limit ? nullptr : &limit.error(), cursor ? nullptr : &cursor.error()})
    if (why)
      return e->fail(*why);
  auto q = actors::event_list_question{.device = {},
                                       .from = *from,
                                       .to = *to,
                                       .event = e->query("eventId"),
                                       .cursor = *cursor,
                                       .limit = *limit};
  e->with_device([e, q = std::move(q)](const found_device& d) mutable {
    q.device = d.id;
    e->parts().query->events(std::move(q), [e, id = d.id](model::result<actors::event_page> page) {
      if (!page)
        return e->fail(page.error());
      auto items = model::array{};
      for (const auto& raised : page->events)
        items.push_back(model::object{{"id", raised.id},
                                      {"assetId", to_string(id)},
                                      {"eventId", raised.event},
                                      {"level", name_of_level(raised.level)},
                                      {"output", raised.output},
                                      {"time", e->show(raised.time)},
                                      {"receivedAt", e->show(raised.received)}});
      e->reply_page(std::move(items), page->next);
    });
  });
}

void raise(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto order = device::report_event{};
  order.event = f.text("eventId", 64).value_or("");
  order.output = f.object("output").value_or(model::object{});
  order.time = f.time("time");
  if (order.event.empty())
    f.missing("eventId");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, order = std::move(order)](const found_device& d) {
    e->ask(d.id, device_order(*e, order), [e](const actors::outcome& done) {
      e->reply_empty(204, exchange::revision_headers(done));
    });
  });
}

}  // namespace

std::vector<route> event_routes() {
  return {
      {"GET", "@d/events", "data:read", list, "listEvents", "Events, newest first", "", "EventList",
       200, "from to eventId limit cursor"},
      {"POST", "@d/events", "data:write", raise, "raiseEvent", "Raise an event in a device's name",
       "NewEvent", "", 204, ""},
  };
}

}  // namespace orrery::transport::api
