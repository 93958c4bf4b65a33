// What all shards of a node work with: its store, its ways to the rest, who is there, and the round
// of writes that is open.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "actors/replication.hpp"
#include "cluster/cluster_records.hpp"
#include "cluster/peers.hpp"
#include "cluster/replica.hpp"
#include "cluster/shard_copies.hpp"
#include "storage/entity_store.hpp"

namespace orrery::cluster {

struct replicas_options {
  node_id self = 0;
  std::uint16_t shard_count = 64;  // and the catalogue
  std::size_t catalogue_factor = 3;
  std::size_t min_in_sync = 1;
  bool sync = false;      // every replica syncs its disk before it acknowledges
  bool whole = true;      // false: the machine crashed, and logs may lack their ends
  bool restored = false;  // what is here is from a backup
  /// A change of the catalogue is answered once every node has it, or after so long.
  std::chrono::milliseconds spread_patience{5000};
  std::chrono::milliseconds silence{3000};         // of a replica that is given up then
  std::chrono::milliseconds leave_patience{3000};  // for a planned move
  std::chrono::milliseconds offer_after{5000};     // of a shard that nobody serves
  std::chrono::milliseconds trim_interval{std::chrono::minutes{1}};
  std::chrono::milliseconds journal_retention{std::chrono::hours{72}};
};

/// How it reaches the rest. Every one returns at once.
struct replicas_ports {
  /// False: there is no link, or it takes no more now.
  std::function<bool(node_id, std::string)> send;
  /// Asks the coordinator; then replicas::decided or replicas::undecided is to be called.
  std::function<void(model::shard_id, const proposal&)> propose;
  std::function<std::chrono::milliseconds()> clock;         // does not go back
  std::function<std::chrono::milliseconds()> serves_until;  // by that clock
  std::function<model::timestamp()> now;
  /// Rows of committed entries have been applied.
  std::function<void(model::shard_id, const std::vector<storage::row>&)> applied;
  /// The whole state of the shard was replaced by a copy.
  std::function<void(model::shard_id)> loaded;
  /// The shard is to move: its host lets go of it, then replicas::host_left is to be called.
  std::function<void(model::shard_id)> leave;
  /// It does not move after all.
  std::function<void(model::shard_id)> stay;
  /// Nobody who has all of the shard is there: what is here, for an operator to choose.
  std::function<void(model::shard_id, const offered_copy&)> offer;
};

/// For the metrics page. Any thread.
struct replicas_figures {
  std::atomic<std::uint64_t> primaries{0};
  std::atomic<std::uint64_t> in_sync{0};   // shards in whose in-sync set this node is
  std::atomic<std::uint64_t> learning{0};  // replicas here that are not in sync
  std::atomic<std::uint64_t> lacking{0};   // primaries here with too few replicas in sync
  std::atomic<std::uint64_t> elections{0}, moves{0}, given_up{0}, taken_in{0};
  std::atomic<std::uint64_t> copies_sent{0}, copies_received{0};
  std::atomic<std::uint64_t> entries_shipped{0}, bytes_shipped{0};
};

/// Shards in the order in which they were put in, each once.
class shard_queue {
 public:
  void insert(model::shard_id shard) {
    if (is_in_[shard])
      return;
    is_in_[shard] = true;
    order_.push_back(shard);
  }
  bool empty() const { return order_.empty(); }
  const std::vector<model::shard_id>& all() const { return order_; }
  std::vector<model::shard_id> take() {
    for (const auto shard : order_)
      is_in_[shard] = false;
    return std::exchange(order_, {});
  }

 private:
  std::vector<bool> is_in_ = std::vector<bool>(std::numeric_limits<model::shard_id>::max() + 1u);
  std::vector<model::shard_id> order_;
};

/// What is told once the round that is open is in the store.
struct shard_news {
  actors::shard_progress what;
  std::vector<storage::row> applied{};  // of the catalogue
};

/// Used on the writer's thread.
struct replicas_shared {
  replicas_shared(std::shared_ptr<storage::entity_store> at, replicas_options wanted,
                  replicas_ports to, std::shared_ptr<replicas_figures> counts);

  /// Something has happened to it: what comes of that is done before the next write, and the next
  /// tick looks at it.
  void touch(model::shard_id shard) {
    dirty.insert(shard);
    due.insert(shard);
  }
  void tell(model::shard_id shard, actors::shard_progress::what happened, std::uint64_t offset = 0,
            bool acknowledged = true);
  void send(node_id to, model::shard_id shard, const replica_envelope& what) const;
  /// A write outside the rounds: what follows must not happen before it. False: nothing goes on,
  /// the store is to be opened again.
  bool put_now(std::span<const storage::row> rows, bool sync);
  /// The same with all rows of the open round before.
  bool put_round_and(std::vector<storage::row> rows);
  /// A write has failed, or nothing can be made of what is kept.
  void fail() { failed = round.needed = true; }

  const std::shared_ptr<storage::entity_store> store;
  const replicas_options options;
  const replicas_ports ports;
  const std::shared_ptr<replicas_figures> figures;
  shard_copies copies;
  peers nodes;
  /// There is a catalogue, and what is here of it was never level: this node learns no other shard
  /// yet, for whoever leads one without it knows none of its devices' models.
  enum class catalogue_state : std::uint8_t { unknown, behind, level } catalogue{};
  bool hands_over_all = false;                // this node ends soon
  std::optional<incarnation_id> incarnation;  // of its registration
  actors::write_round round;
  std::vector<shard_news> news;  // in order
  shard_queue dirty;             // may have something to do before the next write
  shard_queue due;               // the next tick looks at it
  shard_queue writing;           // has something in the open round
  /// All rows of the open round so far were put before it.
  std::function<void()> on_round_put = [] {};
  bool failed = false;
};

}  // namespace orrery::cluster
