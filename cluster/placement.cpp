#include "cluster/placement.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <utility>

#include <xxhash.h>

namespace orrery::cluster {
namespace {

using std::chrono::milliseconds;

/// A node that may hold shards.
struct member {
  node_id id = 0;
  std::string name = {}, zone = {};
  double weight = 100;
  bool present = false;
  bool may_lead = false;  // present, and not about to leave
  bool unknown = false;   // zone and weight are
};
using member_list = std::vector<const member*>;

/// The nodes for one shard, the best first.
struct wish {
  model::shard_id shard = 0;
  const shard_record* record = nullptr;  // none: it is to be made
  member_list nodes;
  std::size_t copies = 0;  // so many of them are to be in sync
};

std::vector<member> members_of(const cluster_view& view, const placement_options& options,
                               const absences& missing, milliseconds now) {
  auto all = std::vector<member>{};
  const auto add = [&](node_id id, const node_info* info, bool present) {
    auto m = member{.id = id, .present = present, .unknown = !info};
    if (info) {
      m.name = info->name;
      m.zone = info->zone;
      m.weight = info->weight;
      m.may_lead = present && !info->draining;
    }
    all.push_back(std::move(m));
  };
  for (const auto& [id, entry] : view.nodes)
    if (!view.orders.contains(id))
      add(id, &entry.info, true);
  for (const auto& [id, a] : missing)
    if (!view.orders.contains(id) && !view.nodes.contains(id) &&
        now - a.since < options.replace_after)
      add(id, a.was ? &*a.was : nullptr, false);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return all;
}

/// Rendezvous hashing: a node that comes or goes changes only the shards that it gets or had. With
/// -weight/ln(h) the share of a node is its weight's.
double score(model::shard_id shard, const member& m) {
  if (m.unknown)
    return std::numeric_limits<double>::infinity();  // it keeps its place
  auto text = std::string{static_cast<char>(shard >> 8), static_cast<char>(shard & 0xff)};
  text += m.name;
  const auto hash = XXH3_64bits(text.data(), text.size());
  const auto h = (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53;  // between 0 and 1
  return -m.weight / std::log(h);
}

/// Who may hold the shard, in its order. A missing node only stays where it is: it gets nothing.
member_list ranked(model::shard_id shard, const shard_record* record,
                   const std::vector<member>& members) {
  auto scored = std::vector<std::pair<double, const member*>>{};
  for (const auto& m : members)
    if (m.present || (record && record->replicas.contains(m.id)))
      scored.emplace_back(score(shard, m), &m);
  std::sort(scored.begin(), scored.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second->id < b.second->id;
  });
  auto all = member_list{};
  for (const auto& [s, m] : scored)
    all.push_back(m);
  return all;
}

/// Puts `most` nodes first, in their order: those of `keep`, then the best of each zone, then the
/// best. Gives how many there are.
std::size_t choose(member_list& from, std::size_t most, const node_set& keep) {
  auto chosen = std::set<const member*>{};
  auto zones = std::set<std::string>{};
  const auto pass = [&](auto fits) {
    for (const auto* m : from)
      if (chosen.size() < most && fits(*m) && chosen.insert(m).second)
        zones.insert(m->zone);
  };
  pass([&](const member& m) { return keep.contains(m.id); });
  pass([&](const member& m) { return !zones.contains(m.zone); });
  pass([](const member&) { return true; });
  std::stable_partition(from.begin(), from.end(),
                        [&](const auto* m) { return chosen.contains(m); });
  return chosen.size();
}

wish wish_for(model::shard_id shard, const cluster_view& view, const placement_options& options,
              const std::vector<member>& members) {
  const auto found = view.shards.find(shard);
  auto w = wish{shard, found == view.shards.end() ? nullptr : &found->second, {}, 0};
  w.nodes = ranked(shard, w.record, members);
  if (shard == model::catalogue_shard) {
    // The primary cannot tell who of all its replicas was chosen: so those in sync stay it.
    w.copies = choose(w.nodes, options.catalogue_factor, w.record ? w.record->in_sync : node_set{});
  } else {
    // One of whom nothing is known: where the others are now, they suit it.
    const auto unknown =
        std::any_of(w.nodes.begin(), w.nodes.end(), [](const auto* m) { return m->unknown; });
    w.copies =
        choose(w.nodes, options.replication_factor, unknown ? w.record->replicas : node_set{});
    w.nodes.resize(w.copies);
  }
  return w;
}

/// Lets no node come first in many more shards than its share, by changing the order within their
/// nodes. Few shards make hashing lopsided, and who leads has most of the work.
class leader_balance {
 public:
  leader_balance(std::vector<wish>& wishes, const std::vector<member>& members) : wishes_{wishes} {
    auto total = 0.0;
    for (const auto& m : members)
      total += m.weight;
    for (const auto& m : members)
      most_[m.id] =
          static_cast<int>(std::ceil(static_cast<double>(wishes.size()) * m.weight / total)) + 1;
    for (const auto& w : wishes)
      if (!w.nodes.empty())
        ++load_[w.nodes[0]->id];
  }
  void run() {
    for (const auto& [id, most] : most_)
      while (load_[id] > most && relieve(id)) {
      }
  }

