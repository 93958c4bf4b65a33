#include "net/web_client.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "net/outbound_address.hpp"
#include "tests/net/peer.hpp"

namespace orrery::net {
namespace {

using model::errc;

bool is_public(const char* address) {
  return is_public_address(boost::asio::ip::make_address(address));
}

TEST(OutboundAddress, OnlyThoseOfTheInternetArePublic) {
  for (const auto* a : {"0.0.0.0",
                        "0.1.2.3",
                        "10.0.0.1",
                        "100.64.0.1",
                        "100.127.255.255",
                        "127.0.0.1",
                        "127.255.0.1",
                        "169.254.169.254",
                        "172.16.0.1",
                        "172.31.255.255",
                        "192.0.0.8",
                        "192.0.2.1",
                        "192.168.1.1",
                        "198.18.0.1",
                        "198.19.255.255",
                        "198.51.100.1",
                        "203.0.113.1",
                        "224.0.0.1",
                        "240.0.0.1",
                        "255.255.255.255",
                        "::",
                        "::1",
                        "::ffff:127.0.0.1",
                        "::ffff:10.0.0.1",
                        "::127.0.0.1",
                        "64:ff9b::7f00:1",
                        "64:ff9b:1::1",
                        "2001:db8::1",
                        "2001::1",
                        "2002:7f00:1::1",
                        "fc00::1",
                        "fd12::1",
                        "fe80::1",
                        "fec0::1",
                        "ff02::1",
                        "3fff::1",
                        "4000::1",
                        "100::1"})
    EXPECT_FALSE(is_public(a)) << a;
  for (const auto* a : {"1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1",
                        "172.15.0.1", "172.32.0.1", "192.0.1.1", "192.167.1.1", "198.17.0.1",
                        "198.20.0.1", "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::808:808",
                        "2002:808:808::1", "2606:4700::1111", "2a00::1", "2001:200::1"})
    EXPECT_TRUE(is_public(a)) << a;
}

TEST(WebClient, ReadsUrls) {
  const auto p = read_url("https://id.example.org:8443/a/b?c=d");
  ASSERT_TRUE(p);
  EXPECT_TRUE(p->tls);
  EXPECT_EQ(p->host, "id.example.org");
  EXPECT_EQ(p->port, 8443);
  EXPECT_EQ(p->target, "/a/b?c=d");
  EXPECT_EQ(p->authority, "id.example.org:8443");
  EXPECT_EQ(read_url("https://a.org")->target, "/");
  EXPECT_EQ(read_url("https://a.org?x")->target, "/?x");
  EXPECT_EQ(read_url("http://[::1]:80/")->host, "::1");
  EXPECT_EQ(read_url("http://a.org")->port, 80);
  for (const auto* bad :
       {"", "a.org", "ftp://a.org/", "https://", "https:///x", "https://a b/", "https://u@a.org/",
        "https://u:p@a.org/", "https://a.org/#x", "https://a.org:0/", "https://a.org:65536/",
        "https://a.org:/", "https://a.org:x/", "https://[::1/", "https://[::1]x/",
        "https://a.org/\r\nX: y"})
    EXPECT_FALSE(read_url(bad)) << bad;
  EXPECT_FALSE(read_url("https://a.org/" + std::string(2048, 'x')));
}

/// One server on the loopback, and a client that asks it.
class WebClientAsks : public testing::Test {
 protected:
  static web_limits limits() {
    auto l = web_limits{};
    l.patience = std::chrono::seconds{10};
    l.private_addresses = true;
    return l;
  }
  /// Answers one connection by `serve`; gives what the client made of it.
  model::result<web_reply> ask(const std::function<void(peer&)>& serve, const web_limits& l,
                               tls_context tls = {}, const std::string& host = "127.0.0.1") {
    auto socket = listening_socket{};
    auto thread = std::thread{[&] {
      const auto fd = socket.accept();
      if (fd < 0)
        return;
      auto client = peer{fd};
      serve(client);
    }};
    const auto scheme = tls ? "https://" : "http://";
    auto got = run(scheme + host + ':' + std::to_string(socket.port()) + "/x?y=z", l,
                   tls ? tls : outbound_context({}));
    socket.stop();
    thread.join();
    return got;
  }
  static model::result<web_reply> run(const std::string& url, const web_limits& l,
                                      tls_context tls = outbound_context({})) {
    auto context = boost::asio::io_context{};
    auto client = web_client{context, std::move(tls), l};
    auto got = std::optional<model::result<web_reply>>{};
    client.ask({.method = "POST", .url = url, .headers = {{"Accept", "a/b"}}, .body = "hello"},
               [&](model::result<web_reply> r) {
                 EXPECT_FALSE(got);
                 got = std::move(r);
               });
    EXPECT_FALSE(got) << "never inside the call";
    context.run();
    return got ? *got : model::failure{errc::internal, "no answer"};
  }
  static std::string read_all(peer& p) {
    auto text = std::string{};
    while (text.find("hello") == std::string::npos) {
      const auto some = p.receive();
      if (some.empty())
        break;
      text += some;
    }
    return text;
  }
};

TEST_F(WebClientAsks, AndReadsTheAnswer) {
  auto seen = std::string{};
  const auto got = ask(
      [&](peer& p) {
        seen = read_all(p);
        p.send("HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
      },
      limits());
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(got->status, 404);
  EXPECT_EQ(got->body, "abc");
  EXPECT_TRUE(seen.starts_with("POST /x?y=z HTTP/1.1\r\n"));
  EXPECT_NE(seen.find("\r\nHost: 127.0.0.1:"), std::string::npos);
  EXPECT_NE(seen.find("\r\nAccept: a/b\r\n"), std::string::npos);
  EXPECT_NE(seen.find("\r\nContent-Length: 5\r\n"), std::string::npos);
}

TEST_F(WebClientAsks, AndFollowsNoRedirection) {
  const auto got = ask(
      [](peer& p) {
        (void)read_all(p);
        p.send("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
      },
      limits());
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status, 302);
}

TEST_F(WebClientAsks, ButNotPlacesThatAreNotPublic) {
  auto l = limits();
  l.private_addresses = false;
  auto met = false;
  const auto serve = [&](peer&) { met = true; };
  EXPECT_EQ(ask(serve, l).error().code, errc::forbidden) << "no TLS";
  EXPECT_EQ(ask(serve, l, outbound_context({})).error().code, errc::forbidden);
  EXPECT_EQ(ask(serve, l, outbound_context({}), "localhost").error().code, errc::forbidden);
  EXPECT_EQ(ask(serve, l, outbound_context({}), "[::ffff:127.0.0.1]").error().code,
            errc::forbidden);
  EXPECT_FALSE(met);
  EXPECT_EQ(run("nonsense", limits()).error().code, errc::invalid_argument);
}

TEST_F(WebClientAsks, ButNotForEver) {
  auto l = limits();
  l.patience = std::chrono::milliseconds{200};
  auto rest = std::string{};
  const auto got = ask(
      [&](peer& p) {
        (void)read_all(p);
        p.send("HTTP/1.1 200 OK\r\nContent-Le");
        rest = p.receive();  // until the other end goes
      },
      l);
  EXPECT_EQ(got.error().code, errc::timeout);
  EXPECT_EQ(rest, "");
}

TEST_F(WebClientAsks, ButNotForMoreThanItTakes) {
  auto l = limits();
  l.max_body_bytes = 1000;
  for (const auto* head : {"Content-Length: 1001\r\n\r\n", "\r\n"}) {
    const auto got = ask(
        [&](peer& p) {
          (void)read_all(p);
          p.send("HTTP/1.1 200 OK\r\n" + std::string{head} + std::string(1001, 'x'));
        },
        l);
    EXPECT_EQ(got.error().code, errc::too_large) << head;
  }
  const auto got = ask(
      [&](peer& p) {
        (void)read_all(p);
        p.send("HTTP/1.1 200 OK\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n");
      },
      l);
  EXPECT_EQ(got.error().code, errc::too_large);
}

TEST_F(WebClientAsks, AndSaysWhatWentWrong) {
  EXPECT_EQ(ask([](peer& p) { (void)read_all(p); }, limits()).error().code, errc::unavailable);
  EXPECT_EQ(ask([](peer& p) { p.send("nonsense\r\n\r\n"); }, limits()).error().code,
            errc::unavailable);
  auto nobody = std::string{};
  {
    const auto gone = listening_socket{};
    nobody = "http://127.0.0.1:" + std::to_string(gone.port()) + "/";
  }
  EXPECT_EQ(run(nobody, limits()).error().code, errc::unavailable);
}

TEST_F(WebClientAsks, UntilItIsStopped) {
  const auto socket = listening_socket{};  // connected to, and says nothing
  const auto url = "http://127.0.0.1:" + std::to_string(socket.port()) + "/";
  auto context = boost::asio::io_context{};
  auto client = web_client{context, outbound_context({}), limits()};
  auto got = std::vector<errc>{};
  const auto tell = [&](const model::result<web_reply>& r) {
    got.push_back(r ? errc::internal : r.error().code);
  };
  const auto began = std::chrono::steady_clock::now();
  client.ask({.url = url}, tell);
  context.poll();
  client.ask({.url = url}, tell);  // and one that has not begun
  std::thread{[&] { client.stop(); }}.join();
  client.ask({.url = url}, tell);
  EXPECT_TRUE(got.empty()) << "never inside the call";
  context.restart();
  context.run();
  EXPECT_EQ(got, std::vector<errc>(3, errc::unavailable));
  EXPECT_LT(std::chrono::steady_clock::now() - began, limits().patience);
}

TEST_F(WebClientAsks, NothingOfItOutlivesTheContext) {
  auto context = std::make_unique<boost::asio::io_context>();
  auto client = std::make_unique<web_client>(*context, outbound_context({}), limits());
  const auto held = std::make_shared<int>();
  client->ask({.url = "http://localhost:1/"}, [held](const model::result<web_reply>&) {});
  context->run_one();  // the name is being looked up
  client.reset();
  context.reset();
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(WebClientAsks, OnlyWhomAnAuthorityVouchesFor) {
  const auto folder = scratch_folder{};
  const auto pki = ensure_pki(folder.path(), {});
  const auto server = server_context(pki.certificate, pki.key);
  const auto serve = [&](peer& p) {
    auto* ssl = SSL_new(server.get());
    SSL_set_fd(ssl, p.fd());
    if (SSL_accept(ssl) == 1) {
      char text[4096];
      (void)SSL_read(ssl, text, sizeof text);
      const auto reply = std::string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
      (void)SSL_write(ssl, reply.data(), static_cast<int>(reply.size()));
      SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    ERR_clear_error();
  };
  const auto good = ask(serve, limits(), outbound_context(pki.ca), "localhost");
  ASSERT_TRUE(good) << good.error().detail;
  EXPECT_EQ(good->body, "ok");
  EXPECT_EQ(ask(serve, limits(), outbound_context({}), "localhost").error().code, errc::unavailable)
      << "nobody knows the authority";
  EXPECT_THROW(outbound_context(folder.path() + "/none.pem"), std::runtime_error);
}

}  // namespace
}  // namespace orrery::net
