// The server's side of one MQTT connection (3.1, 3.1.1, 5.0) without a socket: bytes and ticks in,
// actions and bytes out. Acknowledgements leave in the order of the messages they are for (4.6).
// What goes out as PUBLISH is the outbox's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
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
#include "transport/mqtt/outbox.hpp"

namespace orrery::transport::mqtt {

struct engine_limits {
  std::size_t max_packet_bytes = 525'312;
  std::size_t max_subscriptions = 256;
  std::size_t max_queued = 1'000;  // downlinks that wait for a free packet id or an acknowledgement
  // Version 5 alone: others are not told.
  std::uint16_t receive_maximum = 1'000;  // of the client's messages of QoS 1 and 2, at a time
  std::uint16_t topic_aliases = 16;       // each way
  qos max_granted = qos::at_least_once;   // to a subscription
  qos max_published = qos::exactly_once;  // by the client
  bool retain = true;                     // retained messages and wills are taken
  bool shared_subscriptions = false;
};

/// A subscription as it is kept (5.0, 3.8.3.1). Older versions know its QoS alone.
struct subscription {
  qos level = qos::at_most_once;
  bool no_local = false, retain_as_published = false;
  std::uint8_t retain_handling = 0;
  std::uint32_t id = 0;  // 0: none

  /// Bits 0 to 5: the options as on the wire; from 8 on the identifier.
  std::uint64_t packed() const;
  static subscription unpacked(std::uint64_t bits);
  bool operator==(const subscription&) const = default;
};
using packed_filters = std::map<std::string, std::uint64_t>;

/// What an earlier connection left.
struct kept_session {
  packed_filters filters;
  std::set<std::uint16_t> received{};  // QoS 2 of the client: taken and not released
};

constexpr auto no_expiry = ~std::uint32_t{0};  // of a session that is kept without end
/// How long a session is kept, in seconds, of what its client asks for and the server grants.
constexpr std::uint32_t granted_expiry(std::uint32_t asked, model::milliseconds most) {
  const auto limit = std::chrono::ceil<std::chrono::seconds>(most).count();
  return limit > 0 && limit < no_expiry ? std::min(asked, static_cast<std::uint32_t>(limit))
                                        : asked;
}

/// Another keep-alive (seconds; 0: none) than it asked for, if `most` is above 0 and shorter (5.0,
/// 3.2.2.3.14).
constexpr std::optional<std::uint16_t> granted_keep_alive(std::uint16_t asked,
                                                          model::milliseconds most) {
  const auto limit =
      std::min<std::int64_t>(std::chrono::ceil<std::chrono::seconds>(most).count(), 0xffff);
  if (limit <= 0 || (asked != 0 && asked <= limit))
    return std::nullopt;
  return static_cast<std::uint16_t>(limit);
}

/// What a client of version 5 is told beside the engine's limits (5.0, 3.2.2.3).
struct terms {
  std::optional<std::uint32_t> session_expiry{};  // if another than it asked for
  std::optional<std::uint16_t> keep_alive{};      // if another; it counts then
  std::string assigned_client_id{};
  std::string response_info{};  // sent if it asked
};

/// A login to be checked; views into the input.
struct login_wanted {
  connect packet;
  bool resumes;        // what an earlier connection left goes on
  bool keeps_session;  // what this one leaves is kept
};
/// A message to be handled; views into the input, the topic perhaps of an alias: until the next
/// step. `ticket` 0: nothing to acknowledge.
struct message {
  publish packet;
  std::uint64_t ticket = 0;
};
/// Subscriptions changed (nothing: taken away). `ticket` not 0: the session is kept, so they are
/// acknowledged when they are settled.
struct subscribed {
  std::uint64_t ticket = 0;
  std::map<std::string, std::optional<std::uint64_t>> changes;
  std::vector<std::string> wants_retained;  // of them: retained messages are to be sent
};
/// The connection is over; `reason`: static text ("client": a DISCONNECT, "malformed_...": the
/// codec's).
struct over {
  std::string_view reason;
  bool with_will = true;  // the will is to be published: no DISCONNECT, or one that says so
  std::optional<std::uint32_t> session_expiry{};  // changed by the DISCONNECT, seconds
};
using action =
    std::variant<login_wanted, message, subscribed, delivered, over, received, completed>;

class engine {
 public:
  explicit engine(engine_limits limits)
      : limits_{limits},
        outbox_{{.max_queued = limits.max_queued, .topic_aliases = limits.topic_aliases}} {}

  /// Takes packets from the front of `in` until there is something to do; nothing: needs more
  /// bytes. Before the CONNECT packets of more than 32 KiB are refused.
  std::optional<action> step(std::string_view& in, model::timestamp now);
  /// What is to be sent.
  std::string& out() { return outbox_.out(); }
  /// Of the CONNECT packet.
  protocol version() const { return outbox_.version(); }

  /// Who answers for filters: QoS that is granted, or a reason code from 0x80 on. Shared
  /// subscriptions are taken then, and every change of filters waits until it is settled.
  using filter_judge = std::function<std::uint8_t(std::string_view filter, qos wanted)>;
  void judge_filters(filter_judge by) { judge_ = std::make_unique<filter_judge>(std::move(by)); }

