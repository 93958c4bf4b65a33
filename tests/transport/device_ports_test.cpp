#include "transport/device_ports.hpp"

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

/// Status and body of what is answered to a path.
std::pair<int, std::string> ask(const http_handler& handler, const std::string& target) {
  auto request = std::make_shared<http_request>();
  request->method = "GET";
  EXPECT_TRUE(split_target(target, *request));
  auto got = std::pair<int, std::string>{0, ""};
  handler(request, responder{[&](http_response r) { got = {r.status, r.body}; }});
  return got;
}

http_handler says(const std::string& text) {
  return [text](const std::shared_ptr<const http_request>&, const responder& answer) {
    auto r = http_response{};
    r.body = text;
    answer(std::move(r));
  };
}

TEST(DevicePorts, FindWhatIsServedByTheFirstPartOfThePath) {
  const auto handler = route({{"mqtt", says("a")}, {"auth", says("b")}});
  for (const auto& [target, body] :
       {std::pair{"/mqtt", "a"}, {"/mqtt/", "a"}, {"/mqtt/deeper?x=1", "a"}, {"/auth", "b"}})
    EXPECT_EQ(ask(handler, target), std::pair(200, std::string{body})) << target;
  for (const auto* target : {"/", "/MQTT", "/mqttx", "/x/mqtt", "//mqtt"})
    EXPECT_EQ(ask(handler, target).first, 404) << target;
  EXPECT_EQ(ask(route({}), "/mqtt").first, 404);
}

TEST(DevicePorts, OpenThoseThatAreEnabled) {
  auto io = net::io_threads{1};
  auto metrics = observe::metrics{};
  auto where = config::settings::listeners_section{};
  where.http.port = 0;
  where.https.enabled = false;
  {
    const auto ports = device_ports{io, where, nullptr, {}, metrics};
    EXPECT_NE(ports.port(), 0);
    EXPECT_EQ(ports.tls_port(), 0);
    where.http.port = ports.port();
    auto others = observe::metrics{};
    EXPECT_THROW((device_ports{io, where, nullptr, {}, others}), port_taken);
  }
  EXPECT_NE(metrics.text().find("orrery_http_connections 0"), std::string::npos);
  io.stop();
}

TEST(DevicePorts, KeepNothingOfTheirRoutesAfterTheirEnd) {
  auto metrics = std::make_shared<observe::metrics>();
  auto where = config::settings::listeners_section{};
  where.http.port = 0;
  where.https.enabled = false;
  // As the MQTT listener's route has it: what counts there is in the metrics too.
  const auto held = std::make_shared<std::shared_ptr<observe::metrics>>(metrics);
  auto weak = std::weak_ptr{held};
  {
    auto io = net::io_threads{1};
    auto ports = device_ports{
        io,
        where,
        nullptr,
        {{"mqtt", [held](const std::shared_ptr<const http_request>&, const responder&) {}}},
        *metrics};
    EXPECT_GT(weak.use_count(), 1);
    ports.stop();
    io.stop();
  }
  EXPECT_EQ(weak.use_count(), 1);
  EXPECT_NE(metrics->text().find("orrery_http_connections 0"), std::string::npos);
}

}  // namespace
}  // namespace orrery::transport
