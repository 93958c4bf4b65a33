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
    listen(most, config::listener{true, "127.0.0.1", port});
  }
  void listen(std::size_t most, const config::listener& where) {
    l = std::make_unique<tcp_listener>(
        io, where, most, nullptr,
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

class ProxiedListener : public TcpListener {
 protected:
  void listen_behind(const std::string& proxies) {
    auto where = config::listener{true, "127.0.0.1", 0};
    where.proxy_protocol = "required";
    where.proxy_from = proxies;
    listen(10, where);
  }
  /// The next connection, on which somebody says `bytes`; what the first read finds behind a
  /// header.
  std::string first_words(const std::string& bytes) {
    dialled.push_back(peer::dial(l->port()));
    const auto n = dialled.size();
    EXPECT_TRUE(dialled.back().send(bytes));
    expect_open(n);
    auto said = std::promise<std::string>{};
    auto stream = std::shared_ptr<net::stream>{};
    {
      const auto hold = std::lock_guard{mutex};
      stream = open.back().first;
    }
    address = stream->peer();
    secure = stream->secure();
    boost::asio::post(stream->context(), [&said, stream] {
      stream->wait_readable([&said, stream] {
        char some[100];
        said.set_value({some, stream->read(some, sizeof some).size});
      });
    });
    return said.get_future().get();
  }
  static std::string binary(bool tls) {
    using namespace std::string_literals;
    return "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14\xc0\0\2\7\x0a\0\0\1\x12\x67\x07\x5b\x20\0\5"s +
           (tls ? '\1' : '\0') + "\0\0\0\0"s;
  }

  std::vector<peer> dialled;
  std::string address;
  bool secure = false;
};

TEST_F(ProxiedListener, ConnectionsAreThoseThatTheProxySpeaksFor) {
  listen_behind("10.0.0.0/8,127.0.0.1");
  EXPECT_EQ(first_words("PROXY TCP6 2001:DB8::7 ::1 4711 1883\r\nhello"), "hello");
  EXPECT_EQ(address, "2001:db8::7");
  EXPECT_FALSE(secure);
  EXPECT_EQ(first_words(binary(false) + "hello"), "hello");
  EXPECT_EQ(address, "192.0.2.7");
  EXPECT_FALSE(secure);
  EXPECT_EQ(first_words(binary(true) + "hello"), "hello");
  EXPECT_TRUE(secure);
  EXPECT_EQ(first_words("PROXY UNKNOWN\r\nhello"), "hello");
  EXPECT_EQ(address, "127.0.0.1");
  EXPECT_EQ(l->not_proxied(), 0u);
}

TEST_F(ProxiedListener, OthersAreClosed) {
  listen_behind("10.0.0.0/8");
  auto stranger = peer::dial(l->port());
  stranger.send(binary(true));
  EXPECT_EQ(stranger.receive(), "");
  EXPECT_EQ(l->not_proxied(), 1u);
  listen_behind("127.0.0.1");
  for (const auto* bytes : {"GET / HTTP/1.1\r\n", "PROXY TCP4 a b c d\r\n"}) {
    auto other = peer::dial(l->port());
    other.send(bytes);
    EXPECT_EQ(other.receive(), "") << bytes;
  }
  auto quick = peer::dial(l->port());
  quick.send("PROXY TC");
  quick.close();
  wait([&] { return l->not_proxied() == 3 && l->connections() == 0; });
}

TEST_F(TcpListener, APortOfBothFamilies) {
  listen(3, config::listener{true, "::", 0});
  auto other = peer::dial(l->port());
  expect_open(1);
  EXPECT_EQ(open.front().first->peer(), "127.0.0.1");
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
