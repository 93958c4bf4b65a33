// Brings what the API does and refuses into the audit logs: writes records, tries again what could
// not be written, counts what comes too often to be told one by one.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "actors/caller.hpp"
#include "model/audit/audit.hpp"
#include "model/value.hpp"
#include "observe/metrics.hpp"

namespace orrery::transport::api {

/// What is to stand in one log.
struct audit_note {
  std::string organisation;  // whose log
  std::string request;       // id of the request
  model::object entry;
};

struct audit_trail_parts {
  /// Asks an entity once, as actors::caller does.
  std::function<void(actors::target, actors::any_command, actors::caller::on_answer)> ask;
  std::uint16_t shard_count = 64;
  std::function<model::timestamp()> now;
  model::milliseconds patience{10'000};  // so long the answer to a change waits for its record
  observe::metrics* metrics = nullptr;
};

/// Thread-safe. Callbacks run once each, on an actor's thread or the caller's.
class audit_trail : public std::enable_shared_from_this<audit_trail> {
 public:
  using then = std::function<void(model::status)>;
  /// So many records wait at most to be tried again; then the oldest goes to the node's own log.
  static constexpr std::size_t max_waiting = 1000;
  /// So many sources are counted at a time, each by itself; what comes from more is counted as one.
  static constexpr std::size_t max_sources = 100;
  /// So many refusals of one caller are told one by one in a minute.
  static constexpr std::uint32_t told_one_by_one = 30;

  explicit audit_trail(audit_trail_parts p);

  /// Before something is changed: whether the log takes records. It is asked only after one could
  /// not be written. Fails: `unavailable` "audit_unavailable".
  void prepare(const std::string& organisation, then go_on);
  /// `done` once the record is committed, or has not been for too long: `unavailable`
  /// "audit_unavailable". Then it is still tried.
  void note(audit_note n, then done);
  /// One of many of the same sort: the first one is written, those that come within a minute after
  /// it are counted, and their number is written then. `source`: who does it, "" for nobody.
  void count(audit_note n, const std::string& source);
  /// Whether one more refusal of that caller may have a record of its own.
  bool tells_one_by_one(const std::string& caller);

  /// Tries again, writes what was counted. Several times a second.
  void look_after();
  /// The node stops: writes what was counted.
  void flush();

 private:
  struct waiting {
    audit_note what;
    model::timestamp until;  // the answer waits
    then done;               // null: nobody waits any more
    bool asked = false;
    model::timestamp next;
  };
  struct counted {
    audit_note last;
    model::timestamp since;
    std::uint64_t more = 0;
  };
  using sort = std::tuple<std::string, std::string, std::string, std::string>;

  void ask(const std::shared_ptr<waiting>& w, bool again);
  void settled(const std::shared_ptr<waiting>& w, const actors::answer& got);
  void write_counted(std::vector<counted> all);

  audit_trail_parts parts_;
  observe::counter& written_;
  observe::counter& late_;
  observe::counter& lost_;
  std::mutex mutex_;
  std::set<std::string> broken_;  // organisations whose log did not take the last record
  std::deque<std::shared_ptr<waiting>> waiting_;
  std::map<sort, counted> counted_;
  std::map<std::string, std::uint32_t> told_;
  model::timestamp told_since_{};
};

}  // namespace orrery::transport::api
