#include <gtest/gtest.h>

#include "model/device/device.hpp"
#include "model/json.hpp"
#include "model/static_text.hpp"

namespace orrery::model::device {
namespace {

using namespace std::chrono_literals;
using state_code = certificate::state_code;

constexpr auto day = std::chrono::hours{24};

/// A device with a product that demands certificates.
class Certified : public testing::Test {
 protected:
  Certified() {
    auto m = thing_model::compile(*parse_json(R"({"format": "tm/1", "id": "m", "name": "m"})"));
    product.exists = true;
    product.model = std::make_shared<const thing_model>(std::move(*m));
    product.demands = login_demand::certificate;
    auto r = register_device{};
    r.name = name;
    r.organisation = "org";
    r.secret = keys.seal("first", secret_owner(name));
    EXPECT_TRUE(tell(r));
  }

  result<reply> tell(order what, std::optional<entity_id> by = {}) {
    auto d = decide(s, {std::move(what), {}, "test", {}, by}, {self, now, product, keys, 3});
    happened.clear();
    set_off.clear();
    if (!d)
      return d.error();
    EXPECT_TRUE(decode_events(encode_events(d->events)));
    for (const auto& e : d->events) {
      apply(s, e);
      for (auto& x : device::effects(s, e))
        set_off.push_back(std::move(x));
      happened.push_back(e);
    }
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(encode_state(again, 1), encode_state(s, 1));
    return std::move(d->answer);
  }
  std::string_view reason(const result<reply>& got) {
    if (got)
      return "granted";
    EXPECT_EQ(static_text(got.error().reason), got.error().reason) << "other nodes know it";
    return got.error().reason;
  }
  /// What is wrong with the certificate; "" if the device was let in.
  std::string complaint(const result<reply>& got) {
    if (got)
      return {};
    EXPECT_EQ(got.error().reason, "certificate_required");
    EXPECT_EQ(got.error().code, errc::forbidden);
    return got.error().detail.substr(std::string{"pk/dk: "}.size());
  }

  certificate a_certificate(char digit, milliseconds lasts = 30 * day) const {
    auto c = certificate{};
    c.issuer = "aa";
    c.serial = std::string(20, digit);
    c.fingerprint = std::string(64, digit);
    c.subject = "CN=d";
    c.not_before = now;
    c.not_after = now + lasts;
    c.pem = "pem";
    return c;
  }
  /// The handle.
  std::uint32_t add(const certificate& c, std::uint32_t renews = 0,
                    milliseconds overlap = 7 * day) {
    const auto got = tell(add_certificate{c, renews, overlap});
    EXPECT_TRUE(got) << got.error().detail;
    return got ? std::get<certificate_bound>(*got).sn : 0;
  }
  connect login(const certificate& shown, const std::string& secret = {}) {
    auto c = connect{};
    c.session = {7, ++connections, 0};
    c.secure = true;
    c.presented =
        presented_certificate{shown.issuer, shown.serial, shown.fingerprint, shown.not_after};
    if (!secret.empty())
      c.proof = {"c", "1", sign_method::sha256,
                 sign_login(name, "c", "1", sign_method::sha256, secret)};
    return c;
  }
  state_code state_of(std::uint32_t sn) const { return s.certificates().find(sn)->state; }
  bool closes() const {
    for (const auto& x : set_off)
      if (const auto* c = std::get_if<close_session>(&x))
        return c->reason == "certificate_revoked";
    return false;
  }

