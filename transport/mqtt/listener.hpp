// The MQTT ports of a node.
#pragma once

#include <functional>
#include <memory>

#include "actors/catalogue.hpp"
#include "config/settings.hpp"
#include "net/io_threads.hpp"
#include "net/tls.hpp"
#include "observe/metrics.hpp"
#include "transport/certificate_holder.hpp"
#include "transport/device_quota.hpp"
#include "transport/file_exchange.hpp"
#include "transport/http_message.hpp"
#include "transport/issuance.hpp"
#include "transport/link.hpp"
#include "transport/login_guard.hpp"
#include "transport/mqtt/signpost.hpp"
#include "transport/refused_logins.hpp"

namespace orrery::transport::mqtt {

struct parts {
  link_parts link;
  std::shared_ptr<const actors::catalogue> known;
  std::shared_ptr<const model::keyring> keys;
  std::function<model::timestamp()> now;
  std::uint16_t shard_count = 64;
  std::string node;  // its name
  config::settings::mqtt_section limits;
  config::settings::listeners_section ports;
  std::shared_ptr<login_guard> guard;
  std::shared_ptr<issuance> certificates;
  std::shared_ptr<const certificate_holders> holders;
  std::shared_ptr<file_exchange> files;
  std::uint64_t moved_per_second = 200;  // clients, while they are redirected
  net::tls_source tls;                   // of the mqtts port
  std::shared_ptr<observe::metrics> metrics;
  std::shared_ptr<device_quota> quota = {};
  std::shared_ptr<refused_logins> refused = {};  // null: no audit log hears of them
};

class listener {
 public:
  /// Opens the ports that are enabled. Throws port_taken.
  listener(net::io_threads& io, parts with);
  ~listener();

  std::uint16_t port() const;      // 0: off
  std::uint16_t tls_port() const;  // 0: off
  std::size_t connections() const;
  /// Publishes the figures of general topics if it is time. Once a second or so, any thread.
  void tell_statistics();
  /// Serves /mqtt of an HTTP port on the same threads: MQTT in binary frames (MQTT 3.1.1, 6).
  http_handler web_sockets() const;
  /// Sends clients elsewhere, those that are there at the pace of the parts and new ones at their
  /// CONNECT; nothing: they stay. Any thread.
  void redirect(std::optional<redirection> where);
  /// Accepts no more and ends all connections; returns when their ends are on their way.
  void stop();

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace orrery::transport::mqtt
