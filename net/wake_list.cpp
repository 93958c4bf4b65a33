#include "net/wake_list.hpp"

#include <boost/asio/post.hpp>

namespace orrery::net {

namespace asio = boost::asio;

asio::execution_context::id wake_list::id;

wake_list::wake_list(asio::execution_context& context)
    : service{context}, context_{static_cast<asio::io_context&>(context)} {}

wake_list& wake_list::of(asio::io_context& context) {
  return asio::use_service<wake_list>(context);
}

void wake_list::add(std::shared_ptr<wakeable> who) {
  {
    const auto hold = std::lock_guard{mutex_};
    if (stopped_)
      return;
    waiting_.push_back(std::move(who));
    if (waiting_.size() > 1)
      return;  // the first one has called the thread
  }
  asio::post(context_, [this] { wake_all(); });
}

void wake_list::wake_all() {
  {
    const auto hold = std::lock_guard{mutex_};
    running_.swap(waiting_);
  }
  for (const auto& who : running_)
    who->woken();
  running_.clear();
}

void wake_list::shutdown() {
  auto dropped = std::vector<std::shared_ptr<wakeable>>{};
  const auto hold = std::lock_guard{mutex_};
  stopped_ = true;
  dropped.swap(waiting_);
}

}  // namespace orrery::net
