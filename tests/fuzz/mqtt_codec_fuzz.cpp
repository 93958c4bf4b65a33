// Any bytes to the MQTT codec and engine: what is read can be written and read again, what is sent
// is made of packets, and the place where the bytes are cut makes no difference.
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "transport/mqtt/engine.hpp"
#include "transport/mqtt/login.hpp"
#include "transport/mqtt/mapping.hpp"

namespace {

using namespace orrery::transport::mqtt;
namespace model = orrery::model;

constexpr std::size_t max_packet = 4096;

void demand(bool holds) {
  if (!holds)
    std::abort();
}

void check_codec(std::string_view in) {
  while (!in.empty()) {
    const auto got = decode(in, max_packet);
    if (!got || !*got)
      return;
    demand((*got)->size > 0 && (*got)->size <= in.size());
    const auto* c = std::get_if<connect>(&(*got)->what);
    if (!c || c->protocol_level == 3 || c->protocol_level == 4) {
      auto once = std::string{}, twice = std::string{};
      encode((*got)->what, once);
      const auto again = decode(once, once.size());
      demand(again && *again && (*again)->size == once.size());
      encode((*again)->what, twice);
      demand(once == twice);
    }
    in.remove_prefix((*got)->size);
  }
}

/// What a connection does with an engine, without the rest of the node. Gives what was sent.
std::string converse(std::string_view in, std::size_t step) {
  auto e = engine{{.max_packet_bytes = max_packet, .max_subscriptions = 8, .max_queued = 8}};
  const auto now = model::from_ms(1'700'000'000'000);
  auto waiting = std::string{};
  for (std::size_t at = 0; at < in.size(); at += step) {
    waiting += in.substr(at, step);
    // Its own allocation, of exactly that size: a read behind the end is seen.
    const auto exact = std::make_unique<char[]>(waiting.size());
    std::copy(waiting.begin(), waiting.end(), exact.get());
    auto view = std::string_view{exact.get(), waiting.size()};
    while (auto todo = e.step(view, now)) {
      if (const auto* m = std::get_if<message>(&*todo)) {
        const auto topic = classify(m->packet.topic);
        e.send(std::string{m->packet.topic} + "_reply", name_of(topic.what), m->packet.level);
        e.settle(m->ticket);
      } else if (const auto* c = std::get_if<login_wanted>(&*todo)) {
        const auto who = parse_login(c->packet.client_id, c->packet.username, c->packet.password);
        demand(!who || !who->proof.client_id.empty());
        e.grant(now);
      } else if (std::holds_alternative<over>(*todo)) {
        return std::move(e.out());
      }
    }
    waiting.erase(0, waiting.size() - view.size());
  }
  return std::move(e.out());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto in = std::string_view{reinterpret_cast<const char*>(data), size};
  check_codec(in);
  const auto whole = converse(in, in.size() + 1);
  auto out = std::string_view{whole};
  while (!out.empty()) {
    const auto got = decode(out, out.size());
    demand(got && *got);
    out.remove_prefix((*got)->size);
  }
  if (size <= 512)
    demand(converse(in, 1) == whole);
  return 0;
}
