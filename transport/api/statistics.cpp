// What the API says of itself.
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

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
      {"GET", "/openapi.json", "", openapi, "getOpenApi", "This document", "", "Any", 200, ""},
      {"GET", "/system/version", "", version, "getVersion", "What runs here", "", "Version", 200,
       ""},
  };
}

}  // namespace orrery::transport::api
