#include "transport/certificate_holder.hpp"

#include "transport/certificate_claim.hpp"

namespace orrery::transport {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

failure unbound() {
  return {errc::not_found, "device_unknown", "the client certificate is bound to no device"};
}

/// The name of the device that was asked for its record, if that has the certificate.
model::result<model::device_name> holder_in(const actors::answer& got,
                                            const certificate_claim& claimed,
                                            const device::presented_certificate& shown) {
  if (!got)
    return got.error().code == errc::not_found ? unbound() : got.error();
  const auto* reply = std::get_if<device::reply>(&got->answer);
  const auto* is = reply ? std::get_if<device::device_snapshot>(reply) : nullptr;
  if (!is || is->what->organisation() != claimed.organisation ||
      is->what->certificates().find_shown(shown) == nullptr)
    return unbound();
  return is->what->name();
}

}  // namespace

device::presented_certificate presented(const net::certificate_facts& shown) {
  return {shown.issuer_key_id, shown.serial, shown.fingerprint,
          model::from_ms(shown.not_after * 1000)};
}

void certificate_holders::find(const net::certificate_facts& shown, then done) const {
  const auto claimed = read_claim(shown.uris, shards_);
  if (!claimed)
    return done(unbound());
  ask_->ask(claimed->device, device::command{device::read_device{}, {}, "certificate", {}},
            [claimed = *claimed, is = presented(shown), done = std::move(done)](
                const actors::answer& got) { done(holder_in(got, claimed, is)); });
}

}  // namespace orrery::transport
