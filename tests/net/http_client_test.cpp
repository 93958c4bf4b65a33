#include "net/http_client.hpp"

#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "tests/net/peer.hpp"

namespace orrery::net {
namespace {

std::string base64(std::string_view bytes) {
  auto out = std::string(4 * (bytes.size() + 2) / 3 + 1, '\0');
  const auto n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                 reinterpret_cast<const unsigned char*>(bytes.data()),
                                 static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

/// Serves one connection after the other, each by `serve`, on a thread of its own.
class server {
 public:
  explicit server(std::function<void(peer&, int)> serve)
      : thread_{[this, serve = std::move(serve)] {
          for (auto number = 1;; ++number) {
            const auto fd = socket_.accept();
            if (fd < 0)
              return;
            auto client = peer{fd};
            serve(client, number);
          }
        }} {}
  ~server() {
    socket_.stop();
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(socket_.port()); }

 private:
  listening_socket socket_;
  std::thread thread_;
};

/// One request with its body; "" at the end.
std::string read_request(peer& from) {
  auto got = std::string{};
  for (;;) {
    const auto end = got.find("\r\n\r\n");
    if (end != std::string::npos) {
      const auto length = got.find("Content-Length: ");
      const auto body = length == std::string::npos ? 0 : std::stoul(got.substr(length + 16));
      if (got.size() >= end + 4 + body)
        return got;
    }
    const auto some = from.receive();
    if (some.empty())
      return got;
    got += some;
  }
}

std::string reply(std::string_view body, std::string_view more = "") {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string{more} + "\r\n" + std::string{body};
}

std::string failure_of(const std::function<void()>& call) {
  try {
    call();
    return "";
  } catch (const not_reached& e) {
    return e.what();
  }
}

TEST(HttpClient, SendsARequestAndReadsItsReply) {
  auto seen = std::string{};
  auto s = server{[&](peer& client, int) {
    seen = read_request(client);
    client.send(reply(R"({"a":1})", "X-Thing: Some Value\r\nContent-Type: application/json\r\n"));
  }};
  auto c = http_client{s.url()};
  EXPECT_EQ(c.host(), "127.0.0.1");
  const auto got = c.request("POST", "/api/v1/x?y=1", {{"Authorization", "Bearer t"}}, "body");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, R"({"a":1})");
  const auto field = [&](const std::string& name) {
    for (const auto& [n, v] : got.headers)
      if (n == name)
        return v;
    return std::string{};
  };
  EXPECT_EQ(field("x-thing"), "Some Value");
  EXPECT_EQ(field("content-type"), "application/json");
  EXPECT_TRUE(seen.starts_with("POST /api/v1/x?y=1 HTTP/1.1\r\n")) << seen;
  EXPECT_NE(seen.find("Authorization: Bearer t\r\n"), std::string::npos) << seen;
  EXPECT_NE(seen.find("Host: " + s.url().substr(7) + "\r\n"), std::string::npos) << seen;
  EXPECT_TRUE(seen.ends_with("\r\n\r\nbody")) << seen;
}

TEST(HttpClient, ReadsChunkedAndEmptyBodies) {
  auto s = server{[](peer& client, int) {
    read_request(client);
    client.send(
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    read_request(client);
    client.send("HTTP/1.1 204 No Content\r\n\r\n");
    read_request(client);
    client.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");  // of a HEAD
    read_request(client);
    client.send(reply("last"));
  }};
  auto c = http_client{s.url()};
  const auto first = c.request("GET", "/");
  EXPECT_EQ(first.status, 404);
  EXPECT_EQ(first.body, "abcde");
  EXPECT_EQ(c.request("DELETE", "/").status, 204);
  EXPECT_EQ(c.request("HEAD", "/").body, "");
  EXPECT_EQ(c.request("GET", "/").body, "last");
}

TEST(HttpClient, KeepsItsConnectionAndDialsAgainWhenItWasClosed) {
  auto s = server{[](peer& client, int number) {
    for (auto i = 0; i < 2; ++i) {
      if (read_request(client).empty())
        return;
      client.send(reply(std::to_string(number)));
    }
  }};
  auto c = http_client{s.url()};
  EXPECT_EQ(c.request("GET", "/").body, "1");
  EXPECT_EQ(c.request("GET", "/").body, "1");
  EXPECT_EQ(c.request("GET", "/").body, "2");  // the first connection is gone: asked again
}

TEST(HttpClient, AServerThatWantsToCloseIsLeft) {
  auto s = server{[](peer& client, int number) {
    read_request(client);
    client.send(reply(std::to_string(number), "Connection: close\r\n"));
  }};
  auto c = http_client{s.url()};
  EXPECT_EQ(c.request("POST", "/", {}, "x").body, "1");
  EXPECT_EQ(c.request("POST", "/", {}, "x").body, "2");
}

TEST(HttpClient, APostIsNotSentTwice) {
  auto seen = std::atomic{0};
  auto s = server{[&](peer& client, int) {
    read_request(client);
    client.send(reply("1"));
    if (!read_request(client).empty())
      ++seen;  // and no answer
  }};
  auto c = http_client{s.url()};
  EXPECT_EQ(c.request("GET", "/").body, "1");
  const auto failure = failure_of([&] { c.request("POST", "/", {}, "x"); });
  EXPECT_NE(failure.find(s.url().substr(7)), std::string::npos) << failure;
  EXPECT_EQ(seen, 1);
}

TEST(HttpClient, WhatCannotBeReachedIsNamed) {
  auto nobody = std::string{};
  {
    const auto s = listening_socket{};
    nobody = "127.0.0.1:" + std::to_string(s.port());
  }
  const auto failure = failure_of([&] { http_client{"http://" + nobody}.request("GET", "/"); });
  EXPECT_NE(failure.find(nobody), std::string::npos) << failure;
}

TEST(HttpClient, ASilentServerIsGivenUp) {
  auto s = server{[](peer& client, int) { client.receive_all(); }};
  const auto failure = failure_of(
      [&] { http_client(s.url(), {}, std::chrono::milliseconds{100}).request("GET", "/"); });
  EXPECT_NE(failure.find(s.url().substr(7)), std::string::npos) << failure;
  EXPECT_NE(
      failure_of([&] {
        http_client(s.url(), {}, std::chrono::milliseconds{100}).watch("/", {}, "p", {}, [](auto) {
          return true;
        });
      }),
      "");
}

TEST(HttpClient, OneThatDoesNotEvenAnswerTheDialIsGivenUp) {
  // Its queue is full and nobody accepts: what dials it hears nothing.
  const auto full = ::socket(AF_INET, SOCK_STREAM, 0);
  auto at = sockaddr_in{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto size = socklen_t{sizeof at};
  ASSERT_EQ(::bind(full, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(full, 0), 0);
  ASSERT_EQ(::getsockname(full, reinterpret_cast<sockaddr*>(&at), &size), 0);
  auto waiting = std::vector<int>{};
  for (auto i = 0; i < 4; ++i) {
    waiting.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    ::connect(waiting.back(), reinterpret_cast<sockaddr*>(&at), sizeof at);
  }
  const auto url = "http://127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  auto c = http_client{url, {}, std::chrono::milliseconds{200}};
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_NE(failure_of([&] { c.request("GET", "/"); }).find("timed out"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds{20});
  for (const auto s : waiting)
    ::close(s);
  ::close(full);
}

TEST(HttpClient, AReplyThatIsNoneIsAFailure) {
  auto s = server{[](peer& client, int) {
    read_request(client);
    client.send("nonsense\r\n\r\n");
  }};
  EXPECT_NE(failure_of([&] { http_client{s.url()}.request("GET", "/"); }), "");
}

TEST(HttpClient, TakesTheFormsOfAnAddress) {
  EXPECT_EQ(http_client{"http://host"}.host(), "host");
  EXPECT_EQ(http_client{"https://host:8493"}.host(), "host");
  EXPECT_EQ(http_client{"http://host:80/path"}.host(), "host");
  EXPECT_EQ(http_client{"http://[::1]:8090"}.host(), "::1");
  EXPECT_EQ(http_client{"http://[::1]"}.host(), "::1");
  for (const auto* bad :
       {"", "host", "host:80", "ftp://host", "http://", "http://:80", "https:///x", "http://[::1"})
    EXPECT_THROW(http_client{bad}, std::invalid_argument) << bad;
}

TEST(HttpClient, SpeaksTlsToWhomItTrusts) {
  const auto folder = scratch_folder{};
  const auto files = ensure_pki(folder.path(), {});
  const auto context = server_context(files.certificate, files.key);
  auto s = server{[&](peer& client, int) {
    auto* ssl = SSL_new(context.get());
    SSL_set_fd(ssl, client.fd());
    if (SSL_accept(ssl) == 1) {
      char some[4096];
      if (SSL_read(ssl, some, sizeof some) > 0) {
        const auto text = reply("secret");
        SSL_write(ssl, text.data(), static_cast<int>(text.size()));
      }
    }
    ERR_clear_error();
    SSL_free(ssl);
  }};
  const auto url = "https" + s.url().substr(4);
  EXPECT_EQ((http_client{url, files.ca}.request("GET", "/").body), "secret");
  const auto elsewhere = scratch_folder{};
  const auto other = ensure_pki(elsewhere.path(), {}).ca;
  EXPECT_NE(failure_of([&] { http_client(url, other).request("GET", "/"); }), "");
  EXPECT_NE(failure_of([&] { http_client(url, elsewhere.path() + "/none").request("GET", "/"); }),
            "");
}

/// The server's side of a WebSocket, as far as the tests need it.
class web_socket {
 public:
  explicit web_socket(peer& client) : client_{client} {}
  /// The text of the opening request.
  std::string open() {
    const auto request = read_request(client_);
    const auto at = request.find("Sec-WebSocket-Key: ") + 19;
    const auto key =
        request.substr(at, request.find('\r', at) - at) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest);
    client_.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Protocol: p\r\nSec-WebSocket-Accept: " +
        base64({reinterpret_cast<const char*>(digest), sizeof digest}) + "\r\n\r\n");
    return request;
  }
  std::string receive() {
    const auto head = client_.receive_exactly(6);
    if (head.size() < 6)
      return "";
    auto text = client_.receive_exactly(static_cast<unsigned char>(head[1]) & 127);
    for (std::size_t i = 0; i < text.size(); ++i)
      text[i] = static_cast<char>(text[i] ^ head[2 + i % 4]);
    return text;
  }
  void send(std::string_view text) {
    client_.send(std::string{"\x81"} + static_cast<char>(text.size()) + std::string{text});
  }
  void close() { client_.send(std::string{"\x88\0", 2}); }

 private:
  peer& client_;
};

std::string chunk(std::string_view text) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + std::string{text} + "\r\n";
}
constexpr auto chunked_head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST(HttpClient, ReadsLinesAsTheyCome) {
  auto told = std::vector<std::string>{};
  auto mutex = std::mutex{};
  auto first_came = std::condition_variable{};
  auto s = server{[&](peer& client, int) {
    EXPECT_NE(read_request(client).find("\r\n\r\nwanted"), std::string::npos);
    client.send(chunked_head + chunk("one\ntw"));
    auto hold = std::unique_lock{mutex};  // the rest waits until the first was told
    EXPECT_TRUE(first_came.wait_for(hold, std::chrono::seconds{20}, [&] { return !told.empty(); }));
    client.send(chunk("o\n\nthree\nfour") + "0\r\n\r\n");
  }};
  auto c = http_client{s.url()};
  c.lines(
      "POST", "/watch", {}, "wanted",
      [&](std::string_view line) {
        const auto hold = std::lock_guard{mutex};
        told.emplace_back(line);
        first_came.notify_all();
        return true;
      },
      [] { return true; });
  EXPECT_EQ(told, (std::vector<std::string>{"one", "two", "", "three"}));  // the last has no end
}

TEST(HttpClient, LinesEndWhenTheReaderHasEnough) {
  auto s = server{[&](peer& client, int) {
    read_request(client);
    client.send(chunked_head + chunk("one\ntwo\n"));
    EXPECT_EQ(client.receive(), "");  // it hangs up
  }};
  auto lines = 0;
  http_client{s.url()}.lines(
      "GET", "/", {}, "", [&](auto) { return ++lines < 1; }, [] { return true; });
  EXPECT_EQ(lines, 1);
}

TEST(HttpClient, WhileNoLineComesItAsksWhetherToGoOn) {
  auto s = server{[&](peer& client, int) {
    read_request(client);
    client.send(chunked_head + chunk("one\n"));
    EXPECT_EQ(client.receive(), "");
  }};
  auto lines = 0, asked = 0;
  http_client{s.url()}.lines(
      "GET", "/", {}, "", [&](auto) { return ++lines; }, [&] { return ++asked < 3; });
  EXPECT_EQ(lines, 1);
  EXPECT_EQ(asked, 3);
}

TEST(HttpClient, LinesThatAreRefusedOrBreakSaySo) {
  const auto answer = [](const std::string& with) {
    auto s = server{[&](peer& client, int) {
      read_request(client);
      client.send(with);
    }};
    return failure_of([&] {
      http_client{s.url()}.lines(
          "GET", "/", {}, "", [](auto) { return true; }, [] { return true; });
    });
  };
  EXPECT_NE(answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope").find("403 nope"),
            std::string::npos);
  EXPECT_NE(answer(chunked_head + chunk("half a li")), "");
  EXPECT_NE(answer("what?\r\n\r\n"), "");
  EXPECT_NE(answer(""), "");
}

TEST(HttpClient, AConnectionThatWasClosedMeanwhileIsNotUsed) {
  auto closed = std::promise<void>{};
  auto s = server{[&](peer& client, int number) {
    read_request(client);
    client.send(reply("ok"));
    if (number == 1) {
      client.close();
      closed.set_value();
    } else {
      client.receive();
    }
  }};
  auto c = http_client{s.url()};
  EXPECT_EQ(c.request("POST", "/", {}, "a").body, "ok");
  closed.get_future().wait();
  EXPECT_EQ(c.request("POST", "/", {}, "b").body, "ok");  // sent once, on a new one
}

TEST(HttpClient, WatchesAStream) {
  auto request = std::string{}, first = std::string{};
  auto s = server{[&](peer& client, int) {
    auto ws = web_socket{client};
    request = ws.open();
    first = ws.receive();
    for (const auto* text : {"one", "two", "three"})
      ws.send(text);
    ws.receive();  // its goodbye
    ws.close();
    client.receive_all();
  }};
  auto got = std::vector<std::string>{};
  http_client{s.url()}.watch("/stream", {{"Authorization", "Bearer t"}}, "p", {"subscribe"},
                             [&](std::string_view text) {
                               got.emplace_back(text);
                               return got.size() < 2;
                             });
  EXPECT_EQ(got, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(first, "subscribe");
  EXPECT_TRUE(request.starts_with("GET /stream HTTP/1.1\r\n")) << request;
  EXPECT_NE(request.find("Sec-WebSocket-Protocol: p\r\n"), std::string::npos) << request;
  EXPECT_NE(request.find("Authorization: Bearer t\r\n"), std::string::npos) << request;
}

TEST(HttpClient, AStreamEndsWithItsServer) {
  auto s = server{[&](peer& client, int number) {
    auto ws = web_socket{client};
    ws.open();
    ws.send("only");
    if (number == 1) {
      ws.close();
      client.receive_all();
    }
  }};
  auto texts = 0;
  const auto count = [&](std::string_view) { return ++texts < 100; };
  http_client{s.url()}.watch("/", {}, "p", {}, count);  // closed politely
  EXPECT_EQ(texts, 1);
  const auto failure = failure_of([&] { http_client{s.url()}.watch("/", {}, "p", {}, count); });
  EXPECT_NE(failure.find("broke"), std::string::npos) << failure;
}

TEST(HttpClient, ARefusedStreamSaysWhy) {
  auto s = server{[](peer& client, int) {
    read_request(client);
    client.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nno right");
  }};
  const auto failure =
      failure_of([&] { http_client{s.url()}.watch("/", {}, "p", {}, [](auto) { return true; }); });
  EXPECT_NE(failure.find("403"), std::string::npos) << failure;
  EXPECT_NE(failure.find("no right"), std::string::npos) << failure;
}

}  // namespace
}  // namespace orrery::net
