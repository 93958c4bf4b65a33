#include "app/cli/browser_login.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t max_request_bytes = 16 * 1024;
constexpr auto visit_time = std::chrono::seconds{5};  // of one connection

std::string unescaped(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  auto out = std::string{};
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  return out;
}

std::string parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto one = query.substr(0, end);
    if (one.size() > name.size() && one[name.size()] == '=' && one.starts_with(name))
      return unescaped(one.substr(name.size() + 1));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return {};
}

/// What others wrote, for a terminal.
std::string printable(std::string text) {
  text.resize(std::min<std::size_t>(text.size(), 200));
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) >= 0x7f)
      c = '?';
  return text;
}

bool is_ready(int fd, clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
    if (left <= 0)
      return false;
    auto waited = pollfd{fd, POLLIN, 0};
    const auto n = ::poll(&waited, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    if (n > 0)
      return true;
    if (n < 0 && errno != EINTR)
      return false;
  }
}

std::string receive(int fd, clock::time_point until) {
  auto text = std::string{};
  while (text.size() < max_request_bytes && text.find("\r\n\r\n") == std::string::npos &&
         is_ready(fd, until)) {
    char some[4096];
    const auto n = ::recv(fd, some, sizeof some, MSG_DONTWAIT);
    if (n <= 0)
      break;
    text.append(some, static_cast<std::size_t>(n));
  }
  return text;
}

void reply(int fd, const char* status, std::string_view text) {
  const auto page = "<!doctype html><meta charset=\"utf-8\"><title>Orrery</title><p>" +
                    std::string{text} + "</p>\n";
  const auto whole = "HTTP/1.1 " + std::string{status} +
                     "\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
                     "Content-Security-Policy: default-src 'none'\r\nConnection: close\r\n"
                     "Content-Length: " +
                     std::to_string(page.size()) + "\r\n\r\n" + page;
  static_cast<void>(::send(fd, whole.data(), whole.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

struct closed_in_the_end {
  int fd;
  ~closed_in_the_end() { ::close(fd); }
};

}  // namespace

visit read_visit(std::string_view request, brought& into) {
  const auto line = request.substr(0, request.find("\r\n"));
  if (!line.starts_with("GET /?") || !line.ends_with(" HTTP/1.1"))
    return visit::other;
  auto query = line.substr(6);
  query = query.substr(0, query.find(' '));
  into = {parameter(query, "code"), parameter(query, "state"), parameter(query, "iss")};
  if (into.state.empty())
    return visit::other;
  if (!into.code.empty())
    return visit::back;
  if (const auto error = parameter(query, "error"); !error.empty()) {
    const auto more = parameter(query, "error_description");
    throw refused{"the identity provider says: " + printable(error) +
                  (more.empty() ? "" : " (" + printable(more) + ")")};
  }
  return visit::other;
}

loopback_port::loopback_port() : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
  auto address = sockaddr_in{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto size = socklen_t{sizeof address};
  if (socket_ < 0 || ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(socket_, 8) != 0 ||
      ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    if (socket_ >= 0)
      ::close(socket_);
    throw refused{"no port of 127.0.0.1 is free for the browser to come back to"};
  }
  port_ = ntohs(address.sin_port);
}

loopback_port::~loopback_port() {
  ::close(socket_);
}

std::string loopback_port::uri() const {
  return "http://127.0.0.1:" + std::to_string(port_) + "/";
}

brought loopback_port::wait(const std::string& state, std::chrono::seconds patience) const {
  const auto until = clock::now() + patience;
  while (is_ready(socket_, until)) {
    const auto fd = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0)
      continue;
    const auto client = closed_in_the_end{fd};
    const auto request = receive(fd, std::min(until, clock::now() + visit_time));
    auto got = brought{};
    auto what = visit::other;
    auto why = std::optional<refused>{};
    try {
      what = read_visit(request, got);
    } catch (const refused& e) {
      why = e;
    }
    if (got.state != state) {  // anybody on this machine may knock
      reply(fd, "404 Not Found", "There is nothing here.");
      continue;
    }
    if (why) {
      reply(fd, "200 OK", "You are not logged in. You can close this window.");
      throw *why;
    }
    if (what == visit::back) {
      reply(fd, "200 OK", "Orrery has heard of you. You can close this window.");
      return got;
    }
    reply(fd, "404 Not Found", "There is nothing here.");
  }
  throw refused{"nobody came back from the identity provider in time: run the command again"};
}

}  // namespace orrery::app::cli
