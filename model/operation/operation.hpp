// Long work of an organisation: an import, an export, a change of many devices. The entity knows
// what was asked, how far it has come and who works on it; the work itself is a runner's
// (actors/operation_runner), which begins where the last one has stopped. What it reads and what it
// leaves are rows of the operation: they are copied with its shard and go with it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/credentials.hpp"
#include "model/effect.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::model::operation {

enum class work_kind : std::uint8_t {
  import_devices = 0,
  bulk_devices = 1,
  export_devices = 2,
  provision_devices = 3
};
enum class state_code : std::uint8_t {
  receiving = 0,  // its input still comes
  queued = 1,
  running = 2,
  succeeded = 3,
  failed = 4,
  cancelled = 5
};
/// What its result is made of: one outcome for each row (outcomes.hpp), or a file.
enum class result_form : std::uint8_t { outcomes = 0, csv = 1, ndjson = 2 };

std::string_view name_of(work_kind k);
std::string_view name_of(state_code s);
std::optional<work_kind> parse_work_kind(std::string_view name);
std::optional<state_code> parse_state(std::string_view name);
constexpr bool is_over(state_code s) {
  return s >= state_code::succeeded;
}

struct row_counts {
  std::uint64_t ok = 0, failed = 0, skipped = 0;
  std::uint64_t done() const { return ok + failed + skipped; }
  bool operator==(const row_counts&) const = default;
};

// ---- commands -----------------------------------------------------------------------------------

struct create_operation {
  std::string organisation;
  work_kind kind = work_kind::import_devices;
  std::string request;  // JSON: what the work is to do
  /// The products whose devices it may touch; nothing: all.
  std::optional<std::vector<std::string>> products;
  std::optional<std::uint64_t> total;  // rows, if it is known
  bool receives = false;               // its input comes by add_input, until submit
  result_form form = result_form::outcomes;
  bool wants_secrets = false;  // they can be read from its result, once
  sealed_secret seed;          // that secrets of its devices are made from
  milliseconds retention{0};   // from its end on
  std::uint64_t max_open = 0;  // of the organisation: the limit of the node that was asked
};
/// The next piece of its input; all but the last have `input_piece_bytes`.
struct add_input {
  std::uint64_t number = 0;
  std::string bytes;
};
struct submit_operation {};
/// A runner begins. The answer has the attempt that everything else has to name.
struct take_operation {};
/// So far it has come; `outcomes` is the next piece of its result. With nothing new it only says
/// that the runner lives.
struct advance {
  std::uint32_t attempt = 0;
  std::string from;  // the position before: one that was taken already is not taken twice
  std::string position;
  row_counts more;
  std::optional<std::uint64_t> total;
  std::string result;
  bool lets_go = false;  // another runner may go on at once
};
struct finish_operation {
  std::uint32_t attempt = 0;
  std::string reason, detail;  // of a failure; no reason: it has succeeded
};
struct cancel_operation {};
/// The secrets of its result are to be shown.
struct show_secrets {};
struct time_passed {};
struct read_operation {};
/// What is over goes before its time.
struct remove_operation {};

using order = std::variant<create_operation, add_input, submit_operation, take_operation, advance,
                           finish_operation, cancel_operation, show_secrets, time_passed,
                           read_operation, remove_operation>;
struct command {
  operation::order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
  std::string organisation = {};  // in whose name; another's is not there. Empty: of the service
};

// ---- events -------------------------------------------------------------------------------------

struct created {
  create_operation as;
  std::string actor;
  timestamp at;
};
/// The bytes become a row with the record and stand nowhere else: journals keep their size alone.
struct input_added {
  std::uint64_t number = 0;
  std::uint64_t size = 0;
  timestamp at;
  std::string bytes = {};
};
struct submitted {
  timestamp at;
};
/// Whoever runs operations on the node of its shard is told.
struct offered {
  timestamp at;
};
struct taken {
  timestamp at;
};
struct advanced {
  std::string position;
  row_counts more;
  std::optional<std::uint64_t> total;
  std::uint64_t result_size = 0;
  bool lets_go = false;
  timestamp at;
  std::string result = {};  // as of input_added
};
struct cancel_asked {
  timestamp at;
};
struct ended {
  state_code how = state_code::succeeded;
  std::string reason, detail;
  timestamp at;
};
struct secrets_shown {
  timestamp at;
};
struct removed {
  timestamp at;
};
using event = std::variant<created, input_added, submitted, offered, taken, advanced, cancel_asked,
                           ended, secrets_shown, removed>;

// ---- state --------------------------------------------------------------------------------------

struct state {
  bool exists = false;
  bool deleted = false;
  std::string organisation, request, actor;
  work_kind kind = work_kind::import_devices;
  std::optional<std::vector<std::string>> products;
  state_code phase = state_code::receiving;
  row_counts counts;
  std::optional<std::uint64_t> total;
  std::string position;
  std::uint64_t input_pieces = 0, input_bytes = 0, result_pieces = 0, result_bytes = 0;
  result_form form = result_form::outcomes;
  bool wants_secrets = false;
  sealed_secret seed;
  std::optional<timestamp> secrets_shown_at;
  std::uint32_t attempt = 0;        // of whoever works on it, or did last
  std::uint32_t idle_attempts = 0;  // that began since it last went on
  bool cancel_wanted = false;
  std::string reason, detail;
  timestamp created_at{}, updated_at{}, started_at{}, ended_at{};
  timestamp due{};  // while it is not over: then somebody has to look
  milliseconds retention{0};
  std::uint64_t revision = 0;
};

struct done {};
struct operation_snapshot {
  entity_id id;
  std::shared_ptr<const state> what;
};
using reply = std::variant<done, operation_snapshot>;

struct surroundings {
  entity_id self;
  timestamp now;
  std::uint64_t open = 0;  // operations of its organisation that are not over; for create alone
};
struct decision {
  std::vector<event> events;
  reply answer;
};

inline constexpr std::size_t max_request_bytes = 512 * 1024;
inline constexpr std::size_t input_piece_bytes = 64 * 1024;
inline constexpr std::size_t max_result_piece_bytes = 1024 * 1024;
/// An input that nothing more comes of is given up.
inline constexpr milliseconds input_patience{std::chrono::minutes{5}};
/// A runner that has not said anything for so long is taken to be gone.
inline constexpr milliseconds lease{std::chrono::seconds{15}};
/// Nobody has taken it: it is offered again.
inline constexpr milliseconds offer_interval{std::chrono::seconds{10}};
/// So many runners may begin and get nowhere.
inline constexpr std::uint32_t max_idle_attempts = 10;
/// An answer with secrets that was lost may be asked for again, for so long.
inline constexpr milliseconds secrets_patience{std::chrono::minutes{10}};

result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
std::optional<timestamp> next_deadline(const state& s);

/// The secret of its device of that name: always the same.
std::string secret_of(std::string_view seed, const device_name& name);
/// Who the seed is sealed for.
std::string seed_owner(const entity_id& id);
/// The id of the device that is made of row `index`: the same whoever works on it.
entity_id row_id(const entity_id& operation, timestamp created_at, shard_id shard,
                 std::uint64_t index);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::operation
