// A client of an organisation's general topics, or a group of clients that share the messages of
// one filter ($share): its filters, the connections that take its messages, and the messages that
// are kept until they are acknowledged.
//
// A client has one member, itself. A group has many, and each message goes to one of them; what a
// member has not acknowledged when it goes is given to another one.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/effect.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"
#include "model/topic_message.hpp"

namespace orrery::model::client {

/// Session expiry in seconds (MQTT 5.0, 3.1.2.11.2): 0 ends with the connection.
inline constexpr std::uint32_t never = 0xffffffff;

struct last_will {
  topic_message message;    // `sent` is set when it goes
  std::uint32_t delay = 0;  // seconds
};

/// A connection begins to speak for the client. Twice for the same session is once.
struct attach {
  std::string organisation, name;
  session_ref session;
  bool resumes = false;  // what an earlier connection left goes on
  std::uint32_t expiry = 0;
  std::optional<last_will> will;
  // An earlier connection that is still here is told to end, and says first what it has taken:
  // `attach_later` until then.
  bool waits = false;
};
/// A client becomes a member of this group, or comes back to it. The group's name is its filter,
/// "$share/group/filter".
struct join {
  std::string organisation, name;
  std::string member;  // name of the client
  session_ref session;
  std::uint64_t options = 0;
  std::uint32_t expiry = 0;
};
struct leave {
  std::string member;
};
/// Subscriptions change; nothing: taken away.
struct change_filters {
  std::map<std::string, std::optional<std::uint64_t>> changes;
};
/// A message for whoever's filters match: sent on, kept, or passed over.
struct offer {
  shared_message message;
  bool retained = false;  // it was kept for those who come later, and is for this client alone
};
struct settle {
  std::vector<std::uint64_t> over;      // messages that the client has
  std::vector<std::uint64_t> received;  // of QoS 2: only their release is still to be repeated
};
/// The connection has ended: of a group, that of one member.
struct detach {
  session_ref session;
  bool with_will = true;
  std::optional<std::uint32_t> expiry;    // changed at the end
  std::vector<std::uint16_t> unreleased;  // QoS 2 of the client: taken and not released
};
/// That run of a node is over, and so are its connections.
struct session_lost {
  std::uint64_t incarnation;
};
/// A deadline has come.
struct time_passed {};
struct read_client {};

using order = std::variant<attach, join, leave, change_filters, offer, settle, detach, session_lost,
                           time_passed, read_client>;
struct command {
  order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
};

/// A message that is kept.
struct queued {
  std::uint64_t number = 0;
  shared_message message;
  std::uint8_t level = 1;
  std::string member;  // of a group: who has it under way; empty: nobody
  bool sent = false;   // it may have come to the client
  bool received = false;
  bool retained = false;
};

struct attached {
  attach as;
  bool fresh = false;                     // nothing is left of before
  std::optional<session_ref> ends;        // an older connection
  std::optional<topic_message> will_due;  // of that one
  std::vector<std::uint64_t> expired;     // messages that are too old
  bool drops_messages = false;            // there were some, and it begins anew
  timestamp at;
};
struct joined {
  join as;
  std::vector<std::uint64_t> given;  // messages that waited for a member
  timestamp at;
};
struct left {
  std::string member;
  session_ref session;
  std::map<std::uint64_t, std::string> moved;  // its messages, to whom; empty: they wait
};
struct filters_changed {
  std::map<std::string, std::optional<std::uint64_t>> changes;
};
struct message_queued {
  queued what;
};
struct settled {
  std::vector<std::uint64_t> over, received;
};
/// A connection of it is gone; of a client that keeps its session it may come back until `until`.
struct detached {
  std::string member;
  session_ref session;
  std::optional<std::uint32_t> expiry;
  std::vector<std::uint16_t> unreleased;
  std::map<std::uint64_t, std::string> moved;  // as in `left`
  bool keeps_will = false;                     // it is published later
  timestamp at;
};
struct will_due {
  topic_message message;
};
/// Nothing is left of it.
struct ended {
  std::string reason;
  std::vector<session_ref> sessions;  // of members that were here
  bool drops_messages = false;        // some were kept
};
using event = std::variant<attached, joined, left, filters_changed, message_queued, settled,
                           detached, will_due, ended>;

struct member {
  std::string name;
  session_ref session;        // number 0: away
  std::uint64_t options = 0;  // of a group's
  std::uint32_t expiry = 0;
  timestamp away_since{};
  bool is_here() const { return session.number != 0; }
  bool keeps() const { return expiry > 0; }
};

/// Kept in rows of their own.
struct message_queue {
  std::deque<queued> all;  // by number
  std::size_t bytes = 0;
};

struct state {
  bool exists = false;
  bool deleted = false;
  bool group = false;
  std::string organisation, name;
  std::map<std::string, std::uint64_t> filters;
  std::vector<member> members;
  std::uint64_t epoch = 0;
  std::uint64_t last_number = 0;
  std::vector<std::uint16_t> unreleased;
  std::optional<last_will> will;
  bool will_waits = false;  // for its delay: the connection is gone
  std::uint64_t revision = 0;

  message_queue queue;
};

struct done {};
struct attach_granted {
  entity_id id;
  bool resumed = false;
  std::uint64_t epoch = 0;
  std::map<std::string, std::uint64_t> filters;
  std::vector<std::uint16_t> unreleased;
};
/// The client's earlier connection is about to end; to be asked again.
struct attach_later {};
/// What became of an offer; of several clients the sum.
struct offered {
  std::uint64_t taken = 0;    // by clients that want it
  std::uint64_t dropped = 0;  // a queue was full
};
struct client_snapshot {
  entity_id id;
  std::shared_ptr<const state> what;
  std::uint64_t queued = 0;
};
using reply = std::variant<done, attach_granted, offered, client_snapshot, attach_later>;

struct surroundings {
  entity_id self;
  timestamp now;
  std::size_t max_queued = 1'000;
  std::size_t max_queued_bytes = 4'194'304;
  std::uint64_t turn = 0;  // rises with each offer: whose turn it is in a group
};
struct decision {
  std::vector<event> events;
  reply answer;
  std::vector<effect> effects{};  // of what changes nothing: a message that is not kept
};

result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
/// When a will is due, or a session that nobody came back to ends.
std::optional<timestamp> next_deadline(const state& s);

const queued* find_queued(const state& s, std::uint64_t number);
/// Puts a message back that was read from its row. In the order of their numbers.
void restore(state& s, queued what);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
/// Without the queue.
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);
std::string encode_queued(const queued& q);
/// Fails: `corrupted`.
result<queued> decode_queued(std::string_view bytes);

}  // namespace orrery::model::client
