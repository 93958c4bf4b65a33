#include "cluster/backups.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <utility>

#include "cluster/cluster_keys.hpp"
#include "cluster/overview.hpp"

namespace orrery::cluster {
namespace {

using actors::desk_backup;
using actors::desk_backup_part;
using actors::desk_backup_part_state;
using model::errc;
using model::failure;

constexpr auto most_tries = 8;             // each, something else changed meanwhile
constexpr std::size_t most_changes = 100;  // in one step: etcd takes 128

std::string text_of(std::time_t seconds) {
  auto parts = std::tm{};
  gmtime_r(&seconds, &parts);
  auto text = std::array<char, 32>{};
  const auto size = std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &parts);
  return {text.data(), size};
}

/// Nothing for what backup_id has not made.
std::optional<std::time_t> time_of(std::string_view id) {
  if (!is_valid_backup_id(id))
    return std::nullopt;
  auto parts = std::tm{};
  const auto number = [&](std::size_t at, std::size_t size) {
    auto n = 0;
    for (const auto c : id.substr(at, size))
      n = 10 * n + (c - '0');
    return n;
  };
  parts.tm_year = number(0, 4) - 1900;
  parts.tm_mon = number(4, 2) - 1;
  parts.tm_mday = number(6, 2);
  parts.tm_hour = number(9, 2);
  parts.tm_min = number(11, 2);
  parts.tm_sec = number(13, 2);
  return timegm(&parts);
}

desk_backup_part part_of(const cluster_view& view, const backup_entry& entry, node_id id,
                         std::uint64_t process) {
  auto shown = desk_backup_part{};
  shown.node = name_of(view, id);
  if (const auto done = entry.parts.find(id); done != entry.parts.end()) {
    const auto& part = done->second;
    shown.finished = part.at;
    shown.took = part.took;
    if (part.reason.empty()) {
      shown.state = desk_backup_part_state::complete;
      shown.bytes = part.bytes;
    } else {
      shown.state = desk_backup_part_state::failed;
      shown.reason = part.reason;
      shown.detail = part.detail;
    }
    return shown;
  }
  const auto node = view.nodes.find(id);
  if (node != view.nodes.end() && node->second.info.incarnation == process)
    return shown;
  shown.state = desk_backup_part_state::failed;
  shown.reason = "node_lost";
  shown.detail = shown.node + (node == view.nodes.end() ? " is not registered any more"
                                                        : " was started anew meanwhile");
  return shown;
}

desk_backup shown(const cluster_view& view, const std::string& id, const backup_entry& entry) {
  auto b = desk_backup{id, entry.order->at, entry.order->by, {}};
  for (const auto& [node, process] : entry.order->nodes)
    b.nodes.push_back(part_of(view, entry, node, process));
  for (const auto node : entry.order->absent)
    b.nodes.push_back({name_of(view, node), desk_backup_part_state::absent, {}, {}, {}, {}, {}});
  std::sort(b.nodes.begin(), b.nodes.end(),
            [](const auto& x, const auto& y) { return x.node < y.node; });
  return b;
}

backup_order order_of(const cluster_view& view, const std::string& actor, model::timestamp now) {
  auto order = backup_order{now, actor, {}, {}};
  for (const auto& [name, id] : view.numbers) {
    const auto node = view.nodes.find(id);
    const auto removed = view.orders.find(id);
    if (node != view.nodes.end())
      order.nodes[id] = node->second.info.incarnation;
    else if (removed == view.orders.end() || removed->second != node_order::remove)
      order.absent.insert(id);
  }
  return order;
}

/// Drops the oldest, parts first: what is left of one that was cut short goes with the next. What
/// fails here is done then.
void drop_oldest(coordinator& at, const cluster_keys& keys, const listing& all, std::size_t keep) {
  auto ids = std::vector<std::string>{};
  auto gone = std::vector<std::pair<std::string, std::string>>{};  // id, key
  for (const auto& item : all.items)
    if (const auto key = keys.parse(item.key)) {
      if (key->what == cluster_key::kind::backup)
        ids.push_back(key->name);
      else if (key->what == cluster_key::kind::backup_part)
        gone.emplace_back(key->name, item.key);
    }
  std::sort(ids.rbegin(), ids.rend());
  const auto kept = std::vector<std::string>(
      ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), keep)));
  std::erase_if(gone, [&](const auto& one) {
    return std::find(kept.begin(), kept.end(), one.first) != kept.end();
  });
  for (auto i = kept.size(); i < ids.size(); ++i)
    gone.emplace_back(ids[i], keys.backup(ids[i]));
  auto changes = std::vector<change>{};
  for (std::size_t i = 0; i < gone.size(); ++i) {
    changes.push_back({gone[i].second, std::nullopt});
    if (changes.size() < most_changes && i + 1 < gone.size())
      continue;
    if (!at.swap({}, changes))
      return;
    changes.clear();
  }
}

