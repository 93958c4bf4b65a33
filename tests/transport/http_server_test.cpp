#include "transport/http_server.hpp"

#include <arpa/inet.h>
#include <atomic>
#include <cstring>
#include <future>
#include <mutex>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>
#include <vector>

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
  std::uint16_t start(http_handler handler, body_taker taker = {}) {
    auto where = config::listener{true, "127.0.0.1", 0};
    server = std::make_unique<http_server>(io, where, 10, nullptr, limits, std::move(handler),
                                           std::move(taker));
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

/// Keeps what it takes, and goes on from another thread.
class heap final : public body_sink {
 public:
  bool wanted() const override { return is_wanted; }
  std::uint64_t most() const override { return 100'000; }
  void take(std::string bytes, std::function<void(bool)> next) override {
    largest = std::max(largest, bytes.size());
    all += bytes;
    count = all.size();
    const auto more = all.size() < enough;
    const auto hold = std::lock_guard{workers->mutex};
    if (!workers->over)
      workers->all.emplace_back([next = std::move(next), more] { next(more); });
  }
  /// They end before the server does.
  struct crew {
    std::mutex mutex;
    std::vector<std::thread> all;
    bool over = false;
  };
  std::shared_ptr<crew> workers;
  bool is_wanted = true;
  std::size_t enough = SIZE_MAX, largest = 0;
  std::string all;
  std::atomic<std::size_t> count{0};  // of it, for the test's thread
};

class HttpPieces : public HttpServer {
 protected:
  HttpPieces() {
    limits.max_body_bytes = 100;
    limits.max_sunk_bytes = 1'000'000;
  }
  ~HttpPieces() override {
    auto last = std::vector<std::thread>{};
    {
      const auto hold = std::lock_guard{workers->mutex};
      workers->over = true;
      last.swap(workers->all);
    }
    for (auto& worker : last)
      worker.join();
  }
  std::uint16_t start_with_heap() {
    return start(
        [](const std::shared_ptr<const http_request>& r, const responder& answer) {
          auto response = http_response{};
          response.content_type = "text/plain";
          const auto sink = std::dynamic_pointer_cast<heap>(r->sink);
          response.body = r->target + "|" + (sink ? std::to_string(sink->all.size()) : "none") +
                          "|" + std::to_string(r->body.size()) + "!";
          answer(std::move(response));
        },
        [this](const http_request& r) -> std::shared_ptr<body_sink> {
          if (r.path.at(0) != "heap")
            return nullptr;
          taken = std::make_shared<heap>();
          taken->workers = workers;
          taken->is_wanted = is_wanted;
          taken->enough = enough;
          return taken;
        });
  }
  bool is_wanted = true;
  std::size_t enough = SIZE_MAX;
  std::shared_ptr<heap> taken;
  std::shared_ptr<heap::crew> workers = std::make_shared<heap::crew>();
};

std::string post_of(const std::string& path, std::size_t length) {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(length) +
         "\r\n\r\n";
}

TEST_F(HttpPieces, ALongBodyIsTakenPieceByPiece) {
  auto c = client{start_with_heap()};
  const auto body = std::string(90'000, 'x');
  c.send(post_of("/heap", body.size()) + body + post_of("/plain", 3) + "abc");
  EXPECT_NE(c.read("/plain|none|3!").find("/heap|90000|0!"), std::string::npos);
  EXPECT_EQ(taken->all, body);
  EXPECT_LE(taken->largest, 32'000u);
  c.send(
      "POST /heap HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  c.read("/heap|5|0!");
  EXPECT_EQ(taken->all, "abcde");
  c.send(post_of("/heap", 0));
  c.read("/heap|0|0!");
}

TEST_F(HttpPieces, ChunksMayComeOneByOne) {
  auto c = client{start_with_heap()};
  c.send(
      "POST /heap HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: "
      "100-continue\r\n\r\n");
  EXPECT_EQ(c.read("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  auto size = std::size_t{0};
  for (const auto* chunk : {"3\r\nabc\r\n", "2\r\nde\r\n"}) {
    c.send(chunk);
    size += chunk[0] == '3' ? 3 : 2;
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (taken->count < size && std::chrono::steady_clock::now() < until)
      std::this_thread::yield();
  }
  c.send("0\r\n\r\n");
  c.read("/heap|5|0!");
  EXPECT_EQ(taken->all, "abcde");
}

TEST_F(HttpPieces, EachBodyHasItsOwnLimit) {
  const auto port = start_with_heap();
  for (const auto& head :
       {post_of("/heap", 100'001), post_of("/plain", 101), post_of("/heap", 2'000'000),
        std::string{"POST /plain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                    "chunked\r\n\r\nff\r\n"} +
            std::string(255, 'x')}) {
    auto c = client{port};
    c.send(head);
    EXPECT_TRUE(c.read().starts_with("HTTP/1.1 413 ")) << head;
  }
}

TEST_F(HttpPieces, WhatIsNotWantedIsNotRead) {
  is_wanted = false;
  const auto port = start_with_heap();
  auto c = client{port};
  c.send(post_of("/heap", 50'000));
  const auto reply = c.read();
  EXPECT_TRUE(reply.ends_with("/heap|0|0!")) << reply;
  EXPECT_NE(reply.find("Connection: close"), std::string::npos);
  is_wanted = true;
  enough = 10;
  auto other = client{port};
  other.send(post_of("/heap", 50'000) + "0123456789");
  EXPECT_TRUE(other.read().ends_with("/heap|10|0!"));
}

TEST_F(HttpPieces, ABodyThatStopsIsTold) {
  auto c = client{start_with_heap()};
  c.send(post_of("/heap", 50'000) + "0123456789");
  EXPECT_TRUE(c.read().starts_with("HTTP/1.1 408 "));
}

TEST_F(HttpPieces, AnAnswerMayComeInPieces) {
  auto left = std::make_shared<std::vector<std::string>>();
  const auto port = start([left](const auto& r, const responder& answer) {
    auto response = http_response{};
    response.content_type = "text/plain";
    response.source_size = r->path.at(0) == "broken" ? 7 : 6;
    *left = {"ef", "cd", "ab"};
    response.source = [left](http_response::piece_taker take) {
      std::thread{[left, take = std::move(take)] {
        if (left->empty())
          return take(std::nullopt);
        auto piece = left->back();
        left->pop_back();
        take(std::move(piece));
      }}.detach();
    };
    answer(std::move(response));
  });
  auto c = client{port};
  c.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto reply = c.read("abcdef");
  EXPECT_NE(reply.find("Content-Length: 6"), std::string::npos);
  c.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(c.read("\r\n\r\n").find("Content-Length: 6"), std::string::npos);
  c.send("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(c.read().ends_with("abcdef")) << "then the connection ends";
}

TEST_F(HttpServer, AnAnswerWhoseSizeIsNotKnownGoesInChunks) {
  const auto left = std::make_shared<std::vector<std::string>>();
  const auto port = start([left](const auto&, const responder& answer) {
    auto response = http_response{};
    response.content_type = "text/plain";
    response.source_size = http_response::unknown_size;
    *left = {"", std::string(20, 'c'), "ab"};
    response.source = [left](const http_response::piece_taker& take) {
      auto piece = left->back();
      left->pop_back();
      take(std::move(piece));
    };
    answer(std::move(response));
  });
  auto c = client{port};
  for (auto i = 0; i < 2; ++i) {  // the connection goes on
    c.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto reply = c.read("0\r\n\r\n");
    EXPECT_NE(reply.find("Transfer-Encoding: chunked"), std::string::npos) << reply;
    EXPECT_TRUE(
        reply.ends_with("\r\n\r\n2\r\nab\r\n14\r\n" + std::string(20, 'c') + "\r\n0\r\n\r\n"))
        << reply;
  }
  c.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(c.read("\r\n\r\n").ends_with("\r\n\r\n"));
  auto old = client{port};
  old.send("GET /a HTTP/1.0\r\n\r\n");
  const auto reply = old.read();
  EXPECT_EQ(reply.find("chunked"), std::string::npos);
  EXPECT_TRUE(reply.ends_with("\r\n\r\nab" + std::string(20, 'c')))
      << "its end is that of the connection";
}

TEST_F(HttpServer, AStoppedServerEndsConnectionsThatWaitForARequest) {
  limits.idle_timeout = 1h;
  auto c = client{start(answer_path)}, silent = client{server->port()};
  c.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  c.read("/a|");
  server->stop();
  EXPECT_EQ(c.read(), "");
  EXPECT_EQ(silent.read(), "");
}

TEST_F(HttpServer, AStoppedServerAnswersWhatIsUnderWay) {
  limits.request_timeout = 10s;
  auto asked = std::promise<void>{};
  auto answer_later = std::optional<responder>{};
  auto c = client{start([&](const std::shared_ptr<const http_request>&, responder answer) {
    answer_later = std::move(answer);
    asked.set_value();
  })};
  auto half = client{server->port()};
  half.send("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
  c.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  asked.get_future().wait();
  EXPECT_EQ(server->under_way(), 1u);
  server->stop();
  auto response = http_response{};
  response.body = "there";
  (*std::exchange(answer_later, std::nullopt))(std::move(response));
  const auto reply = c.read();
  EXPECT_NE(reply.find("Connection: close"), std::string::npos) << reply;
  EXPECT_TRUE(reply.ends_with("there"));
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (server->under_way() != 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  EXPECT_EQ(server->under_way(), 0u);
  asked = {};
  half.send("cd");
  asked.get_future().wait();
  (*std::exchange(answer_later, std::nullopt))(http_response{});
  EXPECT_NE(half.read().find("Connection: close"), std::string::npos);
}

}  // namespace
}  // namespace orrery::transport
