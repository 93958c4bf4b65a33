// Another name for a device: what the device and the alias decide, and that no name is lost or kept
// for nobody, wherever a change of names ends.
#include <map>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/device/device.hpp"
#include "model/json.hpp"

namespace orrery::model::device {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

const auto noon = from_ms(1'700'000'000'000);

entity_id id_of(std::uint8_t n) {
  return {n, {1, n}};
}

product_view product_of(bool gateway = false) {
  auto p = product_view{};
  p.exists = true;
  p.gateway = gateway;
  p.model = std::make_shared<const thing_model>(
      *thing_model::compile(*parse_json(R"({"format": "tm/1", "id": "m", "name": "m"})")));
  return p;
}

/// One entity, device or alias.
struct one_entity {
  entity_id id;
  state s;
  std::vector<effect> done;  // by the last order

  std::string_view tell(order what, const product_view& product, const keyring& keys,
                        timestamp now = noon, reply* answer = nullptr) {
    done.clear();
    auto d = decide(s, {std::move(what), {}, "user:a", {}}, {id, now, product, keys, 3});
    if (!d)
      return d.error().reason;
    for (const auto& e : d->events) {
      const auto bytes = encode_events({e});
      const auto again = decode_events(bytes);
      EXPECT_TRUE(again && encode_events(*again) == bytes);
      apply(s, e);
      auto more = device::effects(s, e);
      std::move(more.begin(), more.end(), std::back_inserter(done));
    }
    if (s.exists) {
      auto kept = state{};
      EXPECT_TRUE(decode_state(encode_state(s, 1), kept));
      EXPECT_EQ(kept.renaming(), s.renaming());
      EXPECT_EQ(kept.alias(), s.alias());
    }
    if (answer)
      *answer = std::move(d->answer);
    return "";
  }
  template <class Effect>
  std::size_t count() const {
    return static_cast<std::size_t>(std::count_if(
        done.begin(), done.end(), [](const auto& e) { return std::holds_alternative<Effect>(e); }));
  }
};

class Names : public testing::Test {
 protected:
  Names() {
    auto r = register_device{};
    r.name = first;
    r.organisation = "org";
    r.tags = {{"site", "n"}};
    r.secret = keys.seal("secret", secret_owner(first));
    EXPECT_EQ(tell(r), "");
  }
  std::string_view tell(order what, timestamp now = noon, reply* answer = nullptr) {
    return device_.tell(std::move(what), product, keys, now, answer);
  }
  std::string_view to_alias(order what, timestamp now = noon) {
    return alias.tell(std::move(what), product, keys, now);
  }
  reserve_name reservation(std::uint64_t renames = 0) const {
    return {second, "org", device_.id, renames};
  }
  rename_device replacement(std::uint64_t renames = 0) const {
    auto r = rename_device{};
    r.name = second;
    r.alias = alias.id;
    r.renames = renames;
    r.replaces = true;
    r.secret = keys.seal("new secret", secret_owner(second));
    return r;
  }
  std::string_view log_in(const device_name& name, const char* secret) {
    auto c = connect{};
    c.proof = {"dk", "1", sign_method::sha256,
               sign_login(name, "dk", "1", sign_method::sha256, secret)};
    c.session = {7, 1, 0};
    return tell(c);
  }

