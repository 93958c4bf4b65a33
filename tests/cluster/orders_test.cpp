#include "cluster/orders.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/embedded_coordinator.hpp"
#include "cluster/membership.hpp"
#include "tests/support/far_coordinator.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::cluster {
namespace {

using testing::HasSubstr;
using kind = actors::desk_order::kind;

const auto keys = cluster_keys{"plant"};

class Orders : public testing::Test {
 protected:
  Orders() {
    auto made = make_embedded_coordinator(std::make_shared<tests::memory_store>(),
                                          [] { return std::chrono::milliseconds{1}; });
    EXPECT_TRUE(made);
    real = std::move(*made);
    at = std::make_shared<tests::far_coordinator>(real);
    for (const auto* name : {"a", "b", "c"})
      come(name);
  }
  void put(const std::string& key, std::optional<std::string> value) {
    const auto one = change{key, std::move(value)};
    EXPECT_TRUE(real->swap({}, {&one, 1}));
  }
  node_id come(const std::string& name) {
    const auto id = join(*real, "plant", name, 4, "ab", {});
    EXPECT_TRUE(id);
    auto info = node_info{};
    info.name = name;
    put(keys.node(*id), encode(info));
    return *id;
  }
  model::result<cluster_view> give(kind what, const std::string& node, std::size_t least = 1,
                                   const std::string& by = {}) {
    return give_order(*at, "plant", {what, node, by, "user:eve"}, least);
  }
  std::string refusal(kind what, const std::string& node, std::size_t least = 1,
                      const std::string& by = {}) {
    const auto got = give(what, node, least, by);
    return got ? "" : std::string{got.error().reason};
  }
  std::string there(node_id id) {
    const auto all = real->list(keys.order(id));
    return all && !all->items.empty() ? all->items[0].value : "";
  }
  std::shared_ptr<coordinator> real;
  std::shared_ptr<tests::far_coordinator> at;
};

TEST_F(Orders, AreKeysThatTheControllerReads) {
  const auto drained = give(kind::drain, "b");
  ASSERT_TRUE(drained);
  EXPECT_EQ(drained->orders.at(2), node_order::drain);
  EXPECT_EQ(there(2), encode(node_order::drain));
  ASSERT_TRUE(give(kind::remove, "b"));
  EXPECT_EQ(there(2), encode(node_order::remove));
  const auto taken_back = give(kind::undrain, "b");
  ASSERT_TRUE(taken_back);
  EXPECT_TRUE(taken_back->orders.empty());
  EXPECT_EQ(there(2), "");
}

TEST_F(Orders, TwiceIsOnce) {
  ASSERT_TRUE(give(kind::drain, "b"));
  at->swaps = 0;
  EXPECT_TRUE(give(kind::drain, "b"));
  EXPECT_TRUE(give(kind::undrain, "c"));
  EXPECT_EQ(at->swaps, 0);
}

TEST_F(Orders, NameANodeThatThereIs) {
  const auto got = give(kind::drain, "d");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, model::errc::not_found);
  EXPECT_EQ(got.error().reason, "node_unknown");
  EXPECT_THAT(got.error().detail, HasSubstr("a, b, c"));
}

TEST_F(Orders, LeaveEnoughNodes) {
  EXPECT_EQ(refusal(kind::drain, "a", 3), "too_few_nodes");
  EXPECT_EQ(refusal(kind::drain, "a", 2), "");
  EXPECT_EQ(refusal(kind::remove, "b", 2), "too_few_nodes");
  EXPECT_EQ(refusal(kind::drain, "a", 3), "") << "it takes none as it is";
  EXPECT_EQ(refusal(kind::remove, "b", 0), "");
  EXPECT_EQ(refusal(kind::remove, "c", 0), "too_few_nodes") << "one at least";
  put(keys.node(3), {});
  EXPECT_EQ(refusal(kind::remove, "c"), "") << "it is gone as it is";
}

TEST_F(Orders, OfTwoAtOnceOneMayBeTooMany) {
  ASSERT_TRUE(give(kind::drain, "c"));
  // Somebody drains b between the look and the step.
  class late final : public coordinator {
   public:
    late(coordinator& real, std::function<void()> meanwhile)
        : real_{real}, meanwhile_{std::move(meanwhile)} {}
    model::result<listing> list(std::string_view prefix) override { return real_.list(prefix); }
    model::result<swap_outcome> swap(std::span<const condition> conditions,
                                     std::span<const change> changes) override {
      if (auto first = std::exchange(meanwhile_, nullptr))
        first();
      return real_.swap(conditions, changes);
    }
    model::result<lease_id> grant(std::chrono::milliseconds life) override {
      return real_.grant(life);
    }
    model::result<bool> renew(lease_id lease) override { return real_.renew(lease); }
    model::status revoke(lease_id lease) override { return real_.revoke(lease); }
    std::unique_ptr<subscription> follow(std::string prefix, std::uint64_t revision,
                                         listener told) override {
      return real_.follow(std::move(prefix), revision, std::move(told));
    }

   private:
    coordinator& real_;
    std::function<void()> meanwhile_;
  };
  auto busy = late{*real, [&] { put(keys.order(2), encode(node_order::drain)); }};
  const auto got = give_order(busy, "plant", {kind::drain, "a", {}, {}}, 1);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, "too_few_nodes");
  EXPECT_EQ(there(1), "");
}

TEST_F(Orders, ARemovedNodeIsNotDrained) {
  ASSERT_TRUE(give(kind::remove, "b"));
  EXPECT_EQ(refusal(kind::drain, "b"), "node_removed");
  EXPECT_EQ(there(2), encode(node_order::remove));
}

TEST_F(Orders, WhoReplacesIsThere) {
  EXPECT_EQ(refusal(kind::replace, "a", 1, "a"), "same_node");
  EXPECT_EQ(refusal(kind::replace, "a", 1, "d"), "node_unknown");
  ASSERT_TRUE(give(kind::drain, "b"));
  EXPECT_EQ(refusal(kind::replace, "a", 1, "b"), "node_draining");
  put(keys.node(3), {});
  EXPECT_EQ(refusal(kind::replace, "a", 1, "c"), "node_absent");
  EXPECT_EQ(there(1), "");
  come("c");
  ASSERT_TRUE(give(kind::replace, "a", 1, "c"));
  EXPECT_EQ(there(1), encode(node_order::remove));
}

TEST_F(Orders, SayWhenTheOutcomeIsNotKnown) {
  at->swap_answers_lost = true;
  const auto got = give(kind::drain, "b");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, model::errc::unavailable);
  EXPECT_THAT(got.error().detail, HasSubstr("again"));
  at->swap_answers_lost = false;
  EXPECT_TRUE(give(kind::drain, "b"));
  at->cut = true;
  EXPECT_EQ(give(kind::drain, "a").error().code, model::errc::unavailable);
}

TEST_F(Orders, OneThatCannotBeReadIsReplaced) {
  put(keys.order(2), "?");
  ASSERT_TRUE(give(kind::drain, "b"));
  EXPECT_EQ(there(2), encode(node_order::drain));
  put(keys.order(2), "?");
  ASSERT_TRUE(give(kind::undrain, "b"));
  EXPECT_EQ(there(2), "");
}

}  // namespace
}  // namespace orrery::cluster
