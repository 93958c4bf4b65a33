#include "net/poller.hpp"

#include <array>
#include <sys/epoll.h>

namespace orrery::net {

namespace asio = boost::asio;

asio::execution_context::id poller::id;

poller::poller(asio::execution_context& context)
    : service{context},
      epoll_{epoll_create1(EPOLL_CLOEXEC)},
      descriptor_{static_cast<asio::io_context&>(context), epoll_} {
  slots_.resize(1);  // handle 0 means none
}

poller::~poller() = default;

void poller::shutdown() {
  auto ignored = boost::system::error_code{};
  descriptor_.close(ignored);
  for (std::size_t i = 0; i < slots_.size(); ++i)  // an end may remove others meanwhile
    if (auto* who = slots_[i].who)
      who->on_shutdown();
}

poller& poller::of(asio::io_context& context) {
  return asio::use_service<poller>(context);
}

std::uint64_t poller::add(int socket, watched& who) {
  auto at = static_cast<std::uint32_t>(slots_.size());
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    at = free_.back();
    free_.pop_back();
  }
  auto& s = slots_[at];
  s.who = &who;
  s.socket = socket;
  const auto handle = std::uint64_t{s.generation} << 32 | at;
  auto e =
      epoll_event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.u64 = handle}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &e) != 0) {
    s.who = nullptr;
    free_.push_back(at);
    return 0;
  }
  wait();
  return handle;
}

void poller::remove(std::uint64_t handle) {
  const auto at = static_cast<std::uint32_t>(handle);
  auto& s = slots_[at];
  if (handle == 0 || !s.who || s.generation != handle >> 32)
    return;
  epoll_ctl(epoll_, EPOLL_CTL_DEL, s.socket, nullptr);
  s.who = nullptr;
  ++s.generation;
  free_.push_back(at);
}

void poller::wait() {
  if (std::exchange(waiting_, true))
    return;
  descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [this](boost::system::error_code e) {
                           waiting_ = false;
                           if (!e)
                             drain();
                         });
}

void poller::drain() {
  auto events = std::array<epoll_event, 512>{};
  const auto n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
  for (auto i = 0; i < n; ++i) {
    const auto& e = events[static_cast<std::size_t>(i)];
    const auto& s = slots_[static_cast<std::uint32_t>(e.data.u64)];
    if (!s.who || s.generation != e.data.u64 >> 32)
      continue;  // closed by an earlier one of this batch
    const auto over = (e.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    s.who->on_ready(over || (e.events & EPOLLIN) != 0, over || (e.events & EPOLLOUT) != 0, over);
  }
  wait();
}

}  // namespace orrery::net
