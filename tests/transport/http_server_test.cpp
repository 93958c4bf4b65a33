#include "transport/http_server.hpp"

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

using namespace std::chrono_literals;

/// A blocking client that gives up after ten seconds.
class client {
 public:
  explicit client(std::uint16_t port) : socket_{::socket(AF_INET, SOCK_STREAM, 0)} {
    auto where = sockaddr_in{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto limit = timeval{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
  }
  ~client() { ::close(socket_); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  void send(std::string_view text) {
    EXPECT_EQ(::send(socket_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  /// All that comes until the server closes, or until `end` was seen.
  std::string read(std::string_view end = {}) {
    auto all = std::string{};
    char buffer[4096];
    for (;;) {
      const auto n = ::recv(socket_, buffer, sizeof buffer, 0);
      EXPECT_GE(n, 0) << "nothing came for ten seconds: " << std::strerror(errno);
      if (n <= 0)
        return all;
      all.append(buffer, static_cast<std::size_t>(n));
      if (!end.empty() && all.ends_with(end))
        return all;
    }
  }

 private:
  int socket_;
};

class HttpServer : public testing::Test {
 protected:
  HttpServer() {
    limits.request_timeout = 1s;
    limits.idle_timeout = 1s;
  }
  std::uint16_t start(http_handler handler) {
    auto where = config::listener{true, "127.0.0.1", 0};
    server = std::make_unique<http_server>(io, where, 10, nullptr, limits, std::move(handler));
    return server->port();
  }
  static void answer_path(const std::shared_ptr<const http_request>& r, const responder& answer) {
    auto response = http_response{};
    response.content_type = "text/plain";
    response.body = r->target + "|" + r->body;
    answer(std::move(response));
  }
  http_limits limits;
  net::io_threads io{1};
  std::unique_ptr<http_server> server;
};

TEST_F(HttpServer, ARequestThatTakesTooLongIsTold) {
  auto c = client{start(answer_path)};
  c.send("GET /slow HTTP/1.1\r\nHos");
  const auto reply = c.read();
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 408 ")) << reply;
  EXPECT_NE(reply.find(R"("code":"request_timeout")"), std::string::npos);
}

TEST_F(HttpServer, ABodyThatTakesTooLongIsToldToo) {
  auto c = client{start(answer_path)};
  c.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 408 "));
}

TEST_F(HttpServer, APipelinedRequestThatStopsIsToldAfterTheOneBefore) {
  limits.idle_timeout = 60s;
  auto c = client{start(answer_path)};
  c.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTT");
  const auto replies = c.read();
  EXPECT_NE(replies.find("/a|"), std::string::npos);
  EXPECT_NE(replies.find("HTTP/1.1 408 "), std::string::npos);
}

TEST_F(HttpServer, AnIdleConnectionIsClosedWithoutAWord) {
  auto c = client{start(answer_path)};
  EXPECT_EQ(c.read(), "");
}

TEST_F(HttpServer, AnAnswerMayTakeAsLongAsItTakes) {
  auto held = std::vector<responder>{};
  const auto port = start([&](auto, responder answer) { held.push_back(std::move(answer)); });
  auto c = client{port};
  c.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  // Another connection lives through both time-outs meanwhile.
  auto other = client{port};
  EXPECT_EQ(other.read(), "");
  ASSERT_EQ(held.size(), 1u);
  held[0]({.status = 204,
           .headers = {},
           .body = {},
           .content_type = {},
           .upgrade = {},
           .sub_protocol = {}});
  EXPECT_TRUE(c.read("\r\n\r\n").starts_with("HTTP/1.1 204 "));
}

TEST_F(HttpServer, AHandlerThatForgetsItsAnswerIsA500) {
  auto c = client{start([](auto, auto) {})};
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(c.read("\r\n\r\n").starts_with("HTTP/1.1 500 "));
}

TEST_F(HttpServer, AllBodiesTogetherHaveALimit) {
  limits.max_held_bytes = 1000;
  auto held = std::vector<responder>{};
  const auto port = start([&](auto, responder answer) { held.push_back(std::move(answer)); });
  const auto head = std::string{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 800\r\n\r\n"};
  auto first = client{port};
  first.send(head + std::string(800, 'a'));
  auto second = client{port};
  second.send(head + std::string(800, 'b'));
  const auto reply = second.read();
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 503 ")) << reply;
  EXPECT_NE(reply.find("Retry-After: 1"), std::string::npos);
  ASSERT_EQ(held.size(), 1u);
  held[0]({.status = 204,
           .headers = {},
           .body = {},
           .content_type = {},
           .upgrade = {},
           .sub_protocol = {}});
  EXPECT_TRUE(first.read("\r\n\r\n").starts_with("HTTP/1.1 204 "));
  first.send(head + std::string(800, 'c'));
  while (held.size() < 2)
    std::this_thread::yield();
  held[1]({.status = 204,
           .headers = {},
           .body = {},
           .content_type = {},
           .upgrade = {},
           .sub_protocol = {}});
  EXPECT_TRUE(first.read("\r\n\r\n").starts_with("HTTP/1.1 204 ")) << "there is room again";
}

TEST_F(HttpServer, AStoppedServerEndsItsConnectionsWithTheirNextAnswer) {
  auto c = client{start(answer_path)};
  c.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  c.read("/a|");
  server->stop();
  c.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto reply = c.read();
  EXPECT_NE(reply.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(reply.ends_with("/b|"));
}

}  // namespace
}  // namespace orrery::transport
