// The API's ports and the admin port of a node.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "model/value.hpp"
#include "net/io_threads.hpp"
#include "net/tls.hpp"
#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

class service {
 public:
  /// `not_ready`: why the node cannot serve now; nothing when it can. Throws port_taken.
  service(net::io_threads& io, service_parts parts, net::tls_source tls,
          std::function<std::optional<std::string>()> not_ready);
  ~service();

  std::uint16_t port() const;        // 0: off
  std::uint16_t tls_port() const;    // 0: off
  std::uint16_t admin_port() const;  // 0: off
  /// Brings a record that is about no request into an organisation's audit log; `id` stands in it
  /// as "requestId". It does nothing once the service has gone. Any thread.
  using recorder =
      std::function<void(std::string organisation, std::string id, model::object record)>;
  recorder records() const;
  /// Does what is to be done from time to time (audit log): several times a second.
  void look_after();
  /// Accepts no more, ends streams and connections that wait. What is under way goes on.
  void stop();
  /// Requests whose answer is not on its way yet.
  std::size_t under_way() const;
  /// Writes what the audit log has counted; after this what it cannot write is told and given up.
  void flush();
  /// Records that are neither in an audit log nor given up.
  std::size_t records_open() const;
  /// Gives up those, behind flush(): they are in the node's own log alone.
  void give_up_records();

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace orrery::transport::api
