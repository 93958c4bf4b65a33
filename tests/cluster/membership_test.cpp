#include "cluster/membership.hpp"

#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/cluster_keys.hpp"
#include "cluster/embedded_coordinator.hpp"
#include "tests/support/far_coordinator.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::cluster {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

const auto keys = cluster_keys{"plant"};
const auto noon = model::from_ms(1'700'000'000'000);

class Membership : public testing::Test {
 protected:
  Membership() {
    auto made = make_embedded_coordinator(std::make_shared<tests::memory_store>(),
                                          [] { return milliseconds{1}; });
    EXPECT_TRUE(made);
    real = std::move(*made);
    at = std::make_shared<tests::far_coordinator>(real);
  }
  model::result<node_id> join_as(std::string_view name, std::uint16_t shards = 64,
                                 const std::string& key = "ab") {
    return join(*at, "plant", name, shards, key, noon);
  }
  model::result<membership> join_having(const own_data& has) {
    return join_with(*at, "plant", "a", 64, "ab", noon, has);
  }
  std::uint64_t put(const std::string& key, std::optional<std::string> value) {
    const auto one = change{key, std::move(value)};
    const auto done = real->swap({}, {&one, 1});
    EXPECT_TRUE(done && done->done);
    return done ? done->revision : 0;
  }
  std::string there(const std::string& key) {
    const auto all = real->list(key);
    return all && !all->items.empty() ? all->items[0].value : "";
  }
  model::result<record_outcome> swap(const proposal& p) { return swap_record(*at, "plant", 7, p); }

  std::shared_ptr<coordinator> real;
  std::shared_ptr<tests::far_coordinator> at;
};

TEST_F(Membership, TheFirstNodeMakesTheCluster) {
  EXPECT_EQ(*join_as("a"), 1u);
  EXPECT_EQ(there(keys.about()), encode(cluster_about{1, 64, noon, "ab"}));
  EXPECT_EQ(there(keys.number("a")), "1");
  EXPECT_EQ(*join_as("b"), 2u);
  EXPECT_EQ(*join_as("a"), 1u);
  EXPECT_EQ(*join_as("b"), 2u);
}

TEST_F(Membership, RefusesAnotherCluster) {
  ASSERT_TRUE(join_as("a"));
  EXPECT_EQ(join_as("b", 32).error().code, model::errc::conflict);
  EXPECT_EQ(join_as("b", 32).error().reason, "other_shard_count");
  EXPECT_EQ(join_as("b", 64, "cd").error().reason, "other_master_key");
  put(keys.about(), encode(cluster_about{2, 64, noon, "ab"}));
  EXPECT_EQ(join_as("a").error().reason, "format_unknown");
  put(keys.about(), "?");
  EXPECT_EQ(join_as("a").error().code, model::errc::corrupted);
  EXPECT_EQ(there(keys.number("b")), "");
}

TEST_F(Membership, KnowsItsClusterByWhenItWasMade) {
  EXPECT_EQ(join_having({true, noon}).error().reason, "cluster_gone");
  EXPECT_EQ(join_having({true, {}}).error().reason, "cluster_gone");
  EXPECT_EQ(there(keys.about()), "") << "whoever has data of one founds no other";
  ASSERT_TRUE(join_as("b"));
  const auto a = join_having({});
  ASSERT_TRUE(a);
  EXPECT_EQ(a->made, noon);
  EXPECT_EQ(a->number, 2u);
  EXPECT_EQ(join_having({true, a->made})->number, 2u);
  EXPECT_EQ(join_having({true, {}})->number, 2u);
  EXPECT_EQ(join_having({true, noon - std::chrono::hours{1}}).error().reason, "other_cluster");
  EXPECT_EQ(join_having({true, noon - std::chrono::hours{1}}).error().code, model::errc::conflict);
}

