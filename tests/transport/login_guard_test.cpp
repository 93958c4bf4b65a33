#include "transport/login_guard.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

using namespace std::chrono_literals;
using model::device_name;

constexpr auto home = "192.0.2.1", elsewhere = "198.51.100.7";

class LoginGuard : public testing::Test {
 protected:
  void make() { guard = std::make_unique<login_guard>(limits); }
  login_guard& g() {
    if (!guard)
      make();
    return *guard;
  }
  std::string_view refusal(const device_name& device, std::string_view address = home,
                           bool secure = false) {
    const auto ok = g().admit({address, device, secure}, now);
    return ok ? std::string_view{} : ok.error().reason;
  }
  std::string_view refusal_of_address(std::string_view address) {
    const auto ok = g().admit_address(address, now);
    return ok ? std::string_view{} : ok.error().reason;
  }
  void fail(const device_name& device, std::string_view address, int times = 1) {
    for (auto i = 0; i < times; ++i)
      g().wrong_signature({address, device}, now);
  }

  config::settings::login_section limits;
  model::timestamp now = model::from_ms(1'700'000'000'000);
  device_name meter{"pk", "meter"}, other{"pk", "other"};
  std::unique_ptr<login_guard> guard;
};

TEST_F(LoginGuard, LetsInWhoeverDidNothing) {
  EXPECT_EQ(refusal(meter), "");
  EXPECT_EQ(refusal_of_address(home), "");
}

TEST_F(LoginGuard, KeepsADeviceOutThatFailsForLongerEachTime) {
  for (const auto wait : {1min, 2min, 4min, 8min, 16min, 32min, 60min, 60min}) {
    fail(meter, home, 4);
    EXPECT_EQ(refusal(meter), "");
    fail(meter, home);
    const auto ok = g().admit({home, meter}, now);
    ASSERT_FALSE(ok);
    EXPECT_EQ(ok.error().code, model::errc::too_many_requests);
    EXPECT_EQ(ok.error().reason, "too_many_failures");
    EXPECT_EQ(refusal(meter, elsewhere), "too_many_failures");
    EXPECT_EQ(refusal(other), "");
    now += wait - 1s;
    EXPECT_EQ(refusal(meter), "too_many_failures");
    now += 1s;
    EXPECT_EQ(refusal(meter), "");
    now += 2min;  // not quiet enough to be forgiven
  }
  now += 61min;
  fail(meter, home, 5);
  now += 1min;
  EXPECT_EQ(refusal(meter), "");
}

TEST_F(LoginGuard, FailuresFarApartDoNotCount) {
  for (auto i = 0; i < 20; ++i) {
    fail(meter, home);
    now += 16s;
    EXPECT_EQ(refusal(meter), "");
  }
}

TEST_F(LoginGuard, StrangersDoNotLockADeviceOut) {
  g().succeeded({home, meter}, now);
  for (auto i = 0; i < 10; ++i)
    fail(meter, "198.51.100." + std::to_string(i), 3);
  EXPECT_EQ(refusal(meter, elsewhere), "too_many_failures");
  EXPECT_EQ(refusal(meter, home), "");
  // Also not from the one before, and from there alone.
  g().succeeded({"203.0.113.9", meter}, now);
  EXPECT_EQ(refusal(meter, home), "");
  g().succeeded({"203.0.113.10", meter}, now);
  EXPECT_EQ(refusal(meter, home), "too_many_failures");
  // It has no more tries itself than others.
  fail(meter, "203.0.113.10", 5);
  EXPECT_EQ(refusal(meter, "203.0.113.10"), "too_many_failures");
}

TEST_F(LoginGuard, ASuccessForgivesItsAddress) {
  for (auto i = 0; i < 10; ++i) {
    fail(meter, home, 4);
    g().succeeded({home, meter}, now);
    now += 10s;
  }
  EXPECT_EQ(refusal(meter), "");
}

TEST_F(LoginGuard, KeepsAnAddressOutThatFailsForMany) {
  for (auto i = 0; i < 49; ++i)
    g().unknown_device({elsewhere, {"pk", std::to_string(i)}}, now);
  EXPECT_EQ(refusal_of_address(elsewhere), "");
  fail({"pk", "real"}, elsewhere);
  EXPECT_EQ(refusal_of_address(elsewhere), "too_many_failures");
  EXPECT_EQ(refusal(meter, elsewhere), "too_many_failures");
  EXPECT_EQ(refusal(meter, home), "");
  now += 5min;
  EXPECT_EQ(refusal_of_address(elsewhere), "");
}

