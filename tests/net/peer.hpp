// The other end of a stream under test: a plain blocking socket, with or without TLS on it.
#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/tls.hpp"

namespace orrery::net {

/// A listening socket of the loopback on any free port.
class listening_socket {
 public:
  listening_socket() : fd_{::socket(AF_INET, SOCK_STREAM, 0)} {
    auto address = sockaddr_in{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto size = socklen_t{sizeof address};
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd_, 16), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~listening_socket() { ::close(fd_); }
  listening_socket(const listening_socket&) = delete;
  listening_socket& operator=(const listening_socket&) = delete;

  std::uint16_t port() const { return port_; }
  int accept() const { return ::accept(fd_, nullptr, nullptr); }
  void stop() const { ::shutdown(fd_, SHUT_RDWR); }

 private:
  int fd_;
  std::uint16_t port_;
};

class peer {
 public:
  explicit peer(int fd) : fd_{fd} {
    const auto patience = timeval{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  peer(peer&& other) noexcept : fd_{std::exchange(other.fd_, -1)}, ssl_{std::move(other.ssl_)} {}
  peer& operator=(peer&&) = delete;
  ~peer() { close(); }

  static peer dial(std::uint16_t port, int receive_buffer = 0) {
    const auto fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (receive_buffer > 0)
      ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    auto address = sockaddr_in{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
        << std::strerror(errno);
    return peer{fd};
  }

  /// Begins TLS as a client; false if the handshake failed.
  bool begin_tls(const tls_context& context, const char* host = "localhost") {
    ssl_.reset(SSL_new(context.get()));
    SSL_set_fd(ssl_.get(), fd_);
    SSL_set1_host(ssl_.get(), host);
    SSL_set_tlsext_host_name(ssl_.get(), host);
    const auto ok = SSL_connect(ssl_.get()) == 1;
    ERR_clear_error();
    return ok;
  }
  SSL* ssl() const { return ssl_.get(); }
  int fd() const { return fd_; }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ssl_ ? SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()))
                          : static_cast<int>(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
      if (n <= 0)
        return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// At most `most` bytes; "" at the end.
  std::string receive(std::size_t most = 65'536) {
    auto out = std::string(most, '\0');
    const auto n = ssl_ ? SSL_read(ssl_.get(), out.data(), static_cast<int>(most))
                        : static_cast<int>(::recv(fd_, out.data(), most, 0));
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
  }
  /// All until the end.
  std::string receive_all() { return receive_exactly(~std::size_t{0}); }
  /// `size` bytes, fewer at the end.
  std::string receive_exactly(std::size_t size) {
    auto out = std::string{};
    while (out.size() < size) {
      const auto some = receive(std::min<std::size_t>(65'536, size - out.size()));
      if (some.empty())
        break;
      out += some;
    }
    return out;
  }
  void close() {
    ssl_.reset();
    if (fd_ >= 0)
      ::close(std::exchange(fd_, -1));
  }
  /// The other end sees a reset.
  void reset() {
    const auto hard = linger{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }

 private:
  struct ssl_free {
    void operator()(SSL* s) const { SSL_free(s); }
  };
  int fd_;
  std::unique_ptr<SSL, ssl_free> ssl_;
};

/// A folder that goes with the test.
class scratch_folder {
 public:
  scratch_folder() {
    auto pattern = testing::TempDir() + "/orrery-net-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~scratch_folder() { std::filesystem::remove_all(path_); }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace orrery::net
