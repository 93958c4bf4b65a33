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

}  // namespace

device::presented_certificate presented(const net::certificate_facts& shown) {
  return {shown.issuer_key_id, shown.serial, shown.fingerprint,
          model::from_ms(shown.not_after * 1000)};
}

const actors::listed_device* holder_among(const std::vector<actors::listed_device>& all,
                                          const device::presented_certificate& shown) {
  const actors::listed_device *any = nullptr, *good = nullptr;
  auto several = false;
  for (const auto& one : all) {
    const auto* found = one.what->certificates().find_shown(shown);
    if (!found)
      continue;
    any = &one;
    if (found->state == device::certificate::state_code::revoked)
      continue;
    several = good != nullptr;
    good = &one;
    if (several)
      return nullptr;
  }
  return good ? good : any;
}

struct certificate_holders::search {
  std::weak_ptr<actors::query> query;  // whose thread may be the last to hold this
  device::presented_certificate shown;
  then done;
};

/// What the index has was written with the device's record: it is bound, or was.
void certificate_holders::look_in_index(const std::shared_ptr<search>& s) {
  constexpr std::size_t most = 10;  // records of one certificate
  auto question = actors::device_list_question{};
  question.certificate = s->shown.fingerprint;
  question.limit = most;
  const auto query = s->query.lock();
  if (!query)
    return s->done(failure{errc::unavailable, "node_stopped", "the node stops"});
  query->devices(std::move(question), [s](const model::result<actors::device_page>& found) {
    if (!found)
      return s->done(found.error());
    const auto* holder = holder_among(found->devices, s->shown);
    s->done(holder ? model::result<model::device_name>{holder->what->name()} : unbound());
  });
}

void certificate_holders::find(const net::certificate_facts& shown, then done) const {
  const auto s = std::make_shared<search>(search{query_, presented(shown), std::move(done)});
  const auto claimed = read_claim(shown.uris, shards_);
  if (!claimed)
    return look_in_index(s);
  ask_->ask(claimed->device, device::command{device::read_device{}, {}, "certificate", {}},
            [s, organisation = claimed->organisation](const actors::answer& got) {
              if (!got && got.error().code != errc::not_found)
                return s->done(got.error());
              const auto* reply = got ? std::get_if<device::reply>(&got->answer) : nullptr;
              const auto* is = reply ? std::get_if<device::device_snapshot>(reply) : nullptr;
              if (is && is->what->organisation() == organisation &&
                  is->what->certificates().find_shown(s->shown) != nullptr)
                return s->done(is->what->name());
              look_in_index(s);
            });
}

}  // namespace orrery::transport
