// The server's side of one MQTT 3.1.1 connection without a socket: bytes and ticks in, actions and
// bytes out. Acknowledgements leave in the order of the messages they are for (4.6).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "model/result.hpp"
#include "model/time.hpp"
#include "transport/mqtt/codec.hpp"

namespace orrery::transport::mqtt {

struct engine_limits {
  std::size_t max_packet_bytes = 525'312;
  std::size_t max_subscriptions = 256;
  std::size_t max_queued = 1'000;  // downlinks that wait for a free packet id or an acknowledgement
};

/// A login to be checked; views into the input.
struct login_wanted {
  connect packet;
};
/// A message to be handled; views into the input. `ticket` 0: nothing to acknowledge.
struct message {
  publish packet;
  std::uint64_t ticket = 0;
};
/// New subscriptions were made.
struct subscribed {};
/// The connection is over; `reason`: static text ("client": a DISCONNECT).
struct over {
  std::string_view reason;
};
using action = std::variant<login_wanted, message, subscribed, over>;

class engine {
 public:
  explicit engine(engine_limits limits) : limits_{limits} {}

  /// Takes packets from the front of `in` until there is something to do; nothing: needs more
  /// bytes.
  std::optional<action> step(std::string_view& in, model::timestamp now);
  /// What is to be sent.
  std::string& out() { return out_; }

  void grant(model::timestamp now);
  void refuse(std::uint8_t code);
  bool granted() const { return granted_; }

  /// The message of that ticket is committed (or refused for good): acknowledge it in its turn.
  void settle(std::uint64_t ticket);

  /// Sends a message. False: the client takes none any more (queue full), it is dropped.
  bool send(std::string_view topic, std::string_view payload, qos level);
  /// True if one of the client's filters matches.
  bool listens_to(std::string_view topic) const;
  /// True if it subscribed to any topic of commands.
  bool listens_to_commands() const;

  /// Keep-alive: over after one and a half times the client's interval (3.1.2.10).
  std::optional<over> tick(model::timestamp now) const;

  std::size_t unsettled() const { return incoming_.size(); }

 private:
  std::optional<action> take(const packet& p, std::string_view& in, std::size_t size);
  void flush_settled();

  struct incoming {
    std::uint64_t ticket;
    std::uint16_t packet_id;
    qos level;
    bool settled = false;
  };
  engine_limits limits_;
  bool connected_ = false, granted_ = false;
  std::uint16_t keep_alive_ = 0;
  model::timestamp last_seen_{};
  std::uint64_t tickets_ = 0;
  std::deque<incoming> incoming_;
  std::set<std::uint16_t> received_;  // QoS 2: PUBREC sent or due, PUBREL not seen
  std::map<std::string, qos, std::less<>> filters_;
  std::set<std::uint16_t> sent_;  // own QoS 1 messages that are not acknowledged
  std::uint16_t last_id_ = 0;
  std::string out_;
};

}  // namespace orrery::transport::mqtt
