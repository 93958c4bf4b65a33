// Joins one connection to its session actor: questions go down, answers and downlinks come up in
// one wake-up for many.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include <caf/fwd.hpp>

#include "actors/journal.hpp"
#include "actors/session.hpp"
#include "net/wake_list.hpp"

namespace orrery::transport {

/// What all connections of a node share.
struct link_parts {
  caf::actor_system* system = nullptr;
  actors::session_parts session;
  std::shared_ptr<const actors::journal_figures> journal;
  std::size_t journal_queue_max_bytes = 64 * 1024 * 1024;
};

/// What came up since the last look.
struct link_inbox {
  std::vector<actors::settled> answers;
  std::vector<model::downlink> downlinks;
  std::vector<model::device_name> subs_gone;  // sub-devices that are not logged in any more
  std::optional<std::string_view> close;      // the device's right to this session ended
};

/// One connection's end of its session. All but the session_port part is called on the connection's
/// own thread.
class link final : public actors::session_port,
                   public net::wakeable,
                   public std::enable_shared_from_this<link> {
 public:
  /// `wake` runs on the connection's thread (that of `wakes`) when the inbox is not empty any more.
  static std::shared_ptr<link> open(const link_parts& parts, net::wake_list& wakes,
                                    std::function<void()> wake);

  void login(std::uint64_t number, model::device_name who, model::device::connect how);
  /// Speaks in the name of the service alone, as `actor`; no login follows.
  void open_channel(std::string actor);
  void ask(std::vector<actors::session_ask> questions);
  /// Its own client of general topics, or a group that it joins; the answer comes as others do.
  void attach(std::uint64_t number, const model::entity_id& whom, model::client::order how);
  void leave(const model::entity_id& group);
  /// Questions that go to their shards as they are; the answers come here if `from_here`.
  void route(std::vector<actors::ask_batch> batches, bool from_here);
  /// The connection is gone. `reason`: static text, becomes the device's offline reason.
  void closed(std::string_view reason, model::client::detach client = {});

  link_inbox take();
  /// True while the journal's queue is over its limit: read no more from the socket for now.
  bool must_wait() const;

  void settle(std::vector<actors::settled> answers) override;
  void deliver(model::downlink message) override;
  void close(std::string_view reason) override;
  void sub_device_gone(model::device_name who) override;
  void woken() override;

 private:
  link(const link_parts& parts, net::wake_list& wakes, std::function<void()> wake);
  bool empty() const {
    return inbox_.answers.empty() && inbox_.downlinks.empty() && inbox_.subs_gone.empty() &&
           !inbox_.close;
  }
  template <class F>
  void put(F into);

  net::wake_list& wakes_;
  std::function<void()> wake_;
  std::shared_ptr<const actors::journal_figures> journal_;
  std::size_t journal_queue_max_bytes_;
  actors::session_actor session_;
  std::shared_ptr<actors::ask_router> router_;
  std::mutex mutex_;
  link_inbox inbox_;
};

}  // namespace orrery::transport
