#include <gtest/gtest.h>

#include "model/json.hpp"
#include "transport/mqtt/codec.hpp"
#include "transport/mqtt/downlinks.hpp"
#include "transport/mqtt/errors.hpp"
#include "transport/mqtt/operations.hpp"
#include "transport/mqtt/replies.hpp"
#include "transport/mqtt/requests.hpp"

namespace orrery::transport::mqtt {
namespace {

namespace device = model::device;
using model::errc;
using model::object;
using model::value;

const auto self = model::device_name{"pk", "dk"};
const auto home = std::string{"/sys/pk/dk/"};

group_self sender(bool gateway = false) {
  auto who = group_self{};
  who.link.name = self;
  who.organisation = "org";
  who.gateway = gateway;
  return who;
}

group_world world() {
  static const auto keys = model::keyring{{7}};
  return {std::make_shared<const actors::catalogue_snapshot>(), &keys,
          [](const model::device_name&) { return model::shard_id{3}; },
          model::from_ms(1'700'000'000'000)};
}

request ask(const std::string& rest, std::string_view payload) {
  return read_request(classify(home + rest), payload, sender(), world);
}

/// The order of a request that must be readable.
template <class Order>
Order order(const std::string& rest, std::string_view payload) {
  auto got = ask(rest, payload);
  if (!got.what) {
    ADD_FAILURE() << rest << ' ' << payload << ": " << got.what.error().detail;
    return {};
  }
  auto* o = std::get_if<Order>(&*got.what);
  if (!o)
    ADD_FAILURE() << rest << ": another order";
  return o ? std::move(*o) : Order{};
}

/// The result code of a request that must be refused, 0 if it is not.
int code(const std::string& rest, std::string_view payload) {
  const auto got = ask(rest, payload);
  return got.what ? 0 : result_code(got.what.error(), format_code(classify(home + rest).what));
}

std::string json(const value& v) {
  return model::to_json(v);
}
std::string json(const object& o) {
  return model::to_json(value{o});
}

/// The points of a sample as JSON.
std::string points(const device::posted_sample& s) {
  auto out = object{};
  for (const auto& p : s.points)
    out.emplace_back(p.id, p.posted);
  return json(out);
}

// ---- topics

TEST(MqttTopics, EachHasItsOperation) {
  struct {
    const char* rest;
    operation what;
    const char* name;
    int format;
  } const rows[] = {
      {"thing/measurepoint/post", operation::points_post, "points_post", 1206},
      {"thing/measurepoint/post/batch", operation::points_post_batch, "points_post_batch", 1206},
      {"thing/measurepoint/resume", operation::points_resume, "points_resume", 1206},
      {"thing/measurepoint/resume/batch", operation::points_resume_batch, "points_resume_batch",
       1206},
      {"thing/event/overTemp/post", operation::event_post, "event_post", 1200},
      {"thing/attribute/update", operation::attribute_update, "attribute_update", 1207},
      {"thing/attribute/query", operation::attribute_query, "attribute_query", 1208},
      {"thing/attribute/delete", operation::attribute_delete, "attribute_delete", 1209},
      {"thing/tag/update", operation::tag_update, "tag_update", 1200},
      {"thing/tag/query", operation::tag_query, "tag_query", 1200},
      {"thing/tag/delete", operation::tag_delete, "tag_delete", 1200},
      {"thing/tsltemplate/get", operation::model_get, "model_get", 1200},
      {"security/cert/apply", operation::certificate_apply, "certificate_apply", 1200},
      {"security/cert/renew", operation::certificate_renew, "certificate_renew", 1200},
      {"thing/file/upload", operation::file_upload, "file_upload", 1200},
      {"thing/file/download", operation::file_download, "file_download", 1200},
      {"thing/file/delete", operation::file_delete, "file_delete", 1200},
      {"ota/device/inform", operation::firmware_inform, "firmware_inform", 1200},
      {"ota/device/progress", operation::firmware_progress, "firmware_progress", 1200},
      {"ota/device/getversion", operation::firmware_getversion, "firmware_getversion", 1200},
      {"thing/config/get", operation::config_get, "config_get", 1200},
      {"thing/config/report", operation::config_report, "config_report", 1200},
  };
  for (const auto& r : rows) {
    const auto topic = home + r.rest;
    const auto got = classify(topic);
    EXPECT_EQ(got.what, r.what) << r.rest;
    EXPECT_TRUE(got.is_of(self) && got.wants_reply) << r.rest;
    EXPECT_EQ(name_of(got.what), r.name);
    EXPECT_EQ(format_code(got.what), r.format) << r.rest;
  }
}

certificate_wish wish(const std::string& topic, const std::string& params) {
  auto got = read_request(classify(home + topic), R"({"id":"1","params":)" + params + "}", {}, {});
  EXPECT_TRUE(got.certificate) << params;
  return got.certificate.value_or(certificate_wish{});
}

TEST(MqttCertificates, AreAskedFor) {
  const auto applied = wish("security/cert/apply", R"({"csr":"pem"})");
  EXPECT_EQ(applied.csr, "pem");
  EXPECT_EQ(applied.days, 730);
  EXPECT_FALSE(applied.rsa);
  const auto more =
      wish("security/cert/apply", R"({"csr":"pem","validDay":"30","issueAuthority":"RSA"})");
  EXPECT_EQ(more.days, 30);
  EXPECT_EQ(more.rsa, true);
  for (const auto* sn : {R"("32720")", "32720"}) {
    const auto renewed =
        wish("security/cert/renew", std::string{R"({"issueAuthority":"ECC","certSn":)"} + sn + "}");
    EXPECT_EQ(renewed.sn, "32720");
    EXPECT_EQ(renewed.csr, "");
    EXPECT_EQ(renewed.rsa, false);
  }
}

TEST(MqttCertificates, BadWishesAreRefused) {
  const auto refused = [](const std::string& topic, const std::string& params) {
    const auto got =
        read_request(classify(home + topic), R"({"id":"1","params":)" + params + "}", {}, {});
    return !got.certificate && !got.what && got.what.error().reason == "format_error";
  };
  for (const auto* params :
       {"{}", "[]", "null", "7", R"({"csr":7})", R"({"csr":""})", R"({"csr":"p","validDay":0})",
        R"({"csr":"p","validDay":3651})", R"({"csr":"p","validDay":1.5})",
        R"({"csr":"p","validDay":-1})", R"({"csr":"p","validDay":"99999999999999999999"})",
        R"({"csr":"p","validDay":[]})", R"({"csr":"p","issueAuthority":"rsa"})"})
    EXPECT_TRUE(refused("security/cert/apply", params)) << params;
  EXPECT_TRUE(
      refused("security/cert/apply", R"({"csr":")" + std::string(16 * 1024 + 1, 'x') + "\"}"));
  for (const auto* params : {"{}", R"({"certSn":""})", R"({"certSn":null})", R"({"certSn":{}})"})
    EXPECT_TRUE(refused("security/cert/renew", params)) << params;
  EXPECT_TRUE(refused("security/cert/renew", R"({"certSn":")" + std::string(65, '1') + "\"}"));
}

request file_request(const std::string& verb, const std::string& params) {
  return read_request(classify(home + "thing/file/" + verb),
                      R"({"id":"1","params":)" + params + "}", {}, {});
}

