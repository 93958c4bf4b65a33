#include "net/stream.hpp"

#include <csignal>
#include <future>
#include <random>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include "tests/net/peer.hpp"

namespace orrery::net {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

std::string noise(std::size_t size) {
  auto random = std::mt19937{1};
  auto out = std::string(size, '\0');
  for (auto& c : out)
    c = static_cast<char>(random());
  return out;
}

/// One stream on this thread, its peer on a blocking socket; what blocks runs on a thread beside.
class Stream : public testing::Test {
 protected:
  Stream() { std::signal(SIGPIPE, SIG_IGN); }  // as the program does
  ~Stream() override {
    if (s)
      s->close();
    io.restart();
    io.poll();
  }

  /// Connects peer and stream. The stream's end buffers little, so that writes meet a full socket.
  peer connect(SSL_CTX* tls = nullptr, int buffer = 0) {
    auto acceptor = asio::ip::tcp::acceptor{io, {asio::ip::address_v4::loopback(), 0}};
    auto other = peer::dial(acceptor.local_endpoint().port(), buffer);
    auto socket = acceptor.accept();
    if (buffer > 0)
      socket.set_option(asio::socket_base::send_buffer_size{buffer});
    socket.non_blocking(true);
    s = stream::accept(io, owned_socket{socket.release()}, "127.0.0.1", tls);
    return other;
  }

  /// Runs the sockets until `done`.
  template <class Condition>
  void run_until(Condition done, const char* what) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "not in time: " << what;
      io.restart();
      io.run_one_for(50ms);
    }
  }
  /// Reads until the end or `wanted` bytes; how often it was woken counts.
  std::string read(std::size_t wanted = ~std::size_t{0}) {
    auto got = std::string{};
    auto over = false;
    auto loop = std::function<void()>{};
    loop = [&] {
      ++woken;
      char some[4096];
      const auto r = s->read(some, sizeof some);
      got.append(some, r.size);
      over = r.closed || got.size() >= wanted;
      if (!over)
        s->wait_readable(loop);
    };
    s->wait_readable(loop);
    run_until([&] { return over; }, "read");
    return got;
  }
  /// Reads whenever it is woken, into `heard`, until the end.
  void keep_reading() {
    s->wait_readable([this] {
      ++woken;
      char some[64];
      const auto r = s->read(some, sizeof some);
      heard.append(some, r.size);
      if (!r.closed)
        keep_reading();
    });
  }
  template <class F>
  auto beside(F f) {
    return std::async(std::launch::async, std::move(f));
  }
  template <class T>
  void join(std::future<T>& f) {
    run_until([&] { return f.wait_for(0s) == std::future_status::ready; }, "the peer's thread");
  }

  asio::io_context io{1};
  std::shared_ptr<stream> s;
  std::size_t woken = 0;
  std::string heard;
};

TEST_F(Stream, ReadsWhatCameAndThenTheEnd) {
  auto other = connect();
  EXPECT_EQ(s->peer(), "127.0.0.1");
  EXPECT_FALSE(s->secure());
  char some[8];
  EXPECT_EQ(s->read(some, sizeof some).size, 0u);
  EXPECT_FALSE(s->read(some, sizeof some).closed);  // nothing yet is no end
  other.send("hello");
  EXPECT_EQ(read(5), "hello");
  other.send("more");
  other.close();
  EXPECT_EQ(read(), "more");
  EXPECT_TRUE(s->read(some, sizeof some).closed);
}

TEST_F(Stream, AResetIsAnEnd) {
  auto other = connect();
  other.reset();
  EXPECT_EQ(read(), "");
}

TEST_F(Stream, AShortWriteGoesStraightOut) {
  auto other = connect();
  s->write("hello");
  EXPECT_EQ(s->pending(), 0u);
  EXPECT_EQ(other.receive(), "hello");
}

