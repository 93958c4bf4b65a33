#include "cluster/cluster_keys.hpp"

#include <charconv>
#include <initializer_list>

namespace orrery::cluster {
namespace {

/// A decimal number as to_string writes it.
std::optional<std::uint32_t> number_of(std::string_view text, std::uint32_t least,
                                       std::uint32_t most) {
  auto n = std::uint32_t{0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n < least || n > most ||
      std::to_string(n) != text)
    return std::nullopt;
  return n;
}

}  // namespace

cluster_keys::cluster_keys(std::string_view cluster)
    : root_{"/orrery/" + std::string{cluster} + "/"} {}

std::optional<cluster_key> cluster_keys::parse(std::string_view key) const {
  using kind = cluster_key::kind;
  if (!key.starts_with(root_))
    return std::nullopt;
  key.remove_prefix(root_.size());
  if (key == "about")
    return cluster_key{kind::about};
  if (key == "last_number")
    return cluster_key{kind::last_number};
  if (key == "controller")
    return cluster_key{kind::controller};
  if (key == "last_backup")
    return cluster_key{kind::last_backup};
  const auto slash = key.find('/');
  if (slash == std::string_view::npos)
    return std::nullopt;
  const auto folder = key.substr(0, slash), last = key.substr(slash + 1);
  if (folder == "number" && is_valid_node_name(last))
    return cluster_key{kind::number, std::string{last}};
  if (folder == "node" || folder == "order")
    if (const auto id = number_of(last, 1, max_node_id))
      return cluster_key{folder == "node" ? kind::node : kind::order, {}, *id};
  if (folder == "shard")
    if (const auto id = number_of(last, 0, model::catalogue_shard))
      return cluster_key{kind::shard, {}, *id};
  if (folder == "copy") {
    const auto end = last.find('/');
    if (end == std::string_view::npos)
      return std::nullopt;
    const auto shard = number_of(last.substr(0, end), 0, model::catalogue_shard);
    const auto node = number_of(last.substr(end + 1), 1, max_node_id);
    if (shard && node)
      return cluster_key{kind::copy, {}, *node, static_cast<model::shard_id>(*shard)};
    return std::nullopt;
  }
  if (folder == "backup") {
    const auto end = last.find('/');
    const auto id = last.substr(0, end);
    if (!is_valid_backup_id(id))
      return std::nullopt;
    if (end == std::string_view::npos)
      return cluster_key{kind::backup, std::string{id}};
    if (const auto node = number_of(last.substr(end + 1), 1, max_node_id))
      return cluster_key{kind::backup_part, std::string{id}, *node};
  }
  return std::nullopt;
}

bool is_valid_node_name(std::string_view name) {
  return model::is_valid_key(name, 1, 128);
}

bool is_valid_cluster_name(std::string_view name) {
  return model::is_valid_key(name, 1, 64);
}

bool is_valid_backup_id(std::string_view id) {
  constexpr std::size_t size = 15, dash = 8;
  if (id.size() != size)
    return false;
  for (std::size_t i = 0; i < size; ++i)
    if (i == dash ? id[i] != '-' : id[i] < '0' || id[i] > '9')
      return false;
  return true;
}

}  // namespace orrery::cluster
