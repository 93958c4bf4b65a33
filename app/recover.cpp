#include "app/recover.hpp"

#include <algorithm>
#include <charconv>
#include <ostream>
#include <vector>

#include "app/joining.hpp"
#include "cluster/overview.hpp"
#include "cluster/recovery.hpp"
#include "config/load.hpp"

namespace orrery::app {
namespace {

using cluster::name_of;

struct picture {
  cluster::cluster_view view;
  std::vector<cluster::stuck_shard> stuck;
  std::vector<std::string> absent;  // nodes that are not there and were not removed
};

picture look(cluster::coordinator& at, const std::string& name) {
  const auto keys = cluster::cluster_keys{name};
  const auto all = at.list(keys.root());
  if (!all)
    throw cluster_failed{all.error().detail};
  auto p = picture{cluster::view_of(keys, *all, {}), {}, {}};
  if (!p.view.about)
    throw cluster_failed{"the coordinator knows no cluster " + name +
                         ": if it was emptied, start a node with --found-again"};
  p.stuck = cluster::stuck_shards(p.view);
  for (const auto& [node, id] : p.view.numbers) {
    const auto order = p.view.orders.find(id);
    const auto removed =
        order != p.view.orders.end() && order->second == cluster::node_order::remove;
    if (!p.view.nodes.contains(id) && !removed)
      p.absent.push_back(node);
  }
  return p;
}

std::string joined(const std::vector<std::string>& all) {
  auto text = std::string{};
  for (const auto& one : all)
    text += (text.empty() ? "" : ", ") + one;
  return text;
}

std::string text_of(const cluster::log_position& end) {
  return end.index == 0
             ? "nothing"
             : std::to_string(end.index) + " entries, epoch " + std::to_string(end.epoch);
}

void show(const picture& p, const cluster::stuck_shard& s, std::ostream& out) {
  auto level = std::vector<std::string>{};
  for (const auto id : s.record.in_sync)
    level.push_back(name_of(p.view, id));
  out << "shard " << s.shard
      << ": had all of it, and are not there: " << (level.empty() ? "nobody knows" : joined(level))
      << "\n";
  for (const auto& copy : s.copies)
    out << "  " << name_of(p.view, copy.node) << " offers " << text_of(copy.end) << "\n";
  if (s.copies.empty())
    out << "  nobody offers a copy (yet: nodes do so after some seconds)\n";
}

bool list(const picture& p, std::ostream& out) {
  for (const auto& s : p.stuck)
    show(p, s, out);
  if (p.stuck.empty())
    out << "every shard is served, or a node that has all of it is there\n";
  if (!p.absent.empty())
    out << "nodes that are not there: " << joined(p.absent) << "\n";
  return true;
}

bool give(cluster::coordinator& at, const std::string& name, const picture& p,
          model::shard_id shard, cluster::node_id node, std::ostream& out) {
  const auto done = cluster::recover_shard(at, name, shard, node);
  if (done)
    out << "shard " << shard << " is what " << name_of(p.view, node) << " has of it\n";
  else
    out << "shard " << shard << ": " << done.error().detail << "\n";
  return static_cast<bool>(done);
}

/// Its replicas that are there and have not said what they have.
std::vector<std::string> not_heard(const picture& p, const cluster::stuck_shard& s) {
  auto all = std::vector<std::string>{};
  for (const auto id : s.record.replicas)
    if (p.view.nodes.contains(id) &&
        std::ranges::none_of(s.copies, [&](const auto& c) { return c.node == id; }))
      all.push_back(name_of(p.view, id));
  return all;
}

bool give_all(cluster::coordinator& at, const std::string& name, const picture& p,
              bool absent_are_lost, std::ostream& out) {
  if (!p.stuck.empty() && !p.absent.empty() && !absent_are_lost) {
    out << "not done: " << joined(p.absent)
        << " may have what nobody else has. Start them; or, if they are lost for good, say so: "
           "--absent-are-lost\n";
    return false;
  }
  auto good = true;
  for (const auto& s : p.stuck)
    if (const auto waits = not_heard(p, s); !waits.empty() || s.copies.empty()) {
      show(p, s, out);
      if (!waits.empty())
        out << "  not done: it is not known yet what they have: " << joined(waits)
            << ". Ask again in some seconds\n";
      good = false;
    } else {
      good = give(at, name, p, s.shard, s.copies.front().node, out) && good;
    }
  if (p.stuck.empty())
    out << "nothing is to be done: every shard is served, or a node that has all of it is there\n";
  return good;
}

[[noreturn]] void bad(const std::string& what) {
  throw config::bad_settings{"--recover " + what +
                             ": expected list, all, or a shard's number = a node's name\n"};
}

bool give_one(cluster::coordinator& at, const std::string& name, const picture& p,
              const std::string& what, std::ostream& out) {
  const auto equals = what.find('=');
  auto shard = unsigned{0};
  const auto* const end = what.data() + std::min(equals, what.size());
  const auto [last, error] = std::from_chars(what.data(), end, shard);
  if (equals == std::string::npos || error != std::errc{} || last != end ||
      shard > model::catalogue_shard)
    bad(what);
  const auto node = p.view.numbers.find(what.substr(equals + 1));
  if (node == p.view.numbers.end())
    bad(what);
  return give(at, name, p, static_cast<model::shard_id>(shard), node->second, out);
}

}  // namespace

bool recover(const config::settings& s, const std::string& what, bool absent_are_lost,
             std::ostream& out) {
  if (!is_in_cluster(s))
    throw cluster_failed{"a node that is alone has nothing to choose from (cluster.coordinator)"};
  const auto& name = s.cluster.name;
  const auto at = coordinator_of(s, std::chrono::seconds{5});
  const auto p = look(*at, name);
  if (what == "list")
    return list(p, out);
  if (what == "all")
    return give_all(*at, name, p, absent_are_lost, out);
  return give_one(*at, name, p, what, out);
}

}  // namespace orrery::app
