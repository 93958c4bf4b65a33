// Another name for a device, by the hosts of both shards: who logs in by it, and what becomes of a
// change that a crash has ended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "actors/kinds.hpp"
#include "actors/name_settling.hpp"
#include "storage/keys.hpp"
#include "tests/support/small_node.hpp"

namespace orrery::cluster {
namespace {

namespace device = model::device;
namespace keys = storage::keys;
using model::errc;
using storage::family;
using tests::order;
using tests::reply_of;
using namespace std::chrono_literals;

class DeviceNames : public testing::Test {
 protected:
  DeviceNames() { first = node.add_device("dk"); }

  static model::device_name name(const std::string& key) { return {tests::product_key, key}; }
  /// In the shard of the name.
  model::entity_id fresh(const std::string& key) {
    return tests::device_id(node.shard_of(key), ++numbers_);
  }
  actors::answer reserve(const std::string& key, std::uint64_t renames = 0) {
    alias = fresh(key);
    auto got = node.ask(
        alias, order(device::reserve_name{name(key), tests::organisation, first, renames}));
    if (const auto* made = reply_of<device::device_bound>(got))
      alias = made->id;
    return got;
  }
  actors::answer rename(const std::string& key, std::uint64_t renames = 0) {
    auto r = device::rename_device{};
    r.name = name(key);
    r.alias = alias;
    r.renames = renames;
    r.replaces = true;
    r.secret = tests::keys().seal("new", device::secret_owner(r.name));
    return node.ask(first, order(std::move(r)));
  }
  bool settle(std::uint64_t renames = 0) {
    auto ok = std::optional<bool>{};
    actors::settle_name(node.caller, {alias, first, renames},
                        [&](const model::status& how) { ok = bool(how); });
    node.run();
    return ok.value_or(false);
  }
  void replace(const std::string& key, std::uint64_t renames = 0) {
    ASSERT_TRUE(reserve(key, renames));
    ASSERT_TRUE(rename(key, renames));
    ASSERT_TRUE(settle(renames));
  }
  /// The device that has the name; nothing: none has.
  std::optional<model::entity_id> who(const std::string& key) {
    const auto got = node.ask(name(key), order(device::read_device{}));
    const auto* s = reply_of<device::device_snapshot>(got);
    EXPECT_TRUE(s || got.error().code == errc::not_found);
    return s ? std::optional{s->id} : std::nullopt;
  }
  std::string_view add(const std::string& key) {
    const auto got = node.ask(fresh(key), order(tests::registration(name(key))));
    return got ? std::string_view{} : got.error().reason;
  }
  std::size_t rows(std::string_view index, const std::string& value = {}) {
    auto all = std::size_t{0};
    for (std::uint16_t shard = 0; shard < 2; ++shard)
      all +=
          node.store->rows(family::index, value.empty() ? keys::index_prefix(shard, index)
                                                        : keys::index_prefix(shard, index, value));
    return all;
  }

