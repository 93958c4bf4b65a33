// How many devices an organisation may still register: the one place that says yes or no, so that
// its hard limit holds however many nodes register at once.
//
// `used` is never less than there are: room is given before a device is registered and taken back
// after it is gone, or was surely never there. It may be more, where nobody knows what became of a
// registration; then the devices are counted anew. While they are, others come and go: what was
// given a short time before and since is added to the count, and the lesser of both figures holds,
// but never less than were counted.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/effect.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::model::ledger {

/// Where the ledger of an organisation is.
entity_id ledger_id_of(std::string_view organisation, std::uint16_t shard_count);

/// A device that was given room is registered by then, or never.
inline constexpr auto longest_registration = std::chrono::seconds{60};
/// A count that was begun and not ended is none after this time.
inline constexpr auto longest_count = std::chrono::seconds{60};
/// Devices are counted anew when the limit is reached, but not more often.
inline constexpr auto least_between_counts = std::chrono::seconds{10};

/// Room for so many devices, or for as many as there may be. `stamp` names the limits: with other
/// ones the devices are counted anew, for without limits nobody asks here.
struct reserve {
  std::string organisation;
  std::uint64_t stamp = 0;
  std::uint64_t wanted = 1;
  std::optional<std::uint64_t> hard;
};
/// So many are gone, or were never registered. `count`: of the `room` that was asked for before
/// (for a device that goes: none, before it went). If devices were counted since, that count may
/// know of it already, and nothing is taken back.
struct release {
  std::uint64_t devices = 1;
  std::uint64_t count = 0;
};
struct begin_count {
  std::string organisation;
  std::uint64_t stamp = 0;
};
/// So many there were at some time after the count was begun.
struct end_count {
  std::uint64_t number = 0;
  std::uint64_t devices = 0;
};
/// That count did not work: whoever wants to may begin another.
struct abandon_count {
  std::uint64_t number = 0;
};
using order = std::variant<reserve, release, begin_count, end_count, abandon_count>;
struct command {
  order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
};

struct reserved {
  timestamp at;
  std::uint64_t devices = 0;
};
struct released {
  std::uint64_t devices = 0;
};
struct count_begun {
  std::string organisation;
  std::uint64_t stamp = 0;
  std::uint64_t number = 0;
  timestamp at;
};
struct count_ended {
  std::uint64_t used = 0;
  timestamp at;
};
struct count_abandoned {};
using event = std::variant<reserved, released, count_begun, count_ended, count_abandoned>;

struct state {
  bool exists = false;
  bool deleted = false;
  std::string organisation;
  std::uint64_t stamp = 0;  // of the limits that `used` is good for; 0: for none
  std::uint64_t used = 0;
  timestamp counted_at{};
  std::vector<reserved> recent;  // of the last minute, and of all the time of a count; by second
  std::uint64_t counts = 0;      // number of the newest count
  std::uint64_t counting_stamp = 0;  // 0: nobody counts
  timestamp counting_since{};
  std::uint64_t revision = 0;
};

struct done {};
/// Room for so many; `used` with them; for the release of it.
struct room {
  std::uint64_t devices = 0;
  std::uint64_t used = 0;
  std::uint64_t count = 0;
};
/// Nobody can say: count the devices (begin_count, end_count), then ask again.
struct count_first {};
/// Count them now, and end with that number.
struct counting {
  std::uint64_t number = 0;
};
using reply = std::variant<done, room, count_first, counting>;

struct surroundings {
  entity_id self;
  timestamp now;
};
struct decision {
  std::vector<event> events;
  reply answer;
};

/// Fails: `too_many_requests` "quota_exceeded"; `unavailable` "quota_counting" while somebody else
/// counts and nothing is known yet; `conflict` for the end of another count.
result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
std::optional<timestamp> next_deadline(const state& s);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::ledger
