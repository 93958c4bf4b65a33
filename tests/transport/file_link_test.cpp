#include "transport/file_link.hpp"

#include <gtest/gtest.h>

#include "transport/base64url.hpp"

namespace orrery::transport {
namespace {

const auto key = std::string(64, 'k');

file_link a_link() {
  auto link = file_link{};
  link.what = file_link::use::upload;
  link.organisation = "org";
  link.device = model::make_entity_id(3, model::from_ms(5), {1});
  link.file = "00112233445566ff";
  link.size = 1'000'000;
  link.sha256 = std::string(64, 'a');
  link.expires = model::from_ms(1'700'000'000'000);
  return link;
}

TEST(FileLink, SaysWhatWasSigned) {
  auto link = a_link();
  EXPECT_EQ(read_link(sign_link(link, key), key), link);
  link.what = file_link::use::download;
  link.sha256.clear();
  EXPECT_EQ(read_link(sign_link(link, key), key), link);
  EXPECT_LT(sign_link(a_link(), key).size(), 300u);
}

TEST(FileLink, IsGoodForItsKeyAlone) {
  const auto token = sign_link(a_link(), key);
  EXPECT_FALSE(read_link(token, "another"));
  EXPECT_FALSE(read_link(token, ""));
  auto other = a_link();
  other.size += 1;
  EXPECT_NE(sign_link(other, key), token);
}

TEST(FileLink, DoesNotBearAnyChange) {
  const auto bytes = *from_base64url(sign_link(a_link(), key));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(read_link(to_base64url(changed), key)) << i;
    EXPECT_FALSE(read_link(to_base64url(bytes.substr(0, i)), key)) << i;
  }
  EXPECT_FALSE(read_link(to_base64url(bytes + "x"), key));
}

TEST(FileLink, IsRefusedIfItIsNoToken) {
  for (const auto& bad :
       {std::string{}, std::string{"x"}, std::string{"===="}, std::string{"../.."},
        std::string(2000, 'A'), sign_link(a_link(), key) + "=", to_base64url(std::string(32, '\0')),
        to_base64url(std::string(33, '\0'))})
    EXPECT_FALSE(read_link(bad, key)) << bad;
}

std::string shown(const file_part& p) {
  if (p.what == file_part::kind::none)
    return "none";
  return (p.what == file_part::kind::whole ? "whole " : "") + std::to_string(p.first) + "+" +
         std::to_string(p.size);
}

TEST(FilePart, IsWhatARangeAsksFor) {
  const auto of = [](std::string_view range, std::uint64_t size = 100) {
    return shown(part_of(range, "", "\"t\"", size));
  };
  EXPECT_EQ(of(""), "whole 0+100");
  EXPECT_EQ(of("bytes=0-0"), "0+1");
  EXPECT_EQ(of("bytes=10-19"), "10+10");
  EXPECT_EQ(of("bytes=10-"), "10+90");
  EXPECT_EQ(of("bytes=-10"), "90+10");
  EXPECT_EQ(of("bytes=-1000"), "0+100");
  EXPECT_EQ(of("bytes=99-1000"), "99+1");
  EXPECT_EQ(of("bytes= 1-2 "), "1+2");
  EXPECT_EQ(of("bytes=0-18446744073709551615"), "0+100");
  EXPECT_EQ(of("bytes=100-"), "none");
  EXPECT_EQ(of("bytes=-0"), "none");
  EXPECT_EQ(of("bytes=0-", 0), "none");
  EXPECT_EQ(of("bytes=-1", 0), "none");
  for (const auto* odd :
       {"bytes=", "bytes=-", "bytes=a-b", "bytes=2-1", "bytes=0-1,3-4", "lines=1-2", "bytes 0-1",
        "bytes=+1-2", "bytes=0x1-2", "bytes=1 - 2", "bytes=99999999999999999999999-", "-"})
    EXPECT_EQ(of(odd), "whole 0+100") << odd;
}

TEST(FilePart, IsTheWholeIfTheFileIsAnother) {
  EXPECT_EQ(shown(part_of("bytes=1-2", "\"t\"", "\"t\"", 9)), "1+2");
  EXPECT_EQ(shown(part_of("bytes=1-2", "\"u\"", "\"t\"", 9)), "whole 0+9");
  EXPECT_EQ(shown(part_of("bytes=1-2", "W/\"t\"", "\"t\"", 9)), "whole 0+9");
}

TEST(FileName, CannotLeaveItsHeader) {
  EXPECT_EQ(disposition_of("a.jpg"), "attachment; filename=\"a.jpg\"; filename*=UTF-8''a.jpg");
  EXPECT_EQ(disposition_of("a\"\r\nX: y"),
            "attachment; filename=\"a___X__y\"; filename*=UTF-8''a%22%0D%0AX%3A%20y");
  EXPECT_EQ(disposition_of("\xc3\xa4"), "attachment; filename=\"__\"; filename*=UTF-8''%C3%A4");
}

}  // namespace
}  // namespace orrery::transport