TEST(MqttFiles, AreAnnounced) {
  for (const auto* length : {"1024", R"("1024")"}) {
    const auto got = file_request("upload", std::string{R"({"filename":"a.jpg","md5":")"} +
                                                std::string(32, 'A') + R"(","fileLength":)" +
                                                length + R"(,"originalFilename":"b"})");
    ASSERT_TRUE(got.what) << length;
    const auto& wish = std::get<device::add_file>(*got.what).what;
    EXPECT_EQ(wish.name, "a.jpg");
    EXPECT_EQ(wish.size, 1024u);
    EXPECT_EQ(wish.md5, std::string(32, 'a'));
    EXPECT_EQ(wish.sha256, "");
    EXPECT_EQ(wish.id, "");
  }
  for (const auto* params :
       {"{}", "[]", "7", R"({"filename":"a"})", R"({"fileLength":1})",
        R"({"filename":"","fileLength":1})", R"({"filename":7,"fileLength":1})",
        R"({"filename":"a","fileLength":-1})", R"({"filename":"a","fileLength":1.5})",
        R"({"filename":"a","fileLength":"1x"})", R"({"filename":"a","fileLength":[]})",
        R"({"filename":"a","fileLength":"9999999999999999"})",
        R"({"filename":"a","fileLength":1,"md5":"0"})",
        R"({"filename":"a","fileLength":1,"md5":7})",
        R"({"filename":"a","fileLength":1,"sha256":"gg"})"}) {
    const auto got = file_request("upload", params);
    ASSERT_FALSE(got.what) << params;
    EXPECT_EQ(got.what.error().reason, "format_error") << params;
  }
}

TEST(MqttFiles, AreNamedByTheirUri) {
  const auto uri = std::string{R"({"fileUri":"enos-connect://00112233445566ff.jpg"})"};
  EXPECT_EQ(std::get<device::read_file>(*file_request("download", uri).what).id,
            "00112233445566ff");
  EXPECT_EQ(std::get<device::remove_file>(*file_request("delete", uri).what).id,
            "00112233445566ff");
  for (const auto* params : {"{}", "null", R"({"fileUri":7})", R"({"fileUri":"x"})"})
    for (const auto* verb : {"download", "delete"})
      EXPECT_FALSE(file_request(verb, params).what) << params;
}

TEST(MqttTopics, AnEventIsNamedByItsTopic) {
  EXPECT_EQ(classify("/sys/pk/dk/thing/event/overTemp/post").element, "overTemp");
  EXPECT_EQ(classify("/sys/pk/dk/thing/event/INV.Over-Temp/post").element, "INV.Over-Temp");
  for (const auto* rest : {"thing/event/post", "thing/event//post", "thing/event/a/b/post",
                           "thing/event/a", "thing/event/a/post/"})
    EXPECT_NE(classify(home + rest).what, operation::event_post) << rest;
}

TEST(MqttTopics, AnswersToCommandsAreNotAnswered) {
  for (const auto* rest :
       {"thing/service/reboot_reply", "thing/service/INV.Control_reply",
        "thing/service/measurepoint/set_reply", "thing/service/measurepoint/get_reply"}) {
    const auto topic = home + rest;
    const auto got = classify(topic);
    EXPECT_EQ(got.what, operation::command_reply) << rest;
    EXPECT_TRUE(got.is_of(self)) << rest;
    EXPECT_FALSE(got.wants_reply) << rest;
  }
}

TEST(MqttTopics, OfOthersAreTheirs) {
  for (const auto* topic :
       {"/sys/pk/other/thing/measurepoint/post", "/sys/other/dk/thing/measurepoint/post",
        "/sys/pk/dk2/thing/measurepoint/post", "/sys/pk/d/thing/measurepoint/post"}) {
    const auto got = classify(topic);
    EXPECT_EQ(got.what, operation::points_post) << topic;
    EXPECT_FALSE(got.is_of(self)) << topic;
  }
  const auto got = classify("/ext/session/pk2/dk2/combine/login");
  EXPECT_EQ(got.what, operation::sub_login);
  EXPECT_EQ(got.tree, topic_tree::session);
  EXPECT_TRUE(got.is_of({"pk2", "dk2"}));
}

TEST(MqttTopics, OutsideOfTheTreesAreUnknown) {
  for (const auto* topic :
       {"/sys/pkdk/thing/measurepoint/post", "/other/pk/dk/x", "/sys", "/sys/", "/sys/pk",
        "/sys/pk/dk", "sys/pk/dk/thing/measurepoint/post", "/ext/pk/dk/combine/login",
        "/ext/session/pk/dk/thing/measurepoint/post", "/sys/pk/dk/combine/login",
        "//sys/pk/dk/thing/measurepoint/post", "general", "/", "$SYS/broker", ""}) {
    const auto got = classify(topic);
    EXPECT_EQ(got.what, operation::unknown) << topic;
    EXPECT_TRUE(got.wants_reply) << topic;
  }
}

TEST(MqttTopics, AChannelHasNoDevice) {
  struct {
    const char* topic;
    operation what;
  } const rows[] = {
      {"/sys/pk/integration/measurepoint/post", operation::channel_points},
      {"sys/pk/integration/measurepoint/post", operation::channel_points},
      {"/sys/pk/integration/event/post", operation::channel_events},
      {"/sys/pk/integration/attribute/post", operation::channel_attributes},
      {"/sys/pk/integration/attributes/post", operation::channel_attributes},
      {"/sys/pk/integration/thing/measurepoint/post", operation::unknown},
  };
  for (const auto& r : rows) {
    const auto got = classify(r.topic);
    EXPECT_EQ(got.what, r.what) << r.topic;
    EXPECT_EQ(got.tree, topic_tree::channel) << r.topic;
    EXPECT_EQ(got.product_key, "pk");
    EXPECT_EQ(got.device_key, "");
  }
}

TEST(MqttTopics, AnswersToNoticesAreTakenWhereverClientsSendThem) {
  for (const auto* topic :
       {"/sys/pk/dk/thing/disable_reply", "/sys/pk/dk/thing/enable_reply",
        "/sys/pk/dk/thing/delete_reply", "/ext/session/pk/dk/combine/disable_reply",
        "/ext/session/pk/dk/combine/enable_reply", "/ext/session/pk/dk/combine/delete_reply",
        "/ext/session/pk/dk/thing/activate/info_reply",
        "/ext/session/session/pk/combine/disable_reply", "/sys/pk/dk/traffic/control",
        "/sys/pk/dk/ota/device/upgrade_reply", "/sys/pk/dk/thing/config/push_reply"}) {
    const auto got = classify(topic);
    EXPECT_EQ(got.what, operation::notice_reply) << topic;
    EXPECT_FALSE(got.wants_reply) << topic;
  }
}

TEST(MqttTopics, OnlyADevicesOwnMattersAreForItsGateway) {
  for (const auto o :
       {operation::points_post, operation::event_post, operation::tag_update, operation::model_get,
        operation::command_reply, operation::log_post, operation::firmware_inform,
        operation::firmware_progress, operation::firmware_getversion, operation::config_get,
        operation::config_report, operation::clock, operation::rrpc_response})
    EXPECT_TRUE(is_for_sub_devices(o)) << name_of(o);
  for (const auto o : {operation::topology_add, operation::sub_login, operation::device_register,
                       operation::channel_points, operation::unknown})
    EXPECT_FALSE(is_for_sub_devices(o)) << name_of(o);
}

TEST(MqttTopics, OfNobodyAreUnknown) {
  for (const auto* rest : {"", "thing", "thing/measurepoint/post/", "thing/measurepoint", "x/y",
                           "thing/measurepoint/post/batch/more", "thing/service/reboot",
                           "thing/attribute/update_reply", "thing/Measurepoint/post"}) {
    const auto topic = home + rest;
    const auto got = classify(topic);
    EXPECT_TRUE(got.is_of(self)) << rest;
    EXPECT_EQ(got.what, operation::unknown) << rest;
  }
}

// ---- requests for several devices

request ask_gateway(const std::string& topic, std::string_view payload) {
  return read_request(classify(topic), payload, sender(true), world);
}

/// The code of a gateway's request that cannot be read; 0: it can.
int gateway_code_of(const std::string& topic, std::string_view payload) {
  const auto got = ask_gateway(topic, payload);
  return got.group || got.what ? 0
                               : result_code(got.what.error(), format_code(classify(topic).what));
}

constexpr auto good_sub =
    R"("productKey":"p2","deviceKey":"d2","clientId":"c","timestamp":1700000000500,"sign":"ab")";

TEST(MqttGateway, LoginsAreReadHoweverClientsWriteThem) {
  const auto topic = std::string{"/ext/session/pk/dk/combine/login"};
  struct {
    std::string more;
    model::device::login_secret secret;
  } const rows[] = {
      {R"(,"signMethod":"sha256")", model::device::login_secret::either},
      {R"(,"signmethod":"hmacSha1","secureMode":"2")", model::device::login_secret::device},
      {R"(,"signMethod":"md5","secureMode":3,"cleanSession":"true")",
       model::device::login_secret::product},
  };
  for (const auto& r : rows) {
    auto got =
        ask_gateway(topic, R"({"id":"1","params":{)" + std::string{good_sub} + r.more + "}}");
    ASSERT_TRUE(got.group) << r.more;
    const auto questions = got.group->next({});
    ASSERT_EQ(questions.size(), 1u);
    EXPECT_EQ(std::get<model::device_name>(*questions[0].whom), (model::device_name{"p2", "d2"}));
    const auto& login = std::get<device::connect>(questions[0].what);
    EXPECT_EQ(login.proof.client_id, "c");
    EXPECT_EQ(login.proof.timestamp, "1700000000500");
    EXPECT_EQ(login.proof.digest, "ab");
    EXPECT_EQ(login.secret, r.secret);
    EXPECT_EQ(login.fresh.empty(), r.secret == model::device::login_secret::device);
  }
}

TEST(MqttGateway, WhatCannotBeReadHasTheCodeOfItsRequest) {
  const auto session = std::string{"/ext/session/pk/dk/combine/"};
  const auto thing = std::string{"/sys/pk/dk/thing/"};
  const auto with = [](const std::string& params) { return R"({"params":)" + params + "}"; };
  for (const auto* params :
       {"5", "[]", "{}", R"({"productKey":"p2"})", R"({"productKey":"p2","deviceKey":5})"})
    EXPECT_EQ(gateway_code_of(session + "logout", with(params)), 1220) << params;
  EXPECT_EQ(gateway_code_of(session + "login",
                            with(std::string{"{"} + good_sub + R"(,"signMethod":"sha512"})")),
            742);
  EXPECT_EQ(gateway_code_of(session + "login", with(std::string{"{"} + good_sub +
                                                    R"(,"signMethod":"md5","secureMode":4})")),
            1220);
  EXPECT_EQ(gateway_code_of(session + "login/batch", with(R"({"clientId":"x"})")), 1220);
  EXPECT_EQ(gateway_code_of(session + "login/batch", with(R"({"subDevices":[5]})")), 1220);
  EXPECT_EQ(gateway_code_of(thing + "topo/add", with("{}")), 1255);
  EXPECT_EQ(gateway_code_of(thing + "topo/add", with("[{}]")), 1255);
  EXPECT_EQ(gateway_code_of(thing + "topo/delete", with("[5]")), 1256);
  EXPECT_EQ(gateway_code_of(thing + "device/register", with(R"([{"productKey":"p2"}])")), 1200);
  EXPECT_EQ(gateway_code_of(thing + "device/register", with(R"([{"deviceKey":"d2"}])")), 1200);
  auto many = std::string{"["};
  for (int i = 0; i < 1001; ++i)
    many += (i == 0 ? "" : ",") + std::string{R"({"productKey":"p","deviceKey":"d"})"};
  EXPECT_EQ(gateway_code_of(thing + "topo/delete", with(many + "]")), 1256);
  EXPECT_EQ(gateway_code_of(thing + "topo/get", with("[]")), 0) << "its params do not matter";
}

TEST(MqttGateway, ABatchForItselfAloneIsOneOrder) {
  const auto topic = std::string{"/sys/pk/dk/thing/measurepoint/post/batch"};
  const auto own = ask_gateway(topic, R"({"params":[{"measurepoints":{"p":1}},
    {"productKey":"","deviceKey":"","measurepoints":{"p":2}}]})");
  ASSERT_TRUE(own.what);
  EXPECT_FALSE(own.group);
  EXPECT_EQ(std::get<device::report_points>(*own.what).samples.size(), 2u);
  EXPECT_TRUE(ask_gateway(topic, R"({"params":[{"measurepoints":{"p":1}},
    {"productKey":"p2","deviceKey":"d2","measurepoints":{"p":2}}]})")
                  .group);
}

