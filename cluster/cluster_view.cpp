#include "cluster/cluster_view.hpp"

#include <utility>

namespace orrery::cluster {
namespace {

using kind = cluster_key::kind;

/// An entry of which nothing is left goes.
template <class Forget>
void forget_backup(cluster_view& view, const std::string& id, Forget part) {
  const auto found = view.backups.find(id);
  if (found == view.backups.end())
    return;
  part(found->second);
  if (!found->second.order && found->second.parts.empty())
    view.backups.erase(found);
}

/// Takes away what a key has said.
void forget(cluster_view& view, const cluster_key& key) {
  switch (key.what) {
    case kind::about:
      view.about.reset();
      return;
    case kind::number:
      view.numbers.erase(key.name);
      return;
    case kind::node:
      view.nodes.erase(key.id);
      return;
    case kind::shard:
      view.shards.erase(static_cast<model::shard_id>(key.id));
      return;
    case kind::copy:
      if (const auto found = view.copies.find(key.of);
          found != view.copies.end() && found->second.erase(key.id) > 0 && found->second.empty())
        view.copies.erase(found);
      return;
    case kind::controller:
      view.controller.reset();
      return;
    case kind::order:
      view.orders.erase(key.id);
      return;
    case kind::backup:
      forget_backup(view, key.name, [](backup_entry& b) { b.order.reset(); });
      return;
    case kind::backup_part:
      forget_backup(view, key.name, [&](backup_entry& b) { b.parts.erase(key.id); });
      return;
    case kind::last_number:
    case kind::last_backup:
      return;
  }
}

template <class T, class Keep>
model::status keep(const model::result<T>& read, Keep into) {
  if (!read)
    return read.error();
  into(*read);
  return {};
}

model::status read(cluster_view& view, const cluster_key& key, const std::string& name,
                   const std::string& text, std::uint64_t revision) {
  switch (key.what) {
    case kind::about:
      return keep(decode_about(name, text), [&](const auto& v) { view.about = v; });
    case kind::number:
      return keep(decode_number(name, text), [&](auto v) { view.numbers[key.name] = v; });
    case kind::node:
      return keep(decode_node(name, text), [&](const auto& v) {
        view.nodes[key.id] = {v, revision};
      });
    case kind::shard:
      return keep(decode_shard(name, text, revision),
                  [&](const auto& v) { view.shards[static_cast<model::shard_id>(key.id)] = v; });
    case kind::copy:
      return keep(decode_copy(name, text), [&](const auto& v) { view.copies[key.of][key.id] = v; });
    case kind::controller:
      return keep(decode_number(name, text), [&](auto v) { view.controller = v; });
    case kind::order:
      return keep(decode_order(name, text), [&](auto v) { view.orders[key.id] = v; });
    case kind::backup:
      return keep(decode_backup_order(name, text), [&](const auto& v) {
        auto& b = view.backups[key.name];
        b.order = v;
        b.revision = revision;
      });
    case kind::backup_part:
      return keep(decode_backup_part(name, text),
                  [&](const auto& v) { view.backups[key.name].parts[key.id] = v; });
    case kind::last_number:
    case kind::last_backup:
      break;
  }
  return {};
}

}  // namespace

model::status take(cluster_view& view, const cluster_keys& keys, const change& c) {
  const auto key = c.revision > view.revision ? keys.parse(c.key) : std::nullopt;
  if (!key)
    return {};
  if (key->what == kind::shard) {
    // Who has changed a record himself has told it before the news came.
    const auto known = view.shards.find(static_cast<model::shard_id>(key->id));
    if (known != view.shards.end() && known->second.version >= c.revision)
      return {};
  }
  forget(view, *key);
  view.malformed.erase(c.key);
  if (!c.value)
    return {};
  auto ok = read(view, *key, c.key, *c.value, c.revision);
  if (!ok)
    view.malformed.insert(c.key);
  return ok;
}

bool take(cluster_view& view, model::shard_id shard, const shard_record& now) {
  const auto known = view.shards.find(shard);
  // Not there though every change up to `revision` is in: it was removed since.
  const auto newest = known == view.shards.end() ? view.revision : known->second.version;
  if (now.version <= newest)
    return false;
  view.shards[shard] = now;
  return true;
}

cluster_view view_of(const cluster_keys& keys, const listing& all, const cluster_view& before) {
  auto view = cluster_view{};
  for (const auto& item : all.items)
    static_cast<void>(take(view, keys, {item.key, item.value, 0, item.revision}));
  view.revision = all.revision;
  for (const auto& [shard, record] : before.shards)
    if (record.version > all.revision)
      view.shards[shard] = record;
  return view;
}

node_set leaving_nodes(const cluster_view& view) {
  auto all = node_set{};
  for (const auto& [id, order] : view.orders)
    all.insert(id);
  return all;
}

}  // namespace orrery::cluster
