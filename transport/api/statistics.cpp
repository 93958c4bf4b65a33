// Figures of the fleet (group Q of the API).
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;

struct totals {
  std::int64_t total = 0, online = 0, offline = 0, inactive = 0, disabled = 0;
};

/// Counts page by page, so that one answer holds no thread for long.
void count(const exchange_ptr& e, std::string cursor, std::shared_ptr<totals> t) {
  auto q = actors::device_list_question{.organisation = e->who.organisation,
                                        .product_key = e->query("productKey"),
                                        .cursor = std::move(cursor),
                                        .limit = 5000};
  e->parts().query->devices(std::move(q), [e, t](model::result<actors::device_page> page) {
    if (!page)
      return e->fail(page.error());
    for (const auto& d : page->devices) {
      if (!e->sees(*d.what))
        continue;
      const auto status = device::status_of(*d.what);
      ++t->total;
      ++(status == "online"     ? t->online
         : status == "offline"  ? t->offline
         : status == "disabled" ? t->disabled
                                : t->inactive);
    }
    if (!page->next.empty())
      return count(e, page->next, t);
    e->reply(200, model::object{{"total", t->total},
                                {"online", t->online},
                                {"offline", t->offline},
                                {"inactive", t->inactive},
                                {"disabled", t->disabled}});
  });
}

void devices(const exchange_ptr& e) {
  count(e, {}, std::make_shared<totals>());
}

void openapi(const exchange_ptr& e) {
  auto r = http_response{};
  r.content_type = "application/json";
  r.body = openapi_document();
  e->send(std::move(r));
}

void version(const exchange_ptr& e) {
  e->reply(200, model::object{{"name", "orrery"}, {"version", ORRERY_VERSION}});
}

}  // namespace

std::vector<route> statistics_routes() {
  return {
      {"GET", "~/stats/devices", "stats:read", devices, "countDevices",
       "How many devices are in which state", "", "DeviceCounts", 200, "productKey"},
      {"GET", "/openapi.json", "", openapi, "getOpenApi", "This document", "", "Any", 200, ""},
      {"GET", "/system/version", "", version, "getVersion", "What runs here", "", "Version", 200,
       ""},
  };
}

}  // namespace orrery::transport::api
