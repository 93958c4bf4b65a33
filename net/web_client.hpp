// Asks servers of others over HTTPS, for a node: never blocks, and holds to limits of time, size
// and place, because somebody else has said where to ask.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "model/result.hpp"
#include "net/tls.hpp"

namespace orrery::net {

/// Where a URL leads.
struct web_place {
  bool tls = true;
  std::string host;  // an IPv6 address without its brackets
  std::uint16_t port = 443;
  std::string target;     // path and query
  std::string authority;  // as the Host header has it
};
/// Nothing if it is no URL of http or https, has a user, a fragment, or more than 2 KiB.
std::optional<web_place> read_url(std::string_view url);

struct web_request {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
};
struct web_reply {
  int status = 0;
  std::string body;
};

struct web_limits {
  std::chrono::milliseconds patience{10'000};  // for the whole of one question
  std::size_t max_body_bytes = 256 * 1024;
  std::size_t max_header_bytes = 16 * 1024;
  bool private_addresses = false;  // else only those that are public; and TLS always
};

/// The client's end of TLS: the system's authorities, and those in `more` (empty: no more). Throws
/// std::runtime_error if that cannot be read.
tls_context outbound_context(const std::string& more);

class open_questions;

class web_client {
 public:
  using then = std::function<void(model::result<web_reply>)>;
  web_client(boost::asio::io_context& context, tls_context tls, const web_limits& limits);

  /// Calls back once, on the context's thread, unless that has gone; never inside the call. What
  /// redirects is an answer like any other: it is not followed. Any thread.
  /// Fails: `invalid_argument` (no URL), `forbidden` (a place that is not allowed), `timeout`,
  /// `unavailable` (not reached, no TLS, no HTTP), `too_large`.
  void ask(web_request what, then done);
  /// Ends what is asked by `unavailable`, called back as above, and so whatever is asked after
  /// this. While the context is there; any thread.
  void stop();

 private:
  boost::asio::io_context& context_;
  tls_context tls_;
  web_limits limits_;
  std::shared_ptr<open_questions> open_;
};

}  // namespace orrery::net