TEST(MqttGateway, ADevicesPictureOfItsNetworkIsByNode) {
  const auto got =
      order<device::report_picture>("connection/state/post", R"({"params":{"isFull":true,
    "nodes":[{"nodeId":"a","state":1},{"nodeId":5,"state":2}],"relations":{"a":["5"]},"reportTime":1}})");
  EXPECT_TRUE(got.full);
  EXPECT_EQ(json(got.nodes), R"({"a":{"nodeId":"a","state":1},"5":{"nodeId":5,"state":2}})");
  EXPECT_EQ(json(got.relations), R"({"a":["5"]})");
  EXPECT_EQ(code("connection/state/post", R"({"params":{"nodes":[{"state":1}]}})"), 1200);
}

TEST(MqttGateway, WhatADeviceTellsBesideItsModelIsAnEventOfAReservedName) {
  const auto log = order<device::report_event>(
      "thing/log/post", R"({"params":{"logs":{"level":"info","content":"up"},"time":5000}})");
  EXPECT_EQ(log.event, "$log");
  EXPECT_EQ(json(log.output), R"({"level":"info","content":"up"})");
  EXPECT_EQ(
      order<device::report_event>("network/status/report", R"({"params":{"rssi":-70}})").event,
      "$network");
  EXPECT_EQ(code("thing/event/$log/post", R"({"params":{"events":{}}})"), 1204);
}

TEST(MqttGateway, NoticesAndActivationsAreWrittenAsClientsReadThem) {
  const auto kind = model::device_notice::kind::disabled;
  const auto sub = model::device_name{"p2", "d2"};
  auto m = write_downlink({"17", self, model::device_notice{kind, sub}, false});
  EXPECT_EQ(m.topic, "/ext/session/pk/dk/combine/disable");
  EXPECT_EQ(m.payload, R"({"id":"17","version":"1.0","method":"combine.disable",)"
                       R"("params":[{"productKey":"p2","deviceKey":"d2"}]})");
  m = write_downlink({"17", self, model::device_notice{kind, sub}, false}, true);
  EXPECT_TRUE(m.payload.ends_with(R"("params":{"productKey":"p2","deviceKey":"d2"}})"));
  m = write_downlink({"17", self, model::device_notice{kind, {}}, false});
  EXPECT_EQ(m.topic, "/sys/pk/dk/thing/disable");
  EXPECT_TRUE(m.payload.ends_with(R"("params":{}})"));
  m = write_downlink({"17", self, model::points_read{{"a", "b"}}, false});
  EXPECT_EQ(m.topic, "/sys/pk/dk/thing/service/measurepoint/get");
  EXPECT_TRUE(m.payload.ends_with(R"("params":["a","b"]})"));
  m = write_activation(self, {}, "s3cret", "17");
  EXPECT_EQ(m.topic, "/ext/session/pk/dk/thing/activate/info");
  EXPECT_EQ(m.payload,
            R"({"id":"17","version":"1.0","method":"thing.activate.info","params":{"assetId":")" +
                to_string(model::entity_id{}) +
                R"(","productKey":"pk","deviceKey":"dk","deviceSecret":"s3cret"}})");
}

// ---- the envelope

TEST(MqttRequests, TheIdComesBackAsText) {
  struct {
    const char *given, *id;
  } const rows[] = {
      {R"("41")", "41"}, {"41", "41"},   {R"("")", ""},        {"null", ""},
      {"{}", ""},        {"[1]", ""},    {"true", "true"},     {R"("ä \"x\"")", "ä \"x\""},
      {"-7", "-7"},      {"1.5", "1.5"}, {R"("0041")", "0041"}};
  for (const auto& r : rows)
    EXPECT_EQ(
        ask("thing/tsltemplate/get", std::string{R"({"id":)"} + r.given + R"(,"params":{}})").id,
        r.id)
        << r.given;
  EXPECT_EQ(ask("thing/tsltemplate/get", "{}").id, "");
  // It is read also where the rest is wrong.
  EXPECT_EQ(ask("thing/measurepoint/post", R"({"id":"9","params":5})").id, "9");
}

