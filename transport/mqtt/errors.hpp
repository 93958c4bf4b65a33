// Failures as the wire has them: return codes of 3.1.1, reason codes of 5.0, result codes of
// replies.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

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

/// The code that a reason has by itself, whatever was asked; 0: none.
constexpr int own_code(std::string_view reason) {
  return reason == "device_key_exists"         ? 702
         : reason == "device_key_invalid"      ? 714
         : reason == "device_disabled"         ? 723
         : reason == "sub_device_unbound"      ? 740
         : reason == "sign_check_failed"       ? 742
         : reason == "sign_method_not_allowed" ? 742
         : reason == "sign_method_unknown"     ? 742
         : reason == "certificate_required"    ? 746
         : reason == "task_unknown"            ? 764
         : reason == "job_not_running"         ? 765
         : reason == "activation_off"          ? 770
         : reason == "activation_done"         ? 770
         : reason == "direct_login_forbidden"  ? 771
         : reason == "sub_device"              ? 1212
                                               : 0;
}

/// Whom a request is about: it decides how some failures are told.
enum class about : unsigned char { itself, a_sub_device, devices_of_a_channel };

/// CONNACK reason code (MQTT 5.0, table 3-1) of a refused login.
constexpr std::uint8_t connack_reason(const model::failure& why) {
  using model::errc;
  switch (why.code) {
    case errc::invalid_argument:
      return 0x85;  // client identifier not valid
    case errc::not_found:
    case errc::unauthenticated:
      return 0x86;  // bad user name or password
    case errc::forbidden:
      return why.reason == "device_disabled" || why.reason == "org_suspended" ||
                     why.reason.ends_with("_banned")
                 ? 0x8a   // banned
                 : 0x87;  // not authorized
    case errc::too_large:
      return 0x97;  // quota exceeded
    case errc::too_many_requests:
      return 0x9f;  // connection rate exceeded
    case errc::already_exists:
    case errc::conflict:
    case errc::unavailable:
    case errc::timeout:
    case errc::wrong_node:
    case errc::corrupted:
    case errc::internal:
      return 0x88;  // server unavailable
  }
  return 0x88;
}

/// Reason code of PUBACK and PUBREC (MQTT 5.0, tables 3-4 and 3-5) of a message that was refused.
constexpr std::uint8_t puback_reason(const model::failure& why) {
  using model::errc;
  switch (why.code) {
    case errc::forbidden:
    case errc::unauthenticated:
      return 0x87;  // not authorized
    case errc::too_large:
    case errc::too_many_requests:
      return 0x97;  // quota exceeded
    case errc::invalid_argument:
    case errc::not_found:
    case errc::already_exists:
    case errc::conflict:
      return 0x83;  // valid, and not accepted
    case errc::unavailable:
    case errc::timeout:
    case errc::wrong_node:
    case errc::corrupted:
    case errc::internal:
      return 0x80;
  }
  return 0x80;
}

/// Reason code of DISCONNECT (MQTT 5.0, table 3-10) for the reason of a connection's end, the
/// static texts of codec, engine and connection and the ends of sessions.
constexpr std::uint8_t disconnect_code(std::string_view reason) {
  struct row {
    std::string_view reason;
    std::uint8_t code;
  };
  constexpr row rows[] = {
      {"protocol_error", 0x82},
      {"second_connect", 0x82},
      {"not_connected", 0x82},
      {"unexpected_packet", 0x82},
      {"key_revoked", 0x87},     // not authorized
      {"answer_timeout", 0x89},  // server busy
      {"node_stopped", 0x8b},    // shutting down
      {"keep_alive", 0x8d},
      {"taken_over", 0x8e},
      {"receive_maximum_exceeded", 0x93},
      {"topic_alias_invalid", 0x94},
      {"packet_too_large", 0x95},
      {"slow_consumer", 0x97},  // quota exceeded
      {"disabled", 0x98},       // administrative action
      {"banned", 0x98},
      {"org_suspended", 0x98},
      {"deleted", 0x98},
      {"secret_reset", 0x98},
      {"kicked", 0x98},
      {"replaced", 0x98},
      {"moved", 0x98},
      {"retired", 0x98},
      {"retain_not_supported", 0x9a},
      {"qos_not_supported", 0x9b},
      {"use_another_server", 0x9c},
      {"server_moved", 0x9d},
  };
  if (reason.starts_with("malformed_"))
    return 0x81;
  for (const auto& r : rows)
    if (r.reason == reason)
      return r.code;
  return 0x80;  // unspecified
}

/// Result code of a reply. `format`: the code that this request has for malformed parameters.
constexpr int result_code(const model::failure& why, int format, about whom = about::itself) {
  using model::errc;
  // A sub-device that may not be spoken for is a topic without permission.
  if (whom == about::a_sub_device && why.reason == "sub_device")
    return 1009;
  if (whom == about::devices_of_a_channel && why.code == errc::not_found &&
      why.reason == "device_unknown")
    return 1257;
  // What failed on a gateway's list is told in the list's own code.
  const auto of_topology = format == 1255 || format == 1256;
  if (of_topology && !(why.reason == "sign_check_failed" || why.code == errc::unavailable ||
                       why.code == errc::timeout || why.code == errc::internal))
    return why.reason == "payload_invalid" ? 1220 : why.reason == "payload_empty" ? 1251 : format;
  if (const auto code = own_code(why.reason); code != 0)
    return code;
  if (why.reason.starts_with("file_") && !(why.code == errc::unavailable))
    return why.reason == "file_too_large" ? 1008 : format;
  if (why.reason == "certificate_unknown" || why.reason == "certificate_not_renewable" ||
      why.reason == "certificate_foreign" || why.reason == "too_many_certificates")
    return format;
  if (why.reason == "not_gateway" || why.reason == "product_unknown")
    return 1200;
  switch (why.code) {
    case errc::invalid_argument:
      return why.reason == "model_validate_failed" || why.reason == "element_unknown" ||
                     why.reason == "access_denied" || why.reason == "required_missing"
                 ? 1204
             : why.reason == "payload_invalid" ? 1220
             : why.reason == "script_missing" || why.reason == "script_error" ||
                     why.reason == "script_limit"
                 ? 1220
             : why.reason == "payload_empty" ? 1251
             : why.reason == "tag_invalid"   ? 1200
                                             : format;
    case errc::too_large:
      return why.reason == "message_too_large" || why.reason == "payload_too_large" ? 1008 : format;
    case errc::forbidden:
      return 1009;
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

/// A failure in words: its detail, then each of its problems that the detail does not begin with.
inline std::string in_words(const model::failure& why) {
  auto text = why.detail;
  for (const auto& p : why.problems)
    if (const auto told = p.where + ": " + p.detail; &p != &why.problems.front() || told != text)
      text += "; " + told;
  return text;
}

}  // namespace orrery::transport::mqtt