TEST_F(LoginGuard, ANetworkOfIpv6IsOneAddress) {
  limits.address_failures = 3;
  for (const auto* a : {"2001:db8::1", "2001:db8::2", "2001:db8::3"})
    g().unknown_device({a, meter}, now);
  EXPECT_EQ(refusal_of_address("2001:db8::4"), "too_many_failures");
  EXPECT_EQ(refusal_of_address("2001:db8:0:1::4"), "");
  for (auto i = 0; i < 3; ++i)
    g().unknown_device({"::ffff:192.0.2.1", meter}, now);
  EXPECT_EQ(refusal_of_address(home), "too_many_failures");
}

TEST_F(LoginGuard, ADeviceThatComesAndGoesWaits) {
  limits.flapping_logins = 15;
  for (auto i = 0; i < 14; ++i)
    g().succeeded({home, meter}, now);
  EXPECT_EQ(refusal(meter), "");
  g().succeeded({elsewhere, meter}, now);
  EXPECT_EQ(refusal(meter), "login_flapping");
  EXPECT_EQ(refusal(meter, elsewhere), "login_flapping");
  EXPECT_EQ(refusal(other), "");
  now += 5min;
  EXPECT_EQ(refusal(meter), "");
}

TEST_F(LoginGuard, RatesHold) {
  limits.address_rate = 2;
  limits.address_burst = 3;
  limits.port_rate = 10;
  limits.port_burst = 5;
  for (const auto* expected : {"", "", "", "login_rate"})
    EXPECT_EQ(refusal(meter), expected);
  now += 500ms;
  EXPECT_EQ(refusal(meter), "");
  EXPECT_EQ(refusal(meter), "login_rate");
  now += 1h;
  for (const auto* a : {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"})
    EXPECT_EQ(refusal(meter, a), "");
  EXPECT_EQ(refusal(meter, "10.0.0.6"), "login_rate");
  EXPECT_EQ(refusal(meter, "10.0.0.6", true), "");  // ports with TLS have their own
  now -= 2h;                                        // a clock that was set back takes nothing
  EXPECT_EQ(refusal(meter, "10.0.0.7"), "login_rate");
}

TEST_F(LoginGuard, BansHoldForTheirTime) {
  const auto until = now + 1h;
  EXPECT_EQ(g().set_bans({{"meter", "pk", "", until},
                          {"", "bad", "", until},
                          {"", "", "2001:DB8::1", until},
                          {"", "", "198.51.100.0/24", until},
                          {"", "", "nonsense", until},
                          {"", "", "", until}}),
            4u);
  EXPECT_EQ(refusal(meter), "device_banned");
  EXPECT_EQ(refusal(other), "");
  EXPECT_EQ(refusal({"bad", "any"}), "product_banned");
  for (const auto* a : {elsewhere, "::ffff:198.51.100.3", "2001:db8:0::1"}) {
    EXPECT_EQ(refusal(other, a), "address_banned") << a;
    EXPECT_EQ(refusal_of_address(a), "address_banned") << a;
  }
  EXPECT_EQ(refusal_of_address("198.51.101.1"), "");
  EXPECT_EQ(g().admit({home, meter}, now).error().code, model::errc::forbidden);
  now = until;
  EXPECT_EQ(refusal(meter), "");
  EXPECT_EQ(refusal(other, elsewhere), "");
  EXPECT_EQ(g().set_bans({}), 0u);
  EXPECT_EQ(g().set_bans(std::vector<login_ban>(10'001, {"a", "b", "", until})), 10'000u);
}

TEST_F(LoginGuard, BansOfAnOrganisationAreItsOwn) {
  const auto until = now + 1h;
  const auto print = std::string(64, 'a');
  const auto before = g().bans_version();
  EXPECT_EQ(g().set_bans({{"", "", home, until, "", "a"},
                          {"", "", "198.51.100.0/24", until, "", "a"},
                          {"", "", "", until, print, "a"},
                          {"", "", "", until, std::string(64, 'b')}}),
            4u);
  EXPECT_GT(g().bans_version(), before);
  const auto reason = [&](std::string_view address, std::string_view org,
                          std::string_view certificate = {}) {
    const auto ok = g().check_bans({address, meter, true, org, certificate}, now);
    return ok ? std::string_view{} : ok.error().reason;
  };
  for (const auto* address : {home, elsewhere}) {
    EXPECT_EQ(reason(address, "a"), "address_banned");
    EXPECT_EQ(reason(address, "b"), "");
    EXPECT_EQ(refusal_of_address(address), "") << "nobody knows yet where it wants to go";
  }
  EXPECT_EQ(reason("10.0.0.1", "a", print), "certificate_banned");
  EXPECT_EQ(reason("10.0.0.1", "b", print), "");
  EXPECT_EQ(reason("10.0.0.1", "b", std::string(64, 'b')), "certificate_banned");
  EXPECT_EQ(g().admit({"10.0.0.1", meter, true, "a", print}, now).error().reason,
            "certificate_banned");
  now = until;
  EXPECT_EQ(reason(home, "a", print), "");
}

TEST_F(LoginGuard, WhoeverIsOfASuspendedOrganisationIsOut) {
  auto whole = login_ban{};
  whole.organisation = "a";
  whole.until = model::timestamp::max();
  EXPECT_EQ(g().set_bans({whole}), 1u);
  const auto reason = [&](std::string_view org) {
    const auto ok = g().check_bans({home, meter, true, org, {}}, now);
    return ok ? std::string_view{} : ok.error().reason;
  };
  EXPECT_EQ(reason("a"), "org_suspended");
  EXPECT_EQ(reason("b"), "");
  EXPECT_EQ(reason(""), "");
  EXPECT_EQ(refusal_of_address(home), "");
  EXPECT_EQ(g().set_bans({}), 0u);
  EXPECT_EQ(reason("a"), "");
}

TEST_F(LoginGuard, TellsWhomItKeepsOut) {
  limits.device_failures = 3;
  limits.address_failures = 5;
  EXPECT_TRUE(g().all_kept_out(now, 10).empty());
  fail(meter, home, 3);
  auto out = g().all_kept_out(now, 10);
  ASSERT_EQ(out.size(), 2u) << "strangers, and it from there";
  for (const auto& one : out) {
    EXPECT_EQ(one.device, meter);
    EXPECT_EQ(one.reason, "too_many_failures");
    EXPECT_GT(one.until, now);
  }
  fail(other, home, 2);
  out = g().all_kept_out(now, 10);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0].address, home);
  EXPECT_TRUE(out[0].device.device_key.empty());
  EXPECT_EQ(g().all_kept_out(now, 1).size(), 1u);
  EXPECT_TRUE(g().all_kept_out(now + 24h, 10).empty());
}

TEST_F(LoginGuard, RemembersABoundedNumber) {
  limits.max_tracked = 10;
  for (auto i = 0; i < 1000; ++i) {
    const auto device = device_name{"pk", std::to_string(i)};
    const auto address = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    refusal(device, address);
    g().succeeded({address, device}, now);
    fail(device, address);
  }
  EXPECT_EQ(g().tracked(), 30u);
  limits.max_tracked = 0;
  make();
  EXPECT_EQ(refusal(meter), "");
}

/// Any course of events: who never failed is never kept out by what others do, and everybody is let
/// in again when it was quiet for long enough.
TEST_F(LoginGuard, OthersHarmNobodyWhoDoesNothingWrong) {
  for (auto seed = 0u; seed < 50; ++seed) {
    auto random = std::mt19937{seed};
    const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    limits.device_failures = static_cast<unsigned>(1 + pick(6));
    limits.address_failures = static_cast<unsigned>(1 + pick(20));
    make();
    g().succeeded({home, meter}, now);
    auto last_login = now;
    for (auto step = 0; step < 2000; ++step) {
      now += std::chrono::milliseconds{pick(20'000)};
      const auto from = "198.51.100." + std::to_string(pick(4));
      const auto whose = pick(2) ? meter : other;
      if (refusal_of_address(from).empty() && refusal(whose, from).empty()) {
        if (pick(4) == 0)
          g().unknown_device({from, {"pk", std::to_string(pick(100))}}, now);
        else
          fail(whose, from);
      }
      ASSERT_EQ(refusal_of_address(home), "") << seed << " " << step;
      ASSERT_EQ(refusal(meter, home), "") << seed << " " << step;
      if (now - last_login > 10s) {
        g().succeeded({home, meter}, now);
        last_login = now;
      }
      ASSERT_LE(g().tracked(), 3 * limits.max_tracked);
    }
    now += 61min;
    for (auto i = 0; i < 4; ++i)
      for (const auto& device : {meter, other})
        ASSERT_EQ(refusal(device, "198.51.100." + std::to_string(i)), "");
  }
}

}  // namespace
}  // namespace orrery::transport
