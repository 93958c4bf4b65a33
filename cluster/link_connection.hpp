// One connection between two nodes, of either side: greetings, then frames both ways, within the
// windows that both have granted.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "cluster/link_frame.hpp"
#include "cluster/node_link.hpp"
#include "model/result.hpp"
#include "net/stream.hpp"
#include "net/wake_list.hpp"

namespace orrery::cluster {

class link_connection;

/// Counted by all connections of a node. Any thread.
struct link_counters {
  std::atomic<std::uint64_t> messages_sent{0}, messages_received{0};
  std::atomic<std::uint64_t> bytes_sent{0}, bytes_received{0};
};

/// Whose the connections are: called on their thread.
class link_owner {
 public:
  /// Gives what to answer a greeting with, the same to every greeting of a link; or why it is none.
  virtual model::result<link_greeting> judge(link_connection& at, const link_greeting& other) = 0;
  /// Both have greeted: messages can be sent, and come after this.
  virtual void up(link_connection& at) = 0;
  virtual void received(link_connection& at, link_message what) = 0;
  /// Once, after which nothing else comes. `was_up`: `up` was called.
  virtual void ended(link_connection& at, bool was_up, std::string_view why) = 0;

 protected:
  ~link_owner() = default;
};

/// What the receiver of messages owes their sender: room in the window. Any thread.
class link_debt {
 public:
  link_debt(std::size_t worth_a_frame, std::function<void()> wake)
      : worth_a_frame_{worth_a_frame}, wake_{std::move(wake)} {}
  void add(std::size_t cost);
  /// All of it if it is worth a frame, or `any` of it; else 0.
  std::size_t take(bool any);
  /// Nobody is woken any more.
  void forgive();

 private:
  const std::size_t worth_a_frame_;
  std::atomic<std::size_t> owed_{0};
  std::mutex mutex_;
  std::function<void()> wake_;
};

/// Everything but `send` and `queued` is called on the thread of the stream.
class link_connection final : public net::wakeable,
                              public std::enable_shared_from_this<link_connection> {
 public:
  using clock = std::chrono::steady_clock;

  /// `buffer`: of the thread, to read into. It does nothing before `start`.
  link_connection(std::shared_ptr<net::stream> stream, link_owner& owner,
                  const link_options& options, link_counters& counters, std::span<char> buffer);

  /// Of who was dialed: waits for a greeting.
  void start();
  /// Of the dialer: greets.
  void start(const link_greeting& mine);
  /// Ends it if the other side has been silent, or has not greeted in time; keeps it alive if not.
  void tick(clock::time_point now);
  /// So much of the other's silence was this thread's.
  void excuse(clock::duration late) { heard_ += late; }
  void end(std::string_view why);
  bool is_up() const { return phase_ == phase::up; }

  /// Takes a message to be sent: false if it is not up or would be more than `queue_max_bytes`. Any
  /// thread.
  bool send(std::uint8_t channel, std::string_view bytes);
  std::size_t queued() const { return queued_.load(std::memory_order_relaxed); }
  /// The longest message that both take. After `up`; any thread.
  std::size_t message_max() const { return message_max_; }

  net::stream& stream() { return *stream_; }
  // Of the other side; fixed from `up` on.
  node_id node = 0;
  std::uint64_t incarnation = 0;
  std::uint16_t version = 0;
  /// Whether this side dialed.
  bool dialed() const { return dialed_; }

 private:
  enum class phase : std::uint8_t { greeting, up, over };

  void wait();
  void read();
  bool take_in(std::string_view in, std::size_t& taken);
  bool greeted(std::string_view in, std::size_t& taken);
  bool deliver(const whole_link_frames& whole, std::string_view frames);
  void be_up(const link_greeting& other);
  void woken() override { flush(); }
  void flush();
  void write_control();
  std::string_view next();

  std::shared_ptr<net::stream> stream_;
  link_owner& owner_;
  const link_options& options_;
  link_counters& counters_;
  std::span<char> buffer_;
  phase phase_ = phase::greeting;
  bool dialed_ = false;
  bool beat_ = false;      // a heartbeat is to be sent
  bool draining_ = false;  // the stream calls when it has sent what it has
  clock::time_point begun_, heard_, spoken_;

  std::string cut_;                  // the part of a frame that came last
  std::size_t uncredited_here_ = 0;  // cost of what came and was not credited yet
  std::shared_ptr<link_debt> debt_;

  std::size_t credit_ = 0;  // left of the other's window
  std::size_t message_max_ = 0;
  std::string sending_;  // frames, from sent_ on
  std::size_t sent_ = 0;

  std::mutex mutex_;  // guards what is below
  bool open_ = false;
  bool awake_ = false;  // `flush` will come
  std::string queue_;   // frames behind those of sending_
  std::atomic<std::size_t> queued_{0};
};

}  // namespace orrery::cluster
