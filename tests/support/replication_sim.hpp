// A cluster of three nodes in one thread: replicas of one shard over a network that loses, delays,
// doubles and reorders, disks that lose what was not written, and a coordinator whose answers get
// lost. Every seed is another schedule, always the same one.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "cluster/replica.hpp"

namespace orrery::tests {

/// A promise of the protocol was broken.
class broken_promise : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class replication_sim {
 public:
  enum class machine_crashes { none, one_at_a_time, any };
  struct options {
    std::uint64_t seed = 0;
    int steps = 400;
    bool sync = false;
    machine_crashes crashes = machine_crashes::one_at_a_time;
    std::size_t min_in_sync = 1;
    /// One node more than may be in sync: it only follows.
    bool observer = false;
    /// Disks are lost and come back from a backup; an operator gives shards that nobody has all of
    /// to a copy that is there.
    bool recoveries = false;
  };
  struct counts {
    std::uint64_t acknowledged = 0, activations = 0, reads = 0, crashes = 0, machine_crashes = 0,
                  hand_overs = 0, proposals = 0, checkpoints = 0, lapses = 0, truncations = 0,
                  restores = 0, recoveries = 0, discards = 0, lost = 0;
    counts& operator+=(const counts& o);
  };

  explicit replication_sim(options o);
  /// Throws broken_promise.
  counts run();

 private:
  static constexpr std::uint32_t most_nodes = 4;
  static constexpr std::uint32_t coordinator = most_nodes;
  static constexpr std::size_t in_sync_most = 3;
  static constexpr int lease_time = 40, margin = 4;

  struct entry {
    cluster::log_position at;
    std::uint64_t value;  // 0: none
  };
  struct disk {
    cluster::log_position begin;
    std::vector<entry> log;    // written
    std::uint64_t synced = 0;  // index
    std::vector<entry> state;  // what was applied and trimmed from the log
    std::uint64_t led = 0;
  };
  struct node {
    bool up = false;
    bool whole = true;
    bool restored = false;
    cluster::incarnation_id incarnation = 0;
    bool registered = false;  // knows that it is
    int deadline = -1;
    std::unique_ptr<cluster::replica> part;
    disk kept, backup;
    std::vector<entry> log;  // appended, maybe not written
    std::deque<cluster::write_log> writes;
    std::uint64_t applied = 0;                       // index
    std::map<std::uint64_t, std::uint64_t> waiting;  // index -> value
    std::optional<std::pair<cluster::log_position, std::vector<entry>>> installing;
  };

  struct keep_alive {
    cluster::incarnation_id of;
    int sent_at;
  };
  struct kept_alive {
    cluster::incarnation_id of;
    int sent_at;
    bool good;
  };
  struct register_me {
    cluster::incarnation_id as;
  };
  struct read_record {};
  struct record_is {
    cluster::shard_record now;
    std::optional<cluster::incarnation_id> registered;
    bool primary_gone;
  };
  struct swap {
    cluster::proposal what;
  };
  struct swapped {
    std::uint64_t on;
    cluster::shard_record now;
  };
  struct checkpoint {
    std::uint64_t epoch;
    cluster::log_position at;
    std::uint64_t recovered;
    std::vector<entry> state;
  };
  using content = std::variant<keep_alive, kept_alive, register_me, read_record, record_is, swap,
                               swapped, checkpoint, cluster::replica_message>;
  struct message {
    std::uint32_t from, to;
    cluster::incarnation_id life;  // of the receiver's process: another one does not get it
    content what;
  };

  bool chance(double p) { return std::uniform_real_distribution{}(random_) < p; }
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  void send(std::uint32_t from, std::uint32_t to, content what);
  bool reach(std::uint32_t a, std::uint32_t b) const;
  void step();
  void deliver();
  void at_coordinator(std::uint32_t from, const content& what);
  void at_node(std::uint32_t to, std::uint32_t from, const content& what);
  void node_step(std::uint32_t who);
  void crash(std::uint32_t who);
  void recover();
  void forget_what_is_lost(std::uint32_t who);
  bool is_overtaken(std::uint32_t who) const;
  void start(std::uint32_t who);
  static void forget(node& n);
  void lapse(std::uint32_t who);
  void cut_network();
  void write_some(std::uint32_t who, std::size_t most);
  void act(std::uint32_t who);
  void do_action(std::uint32_t who, const cluster::action& a);
  void ship(std::uint32_t who, const cluster::ship& s);
  void commit(std::uint32_t who, const cluster::commit_up_to& c);
  void check_activation(std::uint32_t who, std::uint64_t epoch);
  void check_read(std::uint32_t who);
  bool has(std::uint32_t who, std::uint64_t value, std::uint64_t up_to) const;
  static std::vector<entry>::const_iterator behind(const std::vector<entry>& log,
                                                   std::uint64_t index);
  [[noreturn]] void broken(const std::string& what) const;

  options options_;
  std::uint32_t count_;  // of nodes
  std::mt19937_64 random_;
  std::vector<node> nodes_;
  std::vector<message> network_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> cut_;
  int time_ = 0;
  // The coordinator.
  cluster::shard_record record_;
  std::map<std::uint32_t, cluster::incarnation_id> registrations_;
  std::map<std::uint32_t, int> leases_;

  std::uint64_t lives_ = 0;
  std::uint64_t values_ = 0;
  std::map<std::uint64_t, std::uint64_t> acknowledged_;  // value -> index
  std::map<std::uint64_t, entry> committed_;             // by index, as the first one saw it
  std::map<cluster::log_position, std::set<std::uint32_t>> written_by_;  // whoever ever had it
  std::map<std::uint64_t, std::uint32_t> served_by_;                     // epoch -> primary
  std::optional<std::uint32_t> crashed_machine_;
  std::uint64_t recovered_ = 0;  // an operator's choice that has not been served yet
  counts counts_;
};

}  // namespace orrery::tests
