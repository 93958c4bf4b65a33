// The cluster: its nodes and shards, orders on them, backups.
#include <algorithm>
#include <charconv>

#include "actors/cluster_desk.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

using actors::desk_order;
using model::errc;

/// Other organisations are guests of the cluster.
constexpr auto owner = "default";

const char* word_of(actors::desk_node_state s) {
  switch (s) {
    case actors::desk_node_state::up:
      return "up";
    case actors::desk_node_state::absent:
      return "absent";
    case actors::desk_node_state::draining:
      return "draining";
    case actors::desk_node_state::removed:
      return "removed";
  }
  return "";
}

const char* word_of(actors::desk_shard_state s) {
  switch (s) {
    case actors::desk_shard_state::stuck:
      return "stuck";
    case actors::desk_shard_state::without_primary:
      return "withoutPrimary";
    case actors::desk_shard_state::lacking:
      return "lacking";
    case actors::desk_shard_state::moving:
      return "moving";
    case actors::desk_shard_state::whole:
      return "whole";
  }
  return "";
}

const char* word_of(actors::desk_backup_state s) {
  switch (s) {
    case actors::desk_backup_state::running:
      return "running";
    case actors::desk_backup_state::complete:
      return "complete";
    case actors::desk_backup_state::partial:
      return "partial";
    case actors::desk_backup_state::failed:
      return "failed";
  }
  return "";
}

const char* word_of(actors::desk_backup_part_state s) {
  switch (s) {
    case actors::desk_backup_part_state::running:
      return "running";
    case actors::desk_backup_part_state::complete:
      return "complete";
    case actors::desk_backup_part_state::failed:
      return "failed";
    case actors::desk_backup_part_state::absent:
      return "absent";
  }
  return "";
}

model::value number(std::size_t n) {
  return static_cast<std::int64_t>(n);
}

model::value texts(const std::vector<std::string>& all) {
  auto a = model::array{};
  for (const auto& one : all)
    a.emplace_back(one);
  return a;
}

model::value show(const exchange& e, const actors::desk_node& n) {
  auto o = model::object{{"name", n.name},
                         {"number", number(n.number)},
                         {"state", word_of(n.state)},
                         {"present", n.present}};
  if (!n.order.empty())
    o.emplace_back("order", n.order);
  if (n.present) {
    auto addresses = model::object{};
    for (const auto& [of, address] : n.addresses)
      addresses.emplace_back(of, address);
    o.emplace_back("version", n.version);
    o.emplace_back("zone", n.zone);
    o.emplace_back("weight", number(n.weight));
    o.emplace_back("addresses", std::move(addresses));
  }
  if (n.started)
    o.emplace_back("startedAt", e.show(*n.started));
  o.emplace_back("primaries", number(n.primaries));
  o.emplace_back("inSync", number(n.in_sync));
  o.emplace_back("learning", number(n.learning));
  return o;
}

model::value show(const exchange& e, const actors::desk_status& s) {
  auto coordinator = model::object{{"kind", s.coordinator}, {"reachable", !s.trouble.has_value()}};
  if (s.trouble)
    coordinator.emplace_back("trouble", *s.trouble);
  auto shards = model::object{};
  auto total = std::size_t{0};
  for (const auto& [state, n] : s.shards) {
    shards.emplace_back(word_of(state), number(n));
    total += n;
  }
  shards.emplace_back("total", number(total));
  auto nodes = model::array{};
  for (const auto& n : s.nodes)
    nodes.push_back(show(e, n));
  auto o =
      model::object{{"name", s.name}, {"node", s.node}, {"coordinator", std::move(coordinator)}};
  if (s.controller)
    o.emplace_back("controller", *s.controller);
  o.emplace_back("copies", number(s.copies));
  o.emplace_back("shards", std::move(shards));
  o.emplace_back("nodes", std::move(nodes));
  return o;
}

model::value show(const actors::desk_shard& s) {
  auto o = model::object{{"shard", number(s.number)},
                         {"catalogue", s.number == model::catalogue_shard},
                         {"state", word_of(s.state)},
                         {"epoch", number(s.epoch)}};
  if (s.primary)
    o.emplace_back("primary", *s.primary);
  if (s.preferred)
    o.emplace_back("preferred", *s.preferred);
  o.emplace_back("inSync", texts(s.in_sync));
  o.emplace_back("replicas", texts(s.replicas));
  return o;
}

model::value show(const actors::desk_move& m) {
  auto o = model::object{{"shard", number(m.shard)}};
  if (m.primary)
    o.emplace_back("primary", *m.primary);
  if (m.leader)
    o.emplace_back("leader", *m.leader);
  o.emplace_back("copies", texts(m.copies));
  return o;
}

model::value show(const exchange& e, const actors::desk_backup_part& p) {
  auto o = model::object{{"node", p.node}, {"state", word_of(p.state)}};
  if (p.bytes)
    o.emplace_back("bytes", number(*p.bytes));
  if (p.took)
    o.emplace_back("seconds", std::chrono::duration<double>{*p.took}.count());
  if (p.finished)
    o.emplace_back("finishedAt", e.show(*p.finished));
  if (!p.reason.empty()) {
    o.emplace_back("reason", p.reason);
    o.emplace_back("detail", p.detail);
  }
  return o;
}

model::value show(const exchange& e, const actors::desk_backup& b) {
  auto nodes = model::array{};
  for (const auto& part : b.nodes)
    nodes.push_back(show(e, part));
  return model::object{{"id", b.id},
                       {"state", word_of(b.state())},
                       {"startedAt", e.show(b.at)},
                       {"by", b.by},
                       {"nodes", std::move(nodes)}};
}

