// What MQTT's bytes cost: a publish of QoS 1, its acknowledgement and reply, and the reply's
// acknowledgement, through codec and engine of one connection. Prints JSON.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "transport/mqtt/engine.hpp"

namespace {

using namespace orrery;
using namespace orrery::transport::mqtt;
using clock_type = std::chrono::steady_clock;

constexpr auto now = model::timestamp{};
constexpr auto rounds = 100'000, repeats = 20;

/// The best of some: others want the processor too.
template <class F>
double nanoseconds(F once) {
  auto best = 1e18;
  for (auto r = 0; r < repeats; ++r) {
    const auto begin = clock_type::now();
    for (auto i = 0; i < rounds; ++i)
      once();
    const auto took = std::chrono::duration<double, std::nano>(clock_type::now() - begin);
    best = std::min(best, took.count() / rounds);
  }
  return best;
}

void measure(protocol by, const char* name) {
  const auto topic = std::string{"/sys/Qz3kT9aB/meter0001a/thing/measurepoint/post"};
  const auto reply_topic = topic + "_reply";
  const auto payload = std::string(120, 'x'), reply = std::string{R"({"id":"1","code":200})"};
  auto connection = engine{{}};
  auto bytes = std::string{};
  encode(packet{connect{.protocol_level = static_cast<std::uint8_t>(by), .client_id = "c"}}, bytes,
         by);
  auto view = std::string_view{bytes};
  (void)connection.step(view, now);
  connection.grant(now);
  connection.out().clear();

  auto post = std::string{};
  encode(publish{.topic = topic, .payload = payload, .level = qos::at_least_once, .packet_id = 7},
         post, by);
  auto last_id = std::uint16_t{0};
  auto ack = std::string{};
  const auto whole = nanoseconds([&] {
    auto in = std::string_view{post};
    const auto todo = connection.step(in, now);
    connection.send(reply_topic, reply, qos::at_least_once);
    connection.settle(std::get<message>(*todo).ticket);
    last_id = last_id == 32'767 ? 1 : static_cast<std::uint16_t>(last_id + 1);
    ack.clear();
    encode(puback{last_id}, ack, by);
    auto answer = std::string_view{ack};
    (void)connection.step(answer, now);
    connection.out().clear();
  });
  if (connection.unacknowledged() != 0 || connection.unsettled() != 0)
    std::exit(1);  // that was not what is to be measured
  volatile auto sink = std::size_t{0};
  const auto decoding = nanoseconds([&] { sink = (*decode(post, post.size(), by))->size; });
  std::printf("%s\"%s\":{\"whole_ns\":%.0f,\"decode_publish_ns\":%.0f}",
              by == protocol::v5 ? "," : "", name, whole, decoding);
}

}  // namespace

int main() {
  std::printf("{");
  measure(protocol::v3_1_1, "3.1.1");
  measure(protocol::v5, "5.0");
  std::printf("}\n");
}
