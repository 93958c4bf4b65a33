#include "transport/mqtt/login.hpp"

#include <gtest/gtest.h>

#include "transport/mqtt/errors.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::errc;
using model::sign_method;

constexpr auto good_id = "meter0001a|securemode=2,signmethod=sha256,timestamp=1700000000123|";
constexpr auto good_user = "meter0001a&Qz3kT9aB";

model::result<login> parse(std::string_view client_id, std::string_view user = good_user,
                           std::string_view password = "00") {
  return parse_login(client_id, user, password);
}

/// The CONNACK return code of a refused login.
int refusal(std::string_view client_id, std::string_view user = good_user) {
  const auto got = parse(client_id, user);
  return got ? 0 : connack_code(got.error());
}

struct vector_row {
  const char *name, *client_id, *user, *password, *secret;
  secure_mode mode;
  sign_method method;
};

constexpr auto ds = "Hc7Vw2LsPn5YrK8eXd4M", ps = "uB4nRt6Ygq1";

// What public clients of the wire protocol send, each with its way of writing it.
const vector_row vectors[] = {
    {"digest in capitals", "meter0001a|securemode=2,signmethod=sha256,timestamp=1700000000123|",
     good_user, "F264B8937E9430FE3B121908609B72789F8115E4F669E45A0A33D22C90DA1CCD", ds,
     secure_mode::device_secret, sign_method::sha256},
    {"fraction in the time",
     "meter0001a|securemode=2,signmethod=hmacsha256,timestamp=1700000000123.4567|", good_user,
     "1811f035cd51489b4ea66051be61a2cf78dbd9548d1f20249d01c345bd57ced5", ds,
     secure_mode::device_secret, sign_method::sha256},
    {"parameters in the id",
     "meter0001a{ip=192.0.2.15,version=enos-mqtt-2.4.0,compress=GZIP}|securemode=2,signmethod="
     "sha256,"
     "timestamp=1700000000123|",
     good_user, "33f9f6f38708360b4de59cd9ac7123ea67ca83ae8d89fa2bb4e2bc972abfa854", ds,
     secure_mode::device_secret, sign_method::sha256},
    {"pk.dk", "Qz3kT9aB.meter0001a|securemode=2,signmethod=sha256,timestamp=2524608000000|",
     good_user, "30CC19DA490FF051BBC820770EA5BD5FAE3169B581AAF0034F4604147CBAA775", ds,
     secure_mode::device_secret, sign_method::sha256},
    {"sha1 and seconds", "meter0001a|securemode=2,signmethod=hmacsha1,timestamp=1700000000|",
     good_user, "EBF3DF819F3E885E6DBB4C263F82A71E59ABBC97", ds, secure_mode::device_secret,
     sign_method::sha1},
    {"activation", "Qz3kT9aB.meter0001a|securemode=3,signmethod=sha256,timestamp=2524608000000|",
     good_user, "AA32D6107F8608BE0A14190B72B9B4D18D085308FC432DB72464E22C836AA834", ps,
     secure_mode::product_secret, sign_method::sha256},
    {"channel of a product", "Qz3kT9aB|securemode=4,signmethod=sha256,timestamp=1700000000123|",
     "%channel%&Qz3kT9aB", "9c7cf3f5e17c3d44ed8b50b3c78b44ed585a7ea9dc8f96ffde2cc37ee5dd91ad", ps,
     secure_mode::integration, sign_method::sha256},
    {"virtual gateway", "org42|securemode=2,signmethod=sha256,timestamp=1700000000123|",
     "org42&%VIRT_GATEWAY%", "e5f516a3cfa59f448d862126c1b7502558eebede6531aff5be5c4ce5a3448a61",
     "*", secure_mode::device_secret, sign_method::sha256},
};

TEST(MqttLogin, ReadsWhatClientsSendAndFindsItSigned) {
  for (const auto& v : vectors) {
    const auto got = parse_login(v.client_id, v.user, v.password);
    ASSERT_TRUE(got) << v.name << ": " << got.error().detail;
    EXPECT_EQ(got->mode, v.mode) << v.name;
    EXPECT_EQ(got->proof.method, v.method) << v.name;
    EXPECT_TRUE(proves(got->proof, got->device, v.secret)) << v.name;
    EXPECT_FALSE(proves(got->proof, got->device, "another")) << v.name;
  }
}

TEST(MqttLogin, ReadsTheDevice) {
  const auto got = parse(good_id);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->device.device_key, "meter0001a");
  EXPECT_EQ(got->device.product_key, "Qz3kT9aB");
  EXPECT_EQ(got->proof.client_id, "meter0001a");
  EXPECT_EQ(got->proof.timestamp, "1700000000123");
  EXPECT_EQ(got->proof.digest, "00");
  EXPECT_EQ(got->payloads, compression::none);
  EXPECT_EQ(got->sdk_address, "");
  EXPECT_EQ(got->sdk_version, "");
  EXPECT_FALSE(got->addresses_itself_by_product);
}

