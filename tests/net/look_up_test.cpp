#include "net/look_up.hpp"

#include <optional>

#include <boost/asio/executor_work_guard.hpp>
#include <gtest/gtest.h>

namespace orrery::net {
namespace {

using endpoints = std::vector<boost::asio::ip::tcp::endpoint>;

std::optional<endpoints> ask(const std::string& host) {
  auto io = boost::asio::io_context{1};
  const auto work = boost::asio::make_work_guard(io);
  auto got = std::optional<endpoints>{};
  look_up(io, host, 7, [&](endpoints e) { got = std::move(e); });
  EXPECT_FALSE(got);  // not in the call
  while (!got && io.run_one_for(std::chrono::seconds{30}) > 0) {
  }
  return got;
}

TEST(LookUp, AddressesAreThemselves) {
  for (const auto* address : {"192.0.2.7", "2001:db8::7"}) {
    const auto got = ask(address);
    ASSERT_TRUE(got);
    ASSERT_EQ(got->size(), 1u);
    EXPECT_EQ(got->front().address().to_string(), address);
    EXPECT_EQ(got->front().port(), 7);
  }
}

TEST(LookUp, NamesAreLookedUp) {
  const auto got = ask("localhost");
  ASSERT_TRUE(got);
  ASSERT_FALSE(got->empty());
  EXPECT_TRUE(got->front().address().is_loopback());
  EXPECT_EQ(got->front().port(), 7);
}

TEST(LookUp, AnUnknownNameHasNoAddress) {
  const auto got = ask("no.such.name.invalid");
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->empty());
}

TEST(LookUp, NobodyHearsOfItOnceTheContextHasGone) {
  auto io = std::make_unique<boost::asio::io_context>(1);
  for (auto i = 0; i < 20; ++i)
    look_up(*io, "localhost", 7, [](const endpoints&) { FAIL(); });
  io.reset();
}

}  // namespace
}  // namespace orrery::net
