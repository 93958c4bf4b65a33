// Finds the device that a client certificate is bound to, for logins that give no name.
#pragma once

#include <functional>
#include <memory>

#include "actors/caller.hpp"
#include "actors/query.hpp"
#include "model/device/device.hpp"
#include "net/certificate.hpp"

namespace orrery::transport {

/// What a device is told of the certificate by which it comes.
model::device::presented_certificate presented(const net::certificate_facts& shown);

/// Thread-safe.
class certificate_holders {
 public:
  using then = std::function<void(model::result<model::device_name>)>;

  certificate_holders(std::shared_ptr<actors::caller> ask, std::shared_ptr<actors::query> query,
                      std::uint16_t shards)
      : ask_{std::move(ask)}, query_{std::move(query)}, shards_{shards} {}

  /// The device whose record has that certificate, whatever became of it since: the device's own
  /// decision follows. Names in the certificate say no more than where to look first; whom they do
  /// not lead to the index of all shards has. Fails: `not_found`, "device_unknown", if it is bound
  /// to nobody, or counts for several; as those who are asked do. `done` runs once, on this thread,
  /// an actor's or one of the query's.
  void find(const net::certificate_facts& shown, then done) const;

 private:
  struct search;
  static void look_in_index(const std::shared_ptr<search>& s);

  std::shared_ptr<actors::caller> ask_;
  std::shared_ptr<actors::query> query_;
  std::uint16_t shards_;
};

/// The one of several records of a certificate by which a login may come; null: none, or nobody can
/// say which.
const actors::listed_device* holder_among(const std::vector<actors::listed_device>& all,
                                          const model::device::presented_certificate& shown);

}  // namespace orrery::transport
