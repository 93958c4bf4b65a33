#include "net/io_threads.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>

namespace orrery::net {

using guard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

struct io_threads::impl {
  struct lane {
    boost::asio::io_context context{1};
    guard work{context.get_executor()};
    std::thread thread;
  };
  std::vector<std::unique_ptr<lane>> lanes;
  std::atomic<std::size_t> turn{0};
};

io_threads::io_threads(std::size_t count) : impl_{std::make_unique<impl>()} {
  for (std::size_t i = 0; i < std::max<std::size_t>(count, 1); ++i)
    impl_->lanes.push_back(std::make_unique<impl::lane>());
  for (auto& l : impl_->lanes)
    l->thread = std::thread{[c = &l->context] { c->run(); }};
}

io_threads::~io_threads() {
  stop();
}

std::size_t io_threads::size() const {
  return impl_->lanes.size();
}

boost::asio::io_context& io_threads::context(std::size_t index) {
  return impl_->lanes[index]->context;
}

boost::asio::io_context& io_threads::next() {
  return context(impl_->turn.fetch_add(1, std::memory_order_relaxed) % size());
}

void io_threads::stop() {
  for (auto& l : impl_->lanes)
    l->context.stop();
  for (auto& l : impl_->lanes)
    if (l->thread.joinable())
      l->thread.join();
}

}  // namespace orrery::net