TEST_F(Membership, AnOperatorMayHaveItFoundAgain) {
  const auto made = model::from_ms(1'600'000'000'000);
  auto has = own_data{.joined = true, .made = made};
  EXPECT_EQ(join_having(has).error().reason, "cluster_gone");
  has.found_again = true;
  const auto joined = join_having(has);
  ASSERT_TRUE(joined) << joined.error().detail;
  EXPECT_EQ(joined->made, made) << "the same cluster";
  EXPECT_EQ(there(keys.about()), encode(cluster_about{1, 64, made, "ab", true}));
  has.found_again = false;
  EXPECT_TRUE(join_having(has)) << "the others need not be told";
  has.made = noon;
  has.found_again = true;
  EXPECT_EQ(join_having(has).error().reason, "other_cluster") << "what is there is not made anew";
}

TEST_F(Membership, WhoIsCountedOnHasItsData) {
  ASSERT_TRUE(join_having({}));
  EXPECT_TRUE(join_having({})) << "it ended before it had anything";
  put(keys.shard(7), encode(shard_record{0, 1, 1, {1}, {1}, {}}));
  EXPECT_EQ(join_having({}).error().reason, "data_missing");
  EXPECT_TRUE(join_having({true, noon}));
  put(keys.shard(7), encode(shard_record{0, 1, 2, {2}, {1, 2}, {}}));
  EXPECT_TRUE(join_having({})) << "it was still learning";
}

TEST_F(Membership, ARemovedNodeStaysAway) {
  ASSERT_TRUE(join_having({}));
  put(keys.order(1), encode(node_order::drain));
  EXPECT_TRUE(join_having({true, noon}));
  put(keys.order(1), encode(node_order::remove));
  put(keys.shard(7), encode(shard_record{0, 1, 2, {1, 2}, {2}, {}}));
  EXPECT_TRUE(join_having({true, noon})) << "it has what is not elsewhere yet";
  put(keys.shard(7), encode(shard_record{0, 1, 2, {2}, {1, 2}, {}}));
  EXPECT_EQ(join_having({true, noon}).error().reason, "node_removed");
  put(keys.order(1), std::nullopt);
  EXPECT_TRUE(join_having({true, noon}));
}

TEST_F(Membership, RefusesNamesThatAreNone) {
  EXPECT_EQ(join_as("").error().reason, "name_invalid");
  EXPECT_EQ(join_as("a/b").error().reason, "name_invalid");
  EXPECT_EQ(join_as(std::string(129, 'a')).error().reason, "name_invalid");
  EXPECT_EQ(join(*at, "a/b", "a", 64, "ab", noon).error().reason, "name_invalid");
  EXPECT_EQ(*join_as(std::string(128, 'a')), 1u);
}

TEST_F(Membership, NoNumberIsGivenTwice) {
  ASSERT_EQ(*join_as("a"), 1u);
  ASSERT_EQ(*join_as("ab"), 2u);  // its key begins as the other's
  put(keys.number("ab"), std::nullopt);
  EXPECT_EQ(*join_as("c"), 3u);
  put(keys.last_number(), std::nullopt);  // what is left says enough
  EXPECT_EQ(*join_as("d"), 4u);
  put(keys.number("d"), "1023");
  EXPECT_EQ(*join_as("d"), 1023u);
  EXPECT_EQ(join_as("e").error().reason, "no_number_left");
  put(keys.last_number(), "x");
  EXPECT_EQ(join_as("e").error().code, model::errc::corrupted);
}

TEST_F(Membership, ManyAtOnceGetANumberEach) {
  auto numbers = std::vector<node_id>(12);
  {
    auto threads = std::vector<std::jthread>{};
    for (auto i = 0u; i < numbers.size(); ++i)
      threads.emplace_back([&, i] {
        // Each name twice: two processes of one node.
        numbers[i] = join_as("n" + std::to_string(i / 2)).value_or(0);
      });
  }
  EXPECT_EQ((std::set<node_id>{numbers.begin(), numbers.end()}),
            (std::set<node_id>{1, 2, 3, 4, 5, 6}));
  for (auto i = 0u; i < numbers.size(); i += 2)
    EXPECT_EQ(numbers[i], numbers[i + 1]);
}