TEST(MqttLogin, TheUserNameSaysWhoItIsAndNotTheClientId) {
  const auto got = parse("anything at all|securemode=2,signmethod=sha256,timestamp=1|", "a&b&pk");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->device.device_key, "a&b");  // the last & divides
  EXPECT_EQ(got->device.product_key, "pk");
  EXPECT_EQ(got->proof.client_id, "anything at all");
}

TEST(MqttLogin, ParametersComeInAnyOrderCaseAndWithBlanks) {
  for (const auto* id : {
           "x|signmethod=sha256,securemode=2,timestamp=1|",
           "x|timestamp=1,signmethod=sha256,securemode=2|",
           "x|securemode=2, signmethod=sha256,  timestamp=1|",
           "x| securemode = 2 ,signmethod= sha256 , timestamp =1 |",
           "x|secureMode=2,signMethod=sha256,timeStamp=1|",
           "x|SECUREMODE=2,SIGNMETHOD=SHA256,TIMESTAMP=1|",
           "x|securemode=2,signmethod=sha256,timestamp=1,ext=1,lan=C|",
           "x|,securemode=2,,signmethod=sha256,novalue,timestamp=1,|",
       }) {
    const auto got = parse(id);
    ASSERT_TRUE(got) << id << ": " << got.error().detail;
    EXPECT_EQ(got->proof.client_id, "x") << id;
    EXPECT_EQ(got->proof.timestamp, "1") << id;
    EXPECT_EQ(got->mode, secure_mode::device_secret) << id;
  }
}

TEST(MqttLogin, TheTimestampIsOpaqueText) {
  for (const auto* stamp : {"1700000000123.4567", "0", "2524608000000", "now", "a=b", "1e3"}) {
    const auto got =
        parse("x|securemode=2,signmethod=sha256,timestamp=" + std::string{stamp} + "|");
    ASSERT_TRUE(got) << stamp;
    EXPECT_EQ(got->proof.timestamp, stamp);
  }
}

TEST(MqttLogin, ParametersStandBetweenTheLastTwoBars) {
  const auto got = parse("a|b=c,d|securemode=2,signmethod=sha256,timestamp=1|");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->proof.client_id, "a|b=c,d");
}

TEST(MqttLogin, KnowsEveryLabelOfASignature) {
  struct {
    const char* label;
    sign_method method;
  } const rows[] = {{"sha256", sign_method::sha256},
                    {"Sha256", sign_method::sha256},
                    {"hmacsha256", sign_method::sha256},
                    {"hmacSha256", sign_method::sha256},
                    {"hmacsha1", sign_method::sha1},
                    {"hmacSha1", sign_method::sha1},
                    {"sha1", sign_method::sha1},
                    {"hmacmd5", sign_method::md5},
                    {"md5", sign_method::md5}};
  for (const auto& r : rows) {
    const auto got = parse(std::string{"x|securemode=2,signmethod="} + r.label + ",timestamp=1|");
    ASSERT_TRUE(got) << r.label;
    EXPECT_EQ(got->proof.method, r.method) << r.label;
  }
}

struct block_row {
  const char* block;
  compression payloads;
  const char *address, *version;
  bool has_pairs = true;
};

TEST(MqttLogin, ReadsTheBlockOfTheId) {
  for (const auto& r : {
           block_row{"{ip=192.0.2.15,version=enos-mqtt-2.4.0,compress=GZIP}", compression::gzip,
                     "192.0.2.15", "enos-mqtt-2.4.0"},
           block_row{"{ip=fd00:0:0:0:0:0:0:2%eth0,version=1,compress=LZ4}", compression::lz4,
                     "fd00:0:0:0:0:0:0:2%eth0", "1"},
           block_row{"{version=@project.artifactId@-@project.version@,compress=LZO}",
                     compression::lzo, "", "@project.artifactId@-@project.version@"},
           block_row{"{compress=DEFAULT}", compression::none, "", ""},
           block_row{"{ip=192.0.2.15}", compression::none, "192.0.2.15", ""},
           block_row{"{compress=gzip}", compression::gzip, "", ""},
           block_row{"{ip=,version=,compress=DEFAULT}", compression::none, "", ""},
           block_row{"{}", compression::none, "", "", false},
           block_row{"{a}{compress=GZIP}", compression::gzip, "", ""},
           block_row{"{compress=GZIP}x", compression::none, "", "",
                     false},  // not at the end: no block
           block_row{"compress=GZIP}", compression::none, "", "", false},
       }) {
    const auto id = std::string{"dk"} + r.block;
    const auto got = parse(id + "|securemode=2,signmethod=sha256,timestamp=1|");
    ASSERT_TRUE(got) << r.block;
    EXPECT_EQ(got->proof.client_id, id);  // signed as a whole
    EXPECT_EQ(got->payloads, r.payloads) << r.block;
    EXPECT_EQ(got->sdk_address, r.address) << r.block;
    EXPECT_EQ(got->sdk_version, r.version) << r.block;
    EXPECT_EQ(got->subscribes_to_replies, r.has_pairs) << r.block;
  }
}

