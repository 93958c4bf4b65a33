#include "transport/mqtt/errors.hpp"

#include <gtest/gtest.h>

#include "transport/mqtt/codec.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::errc;
using model::failure;

constexpr errc all[] = {errc::invalid_argument, errc::too_large,         errc::not_found,
                        errc::already_exists,   errc::conflict,          errc::unauthenticated,
                        errc::forbidden,        errc::too_many_requests, errc::unavailable,
                        errc::timeout,          errc::wrong_node,        errc::corrupted,
                        errc::internal};

int code_of(errc code, std::string_view reason = "", int format = 1206) {
  return result_code({code, reason, ""}, format);
}

TEST(MqttErrors, ConnackCodesAreThoseOfTheStandard) {
  EXPECT_EQ(connack_code({errc::invalid_argument, "client_id_invalid", ""}), 2);
  EXPECT_EQ(connack_code({errc::not_found, "device_unknown", ""}), 4);
  EXPECT_EQ(connack_code({errc::unauthenticated, "sign_check_failed", ""}), 4);
  EXPECT_EQ(connack_code({errc::forbidden, "device_disabled", ""}), 5);
  EXPECT_EQ(connack_code({errc::not_found, "device_retired", ""}), 4) << "as a stranger";
  for (const auto c : {errc::unavailable, errc::timeout, errc::wrong_node, errc::internal})
    EXPECT_EQ(connack_code({c, ""}), 3);
  for (const auto c : all) {
    const auto code = connack_code({c, ""});
    EXPECT_TRUE(code >= 2 && code <= 5) << model::name_of(c);
  }
}

TEST(MqttErrors, LoginsOfVersionFiveHaveReasonCodes) {
  EXPECT_EQ(connack_reason({errc::invalid_argument, "client_id_invalid", ""}), 0x85);
  EXPECT_EQ(connack_reason({errc::not_found, "device_unknown", ""}), 0x86);
  EXPECT_EQ(connack_reason({errc::unauthenticated, "sign_check_failed", ""}), 0x86);
  EXPECT_EQ(connack_reason({errc::forbidden, "certificate_required", ""}), 0x87);
  EXPECT_EQ(connack_reason({errc::forbidden, "device_disabled", ""}), 0x8a);
  EXPECT_EQ(connack_reason({errc::not_found, "device_retired", ""}), 0x86);
  for (const auto* banned :
       {"device_banned", "product_banned", "address_banned", "certificate_banned", "org_suspended"})
    EXPECT_EQ(connack_reason({errc::forbidden, banned, ""}), 0x8a) << banned;
  EXPECT_EQ(connack_reason({errc::too_many_requests, ""}), 0x9f);
  EXPECT_EQ(connack_reason({errc::too_large, ""}), 0x97);
  for (const auto c : {errc::unavailable, errc::timeout, errc::wrong_node, errc::internal})
    EXPECT_EQ(connack_reason({c, ""}), 0x88);
}

TEST(MqttErrors, EveryCodeIsOneThatItsPacketMayHave) {
  for (const auto c : all) {
    const auto read = [](const packet& p) {
      auto bytes = std::string{};
      encode(p, bytes, protocol::v5);
      const auto got = decode(bytes, bytes.size(), protocol::v5);
      return got && *got;
    };
    const auto refused = failure{c, ""};
    EXPECT_TRUE(read(connack{false, connack_reason(refused), {}})) << model::name_of(c);
    EXPECT_GE(connack_reason(refused), 0x80);
    EXPECT_TRUE(read(puback{1, puback_reason(refused), {}})) << model::name_of(c);
    EXPECT_TRUE(read(pubrec{1, puback_reason(refused), {}})) << model::name_of(c);
    EXPECT_GE(puback_reason(refused), 0x80);
  }
  EXPECT_EQ(puback_reason({errc::forbidden, "topic_forbidden", ""}), 0x87);
  EXPECT_EQ(puback_reason({errc::too_large, "message_too_large", ""}), 0x97);
  EXPECT_EQ(puback_reason({errc::invalid_argument, "format_error", ""}), 0x83);
}

TEST(MqttErrors, EndsHaveTheCodeOfTheirReason) {
  EXPECT_EQ(disconnect_code("malformed_header"), 0x81);
  EXPECT_EQ(disconnect_code("protocol_error"), 0x82);
  EXPECT_EQ(disconnect_code("taken_over"), 0x8e);
  EXPECT_EQ(disconnect_code("qos_not_supported"), 0x9b);
  EXPECT_EQ(disconnect_code("banned"), 0x98);
  EXPECT_EQ(disconnect_code("org_suspended"), 0x98);
  EXPECT_EQ(disconnect_code("a reason of another node"), 0x80);
  EXPECT_EQ(disconnect_code(""), 0x80);
}

TEST(MqttErrors, BadParametersHaveTheCodeOfTheirRequest) {
  for (const auto format : {1200, 1206, 1207, 1208, 1209})
    EXPECT_EQ(code_of(errc::invalid_argument, "format_error", format), format);
}

