// Failures as the wire has them: CONNACK return codes and result codes of replies.
#pragma once

#include <cstdint>

#include "model/result.hpp"

namespace orrery::transport::mqtt {

/// CONNACK return code (MQTT 3.1.1, table 3.1) of a refused login.
constexpr std::uint8_t connack_code(const model::failure& why) {
  using model::errc;
  switch (why.code) {
    case errc::invalid_argument:
      return 2;
    case errc::not_found:
    case errc::unauthenticated:
      return 4;
    case errc::forbidden:
      return 5;
    case errc::too_large:
    case errc::already_exists:
    case errc::conflict:
    case errc::too_many_requests:
    case errc::unavailable:
    case errc::timeout:
    case errc::wrong_node:
    case errc::corrupted:
    case errc::internal:
      return 3;
  }
  return 3;
}

/// Result code of a reply. `format`: the code that this request has for malformed parameters.
constexpr int result_code(const model::failure& why, int format) {
  using model::errc;
  switch (why.code) {
    case errc::invalid_argument:
      return why.reason == "model_validate_failed" || why.reason == "element_unknown" ||
                     why.reason == "access_denied" || why.reason == "required_missing"
                 ? 1204
             : why.reason == "payload_invalid" ? 1220
             : why.reason == "payload_empty"   ? 1251
             : why.reason == "tag_invalid"     ? 1200
                                               : format;
    case errc::too_large:
      return why.reason == "message_too_large" ? 1008 : format;
    case errc::forbidden:
      return why.reason == "sub_device" ? 1212 : 1009;
    case errc::not_found:
      return why.reason == "element_unknown" ? 1204 : 705;
    case errc::already_exists:
    case errc::conflict:
    case errc::unauthenticated:
    case errc::too_many_requests:
    case errc::unavailable:
    case errc::timeout:
    case errc::wrong_node:
    case errc::corrupted:
    case errc::internal:
      return 1000;
  }
  return 1000;
}

/// True for failures that say nothing about the request: it was perhaps not kept, so it must not be
/// acknowledged.
constexpr bool is_ours(const model::failure& why) {
  using model::errc;
  return why.code == errc::unavailable || why.code == errc::timeout ||
         why.code == errc::wrong_node || why.code == errc::corrupted || why.code == errc::internal;
}

}  // namespace orrery::transport::mqtt
