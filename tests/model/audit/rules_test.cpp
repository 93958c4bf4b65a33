#include <gmock/gmock.h>

#include "model/audit/chain.hpp"
#include "tests/model/audit/kit.hpp"

namespace orrery::model::audit {
namespace {

using namespace std::chrono_literals;

TEST(AuditLog, EachRecordCarriesTheHashOfTheOneBefore) {
  auto log = log_in_memory{};
  for (const auto* request : {"r1", "r2", "r3"})
    ASSERT_TRUE(log.append(request));
  ASSERT_EQ(log.rows.size(), 3u);
  EXPECT_EQ(log.rows[1].text,
            R"({"number":1,"log":"org","previous":")" + std::string{no_hash()} +
                R"(","time":"2023-11-14T22:13:20.000Z","requestId":"r1","action":"a"})");
  for (std::uint64_t n = 2; n <= 3; ++n)
    EXPECT_NE(log.rows[n].text.find(R"("previous":")" + log.rows[n - 1].hash + '"'),
              std::string::npos);
  const auto h = head_of(log.s);
  EXPECT_EQ(h.number, 3u);
  EXPECT_EQ(h.hash, log.rows[3].hash);
  EXPECT_EQ(h.first, 1u);
}

TEST(AuditLog, AnEmptyOneHasAHeadToo) {
  const auto h = head_of({});
  EXPECT_EQ(h.number, 0u);
  EXPECT_EQ(h.hash, no_hash());
  EXPECT_EQ(h.anchor, no_hash());
}

TEST(AuditLog, TimesDoNotGoBack) {
  auto log = log_in_memory{};
  ASSERT_TRUE(log.append("r1"));
  log.now -= 1h;
  ASSERT_TRUE(log.append("r2"));
  EXPECT_EQ(log.rows[2].time, log.rows[1].time);
}

TEST(AuditLog, NotesOnceWhatIsAskedAgain) {
  auto log = log_in_memory{};
  ASSERT_TRUE(log.append("r1"));
  const auto again = log.append("r1", true);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->events.empty());
  ASSERT_TRUE(log.append("r2", true));
  EXPECT_EQ(log.rows.size(), 2u);
}

TEST(AuditLog, RefusesWhatIsNoEntry) {
  auto log = log_in_memory{};
  for (const auto* entry : {"", "{}", "[1,2]", "{\"a\":1"})
    EXPECT_EQ(log.ask(append_record{"org", entry, "r", false}).error().reason, "audit_invalid")
        << entry;
  for (const auto* entry :
       {"{\"a\":\"\xff\"}", "{\"a\":1,}", "{a:1}", "{\"a\":1}{\"b\":2}", "{\"a\":\"\xc3\"}", "{  }",
        "{\"number\":9}", "{\"a\":1,\"previous\":\"x\"}", "{\"time\":1}", "{\"log\":\"x\"}"})
    EXPECT_EQ(log.ask(append_record{"org", entry, "r", false}).error().reason, "audit_invalid")
        << entry;
  for (const auto* organisation : {"", "\xff"})
    EXPECT_EQ(log.ask(append_record{organisation, R"({"a":1})", "r", false}).error().reason,
              "audit_invalid");
  const auto long_one = R"({"a":")" + std::string(max_entry_bytes, 'x') + R"("})";
  EXPECT_EQ(log.ask(append_record{"org", long_one, "r", false}).error().code, errc::too_large);
  EXPECT_FALSE(log.s.exists);
}

TEST(AuditLog, TheRequestOfARecordIsItsOwn) {
  EXPECT_EQ(request_of(R"({"number":1,"requestId":"r1","asked":{"requestId":"r2"}})"), "r1");
  EXPECT_EQ(request_of(R"({"asked":{"requestId":"r2"}})"), "");
  EXPECT_EQ(request_of(R"({"requestId":7})"), "");
  EXPECT_EQ(request_of("none"), "");
}