TEST(MqttRequests, TheVersionTellsWhoSubscribesToReplies) {
  const auto subscribes = [](std::string version) {
    return ask("thing/measurepoint/post", R"({"id":"9",)" + version + R"("params":{}})")
        .subscribes_to_replies;
  };
  EXPECT_TRUE(subscribes(R"("version":"1.1",)"));
  for (const auto* other : {"", R"("version":"1.0",)", R"("version":1.1,)", R"("version":null,)"})
    EXPECT_FALSE(subscribes(other)) << other;
}

TEST(MqttRequests, UnknownMembersAndMethodsAreNobodysBusiness) {
  for (
      const auto* payload :
      {R"({"id":"1","version":"1.1","method":"thing.event.%s.postx","params":{"measurepoints":{"p":1}}})",
       R"({"method":5,"version":null,"sys":{"ack":1},"params":{"measurepoints":{"p":1},"assetId":"x"}})",
       R"({"params":{"measurepoints":{"p":1}},"files":{}})"})
    EXPECT_EQ(
        points(order<device::report_points>("thing/measurepoint/post", payload).samples.at(0)),
        R"({"p":1})");
}

TEST(MqttRequests, AnEmptyPayloadIs1251) {
  for (const auto* rest : {"thing/measurepoint/post", "thing/event/e/post", "thing/tag/query",
                           "thing/tsltemplate/get"})
    EXPECT_EQ(code(rest, ""), 1251) << rest;
}