TEST(MqttErrors, ResultCodesSayWhatIsWrong) {
  for (const auto* reason :
       {"model_validate_failed", "element_unknown", "access_denied", "required_missing"})
    EXPECT_EQ(code_of(errc::invalid_argument, reason), 1204) << reason;
  EXPECT_EQ(code_of(errc::not_found, "element_unknown"), 1204);
  EXPECT_EQ(code_of(errc::invalid_argument, "payload_invalid"), 1220);
  EXPECT_EQ(code_of(errc::invalid_argument, "payload_empty"), 1251);
  EXPECT_EQ(code_of(errc::invalid_argument, "tag_invalid"), 1200);
  EXPECT_EQ(code_of(errc::too_large, "message_too_large"), 1008);
  EXPECT_EQ(code_of(errc::too_large, "payload_too_large"), 1008);
  EXPECT_EQ(code_of(errc::too_large, "too_many_attributes", 1207), 1207);
  EXPECT_EQ(code_of(errc::forbidden, "topic_forbidden"), 1009);
  EXPECT_EQ(code_of(errc::forbidden, "sub_device"), 1212);
  EXPECT_EQ(code_of(errc::unavailable), 1000);
}

TEST(MqttErrors, RequestsAboutSeveralDevicesHaveCodesOfTheirOwn) {
  struct {
    errc code;
    const char* reason;
    int login, add, remove;
  } const rows[] = {
      {errc::not_found, "device_unknown", 705, 1255, 1256},
      {errc::forbidden, "device_disabled", 723, 1255, 1256},
      {errc::forbidden, "sub_device_unbound", 740, 1255, 1256},
      {errc::unauthenticated, "sign_check_failed", 742, 742, 742},
      {errc::forbidden, "certificate_required", 746, 1255, 1256},
      {errc::forbidden, "activation_off", 770, 1255, 1256},
      {errc::forbidden, "activation_done", 770, 1255, 1256},
      {errc::conflict, "already_bound", 1000, 1255, 1256},
      {errc::forbidden, "not_gateway", 1200, 1255, 1256},
      {errc::invalid_argument, "payload_invalid", 1220, 1220, 1220},
      {errc::invalid_argument, "payload_empty", 1251, 1251, 1251},
      {errc::invalid_argument, "format_error", 1220, 1255, 1256},
      {errc::unavailable, "", 1000, 1000, 1000},
  };
  for (const auto& r : rows) {
    EXPECT_EQ(code_of(r.code, r.reason, 1220), r.login) << r.reason;
    EXPECT_EQ(code_of(r.code, r.reason, 1255), r.add) << r.reason;
    EXPECT_EQ(code_of(r.code, r.reason, 1256), r.remove) << r.reason;
  }
  EXPECT_EQ(code_of(errc::already_exists, "device_key_exists", 1200), 702);
  EXPECT_EQ(code_of(errc::not_found, "task_unknown", 1200), 764);
  EXPECT_EQ(code_of(errc::conflict, "job_not_running", 1200), 765);
  const auto sub = failure{errc::forbidden, "sub_device", ""};
  for (const auto* reason : {"file_unknown", "file_pending", "file_quota_exceeded"})
    EXPECT_EQ(result_code({errc::not_found, reason, ""}, 1200), 1200);
  EXPECT_EQ(result_code({errc::too_large, "file_too_large", ""}, 1200), 1008);
  EXPECT_EQ(result_code({errc::unavailable, "file_store_busy", ""}, 1200), 1000);
  EXPECT_EQ(result_code(sub, 1206, about::itself), 1212);
  EXPECT_EQ(result_code(sub, 1206, about::a_sub_device), 1009);
  const auto unknown = failure{errc::not_found, "device_unknown", ""};
  EXPECT_EQ(result_code(unknown, 1206, about::a_sub_device), 705);
  EXPECT_EQ(result_code(unknown, 1206, about::devices_of_a_channel), 1257);
  EXPECT_EQ(code_of(errc::invalid_argument, "device_key_invalid", 1200), 714);
}

TEST(MqttErrors, EachProblemIsToldOnce) {
  EXPECT_EQ(in_words({errc::not_found, "", "no such device"}), "no such device");
  const auto x = model::problem{"x", "", "wrong"};
  const auto y = model::problem{"y", "", "wrong"};
  EXPECT_EQ(in_words({errc::invalid_argument, "", "x: wrong", {x}}), "x: wrong");
  EXPECT_EQ(in_words({errc::invalid_argument, "", "x: wrong", {x, y}}), "x: wrong; y: wrong");
  EXPECT_EQ(in_words({errc::invalid_argument, "", "bad", {x, y}}), "bad; x: wrong; y: wrong");
}

TEST(MqttErrors, NoFailureLooksLikeASuccess) {
  for (const auto c : all) {
    EXPECT_NE(code_of(c), 200) << model::name_of(c);
    EXPECT_GE(code_of(c), 700) << model::name_of(c);
  }
}

TEST(MqttErrors, OnlyOurFailuresAreLeftUnacknowledged) {
  for (const auto c : all) {
    const auto ours = c == errc::unavailable || c == errc::timeout || c == errc::wrong_node ||
                      c == errc::corrupted || c == errc::internal;
    EXPECT_EQ(is_ours({c, ""}), ours) << model::name_of(c);
  }
}

}  // namespace
}  // namespace orrery::transport::mqtt
