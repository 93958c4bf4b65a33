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

  /// Sends one request and hands every line of its reply to `on_line` as it comes, without its end,
  /// until it gives false or the reply ends. While nothing comes `goes_on` is asked every 200 ms;
  /// false ends it. A connection of its own. Throws not_reached, also for a status other than 200
  /// and a line of more than 16 MiB.
  void lines(std::string_view method, std::string_view target, const headers& more,
             std::string_view body, const std::function<bool(std::string_view)>& on_line,
             const std::function<bool()>& goes_on);

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