 private:
  struct step {
    node_id from;
    wish* by;
  };
  /// The shortest way by which one shard less has `id` first, and only one that has room one more.
  bool relieve(node_id id) {
    auto came = std::map<node_id, step>{{id, {id, nullptr}}};
    auto open = std::deque<node_id>{id};
    for (; !open.empty(); open.pop_front())
      for (auto& w : wishes_) {
        if (w.nodes.empty() || w.nodes[0]->id != open.front())
          continue;
        for (const auto* other : w.nodes)
          if (came.try_emplace(other->id, step{open.front(), &w}).second) {
            if (load_[other->id] < most_[other->id])
              return go_back(id, other->id, came);
            open.push_back(other->id);
          }
      }
    return false;
  }
  bool go_back(node_id begin, node_id end, std::map<node_id, step>& came) {
    ++load_[end];
    --load_[begin];
    for (auto at = end; at != begin; at = came.at(at).from) {
      auto& nodes = came.at(at).by->nodes;
      const auto found =
          std::find_if(nodes.begin(), nodes.end(), [&](const auto* m) { return m->id == at; });
      std::rotate(nodes.begin(), found, found + 1);
    }
    return true;
  }

  std::vector<wish>& wishes_;
  std::map<node_id, int> most_, load_;
};

// ---- one shard ----------------------------------------------------------------------------------

bool is_alive(const cluster_view& view, node_id id) {
  return view.nodes.contains(id);
}
bool is_led(const cluster_view& view, const shard_record& r) {
  return r.primary && is_alive(view, *r.primary);
}
bool is_stuck(const cluster_view& view, const shard_record& r) {
  return !is_led(view, r) && std::none_of(r.in_sync.begin(), r.in_sync.end(),
                                          [&](auto id) { return is_alive(view, id); });
}

/// The nodes that are to have a copy.
std::span<const member* const> copies(const wish& w) {
  return {w.nodes.data(), w.copies};
}
/// One of them is being brought up to date.
bool is_moving(const wish& w) {
  const auto to = copies(w);
  return w.record && std::any_of(to.begin(), to.end(), [&](const auto* m) {
           return w.record->replicas.contains(m->id) && !w.record->in_sync.contains(m->id);
         });
}
/// One of them is not even among the replicas.
bool is_to_move(const wish& w) {
  const auto to = copies(w);
  return std::any_of(to.begin(), to.end(),
                     [&](const auto* m) { return !w.record->replicas.contains(m->id); });
}
/// There are fewer copies than there could be.
bool lacks_copies(const cluster_view& view, const wish& w) {
  const auto alive = std::count_if(w.record->in_sync.begin(), w.record->in_sync.end(),
                                   [&](auto id) { return is_alive(view, id); });
  return static_cast<std::size_t>(alive) < w.copies;
}

std::optional<node_id> first_leader(const wish& w, const node_set* among) {
  for (const auto* m : copies(w))
    if (m->may_lead && (!among || among->contains(m->id)))
      return m->id;
  return std::nullopt;
}

node_set ids(const member_list& nodes) {
  auto all = node_set{};
  for (const auto* m : nodes)
    all.insert(m->id);
  return all;
}

/// `found_again`: somebody may have it already, and an operator says who.
std::optional<shard_record> made(const wish& w, bool found_again) {
  auto first = first_leader(w, nullptr);
  for (const auto* m : w.nodes)
    if (!first && m->present)
      first = m->id;
  if (!first)
    return std::nullopt;
  if (found_again)
    return shard_record{.version = 0,
                        .epoch = 1,
                        .primary = {},
                        .in_sync = {},
                        .replicas = ids(w.nodes),
                        .preferred = first};
  return shard_record{.version = 0,
                      .epoch = 1,
                      .primary = first,
                      .in_sync = {*first},
                      .replicas = ids(w.nodes),
                      .preferred = first};
}

/// `may_begin`: it may get nodes that have nothing of it yet.
shard_record changed(const wish& w, bool may_begin, const std::vector<member>& members) {
  const auto& old = *w.record;
  auto next = old;
  auto wanted = ids(w.nodes);
  if (!may_begin)
    std::erase_if(wanted, [&](auto id) { return !old.replicas.contains(id); });
  const auto to = copies(w);
  const auto settled =
      may_begin && wanted.contains(*old.primary) &&
      std::all_of(to.begin(), to.end(), [&](const auto* m) { return old.in_sync.contains(m->id); });
  next.replicas = wanted;
  if (!settled) {
    next.replicas.insert(old.in_sync.begin(), old.in_sync.end());
    next.replicas.insert(*old.primary);
  }
  // Until its turn comes nobody else is preferred without need.
  const auto stays = !may_begin && std::any_of(members.begin(), members.end(), [&](const auto& m) {
    return m.id == old.preferred && m.may_lead && next.replicas.contains(m.id);
  });
  if (!stays)
    if (const auto first = first_leader(w, may_begin ? nullptr : &wanted))
      next.preferred = first;
  return next;
}

}  // namespace

void attendance::take(const cluster_view& view, milliseconds now) {
  auto counted_on = node_set{};
  for (const auto& [shard, record] : view.shards)
    counted_on.insert(record.replicas.begin(), record.replicas.end());
  for (const auto& [id, entry] : view.nodes)
    seen_[id] = entry.info;
  for (const auto id : counted_on)
    if (!view.nodes.contains(id) && !missing_.contains(id)) {
      const auto seen = seen_.find(id);
      missing_[id] = {now, seen == seen_.end() ? std::nullopt : std::optional{seen->second}};
    }
  std::erase_if(missing_, [&](const auto& m) {
    return view.nodes.contains(m.first) || !counted_on.contains(m.first);
  });
}

placement_plan plan(const cluster_view& view, const placement_options& options,
                    const absences& missing, milliseconds now) {
  const auto members = members_of(view, options, missing, now);
  auto wishes = std::vector<wish>{};
  for (auto shard = 0; shard < options.shard_count; ++shard)
    wishes.push_back(wish_for(static_cast<model::shard_id>(shard), view, options, members));
  leader_balance{wishes, members}.run();

  auto p = placement_plan{};
  const auto is_open = [&](const wish& w) { return w.record && is_led(view, *w.record); };
  for (const auto& w : wishes)  // who lacks copies does not wait
    p.moving += is_moving(w) || (is_open(w) && is_to_move(w) && lacks_copies(view, w)) ? 1 : 0;
  wishes.push_back(wish_for(model::catalogue_shard, view, options, members));

  for (const auto& w : wishes) {
    if (!w.record) {
      if (auto record = made(w, view.about && view.about->found_again))
        p.changes.push_back({w.shard, std::move(*record)});
      continue;
    }
    if (is_stuck(view, *w.record))
      p.stuck.push_back(w.shard);
    if (!is_open(w) || w.nodes.empty())
      continue;
    auto may_begin = w.shard == model::catalogue_shard || !is_to_move(w) || is_moving(w) ||
                     lacks_copies(view, w);
    if (!may_begin && p.moving < options.moves_at_once) {
      may_begin = true;
      ++p.moving;
    }
    if (auto record = changed(w, may_begin, members); record != *w.record)
      p.changes.push_back({w.shard, std::move(record)});
  }
  return p;
}

}  // namespace orrery::cluster
