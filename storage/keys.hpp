// Every key of the database in one table. Integers are big-endian, so keys sort as their parts do.
//
//   family   key
//   journal  shard u16 | first offset u64
//   state    shard u16 | kind u8 | entity ulid 16                       snapshot of the entity
//   state    shard u16 | 'c' | device ulid 16 | command ulid 16         one command of its log
//   state    shard u16 | 'm' | client ulid 16 | number u64             one message kept for it
//   state    shard u16 | 'n' | tree ulid 16 | node ulid 16             one node of an asset tree
//   state    shard u16 | 'h' | tree ulid 16 | revision u64             what that one changed in it
//   state    shard u16 | 'L' | log ulid 16 | number u64                one record of an audit log
//   state    shard u16 | 'i' | operation ulid 16 | number u64          a piece of its input
//   state    shard u16 | 'r' | operation ulid 16 | number u64          a piece of its result
//   latest   shard u16 | device ulid 16                                 newest value of its points
//   series   shard u16 | device ulid 16 | 's' | bucket start ms u64     its samples of that hour
//   series   shard u16 | device ulid 16 | 'e' | time ms u64 | number u64   one event it raised
//   series   shard u16 | device ulid 16 | 'p' | time ms u64 | number u64   it came or went
//   index    shard u16 | index name | 0 | value | 0 | entity ulid 16
//   index    shard u16 | "child" | 0 | tree ulid 16 | parent ulid 16 | order | 0 | node ulid 16
//   index    shard u16 | "holder" | 0 | tree ulid 16 | asset: shard u16, ulid 16   value: node ulid
//   meta     shard u16 | name             "shard", readers; of a replica: "log", "applied",
//   "loading" meta     0xffff | name                                              of the node:
//   "format"
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/ids.hpp"
#include "model/time.hpp"

namespace orrery::storage::keys {

std::string shard_prefix(model::shard_id shard);
/// The shard that a key begins with; nothing if it is too short.
std::optional<model::shard_id> shard_of(std::string_view key);
std::string journal(model::shard_id shard, std::uint64_t first_offset);
/// The first offset in a frame's key; nothing for any other key.
std::optional<std::uint64_t> journal_offset(std::string_view key);

std::string state(model::entity_kind kind, const model::entity_id& id);
std::string state_prefix(model::shard_id shard, model::entity_kind kind);
std::string command(const model::entity_id& device, const model::entity_id& command);
std::string command_prefix(const model::entity_id& device);

std::string message(const model::entity_id& client, std::uint64_t number);
std::string message_prefix(const model::entity_id& client);
/// Behind the last of them.
std::string message_end(const model::entity_id& client);

std::string tree_node(const model::entity_id& tree, const model::entity_id& node);
std::string tree_nodes(const model::entity_id& tree);  // prefix
std::string tree_change(const model::entity_id& tree, std::uint64_t revision);
std::string tree_changes(const model::entity_id& tree);  // prefix
/// The revision at the end of a key of tree_change; 0 for any other.
std::uint64_t tree_revision_of(std::string_view key);
/// The places of all nodes of a tree, or of the children of one: prefixes. Behind the latter comes
/// the place (order, 0, ulid).
std::string tree_places(const model::entity_id& tree);
std::string tree_places(const model::entity_id& tree, const model::entity_id& parent);
std::string tree_holders(const model::entity_id& tree);  // prefix
std::string tree_holder(const model::entity_id& tree, const model::entity_id& asset);
std::string audit_record(const model::entity_id& log, std::uint64_t number);
std::string audit_records(const model::entity_id& log);  // prefix
/// The value of a row of tree_holder, and the node in it; nothing if it is none.
std::string ulid_bytes(const model::entity_id& id);
std::optional<model::entity_id> from_ulid_bytes(model::shard_id shard, std::string_view bytes);
/// Behind all keys that begin so.
std::string end_of(std::string prefix);

std::string operation_input(const model::entity_id& operation, std::uint64_t number);
std::string operation_inputs(const model::entity_id& operation);  // prefix
std::string operation_result(const model::entity_id& operation, std::uint64_t number);
std::string operation_results(const model::entity_id& operation);  // prefix
/// The number at the end of a key of either; nothing for any other.
std::optional<std::uint64_t> piece_number_of(std::string_view key);

std::string latest(const model::entity_id& device);

std::string bucket(const model::entity_id& device, model::timestamp start);
std::string bucket_prefix(const model::entity_id& device);
std::string event(const model::entity_id& device, model::timestamp time, std::uint64_t number);
std::string event_prefix(const model::entity_id& device);
std::string presence(const model::entity_id& device, model::timestamp time, std::uint64_t number);
std::string presence_prefix(const model::entity_id& device);

/// What a key of `series` is for, and the start of its bucket or the time of its event (its coming
/// and going are some, too). Nothing for any other key.
struct series_key {
  enum class content : std::uint8_t { samples, event } what;
  model::timestamp time;
};
std::optional<series_key> parse_series(std::string_view key);

/// Names of indexes in use: "name" (product key, 0x1f, device key -> device), "product" (product
/// key -> its devices), "due" (u64 time -> entity), "session" (u64 incarnation -> device),
/// "device.<field>" (organisation, 0x1f, value -> devices that have it: what they are searched by),
/// "asset" (organisation -> its logical assets),
/// "command" (command id -> device, value = device id). Of general topics: "filter" and "retained"
/// (organisation, 0x1f, text -> client, topic), "client-session", "client-due" and "topic-due". Of
/// asset trees: "tree" (organisation -> its trees). Of operations: "operation" and "operation-open"
/// (organisation -> all, and those that are not over), "operation-due". Of audit logs: "audit-due".
std::string index(model::shard_id shard, std::string_view name, std::string_view value,
                  const model::entity_id& id);
std::string index_prefix(model::shard_id shard, std::string_view name, std::string_view value);
/// The same for all values of an index, in the order of their bytes.
std::string index_prefix(model::shard_id shard, std::string_view name);
/// The entity at the end of an index or state key; nothing if the key is too short.
std::optional<model::entity_id> entity_of(std::string_view key);
std::optional<std::string_view> index_value_of(std::string_view key);

/// A time as 8 bytes that sort as times do (negative ones too).
std::string ordered(model::timestamp t);
/// The time that `ordered` wrote; the epoch for anything but 8 bytes.
model::timestamp from_ordered(std::string_view bytes);

std::string meta(model::shard_id shard, std::string_view name);
std::string meta(std::string_view name);

}  // namespace orrery::storage::keys
