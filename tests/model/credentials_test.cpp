#include "model/credentials.hpp"

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

const auto meter = device_name{"Qz3kT9aB", "meter0001a"};
constexpr auto device_secret = "Hc7Vw2LsPn5YrK8eXd4M", product_secret = "uB4nRt6Ygq1";

struct vector_row {
  const char* name;
  device_name device;
  const char* id;
  const char* time;
  sign_method method;
  const char* secret;
  const char* digest;
};

// Digests that public clients of the wire protocol produce.
const vector_row vectors[] = {
    {"upper case", meter, "meter0001a", "1700000000123", sign_method::sha256, device_secret,
     "F264B8937E9430FE3B121908609B72789F8115E4F669E45A0A33D22C90DA1CCD"},
    {"fraction in the time", meter, "meter0001a", "1700000000123.4567", sign_method::sha256,
     device_secret, "1811f035cd51489b4ea66051be61a2cf78dbd9548d1f20249d01c345bd57ced5"},
    {"parameters in the id", meter,
     "meter0001a{ip=192.0.2.15,version=enos-mqtt-2.4.0,compress=GZIP}", "1700000000123",
     sign_method::sha256, device_secret,
     "33f9f6f38708360b4de59cd9ac7123ea67ca83ae8d89fa2bb4e2bc972abfa854"},
    {"pk.dk", meter, "Qz3kT9aB.meter0001a", "2524608000000", sign_method::sha256, device_secret,
     "30CC19DA490FF051BBC820770EA5BD5FAE3169B581AAF0034F4604147CBAA775"},
    {"sha1", meter, "meter0001a", "1700000000", sign_method::sha1, device_secret,
     "EBF3DF819F3E885E6DBB4C263F82A71E59ABBC97"},
    {"product secret", meter, "Qz3kT9aB.meter0001a", "2524608000000", sign_method::sha256,
     product_secret, "AA32D6107F8608BE0A14190B72B9B4D18D085308FC432DB72464E22C836AA834"},
    {"channel",
     {"Qz3kT9aB", "%channel%"},
     "Qz3kT9aB",
     "1700000000123",
     sign_method::sha256,
     product_secret,
     "9c7cf3f5e17c3d44ed8b50b3c78b44ed585a7ea9dc8f96ffde2cc37ee5dd91ad"},
    {"virtual gateway",
     {"%VIRT_GATEWAY%", "org42"},
     "org42",
     "1700000000123",
     sign_method::sha256,
     "*",
     "e5f516a3cfa59f448d862126c1b7502558eebede6531aff5be5c4ce5a3448a61"},
    {"sub-device",
     {"Mw8xE2vD", "inv-07"},
     "Mw8xE2vD.inv-07.1700000000500",
     "1700000000500",
     sign_method::sha256,
     "Tb6ZkN3jWqR9fUc1GyAp",
     "47920b27ddf18bcd47065ca2148620919ef8afe47c50d668972d8e48b3ece157"},
    {"batch",
     {"Mw8xE2vD", "inv-07"},
     "login.batch",
     "1700000000500",
     sign_method::sha256,
     "Tb6ZkN3jWqR9fUc1GyAp",
     "c72f40f178a2087abb7cd1ec9c11abe4e1cf1ab80d2715dce518fcd4c36f3579"},
};

TEST(Signature, AgreesWithTheVectors) {
  for (const auto& v : vectors) {
    const auto proof = login_proof{v.id, v.time, v.method, v.digest};
    EXPECT_TRUE(proves(proof, v.device, v.secret)) << v.name;
    EXPECT_FALSE(proves(proof, v.device, std::string{v.secret} + "x")) << v.name;
  }
}

TEST(Signature, AnyChangeBreaksIt) {
  const auto& v = vectors[0];
  auto proof = login_proof{v.id, v.time, v.method, v.digest};
  for (std::size_t i = 0; i < proof.digest.size(); ++i) {
    auto bad = proof;
    bad.digest[i] = bad.digest[i] == '0' ? '1' : '0';
    EXPECT_FALSE(proves(bad, v.device, v.secret)) << i;
  }
  for (const auto* digest : {"", "00", "F264"}) {
    proof.digest = digest;
    EXPECT_FALSE(proves(proof, v.device, v.secret));
  }
  proof = {v.id, "1700000000124", v.method, v.digest};
  EXPECT_FALSE(proves(proof, v.device, v.secret));
}

TEST(SignMethod, ReadsTheLabelsOfAllClients) {
  EXPECT_EQ(parse_sign_method("sha256"), sign_method::sha256);
  EXPECT_EQ(parse_sign_method("hmacSha256"), sign_method::sha256);
  EXPECT_EQ(parse_sign_method("HmacSHA1"), sign_method::sha1);
  EXPECT_EQ(parse_sign_method("MD5"), sign_method::md5);
  EXPECT_FALSE(parse_sign_method("sha512"));
  EXPECT_FALSE(parse_sign_method(""));
}

TEST(Keyring, OpensOnlyWhatItSealedForThatOwner) {
  const auto keys = keyring{keyring::key_bytes{1, 2, 3}};
  const auto sealed = keys.seal("secret", "device:a");
  EXPECT_EQ(keys.open(sealed, "device:a"), "secret");
  EXPECT_FALSE(keys.open(sealed, "device:b"));
  EXPECT_FALSE((keyring{keyring::key_bytes{1, 2, 4}}.open(sealed, "device:a")));
  for (std::size_t i = 0; i < sealed.bytes.size(); ++i) {
    auto bad = sealed;
    bad.bytes[i] = static_cast<char>(bad.bytes[i] ^ 1);
    EXPECT_FALSE(keys.open(bad, "device:a")) << i;
    bad.bytes.resize(i);
    EXPECT_FALSE(keys.open(bad, "device:a")) << i;
  }
  EXPECT_NE(keys.seal("secret", "device:a"), sealed);
  EXPECT_EQ(sealed.bytes.find("secret"), std::string::npos);
}

TEST(RandomText, IsOfItsAlphabet) {
  const auto a = random_text(40), b = random_text(40);
  EXPECT_EQ(a.size(), 40u);
  EXPECT_NE(a, b);
  for (const auto c : a)
    EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(c)));
}

}  // namespace
}  // namespace orrery::model
