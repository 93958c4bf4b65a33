// Finds the device that a client certificate is bound to, for logins that give no name.
#pragma once

#include <functional>
#include <memory>

#include "actors/caller.hpp"
#include "model/device/device.hpp"
#include "net/certificate.hpp"

namespace orrery::transport {

/// What a device is told of the certificate by which it comes.
model::device::presented_certificate presented(const net::certificate_facts& shown);

/// Thread-safe.
class certificate_holders {
 public:
  using then = std::function<void(model::result<model::device_name>)>;

  certificate_holders(std::shared_ptr<actors::caller> ask, std::uint16_t shards)
      : ask_{std::move(ask)}, shards_{shards} {}

  /// The device whose record has that certificate, whatever became of it since: the device's own
  /// decision follows. Names in the certificate say no more than where to look. Fails: `not_found`,
  /// "device_unknown", if it is bound to nobody; as the asker does. `done` runs once, on this
  /// thread or an actor's.
  void find(const net::certificate_facts& shown, then done) const;

 private:
  std::shared_ptr<actors::caller> ask_;
  std::uint16_t shards_;
};

}  // namespace orrery::transport
