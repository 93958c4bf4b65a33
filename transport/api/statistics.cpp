// What the API says of itself.
#include "model/credentials.hpp"
#include "pages/reference.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

void openapi(const exchange_ptr& e) {
  auto r = http_response{};
  r.content_type = "application/json";
  r.body = openapi_document();
  e->send(std::move(r));
}

/// The document for people: a page that reads it, and nothing from elsewhere.
void reference(const exchange_ptr& e) {
  const auto nonce = model::random_text(24);
  auto r = http_response{};
  r.content_type = "text/html; charset=utf-8";
  r.body = pages::reference;
  constexpr auto mark = std::string_view{"NONCE"};
  for (auto at = r.body.find(mark); at != std::string::npos; at = r.body.find(mark, at))
    r.body.replace(at, mark.size(), nonce);
  r.headers = {{"Content-Security-Policy",
                "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'none'; script-src 'nonce-" +
                    nonce + "'; style-src 'nonce-" + nonce + "'"},
               {"X-Content-Type-Options", "nosniff"},
               {"Referrer-Policy", "no-referrer"},
               {"Cache-Control", "no-store"}};
  e->send(std::move(r));
}

void version(const exchange_ptr& e) {
  e->reply(200, model::object{{"name", "orrery"}, {"version", ORRERY_VERSION}});
}

}  // namespace

std::vector<route> statistics_routes() {
  return {
      {"GET", "/openapi.json", "", openapi, "getOpenApi", "This document", "", "Any", 200, ""},
      {"GET", "/reference", "", reference, "getReference", "This document as a page for people", "",
       "", 200, ""},
      {"GET", "/system/version", "", version, "getVersion", "What runs here", "", "Version", 200,
       ""},
  };
}

}  // namespace orrery::transport::api
