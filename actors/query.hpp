// Reads that need the store: history, lists, events, the command log. The only reader of `storage`
// for them; runs on threads of its own, so a slow disk stops no actor.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "actors/audit_rows.hpp"
#include "actors/caller.hpp"
#include "actors/history.hpp"
#include "actors/messages.hpp"
#include "actors/operation_reads.hpp"
#include "actors/tree_reads.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

/// What a device has of the fields that a list is sorted by: nothing, or bytes that sort as it
/// does.
using sort_values = std::vector<std::optional<std::string>>;

struct listed_device {
  model::entity_id id;
  std::uint64_t revision = 0;
  std::shared_ptr<const model::device::state> what;
  sort_values by = {};
};
struct device_page {
  std::vector<listed_device> devices;
  std::string next;  // cursor; empty: the last page
  /// So many devices were looked at that the page ends early; it goes on with `next`.
  bool paused = false;
};
/// A place in a shard's journal: of a write that a read must have seen.
struct journal_place {
  model::shard_id shard = 0;
  std::uint64_t offset = 0;
};
/// Some of the shards: those that one read is for.
struct shard_span {
  model::shard_id first = 0;
  std::uint16_t count = 0;
};
struct device_list_question {
  std::string organisation;      // empty: all, for `certificate` alone
  std::string filter = {};       // model/filter over model::device::search_fields; empty: all
  std::string sort = {};         // "-createdAt,name"; empty: by id
  std::string certificate = {};  // instead of both: hex SHA-256 of one that is bound to it
  std::string cursor = {};
  std::size_t limit = 50;
  std::optional<journal_place> not_before = {};
  std::optional<shard_span> shards = {};  // nothing: all
};

struct device_count_question {
  std::string organisation;
  std::string filter = {};
  /// Fields with commas between them; empty: one number for all. For all tags: see tag_counts.
  std::string groups = {};
  std::string sum = {};  // a field whose whole numbers are added up, instead of counting devices
  std::optional<journal_place> not_before = {};
  std::optional<shard_span> shards = {};
};
/// So many groups a count may have, and so many fields it may group by.
inline constexpr std::size_t max_count_groups = 10'000;
inline constexpr std::size_t max_count_fields = 3;
struct device_counts {
  std::map<std::string, std::uint64_t> of;  // by the JSON array of the group's values
};

struct listed_event {
  model::timestamp time, received;
  std::string event;
  std::uint8_t level = 0;
  model::object output;
  std::string id;  // opaque
};
struct event_page {
  std::vector<listed_event> events;
  std::string next;
};
struct event_list_question {
  model::entity_id device;
  model::timestamp from, to;
  std::string event;  // empty: all
  std::string cursor;
  std::size_t limit = 50;
};

/// When a device came and went, newest first.
struct presence_question {
  model::entity_id device;
  model::timestamp from, to;
  std::string cursor = {};
  std::size_t limit = 50;
};
struct presence_row {
  model::timestamp at;
  bool online = false;
  model::device::protocol protocol = model::device::protocol::none;  // of a device that came
  std::string address;
  std::string reason;  // of one that went
};
/// How much of a time a device was there.
struct presence_sum {
  model::milliseconds online{0};
  model::milliseconds known{0};  // of that time, from the first row that is kept
};
struct presence_page {
  std::vector<presence_row> rows;
  std::string next;
  /// Of the whole question, on its first page; nothing if it has more than max_presence_rows.
  std::optional<presence_sum> sum = {};
};
inline constexpr std::size_t max_presence_rows = 20'000;

struct command_question {
  model::entity_id device;
  model::entity_id command;
};
struct command_list_question {
  model::entity_id device;
  std::string cursor;
  std::size_t limit = 50;
};
struct command_page {
  std::vector<model::device::command_record> commands;  // newest first
  std::string next;
};

using any_read =
    std::variant<history_question, device_list_question, event_list_question, command_question,
                 command_list_question, device_count_question, tree_question, asset_facts_question,
                 asset_list_question, presence_question, audit_question, operation_list_question,
                 operation_rows_question>;
/// What is read, in the order of any_read.
using any_page =
    std::variant<history_page, device_page, event_page,
                 std::optional<model::device::command_record>, command_page, device_counts,
                 tree_page, asset_page, presence_page, audit_page, operation_page>;

/// Where reads go whose shard another node has. Thread-safe.
class read_ways {
 public:
  using then = std::function<void(model::result<any_page>)>;
  virtual ~read_ways() = default;
  /// True: what is read of the shard here is not older than anything that was acknowledged.
  virtual bool is_here(model::shard_id shard) const = 0;
  /// Asks the node of the shard; `done` runs once, on any thread.
  virtual void read(model::shard_id shard, any_read what, then done) = 0;
};

/// Thread-safe. Every callback runs once, on a thread of the pool (or an actor's): hand over and
/// return. Fails: `unavailable`, `corrupted`, `invalid_argument` (reason "bad_cursor"), `timeout`.
class query {
 public:
  /// `elsewhere`: null on a node that is alone.
  query(std::shared_ptr<const storage::entity_store> store, std::shared_ptr<caller> ask,
        std::uint16_t shard_count, std::size_t threads, std::shared_ptr<read_ways> elsewhere = {});
  ~query();  // waits for what runs

  template <class T>
  using then = std::function<void(model::result<T>)>;

  /// Raw samples: those still in the awake entity first, then the store; one row per (point, time).
  void history(history_question what, then<history_page> done);
  /// In a cluster several shards are asked at a time, wherever they are. Fails if one of them
  /// cannot be read: a list leaves out nobody in silence. Fails also: `invalid_argument`
  /// "bad_filter", "bad_sort"; `unavailable` "index_lag" if `not_before` is not there yet.
  void devices(device_list_question what, then<device_page> done);
  /// Fails also: `invalid_argument` "bad_group", `too_large` "too_many_groups".
  void count(device_count_question what, then<device_counts> done);
  void events(event_list_question what, then<event_page> done);
  /// Kept as long as samples.
  void presence(presence_question what, then<presence_page> done);
  /// Nothing if the log has no such command.
  void command(command_question what, then<std::optional<model::device::command_record>> done);
  void commands(command_list_question what, then<command_page> done);
  /// Fail also: as read_tree and read_assets do.
  void trees(tree_question what, then<tree_page> done);
  void assets(asset_facts_question what, then<asset_page> done);
  void assets(asset_list_question what, then<asset_page> done);
  /// Fails also: as read_audit does.
  void audit(audit_question what, then<audit_page> done);
  /// Fail also: as read_operations do.
  void operations(operation_list_question what, then<operation_page> done);
  void operations(operation_rows_question what, then<operation_page> done);
  /// A read of another node: of what is here alone. Fails also: `wrong_node`.
  void serve(any_read what, then<any_page> done);
  /// Runs any blocking work of a handler (password hashing) on the pool.
  void run(std::function<void()> work);

 private:
  struct pool;
  std::unique_ptr<pool> pool_;
};

}  // namespace orrery::actors