TEST_F(Stream, KeepsWhatTheSocketDoesNotTake) {
  const auto all = noise(4'000'000);
  auto other = connect(nullptr, 4096);
  for (std::size_t at = 0; at < all.size(); at += 100'000)
    s->write(std::string_view{all}.substr(at, 100'000));
  EXPECT_GT(s->pending(), 1'000'000u);
  auto drained = false;
  s->wait_drained([&] { drained = true; });
  EXPECT_FALSE(drained);
  auto got = beside([&] { return other.receive_exactly(all.size()); });
  run_until([&] { return drained; }, "drained");
  EXPECT_EQ(s->pending(), 0u);
  join(got);
  EXPECT_TRUE(got.get() == all);
}

TEST_F(Stream, NothingPendingIsDrainedSoonButNotInTheCall) {
  const auto other = connect();
  auto drained = false;
  s->wait_drained([&] { drained = true; });
  EXPECT_FALSE(drained);
  run_until([&] { return drained; }, "drained");
}

TEST_F(Stream, WhoWaitsForTheDrainHearsOfTheEnd) {
  auto other = connect(nullptr, 4096);
  s->write(noise(1'000'000));
  auto drained = false;
  s->wait_drained([&] { drained = true; });
  other.reset();
  run_until([&] { return drained; }, "told");
}

TEST_F(Stream, FinishSendsWhatIsPending) {
  const auto all = noise(300'000);
  auto other = connect(nullptr, 4096);
  s->write(all);
  EXPECT_GT(s->pending(), 0u);
  s->finish();
  auto got = beside([&] { return other.receive_all(); });
  run_until([&] { return !s->is_open(); }, "closed");
  join(got);
  EXPECT_TRUE(got.get() == all);
}

TEST_F(Stream, FinishWaitsNotForEver) {
  const auto other = connect(nullptr, 4096);
  s->write(noise(1'000'000));
  const auto begin = std::chrono::steady_clock::now();
  s->finish();
  run_until([&] { return !s->is_open(); }, "closed");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 900ms);
}

TEST_F(Stream, FinishWithNothingPendingClosesAtOnce) {
  auto other = connect();
  s->finish();
  EXPECT_FALSE(s->is_open());
  EXPECT_EQ(other.receive(), "");
}

TEST_F(Stream, CloseWakesTheWaitingCallback) {
  const auto other = connect();
  auto closed = false;
  s->wait_readable([&] {
    char some[8];
    closed = s->read(some, sizeof some).closed;
  });
  s->close();
  run_until([&] { return closed; }, "woken");
  s->write("nobody reads this");
  s->close();
  s->finish();
  auto again = false;
  s->wait_readable([&] { again = true; });
  run_until([&] { return again; }, "woken on a closed stream");
}

TEST_F(Stream, WritesToAPeerThatIsGoneAreDropped) {
  auto other = connect();
  other.reset();
  for (auto i = 0; i < 3; ++i)
    s->write(noise(10'000));
  EXPECT_EQ(read(), "");
}

/// The same with TLS on it.
class TlsStream : public Stream {
 protected:
  static void SetUpTestSuite() {
    folder = std::make_unique<scratch_folder>();
    const auto files = ensure_pki(folder->path(), {"localhost"});
    server = server_context(files.certificate, files.key);
    client = client_context(files.ca);
  }
  static void TearDownTestSuite() {
    server.reset();
    client.reset();
    folder.reset();
  }
  /// Both ends with the handshake behind them.
  peer shake_hands(int buffer = 0) {
    auto other = connect(server.get(), buffer);
    auto ok = beside([&] { return other.begin_tls(client) && other.send("x"); });
    EXPECT_EQ(read(1), "x");
    join(ok);
    EXPECT_TRUE(ok.get());
    woken = 0;
    return other;
  }

  static std::unique_ptr<scratch_folder> folder;
  static tls_context server, client;
};
std::unique_ptr<scratch_folder> TlsStream::folder;
tls_context TlsStream::server, TlsStream::client;

TEST_F(TlsStream, CarriesBothWays) {
  auto other = shake_hands();
  EXPECT_TRUE(s->secure());
  EXPECT_STREQ(SSL_get_version(other.ssl()), "TLSv1.3");
  const auto all = noise(3'000'000);
  auto up = beside([&] { return other.send(all); });
  EXPECT_TRUE(read(all.size()) == all);
  join(up);
  s->write(all);
  auto down = beside([&] { return other.receive_exactly(all.size()); });
  join(down);
  EXPECT_TRUE(down.get() == all);
}

TEST_F(TlsStream, KeepsWhatTheSocketDoesNotTake) {
  const auto all = noise(2'000'000);
  auto other = shake_hands(4096);
  for (std::size_t at = 0; at < all.size(); at += 50'000)
    s->write(std::string_view{all}.substr(at, 50'000));
  EXPECT_GT(s->pending(), 500'000u);
  auto got = beside([&] { return other.receive_exactly(all.size()); });
  auto drained = false;
  s->wait_drained([&] { drained = true; });
  run_until([&] { return drained; }, "drained");
  join(got);
  EXPECT_TRUE(got.get() == all);
}

TEST_F(TlsStream, AnEndIsSaidProperly) {
  auto other = shake_hands();
  s->write("bye");
  s->finish();
  EXPECT_EQ(other.receive_all(), "bye");
  char c;
  EXPECT_EQ(SSL_get_error(other.ssl(), SSL_read(other.ssl(), &c, 1)), SSL_ERROR_ZERO_RETURN);
}

TEST_F(TlsStream, PlainBytesAreNoHandshake) {
  for (const auto* bytes : {"\x10\x10 MQTT", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff"}) {
    auto other = connect(server.get());
    other.send(bytes);
    ::shutdown(other.fd(), SHUT_WR);
    EXPECT_EQ(read(), "") << bytes;
    s->close();
  }
}

TEST_F(TlsStream, OldVersionsAreRefused) {
  auto old = tls_context{SSL_CTX_new(TLS_client_method()), [](SSL_CTX* c) { SSL_CTX_free(c); }};
  SSL_CTX_set_security_level(old.get(), 0);
  SSL_CTX_set_min_proto_version(old.get(), TLS1_1_VERSION);
  SSL_CTX_set_max_proto_version(old.get(), TLS1_1_VERSION);
  auto other = connect(server.get());
  auto ok = beside([&] { return other.begin_tls(old); });
  EXPECT_EQ(read(), "");
  s->close();
  join(ok);
  EXPECT_FALSE(ok.get());
}

TEST_F(TlsStream, Version12IsTaken) {
  auto older = client_context(folder->path() + "/ca.pem");
  SSL_CTX_set_max_proto_version(older.get(), TLS1_2_VERSION);
  auto other = connect(server.get());
  auto ok = beside([&] { return other.begin_tls(older) && other.send("x"); });
  EXPECT_EQ(read(1), "x");
  join(ok);
  EXPECT_STREQ(SSL_get_version(other.ssl()), "TLSv1.2");
}

TEST_F(TlsStream, AStrangerDoesNotTrustIt) {
  const auto elsewhere = scratch_folder{};
  const auto stranger = client_context(ensure_pki(elsewhere.path(), {}).ca);
  auto other = connect(server.get());
  auto ok = beside([&] { return other.begin_tls(stranger); });
  EXPECT_EQ(read(), "");
  join(ok);
  EXPECT_FALSE(ok.get());
}

TEST_F(TlsStream, WhoNamesAnotherHostDoesNotTrustIt) {
  auto other = connect(server.get());
  auto ok = beside([&] { return other.begin_tls(client, "example.org"); });
  EXPECT_EQ(read(), "");
  join(ok);
  EXPECT_FALSE(ok.get());
}

TEST_F(TlsStream, HalfARecordKeepsNobodyBusy) {
  // A handshake that stops in the middle of its first record.
  auto other = connect(server.get());
  other.send(std::string{"\x16\x03\x01\x01\x00\x01\x00", 7});
  keep_reading();
  run_until([&] { return woken > 0; }, "the first bytes");
  io.restart();
  io.run_for(200ms);
  EXPECT_LE(woken, 3u);
  other.close();
}

TEST_F(TlsStream, HalfARecordOfDataKeepsNobodyBusy) {
  auto other = shake_hands();
  // A record of the client's, caught before it leaves, and sent in two pieces.
  auto* out = BIO_new(BIO_s_mem());
  SSL_set0_wbio(other.ssl(), out);
  ASSERT_EQ(SSL_write(other.ssl(), "hello", 5), 5);
  const char* bytes = nullptr;
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(out, &bytes));
  const auto record = std::string{bytes, size};
  keep_reading();
  ASSERT_EQ(::send(other.fd(), record.data(), 12, MSG_NOSIGNAL), 12);
  run_until([&] { return woken > 0; }, "the first bytes");
  io.restart();
  io.run_for(200ms);
  EXPECT_LE(woken, 3u);
  EXPECT_EQ(heard, "");
  ASSERT_GT(::send(other.fd(), record.data() + 12, record.size() - 12, MSG_NOSIGNAL), 0);
  run_until([&] { return heard == "hello"; }, "the rest of the record");
  other.close();
}

TEST_F(TlsStream, WhatIsWrittenBeforeTheHandshakeWaitsForIt) {
  auto other = connect(server.get());
  s->write("early");
  EXPECT_EQ(s->pending(), 5u);
  auto turns = 0;
  io.restart();
  for (const auto end = std::chrono::steady_clock::now() + 200ms;
       std::chrono::steady_clock::now() < end;)
    turns += io.run_one_for(50ms) > 0 ? 1 : 0;
  EXPECT_LE(turns, 5);
  auto got = beside([&] { return other.begin_tls(client) ? other.receive(5) : "no handshake"; });
  join(got);
  EXPECT_EQ(got.get(), "early");
}

/// Two streams, one at either end, each with a certificate of its own.
class MutualTls : public Stream {
 protected:
  static void SetUpTestSuite() {
    folder = std::make_unique<scratch_folder>();
    for (const auto* group : {"/ours", "/theirs"})
      make_cluster_ca(folder->path() + group);
  }
  static void TearDownTestSuite() { folder.reset(); }
  static tls_context member(const std::string& name, const std::string& group = "/ours") {
    const auto files = issue_node_certificate(folder->path() + group, name);
    return mutual_context(files.ca, files.certificate, files.key);
  }
  ~MutualTls() override {
    for (const auto& end : {dialer, s})
      if (end)
        end->close();
    io.restart();
    io.poll();
  }
  void join(const tls_context& server, const tls_context& client, const std::string& wanted) {
    auto acceptor = asio::ip::tcp::acceptor{io, {asio::ip::address_v4::loopback(), 0}};
    const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const auto to = acceptor.local_endpoint();
    ::connect(fd, to.data(), static_cast<socklen_t>(to.size()));
    tls = {server, client};
    dialer = stream::connect(io, owned_socket{fd}, "127.0.0.1", client.get(), wanted);
    dialer->write("hello");
    auto socket = acceptor.accept();
    socket.non_blocking(true);
    s = stream::accept(io, owned_socket{socket.release()}, "127.0.0.1", server.get());
    listen(*s, at_server);
    listen(*dialer, at_dialer);
  }
  struct heard {
    std::string text;
    bool over = false;
  };
  static void listen(stream& at, heard& into) {
    at.wait_readable([&] {
      char some[4096];
      while (!into.over) {
        const auto r = at.read(some, sizeof some);
        into.text.append(some, r.size);
        into.over = r.closed;
        if (r.size == 0)
          break;
      }
      if (!into.over)
        listen(at, into);
    });
  }

  static std::unique_ptr<scratch_folder> folder;
  std::vector<tls_context> tls;
  std::shared_ptr<stream> dialer;
  heard at_server, at_dialer;
};
std::unique_ptr<scratch_folder> MutualTls::folder;

TEST_F(MutualTls, BothProveTheirName) {
  join(member("b"), member("a"), "b");
  EXPECT_FALSE(s->proves("a"));  // not yet
  EXPECT_FALSE(s->peer_certificate());
  run_until([&] { return at_server.text == "hello"; }, "the first words");
  EXPECT_TRUE(s->proves("a"));
  EXPECT_TRUE(s->proves("A"));
  EXPECT_TRUE(dialer->proves("b"));
  const auto shown = s->peer_certificate();
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->subject, "CN=a,O=Orrery");
  EXPECT_EQ(shown->fingerprint.size(), 64u);
  for (const auto* other : {"b", "", ".", ".a", "*", "a.", "ab"})
    EXPECT_FALSE(s->proves(other)) << other;
  s->write("welcome");
  run_until([&] { return at_dialer.text == "welcome"; }, "the answer");
  dialer->close();
  run_until([&] { return at_server.over; }, "the end");
  EXPECT_EQ(s->trouble(), "");
}

TEST_F(MutualTls, TheDialerWantsTheName) {
  join(member("b"), member("a"), "c");
  run_until([&] { return at_dialer.over && at_server.over; }, "refused");
  EXPECT_EQ(dialer->trouble(), "hostname mismatch");
  EXPECT_NE(s->trouble(), "");
  EXPECT_EQ(at_server.text, "");
}

TEST_F(MutualTls, AnEmptyNameOpensNothing) {
  for (const auto* name : {"", ".b", "*"}) {
    join(member("b"), member("a"), name);
    run_until([&] { return at_dialer.over; }, "refused");
    EXPECT_FALSE(dialer->is_open());
    run_until([&] { return at_server.over; }, "refused");
    at_dialer = at_server = {};
  }
}

TEST_F(MutualTls, AnotherAuthorityIsRefusedByEither) {
  join(member("b"), member("a", "/theirs"), "b");
  run_until([&] { return at_dialer.over && at_server.over; }, "refused");
  EXPECT_NE(dialer->trouble(), "");
  EXPECT_EQ(at_server.text, "");
  at_dialer = at_server = {};
  // One that trusts them, and is not trusted.
  const auto files = issue_node_certificate(folder->path() + "/theirs", "a");
  join(member("b"), mutual_context(folder->path() + "/ours/ca.pem", files.certificate, files.key),
       "b");
  run_until([&] { return at_dialer.over && at_server.over; }, "refused");
  EXPECT_EQ(at_server.text, "");
  EXPECT_FALSE(s->proves("a"));
}

TEST_F(MutualTls, WhoShowsNoCertificateIsRefused) {
  join(member("b"), client_context(folder->path() + "/ours/ca.pem"), "b");
  run_until([&] { return at_server.over; }, "refused");
  EXPECT_EQ(s->trouble(), "peer did not return a certificate");
  EXPECT_EQ(at_server.text, "");
  EXPECT_FALSE(s->proves("a"));
}

TEST_F(MutualTls, ADialThatIsRefusedSaysWhy) {
  const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  auto acceptor = asio::ip::tcp::acceptor{io, {asio::ip::address_v4::loopback(), 0}};
  const auto to = acceptor.local_endpoint();
  acceptor.close();
  ::connect(fd, to.data(), static_cast<socklen_t>(to.size()));
  const auto tls = member("a");
  dialer = stream::connect(io, owned_socket{fd}, "127.0.0.1", tls.get(), "b");
  dialer->write("hello");
  listen(*dialer, at_dialer);
  run_until([&] { return at_dialer.over; }, "refused");
  EXPECT_EQ(dialer->trouble(), "Connection refused");
}

TEST_F(MutualTls, NewKeysChangeNothing) {
  join(member("b"), member("a"), "b");
  dialer->rekey_every(3);
  s->rekey_every(2);
  auto all = std::string{"hello"};
  for (auto i = 0; i < 100; ++i) {
    const auto some = noise(20'000 + static_cast<std::size_t>(i));
    dialer->write(some);
    all += some;
    s->write("ok");
  }
  run_until([&] { return at_server.text.size() == all.size() && at_dialer.text.size() == 200; },
            "everything");
  EXPECT_TRUE(at_server.text == all);
}

}  // namespace
}  // namespace orrery::net
