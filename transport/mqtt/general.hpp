// The general topics of one connection: what its client publishes goes to all who listen in its
// organisation, and what others publish comes to it. Beside the topics of the device protocol.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/catalogue.hpp"
#include "model/topic_rule.hpp"
#include "observe/metrics.hpp"
#include "transport/link.hpp"
#include "transport/mqtt/engine.hpp"
#include "transport/mqtt/topic_statistics.hpp"

namespace orrery::transport::mqtt {

/// How long what is under way is waited for when a connection ends.
inline constexpr auto leave_patience = std::chrono::seconds{3};

/// Whose topics they are, and who uses them.
struct general_user {
  std::string organisation;
  std::string name;         // of the client: by it a kept session is found again
  std::string actor;        // in logs
  bool everything = false;  // of all topics that are nobody's own; else the rules say
  std::vector<model::topic_rule> rules{};
  model::topic_user as{};

  bool may_publish(std::string_view topic) const;
  bool may_subscribe(std::string_view filter) const;
};

struct general_parts {
  std::shared_ptr<const actors::catalogue> known;
  std::function<model::timestamp()> now;
  std::uint16_t shard_count = 64;
  std::function<observe::counter&(std::string_view operation, std::string_view result)> messages;
  std::shared_ptr<topic_statistics> statistics;
  model::milliseconds login_timeout{5'000};
};

/// What it needs of its connection. On the connection's thread.
class general_owner {
 public:
  virtual engine& general_engine() = 0;
  virtual link& general_link() = 0;
  virtual std::uint64_t next_question() = 0;
  /// A part of what a SUBSCRIBE or UNSUBSCRIBE asked for is done.
  virtual void subscription_done(std::uint64_t ticket) = 0;
  virtual void client_attached(model::result<model::client::attach_granted> granted) = 0;
  virtual void general_ends(std::string_view reason) = 0;
  /// Runs it after that time, unless the connection is gone.
  virtual void general_later(model::milliseconds when, std::function<void()> what) = 0;

 protected:
  ~general_owner() = default;
};

class general_topics {
 public:
  general_topics(general_parts parts, general_user user, general_owner& owner);
  ~general_topics();
  general_topics(const general_topics&) = delete;
  general_topics& operator=(const general_topics&) = delete;

  /// Asks for the client's session; `client_attached` says what came of it.
  void attach(bool resumes, std::uint32_t expiry, std::optional<model::client::last_will> will);
  /// QoS that a filter is granted, or a reason code from 0x80 on.
  std::uint8_t grant(std::string_view filter, qos wanted) const;
  /// A message of the client on a topic that is not the device protocol's.
  void publish(const message& m);
  /// Changes of filters for which `is_mine` holds. Each calls `subscription_done` in the end: when
  /// the retained messages are there too, which follow it at once. So what is published once the
  /// client knows that it has subscribed comes behind them.
  void change(std::uint64_t ticket, std::map<std::string, std::optional<std::uint64_t>> changes,
              std::vector<std::string> wants_retained);
  /// Comes back to the groups of a session that goes on.
  void rejoin(const std::map<std::string, std::uint64_t>& filters);
  void deliver(const model::topic_delivery& d, bool repeated);
  void take(const received& news);
  void take(const completed& news);
  /// True if the answer was for one of its questions.
  bool settle(actors::settled& one);
  /// Sends what the client has acknowledged since.
  void flush();
  std::size_t open() const { return questions_.size() + waiting_.size(); }
  /// Time of the oldest question that is not answered.
  std::optional<model::timestamp> oldest() const;
  const general_user& user() const { return user_; }
  /// False: the key that the application logged in with counts no more.
  bool is_allowed();
  bool keeps() const { return expiry_ > 0; }
  /// Without who publishes it.
  static model::client::last_will make_will(const will& w);

 private:
  /// A publish on its way to those who listen.
  struct publishing {
    std::uint64_t ticket = 0;
    std::size_t missing = 0;
    std::uint64_t taken = 0;
    bool refused = false;  // it is not retained: there are too many
  };
  struct change_work {
    std::uint64_t ticket = 0;
    std::size_t missing = 0;
    std::vector<std::string> wants_retained;
    std::map<std::string, std::optional<std::uint64_t>> changes;
    std::size_t looking = 0;  // questions for retained messages
    struct retained {
      model::shared_message what;
      std::uint64_t options;
    };
    std::vector<retained> found;
    // What came live meanwhile and is retained now: older ones of those topics are not.
    std::map<std::string, model::timestamp, std::less<>> newer;
  };
  struct question {
    model::timestamp since;
    std::function<void(actors::answer&)> then;
  };
  struct taken_from {
    model::entity_id source;
    std::uint64_t number;
  };

  void join(const std::string& filter, std::uint64_t options,
            std::function<void(actors::answer&)> then);
  void send_attach(model::client::attach order, model::timestamp until, model::milliseconds pause);
  model::shard_id topic_shard(std::string_view topic) const;
  void ask(std::vector<actors::ask_batch> batches, std::function<void(actors::answer&)> then);
  actors::ask_batch question_for(const model::entity_id& whom, model::client::order what) const;
  const model::organisation::state* organisation();
  void when_open(model::shard_id shard, std::function<void()> then);
  void run_waiting();
  void send_published(const std::shared_ptr<const model::topic_message>& m, std::uint64_t ticket);
  void look_for_retained(const std::shared_ptr<change_work>& work);
  void finish_change(const change_work& work);
  void send_retained(const model::shared_message& m, std::uint64_t options);
  void settle_message(const model::entity_id& source, std::uint64_t number, bool over);
  void refuse(const message& m);

  general_parts parts_;
  general_user user_;
  general_owner& owner_;
  std::shared_ptr<const actors::catalogue_snapshot> held_;
  model::entity_id id_;
  std::shared_ptr<topic_counts> counts_;
  std::uint32_t expiry_ = 0;
  std::unordered_map<std::uint64_t, question> questions_;
  struct waiter {
    model::shard_id shard;
    std::function<void()> then;
  };
  std::vector<std::weak_ptr<change_work>> looking_;  // for retained messages
  std::deque<waiter> waiting_;                       // for a shard to be opened, in order
  bool opening_ = false;
  std::uint64_t last_key_ = 0;
  std::unordered_map<std::uint64_t, taken_from> under_way_;
  std::map<model::entity_id, model::client::settle> settled_;
};

/// True for a filter, or the one in its $share, that the device protocol has nothing to do with:
/// one for statistics too.
bool is_general_filter(std::string_view filter);

}  // namespace orrery::transport::mqtt
