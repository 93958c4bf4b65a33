// Requests of a gateway, or of a channel of third parties, that concern several devices: what is
// to be asked of which device, step by step, and what came of it. No bytes of a protocol, no clock.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/catalogue.hpp"
#include "actors/messages.hpp"

namespace orrery::transport {

/// Who makes such a request, and what its connection is.
struct group_self {
  model::device::gateway_link link;  // of a channel: its product, no id
  std::string organisation;
  bool gateway = false;  // it has sub-devices
  bool channel = false;  // it speaks for the devices of its product
  // Protocol, address and secure, as its own login had them; of others than gateways null.
  std::shared_ptr<const model::device::connect> session;
};

/// What the requests look at beside their input.
struct group_world {
  std::shared_ptr<const actors::catalogue_snapshot> known;
  const model::keyring* keys = nullptr;
  std::function<model::shard_id(const model::device_name&)> shard_of;
  model::timestamp now;
  bool unbind_online = false;  // a sub-device that is logged in may be unbound: it is logged out
};

struct device_question {
  std::optional<actors::target> whom;  // nothing: who asks
  model::device::order what;
  actors::session_ask::right as = actors::session_ask::right::gateway;
};

/// `why`: what failed (the first of several); the data may be there beside it.
struct group_outcome {
  std::optional<model::failure> why;
  model::value data;
};

class group_request {
 public:
  virtual ~group_request() = default;
  /// The next questions, from the answers to the last ones in their order (at first: none).
  /// Nothing: it is over.
  virtual std::vector<device_question> next(std::vector<actors::answer> answers) = 0;
  virtual group_outcome outcome() = 0;
  /// So many devices come by it if it works: there must be room for them.
  virtual std::uint64_t registers() const { return 0; }
  /// Of one that failed: whether it is known that none of them is there.
  virtual bool has_surely_none() const { return true; }
};
using group_ptr = std::shared_ptr<group_request>;

/// A sub-device as its gateway presents it.
struct sub_device_login {
  model::device_name who;
  model::login_proof proof;
  model::device::login_secret secret = model::device::login_secret::device;
};
/// One post of a batch.
struct group_post {
  std::optional<model::device_name> who;  // nothing: who asks
  model::device::posted_sample sample;
};
struct new_device {
  model::device_name name;  // an empty device key: one is made
  std::string display_name, description, timezone;
  model::object attributes;
};

/// All of these are bound to the gateway, or none. Fails: `sign_check_failed`, `device_unknown`,
/// `already_bound`, `sub_device_is_gateway`, `not_gateway`, `too_many_sub_devices`.
group_ptr bind_sub_devices(const group_self& self, std::vector<sub_device_login> subs);
/// All or none. Fails: `sub_device_unbound`, `sub_device_online`, `device_unknown`, `not_gateway`.
group_ptr unbind_sub_devices(const group_self& self, const group_world& world,
                             std::vector<model::device_name> subs);
/// Its sub-devices, as [{productKey, deviceKey}]. Fails: `not_gateway`.
group_ptr list_sub_devices(const group_self& self);
/// Data {assetId, productKey, deviceKey[, deviceSecret]}; the keys also beside a failure.
group_ptr log_in_sub_device(const group_self& self, const group_world& world, sub_device_login sub);
/// Each by itself: {loginedSubDevices, failedSubDevices}; the failure is that of the last one that
/// failed, its detail names all.
group_ptr log_in_sub_devices(const group_self& self, const group_world& world,
                             std::vector<sub_device_login> subs);
/// Never fails: who is not logged in is logged out.
group_ptr log_out_sub_device(model::device_name sub);
/// All or none: [{assetId, productKey, deviceKey, deviceSecret}]. Fails: `device_key_exists`,
/// `product_unknown`, `not_gateway`, what the device's rules say.
group_ptr register_devices(const group_self& self, const group_world& world,
                           std::vector<new_device> devices);
/// Posts for several devices. What can be known to be wrong before the first is asked fails the
/// whole; of what fails later the others are kept.
group_ptr post_for_devices(const group_self& self, const group_world& world,
                           std::vector<group_post> posts, bool backfill, bool skip_invalid,
                           bool allow_offline);
/// All of these questions at once; the first failure is the outcome's.
group_ptr ask_devices(std::vector<device_question> questions);

}  // namespace orrery::transport
