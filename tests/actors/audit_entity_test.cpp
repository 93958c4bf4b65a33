// An audit log as an entity: its records are rows, written with it and read in pages.
#include <gmock/gmock.h>

#include "actors/audit_rows.hpp"
#include "model/audit/chain.hpp"
#include "storage/keys.hpp"
#include "tests/support/entity_bench.hpp"

namespace orrery::actors {
namespace {

namespace audit = model::audit;
namespace keys = storage::keys;
using model::entity_kind;
using model::errc;
using storage::family;
using testing::ElementsAre;
using namespace std::chrono_literals;

any_command order(audit::order what) {
  return audit::command{std::move(what), {}, {}};
}
any_command append(const std::string& request, bool again = false) {
  return order(audit::append_record{
      "org", R"({"requestId":")" + request + R"(","actor":"user:a","action":")" + request + R"("})",
      request, again});
}

class AuditEntity : public tests::entity_bench {
 protected:
  AuditEntity() { wake(entity_kind::audit_log); }

  std::size_t records() { return store->rows(family::state, keys::audit_records(id)); }
  audit_page read(audit_question q = {}) {
    q.log = id;
    q.shard = id.shard;
    if (q.to == model::timestamp{})
      q.to = model::from_ms(253'402'300'799'999);
    auto page = read_audit(q, *store);
    EXPECT_TRUE(page) << page.error().detail;
    return page ? *page : audit_page{};
  }
  static std::vector<std::uint64_t> numbers(const audit_page& page) {
    auto all = std::vector<std::uint64_t>{};
    for (const auto& r : page.records)
      all.push_back(r.number);
    return all;
  }
};

TEST_F(AuditEntity, RecordsAreRows) {
  EXPECT_TRUE(read().organisation.empty());
  must(ask(append("r1")));
  must(ask(append("r2")));
  EXPECT_EQ(records(), 2u);
  EXPECT_EQ(store->rows(family::index, keys::index_prefix(id.shard, "audit-due")), 1u);
  const auto page = read();
  EXPECT_EQ(page.organisation, "org");
  EXPECT_THAT(numbers(page), ElementsAre(2, 1));
  EXPECT_EQ(page.records[0].hash, model::sha256_hex(page.records[0].text));
}

TEST_F(AuditEntity, TheChainGoesOnAfterItWoke) {
  must(ask(append("r1")));
  wake(entity_kind::audit_log);
  must(ask(append("r2")));
  const auto page = read({.oldest_first = true});
  ASSERT_EQ(page.records.size(), 2u);
  EXPECT_NE(page.records[1].text.find(R"("previous":")" + page.records[0].hash + '"'),
            std::string::npos);
  EXPECT_EQ(page.first, 1u);
  EXPECT_EQ(page.anchor, audit::no_hash());
}

TEST_F(AuditEntity, ALostRecordWasNever) {
  must(ask(append("r1")));
  store->faults.appends = 1;
  EXPECT_EQ(code_of(ask(append("r2"))), errc::unavailable);
  wake(entity_kind::audit_log);
  must(ask(append("r2", true)));
  EXPECT_THAT(numbers(read()), ElementsAre(2, 1));
}

TEST_F(AuditEntity, WhatIsAskedAgainIsThereOnce) {
  const auto first = send(append("r1")), again = send(append("r1", true)),
             other = send(append("r2"));
  stage.run_only(entity);  // decided, not written
  EXPECT_EQ(records(), 0u);
  stage.run();
  for (const auto number : {first, again, other})
    must(*asker.to(number));
  EXPECT_EQ(records(), 2u);
  wake(entity_kind::audit_log);
  must(ask(append("r1", true)));
  EXPECT_EQ(records(), 2u);
}

TEST_F(AuditEntity, WhatCouldNotBeWrittenWasNever) {
  must(ask(append("r1")));
  status->writable = false;
  EXPECT_EQ(code_of(ask(append("r2"))), errc::unavailable);
  EXPECT_EQ(code_of(ask(append("r2", true))), errc::unavailable) << "it is not taken for written";
  status->writable = true;
  must(ask(append("r2", true)));
  EXPECT_EQ(records(), 2u);
  must(ask(append("r2", true)));
  EXPECT_EQ(records(), 2u);
}

TEST_F(AuditEntity, ARequestThatIsOnlyNamedIsAnother) {
  must(ask(order(audit::append_record{
      "org", R"({"requestId":"r1","asked":{"requestId":"r2"},"detail":"\"requestId\":\"r3\""})",
      "r1", false})));
  wake(entity_kind::audit_log);  // by rows alone
  must(ask(append("r2", true)));
  must(ask(append("r3", true)));
  must(ask(append("r1", true)));
  EXPECT_EQ(records(), 3u);
}

TEST_F(AuditEntity, BehindItsEndThereIsNothingButItsEnd) {
  for (int i = 1; i <= 3; ++i)
    must(ask(append("r" + std::to_string(i))));
  const auto head = read().records[0].hash;
  for (const auto place : {3u, 4u, 1000u}) {
    const auto page = read({.place = place, .oldest_first = true});
    EXPECT_TRUE(page.records.empty());
    EXPECT_EQ(page.first, 4u);
    EXPECT_EQ(page.anchor, head);
  }
}

TEST_F(AuditEntity, IsReadInPages) {
  for (int i = 1; i <= 7; ++i)
    must(ask(append("r" + std::to_string(i))));
  auto page = read({.limit = 3});
  EXPECT_THAT(numbers(page), ElementsAre(7, 6, 5));
  page = read({.place = page.next, .limit = 3});
  EXPECT_THAT(numbers(page), ElementsAre(4, 3, 2));
  page = read({.place = page.next, .limit = 3});
  EXPECT_THAT(numbers(page), ElementsAre(1));
  EXPECT_EQ(page.next, 0u);
  page = read({.place = 4, .oldest_first = true});
  EXPECT_THAT(numbers(page), ElementsAre(5, 6, 7));
  EXPECT_EQ(page.first, 5u);
  EXPECT_EQ(page.anchor, read({.place = 3, .oldest_first = true}).records[0].hash);
  page = read({.place = 7, .oldest_first = true});
  EXPECT_EQ(page.first, 8u);
  EXPECT_EQ(page.anchor, read().records[0].hash);
  EXPECT_THAT(numbers(read({.filter = R"(action in ("r2", "r5"))"})), ElementsAre(5, 2));
  EXPECT_THAT(numbers(read({.oldest_first = true, .max_bytes = 1})), ElementsAre(1));
  auto bad = audit_question{.log = id, .filter = "colour = 1", .to = stage.clock.now()};
  EXPECT_EQ(read_audit(bad, *store).error().reason, "bad_filter");
}

TEST_F(AuditEntity, IsReadByTime) {
  auto times = std::vector<model::timestamp>{};
  for (int i = 1; i <= 5; ++i) {
    times.push_back(stage.clock.now());
    must(ask(append("r" + std::to_string(i))));
    stage.clock.turn(1h);
  }
  EXPECT_THAT(numbers(read({.from = times[2]})), ElementsAre(5, 4, 3));
  EXPECT_THAT(numbers(read({.from = times[1], .to = times[3], .oldest_first = true})),
              ElementsAre(2, 3));
  EXPECT_TRUE(numbers(read({.from = times[4] + 1h})).empty());
}

}  // namespace
}  // namespace orrery::actors