TEST_F(Membership, ALostAnswerCostsNoNumber) {
  at->swap_answers_lost = true;
  EXPECT_EQ(join_as("a").error().code, model::errc::unavailable);
  EXPECT_NE(there(keys.about()), "");
  EXPECT_EQ(join_as("a").error().code, model::errc::unavailable);
  EXPECT_EQ(there(keys.number("a")), "1");
  at->swap_answers_lost = false;
  EXPECT_EQ(*join_as("a"), 1u);
  EXPECT_EQ(*join_as("b"), 2u);
}

TEST_F(Membership, ARecordIsMadeAndChanged) {
  const auto node = put(keys.node(1), "here");
  auto p = proposal{.wanted = {.epoch = 1, .primary = 1, .in_sync = {1}, .replicas = {1, 2}},
                    .registered = {{1, node}},
                    .gone = 2};
  const auto made = swap(p);
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->done);
  EXPECT_EQ(there(keys.shard(7)), encode(p.wanted));
  EXPECT_EQ(made->now, *decode_shard("k", there(keys.shard(7)), made->now.version));
  p.wanted = made->now;
  ++p.wanted.epoch;
  const auto changed = swap(p);
  ASSERT_TRUE(changed && changed->done);
  EXPECT_GT(changed->now.version, made->now.version);
  EXPECT_EQ(changed->now.epoch, 2u);
}

TEST_F(Membership, ARecordIsChangedOnlyIfAllHolds) {
  const auto one = put(keys.node(1), "here");
  const auto two = put(keys.node(2), "here");
  const auto record = shard_record{.epoch = 1, .primary = 1, .in_sync = {1}, .replicas = {1, 2}};
  const auto version = put(keys.shard(7), encode(record));
  auto now = record;
  now.version = version;
  auto wanted = now;
  ++wanted.epoch;
  const auto refused = [&](const proposal& p) {
    const auto done = swap(p);
    return done && !done->done && done->now == now && there(keys.shard(7)) == encode(record);
  };
  auto older = wanted;
  --older.version;
  EXPECT_TRUE(refused({.wanted = older, .registered = {}, .gone = {}}));
  older.version = 0;
  EXPECT_TRUE(refused({.wanted = older, .registered = {}, .gone = {}}));
  EXPECT_TRUE(refused({.wanted = wanted, .registered = {{1, one}, {2, two - 1}}, .gone = {}}));
  EXPECT_TRUE(refused({.wanted = wanted, .registered = {{3, two}}, .gone = {}}));
  EXPECT_TRUE(refused({.wanted = wanted, .registered = {}, .gone = 2}));
  // None is no incarnation, though the key is not there.
  EXPECT_TRUE(refused({.wanted = wanted, .registered = {{3, 0}}, .gone = {}}));
  const auto done = swap({.wanted = wanted, .registered = {{1, one}, {2, two}}, .gone = 3});
  EXPECT_TRUE(done && done->done);
}

TEST_F(Membership, ARecordThatIsNotThereIsSaidSo) {
  const auto none = swap(
      {.wanted =
           shard_record{.version = 3, .epoch = 1, .primary = {}, .in_sync = {1}, .replicas = {}},
       .registered = {},
       .gone = {}});
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->done);
  EXPECT_EQ(none->now, shard_record{});
  const auto nobody = swap({.wanted = {.epoch = 1, .primary = {}, .in_sync = {1}, .replicas = {}},
                            .registered = {{1, 0}},
                            .gone = {}});
  EXPECT_TRUE(nobody && !nobody->done);
  EXPECT_EQ(there(keys.shard(7)), "");
}

TEST_F(Membership, AFailedCallSaysNothing) {
  at->answers_lost = true;
  const auto p = proposal{.wanted = {.epoch = 1, .primary = {}, .in_sync = {1}, .replicas = {1}},
                          .registered = {},
                          .gone = {}};
  EXPECT_EQ(swap(p).error().code, model::errc::unavailable);
  EXPECT_EQ(there(keys.shard(7)), encode(p.wanted));
  at->answers_lost = false;
  put(keys.shard(7), "?");
  EXPECT_THAT(swap(p).error().detail, HasSubstr(keys.shard(7)));
}

}  // namespace
}  // namespace orrery::cluster
