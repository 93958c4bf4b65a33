#include "transport/device_ports.hpp"

namespace orrery::transport {
namespace {

constexpr std::size_t max_body_bytes = 1024 * 1024;

}  // namespace

http_handler route(device_routes routes) {
  return [routes = std::move(routes)](std::shared_ptr<const http_request> request,
                                      const responder& answer) {
    const auto at = request->path.empty() ? routes.end() : routes.find(request->path.front());
    if (at != routes.end())
      return at->second(std::move(request), answer);
    auto r = http_response{};
    r.status = 404;
    r.content_type = "application/json";
    r.body = R"({"code":404,"message":"nothing is served at that path"})";
    answer(std::move(r));
  };
}

struct device_ports::impl {
  std::unique_ptr<http_server> plain, secure;

  template <class Of>
  double sum(Of of) const {
    auto n = 0.0;
    for (const auto* server : {plain.get(), secure.get()})
      n += server ? static_cast<double>((server->*of)()) : 0;
    return n;
  }
};

device_ports::device_ports(net::io_threads& io, const config::settings::listeners_section& ports,
                           net::tls_source tls, device_routes routes, observe::metrics& metrics,
                           long_bodies bodies)
    : impl_{std::make_shared<impl>()} {
  auto limits = http_limits{};
  limits.max_body_bytes = max_body_bytes;
  limits.max_sunk_bytes = bodies.max_bytes;
  const auto most = static_cast<std::size_t>(ports.max_connections);
  const auto handle = route(std::move(routes));
  if (ports.http.enabled)
    impl_->plain =
        std::make_unique<http_server>(io, ports.http, most, nullptr, limits, handle, bodies.taker);
  if (ports.https.enabled)
    impl_->secure = std::make_unique<http_server>(io, ports.https, most, std::move(tls), limits,
                                                  handle, bodies.taker);
  // Metrics outlive the ports, and what the routes need often has the metrics.
  const auto sum = [weak = std::weak_ptr{impl_}](auto of) {
    const auto i = weak.lock();
    return i ? i->sum(of) : 0.0;
  };
  metrics.gauge("orrery_http_connections", "Open connections of the HTTP ports of devices",
                [sum] { return sum(&http_server::connections); });
  metrics.count("orrery_http_refused_connections_total", "Connections closed because of the limit",
                [sum] { return sum(&http_server::refused); });
}

device_ports::~device_ports() {
  stop();
}
std::uint16_t device_ports::port() const {
  return impl_->plain ? impl_->plain->port() : 0;
}
std::uint16_t device_ports::tls_port() const {
  return impl_->secure ? impl_->secure->port() : 0;
}
void device_ports::stop() {
  for (auto* server : {impl_->plain.get(), impl_->secure.get()})
    if (server)
      server->stop();
}

}  // namespace orrery::transport
