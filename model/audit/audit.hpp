// The audit log of an organisation, or of the installation: who did what, and what was refused.
// Records are only added; each carries the hash of the one before, so that a record that was
// changed, left out, doubled or moved is found (model/audit/chain.hpp).
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

namespace orrery::model::audit {

/// The log of what is no organisation's. No organisation has that id.
inline constexpr std::string_view installation = "~";

/// Where the log of an organisation is.
entity_id log_id_of(std::string_view organisation, std::uint16_t shard_count);

inline constexpr std::size_t max_entry_bytes = 64 * 1024;
/// So many old records go at most with one that comes.
inline constexpr std::size_t pruned_at_once = 256;
/// So many of the newest are looked through for one that may be there already.
inline constexpr std::size_t looked_back = 4096;

/// What is to be noted: a JSON object without "number", "previous" and "time".
struct append_record {
  std::string organisation;
  std::string entry;
  std::string request;  // id of the request it is about
  bool again = false;   // it may have been noted, and only the answer is missing
};
struct time_passed {};
struct read_head {};
using order = std::variant<append_record, time_passed, read_head>;
struct command {
  order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
};

/// One record: its text is what is hashed, and is never written anew.
struct record {
  std::uint64_t number = 0;
  timestamp time{};
  std::string hash;  // lower-case hex SHA-256 of `text`
  std::string text;  // JSON
  bool operator==(const record&) const = default;
};

struct appended {
  std::string organisation;
  record what;
  std::optional<timestamp> due;  // when something is to go
};
/// All before `first` are gone; `anchor` is the hash of the last of them.
struct pruned {
  std::uint64_t first = 1;
  timestamp first_time{};
  std::string anchor;
  std::uint64_t bytes = 0;  // of the records that are left
  std::optional<timestamp> due;
};
using event = std::variant<appended, pruned>;

struct state {
  bool exists = false;
  bool deleted = false;
  std::string organisation;
  std::uint64_t next = 1;  // number of the next record
  std::string hash;        // of the newest
  timestamp time{};        // of the newest
  std::uint64_t first = 1;
  timestamp first_time{};
  std::string anchor;  // what the oldest carries as the hash of the one before
  std::uint64_t bytes = 0;
  std::optional<timestamp> due;
  std::uint64_t revision = 0;
};

struct noted {
  std::uint64_t number = 0;  // 0: it was there already
};
/// How far the log goes.
struct head {
  std::string organisation;
  std::uint64_t number = 0;  // of the newest record; 0: there was none yet
  std::string hash;
  timestamp time{};
  std::uint64_t first = 1;
  std::string anchor;
};
using reply = std::variant<noted, head>;

/// The records that are in the store.
class record_source {
 public:
  virtual ~record_source() = default;
  virtual result<std::optional<record>> find(std::uint64_t number) const = 0;
  /// Whether one of the newest is about that request: `request_of` says that.
  virtual result<bool> has_request(std::string_view request) const = 0;
};

struct surroundings {
  entity_id self;
  timestamp now;
  milliseconds retention{};
  std::uint64_t max_bytes = 0;
  const record_source& records;
};
struct decision {
  std::vector<event> events;
  reply answer;
};

/// Fails: `invalid_argument` "audit_invalid" for an entry that is none (it is not JSON, has no
/// members, or one that a record has of its own), `too_large`; what the source fails with.
result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
/// When old records are to go.
std::optional<timestamp> next_deadline(const state& s);
head head_of(const state& s);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);
/// The `requestId` of a record's text; "" if it has none.
std::string request_of(std::string_view text);

/// One record as a row.
std::string encode_record(const record& r);
result<record> decode_record(std::string_view bytes);

}  // namespace orrery::model::audit