  keyring keys{{1, 2, 3}};
  product_view product = product_of();
  device_name first{"pk", "dk-1"}, second{"pk", "dk-2"};
  one_entity device_{id_of(1), {}, {}};
  one_entity alias{id_of(2), {}, {}};
};

TEST_F(Names, AreReservedByOneAlias) {
  EXPECT_EQ(to_alias(reservation()), "");
  EXPECT_TRUE(alias.s.exists);
  EXPECT_EQ(alias.s.name(), second);
  EXPECT_EQ(alias.s.alias().device, device_.id);
  EXPECT_EQ(next_deadline(alias.s), noon + alias_patience);
  EXPECT_EQ(to_alias(reservation()), "") << "asked again";
  auto other = reservation();
  other.device = id_of(9);
  EXPECT_EQ(to_alias(other), "device_key_exists");
  EXPECT_EQ(to_alias(reservation(1)), "") << "the attempt before has been given up";
  EXPECT_EQ(alias.s.alias().renames, 1u);
  EXPECT_EQ(to_alias(reservation(0)), "device_key_exists") << "that one comes too late";
  auto registration = register_device{};
  registration.name = second;
  EXPECT_EQ(to_alias(registration), "device_key_exists");
}

TEST_F(Names, MustBePossible) {
  auto r = reservation();
  r.name.device_key = "no key";
  EXPECT_EQ(to_alias(r), "device_key_invalid");
  product.exists = false;
  EXPECT_EQ(to_alias(reservation()), "product_unknown");
  EXPECT_FALSE(alias.s.exists);
  EXPECT_EQ(tell(replacement()), "product_unknown");
}

TEST_F(Names, AreNotReservedWhereADeviceHasThem) {
  auto r = reservation();
  r.name = first;
  EXPECT_EQ(tell(r), "device_key_exists");
}

TEST_F(Names, AReplacementHasNothingToProveItselfByOfTheOldOne) {
  auto c = add_certificate{};
  c.what.issuer = "ab";
  c.what.serial = "01";
  c.what.fingerprint = std::string(64, 'a');
  c.what.not_after = noon + 24h;
  ASSERT_EQ(tell(c), "");
  ASSERT_EQ(tell(reset_secret{keys.seal("second", secret_owner(first)), 1h}), "");
  ASSERT_EQ(log_in(first, "second"), "");
  ASSERT_TRUE(device_.s.activated_at);
  EXPECT_EQ(tell(replacement()), "");
  EXPECT_EQ(device_.s.name(), second);
  EXPECT_EQ(device_.s.certificates().all.front().state, certificate::state_code::revoked);
  EXPECT_FALSE(device_.s.connection.online);
  EXPECT_EQ(*device_.s.connection.reason, "replaced");
  EXPECT_EQ(device_.count<close_session>(), 1u);
  for (const auto* secret : {"secret", "second"})
    for (const auto& name : {first, second})
      EXPECT_EQ(log_in(name, secret), "sign_check_failed");
  EXPECT_EQ(log_in(second, "new secret"), "");
  EXPECT_EQ(*device_.s.tags, (std::map<std::string, std::string>{{"site", "n"}}));
  EXPECT_TRUE(device_.s.activated_at);
  EXPECT_EQ(tell(replacement()), "") << "asked again";
  EXPECT_EQ(device_.s.renaming().renames, 1u);
  auto another = replacement();
  another.secret = keys.seal("of somebody else", secret_owner(second));
  EXPECT_EQ(tell(another), "rename_conflict") << "whose secret would be shown and not count";
  EXPECT_EQ(tell(reset_secret{keys.seal("for the name before", secret_owner(first)), {}}),
            "rename_conflict");
  EXPECT_EQ(log_in(second, "new secret"), "");
}

TEST_F(Names, AReplacementHasNotReportedWhatTheOldOneDid) {
  auto desired = change_twin{};
  desired.patch.emplace_back("rate", 10);
  ASSERT_EQ(tell(desired), "");
  auto reported = report_twin{};
  reported.patch.emplace_back("rate", 10);
  ASSERT_EQ(tell(reported), "");
  ASSERT_EQ(device_.s.twin().applied_version, device_.s.twin().desired_version);
  const auto before = device_.s.twin();
  ASSERT_EQ(tell(replacement()), "");
  const auto& after = device_.s.twin();
  EXPECT_EQ(after.desired, before.desired);
  EXPECT_EQ(after.desired_version, before.desired_version);
  EXPECT_TRUE(after.reported.empty());
  EXPECT_EQ(after.reported_version, before.reported_version + 1);
  EXPECT_EQ(after.applied_version, 0u);
}

TEST_F(Names, AMoveKeepsItsSecrets) {
  second = {"other", "dk-1"};
  ASSERT_EQ(tell(reset_secret{keys.seal("second", secret_owner(first)), 1h}), "");
  auto move = replacement();
  move.replaces = false;
  EXPECT_EQ(tell(move), "rename_conflict") << "that is not its secret";
  move.secret = keys.seal("second", secret_owner(second));
  EXPECT_EQ(tell(move), "rename_conflict") << "the former one is missing";
  move.former = keys.seal("secret", secret_owner(second));
  EXPECT_EQ(tell(move), "");
  EXPECT_EQ(log_in(second, "secret"), "");
  EXPECT_EQ(log_in(second, "second"), "");
  EXPECT_EQ(log_in(first, "second"), "sign_check_failed");
}

TEST_F(Names, AMoveLeavesGatewaysAndSubDevicesWhatTheyAre) {
  const auto hub = id_of(5);
  ASSERT_EQ(tell(bind_gateway{{hub, {"pk", "hub"}}, "org", {}, false}), "");
  product = product_of(true);
  EXPECT_EQ(tell(replacement()), "sub_device_is_gateway");
  ASSERT_EQ(tell(unbind_gateway{hub, false, true}), "");
  auto subs = change_sub_devices{};
  subs.changes[{"pk", "leaf"}] = id_of(6);
  ASSERT_EQ(tell(subs), "");
  product = product_of(false);
  EXPECT_EQ(tell(replacement()), "not_gateway");
  product = product_of(true);
  EXPECT_EQ(tell(replacement()), "");
  EXPECT_EQ(device_.count<tell_gateway_name>(), 1u);
}

TEST_F(Names, ASubDeviceLearnsWhatItsGatewayIsCalled) {
  ASSERT_EQ(tell(bind_gateway{{id_of(5), {"pk", "hub"}}, "org", {}, false}), "");
  ASSERT_EQ(tell(bind_gateway{{id_of(5), {"pk", "hub-2"}}, "org", {}, false}), "");
  EXPECT_EQ(device_.s.gateway().name.device_key, "hub-2");
}

TEST_F(Names, WhatTheServiceSaysOfAGatewayBindsNobody) {
  const auto told = [&](std::uint8_t hub, const char* name) {
    return decide(device_.s,
                  {bind_gateway{{id_of(hub), {"pk", name}}, "org", {}, false}, {}, "service", {}},
                  {device_.id, noon, product, keys, 3});
  };
  auto d = told(5, "hub");
  ASSERT_TRUE(d);
  EXPECT_TRUE(d->events.empty()) << "it is nobody's sub-device by now";
  ASSERT_EQ(tell(bind_gateway{{id_of(5), {"pk", "hub"}}, "org", {}, false}), "");
  EXPECT_TRUE(told(6, "other")->events.empty());
  EXPECT_EQ(told(5, "hub-2")->events.size(), 1u);
}

TEST_F(Names, AChangeWaitsForTheEndOfTheOneBefore) {
  ASSERT_EQ(tell(replacement()), "");
  auto third = replacement(1);
  third.name.device_key = "dk-3";
  third.alias = id_of(3);
  EXPECT_EQ(tell(third), "rename_conflict");
  EXPECT_EQ(tell(forget_former_name{id_of(3)}), "");
  EXPECT_EQ(tell(third), "rename_conflict") << "that was another's word";
  EXPECT_EQ(tell(forget_former_name{alias.id}), "");
  EXPECT_EQ(tell(third), "");
  EXPECT_EQ(device_.s.renaming().former, std::optional{alias.id});
  EXPECT_EQ(device_.s.renaming().former_name, std::optional{second});
}

TEST_F(Names, WhatAnAliasGaveUpIsNotTakenLater) {
  ASSERT_EQ(to_alias(reservation()), "");
  auto answer = reply{};
  ASSERT_EQ(tell(confirm_name{alias.id, 0}, noon, &answer), "");
  const auto standing = std::get<name_standing>(answer);
  EXPECT_FALSE(standing.held);
  EXPECT_EQ(tell(replacement()), "rename_conflict");
  EXPECT_EQ(to_alias(settle_name{device_.id, standing.renames, standing.held}), "");
  EXPECT_FALSE(alias.s.exists);
  EXPECT_EQ(next_deadline(alias.s), std::nullopt);
  EXPECT_EQ(to_alias(reservation(1)), "device_deleted") << "until its rows are gone";
}

TEST_F(Names, AnAliasLooksUntilItKnows) {
  ASSERT_EQ(to_alias(reservation()), "");
  EXPECT_EQ(to_alias(time_passed{}, noon + 9s), "");
  EXPECT_EQ(alias.count<look_for_name>(), 0u);
  EXPECT_EQ(to_alias(time_passed{}, noon + 10s), "");
  EXPECT_EQ(alias.count<look_for_name>(), 1u);
  EXPECT_EQ(next_deadline(alias.s), noon + 20s);
  ASSERT_EQ(tell(replacement()), "");
  auto answer = reply{};
  ASSERT_EQ(tell(confirm_name{alias.id, 0}, noon, &answer), "");
  EXPECT_TRUE(std::get<name_standing>(answer).held);
  EXPECT_EQ(std::get<name_standing>(answer).former_name, std::optional{first});
  EXPECT_EQ(to_alias(settle_name{id_of(9), 1, false}), "") << "another's device";
  EXPECT_EQ(to_alias(settle_name{device_.id, 0, false}), "") << "of an earlier reservation";
  EXPECT_TRUE(alias.s.exists);
  EXPECT_EQ(to_alias(settle_name{device_.id, 1, true}, noon + 11s), "");
  EXPECT_EQ(next_deadline(alias.s), std::nullopt);
  EXPECT_EQ(to_alias(doubt_name{}, noon + 12s), "");
  EXPECT_EQ(alias.count<look_for_name>(), 0u) << "it has looked just now";
  EXPECT_EQ(to_alias(doubt_name{}, noon + 21s), "");
  EXPECT_EQ(alias.count<look_for_name>(), 1u);
}

TEST_F(Names, GoWithTheDevice) {
  ASSERT_EQ(tell(replacement()), "");
  ASSERT_EQ(tell(remove_device{}), "");
  EXPECT_EQ(device_.count<release_name>(), 1u);
}

TEST_F(Names, ADeviceWithoutOneIsEncodedAsBefore) {
  EXPECT_EQ(encode_state(device_.s, 1)[0], 2);
  ASSERT_EQ(tell(replacement()), "");
  const auto bytes = encode_state(device_.s, 1);
  EXPECT_EQ(bytes[0], 4);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    auto s = state{};
    EXPECT_FALSE(decode_state(bytes.substr(0, size), s));
  }
}

