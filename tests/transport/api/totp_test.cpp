#include "transport/api/totp.hpp"

#include <set>

#include <gtest/gtest.h>

namespace orrery::transport::api {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view secret = "12345678901234567890";

model::timestamp at(std::int64_t seconds) {
  return model::from_ms(seconds * 1000);
}

TEST(Totp, HasTheCodesOfTheStandard) {  // RFC 6238, appendix B: the last six of eight digits
  EXPECT_EQ(totp_code(secret, totp_step(at(59))), "287082");
  EXPECT_EQ(totp_code(secret, totp_step(at(1'111'111'109))), "081804");
  EXPECT_EQ(totp_code(secret, totp_step(at(1'111'111'111))), "050471");
  EXPECT_EQ(totp_code(secret, totp_step(at(1'234'567'890))), "005924");
  EXPECT_EQ(totp_code(secret, totp_step(at(2'000'000'000))), "279037");
  EXPECT_EQ(totp_code(secret, totp_step(at(20'000'000'000))), "353130");
}

TEST(Totp, ClocksMayDifferByAStep) {
  const auto now = at(1'700'000'010);  // where a step begins
  const auto step = totp_step(now);
  EXPECT_EQ(find_totp_step(secret, totp_code(secret, step), now), step);
  EXPECT_EQ(find_totp_step(secret, totp_code(secret, step - 1), now), step - 1);
  EXPECT_EQ(find_totp_step(secret, totp_code(secret, step + 1), now), step + 1);
  EXPECT_EQ(find_totp_step(secret, totp_code(secret, step - 2), now), std::nullopt);
  EXPECT_EQ(find_totp_step(secret, totp_code(secret, step + 2), now), std::nullopt);
  EXPECT_EQ(totp_step(now + 29s), step);
  EXPECT_EQ(totp_step(now + 30s), step + 1);
}

TEST(Totp, WhatIsNoCodeIsNone) {
  const auto now = at(1'700'000'010);
  const auto code = totp_code(secret, totp_step(now));
  for (const auto& bad : {std::string{}, code.substr(1), code + "0", " " + code, "000000" + code,
                          std::string{"abcdef"}, std::string(1000, '0')})
    EXPECT_EQ(find_totp_step(secret, bad, now), std::nullopt) << bad;
  EXPECT_EQ(find_totp_step("another secret of 20", code, now), std::nullopt);
}

TEST(Totp, SecretsAreWrittenInBase32) {  // RFC 4648, 10, without the padding
  EXPECT_EQ(to_base32(""), "");
  EXPECT_EQ(to_base32("f"), "MY");
  EXPECT_EQ(to_base32("fo"), "MZXQ");
  EXPECT_EQ(to_base32("foo"), "MZXW6");
  EXPECT_EQ(to_base32("foob"), "MZXW6YQ");
  EXPECT_EQ(to_base32("fooba"), "MZXW6YTB");
  EXPECT_EQ(to_base32("foobar"), "MZXW6YTBOI");
  EXPECT_EQ(to_base32("\xff\xff\xff\xff\xff"), "77777777");
}

TEST(Totp, APhoneReadsAUri) {
  EXPECT_EQ(totp_uri("foobar", "acme", "eve"),
            "otpauth://totp/Orrery%20acme:eve?secret=MZXW6YTBOI&issuer=Orrery%20acme"
            "&algorithm=SHA1&digits=6&period=30");
}

TEST(Totp, NoTwoSecretsAreTheSame) {
  auto all = std::set<std::string>{};
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(make_totp_secret().size(), 20u);
    EXPECT_TRUE(all.insert(make_totp_secret()).second);
    EXPECT_EQ(make_spare_code().size(), 10u);
    EXPECT_TRUE(all.insert(make_spare_code()).second);
  }
}

}  // namespace
}  // namespace orrery::transport::api
