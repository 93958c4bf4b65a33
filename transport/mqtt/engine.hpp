// The server's side of one MQTT 3.1.1 connection without a socket: bytes and ticks in, actions and
// bytes out. Acknowledgements leave in the order of the messages they are for (4.6).
//
// Packet ids of own messages: replies take 1 to 32767 in turn; a command's follows from its number
// (32768 to 65535), so that it has the same one when a resumed session gets it again (4.4).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/result.hpp"
#include "model/time.hpp"
#include "transport/fifo.hpp"
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
/// Subscriptions changed (nothing: taken away). `ticket` not 0: the session is kept, so they are
/// acknowledged when they are settled.
struct subscribed {
  std::uint64_t ticket = 0;
  std::map<std::string, std::optional<std::uint8_t>> changes;
};
/// The client has acknowledged the command with that number.
struct delivered {
  std::uint64_t command;
};
/// The connection is over; `reason`: static text ("client": a DISCONNECT, "malformed_...": the
/// codec's).
struct over {
  std::string_view reason;
};
using action = std::variant<login_wanted, message, subscribed, delivered, over>;

class engine {
 public:
  explicit engine(engine_limits limits) : limits_{limits} {}

  /// Takes packets from the front of `in` until there is something to do; nothing: needs more
  /// bytes. Before the CONNECT packets of more than 32 KiB are refused.
  std::optional<action> step(std::string_view& in, model::timestamp now);
  /// What is to be sent.
  std::string& out() { return out_; }

  /// `resumed`: the filters of the session that goes on; nothing: a new one.
  void grant(model::timestamp now,
             std::optional<std::map<std::string, std::uint8_t>> resumed = std::nullopt);
  void refuse(std::uint8_t code);
  bool granted() const { return granted_; }

  /// The message of that ticket is committed (or refused for good): acknowledge it in its turn.
  void settle(std::uint64_t ticket);

  /// Sends a message. False: the client takes none any more (queue full) or the topic does not fit
  /// into a packet; it is dropped.
  bool send(std::string_view topic, std::string_view payload, qos level);
  /// Sends a command with QoS 1, with 0 to a client that subscribed to it with 0 (3.8.4). `number`:
  /// its own, decimal; `again`: with the DUP flag. The QoS, nothing if the client takes none any
  /// more.
  std::optional<qos> send_command(std::string_view topic, std::string_view payload,
                                  std::uint64_t number, bool again);
  /// True if one of the client's filters matches.
  bool listens_to(std::string_view topic) const { return granted_for(topic).has_value(); }
  /// True if it subscribed to any topic of commands.
  bool listens_to_commands() const;

  /// Keep-alive: over after one and a half times the client's interval (3.1.2.10).
  std::optional<over> tick(model::timestamp now) const;

  std::size_t unsettled() const { return incoming_.size(); }

 private:
  std::optional<qos> granted_for(std::string_view topic) const;
  std::optional<action> take(const packet& p);
  subscribed take_subscribe(const subscribe& s);
  subscribed take_unsubscribe(const unsubscribe& u);
  std::optional<action> take_puback(std::uint16_t id);
  std::optional<action> take_publish(const publish& m);
  void acknowledge(packet answer, subscribed& changes);
  void flush_settled();

  struct incoming {
    std::uint64_t ticket;
    std::uint16_t packet_id;
    packet answer;  // sent when it is settled and its turn comes
    bool settled = false;
  };
  engine_limits limits_;
  bool connected_ = false, granted_ = false, keeps_session_ = false;
  std::uint16_t keep_alive_ = 0;
  model::timestamp last_seen_{};
  std::uint64_t tickets_ = 0;
  fifo<incoming> incoming_;
  std::set<std::uint16_t> received_;  // QoS 2: PUBREC sent or due, PUBREL not seen
  std::map<std::string, qos, std::less<>> filters_;
  fifo<std::uint16_t> replies_;                      // sent with QoS 1 and not acknowledged
  std::map<std::uint16_t, std::uint64_t> commands_;  // likewise, with their numbers
  std::uint16_t last_id_ = 0;                        // of a reply
  std::string out_;
};

}  // namespace orrery::transport::mqtt