// ---- whatever is lost, delayed or asked twice ---------------------------------------------------

/// A few devices and names. Changes of names run at random, each as far as it comes; what was sent
/// may come late, in any order, or not at all. Aliases look after themselves as often as they are
/// given time.
class name_world {
 public:
  explicit name_world(std::uint64_t seed) : random_{seed} {
    for (std::uint8_t n = 1; n <= 3; ++n) {
      auto& d = entities_[id_of(n)];
      d.id = id_of(n);
      auto r = register_device{};
      r.name = name(n - 1);
      r.organisation = "org";
      register_as(d.id, r.name);
      EXPECT_EQ(d.tell(r, product_, keys_), "");
    }
  }

  void run(int steps) {
    for (auto n = 0; n < steps; ++n) {
      now_ += std::chrono::seconds{pick(4)};
      if (pick(4) == 0)
        begin();
      if (!changes_.empty() && pick(3) != 0)
        go_on(pick(static_cast<int>(changes_.size())));
      if (pick(40) == 0)
        remove(id_of(static_cast<std::uint8_t>(1 + pick(3))));
      if (pick(3) == 0)
        let_time_pass();
      check();
    }
  }
  /// Nothing new begins, and all that is under way ends or is lost.
  void calm() {
    changes_.clear();
    for (auto n = 0; n < 5; ++n) {
      now_ += alias_patience;
      let_time_pass();
      while (!changes_.empty())
        go_on(0);
    }
    // A name that nobody has goes when somebody wants it.
    for (auto n = 0; n < names; ++n)
      if (const auto at = names_.find(name(n)); at != names_.end())
        if (auto& e = entities_[at->second]; !e.s.alias().empty())
          tell(e, doubt_name{});
    while (!changes_.empty())
      go_on(0);
    check();
    for (auto& [id, e] : entities_) {
      if (!e.s.exists)
        continue;
      EXPECT_EQ(names_[e.s.name()], e.s.alias().empty() && e.s.renaming().alias != entity_id{}
                                        ? e.s.renaming().alias
                                        : id);
      if (e.s.alias().empty())
        continue;
      EXPECT_EQ(next_deadline(e.s), std::nullopt) << "settled";
      const auto& d = entities_[e.s.alias().device];
      EXPECT_TRUE(d.s.exists && d.s.name() == e.s.name() && d.s.renaming().alias == id);
    }
  }

