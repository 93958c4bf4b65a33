// Packets for tests: the golden ones of tests/data, and random ones of every version.
#pragma once

#include <deque>
#include <fstream>
#include <random>
#include <sstream>

#include <gtest/gtest.h>

#include "transport/mqtt/codec.hpp"

namespace orrery::transport::mqtt {

inline std::string bytes_of(const packet& p, protocol by = protocol::v3_1_1) {
  auto out = std::string{};
  encode(p, out, by);
  return out;
}

struct golden_packet {
  protocol by;
  std::string name, bytes;
};

/// tests/data/mqtt-packets-1.txt: level, name, hex; written by another implementation.
inline std::vector<golden_packet> golden_packets() {
  auto all = std::vector<golden_packet>{};
  auto file = std::ifstream{"tests/data/mqtt-packets-1.txt"};
  for (auto level = 0; file >> level;) {
    auto& one = all.emplace_back();
    auto hex = std::string{};
    file >> one.name >> hex;
    one.by = static_cast<protocol>(level);
    for (std::size_t i = 0; i < hex.size(); i += 2)
      one.bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return all;
}

/// Makes packets with any parts that a version allows. Their texts live as long as it does.
class packet_maker {
 public:
  packet_maker(std::uint32_t seed, protocol by) : random_{seed}, by_{by} {}

  packet any() {
    const auto five = by_ == protocol::v5;
    switch (below(five ? 15 : 14)) {
      case 0:
        return any_connect();
      case 1:
        return any_connack();
      case 2:
        return any_publish();
      case 3:
        return ack<puback>({0, 0x10, 0x80, 0x87, 0x99});
      case 4:
        return ack<pubrec>({0, 0x10, 0x91, 0x97});
      case 5:
        return ack<pubrel>({0, 0x92});
      case 6:
        return ack<pubcomp>({0, 0x92});
      case 7:
        return any_subscribe();
      case 8:
        return suback{id(), codes({0, 1, 2, 0x80}, {0x83, 0x8f, 0xa2}), with(carrier::ack)};
      case 9: {
        auto u = unsubscribe{id(), {}, with(carrier::unsubscribe)};
        for (auto n = 1 + below(3); n > 0; --n)
          u.filters.push_back(filter_text());
        return u;
      }
      case 10:
        return five ? unsuback{id(), codes({0, 0x11}, {0x80, 0x91}), with(carrier::ack)}
                    : unsuback{id()};
      case 11:
        return pingreq{};
      case 12:
        return pingresp{};
      case 13:
        return five ? disconnect{one_of({0, 4, 0x8e, 0x9d}), with(carrier::disconnect)}
                    : disconnect{};
      default: {
        auto a = auth{one_of({0, 0x18, 0x19}), with(carrier::auth)};
        if (a.code != 0)
          a.with.edit().auth_method = text();
        return a;
      }
    }
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  bool maybe() { return below(2) == 0; }
  std::uint16_t id() { return static_cast<std::uint16_t>(1 + below(65'535)); }
  std::uint8_t one_of(std::initializer_list<int> all) {
    return static_cast<std::uint8_t>(all.begin()[below(static_cast<std::uint32_t>(all.size()))]);
  }
  std::string_view keep(std::string s) { return texts_.emplace_back(std::move(s)); }
  std::string_view text() {
    static constexpr const char* parts[] = {"a", "/", "ä", "€", "😀", " ", "$", "word"};
    auto s = std::string{};
    for (auto n = below(6); n > 0; --n)
      s += parts[below(8)];
    return keep(std::move(s));
  }
  std::string_view topic() { return keep("t" + std::string{text()}); }
  std::string_view filter_text() {
    static constexpr const char* all[] = {"#", "+", "a/+/b", "a/#", "/", "$share/group/a/#", "x"};
    return all[below(7)];
  }
  std::string_view binary() {
    auto s = std::string(below(below(20) == 0 ? 300 : 6), 0);
    for (auto& c : s)
      c = static_cast<char>(random_());
    return keep(std::move(s));
  }
  qos level() { return static_cast<qos>(below(3)); }
  std::vector<std::uint8_t> codes(std::initializer_list<int> known,
                                  std::initializer_list<int> of_five) {
    auto all = std::vector<std::uint8_t>{};
    for (auto n = 1 + below(4); n > 0; --n)
      all.push_back(by_ == protocol::v5 && maybe() ? one_of(of_five) : one_of(known));
    return all;
  }

  template <class Ack>
  packet ack(std::initializer_list<int> codes) {
    if (by_ != protocol::v5)
      return Ack{id()};
    return Ack{id(), one_of(codes), with(carrier::ack)};
  }

  properties with(carrier where) {
    auto p = properties{};
    if (by_ != protocol::v5 || maybe())
      return p;
    const auto in = [&](std::initializer_list<carrier> all) {
      return maybe() && std::find(all.begin(), all.end(), where) != all.end();
    };
    const auto number = [&](auto least) {
      using type = decltype(least);
      return static_cast<type>(least + random_() % (std::numeric_limits<type>::max() - least));
    };
    const auto flag = [&] { return static_cast<std::uint8_t>(below(2)); };
    const auto message = {carrier::publish, carrier::will};
    const auto session = {carrier::connect, carrier::connack};
    const auto granted = {carrier::connack};
    if (in(message))
      p.payload_format = flag();
    if (in(message))
      p.message_expiry = number(std::uint32_t{0});
    if (in(message))
      p.content_type = text();
    if (in(message))
      p.response_topic = topic();
    if (in(message))
      p.correlation_data = binary();
    if (in({carrier::connect, carrier::connack, carrier::disconnect}))
      p.session_expiry = number(std::uint32_t{0});
    if (in(granted)) {
      p.assigned_client_id = text();
      p.server_keep_alive = number(std::uint16_t{0});
      p.response_info = text();
      p.maximum_qos = flag();
      p.retain_available = flag();
    }
    if (in(granted)) {
      p.wildcards_available = flag();
      p.subscription_ids_available = flag();
      p.shared_available = flag();
    }
    if (in({carrier::connect, carrier::connack, carrier::auth})) {
      p.auth_method = text();
      if (maybe())
        p.auth_data = binary();
    }
    if (in({carrier::connect}))
      p.request_problems = flag();
    if (in({carrier::connect}))
      p.request_response_info = flag();
    if (in({carrier::will}))
      p.will_delay = number(std::uint32_t{0});
    if (in({carrier::connack, carrier::disconnect}))
      p.server_reference = text();
    if (in({carrier::connack, carrier::ack, carrier::disconnect, carrier::auth}))
      p.reason = text();
    if (in(session))
      p.receive_maximum = number(std::uint16_t{1});
    if (in(session))
      p.topic_alias_maximum = number(std::uint16_t{0});
    if (in(session))
      p.maximum_packet_size = number(std::uint32_t{1});
    if (in({carrier::publish}))
      p.topic_alias = number(std::uint16_t{1});
    if (in({carrier::publish, carrier::subscribe}))
      for (auto n = where == carrier::publish ? below(3) : 1; n > 0; --n)
        p.subscription_ids.push_back(1 + below(maybe() ? 200 : 268'435'455));
    for (auto n = below(3); n > 0; --n) {
      const auto name = text();
      p.user.push_back({name, text()});
    }
    return p;
  }

  packet any_connect() {
    auto c = connect{.protocol_level = static_cast<std::uint8_t>(by_),
                     .clean_session = maybe(),
                     .keep_alive = id(),
                     .client_id = text(),
                     .with = with(carrier::connect)};
    if (maybe()) {
      const auto payload = binary();
      c.last_will = will{topic(), payload, level(), maybe(), with(carrier::will)};
    }
    if (maybe())
      c.username = text();
    if ((c.username || by_ == protocol::v5) && maybe())
      c.password = binary();
    return c;
  }
  packet any_connack() {
    auto c = connack{maybe(), 0, with(carrier::connack)};
    if (!c.session_present)
      c.code = by_ == protocol::v5 ? one_of({0, 0x80, 0x8a, 0x9f}) : one_of({0, 1, 2, 3, 4, 5});
    return c;
  }
  packet any_publish() {
    auto p = publish{.topic = topic(),
                     .payload = binary(),
                     .level = level(),
                     .retain = maybe(),
                     .with = with(carrier::publish)};
    if (p.with->topic_alias && maybe())
      p.topic = {};
    if (p.level != qos::at_most_once) {
      p.packet_id = id();
      p.dup = maybe();
    }
    return p;
  }
  packet any_subscribe() {
    auto s = subscribe{id(), {}, with(carrier::subscribe)};
    for (auto n = 1 + below(3); n > 0; --n) {
      auto f = filter{filter_text(), level()};
      if (by_ == protocol::v5) {
        f.no_local = !shared_of(f.text) && maybe();
        f.retain_as_published = maybe();
        f.retain_handling = static_cast<std::uint8_t>(below(3));
      }
      s.filters.push_back(f);
    }
    return s;
  }

  std::mt19937 random_;
  protocol by_;
  std::deque<std::string> texts_;
};

}  // namespace orrery::transport::mqtt