TEST(MqttLogin, ParametersInTheBlockAreNotThoseOfTheLogin) {
  const auto got =
      parse("dk{securemode=4,compress=DEFAULT}|securemode=2,signmethod=sha256,timestamp=1|");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->mode, secure_mode::device_secret);
  EXPECT_EQ(refusal("dk{securemode=2,signmethod=sha256,timestamp=1}"), 2);
}

TEST(MqttLogin, KnowsClientsThatNameThemselvesByProduct) {
  EXPECT_TRUE(parse("Qz3kT9aB.meter0001a|securemode=2,signmethod=sha256,timestamp=1|")
                  ->addresses_itself_by_product);
  EXPECT_FALSE(parse("Qz3kT9aB.other|securemode=2,signmethod=sha256,timestamp=1|")
                   ->addresses_itself_by_product);
}

TEST(MqttLogin, ALongIdIsTaken) {
  const auto tail = std::string{"|securemode=2,signmethod=sha256,timestamp=1|"};
  EXPECT_EQ(refusal(std::string(512, 'x') + tail), 0);
  EXPECT_EQ(refusal(std::string(5'000, 'x') + tail), 2);
}

TEST(MqttLogin, AnIdThatIsNoneIsCodeTwo) {
  for (const auto* id : {
           "",
           "meter0001a",
           "|",
           "||",
           "meter0001a|",
           "meter0001a||",
           "|securemode=2,signmethod=sha256,timestamp=1|",
           "x|securemode=2,signmethod=sha256,timestamp=1",
           "x|securemode=2,signmethod=sha256,timestamp=1| ",
           "x|signmethod=sha256,timestamp=1|",
           "x|securemode=2,timestamp=1|",
           "x|securemode=2,signmethod=sha256|",
           "x|securemode,signmethod=sha256,timestamp=1|",
           "x|securemode:2;signmethod:sha256;timestamp:1|",
       }) {
    const auto got = parse(id);
    ASSERT_FALSE(got) << id;
    EXPECT_EQ(got.error().reason, "client_id_invalid") << id;
    EXPECT_EQ(connack_code(got.error()), 2) << id;
  }
}

TEST(MqttLogin, AUserNameThatIsNoneIsCodeFour) {
  for (const auto* user : {"", "meter0001a", "&", "meter0001a&", "&Qz3kT9aB"}) {
    const auto got = parse(good_id, user);
    ASSERT_FALSE(got) << user;
    EXPECT_EQ(got.error().reason, "username_invalid") << user;
    EXPECT_EQ(connack_code(got.error()), 4) << user;
  }
  EXPECT_EQ(refusal(good_id, std::string(1'000, 'x') + "&pk"), 4);
  const auto none = parse_login(good_id, std::nullopt, std::nullopt);
  ASSERT_FALSE(none);
  EXPECT_EQ(connack_code(none.error()), 4);
}

TEST(MqttLogin, UnknownMethodsAndModesAreCodeFour) {
  for (const auto* method : {"", "sha512", "hmac", "plain", "sha-256"}) {
    const auto got = parse(std::string{"x|securemode=2,signmethod="} + method + ",timestamp=1|");
    ASSERT_FALSE(got) << method;
    EXPECT_EQ(got.error().reason, "sign_method_unknown");
    EXPECT_EQ(connack_code(got.error()), 4);
  }
  for (const auto* mode : {"", "0", "1", "5", "22", "two", "-2", "2.0"}) {
    const auto got = parse(std::string{"x|securemode="} + mode + ",signmethod=sha256,timestamp=1|");
    ASSERT_FALSE(got) << mode;
    EXPECT_EQ(got.error().reason, "secure_mode_unknown");
    EXPECT_EQ(connack_code(got.error()), 4);
  }
}

TEST(MqttLogin, WithoutAPasswordNothingIsProved) {
  const auto got = parse_login(good_id, good_user, std::nullopt);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->proof.digest, "");
  EXPECT_FALSE(proves(got->proof, got->device, ds));
}

}  // namespace
}  // namespace orrery::transport::mqtt
