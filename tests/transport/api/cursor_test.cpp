#include "transport/api/cursor.hpp"

#include <gtest/gtest.h>

#include "transport/base64url.hpp"

namespace orrery::transport::api {
namespace {

using namespace std::chrono_literals;
const auto now = model::from_ms(1'700'000'000'000);

std::string reason(const model::result<std::string>& r) {
  return r ? "" : std::string{r.error().reason};
}

TEST(Cursor, LeadsBackToItsPlace) {
  for (const std::string place : {"x", "a.b.c", "00ff", ""}) {
    const auto text = write_cursor(place, "devices of org", now);
    EXPECT_EQ(
        text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
        std::string::npos)
        << "it goes into a query as it is";
    const auto back = read_cursor(text, "devices of org", now + 15min);
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, place);
  }
}

TEST(Cursor, BelongsToOneQuestion) {
  const auto text = write_cursor("x", "devices of org", now);
  EXPECT_EQ(reason(read_cursor(text, "devices of another", now)), "bad_cursor");
}

TEST(Cursor, IsTooOldAfterAQuarterOfAnHour) {
  const auto text = write_cursor("x", "q", now);
  EXPECT_EQ(reason(read_cursor(text, "q", now + 15min + 1ms)), "bad_cursor");
  EXPECT_TRUE(read_cursor(text, "q", now - 1min)) << "another node's clock may be behind";
}

TEST(Cursor, RefusesWhatIsNoneOfOurs) {
  const auto good = *from_base64url(write_cursor("x", "q", now));
  for (const auto& text : std::vector<std::string>{
           "", "A", "!!!", to_base64url("x"), to_base64url(good.substr(0, 16)),
           to_base64url(good.substr(0, 17)), to_base64url(good.substr(0, 16) + ".x.y"),
           to_base64url(good.substr(0, 16) + ".-1.y"), to_base64url(good.substr(0, 16) + "..y"),
           to_base64url(good.substr(0, 16) + ".9223372036854775807.y"),
           to_base64url(good.substr(0, 16) + ".99999999999999999999.y"), std::string(9000, 'A')})
    EXPECT_EQ(reason(read_cursor(text, "q", now)), "bad_cursor") << text.substr(0, 60);
}

}  // namespace
}  // namespace orrery::transport::api