  state s;
  entity_id self = make_entity_id(0, from_ms(1), {});
  timestamp now = from_ms(1'700'000'000'000);
  product_view product;
  keyring keys{keyring::key_bytes{9}};
  device_name name{"pk", "dk"};
  std::uint64_t connections = 100;
  std::vector<event> happened;
  std::vector<effect> set_off;
};

// ---- logins

TEST_F(Certified, ABoundCertificateIsEnoughWhereTheProductSaysSo) {
  const auto c = a_certificate('1');
  const auto sn = add(c);
  EXPECT_EQ(state_of(sn), state_code::issued);
  EXPECT_TRUE(tell(login(c)));
  EXPECT_EQ(state_of(sn), state_code::active) << "its first use";
  EXPECT_TRUE(s.activated_at);
  EXPECT_EQ(s.certificates().in_session, sn);
  EXPECT_TRUE(tell(login(c, "a wrong secret"))) << "a password does not matter";
}

TEST_F(Certified, WhatIsWrongWithACertificateIsSaid) {
  const auto c = a_certificate('1');
  auto none = login(c);
  none.presented.reset();
  EXPECT_EQ(complaint(tell(none)),
            "its product demands a client certificate, and none was presented");
  EXPECT_EQ(complaint(tell(login(c))), "the client certificate is not bound to this device");
  const auto sn = add(c);
  auto similar = login(c);
  similar.presented->fingerprint[5] = '2';
  EXPECT_EQ(complaint(tell(similar)), "the client certificate is not bound to this device");
  similar = login(c);
  similar.presented->issuer = "bb";
  EXPECT_EQ(complaint(tell(similar)), "the client certificate is not bound to this device");
  similar.presented->issuer.clear();
  EXPECT_EQ(complaint(tell(similar)), "") << "it need not say who its issuer is";
  now = c.not_after - 1ms;
  EXPECT_EQ(complaint(tell(login(c))), "");
  now = c.not_after;
  EXPECT_EQ(complaint(tell(login(c))), "the client certificate has expired");
  now -= 1ms;
  ASSERT_TRUE(tell(revoke_certificate{sn, {}, 6}));
  EXPECT_EQ(complaint(tell(login(c))), "the client certificate is held");
  ASSERT_TRUE(tell(revoke_certificate{sn, {}, 1}));
  EXPECT_EQ(complaint(tell(login(c))), "the client certificate is revoked");
}

TEST_F(Certified, BothMeansTheSignatureToo) {
  product.demands = login_demand::both;
  const auto c = a_certificate('1');
  add(c);
  EXPECT_EQ(reason(tell(login(c))), "sign_check_failed");
  EXPECT_EQ(reason(tell(login(c, "another"))), "sign_check_failed");
  auto bare = login(c, "first");
  bare.presented.reset();
  EXPECT_EQ(reason(tell(bare)), "certificate_required");
  EXPECT_EQ(reason(tell(login(a_certificate('2'), "first"))), "certificate_required");
  EXPECT_EQ(reason(tell(login(c, "first"))), "granted");
}

TEST_F(Certified, NobodyLooksAtACertificateThatIsNotDemanded) {
  product.demands = login_demand::secret;
  const auto c = a_certificate('1');
  const auto sn = add(c);
  ASSERT_TRUE(tell(revoke_certificate{sn, {}, 0}));
  EXPECT_EQ(reason(tell(login(c))), "sign_check_failed");
  EXPECT_TRUE(tell(login(c, "first")));
  EXPECT_EQ(s.certificates().in_session, 0u);
}

TEST_F(Certified, ADisabledDeviceStaysOut) {
  const auto c = a_certificate('1');
  add(c);
  ASSERT_TRUE(tell(set_admin_state{admin_state::disabled, ""}));
  EXPECT_EQ(reason(tell(login(c))), "device_disabled");
  product.direct_access = false;
  ASSERT_TRUE(tell(set_admin_state{admin_state::enabled, ""}));
  EXPECT_EQ(reason(tell(login(c))), "direct_login_forbidden");
}

TEST_F(Certified, ASubDeviceNeedsAGatewayOnTls) {
  const auto hub = gateway_link{make_entity_id(1, from_ms(2), {}), {"hubs", "hub"}};
  ASSERT_TRUE(tell(bind_gateway{hub, "org", {}, false}));
  auto c = login(a_certificate('1'), "first");
  c.presented.reset();
  c.secure = false;
  EXPECT_EQ(reason(tell(c, hub.id)), "certificate_required");
  c.secure = true;
  EXPECT_EQ(reason(tell(c, hub.id)), "granted");
}

// ---- binding

TEST_F(Certified, AHandleHasThirtyOneBitsAndIsFree) {
  auto c = a_certificate('f');
  EXPECT_EQ(add(c), 0x7fff'ffffu);
  c.serial = "e" + c.serial;
  c.fingerprint = std::string(64, '2');
  EXPECT_EQ(add(c), 1u) << "the next one after the last is the first";
  c.serial = "80000000";
  c.fingerprint = std::string(64, '3');
  EXPECT_EQ(add(c), 2u) << "none is 0";
}

TEST_F(Certified, WhatCannotBeBound) {
  const auto c = a_certificate('1');
  add(c);
  EXPECT_EQ(reason(tell(add_certificate{c, 0, 0ms})), "certificate_bound");
  auto bad = a_certificate('2');
  bad.serial = "0g";
  EXPECT_EQ(reason(tell(add_certificate{bad, 0, 0ms})), "certificate_invalid");
  bad = a_certificate('2');
  bad.fingerprint.pop_back();
  EXPECT_EQ(reason(tell(add_certificate{bad, 0, 0ms})), "certificate_invalid");
  bad = a_certificate('2');
  bad.pem = std::string(16 * 1024 + 1, 'x');
  EXPECT_EQ(reason(tell(add_certificate{bad, 0, 0ms})), "certificate_invalid");
  EXPECT_EQ(reason(tell(add_certificate{a_certificate('2', 0ms), 0, 0ms})), "certificate_expired");
  EXPECT_EQ(reason(tell(add_certificate{a_certificate('2'), 0, -1ms})), "overlap_invalid");
  EXPECT_EQ(reason(tell(add_certificate{a_certificate('2'), 0, 91 * day})), "overlap_invalid");
}

TEST_F(Certified, OfTooManyThoseThatCountStay) {
  const auto brief = add(a_certificate('1', 1 * day));
  auto sns = std::vector<std::uint32_t>{};
  for (const auto digit : std::string{"2345678"})
    sns.push_back(add(a_certificate(digit)));
  EXPECT_EQ(reason(tell(add_certificate{a_certificate('9'), 0, 0ms})), "too_many_certificates");
  ASSERT_TRUE(tell(revoke_certificate{sns[0], {}, 0}));
  now += 2 * day;
  add(a_certificate('9'));
  EXPECT_FALSE(s.certificates().find(brief)) << "what ran out goes first";
  EXPECT_TRUE(s.certificates().find(sns[0]));
  add(a_certificate('a'));
  EXPECT_FALSE(s.certificates().find(sns[0])) << "then what was revoked";
  EXPECT_EQ(s.certificates().all.size(), max_certificates);
}

// ---- renewal

TEST_F(Certified, ARenewedCertificateCountsForTheOverlap) {
  const auto old = a_certificate('1'), fresh = a_certificate('2', 60 * day);
  const auto first = add(old), second = add(fresh, first, 1 * day);
  EXPECT_EQ(state_of(first), state_code::superseded);
  EXPECT_TRUE(tell(login(old)));
  EXPECT_EQ(state_of(first), state_code::superseded);
  EXPECT_TRUE(tell(login(fresh)));
  EXPECT_EQ(state_of(second), state_code::active);
  now += 1 * day;
  EXPECT_EQ(complaint(tell(login(old))),
            "the client certificate was renewed, and its overlap is over");
  EXPECT_TRUE(tell(login(fresh)));
}

TEST_F(Certified, WithoutAnOverlapTheSessionEnds) {
  const auto old = a_certificate('1');
  const auto sn = add(old);
  ASSERT_TRUE(tell(login(old)));
  add(a_certificate('2'), sn, 0ms);
  EXPECT_FALSE(s.connection.online);
  EXPECT_TRUE(closes());
}

TEST_F(Certified, WhatCannotBeRenewed) {
  EXPECT_EQ(reason(tell(add_certificate{a_certificate('2'), 5, 0ms})), "certificate_unknown");
  const auto brief = add(a_certificate('1', 1 * day)), gone = add(a_certificate('2'));
  ASSERT_TRUE(tell(revoke_certificate{gone, {}, 0}));
  EXPECT_EQ(reason(tell(add_certificate{a_certificate('3'), gone, 0ms})),
            "certificate_not_renewable");
  now += 1 * day;
  EXPECT_EQ(reason(tell(add_certificate{a_certificate('3'), brief, 0ms})),
            "certificate_not_renewable");
  const auto again = add(a_certificate('4'));
  add(a_certificate('5'), again);
  EXPECT_EQ(reason(tell(add_certificate{a_certificate('6'), again, 0ms})),
            "certificate_not_renewable");
}

// ---- revocation

TEST_F(Certified, RevokingEndsTheSessionThatCameByIt) {
  const auto one = a_certificate('1'), two = a_certificate('2');
  const auto first = add(one), second = add(two);
  ASSERT_TRUE(tell(login(one)));
  ASSERT_TRUE(tell(revoke_certificate{second, {}, 1}));
  EXPECT_TRUE(s.connection.online) << "it came by another one";
  ASSERT_TRUE(tell(revoke_certificate{0, one.serial, 1}));
  EXPECT_FALSE(s.connection.online);
  EXPECT_TRUE(closes());
  EXPECT_EQ(s.certificates().find(first)->reason, 1);
  EXPECT_EQ(reason(tell(revoke_certificate{first, {}, 1})), "already_revoked");
}

TEST_F(Certified, WhatIsHeldMayCountAgain) {
  const auto c = a_certificate('1');
  const auto sn = add(c);
  EXPECT_EQ(reason(tell(revoke_certificate{sn, {}, 8})), "state_conflict");
  ASSERT_TRUE(tell(login(c)));
  ASSERT_TRUE(tell(revoke_certificate{sn, {}, 6}));
  EXPECT_TRUE(closes());
  EXPECT_TRUE(tell(revoke_certificate{sn, {}, 6}));
  EXPECT_TRUE(happened.empty());
  ASSERT_TRUE(tell(revoke_certificate{sn, {}, 8}));
  EXPECT_TRUE(tell(login(c)));
}

TEST_F(Certified, WhatCannotBeRevoked) {
  EXPECT_EQ(reason(tell(revoke_certificate{5, {}, 0})), "certificate_unknown");
  EXPECT_EQ(reason(tell(revoke_certificate{0, "ab", 0})), "certificate_unknown");
  const auto sn = add(a_certificate('1'));
  for (const std::uint8_t bad : {2, 7, 10, 11})
    EXPECT_EQ(reason(tell(revoke_certificate{sn, {}, bad})), "revocation_reason_invalid");
}

TEST_F(Certified, WhatIsDeletedKeepsNone) {
  const auto c = a_certificate('1');
  add(c);
  ASSERT_TRUE(tell(login(c)));
  ASSERT_TRUE(tell(remove_device{}));
  EXPECT_TRUE(s.certificates().empty());
  EXPECT_TRUE(s.family->empty());
  EXPECT_EQ(reason(tell(login(c))), "device_unknown");
}

// ---- warnings

TEST_F(Certified, ItsEndIsTold30And7And1DaysBefore) {
  const auto c = a_certificate('1', 100 * day);
  const auto sn = add(c);
  for (const std::uint8_t days : {30, 7, 1}) {
    const auto at = c.not_after - days * day;
    ASSERT_EQ(next_deadline(s), at);
    now = at - 1ms;
    ASSERT_TRUE(tell(time_passed{}));
    EXPECT_TRUE(happened.empty());
    now = at;
    ASSERT_TRUE(tell(time_passed{}));
    ASSERT_EQ(happened.size(), 1u);
    const auto& told = std::get<certificate_expiring>(happened[0]);
    EXPECT_EQ(told.sn, sn);
    EXPECT_EQ(told.days, days);
    EXPECT_EQ(told.not_after, c.not_after);
    ASSERT_TRUE(tell(time_passed{}));
    EXPECT_TRUE(happened.empty()) << "once";
  }
  EXPECT_EQ(next_deadline(s), std::nullopt);
  now = c.not_after + day;
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_TRUE(happened.empty());
}

TEST_F(Certified, WarningsThatWereMissedAreOne) {
  const auto c = a_certificate('1', 100 * day);
  const auto sn = add(c);
  now = c.not_after - 3 * day;
  ASSERT_TRUE(tell(time_passed{}));
  ASSERT_EQ(happened.size(), 1u);
  EXPECT_EQ(std::get<certificate_expiring>(happened[0]).days, 7);
  EXPECT_EQ(next_deadline(s), c.not_after - day);
  now = c.not_after;
  ASSERT_TRUE(tell(time_passed{}));
  ASSERT_EQ(happened.size(), 1u);
  EXPECT_EQ(std::get<certificate_expiring>(happened[0]).days, 0);
  EXPECT_EQ(std::get<certificate_expiring>(happened[0]).sn, sn);
  EXPECT_EQ(next_deadline(s), std::nullopt);
}

TEST_F(Certified, OneThatWasMadeForLessIsNotWarnedOf) {
  const auto c = a_certificate('1', 20 * day);
  add(c);
  EXPECT_EQ(next_deadline(s), c.not_after - 7 * day);
  add(a_certificate('2', 12h));
  EXPECT_EQ(next_deadline(s), c.not_after - 7 * day);
}

TEST_F(Certified, OnlyThoseThatCountAreWarnedOf) {
  const auto first = add(a_certificate('1', 100 * day));
  const auto second = add(a_certificate('2', 200 * day), first);
  EXPECT_EQ(next_deadline(s), now + 170 * day) << "the first was renewed";
  ASSERT_TRUE(tell(revoke_certificate{second, {}, 6}));
  EXPECT_EQ(next_deadline(s), std::nullopt);
  ASSERT_TRUE(tell(revoke_certificate{second, {}, 8}));
  EXPECT_EQ(next_deadline(s), now + 170 * day);
  ASSERT_TRUE(tell(revoke_certificate{second, {}, 1}));
  EXPECT_EQ(next_deadline(s), std::nullopt);
}

TEST_F(Certified, WhatGoesIsNamedByItsFingerprint) {
  for (const auto digit : {'1', '2', '3', '4', '5', '6', '7', '8'})
    add(a_certificate(digit, digit == '3' ? milliseconds{1h} : milliseconds{60 * day}));
  now += 2h;
  add(a_certificate('9'));
  EXPECT_EQ(std::get<certificate_added>(happened[0]).dropped_fingerprints,
            std::vector<std::string>{std::string(64, '3')});
  ASSERT_TRUE(tell(remove_device{}));
  EXPECT_EQ(std::get<removed>(happened.back()).fingerprints.size(), 8u);
}

TEST_F(Certified, AStateHasAWord) {
  auto c = a_certificate('1');
  for (const auto& [state, word] : {std::pair{state_code::issued, "issued"},
                                    {state_code::active, "active"},
                                    {state_code::superseded, "superseded"},
                                    {state_code::held, "held"},
                                    {state_code::revoked, "revoked"}}) {
    c.state = state;
    EXPECT_EQ(status_of(c, now), word);
  }
  EXPECT_EQ(status_of(c, c.not_after), "revoked") << "that stays";
  c.state = state_code::active;
  EXPECT_EQ(status_of(c, c.not_after), "expired");
}

}  // namespace
}  // namespace orrery::model::device