  /// `resumed`: what goes on; nothing: a new session.
  void grant(model::timestamp now, std::optional<kept_session> resumed = std::nullopt,
             const terms& told = {});
  /// `code`: of CONNACK in the connection's version. `why`: a text, for version 5;
  /// `server_reference`: with codes 0x9c and 0x9d, where to go.
  void refuse(std::uint8_t code, std::string_view why = {}, std::string_view server_reference = {});
  bool granted() const { return granted_; }
  /// Says good-bye as the version has it: of 5.0 a DISCONNECT with the code of that reason
  /// (errors.hpp), unless the client or the socket ended it. Nothing is sent afterwards.
  void end(std::string_view reason, std::string_view server_reference = {});

  /// The message of that ticket is committed (or refused for good): acknowledge it in its turn. In
  /// version 5 with `code`, from 0x80 on a refusal, and with `why` if the client wants to know.
  void settle(std::uint64_t ticket, std::uint8_t code = 0, std::string_view why = {});

  /// Sends a message with QoS 1 at most, once. False: the client takes none any more (queue full)
  /// or the topic does not fit into a packet; it is dropped.
  bool send(std::string_view topic, std::string_view payload, qos level);
  /// Sends a command with QoS 1, with 0 to a client that subscribed to it with 0 (3.8.4). `number`:
  /// its own, decimal; `again`: with the DUP flag. The QoS, nothing if the client takes none any
  /// more.
  std::optional<qos> send_command(std::string_view topic, std::string_view payload,
                                  std::uint64_t number, bool again);
  /// Sends any message, with all that version 5 lets it carry, with its QoS. What is above the
  /// client's limits waits; its expiry (seconds from `now`) goes on meanwhile. `key`: the caller's
  /// own, named by `received` and `completed`. One that an earlier connection sent has its packet
  /// id and DUP, and goes first.
  sending send(publish what, std::uint64_t key, model::timestamp now);
  /// A message of QoS 2 that was `received` in an earlier connection: its release is sent again.
  bool release(std::uint16_t packet_id, std::uint64_t key) {
    return outbox_.release(packet_id, key);
  }

  /// How the client subscribed to a topic. `of_itself`: it has published the message (no local).
  struct wanted {
    qos level = qos::at_most_once;  // the highest
    bool retain_as_published = false;
    std::vector<std::uint32_t> ids;  // of all filters that match
  };
  std::optional<wanted> wants(std::string_view topic, bool of_itself = false) const;
  /// True if one of the client's filters matches.
  bool listens_to(std::string_view topic) const { return granted_for(topic).has_value(); }
  /// True if it has said that it wants no replies on that topic: it unsubscribed from it, whether
  /// it had a subscription or not, and none of its filters matches since then.
  bool has_left(std::string_view topic) const;
  /// True if it subscribed to any topic of commands.
  bool listens_to_commands() const;

  /// Keep-alive: over after one and a half times the client's interval (3.1.2.10).
  std::optional<over> tick(model::timestamp now) const;

  std::size_t unsettled() const { return incoming_.size(); }
  /// Whether messages of QoS 2 are not settled.
  bool publishes_once() const;
  /// Own messages of QoS 1 and 2 that the client has not acknowledged, sent or waiting.
  std::size_t unacknowledged() const { return outbox_.under_way() + outbox_.waiting(); }
  /// QoS 2 of the client: settled and not released; of a session that is kept they go on. What is
  /// not settled is sent again by the client, and is taken then.
  std::set<std::uint16_t> unreleased() const;

 private:
  bool is_five() const { return version() == protocol::v5; }
  std::optional<qos> granted_for(std::string_view topic) const;
  std::optional<action> take(const packet& p, model::timestamp now);
  std::optional<action> take_connect(const connect& c);
  std::optional<action> take_publish(const publish& m);
  std::optional<over> resolve(publish& m);
  std::optional<over> take_pubrel(const pubrel& rel);
  over take_disconnect(const disconnect& d);
  subscribed take_subscribe(const subscribe& s);
  std::uint8_t add_filter(const filter& f, std::uint32_t id, subscribed& made);
  subscribed take_unsubscribe(const unsubscribe& u);
  void acknowledge(const packet& answer, subscribed& changes);
  std::string taken_answer(std::uint16_t id, bool twice, std::uint8_t code, std::string_view why);
  void tell(shared_properties& with, std::string_view why) const;
  bool put(publish p, origin from, std::uint64_t number);
  void flush_settled();

  struct incoming {
    std::uint64_t ticket;
    std::uint16_t packet_id;  // 0: of no message
    bool twice;               // QoS 2: PUBREC
    bool settled = false;
    std::uint8_t code = 0;
    std::string answer{};  // sent when it is settled and its turn comes
  };
  engine_limits limits_;
  bool connected_ = false, answered_ = false, granted_ = false, ended_ = false;
  bool cannot_tell_ = false;  // CONNACK is larger than the client takes
  bool keeps_session_ = false, tells_problems_ = false, wants_response_info_ = false;
  std::uint16_t keep_alive_ = 0;
  std::size_t publishes_ = 0;  // of the client, QoS 1 and 2: the flow is not over
  model::timestamp last_seen_{};
  std::uint64_t tickets_ = 0;
  fifo<incoming> incoming_;
  std::set<std::uint16_t> received_;  // QoS 2: PUBREC sent or due, PUBREL not seen
  std::map<std::string, subscription, std::less<>> filters_;
  std::set<std::string, std::less<>> left_;  // topics of replies that it unsubscribed from
  std::unique_ptr<filter_judge> judge_;      // null: everything is granted, up to the limits
  std::size_t numbered_filters_ = 0;         // with an identifier
  std::vector<std::string> aliases_;         // topics of the client's, from alias 1 on
  outbox outbox_;
};

}  // namespace orrery::transport::mqtt
