// Wakes connections from other threads: whatever wants its connection's thread while that thread
// has not run yet goes there with one post.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace orrery::net {

class wakeable {
 public:
  virtual ~wakeable() = default;
  /// On the thread of the list's context.
  virtual void woken() = 0;
};

/// A service of an io_context: wake_list::of(context).
class wake_list final : public boost::asio::execution_context::service {
 public:
  static boost::asio::execution_context::id id;
  explicit wake_list(boost::asio::execution_context& context);
  static wake_list& of(boost::asio::io_context& context);

  /// Any thread, while the context lives. `who` is woken once for each call.
  void add(std::shared_ptr<wakeable> who);

 private:
  void shutdown() override;
  void wake_all();

  boost::asio::io_context& context_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<wakeable>> waiting_, running_;
  bool stopped_ = false;
};

}  // namespace orrery::net
