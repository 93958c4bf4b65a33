// A topic of an organisation that has a retained message: what those who come later get first
// (MQTT 5.0, 3.3.1.3).
#pragma once

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

namespace orrery::model::topic {

/// Takes the place of the one before. An empty payload: there is none any more.
struct retain {
  std::string organisation;
  shared_message message;
};
struct time_passed {};
struct read_retained {};

using order = std::variant<retain, time_passed, read_retained>;
struct command {
  order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
};

struct retained {
  std::string organisation;
  shared_message message;
};
struct cleared {
  bool expired = false;
};
using event = std::variant<retained, cleared>;

struct state {
  bool exists = false;
  bool deleted = false;
  std::string organisation, name;
  shared_message message;  // null: none
  std::uint64_t revision = 0;
};

struct done {};
/// Of one topic, or of all that a filter matches.
struct retained_messages {
  std::vector<shared_message> messages;
};
using reply = std::variant<done, retained_messages>;

struct surroundings {
  entity_id self;
  timestamp now;
};
struct decision {
  std::vector<event> events;
  reply answer;
};

result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
/// When its message expires.
std::optional<timestamp> next_deadline(const state& s);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::topic
