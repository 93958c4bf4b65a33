#include "transport/tcp_listener.hpp"

#include <future>
#include <mutex>
#include <set>
#include <thread>

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include "tests/net/peer.hpp"

namespace orrery::transport {
namespace {

using namespace std::chrono_literals;
using net::peer;

/// A listener whose connections wait in a list, with the permits that they hold.
class TcpListener : public testing::Test {
 protected:
  ~TcpListener() override {
    l.reset();
    drop_all();
    io.stop();
  }

  void listen(std::size_t most, std::uint16_t port = 0) {
    l = std::make_unique<tcp_listener>(
        io, config::listener{true, "127.0.0.1", port}, most, nullptr,
        [this](std::shared_ptr<net::stream> bytes, connection_permit permit) {
          const auto hold = std::lock_guard{mutex};
          threads.insert(std::this_thread::get_id());
          open.emplace_back(std::move(bytes), std::move(permit));
        });
  }
  /// Waits until so many are there.
  void expect_open(std::size_t n) {
    wait([&] {
      const auto hold = std::lock_guard{mutex};
      return open.size() == n;
    });
  }
  template <class Condition>
  void wait(Condition done) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end);
      std::this_thread::yield();
    }
  }
  /// Ends all connections, each on its own thread.
  void drop_all() {
    auto dropped = std::vector<std::pair<std::shared_ptr<net::stream>, connection_permit>>{};
    {
      const auto hold = std::lock_guard{mutex};
      dropped.swap(open);
    }
    for (auto& [bytes, permit] : dropped) {
      auto done = std::promise<void>{};
      auto& context = bytes->context();
      boost::asio::post(context, [&, s = std::move(bytes)]() mutable {
        s->close();
        s.reset();
        done.set_value();
      });
      done.get_future().wait();
    }
  }

  net::io_threads io{2};
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::vector<std::pair<std::shared_ptr<net::stream>, connection_permit>> open;
  std::unique_ptr<tcp_listener> l;
};

TEST_F(TcpListener, HandsConnectionsToTheThreadsInTurn) {
  listen(100);
  EXPECT_NE(l->port(), 0);
  auto peers = std::vector<peer>{};
  for (auto i = 0; i < 10; ++i)
    peers.push_back(peer::dial(l->port()));
  expect_open(10);
  EXPECT_EQ(l->connections(), 10u);
  EXPECT_EQ(threads.size(), 2u);
}

TEST_F(TcpListener, TurnsAwayWhatIsMoreThanItsLimit) {
  listen(3);
  auto peers = std::vector<peer>{};
  for (auto i = 0; i < 3; ++i)
    peers.push_back(peer::dial(l->port()));
  expect_open(3);
  auto more = peer::dial(l->port());
  EXPECT_EQ(more.receive(), "");  // closed
  EXPECT_EQ(l->refused(), 1u);
  EXPECT_EQ(l->connections(), 3u);
  // Each that ends makes room for another.
  drop_all();
  wait([&] { return l->connections() == 0; });
  auto again = peer::dial(l->port());
  expect_open(1);
  EXPECT_EQ(l->refused(), 1u);
}

TEST_F(TcpListener, APortThatIsTakenIsNamed) {
  listen(3);
  const auto port = l->port();
  try {
    tcp_listener{io, {true, "127.0.0.1", port}, 3, nullptr, [](auto, auto) {}};
    FAIL() << "two on one port";
  } catch (const port_taken& e) {
    EXPECT_NE(std::string{e.what()}.find("127.0.0.1:" + std::to_string(port)), std::string::npos)
        << e.what();
  }
  for (const auto* host : {"nonsense", "192.0.2.1", ""})
    EXPECT_THROW((tcp_listener{io, {true, host, 0}, 3, nullptr, [](auto, auto) {}}), port_taken)
        << host;
}

TEST_F(TcpListener, AfterItsStopItTakesNoMoreAndThoseThereGoOn) {
  listen(10);
  auto first = peer::dial(l->port());
  expect_open(1);
  const auto port = l->port();
  l->stop();
  wait([&] {
    const auto fd = ::socket(AF_INET, SOCK_STREAM, 0);
    auto address = sockaddr_in{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const auto refused =
        ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0;
    ::close(fd);
    return refused;
  });
  auto sent = std::promise<void>{};
  boost::asio::post(open[0].first->context(), [&] {
    open[0].first->write("still here");
    sent.set_value();
  });
  sent.get_future().wait();
  EXPECT_EQ(first.receive_exactly(10), "still here");
}

}  // namespace
}  // namespace orrery::transport