TEST(MqttRequests, APayloadThatIsNoObjectIs1220) {
  const auto deep =
      R"({"id":"1","params":)" + std::string(5'000, '[') + std::string(5'000, ']') + "}";
  auto many = std::string{R"({"id":"1","params":[0)"};
  for (auto i = 0; i < 110'000; ++i)
    many += ",0";
  many += "]}";
  for (const auto& payload :
       {std::string{"x"}, std::string{"{"}, std::string{"[]"}, std::string{"5"},
        std::string{"null"}, std::string{"\"a\""}, std::string{R"({"id":"1")"},
        std::string{R"({"id":"1"} x)"}, std::string{R"({"id":NaN})"},
        std::string{R"({"id":"1","params":{"measurepoints":{"p":Infinity}}})"},
        std::string{"{\"id\":\"\xff\"}"},
        std::string{"{\"id\":\"1\",\"params\":{\"measurepoints\":{\"\xed\xa0\x80\":1}}}"},
        std::string{R"({"id":"1","params":{"measurepoints":{"p":1e999}}})"},
        std::string{R"({"id":"1","params":{"measurepoints":{"p":18446744073709551616}}})"},
        std::string(3, '\0'), std::string{"\xef\xbb\xbf{\"params\":"}, deep, many})
    for (const auto* rest :
         {"thing/measurepoint/post", "thing/attribute/update", "thing/tsltemplate/get"})
      EXPECT_EQ(code(rest, payload), 1220) << rest << ' ' << payload.substr(0, 60);
}

TEST(MqttRequests, APayloadOfHalfAMebibyteIsTakenAndMoreIs1008) {
  const auto head = std::string{R"({"id":"1","params":{"measurepoints":{"p":")"};
  const auto tail = std::string{R"("}}})"};
  const auto of_size = [&](std::size_t n) {
    return head + std::string(n - head.size() - tail.size(), 'x') + tail;
  };
  EXPECT_EQ(code("thing/measurepoint/post", of_size(524'288)), 0);
  EXPECT_EQ(code("thing/measurepoint/post", of_size(524'289)), 1008);
}

// ---- points

TEST(MqttPoints, APostHasPointsAndATime) {
  const auto got = order<device::report_points>(
      "thing/measurepoint/post",
      R"({"id":"41","version":"1.0","method":"thing.measurepoint.post","params":{"measurepoints":{"voltage":229.7,)"
      R"("phase":{"value":3,"quality":9},"harmonics":[1.2,0.4],"breaker":{"closed":true}},"time":1700000000123}})");
  ASSERT_EQ(got.samples.size(), 1u);
  EXPECT_FALSE(got.backfill);
  EXPECT_FALSE(got.skip_invalid);
  EXPECT_EQ(got.samples[0].time, model::from_ms(1'700'000'000'123));
  // The wrapper of value and quality is the model's to know: a struct looks alike.
  EXPECT_EQ(points(got.samples[0]),
            R"({"voltage":229.7,"phase":{"value":3,"quality":9},"harmonics":[1.2,0.4],)"
            R"("breaker":{"closed":true}})");
}

TEST(MqttPoints, TimesAreBroughtToMilliseconds) {
  struct {
    const char* given;
    std::int64_t ms;
  } const rows[] = {{"1700000000123", 1'700'000'000'123},
                    {"1700000000123.0", 1'700'000'000'123},
                    {"1.795395424824e+15", 1'795'395'424'824},
                    {"1795395424824000", 1'795'395'424'824},
                    {"1700000000.5", 1'700'000'000'500},
                    {R"("1700000000123")", 1'700'000'000'123},
                    {R"("1.7e12")", 1'700'000'000'000},
                    {"0", 0},
                    {"1", 1},
                    {"4102444800000", 4'102'444'800'000},
                    {"-1", -1}};
  for (const auto& r : rows) {
    const auto got = order<device::report_points>(
        "thing/measurepoint/post",
        std::string{R"({"params":{"measurepoints":{"p":1},"time":)"} + r.given + "}}");
    ASSERT_EQ(got.samples.size(), 1u);
    EXPECT_EQ(got.samples[0].time, model::from_ms(r.ms)) << r.given;
  }
  for (const auto* none : {R"({"params":{"measurepoints":{"p":1}}})",
                           R"({"params":{"measurepoints":{"p":1},"time":null}})"})
    EXPECT_FALSE(order<device::report_points>("thing/measurepoint/post", none).samples.at(0).time);
  for (const auto* bad :
       {R"("soon")", R"("")", "true", "[]", "{}", "1e300", R"("NaN")", R"("inf")"})
    EXPECT_EQ(code("thing/measurepoint/post",
                   std::string{R"({"params":{"measurepoints":{"p":1},"time":)"} + bad + "}}"),
              1206)
        << bad;
}

TEST(MqttPoints, APostWithoutPointsIs1206) {
  for (const auto* payload :
       {R"({"id":"1"})", R"({"params":null})", R"({"params":5})", R"({"params":[]})",
        R"({"params":"x"})", R"({"params":{}})", R"({"params":{"measurepoints":null}})",
        R"({"params":{"measurepoints":[]}})", R"({"params":{"measurepoints":5}})",
        R"({"params":{"measurepoints":{}}})", R"({"params":{"Measurepoints":{"p":1}}})"})
    for (const auto* rest : {"thing/measurepoint/post", "thing/measurepoint/resume"})
      EXPECT_EQ(code(rest, payload), 1206) << rest << ' ' << payload;
}

TEST(MqttPoints, ABatchIsSeveralPosts) {
  const auto got = order<device::report_points>(
      "thing/measurepoint/post/batch",
      R"({"id":"42","params":[{"measurepoints":{"a":1},"time":1700000000000},)"
      R"({"productKey":"pk","deviceKey":"dk","measurepoints":{"b":{"value":2,"quality":1}}},)"
      R"({"productKey":"","deviceKey":"","measurepoints":{"c":3},"time":"1700000000001"},)"
      "\n\t{\"productKey\":null,\"deviceKey\":null,\n\t\"measurepoints\":\t{\"d\":4}}]}");
  ASSERT_EQ(got.samples.size(), 4u);
  EXPECT_EQ(points(got.samples[0]), R"({"a":1})");
  EXPECT_EQ(points(got.samples[1]), R"({"b":{"value":2,"quality":1}})");
  EXPECT_EQ(points(got.samples[2]), R"({"c":3})");
  EXPECT_EQ(points(got.samples[3]), R"({"d":4})");
  EXPECT_EQ(got.samples[0].time, model::from_ms(1'700'000'000'000));
  EXPECT_FALSE(got.samples[1].time);
  EXPECT_EQ(got.samples[2].time, model::from_ms(1'700'000'000'001));
}

TEST(MqttPoints, OnlyTrueSkipsInvalidPoints) {
  const auto skips = [](const std::string& given) {
    return order<device::report_points>("thing/measurepoint/post/batch",
                                        "{" + given + R"("params":[{"measurepoints":{"p":1}}]})")
        .skip_invalid;
  };
  EXPECT_TRUE(skips(R"("skipInvalidMeasurepoints":true,)"));
  EXPECT_TRUE(skips(R"("skipInvalidMeasurepoints":"true",)"));
  for (const auto* no :
       {"", R"("skipInvalidMeasurepoints":false,)", R"("skipInvalidMeasurepoints":"",)",
        R"("skipInvalidMeasurepoints":"false",)", R"("skipInvalidMeasurepoints":1,)",
        R"("skipInvalidMeasurepoints":null,)", R"("allowOfflineSubDevice":true,)"})
    EXPECT_FALSE(skips(no)) << no;
}

TEST(MqttPoints, ABatchThatIsNoneIs1206) {
  for (const auto* payload :
       {R"({"id":"1"})", R"({"params":{}})", R"({"params":[]})",
        R"({"params":{"measurepoints":{"p":1}}})", R"({"params":[5]})", R"({"params":[null]})",
        R"({"params":[{"measurepoints":{"p":1}},{}]})", R"({"params":[{"measurepoints":{}}]})",
        R"({"params":[{"measurepoints":{"p":1},"time":"soon"}]})",
        R"({"params":[{"productKey":5,"deviceKey":"dk","measurepoints":{"p":1}}]})",
        R"({"params":[{"productKey":"pk","deviceKey":{},"measurepoints":{"p":1}}]})"})
    for (const auto* rest : {"thing/measurepoint/post/batch", "thing/measurepoint/resume/batch"})
      EXPECT_EQ(code(rest, payload), 1206) << rest << ' ' << payload;
}

TEST(MqttPoints, ABatchForADeviceThatIsNoSubDeviceIs1212) {
  for (const auto* keys : {R"("productKey":"pk","deviceKey":"other",)",
                           R"("productKey":"other","deviceKey":"dk",)", R"("deviceKey":"other",)"})
    EXPECT_EQ(code("thing/measurepoint/post/batch", R"({"params":[{"measurepoints":{"p":1}},{)" +
                                                        std::string{keys} +
                                                        R"("measurepoints":{"p":1}}]})"),
              1212)
        << keys;
}

TEST(MqttPoints, WhatIsResumedIsHistory) {
  EXPECT_TRUE(order<device::report_points>("thing/measurepoint/resume",
                                           R"({"params":{"measurepoints":{"p":1},"time":5}})")
                  .backfill);
  EXPECT_TRUE(order<device::report_points>("thing/measurepoint/resume/batch",
                                           R"({"params":[{"measurepoints":{"p":1},"time":5}]})")
                  .backfill);
}

// ---- events

TEST(MqttEvents, HaveParametersAndATime) {
  const auto got = order<device::report_event>(
      "thing/event/overTemp/post",
      R"({"id":"43","params":{"events":{"celsius":91.5,"sensor":"T2"},"time":1700000000456}})");
  EXPECT_EQ(got.event, "overTemp");
  EXPECT_EQ(json(got.output), R"({"celsius":91.5,"sensor":"T2"})");
  EXPECT_EQ(got.time, model::from_ms(1'700'000'000'456));
  const auto bare =
      order<device::report_event>("thing/event/e/post", R"({"params":{"events":{}}})");
  EXPECT_TRUE(bare.output.empty());
  EXPECT_FALSE(bare.time);
}

TEST(MqttEvents, ThatAreNoneAre1200) {
  for (const auto* payload :
       {R"({"id":"1"})", R"({"params":[]})", R"({"params":{}})", R"({"params":{"events":[]}})",
        R"({"params":{"events":"x"}})", R"({"params":{"events":{},"time":"soon"}})"})
    EXPECT_EQ(code("thing/event/e/post", payload), 1200) << payload;
}

// ---- attributes

TEST(MqttAttributes, AreUpdatedQueriedAndDeleted) {
  const auto update = order<device::change_attributes>(
      "thing/attribute/update",
      R"({"id":"1","params":{"attributes":{"site":"Hall 3","rated":12.5,"box":{"a":1}}}})");
  EXPECT_EQ(json(update.changes), R"({"site":"Hall 3","rated":12.5,"box":{"a":1}})");
  EXPECT_EQ(update.side, model::thing_model::side::device);
  const auto query =
      ask("thing/attribute/query", R"({"id":"2","params":{"attributes":["site","rated"]}})");
  ASSERT_TRUE(query.what);
  EXPECT_TRUE(std::holds_alternative<device::read_device>(*query.what));
  EXPECT_EQ(query.ids, (std::vector<std::string>{"site", "rated"}));
  const auto gone = order<device::change_attributes>("thing/attribute/delete",
                                                     R"({"params":{"attributes":["site"]}})");
  EXPECT_EQ(json(gone.changes), R"({"site":null})");
  EXPECT_EQ(gone.side, model::thing_model::side::device);
}

TEST(MqttAttributes, AQueryOfNoneAsksForAllAndADeleteOfNoneDeletesNothing) {
  for (const auto* payload :
       {R"({"id":"1"})", R"({"params":{}})", R"({"params":null})",
        R"({"params":{"attributes":[]}})", R"({"params":{"attributes":null}})"}) {
    const auto query = ask("thing/attribute/query", payload);
    EXPECT_TRUE(query.what && query.ids.empty()) << payload;
    EXPECT_TRUE(order<device::change_attributes>("thing/attribute/delete", payload).changes.empty())
        << payload;
  }
}

TEST(MqttAttributes, EachBadFormHasItsCode) {
  for (const auto* payload : {R"({"id":"1"})", R"({"params":{}})",
                              R"({"params":{"attributes":[]}})", R"({"params":{"attributes":"x"}})",
                              R"({"params":[]})", R"({"params":{"attributes":null}})"})
    EXPECT_EQ(code("thing/attribute/update", payload), 1207) << payload;
  for (const auto* payload :
       {R"({"params":{"attributes":{}}})", R"({"params":{"attributes":"x"}})",
        R"({"params":{"attributes":[1]}})", R"({"params":{"attributes":["a",null]}})"}) {
    EXPECT_EQ(code("thing/attribute/query", payload), 1208) << payload;
    EXPECT_EQ(code("thing/attribute/delete", payload), 1209) << payload;
  }
}

std::string list_of(std::size_t n) {
  auto out = std::string{};
  for (std::size_t i = 0; i < n; ++i)
    out += (i ? ",\"k" : "\"k") + std::to_string(i) + "\"";
  return out;
}
std::string members_of(std::size_t n) {
  auto out = std::string{};
  for (std::size_t i = 0; i < n; ++i)
    out += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":1";
  return out;
}

TEST(MqttAttributes, AtMostTwoHundredAtOnce) {
  EXPECT_EQ(
      code("thing/attribute/update", R"({"params":{"attributes":{)" + members_of(200) + "}}}"), 0);
  EXPECT_EQ(
      code("thing/attribute/update", R"({"params":{"attributes":{)" + members_of(201) + "}}}"),
      1207);
  EXPECT_EQ(code("thing/attribute/query", R"({"params":{"attributes":[)" + list_of(200) + "]}}"),
            0);
  EXPECT_EQ(code("thing/attribute/query", R"({"params":{"attributes":[)" + list_of(201) + "]}}"),
            1208);
  EXPECT_EQ(code("thing/attribute/delete", R"({"params":{"attributes":[)" + list_of(201) + "]}}"),
            1209);
}

// ---- tags

TEST(MqttTags, AreUpdatedQueriedAndDeleted) {
  const auto update = order<device::change_tags>(
      "thing/tag/update",
      R"({"id":"45","params":[{"tagKey":"line","tagValue":"B"},{"tagKey":"n","tagValue":5},)"
      R"({"tagKey":"b","tagValue":true},{"tagKey":"f","tagValue":1.5}]})");
  EXPECT_FALSE(update.replace);
  EXPECT_EQ(update.changes, (std::map<std::string, std::optional<std::string>>{
                                {"line", "B"}, {"n", "5"}, {"b", "true"}, {"f", "1.5"}}));
  const auto query = ask("thing/tag/query", R"({"params":{"tags":["line"]}})");
  ASSERT_TRUE(query.what);
  EXPECT_TRUE(std::holds_alternative<device::read_device>(*query.what));
  EXPECT_EQ(query.ids, std::vector<std::string>{"line"});
  EXPECT_TRUE(ask("thing/tag/query", R"({"id":"1"})").ids.empty());
  const auto gone =
      order<device::change_tags>("thing/tag/delete", R"({"params":{"tags":["line","n"]}})");
  EXPECT_EQ(gone.changes, (std::map<std::string, std::optional<std::string>>{{"line", std::nullopt},
                                                                             {"n", std::nullopt}}));
  for (const auto* payload : {R"({"id":"1"})", R"({"params":{"tags":[]}})"})
    EXPECT_TRUE(order<device::change_tags>("thing/tag/delete", payload).changes.empty()) << payload;
}

TEST(MqttTags, BadFormsAre1200) {
  for (const auto* payload : {R"({"id":"1"})", R"({"params":{}})", R"({"params":{"line":"B"}})",
                              R"({"params":[{"tagKey":"a"}]})", R"({"params":[{"tagValue":"a"}]})",
                              R"({"params":[{}]})", R"({"params":["a"]})", R"({"params":[null]})",
                              R"({"params":[{"tagKey":5,"tagValue":"a"}]})",
                              R"({"params":[{"tagKey":"a","tagValue":null}]})",
                              R"({"params":[{"tagKey":"a","tagValue":{}}]})",
                              R"({"params":[{"tagKey":"a","tagValue":"x"},{"tagKey":"b"}]})"})
    EXPECT_EQ(code("thing/tag/update", payload), 1200) << payload;
  for (const auto* payload :
       {R"({"params":{"tags":{}}})", R"({"params":{"tags":[1]}})", R"({"params":{"tags":"a"}})"}) {
    EXPECT_EQ(code("thing/tag/query", payload), 1200) << payload;
    EXPECT_EQ(code("thing/tag/delete", payload), 1200) << payload;
  }
  auto many = std::string{};
  for (auto i = 0; i < 201; ++i)
    many +=
        std::string{i ? "," : ""} + R"({"tagKey":"k)" + std::to_string(i) + R"(","tagValue":"v"})";
  EXPECT_EQ(code("thing/tag/update", R"({"params":[)" + many + "]}"), 1200);
  EXPECT_EQ(code("thing/tag/query", R"({"params":{"tags":[)" + list_of(201) + "]}}"), 1200);
}

// ---- replies

TEST(MqttReplies, AreCompactAndAlwaysHaveData) {
  EXPECT_EQ(write_reply("41", 200, {}, ""), R"({"id":"41","code":200,"data":{}})");
  EXPECT_EQ(write_reply("", 1220, {}, "not JSON"),
            R"({"id":"","code":1220,"data":{},"message":"not JSON"})");
  EXPECT_EQ(write_reply("4", 200, object{{"a", 1}, {"b", model::array{1.5, "x", nullptr}}}, ""),
            R"({"id":"4","code":200,"data":{"a":1,"b":[1.5,"x",null]}})");
  EXPECT_EQ(write_reply("4", 200, model::array{}, ""), R"({"id":"4","code":200,"data":[]})");
  EXPECT_EQ(write_reply("a\"\n\\", 1200, {}, "\"x\""),
            R"({"id":"a\"\n\\","code":1200,"data":{},"message":"\"x\""})");
}

device::reply snapshot_of_device() {
  auto state = std::make_shared<device::state>();
  state->attributes = {{"site", "Hall 3"}, {"rated", 12.5}, {"box", object{{"a", 1}}}};
  state->tags.edit() = {{"line", "B"}, {"owner", "ops"}};
  return device::device_snapshot{{}, state};
}

TEST(MqttReplies, AQueryAnswersWhatWasAskedFor) {
  const auto data = [](const std::string& rest, const std::string& payload) {
    return json(reply_data(classify(home + rest).what, ask(rest, payload).ids, snapshot_of_device(),
                           nullptr));
  };
  EXPECT_EQ(data("thing/attribute/query", "{}"), R"({"site":"Hall 3","rated":12.5,"box":{"a":1}})");
  EXPECT_EQ(data("thing/attribute/query", R"({"params":{"attributes":["rated","none"]}})"),
            R"({"rated":12.5})");
  EXPECT_EQ(data("thing/attribute/query", R"({"params":{"attributes":["none"]}})"), "{}");
  EXPECT_EQ(data("thing/tag/query", "{}"), R"({"line":"B","owner":"ops"})");
  EXPECT_EQ(data("thing/tag/query", R"({"params":{"tags":["owner"]}})"), R"({"owner":"ops"})");
}

TEST(MqttReplies, OthersHaveNoData) {
  const auto asked = ask("thing/attribute/update", R"({"params":{"attributes":{"a":1}}})");
  EXPECT_EQ(json(reply_data(operation::attribute_update, asked.ids, device::done{}, nullptr)),
            "{}");
  EXPECT_EQ(json(reply_data(operation::points_post, asked.ids, device::points_taken{}, nullptr)),
            "{}");
  EXPECT_EQ(json(reply_data(operation::model_get, asked.ids, device::done{}, nullptr)), "{}");
}

TEST(MqttReplies, TheModelHasItsFourMaps) {
  const auto m =
      model::thing_model::compile(*model::parse_json(R"({"format": "tm/1", "id": "m", "name": "M",
      "attributes": [{"id": "site", "name": "Site", "type": {"t": "string"}}],
      "measurePoints": [{"id": "voltage", "unit": "V", "type": {"t": "float"}},
                        {"id": "phase", "hasQuality": true, "type": {"t": "int"}},
                        {"id": "list", "type": {"t": "array", "items": {"t": "double"}}}],
      "services": [{"id": "multiply", "input": [{"id": "left", "type": {"t": "double"}}],
                    "output": [{"id": "product", "type": {"t": "double"}}]}],
      "events": [{"id": "overTemp", "level": "warning", "output": [{"id": "celsius", "type": {"t": "double"}}]}]})"));
  ASSERT_TRUE(m) << (m.error().problems.empty() ? "" : m.error().problems[0].detail);
  const auto shown = reply_data(operation::model_get, ask("thing/tsltemplate/get", "{}").ids,
                                snapshot_of_device(), &*m);
  EXPECT_EQ(json(*shown.find("tslAttributeMap")->find("site")->find("dataType")), R"("STRING")");
  const auto& voltage = *shown.find("tslMeasurepointMap")->find("voltage");
  EXPECT_EQ(json(*voltage.find("identifier")), R"("voltage")");
  EXPECT_EQ(json(*voltage.find("dataType")), R"("FLOAT")");
  EXPECT_EQ(json(*voltage.find("unit")), R"("V")");
  EXPECT_EQ(json(*voltage.find("hasQuality")), "false");
  EXPECT_EQ(json(*shown.find("tslMeasurepointMap")->find("phase")->find("hasQuality")), "true");
  EXPECT_EQ(json(*shown.find("tslMeasurepointMap")->find("list")->find("dataType")), R"("ARRAY")");
  EXPECT_EQ(json(*shown.find("tslEventMap")
                      ->find("overTemp")
                      ->find("outputData")
                      ->as_array()
                      .at(0)
                      .find("identifier")),
            R"("celsius")");
  const auto& service = *shown.find("tslServiceMap")->find("multiply");
  EXPECT_EQ(json(*service.find("inputData")->as_array().at(0).find("identifier")), R"("left")");
  EXPECT_EQ(json(*service.find("outputData")->as_array().at(0).find("dataType")), R"("DOUBLE")");
}

// ---- firmware

const auto image = model::firmware_image{"f1",
                                         "2.1.0",
                                         model::digest_method::md5,
                                         "0f343b0931126a20f133d67c2b018a3b",
                                         "http://127.0.0.1:8080/firmware/2.1.0.bin",
                                         183'500};
constexpr auto image_text =
    R"({"version":"2.1.0","signMethod":"md5","sign":"0f343b0931126a20f133d67c2b018a3b",)"
    R"("fileUrl":"http://127.0.0.1:8080/firmware/2.1.0.bin","fileSize":183500})";

TEST(MqttFirmware, AVersionIsATextOrANumber) {
  const auto version = [](std::string_view params) {
    return order<device::report_version>("ota/device/inform",
                                         R"({"params":)" + std::string{params} + "}")
        .version;
  };
  EXPECT_EQ(version(R"({"version":"1.2.3"})"), "1.2.3");
  EXPECT_EQ(version(R"({"version":1.0})"), "1.0");
  EXPECT_EQ(version(R"({"version":2})"), "2");
  for (const auto* params : {"{}", R"({"version":""})", R"({"version":null})",
                             R"({"version":true})", R"({"version":{}})", "[]", "5"})
    EXPECT_EQ(code("ota/device/inform", R"({"params":)" + std::string{params} + "}"), 1200)
        << params;
}

TEST(MqttFirmware, AStepIsATextOrANumber) {
  const auto report = [](std::string_view params) {
    return order<device::report_progress>("ota/device/progress",
                                          R"({"params":)" + std::string{params} + "}");
  };
  EXPECT_EQ(report(R"({"step":"-3","desc":"the digest"})").step, "-3");
  EXPECT_EQ(report(R"({"step":"-3","desc":"the digest"})").note, "the digest");
  EXPECT_EQ(report(R"({"step":20})").step, "20");
  EXPECT_EQ(report(R"({"step":20,"desc":null})").note, "");
  EXPECT_EQ(report(R"({"step":")" + std::string(100, '1') + R"("})").step, std::string(64, '1'));
  EXPECT_EQ(report(R"({"step":"1","desc":")" + std::string(300, 'x') + R"("})").note.size(), 256u);
  for (const auto* params : {"{}", R"({"step":""})", R"({"step":false})", R"({"step":[]})"})
    EXPECT_EQ(code("ota/device/progress", R"({"params":)" + std::string{params} + "}"), 1200)
        << params;
}

TEST(MqttFirmware, WhoAsksIsToldOrGetsAnEmptyList) {
  order<device::ask_upgrade>("ota/device/getversion", R"({"id":"1"})");
  const auto o = operation::firmware_getversion;
  EXPECT_EQ(json(reply_data(o, {}, device::upgrades_offered{{image}}, nullptr)),
            "[" + std::string{image_text} + "]");
  EXPECT_EQ(json(reply_data(o, {}, device::upgrades_offered{}, nullptr)), "[]");
  EXPECT_EQ(write_reply("1", 200, reply_data(o, {}, device::upgrades_offered{}, nullptr), ""),
            R"({"id":"1","code":200,"data":[]})");
  EXPECT_EQ(json(reply_data(operation::firmware_inform, {}, device::done{}, nullptr)), "{}");
}

TEST(MqttFirmware, IsPushedOnItsTopic) {
  const auto m = write_downlink({"1700000001004", self, model::firmware_offer{image}});
  EXPECT_EQ(m.topic, "/sys/pk/dk/ota/device/upgrade");
  EXPECT_EQ(m.payload,
            R"({"id":"1700000001004","version":"1.0","method":"ota.device.upgrade","params":)" +
                std::string{image_text} + "}");
}

// ---- configuration

TEST(MqttConfiguration, IsReportedAsAPatchOrWhole) {
  order<device::read_twin>("thing/config/get", R"({"id":"1"})");
  auto got = order<device::report_twin>("thing/config/report",
                                        R"({"id":"1","params":{"reported":{"a":{"b":null}}}})");
  EXPECT_EQ(json(got.patch), R"({"a":{"b":null}})");
  EXPECT_FALSE(got.replace || got.applied);
  for (const auto* version : {"7", R"("7")"}) {
    got = order<device::report_twin>("thing/config/report",
                                     std::string{R"({"params":{"reported":{},"desiredVersion":)"} +
                                         version + R"(,"replace":true}})");
    EXPECT_EQ(got.applied, 7u);
    EXPECT_TRUE(got.replace);
  }
  for (const auto* bad :
       {"{}", R"({"reported":[]})", R"({"reported":null})", R"({"reported":"a"})",
        R"({"reported":{},"desiredVersion":-1})", R"({"reported":{},"desiredVersion":1.5})",
        R"({"reported":{},"desiredVersion":7.0})", R"({"reported":{},"desiredVersion":""})",
        R"({"reported":{},"desiredVersion":"1234567890123456789"})",
        R"({"reported":{},"desiredVersion":true})", R"({"reported":{},"desiredVersion":{}})"})
    EXPECT_EQ(code("thing/config/report", std::string{R"({"id":"1","params":)"} + bad + "}"), 1200)
        << bad;
}

TEST(MqttConfiguration, WhoAsksIsToldAllAndWhoReportsWhatItLacks) {
  auto t = device::twin_state{};
  t.desired = {{"a", 1}, {"b", 2}};
  t.reported = {{"a", 1}};
  t.desired_version = 7;
  t.reported_version = 3;
  const auto data = [&](operation o) {
    return json(reply_data(o, {}, device::twin_status{t}, nullptr));
  };
  EXPECT_EQ(data(operation::config_get),
            R"({"desiredVersion":7,"desired":{"a":1,"b":2},"delta":{"b":2},)"
            R"("reportedVersion":3,"reported":{"a":1}})");
  EXPECT_EQ(data(operation::config_report), R"({"reportedVersion":3,"delta":{"b":2}})");
  using model::failure;
  EXPECT_EQ(result_code(failure{errc::too_large, "twin_too_large", ""}, 1200), 1200);
  EXPECT_EQ(result_code(failure{errc::invalid_argument, "twin_too_deep", ""}, 1200), 1200);
}

TEST(MqttConfiguration, IsPushedOnItsTopic) {
  const auto m = write_downlink(
      {"1700000001004", self, model::twin_push{7, {{"a", 1}, {"b", 2}}, {{"b", 2}}}});
  EXPECT_EQ(m.topic, "/sys/pk/dk/thing/config/push");
  EXPECT_EQ(m.payload, R"({"id":"1700000001004","version":"1.0","method":"thing.config.push",)"
                       R"("params":{"desiredVersion":7,"desired":{"a":1,"b":2},"delta":{"b":2}}})");
}

// ---- the clock

TEST(MqttClock, IsAskedOnATopicOfItsOwn) {
  const auto topic = std::string{"/ext/ntp/pk/dk/request"};
  const auto at = classify(topic);
  EXPECT_EQ(at.what, operation::clock);
  EXPECT_EQ(name_of(at.what), "clock");
  EXPECT_EQ(format_code(at.what), 1200);
  EXPECT_TRUE(at.wants_reply && at.is_of(self));
  EXPECT_EQ(answer_topic(at, topic), "/ext/ntp/pk/dk/response");
  EXPECT_EQ(answer_topic(classify(home + "thing/tag/query"), home + "thing/tag/query"),
            home + "thing/tag/query_reply");
  for (const auto* other : {"/ext/ntp/pk/dk/response", "/ext/ntp/pk/dk", "/ext/ntp/pk/dk/request/1",
                            "/sys/pk/dk/request", "/ext/session/pk/dk/request"})
    EXPECT_EQ(classify(other).what, operation::unknown) << other;
}

TEST(MqttClock, TellsTheTimeAsItIsAsked) {
  const auto asked = [](std::string_view payload) {
    return read_request(classify("/ext/ntp/pk/dk/request"), payload, sender(), world);
  };
  const auto received = model::from_ms(1'700'000'000'100);
  const auto answered = model::from_ms(1'700'000'000'101);
  const auto text = asked(R"({"id":7,"deviceSendTime":"1571724098000"})");
  ASSERT_TRUE(text.clock);
  EXPECT_EQ(text.id, "7");
  EXPECT_EQ(json(clock_data(*text.clock, received, answered)),
            R"({"deviceSendTime":"1571724098000","serverRecvTime":"1700000000100",)"
            R"("serverSendTime":"1700000000101"})");
  const auto number = asked(R"({"id":"8","params":{"deviceSendTime":1571724098000}})");
  ASSERT_TRUE(number.clock);
  EXPECT_EQ(json(clock_data(*number.clock, received, answered)),
            R"({"deviceSendTime":1571724098000,"serverRecvTime":1700000000100,)"
            R"("serverSendTime":1700000000101})");
  for (const auto* bad :
       {R"({})", R"({"deviceSendTime":""})", R"({"deviceSendTime":-1})",
        R"({"deviceSendTime":1.5})", R"({"deviceSendTime":"now"})", R"({"deviceSendTime":null})",
        R"({"deviceSendTime":["1"]})", R"({"deviceSendTime":"123456789012345678901"})"}) {
    const auto refused = asked(bad);
    EXPECT_FALSE(refused.clock) << bad;
    ASSERT_FALSE(refused.what) << bad;
    EXPECT_EQ(result_code(refused.what.error(), 1200), 1200) << bad;
  }
  EXPECT_EQ(result_code(asked("").what.error(), 1200), 1251);
  EXPECT_EQ(result_code(asked("[1]").what.error(), 1200), 1220);
}

// ---- commands

TEST(MqttCommands, GoToTheTopicOfTheirService) {
  const auto call = write_downlink(
      {"1700000001002", self, model::service_call{"multiply", {{"left", 2}, {"right", 3}}}});
  EXPECT_EQ(call.topic, "/sys/pk/dk/thing/service/multiply");
  EXPECT_EQ(
      call.payload,
      R"({"id":"1700000001002","version":"1.0","method":"thing.service.multiply","params":{"left":2,"right":3}})");
  const auto write =
      write_downlink({"1700000001001", self, model::points_write{{{"setpoint", 42.5}}}});
  EXPECT_EQ(write.topic, "/sys/pk/dk/thing/service/measurepoint/set");
  EXPECT_EQ(
      write.payload,
      R"({"id":"1700000001001","version":"1.0","method":"thing.service.measurepoint.set","params":{"setpoint":42.5}})");
  EXPECT_EQ(write_downlink({"1", self, model::service_call{"INV.Control", {}}}).payload,
            R"({"id":"1","version":"1.0","method":"thing.service.INV.Control","params":{}})");
}

TEST(MqttCommands, AnswersCarryIdCodeAndData) {
  const auto got = read_command_reply(
      R"({"id":"1700000001002","code":200,"data":{"product":6},"message":"done"})");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->downlink_id, "1700000001002");
  EXPECT_EQ(got->code, 200);
  EXPECT_EQ(json(got->output), R"({"product":6})");
  EXPECT_EQ(got->message, "done");
}

TEST(MqttCommands, FreeBytesGoAndComeAsTheyAre) {
  const auto bytes = std::string("\0\xff {", 4);
  const auto call = write_downlink({"1700000001002", self, model::rrpc_call{bytes}});
  EXPECT_EQ(call.topic, "/sys/pk/dk/rrpc/request/1700000001002");
  EXPECT_EQ(call.payload, bytes);
  const auto answer = home + "rrpc/response/1700000001002";
  const auto at = classify(answer);
  EXPECT_EQ(at.what, operation::rrpc_response);
  EXPECT_EQ(name_of(at.what), "rrpc_response");
  EXPECT_EQ(at.element, "1700000001002");
  EXPECT_FALSE(at.wants_reply);
  for (const auto* rest :
       {"rrpc/response/", "rrpc/response", "rrpc/response/x", "rrpc/response/1/2",
        "rrpc/response/123456789012345678901", "rrpc/request/1", "rrpc/response/-1"})
    EXPECT_EQ(classify(home + rest).what, operation::unknown) << rest;

  const auto text = read_rrpc_response("7", "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(text.downlink_id, "7");
  EXPECT_EQ(text.code, 0);
  EXPECT_EQ(json(text.output), "{\"payload\":\"gr\xc3\xbc\xc3\x9f\"}");
  EXPECT_EQ(json(read_rrpc_response("7", bytes).output), R"({"base64":"AP8gew=="})");
  EXPECT_EQ(json(read_rrpc_response("7", "").output), R"({"payload":""})");
  const auto most = std::string(device::max_rrpc_bytes, 'x');
  EXPECT_EQ(device::free_bytes(read_rrpc_response("7", most).output), most);
  const auto larger = read_rrpc_response("7", most + "x");
  EXPECT_EQ(larger.code, 1008);
  EXPECT_TRUE(larger.output.is_null());
}

TEST(MqttCommands, CodesComeInManyForms) {
  struct {
    const char* given;
    int code;
  } const rows[] = {{"200", 200},
                    {R"("200")", 200},
                    {"0", 0},
                    {R"("0")", 0},
                    {R"("1101")", 1101},
                    {"1102", 1102},
                    {R"("500")", 500},
                    {"200.0", 200},
                    {"100000", 100'000},
                    {"2e2", 200},
                    // What cannot be read is no success.
                    {R"("ok")", 500},
                    {"null", 500},
                    {"true", 500},
                    {"{}", 500},
                    {"-1", 500},
                    {R"("")", 500},
                    {"99999999999", 500},
                    {R"("99999999999")", 500},
                    {"200.5", 500},
                    {"1e300", 500}};
  for (const auto& r : rows) {
    const auto got = read_command_reply(std::string{R"({"id":"1","code":)"} + r.given + "}");
    ASSERT_TRUE(got) << r.given;
    EXPECT_EQ(got->code, r.code) << r.given;
  }
  EXPECT_EQ(read_command_reply(R"({"id":"1"})")->code, 500);
}

TEST(MqttCommands, DataMayBeAnything) {
  for (const auto* data : {"null", "{}", R"("")", "[]", "5", R"({"a":[1]})"})
    EXPECT_EQ(
        json(read_command_reply(std::string{R"({"id":1,"code":200,"data":)"} + data + "}")->output),
        data);
  EXPECT_TRUE(read_command_reply(R"({"id":"1","code":200})")->output.is_null());
  EXPECT_EQ(read_command_reply(R"({"id":"1","message":{"no":"text"}})")->message, "");
}

TEST(MqttCommands, ALongMessageIsCutBetweenCharacters) {
  const auto long_text = [](std::size_t ascii, const char* letter) {
    auto text = std::string(ascii, 'a');
    while (text.size() < 2'000)
      text += letter;
    return read_command_reply(R"({"id":"1","code":500,"message":")" + text + "\"}")->message;
  };
  for (std::size_t ascii = 0; ascii < 4; ++ascii)
    for (const auto* letter : {"x", "ä", "€", "😀"}) {
      const auto kept = long_text(ascii, letter);
      EXPECT_LE(kept.size(), 1'024u);
      EXPECT_GT(kept.size(), 1'020u);
      EXPECT_TRUE(is_mqtt_text(kept)) << ascii << letter;
    }
}

TEST(MqttCommands, AnAnswerWithoutAnIdAnswersNothing) {
  for (const auto* payload :
       {"", "x", "[]", "5", "{}", R"({"id":null,"code":200})", R"({"id":"","code":200})",
        R"({"id":{},"code":200})", R"({"code":200,"data":{}})", "{\"id\":\"\xff\"}"}) {
    const auto got = read_command_reply(payload);
    ASSERT_FALSE(got) << payload;
    EXPECT_FALSE(is_ours(got.error())) << payload;
  }
}

}  // namespace
}  // namespace orrery::transport::mqtt
