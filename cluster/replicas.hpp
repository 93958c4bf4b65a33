// All shards that this node has a part in, on the journal writer's thread: passes what happens to
// each of them (cluster/held_shard), and what came of it to the writer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "actors/replication.hpp"
#include "cluster/catalogue_spread.hpp"
#include "cluster/held_shard.hpp"
#include "cluster/replica_wire.hpp"
#include "cluster/replicas_shared.hpp"

namespace orrery::cluster {

using shard_records = std::map<model::shard_id, shard_record>;

/// Everything is called on the writer's thread.
class replicas final : public actors::replication {
 public:
  replicas(std::shared_ptr<storage::entity_store> store, replicas_options options,
           replicas_ports ports, std::shared_ptr<replicas_figures> figures);
  ~replicas() override;

  /// Reads what is on the disk. Fails: as the store does.
  model::status open();

  // ---- from the cluster
  void registered(incarnation_id own, const shard_records& now);
  void lapsed();
  /// What the coordinator's records are, which nodes are registered, and which are to go.
  void records(const shard_records& now, const node_set& nodes, const node_set& leaving);
  void decided(model::shard_id shard, std::uint64_t on, const shard_record& now);
  void undecided(model::shard_id shard);
  /// Nodes that end soon: they are given nothing to lead.
  void stopping(const node_set& who) {
    shared_.nodes.stopping = who;
    look_at_all();
  }
  /// This node ends soon: whatever it leads goes to a replica that is in sync.
  void hand_over_all() {
    shared_.hands_over_all = true;
    look_at_all();
  }
  void link_up(node_id who);
  void link_down(node_id who);
  void received(node_id from, addressed message);
  /// Nothing more comes for the shard from its entities here.
  void host_left(model::shard_id shard);
  /// What time brings; to be called every 50 ms or so. Looks at shards to which something happened
  /// or where something is under way, and at every shard once in `ticks_for_all`.
  void tick();
  static constexpr std::size_t ticks_for_all = 20;
  /// The whole log went to the disk of a machine that has not crashed since: true once all shards
  /// have taken their part up again. As of the last tick.
  bool all_joined() const { return whole_.unjoined == 0; }

  // ---- from the journal's writer
  std::optional<std::uint64_t> write(storage::frame& f) override;
  std::uint64_t end_of(model::shard_id shard) const override;
  bool may_answer() const override;
  void collect(actors::write_round& into) override;
  void written(bool ok) override;
  bool has_more() const override {
    return !shared_.dirty.empty() || !shared_.round.rows.empty() || shared_.round.needed;
  }
  std::vector<actors::shard_progress> take_progress() override;
  void start_again() override;
  bool failed() const override { return shared_.failed; }

 private:
  held_shard* find(model::shard_id shard);
  /// The next tick does.
  void look_at_all();
  void pass_on(const shard_news& item);
  void pass_on_catalogue(const actors::shard_progress& what, const held_shard& h);
  void tell_spread();
  void say(const actors::shard_progress& what);
  void say_all(const std::vector<actors::shard_progress>& all);
  void count(model::shard_id shard, const shard_part& now);
  void show_figures();

  replicas_shared shared_;
  std::unordered_map<model::shard_id, held_shard> shards_;
  catalogue_spread spread_;
  std::vector<model::shard_id> turns_;  // all shards, as ticks come to them
  std::size_t next_turn_ = 0;
  std::unordered_map<model::shard_id, shard_part> counted_;  // as it was looked at last
  shard_part whole_;                                         // the sum of these
  std::vector<actors::shard_progress> progress_;
  std::set<model::shard_id> served_;  // as the writer was told
  bool writes_synced_ = false;        // the round under way goes to the disk itself
};

}  // namespace orrery::cluster