const agreed* find(const listing& all, const std::string& key) {
  const auto found = std::find_if(all.items.begin(), all.items.end(),
                                  [&](const agreed& one) { return one.key == key; });
  return found == all.items.end() ? nullptr : &*found;
}

}  // namespace

std::string backup_id(model::timestamp now, std::string_view last) {
  auto seconds = static_cast<std::time_t>(model::to_ms(now) / 1000);
  if (const auto before = time_of(last))
    seconds = std::max(seconds, *before + 1);
  return text_of(seconds);
}

model::result<desk_backup> order_backup(coordinator& at, const std::string& cluster,
                                        const std::string& actor, model::timestamp now,
                                        std::size_t keep) {
  const auto keys = cluster_keys{cluster};
  for (auto tries = 0; tries < most_tries; ++tries) {
    const auto all = at.list(keys.root());
    if (!all)
      return all.error();
    auto view = view_of(keys, *all, {});
    for (const auto& one : backups_of(view))
      if (one.state() == actors::desk_backup_state::running)
        return failure{errc::conflict, "backup_running",
                       "the backup " + one.id + " is under way: wait for its end"};
    const auto* last = find(*all, keys.last_backup());
    auto entry = backup_entry{order_of(view, actor, now), 0, {}};
    const auto id = backup_id(now, last ? last->value : "");
    const condition unchanged[] = {{keys.last_backup(), last ? last->revision : 0},
                                   {keys.backup(id), 0}};
    const change begun[] = {{keys.last_backup(), id}, {keys.backup(id), encode(*entry.order)}};
    const auto done = at.swap(unchanged, begun);
    if (!done)
      return failure{
          done.error().code, done.error().reason,
          "whether the backup was begun is not known, look at the list: " + done.error().detail};
    if (!done->done)
      continue;
    drop_oldest(at, keys, *all, std::max<std::size_t>(keep, 1) - 1);
    return shown(view, id, entry);
  }
  return failure{errc::unavailable, "coordinator_busy",
                 "the cluster changed all the time meanwhile: try again"};
}

std::vector<desk_backup> backups_of(const cluster_view& view) {
  auto all = std::vector<desk_backup>{};
  for (auto one = view.backups.rbegin(); one != view.backups.rend(); ++one)
    if (one->second.order)
      all.push_back(shown(view, one->first, one->second));
  return all;
}

std::optional<wanted_backup> backup_to_make(const cluster_view& view, node_id self,
                                            std::uint64_t process) {
  for (auto one = view.backups.rbegin(); one != view.backups.rend(); ++one) {
    const auto& [id, entry] = *one;
    if (!entry.order)
      continue;
    const auto mine = entry.order->nodes.find(self);
    if (mine == entry.order->nodes.end() || mine->second != process || entry.parts.contains(self))
      return std::nullopt;  // older ones are over
    return wanted_backup{id, *entry.order};
  }
  return std::nullopt;
}

model::status report_backup(coordinator& at, const std::string& cluster, const std::string& id,
                            node_id self, const backup_part& part) {
  const auto keys = cluster_keys{cluster};
  const auto all = at.list(keys.backup(id));
  if (!all)
    return all.error();
  const auto* order = find(*all, keys.backup(id));
  if (!order)
    return {};
  const auto unchanged = condition{order->key, order->revision};
  const auto left = change{keys.backup_part(id, self), encode(part)};
  const auto done = at.swap({&unchanged, 1}, {&left, 1});
  if (!done)
    return done.error();
  return {};
}

}  // namespace orrery::cluster
