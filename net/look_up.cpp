#include "net/look_up.hpp"

#include <memory>
#include <mutex>
#include <netdb.h>
#include <system_error>
#include <thread>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>

namespace orrery::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using endpoints = std::vector<tcp::endpoint>;

namespace {

/// What a thread knows of the context that waits for it.
struct way_back {
  std::mutex mutex;
  asio::io_context* context;  // null: it has gone
};

class way_back_service final : public asio::execution_context::service {
 public:
  static asio::execution_context::id id;
  explicit way_back_service(asio::execution_context& context)
      : service{context}, way_{std::make_shared<way_back>()} {
    way_->context = &static_cast<asio::io_context&>(context);
  }
  const std::shared_ptr<way_back>& way() const { return way_; }

 private:
  void shutdown() override {
    const auto hold = std::lock_guard{way_->mutex};
    way_->context = nullptr;
  }
  std::shared_ptr<way_back> way_;
};
asio::execution_context::id way_back_service::id;

endpoints ask(const std::string& host, std::uint16_t port) {
  auto hints = addrinfo{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  auto found = endpoints{};
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0)
    return found;
  for (const auto* a = list; a; a = a->ai_next) {
    auto e = tcp::endpoint{};
    if (a->ai_addrlen > e.capacity())
      continue;
    std::copy_n(reinterpret_cast<const char*>(a->ai_addr), a->ai_addrlen,
                reinterpret_cast<char*>(e.data()));
    e.resize(a->ai_addrlen);
    e.port(port);
    found.push_back(e);
  }
  ::freeaddrinfo(list);
  return found;
}

}  // namespace

void look_up(asio::io_context& context, std::string host, std::uint16_t port,
             std::function<void(endpoints)> then) {
  auto failed = boost::system::error_code{};
  if (const auto address = asio::ip::make_address(host, failed); !failed) {
    asio::post(context,
               [then = std::move(then), only = tcp::endpoint{address, port}] { then({only}); });
    return;
  }
  try {
    std::thread{[way = asio::use_service<way_back_service>(context).way(), host = std::move(host),
                 port, then]() mutable {
      auto found = ask(host, port);
      const auto hold = std::lock_guard{way->mutex};
      if (way->context)
        asio::post(*way->context, [then = std::move(then), f = std::move(found)] { then(f); });
    }}.detach();
  } catch (const std::system_error&) {  // no thread to be had
    asio::post(context, [then = std::move(then)] { then({}); });
  }
}

}  // namespace orrery::net
