#include "storage/keys.hpp"

namespace orrery::storage::keys {
namespace {

constexpr char command_tag = 'c', message_tag = 'm', bucket_tag = 's', event_tag = 'e',
               node_tag = 'n', change_tag = 'h', presence_tag = 'p', audit_tag = 'L',
               input_tag = 'i', result_tag = 'r';
constexpr std::size_t ulid_size = 16, shard_size = 2, time_size = 8;

void put_u16(std::string& out, std::uint16_t v) {
  out += static_cast<char>(v >> 8);
  out += static_cast<char>(v);
}
void put_u64(std::string& out, std::uint64_t v) {
  for (int shift = 56; shift >= 0; shift -= 8)
    out += static_cast<char>(v >> shift);
}
std::uint64_t read_u64(std::string_view in) {
  auto v = std::uint64_t{0};
  for (const auto c : in)
    v = v << 8 | static_cast<unsigned char>(c);
  return v;
}
void put_ulid(std::string& out, const model::entity_id& id) {
  out.append(reinterpret_cast<const char*>(id.ulid.data()), id.ulid.size());
}
std::string tagged(char tag, const model::entity_id& id) {
  auto key = shard_prefix(id.shard);
  key += tag;
  put_ulid(key, id);
  return key;
}
std::string owned(const model::entity_id& id) {
  auto key = shard_prefix(id.shard);
  put_ulid(key, id);
  return key;
}

}  // namespace

std::string shard_prefix(model::shard_id shard) {
  auto key = std::string{};
  key.reserve(48);
  put_u16(key, shard);
  return key;
}

std::optional<model::shard_id> shard_of(std::string_view key) {
  if (key.size() < shard_size)
    return std::nullopt;
  return static_cast<model::shard_id>(read_u64(key.substr(0, shard_size)));
}

std::string journal(model::shard_id shard, std::uint64_t first_offset) {
  auto key = shard_prefix(shard);
  put_u64(key, first_offset);
  return key;
}

std::optional<std::uint64_t> journal_offset(std::string_view key) {
  if (key.size() != shard_size + 8)
    return std::nullopt;
  return read_u64(key.substr(shard_size));
}

std::string state_prefix(model::shard_id shard, model::entity_kind kind) {
  auto key = shard_prefix(shard);
  key += static_cast<char>(kind);
  return key;
}

std::string state(model::entity_kind kind, const model::entity_id& id) {
  auto key = state_prefix(id.shard, kind);
  put_ulid(key, id);
  return key;
}

std::string command_prefix(const model::entity_id& device) {
  auto key = shard_prefix(device.shard);
  key += command_tag;
  put_ulid(key, device);
  return key;
}

std::string command(const model::entity_id& device, const model::entity_id& command) {
  auto key = command_prefix(device);
  put_ulid(key, command);
  return key;
}

std::string message_prefix(const model::entity_id& client) {
  auto key = shard_prefix(client.shard);
  key += message_tag;
  put_ulid(key, client);
  return key;
}

std::string message(const model::entity_id& client, std::uint64_t number) {
  auto key = message_prefix(client);
  put_u64(key, number);
  return key;
}

std::string message_end(const model::entity_id& client) {
  return message(client, ~std::uint64_t{0}) + '\0';
}

std::string tree_nodes(const model::entity_id& tree) {
  auto key = shard_prefix(tree.shard);
  key += node_tag;
  put_ulid(key, tree);
  return key;
}

std::string tree_node(const model::entity_id& tree, const model::entity_id& node) {
  auto key = tree_nodes(tree);
  put_ulid(key, node);
  return key;
}

std::string tree_changes(const model::entity_id& tree) {
  auto key = shard_prefix(tree.shard);
  key += change_tag;
  put_ulid(key, tree);
  return key;
}

std::string tree_change(const model::entity_id& tree, std::uint64_t revision) {
  auto key = tree_changes(tree);
  put_u64(key, revision);
  return key;
}

std::uint64_t tree_revision_of(std::string_view key) {
  return key.size() == shard_size + 1 + ulid_size + 8 ? read_u64(key.substr(key.size() - 8)) : 0;
}

std::string tree_places(const model::entity_id& tree) {
  auto key = index_prefix(tree.shard, "child");
  put_ulid(key, tree);
  return key;
}

std::string tree_places(const model::entity_id& tree, const model::entity_id& parent) {
  auto key = tree_places(tree);
  put_ulid(key, parent);
  return key;
}

std::string tree_holders(const model::entity_id& tree) {
  auto key = index_prefix(tree.shard, "holder");
  put_ulid(key, tree);
  return key;
}

std::string tree_holder(const model::entity_id& tree, const model::entity_id& asset) {
  auto key = tree_holders(tree);
  put_u16(key, asset.shard);
  put_ulid(key, asset);
  return key;
}

std::string audit_records(const model::entity_id& log) {
  auto key = shard_prefix(log.shard);
  key += audit_tag;
  put_ulid(key, log);
  return key;
}

std::string audit_record(const model::entity_id& log, std::uint64_t number) {
  auto key = audit_records(log);
  put_u64(key, number);
  return key;
}

std::string ulid_bytes(const model::entity_id& id) {
  auto bytes = std::string{};
  put_ulid(bytes, id);
  return bytes;
}

std::optional<model::entity_id> from_ulid_bytes(model::shard_id shard, std::string_view bytes) {
  if (bytes.size() != ulid_size)
    return std::nullopt;
  auto id = model::entity_id{.shard = shard};
  for (std::size_t i = 0; i < ulid_size; ++i)
    id.ulid[i] = static_cast<std::uint8_t>(bytes[i]);
  return id;
}

std::string operation_inputs(const model::entity_id& operation) {
  return tagged(input_tag, operation);
}

std::string operation_input(const model::entity_id& operation, std::uint64_t number) {
  auto key = operation_inputs(operation);
  put_u64(key, number);
  return key;
}

std::string operation_results(const model::entity_id& operation) {
  return tagged(result_tag, operation);
}

std::string operation_result(const model::entity_id& operation, std::uint64_t number) {
  auto key = operation_results(operation);
  put_u64(key, number);
  return key;
}

std::optional<std::uint64_t> piece_number_of(std::string_view key) {
  if (key.size() != shard_size + 1 + ulid_size + 8 ||
      (key[shard_size] != input_tag && key[shard_size] != result_tag))
    return std::nullopt;
  return read_u64(key.substr(key.size() - 8));
}

std::string end_of(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff)
    prefix.pop_back();
  if (!prefix.empty())
    prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

std::string latest(const model::entity_id& device) {
  return owned(device);
}

std::string bucket_prefix(const model::entity_id& device) {
  auto key = owned(device);
  key += bucket_tag;
  return key;
}

std::string bucket(const model::entity_id& device, model::timestamp start) {
  return bucket_prefix(device).append(ordered(start));
}

std::string event_prefix(const model::entity_id& device) {
  auto key = owned(device);
  key += event_tag;
  return key;
}

std::string event(const model::entity_id& device, model::timestamp time, std::uint64_t number) {
  auto key = event_prefix(device);
  key += ordered(time);
  put_u64(key, number);
  return key;
}

std::string presence_prefix(const model::entity_id& device) {
  auto key = owned(device);
  key += presence_tag;
  return key;
}

std::string presence(const model::entity_id& device, model::timestamp time, std::uint64_t number) {
  auto key = presence_prefix(device);
  key += ordered(time);
  put_u64(key, number);
  return key;
}

std::optional<series_key> parse_series(std::string_view key) {
  constexpr auto tag_at = shard_size + ulid_size;
  constexpr auto bucket_size = tag_at + 1 + time_size, event_size = bucket_size + 8;
  if (key.size() < bucket_size)
    return std::nullopt;
  const auto time = from_ordered(key.substr(tag_at + 1, time_size));
  if (key[tag_at] == bucket_tag && key.size() == bucket_size)
    return series_key{series_key::content::samples, time};
  if ((key[tag_at] == event_tag || key[tag_at] == presence_tag) && key.size() == event_size)
    return series_key{series_key::content::event, time};
  return std::nullopt;
}

std::string index_prefix(model::shard_id shard, std::string_view name) {
  auto key = shard_prefix(shard);
  key += name;
  key += '\0';
  return key;
}

std::string index_prefix(model::shard_id shard, std::string_view name, std::string_view value) {
  auto key = index_prefix(shard, name);
  key += value;
  key += '\0';
  return key;
}

std::string index(model::shard_id shard, std::string_view name, std::string_view value,
                  const model::entity_id& id) {
  auto key = index_prefix(shard, name, value);
  put_ulid(key, id);
  return key;
}

std::optional<model::entity_id> entity_of(std::string_view key) {
  if (key.size() < shard_size + ulid_size)
    return std::nullopt;
  auto id = model::entity_id{.shard = *shard_of(key)};
  const auto ulid = key.substr(key.size() - ulid_size);
  for (std::size_t i = 0; i < ulid_size; ++i)
    id.ulid[i] = static_cast<std::uint8_t>(ulid[i]);
  return id;
}

std::optional<std::string_view> index_value_of(std::string_view key) {
  // Names hold no zero byte; values may, but the end of the key has a fixed length.
  const auto name_end = key.find('\0', shard_size);
  if (name_end == std::string_view::npos || key.size() < name_end + 1 + 1 + ulid_size)
    return std::nullopt;
  return key.substr(name_end + 1, key.size() - ulid_size - 1 - (name_end + 1));
}

std::string ordered(model::timestamp t) {
  auto key = std::string{};
  put_u64(key, static_cast<std::uint64_t>(model::to_ms(t)) ^ std::uint64_t{1} << 63);
  return key;
}

model::timestamp from_ordered(std::string_view bytes) {
  if (bytes.size() != 8)
    return model::from_ms(0);
  return model::from_ms(static_cast<std::int64_t>(read_u64(bytes) ^ std::uint64_t{1} << 63));
}

std::string meta(model::shard_id shard, std::string_view name) {
  return shard_prefix(shard).append(name);
}

std::string meta(std::string_view name) {
  return std::string{"\xff\xff"}.append(name);
}

}  // namespace orrery::storage::keys