  tests::small_node node;
  model::entity_id first, alias;
  std::uint8_t numbers_ = 100;
};

// Two shards: "dk" and these lie in both of them.
const auto others = {"a", "b", "c", "d", "e", "f"};

TEST_F(DeviceNames, LeadToTheDeviceFromAnyShard) {
  auto renames = std::uint64_t{0};
  auto before = std::string{"dk"};
  for (const std::string key : others) {
    SCOPED_TRACE(key);
    replace(key, renames++);
    EXPECT_EQ(who(key), first);
    EXPECT_EQ(who(before), std::nullopt);
    EXPECT_EQ(add(key), "device_key_exists");
    EXPECT_EQ(rows("name"), 1u) << "no chain of them";
    before = key;
  }
  EXPECT_EQ(add("dk"), "") << "the name is free";
  EXPECT_EQ(node.state_of(first).name(), name("f"));
}

TEST_F(DeviceNames, AreKnownAfterARestart) {
  replace("a");
  node.restart();
  EXPECT_EQ(who("a"), first);
  EXPECT_EQ(who("dk"), std::nullopt);
  replace("dk", 1);
  node.restart();
  EXPECT_EQ(who("dk"), first);
  EXPECT_EQ(rows("name"), 1u);
}

TEST_F(DeviceNames, ALogInByTheNewOneIsTheDevices) {
  replace("a");
  auto c = node.connect();
  auto how = tests::login(name("a"), "new");
  caf::anon_send(c.session, actors::session_login{1, name("a"), how});
  node.run();
  ASSERT_EQ(c.port->messages.size(), 1u);
  ASSERT_TRUE(c.port->messages[0][0].what) << c.port->messages[0][0].what.error().detail;
  EXPECT_TRUE(node.state_of(first).connection.online);
  EXPECT_EQ(node.ask(name("dk"), order(tests::login(name("dk")))).error().reason, "device_unknown");
}

TEST_F(DeviceNames, TwoDevicesThatWantOneDoNotBothGetIt) {
  const auto second = node.add_device("other");
  ASSERT_TRUE(reserve("a"));
  const auto mine = alias;
  const auto theirs =
      node.ask(fresh("a"), order(device::reserve_name{name("a"), tests::organisation, second, 0}));
  EXPECT_EQ(theirs.error().reason, "device_key_exists");
  EXPECT_EQ(add("a"), "device_key_exists");
  alias = mine;
  ASSERT_TRUE(rename("a"));
  ASSERT_TRUE(settle());
  EXPECT_EQ(who("a"), first);
}

TEST_F(DeviceNames, ANameThatIsTakenIsNotReserved) {
  ASSERT_EQ(add("a"), "");
  EXPECT_EQ(reserve("a").error().reason, "device_key_exists");
}

TEST_F(DeviceNames, ACrashAfterTheReservationGivesTheNameBack) {
  ASSERT_TRUE(reserve("a"));
  node.restart();
  EXPECT_EQ(add("a"), "device_key_exists");
  node.pass(15s);
  EXPECT_EQ(rows("name"), 1u);
  EXPECT_EQ(add("a"), "");
  EXPECT_EQ(rename("a").error().reason, "rename_conflict") << "it comes too late";
}

TEST_F(DeviceNames, ACrashAfterTheChangeIsMadeGood) {
  replace("a");
  ASSERT_TRUE(reserve("b", 1));
  ASSERT_TRUE(rename("b", 1));
  node.restart();
  EXPECT_EQ(who("b"), first) << "at once";
  node.pass(15s);
  EXPECT_EQ(who("b"), first);
  EXPECT_EQ(who("a"), std::nullopt);
  EXPECT_EQ(rows("name"), 1u);
  EXPECT_EQ(rows("due"), 0u) << "nobody looks any more";
  replace("c", 2);
  EXPECT_EQ(who("c"), first);
}

TEST_F(DeviceNames, GoWithTheDevice) {
  replace("a");
  ASSERT_TRUE(node.ask(first, order(device::remove_device{})));
  node.run();
  EXPECT_EQ(rows("name"), 0u);
  EXPECT_EQ(add("a"), "");
}

TEST_F(DeviceNames, OneThatWasLeftBehindGoesWhenSomebodyWantsIt) {
  replace("a");
  node.effects->also_run = [run = node.effects->also_run](const auto& e, const auto& entity) {
    if (!std::holds_alternative<model::release_name>(e))  // that one is lost
      run(e, entity);
  };
  ASSERT_TRUE(node.ask(first, order(device::remove_device{})));
  node.run();
  EXPECT_EQ(who("a"), std::nullopt);
  EXPECT_EQ(rows("name"), 1u);
  node.pass(11s);
  EXPECT_EQ(add("a"), "device_key_exists") << "it looks now";
  node.run();
  EXPECT_EQ(add("a"), "");
}

TEST_F(DeviceNames, AGatewayLearnsThem) {
  const auto hub = tests::device_id(0, 90);
  auto made = tests::product("hubs");
  made.node = model::product::node_type::gateway;
  ASSERT_TRUE(node.ask(actors::catalogue_id(model::entity_kind::product, "hubs"),
                       tests::product_order(made)));
  ASSERT_TRUE(node.ask(hub, order(tests::registration({"hubs", "hub"}))));
  ASSERT_TRUE(node.ask(
      first, order(device::bind_gateway{{hub, {"hubs", "hub"}}, tests::organisation, {}, false})));
  auto subs = device::change_sub_devices{};
  subs.changes[name("dk")] = first;
  ASSERT_TRUE(node.ask(hub, order(subs)));
  ASSERT_TRUE(reserve("a"));
  ASSERT_TRUE(rename("a"));
  node.restart();
  node.pass(15s);
  EXPECT_EQ(node.state_of(hub).sub_devices(), (device::sub_device_map{{name("a"), first}}));
}

TEST_F(DeviceNames, WhoTookTheFormerNameStaysInTheGatewaysList) {
  auto hubs = tests::product("hubs");
  hubs.node = model::product::node_type::gateway;
  ASSERT_TRUE(node.ask(actors::catalogue_id(model::entity_kind::product, "hubs"),
                       tests::product_order(hubs)));
  const auto hub = tests::device_id(0, 90);
  ASSERT_TRUE(node.ask(hub, order(tests::registration({"hubs", "hub"}))));
  const auto bind = [&](const model::entity_id& id, const std::string& key) {
    ASSERT_TRUE(node.ask(
        id, order(device::bind_gateway{{hub, {"hubs", "hub"}}, tests::organisation, {}, false})));
    auto subs = device::change_sub_devices{};
    subs.changes[name(key)] = id;
    ASSERT_TRUE(node.ask(hub, order(subs)));
  };
  bind(first, "dk");
  ASSERT_TRUE(reserve("a"));
  ASSERT_TRUE(rename("a"));
  // Not settled yet: and another device has that name, and that gateway.
  const auto other = node.add_device("dk");
  bind(other, "dk");
  ASSERT_TRUE(settle());
  EXPECT_EQ(node.state_of(hub).sub_devices(),
            (device::sub_device_map{{name("a"), first}, {name("dk"), other}}));
}

TEST_F(DeviceNames, AnotherProductHasItsRow) {
  ASSERT_TRUE(node.ask(actors::catalogue_id(model::entity_kind::product, "next"),
                       tests::product_order(tests::product("next"))));
  const auto next = model::device_name{"next", "dk"};
  alias = tests::device_id(node.router->shard_of(next), 77);
  ASSERT_TRUE(node.ask(alias, order(device::reserve_name{next, tests::organisation, first, 0})));
  EXPECT_EQ(rows("product", "next"), 0u);
  auto r = device::rename_device{};
  r.name = next;
  r.alias = alias;
  r.secret = tests::keys().seal("secret", device::secret_owner(next));
  ASSERT_TRUE(node.ask(first, order(r)));
  ASSERT_TRUE(settle());
  EXPECT_EQ(rows("product", "next"), 1u);
  EXPECT_EQ(rows("product", tests::product_key), 0u);
  EXPECT_TRUE(node.ask(next, order(tests::login(next))));
}

TEST_F(DeviceNames, AnotherOrganisationHasItsRows) {
  ASSERT_TRUE(node.ask(actors::catalogue_id(model::entity_kind::product, "next"),
                       tests::product_order(tests::product("next"))));
  const auto next = model::device_name{"next", "dk"};
  const auto rows_of = [&](const std::string& organisation) {
    auto all = std::size_t{0};
    for (std::uint16_t shard = 0; shard < 2; ++shard)
      for (const auto* field : {"", "deviceKey", "status", "tags.site"})
        all += node.store->rows(
            family::index, keys::index_prefix(shard, actors::search_index(field)) + organisation);
    return all;
  };
  ASSERT_TRUE(node.ask(first, order(device::change_tags{{{"site", "n"}}, false})));
  EXPECT_EQ(rows_of(tests::organisation), 4u);
  alias = tests::device_id(node.router->shard_of(next), 77);
  ASSERT_TRUE(node.ask(alias, order(device::reserve_name{next, "other", first, 0})));
  auto e = device::emigrate_device{};
  e.to.name = next;
  e.to.alias = alias;
  e.to.secret = tests::keys().seal("secret", device::secret_owner(next));
  e.organisation = "other";
  EXPECT_EQ(node.ask(first, order(e)).error().reason, "catalogue_missing")
      << "whose configurations would be for it is not known yet";
  ASSERT_TRUE(node.ask(
      actors::catalogue_id(model::entity_kind::organisation, "other"),
      tests::organisation_order(model::organisation::create_organisation{"other", "Other"})));
  ASSERT_TRUE(node.ask(first, order(e)));
  ASSERT_TRUE(settle());
  EXPECT_EQ(rows_of(tests::organisation), 0u);
  EXPECT_EQ(rows_of("other"), 4u);
  EXPECT_EQ(rows("product", "next"), 1u);
  node.restart();
  EXPECT_EQ(node.state_of(first).organisation(), "other");
  EXPECT_TRUE(node.ask(next, order(tests::login(next))));
}

}  // namespace
}  // namespace orrery::cluster