TEST(AuditLog, OldRecordsGoAndTheRestVerifies) {
  auto log = log_in_memory{};
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(log.append("r" + std::to_string(i)));
    log.now += 24h;
  }
  // Ten days and the rest of the last one.
  EXPECT_EQ(log.s.first, log.rows.begin()->first);
  EXPECT_GE(log.rows.size(), 10u);
  EXPECT_LE(log.rows.size(), 12u);
  const auto first = log.rows.begin()->second;
  EXPECT_NE(first.text.find(R"("previous":")" + log.s.anchor + '"'), std::string::npos);
  ASSERT_TRUE(next_deadline(log.s));
  log.now += 40 * 24h;
  EXPECT_LE(*next_deadline(log.s), log.now);
  ASSERT_TRUE(log.ask(time_passed{}));
  EXPECT_TRUE(log.rows.empty());
  EXPECT_FALSE(next_deadline(log.s));
  const auto last = log.s.hash;
  ASSERT_TRUE(log.append("new"));
  EXPECT_EQ(log.rows.begin()->first, 21u);
  EXPECT_EQ(log.s.anchor, last);
  EXPECT_TRUE(next_deadline(log.s));
}

TEST(AuditLog, ManyOldRecordsGoStepByStep) {
  auto log = log_in_memory{};
  for (std::size_t i = 0; i < 2 * pruned_at_once + 10; ++i)
    ASSERT_TRUE(log.append("r" + std::to_string(i)));
  log.now += 30 * 24h;
  for (int steps = 1; !log.rows.empty(); ++steps) {
    ASSERT_LE(steps, 4);
    ASSERT_TRUE(log.ask(time_passed{}));
    log.now += 1s;
    if (!log.rows.empty()) {
      ASSERT_TRUE(next_deadline(log.s));
      EXPECT_LE(*next_deadline(log.s), log.now);
    }
  }
}

TEST(AuditLog, TooManyBytesGoEarly) {
  auto log = log_in_memory{};
  log.max_bytes = 4096;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(log.append("r" + std::to_string(i)));
    auto bytes = std::uint64_t{0};
    for (const auto& [number, r] : log.rows)
      bytes += r.text.size();
    EXPECT_LE(bytes, log.max_bytes);
    EXPECT_LE(log.s.bytes, log.max_bytes);
  }
  EXPECT_GT(log.rows.size(), 5u);
  EXPECT_EQ(log.rows.rbegin()->first, 200u);
}

TEST(AuditLog, WhatIsNotInTheStoreYetStays) {
  auto log = log_in_memory{};
  ASSERT_TRUE(log.append("r1"));
  log.rows.clear();  // as if the row were on its way
  log.now += 30 * 24h;
  ASSERT_TRUE(log.append("r2"));
  EXPECT_EQ(log.s.first, 1u);
}

TEST(AuditLog, IsFoundByItsOrganisation) {
  EXPECT_EQ(log_id_of("a", 64), log_id_of("a", 64));
  EXPECT_NE(log_id_of("a", 64), log_id_of("b", 64));
  EXPECT_LT(log_id_of("a", 3).shard, 3);
}

TEST(AuditLog, ComesBackFromItsBytes) {
  auto log = log_in_memory{};
  log.max_bytes = 600;
  auto all = std::vector<event>{};
  for (int i = 0; i < 5; ++i) {
    auto d = log.append("r" + std::to_string(i));
    ASSERT_TRUE(d);
    all.insert(all.end(), d->events.begin(), d->events.end());
  }
  const auto read = decode_events(encode_events(all));
  ASSERT_TRUE(read);
  auto replayed = state{};
  for (const auto& e : *read)
    apply(replayed, e);
  EXPECT_EQ(encode_state(replayed, 7), encode_state(log.s, 7));
  auto s = state{};
  const auto revision = decode_state(encode_state(log.s, 7), s);
  ASSERT_TRUE(revision);
  EXPECT_EQ(*revision, 7u);
  EXPECT_EQ(encode_state(s, 7), encode_state(log.s, 7));
  const auto& r = log.rows.rbegin()->second;
  EXPECT_EQ(*decode_record(encode_record(r)), r);
  EXPECT_FALSE(decode_record("x"));
}

}  // namespace
}  // namespace orrery::model::audit
