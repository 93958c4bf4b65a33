// Brings what the API does and refuses into the audit logs: writes records, tries again what could
// not be written, counts what comes too often to be told one by one.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <utility>
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

/// What is counted is bounded for each of these by itself, so that none hides another.
enum class counted_as : std::uint8_t {
  stranger,  // nobody knows who it is, nor whom it is about
  member,    // it is in the log of an organisation
  data       // as devices bring it
};

/// Thread-safe. Callbacks run once each, on an actor's thread or the caller's.
class audit_trail : public std::enable_shared_from_this<audit_trail> {
 public:
  using then = std::function<void(model::status)>;
  /// So many records wait at most to be tried again; then the oldest goes to the node's own log.
  static constexpr std::size_t max_waiting = 1000;
  /// So many changes wait at most for a log to take records again; more are refused at once.
  static constexpr std::size_t max_held = 1000;
  /// So many sorts (who, what, which reason) of each `counted_as` are counted at a time, each by
  /// itself; of more there is one number for each log.
  static constexpr std::size_t max_sorts = 100;
  /// So many of them from one address, but of data; of more there is one number for the address.
  static constexpr std::size_t max_sorts_of_address = 10;
  /// So many refusals of one caller are told one by one in a minute.
  static constexpr std::uint32_t told_one_by_one = 30;

  explicit audit_trail(audit_trail_parts p);

  /// Before something is changed that these logs are to have: goes on when they take records. They
  /// do not while one waits that could not be written; whoever asks waits for that, as long as an
  /// answer waits for its record. Fails: `unavailable` "audit_unavailable".
  void prepare(std::vector<std::string> logs, then go_on);
  /// `done` once the record is committed, or has not been for too long: `unavailable`
  /// "audit_unavailable". Then it is still tried.
  void note(audit_note n, then done);
  /// One of many of the same sort: the first one is written, those that come within a minute after
  /// it are counted, and their number is written then. `source`: who does it, "" for nobody.
  void count(audit_note n, const std::string& source, const std::string& address, counted_as as);
  /// Whether one more refusal of that caller may have a record of its own.
  bool tells_one_by_one(const std::string& caller);

  /// Tries again, writes what was counted. Several times a second.
  void look_after();
  /// The node stops: writes what was counted. What waits is given up and told to the node's own
  /// log, and so is from now on whatever cannot be written at once.
  void flush();
  /// Records that are neither written nor given up, of which nobody has heard yet too.
  std::size_t records_open() const;
  /// The node has waited long enough behind flush(): gives up those.
  void give_up_open();

 private:
  struct waiting {
    audit_note what;
    model::timestamp until;  // the answer waits
    then done;               // null: nobody waits any more
    bool asked = false;
    model::timestamp next;
    bool given_up = false;
  };
  using waiting_ptr = std::shared_ptr<waiting>;
  struct held {
    std::vector<std::string> logs;
    model::timestamp until;
    then go_on;
  };
  struct counted {
    audit_note last;
    model::timestamp since;
    std::uint64_t more = 0;
    std::string address{};  // whose bound it takes a part of
    bool is_many = false;   // it takes no part of any bound
  };
  /// As what, log, source, action, reason.
  using sort = std::tuple<counted_as, std::string, std::string, std::string, std::string>;

  void ask(const waiting_ptr& w, bool again);
  void settled(const waiting_ptr& w, const actors::answer& got);
  void write_counted(std::vector<counted> all);
  void give_up(const std::vector<waiting_ptr>& all);
  // With the mutex held:
  bool takes(const std::vector<std::string>& logs) const;
  /// Those that need not wait any more go from held_.
  std::vector<then> released();
  void keep(const waiting_ptr& w);
  void forget(const waiting_ptr& w);
  /// The one that is to go when too many wait.
  waiting_ptr one_too_many();
  /// What the note is counted under, which may be one number for many sorts.
  sort sort_of(audit_note& n, const std::string& source, const std::string& address, counted_as as,
               bool& is_many);
  void leave_bounds(const sort& what, const counted& c);

  audit_trail_parts parts_;
  observe::counter& written_;
  observe::counter& late_;
  observe::counter& lost_;
  mutable std::mutex mutex_;
  std::set<waiting_ptr> open_;                // not finished for good
  std::deque<waiting_ptr> waiting_;           // could not be written so far
  std::map<std::string, std::size_t> waits_;  // so many of each log; none of 0
  std::deque<held> held_;                     // changes that are not begun yet
  bool stopped_ = false;
  std::map<sort, counted> counted_;
  std::array<std::size_t, 3> sorts_{};  // of each counted_as
  std::map<std::pair<counted_as, std::string>, std::size_t> sorts_of_address_;
  std::map<std::string, std::uint32_t> told_;
  model::timestamp told_since_{};
};

}  // namespace orrery::transport::api
