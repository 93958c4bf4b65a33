#include "transport/certificate_holder.hpp"

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

namespace device = model::device;
using state_code = device::certificate::state_code;

actors::listed_device with(state_code state, const std::string& fingerprint = "aa") {
  auto c = device::certificate{};
  c.issuer = "11";
  c.serial = "22";
  c.fingerprint = fingerprint;
  c.state = state;
  auto s = std::make_shared<device::state>();
  s->family.edit().certificates.edit().all = {c};
  return {{}, 1, std::move(s)};
}

device::presented_certificate shown() {
  auto facts = net::certificate_facts{};
  facts.issuer_key_id = "11";
  facts.serial = "22";
  facts.fingerprint = "aa";
  facts.not_after = 1'700'000'000;
  return presented(facts);
}

TEST(CertificateHolder, IsTheOneThatHasIt) {
  EXPECT_EQ(shown().not_after, model::from_ms(1'700'000'000'000));
  EXPECT_EQ(holder_among({}, shown()), nullptr);
  const auto all = std::vector{with(state_code::active, "bb"), with(state_code::issued)};
  EXPECT_EQ(holder_among(all, shown()), &all[1]);
  auto foreign = shown();
  foreign.issuer = "12";
  EXPECT_EQ(holder_among(all, foreign), nullptr);
}

TEST(CertificateHolder, OneForWhichItCountsGoesBefore) {
  const auto all = std::vector{with(state_code::revoked), with(state_code::active)};
  EXPECT_EQ(holder_among(all, shown()), &all[1]);
  const auto gone = std::vector{with(state_code::revoked)};
  EXPECT_EQ(holder_among(gone, shown()), &gone[0]) << "it tells why";
}

TEST(CertificateHolder, OfSeveralItIsNobody) {
  EXPECT_EQ(holder_among({with(state_code::active), with(state_code::issued)}, shown()), nullptr);
}

}  // namespace
}  // namespace orrery::transport