 private:
  static constexpr int names = 6;
  struct change {
    entity_id device, alias;
    device_name to;
    std::uint64_t renames = 0;
    int step = 0;
    name_standing found;
  };

  device_name name(int n) const { return {"pk", "dk-" + std::to_string(n)}; }
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  /// As the host of the name's shard has it.
  entity_id register_as(const entity_id& wanted, const device_name& n) {
    const auto known = names_.try_emplace(n, wanted).first->second;
    return known;
  }
  bool tell(one_entity& e, order what, reply* answer = nullptr) {
    const auto was = e.s;
    const auto ok = e.tell(std::move(what), product_, keys_, now_, answer).empty();
    if (was.exists && was.name() != e.s.name() && was.alias().empty())
      drop(was.name(), e.id);
    if (was.exists && !e.s.exists) {
      drop(was.name(), e.id);
      e.s = {};  // and it sleeps
    }
    for (const auto& x : e.done)
      if (const auto* look = std::get_if<look_for_name>(&x)) {
        auto c = change{look->device, e.id, {}, look->renames, 2, {}};
        changes_.push_back(c);
      } else if (const auto* gone = std::get_if<release_name>(&x); gone && pick(2) == 0) {
        tell(entities_[gone->alias],
             settle_name{e.id, std::numeric_limits<std::uint64_t>::max(), false});
      }
    return ok;
  }
  void drop(const device_name& n, const entity_id& id) {
    if (const auto at = names_.find(n); at != names_.end() && at->second == id)
      names_.erase(at);
  }
  void begin() {
    auto& d = entities_[id_of(static_cast<std::uint8_t>(1 + pick(3)))];
    if (!d.s.exists || changes_.size() > 5)
      return;
    const auto& known = d.s.renaming();
    auto c = change{d.id, {}, name(pick(names)), known.renames, 0, {}};
    if (known.former_name)
      c = {d.id, known.alias, {}, known.renames - 1, 2, {}};
    else if (c.to == d.s.name())
      return;
    changes_.push_back(c);
  }
  /// One step of one change; it may be lost before, or its answer.
  void go_on(int n) {
    auto c = changes_[static_cast<std::size_t>(n)];
    changes_.erase(changes_.begin() + n);
    if (!is_calm() && pick(8) == 0)
      return;
    auto on = false;
    auto answer = reply{};
    auto& d = entities_[c.device];
    d.id = c.device;
    switch (c.step++) {
      case 0: {
        const auto fresh = id_of(++ids_);
        const auto there = register_as(fresh, c.to);
        auto& a = entities_[there];
        a.id = there;
        on = tell(a, reserve_name{c.to, "org", c.device, c.renames}, &answer);
        if (on)
          c.alias = there;
        else if (there == fresh)
          names_.erase(c.to);
        else
          tell(a, doubt_name{});
        break;
      }
      case 1: {
        auto r = rename_device{};
        r.name = c.to;
        r.alias = c.alias;
        r.renames = c.renames;
        r.replaces = true;
        tell(d, r);
        on = true;
        break;
      }
      case 2:
        if (!tell(d, confirm_name{c.alias, c.renames}, &answer))
          c.found.renames = std::numeric_limits<std::uint64_t>::max();
        else
          c.found = std::get<name_standing>(answer);
        c.step = c.found.held ? 3 : 5;
        on = true;
        break;
      case 3:
        if (c.found.former)
          tell(entities_[*c.found.former], settle_name{c.device, c.found.renames, false});
        on = true;
        break;
      case 4:
        tell(d, forget_former_name{c.alias});
        on = true;
        break;
      case 5:
        tell(entities_[c.alias], settle_name{c.device, c.found.renames, c.found.held});
        break;
    }
    if (on && (is_calm() || pick(8) != 0))
      changes_.push_back(c);
  }
  void let_time_pass() {
    auto due = std::vector<entity_id>{};
    for (const auto& [id, e] : entities_)
      if (e.s.exists && next_deadline(e.s) && *next_deadline(e.s) <= now_)
        due.push_back(id);
    for (const auto& id : due)
      tell(entities_[id], time_passed{});
  }
  void remove(const entity_id& id) {
    if (entities_[id].s.exists)
      tell(entities_[id], remove_device{});
  }
  bool is_calm() const { return calm_; }
  /// No two devices have one name, and each is found by its own.
  void check() {
    auto taken = std::set<device_name>{};
    for (auto& [id, e] : entities_) {
      if (!e.s.exists || !e.s.alias().empty())
        continue;
      EXPECT_TRUE(taken.insert(e.s.name()).second) << e.s.name().device_key << " twice";
      const auto at = names_.find(e.s.name());
      ASSERT_NE(at, names_.end()) << e.s.name().device_key << " is lost";
      auto& leads = entities_[at->second];
      EXPECT_TRUE(at->second == id || leads.s.alias().device == id)
          << e.s.name().device_key << " leads elsewhere";
    }
  }

 public:
  bool calm_ = false;

 private:
  std::mt19937_64 random_;
  keyring keys_{{1}};
  product_view product_ = product_of();
  timestamp now_ = noon;
  std::map<entity_id, one_entity> entities_;
  std::map<device_name, entity_id> names_;
  std::vector<change> changes_;
  std::uint8_t ids_ = 10;
};

TEST(NamesAtRandom, NoneIsLostAndNoneIsKeptForNobody) {
  for (std::uint64_t seed = 1; seed <= 300 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    auto world = name_world{seed};
    world.run(120);
    world.calm_ = true;
    world.calm();
  }
}

}  // namespace
}  // namespace orrery::model::device