/// True: the caller may have a hand in the cluster. Else it is answered.
bool owns(const exchange_ptr& e) {
  if (e->who.organisation == owner)
    return true;
  e->fail({errc::forbidden, "forbidden",
           "the cluster is the matter of the organisation " + std::string{owner}});
  return false;
}

void status(const exchange_ptr& e) {
  if (owns(e))
    e->parts().desk->status([e](model::result<actors::desk_status> got) {
      got ? e->reply_one(show(*e, *got)) : e->fail(got.error());
    });
}

/// A page begins at a place in the list, which has the same length for ever.
void shards(const exchange_ptr& e) {
  if (!owns(e))
    return;
  const auto limit = e->limit();
  if (!limit)
    return e->fail(limit.error());
  const auto cursor = e->cursor();
  if (!cursor)
    return e->fail(cursor.error());
  auto from = std::size_t{0};
  std::from_chars(cursor->data(), cursor->data() + cursor->size(), from);
  e->parts().desk->shards(
      [e, from, limit = *limit](model::result<std::vector<actors::desk_shard>> got) {
        if (!got)
          return e->fail(got.error());
        auto items = model::array{};
        const auto end = std::min(from + limit, got->size());
        for (auto at = from; at < end; ++at)
          items.push_back(show((*got)[at]));
        e->reply_page(std::move(items), end < got->size() ? std::to_string(end) : "");
      });
}

void give(const exchange_ptr& e, desk_order::kind what) {
  if (!owns(e))
    return;
  auto order = desk_order{what, e->param("node"), {}, e->who.actor};
  if (what == desk_order::kind::replace) {
    const auto body = e->body();
    if (!body)
      return e->fail(body.error());
    auto f = fields{*body};
    const auto by = f.text("by", 128);
    if (!by)
      f.missing("by");
    if (auto ok = f.finish(); !ok)
      return e->fail(ok.error());
    order.by = *by;
  }
  e->parts().desk->give(std::move(order), [e](model::result<actors::desk_node> got) {
    got ? e->reply(200, show(*e, *got)) : e->fail(got.error());
  });
}
void drain(const exchange_ptr& e) {
  give(e, desk_order::kind::drain);
}
void undrain(const exchange_ptr& e) {
  give(e, desk_order::kind::undrain);
}
void remove(const exchange_ptr& e) {
  give(e, desk_order::kind::remove);
}
void replace(const exchange_ptr& e) {
  give(e, desk_order::kind::replace);
}

void rebalance(const exchange_ptr& e) {
  if (owns(e))
    e->parts().desk->moves([e](model::result<std::vector<actors::desk_move>> got) {
      if (!got)
        return e->fail(got.error());
      auto moves = model::array{};
      for (const auto& m : *got)
        moves.push_back(show(m));
      e->reply(200, model::object{{"automatic", true}, {"moves", std::move(moves)}});
    });
}

void begin_backup(const exchange_ptr& e) {
  if (owns(e))
    e->parts().desk->back_up(e->who.actor, [e](model::result<actors::desk_backup> got) {
      got ? e->reply(202, show(*e, *got)) : e->fail(got.error());
    });
}

void backups(const exchange_ptr& e) {
  if (owns(e))
    e->parts().desk->backups([e](model::result<std::vector<actors::desk_backup>> got) {
      if (!got)
        return e->fail(got.error());
      auto items = model::array{};
      for (const auto& b : *got)
        items.push_back(show(*e, b));
      e->reply_page(std::move(items), "");  // there are never many
    });
}

void backup(const exchange_ptr& e) {
  if (owns(e))
    e->parts().desk->backups([e](model::result<std::vector<actors::desk_backup>> got) {
      if (!got)
        return e->fail(got.error());
      for (const auto& b : *got)
        if (b.id == e->param("backup"))
          return e->reply_one(show(*e, b));
      e->fail({errc::not_found, "backup_unknown", "there is no backup " + e->param("backup")});
    });
}

}  // namespace

std::vector<route> cluster_routes() {
  return {
      {"GET", "/cluster", "cluster:read", status, "getCluster", "Nodes, and how the shards are", "",
       "Cluster", 200, ""},
      {"GET", "/cluster/shards", "cluster:read", shards, "listShards", "Where each shard is", "",
       "ShardList", 200, "limit cursor"},
      {"POST", "/cluster/nodes/{node}:drain", "cluster:manage", drain, "drainNode",
       "Its shards go elsewhere while it lives", "", "ClusterNode", 200, ""},
      {"POST", "/cluster/nodes/{node}:undrain", "cluster:manage", undrain, "undrainNode",
       "Take back that it is drained or removed", "", "ClusterNode", 200, ""},
      {"POST", "/cluster/nodes/{node}:remove", "cluster:manage", remove, "removeNode",
       "Its shards go elsewhere, and it does not come back", "", "ClusterNode", 200, ""},
      {"POST", "/cluster/nodes/{node}:replace", "cluster:manage", replace, "replaceNode",
       "Remove it, if another node is there to take shards", "Replacement", "ClusterNode", 200, ""},
      {"POST", "/cluster:rebalance", "cluster:manage", rebalance, "rebalanceCluster",
       "What is to move so that every shard is where it belongs; it moves by itself", "",
       "Rebalance", 200, ""},
      {"POST", "/cluster/backups", "cluster:manage", begin_backup, "beginBackup",
       "Begin a backup of all nodes that are there", "", "Backup", 202, ""},
      {"GET", "/cluster/backups", "cluster:read", backups, "listBackups",
       "Backups, newest first, with the state of each node's part", "", "BackupList", 200, ""},
      {"GET", "/cluster/backups/{backup}", "cluster:read", backup, "getBackup",
       "A backup, with the state of each node's part", "", "Backup", 200, ""},
  };
}

}  // namespace orrery::transport::api
