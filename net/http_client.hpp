// A blocking HTTP/1.1 and WebSocket client for programs that have nothing else to do meanwhile: the
// command line. One connection, kept open; one thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orrery::net {

/// The server cannot be reached, or the connection broke. The text names the address.
class not_reached : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct http_reply {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
};

class http_client {
 public:
  using headers = std::vector<std::pair<std::string, std::string>>;

  /// `url`: http://host[:port] or https://host[:port]; `ca_file`: empty for the system's
  /// authorities; `patience`: so long the other side may be silent, more than any call of the API
  /// waits. Throws std::invalid_argument for another form.
  explicit http_client(const std::string& url, std::string ca_file = {},
                       std::chrono::milliseconds patience = std::chrono::seconds{75});
  ~http_client();

  /// Sends one request and reads its reply; tries once more if a kept connection was closed
  /// meanwhile. Throws not_reached.
  http_reply request(std::string_view method, std::string_view target, const headers& more = {},
                     std::string_view body = {});

  /// Opens a WebSocket, sends `first`, and hands every text to `on_text` until it gives false or
  /// the server closes. Throws not_reached.
  void watch(std::string_view target, const headers& more, std::string_view sub_protocol,
             const std::vector<std::string>& first,
             const std::function<bool(std::string_view)>& on_text);

  const std::string& host() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace orrery::net
