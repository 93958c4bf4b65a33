#include "transport/api/idempotency.hpp"

#include <gtest/gtest.h>

namespace orrery::transport::api {
namespace {

using namespace std::chrono_literals;
const auto noon = model::from_ms(1'700'000'000'000);

http_response response(std::string body) {
  auto r = http_response{};
  r.status = 201;
  r.body = std::move(body);
  return r;
}
/// "do it", the body of the answer that is kept, or the reason of a refusal.
std::string begin(idempotency& i, const std::string& key, const std::string& fingerprint,
                  model::timestamp now = noon) {
  const auto known = i.begin(key, fingerprint, now);
  if (!known)
    return std::string{known.error().reason};
  return *known ? (*known)->body : "do it";
}

TEST(Idempotency, TheFirstAnswerIsTheAnswer) {
  auto i = idempotency{};
  EXPECT_EQ(begin(i, "k", "f"), "do it");
  EXPECT_EQ(begin(i, "k", "f"), "idempotency_in_progress");
  i.keep("k", response("made"));
  EXPECT_EQ(begin(i, "k", "f"), "made");
  EXPECT_EQ(begin(i, "k", "f", noon + 24h), "made");
  EXPECT_EQ(begin(i, "other", "f"), "do it");
}

TEST(Idempotency, AnotherBodyIsAnotherRequest) {
  auto i = idempotency{};
  EXPECT_EQ(begin(i, "k", "f"), "do it");
  EXPECT_EQ(begin(i, "k", "g"), "idempotency_mismatch");
  i.keep("k", response("made"));
  EXPECT_EQ(begin(i, "k", "g"), "idempotency_mismatch");
}

TEST(Idempotency, WhatDidNotWorkMayBeTriedAgain) {
  auto i = idempotency{};
  EXPECT_EQ(begin(i, "k", "f"), "do it");
  i.drop("k");
  EXPECT_EQ(begin(i, "k", "f"), "do it");
}

TEST(Idempotency, ForgetsAfterADay) {
  auto i = idempotency{};
  EXPECT_EQ(begin(i, "k", "f"), "do it");
  i.keep("k", response("made"));
  EXPECT_EQ(begin(i, "k", "g", noon + 24h + 1ms), "do it");
}

TEST(Idempotency, ForgetsTheOldestWhenItIsFull) {
  auto i = idempotency{10'000};
  for (int n = 0; n < 100; ++n) {
    const auto key = std::to_string(n);
    EXPECT_EQ(begin(i, key, "f"), "do it");
    i.keep(key, response(std::string(1000, 'x')));
  }
  EXPECT_EQ(begin(i, "99", "f"), std::string(1000, 'x'));
  EXPECT_EQ(begin(i, "0", "f"), "do it");
}

TEST(Idempotency, LateWordsAboutWhatIsForgottenAreHarmless) {
  auto i = idempotency{};
  i.keep("k", response("made"));
  i.drop("k");
  EXPECT_EQ(begin(i, "k", "f"), "do it");
}

}  // namespace
}  // namespace orrery::transport::api
