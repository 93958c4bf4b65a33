// Any bytes to the MQTT codec and engine, the first of them the version: what is read can be
// written and read again, what is sent is made of packets, and the place where the bytes are cut
// makes no difference.
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "transport/mqtt/downlinks.hpp"
#include "transport/mqtt/engine.hpp"
#include "transport/mqtt/login.hpp"
#include "transport/mqtt/operations.hpp"
#include "transport/mqtt/replies.hpp"
#include "transport/mqtt/requests.hpp"

namespace {

using namespace orrery::transport::mqtt;
namespace model = orrery::model;

constexpr std::size_t max_packet = 4096;

void demand(bool holds) {
  if (!holds)
    std::abort();
}

void check_codec(std::string_view in, protocol by) {
  while (!in.empty()) {
    const auto got = decode(in, max_packet, by);
    if (!got || !*got)
      return;
    demand((*got)->size > 0 && (*got)->size <= in.size());
    const auto* c = std::get_if<connect>(&(*got)->what);
    if (!c || (c->protocol_level >= 3 && c->protocol_level <= 5)) {
      if (c)
        by = static_cast<protocol>(c->protocol_level);
      auto once = std::string{};
      encode((*got)->what, once, by);
      const auto again = decode(once, once.size(), by);
      demand(again && *again && (*again)->size == once.size());
      demand((*again)->what == (*got)->what);
    }
    in.remove_prefix((*got)->size);
  }
}

/// What a connection does with an engine, without the rest of the node. Gives what was sent, and by
/// which version.
std::pair<std::string, protocol> converse(std::string_view in, std::size_t step) {
  auto e = engine{{.max_packet_bytes = max_packet,
                   .max_subscriptions = 8,
                   .max_queued = 8,
                   .receive_maximum = 4,
                   .topic_aliases = 2,
                   .max_granted = qos::exactly_once}};
  auto key = std::uint64_t{0};
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
        auto back = m->packet;
        back.packet_id = 0;
        back.dup = false;
        e.send(back, ++key, now);
        e.settle(m->ticket, m->packet.retain ? 0x87 : 0, "text");
      } else if (const auto* c = std::get_if<login_wanted>(&*todo)) {
        const auto who = parse_login(c->packet.client_id, c->packet.username, c->packet.password);
        demand(!who || !who->proof.client_id.empty());
        e.grant(now);
      } else if (auto* s = std::get_if<subscribed>(&*todo)) {
        e.settle(s->ticket);
      } else if (const auto* o = std::get_if<over>(&*todo)) {
        e.end(o->reason);
        return {std::move(e.out()), e.version()};
      }
    }
    waiting.erase(0, waiting.size() - view.size());
  }
  return {std::move(e.out()), e.version()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto in = std::string_view{reinterpret_cast<const char*>(data) + 1, size - 1};
  constexpr protocol versions[] = {protocol::v3_1_1, protocol::v5, protocol::v3_1};
  check_codec(in, versions[*data % 3]);
  const auto [whole, by] = converse(in, in.size() + 1);
  auto out = std::string_view{whole};
  while (!out.empty()) {
    const auto got = decode(out, out.size(), by);
    demand(got && *got);
    out.remove_prefix((*got)->size);
  }
  if (size <= 512)
    demand(converse(in, 1).first == whole);
  return 0;
}
