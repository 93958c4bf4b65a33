// A connection's bytes, TCP or TLS, one type. It waits for readiness, not with a buffer: an idle
// connection holds no read buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/ip/tcp.hpp>

#include "net/byte_stream.hpp"
#include "net/poller.hpp"

using SSL_CTX = struct ssl_ctx_st;

namespace orrery::net {

/// A socket that is closed with its owner.
class owned_socket {
 public:
  explicit owned_socket(int socket) : socket_{socket} {}
  owned_socket(owned_socket&& other) noexcept : socket_{other.release()} {}
  owned_socket& operator=(owned_socket&&) = delete;
  ~owned_socket();
  explicit operator bool() const { return socket_ >= 0; }
  int release() { return std::exchange(socket_, -1); }

 private:
  int socket_;
};

/// All members are called on the thread of the socket's context, which also runs the callbacks.
class stream final : public byte_stream,
                     public std::enable_shared_from_this<stream>,
                     private poller::watched {
 public:
  /// Takes the socket, which must not block, of the peer with that address. With a context it is
  /// the server's end of a TLS session.
  static std::shared_ptr<stream> accept(boost::asio::io_context& context, owned_socket socket,
                                        std::string peer, SSL_CTX* tls);
  /// The client's end of a TLS session, on a socket that is connected or about to be: what is
  /// written meanwhile waits. `name` must stand in the server's certificate, as a DNS name.
  static std::shared_ptr<stream> connect(boost::asio::io_context& context, owned_socket socket,
                                         std::string peer, SSL_CTX* tls, const std::string& name);
  ~stream() override;

  void wait_readable(callback then) override;
  read_result read(char* into, std::size_t size) override;
  void write(std::string_view bytes) override;
  std::size_t pending() const override { return out_.size() - out_begin_; }
  /// Calls back once when nothing is pending any more, or at once if so (never inside the call).
  void wait_drained(callback then);

  void finish() override;
  /// Closes now. A waiting callback runs once more and finds `closed`.
  void close();
  bool is_open() const { return socket_ >= 0; }

  const std::string& peer() const override { return peer_; }
  bool secure() const override { return ssl_ != nullptr || carried_securely_; }
  /// A proxy that is trusted says that its client speaks TLS with it.
  void carried_securely() { carried_securely_ = true; }
  std::optional<certificate_facts> peer_certificate() const override;
  /// Whether the peer has proved by its certificate that this is one of its DNS names.
  bool proves(const std::string& name) const;
  /// New keys after so many records sent: those of AES-GCM wear out after 2^24 (RFC 8446, 5.5). TLS
  /// 1.3 alone.
  void rekey_every(std::uint32_t records) { rekey_every_ = records; }
  /// Why the last read found the end, as far as anybody knows; "" if the peer just went.
  std::string_view trouble() const { return trouble_; }
  boost::asio::io_context& context() override { return context_; }
  boost::asio::io_context::executor_type executor() { return context_.get_executor(); }

 private:
  stream(boost::asio::io_context& context, int socket, std::string peer);
  void open(SSL_CTX* tls, const std::string* name);
  void note_trouble(int why, int system_error);
  void on_ready(bool readable, bool writable, bool over) override;
  void on_shutdown() override;
  void on_writable();
  void call_reader();
  std::size_t send_some(const char* data, std::size_t size, bool& dead);

  struct ssl_free {
    void operator()(void* ssl) const;
  };
  boost::asio::io_context& context_;
  int socket_;
  std::uint64_t watch_ = 0;
  std::unique_ptr<void, ssl_free> ssl_;
  std::string peer_;
  std::string out_;
  std::size_t out_begin_ = 0;
  callback reader_, drained_;
  bool readable_ = false;  // the socket may have more; edges come only after it had nothing
  bool over_ = false;      // the peer has ended: no more edges
  bool finishing_ = false;
  bool dead_ = false;
  bool read_wants_write_ = false;
  bool carried_securely_ = false;
  std::uint32_t rekey_every_ = 0, records_ = 0;
  const char* trouble_ = "";
};

}  // namespace orrery::net
