// The connect grammar: who logs in and how he proves it, from the three texts of a CONNECT packet.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/credentials.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "transport/payload_codec.hpp"

namespace orrery::transport::mqtt {

enum class secure_mode : unsigned char { device_secret = 2, product_secret = 3, integration = 4 };

struct login {
  model::device_name device;
  model::login_proof proof;
  secure_mode mode = secure_mode::device_secret;
  compression payloads = compression::none;
  bool addresses_itself_by_product =
      false;                             // "pk.dk": needs time before commands (see docs/protocol)
  bool subscribes_to_replies = false;    // others get them anyway
  std::string sdk_address, sdk_version;  // diagnostics of the client, empty if not given
};

/// client id:  id "|" key=value *("," key=value) "|"; username: deviceKey "&" productKey (last
/// "&"); password: hex digest. Fails: `invalid_argument`, reason "client_id_invalid" (CONNACK 2) or
/// `unauthenticated` with reason "username_invalid", "sign_method_unknown", "secure_mode_unknown".
model::result<login> parse_login(std::string_view client_id,
                                 const std::optional<std::string_view>& username,
                                 const std::optional<std::string_view>& password);

}  // namespace orrery::transport::mqtt
