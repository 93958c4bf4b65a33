// A device that is taken out of service, restored, or removed when its time is over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/device/device.hpp"
#include "model/device/layers.hpp"
#include "model/device/search.hpp"
#include "model/filter/expression.hpp"
#include "model/json.hpp"
#include "tests/support/filled.hpp"

namespace orrery::model::device {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

const auto a_month = usual_quarantine;

class Retirement : public testing::Test {
 protected:
  Retirement() {
    product.exists = true;
    product.dynamic_activation = true;
    product.secret = keys.seal("of the product", "product");
    product.secret_owner = "product";
    product.model = std::make_shared<const thing_model>(
        *thing_model::compile(*parse_json(R"({"format": "tm/1", "id": "m", "name": "m",
          "measurePoints": [{"id": "p", "type": {"t": "double"}}], "services": [{"id": "go"}]})")));
    auto r = register_device{};
    r.name = name;
    r.organisation = "org";
    r.secret = sealed("secret");
    r.tags = {{"site", "A"}};
    EXPECT_EQ(tell(r), "");
  }

  sealed_secret sealed(const std::string& secret) { return keys.seal(secret, secret_owner(name)); }

  std::string_view tell(order what, std::string actor = "user:a", session_ref session = {}) {
    happened.clear();
    effects.clear();
    auto d = decide(s, {std::move(what), session, std::move(actor), {}},
                    {self, now, product, keys, 3, configurations});
    if (!d)
      return d.error().reason;
    answer = std::move(d->answer);
    for (const auto& e : d->events) {
      const auto bytes = encode_events({e});
      const auto again = decode_events(bytes);
      EXPECT_TRUE(again && encode_events(*again) == bytes);
      device::apply(s, e);
      for (auto& x : device::effects(s, e))
        effects.push_back(std::move(x));
      happened.push_back(e);
    }
    auto kept = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), kept));
    EXPECT_EQ(kept.retirement(), s.retirement());
    EXPECT_EQ(kept.secret, s.secret);
    return "";
  }
  std::string_view retire(milliseconds quarantine = a_month) {
    return tell(retire_device{"scrapped", quarantine});
  }
  std::string_view restore(const std::string& secret = "another") {
    return tell(restore_device{sealed(secret)});
  }
  connect proof(const std::string& secret, login_secret whose = login_secret::device) {
    auto c = connect{};
    c.proof = {"dk", "1", sign_method::sha256,
               sign_login(name, "dk", "1", sign_method::sha256, secret)};
    c.session = {7, ++sessions, 0};
    c.secret = whose;
    c.fresh = sealed("fresh");
    return c;
  }
  void log_in() { ASSERT_EQ(tell(proof("secret")), ""); }
  certificate bound(std::uint32_t sn, certificate::state_code as) {
    auto c = certificate{};
    c.sn = sn;
    c.issuer = "aa";
    c.serial = "0" + std::to_string(sn);
    c.fingerprint = "f" + std::to_string(sn);
    c.not_after = now + 24h * 300;
    c.state = as;
    return c;
  }
  command_record service(milliseconds ttl = 1h) {
    auto c = command_record{};
    c.id = make_entity_id(0, now, {static_cast<std::uint8_t>(++made)});
    c.element = "go";
    c.pending_ttl = ttl;
    c.waiter = {7, static_cast<std::uint64_t>(made)};
    return c;
  }
  template <class Event>
  std::vector<Event> events_of() const {
    auto found = std::vector<Event>{};
    for (const auto& e : happened)
      if (const auto* x = std::get_if<Event>(&e))
        found.push_back(*x);
    return found;
  }
  template <class Effect>
  std::vector<Effect> effects_of() const {
    auto found = std::vector<Effect>{};
    for (const auto& e : effects)
      if (const auto* x = std::get_if<Effect>(&e))
        found.push_back(*x);
    return found;
  }
  std::vector<std::string> terms() const {
    auto all = std::vector<std::string>{};
    for (const auto& t : search_terms(s, ~search_mask{0}))
      all.push_back(t.field);
    return all;
  }

  device_name name{"pk", "dk"};
  entity_id self = make_entity_id(1, from_ms(1), {1});
  timestamp now = from_ms(1'700'000'000'000);
  keyring keys{keyring::key_bytes{9}};
  product_view product;
  const configuration_set* configurations = nullptr;
  state s;
  reply answer;
  std::vector<event> happened;
  std::vector<effect> effects;
  std::uint64_t sessions = 0;
  int made = 0;
};

TEST_F(Retirement, TakesAwayAllThatItProvesItselfBy) {
  auto c = proof("secret");
  c.keeps_session = true;
  ASSERT_EQ(tell(c), "");
  ASSERT_EQ(tell(reset_secret{sealed("newer"), 1h}), "");
  s.family.edit().certificates.edit().all = {bound(1, certificate::state_code::active),
                                             bound(2, certificate::state_code::held),
                                             bound(3, certificate::state_code::revoked)};
  const auto session = s.connection.session;
  EXPECT_EQ(retire(), "");
  EXPECT_EQ(status_of(s), "retired");
  EXPECT_FALSE(s.connection.online);
  EXPECT_EQ(*s.connection.reason, "retired");
  const auto closed = effects_of<close_session>();
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_EQ(closed[0].session, session);
  EXPECT_EQ(closed[0].reason, "retired");
  EXPECT_EQ(effects_of<deliver>().size(), 1u) << "it is told before";
  EXPECT_TRUE(s.secret.empty());
  EXPECT_TRUE(s.old_secret->empty());
  EXPECT_FALSE(s.keeps_session);
  EXPECT_TRUE(s.kept->empty());
  auto revoked = std::vector<std::uint32_t>{};
  for (const auto& e : events_of<certificate_revoked>()) {
    EXPECT_EQ(e.reason, 5) << "cessationOfOperation";
    revoked.push_back(e.sn);
  }
  EXPECT_THAT(revoked, ElementsAre(1, 2));
  const auto& was = s.retirement();
  EXPECT_EQ(was.at, now);
  EXPECT_EQ(was.purge_at, now + a_month);
  EXPECT_EQ(was.by, "user:a");
  EXPECT_EQ(was.reason, "scrapped");
  EXPECT_EQ(next_deadline(s), now + a_month);
  const auto* shown = std::get_if<device_snapshot>(&answer);
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->what->retirement(), was);
  EXPECT_EQ(shown->what->tags, s.tags) << "what it is stays";
}

TEST_F(Retirement, AFreshSecretGoesToo) {
  ASSERT_EQ(tell(proof("of the product", login_secret::product)), "");
  ASSERT_FALSE(s.activation().fresh.empty());
  EXPECT_EQ(retire(), "");
  EXPECT_TRUE(s.activation().empty());
  for (const auto* secret : {"secret", "fresh"})
    EXPECT_EQ(tell(proof(secret)), "device_retired");
  EXPECT_EQ(tell(proof("of the product", login_secret::product)), "device_retired");
  EXPECT_EQ(tell(proof("of the product", login_secret::either)), "device_retired");
}

TEST_F(Retirement, ItsWorkEnds) {
  log_in();
  ASSERT_EQ(tell(send_command{service()}), "");
  ASSERT_EQ(tell(send_command{service()}), "");
  ASSERT_EQ(s.commands->front().state, command_record::state_code::sent);
  EXPECT_EQ(retire(), "");
  EXPECT_TRUE(s.commands->empty());
  const auto over = events_of<command_finished>();
  ASSERT_EQ(over.size(), 2u);
  for (const auto& e : over)
    EXPECT_EQ(e.what.state, command_record::state_code::cancelled);
  EXPECT_EQ(effects_of<settle_waiter>().size(), 2u) << "whoever waits is told";
}

TEST_F(Retirement, AnUpgradeEnds) {
  using code = upgrade_task::state_code;
  for (const auto& [was, is] :
       {std::pair{code::pending, code::cancelled}, std::pair{code::published, code::cancelled},
        std::pair{code::upgrading, code::failed}, std::pair{code::succeeded, code::succeeded}}) {
    auto task = upgrade_task{};
    task.job = "j";
    task.state = was;
    s.family.edit().firmware.edit().task = task;
    ASSERT_EQ(retire(), "");
    EXPECT_EQ(s.firmware().task->state, is);
    EXPECT_EQ(tell(cancel_upgrade{"j"}), is == code::cancelled ? "" : "task_not_cancellable");
    EXPECT_EQ(next_deadline(s), now + a_month);
    ASSERT_EQ(restore(), "");
  }
}

TEST_F(Retirement, ItIsNobodysSubDevice) {
  const auto gateway = gateway_link{make_entity_id(2, from_ms(1), {2}), {"gw", "hub"}};
  ASSERT_EQ(tell(bind_gateway{gateway, "org", std::nullopt, false}), "");
  EXPECT_EQ(retire(), "");
  EXPECT_TRUE(s.gateway().empty());
  const auto told = effects_of<tell_gateway>();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].gateway, gateway.id);
  EXPECT_EQ(told[0].what, device_notice::kind::deleted);
  EXPECT_EQ(events_of<gateway_unbound>().size(), 1u);
  EXPECT_EQ(tell(bind_gateway{gateway, "org", std::nullopt, false}), "device_retired");
}

TEST_F(Retirement, AGatewayLetsItsSubDevicesGo) {
  product.gateway = true;
  const auto sub = make_entity_id(2, from_ms(1), {3});
  ASSERT_EQ(tell(change_sub_devices{{{{"pk", "a"}, sub}}}), "");
  EXPECT_EQ(retire(), "");
  EXPECT_TRUE(s.sub_devices().empty());
  const auto released = effects_of<release_sub_device>();
  ASSERT_EQ(released.size(), 1u);
  EXPECT_EQ(released[0].sub, sub);
  EXPECT_EQ(tell(change_sub_devices{{{{"pk", "a"}, sub}}}), "device_retired");
}

TEST_F(Retirement, GroupsAreRememberedAndOverridesAreNot) {
  ASSERT_EQ(tell(change_groups{{"g1", "g2"}, {}}), "");
  ASSERT_EQ(tell(override_status{status_override::status_code::online, now + 1h}), "");
  EXPECT_EQ(retire(), "");
  EXPECT_THAT(s.groups(), IsEmpty());
  EXPECT_THAT(s.retirement().groups, ElementsAre("g1", "g2"));
  EXPECT_TRUE(s.shown().empty());
  EXPECT_EQ(restore(), "");
  EXPECT_THAT(s.groups(), ElementsAre("g1", "g2"));
  EXPECT_EQ(status_of(s), "inactive");
}

configuration_set one_for_all() {
  auto all = configuration_set{};
  auto c = fleet_configuration{};
  c.id = "c-1";
  c.version = 1;
  c.text = "createdAt > 0";
  c.patch = {{"rate", 10}};
  c.target = *filter::check(*filter::parse("productKey = 'pk'"), search_fields());
  all.all.push_back(std::move(c));
  all.reads = bit_of(search_field::product_key);
  return all;
}

TEST_F(Retirement, LayersGoAndComeAgain) {
  const auto all = one_for_all();
  configurations = &all;
  ASSERT_EQ(tell(change_twin{{{"own", 1}}, false, {}}), "");
  ASSERT_EQ(tell(review_layers{}), "");
  ASSERT_EQ(s.layers().all.size(), 1u);
  ASSERT_EQ(to_json(value{s.twin().desired}), R"({"own":1,"rate":10})");
  EXPECT_EQ(retire(), "");
  EXPECT_TRUE(s.layers().empty());
  EXPECT_EQ(to_json(value{s.twin().desired}), R"({"own":1})");
  EXPECT_FALSE(must_review(all, self, s)) << "no configuration is for it";
  EXPECT_EQ(tell(review_layers{}), "");
  EXPECT_TRUE(s.layers().empty());
  EXPECT_EQ(restore(), "");
  EXPECT_EQ(s.layers().all.size(), 1u);
  EXPECT_EQ(to_json(value{s.layers().own}), R"({"own":1})");
}

TEST_F(Retirement, LayersGoWhereNoConfigurationsAreKnown) {
  const auto all = one_for_all();
  configurations = &all;
  ASSERT_EQ(tell(review_layers{}), "");
  configurations = nullptr;
  EXPECT_EQ(retire(), "");
  EXPECT_TRUE(s.layers().empty());
  EXPECT_TRUE(s.twin().desired.empty());
}

TEST_F(Retirement, NothingFindsIt) {
  EXPECT_THAT(terms(), testing::Contains("tags.site"));
  EXPECT_EQ(retire(), "");
  EXPECT_THAT(terms(), ElementsAre("retired"));
  const auto asked = filter::check(*filter::parse("status = 'retired'"), search_fields());
  ASSERT_TRUE(asked);
  EXPECT_TRUE(filter::accepts(*asked, searched_device{self, s}));
  EXPECT_EQ(restore(), "");
  EXPECT_THAT(terms(), testing::Contains("tags.site"));
  EXPECT_THAT(terms(), testing::Not(testing::Contains("retired")));
  EXPECT_EQ(retire(), "");
  EXPECT_EQ(tell(remove_device{}), "");
  EXPECT_THAT(terms(), IsEmpty());
}

TEST_F(Retirement, NobodyGivesItAnything) {
  log_in();
  const auto session = s.connection.session;
  EXPECT_EQ(retire(), "");
  const auto before = encode_state(s, 1);
  auto c = certificate{};
  auto r = rename_device{};
  r.name = {"pk", "other"};
  auto answered = complete_command{};
  answered.downlink_id = "1";
  auto offered = offer_upgrade{};
  offered.job = "j";
  auto stored = store_file{};
  stored.id = "f";
  for (const auto& what :
       std::initializer_list<order>{update_device{},
                                    set_admin_state{admin_state::disabled, ""},
                                    reset_secret{sealed("x")},
                                    report_points{},
                                    report_event{"e", {}, {}},
                                    change_attributes{},
                                    change_tags{},
                                    send_command{service()},
                                    answered,
                                    cancel_commands{},
                                    change_subscriptions{},
                                    note_delivered{"1"},
                                    reopen_activation{},
                                    report_picture{},
                                    add_certificate{c, 0, {}},
                                    revoke_certificate{1, "", 1},
                                    offered,
                                    retry_upgrade{"j"},
                                    report_version{"1"},
                                    report_progress{"1", ""},
                                    ask_upgrade{},
                                    change_twin{},
                                    report_twin{},
                                    change_groups{{"g"}, {}},
                                    kick_device{},
                                    override_status{status_override::status_code::online, now + 1h},
                                    end_override{},
                                    r,
                                    add_file{},
                                    stored,
                                    remove_file{"f"},
                                    set_mirror{},
                                    end_mirror{},
                                    link_mirror{},
                                    emigrate_device{},
                                    unbind_gateway{}}) {
    EXPECT_EQ(tell(what), "device_retired") << what.index();
    EXPECT_THAT(happened, IsEmpty());
  }
  EXPECT_EQ(tell(report_points{}, {}, session), "session_superseded");
  EXPECT_EQ(encode_state(s, 1), before);
}

TEST_F(Retirement, WhatItIsIsRead) {
  EXPECT_EQ(retire(), "");
  for (const auto& what : std::initializer_list<order>{
           read_device{}, read_latest{}, read_samples{}, read_firmware{}, read_twin{},
           session_lost{7}, review_layers{}, time_passed{}, cancel_upgrade{"j"}}) {
    const auto told = tell(what);
    EXPECT_TRUE(told.empty() || told == "task_unknown") << told;
    EXPECT_THAT(happened, IsEmpty());
  }
  EXPECT_EQ(tell(read_file{"f"}), "file_unknown");
}

TEST_F(Retirement, ItsKeyIsTaken) {
  EXPECT_EQ(retire(), "");
  auto again = register_device{};
  again.name = name;
  EXPECT_EQ(tell(again), "device_key_exists");
  auto reserved = reserve_name{};
  reserved.name = name;
  EXPECT_EQ(tell(reserved), "device_key_exists");
}

TEST_F(Retirement, IsChecked) {
  EXPECT_EQ(tell(retire_device{"", a_month}), "reason_required");
  EXPECT_EQ(tell(retire_device{std::string(257, 'x'), a_month}), "reason_required");
  EXPECT_EQ(tell(retire_device{std::string(256, 'x'), longest_quarantine + 1ms}),
            "quarantine_invalid");
  EXPECT_EQ(tell(retire_device{"x", -1ms}), "quarantine_invalid");
  EXPECT_EQ(restore(), "not_retired");
  EXPECT_EQ(tell(retire_device{std::string(256, 'x'), longest_quarantine}), "");
  EXPECT_EQ(retire(), "device_retired") << "once is enough";
  EXPECT_EQ(tell(restore_device{}), "rename_conflict") << "no secret";
  EXPECT_EQ(tell(restore_device{keys.seal("secret", "of another")}), "rename_conflict");
}

TEST_F(Retirement, RestoredItIsAsOneThatNeverWasThere) {
  log_in();
  const auto before = s.session_epoch;
  EXPECT_EQ(retire(), "");
  now += a_month - 1ms;
  EXPECT_EQ(restore(), "");
  const auto* shown = std::get_if<device_snapshot>(&answer);
  ASSERT_TRUE(shown);
  EXPECT_TRUE(shown->what->retirement().empty());
  EXPECT_TRUE(s.retirement().empty());
  EXPECT_FALSE(s.activated_at);
  EXPECT_EQ(status_of(s), "inactive");
  EXPECT_FALSE(next_deadline(s));
  EXPECT_EQ(restore(), "") << "the same once more, after an answer that was lost";
  EXPECT_THAT(happened, IsEmpty());
  EXPECT_EQ(restore("a third"), "not_retired");
  EXPECT_EQ(tell(proof("secret")), "sign_check_failed");
  EXPECT_EQ(tell(proof("another")), "");
  EXPECT_TRUE(s.activated_at);
  EXPECT_GT(s.session_epoch, before);
}

TEST_F(Retirement, ADisabledOneIsDisabledAgain) {
  ASSERT_EQ(tell(set_admin_state{admin_state::disabled, "why"}), "");
  EXPECT_EQ(retire(), "");
  EXPECT_EQ(status_of(s), "retired");
  EXPECT_EQ(restore(), "");
  EXPECT_EQ(status_of(s), "disabled");
}

TEST_F(Retirement, GoesByItselfWhenItsTimeIsOver) {
  s.family.edit().certificates.edit().all = {bound(1, certificate::state_code::active)};
  EXPECT_EQ(retire(24h), "");
  now += 24h - 1ms;
  EXPECT_EQ(tell(time_passed{}), "");
  EXPECT_TRUE(s.exists);
  now += 1ms;
  EXPECT_EQ(restore(), "state_conflict") << "it is too late, though nobody has come for it";
  EXPECT_EQ(tell(time_passed{}), "");
  EXPECT_FALSE(s.exists);
  ASSERT_EQ(events_of<removed>().size(), 1u);
  EXPECT_THAT(events_of<removed>()[0].fingerprints, ElementsAre("f1"));
  EXPECT_FALSE(next_deadline(s));
  EXPECT_EQ(tell(time_passed{}), "device_unknown");
}

TEST_F(Retirement, GivesItsOtherNameBack) {
  const auto alias = make_entity_id(3, from_ms(1), {4});
  s.family.edit().renaming.edit() = {1, alias, std::nullopt, std::nullopt};
  EXPECT_EQ(retire(24h), "");
  EXPECT_THAT(effects_of<release_name>(), IsEmpty()) << "it has the name still";
  EXPECT_EQ(tell(confirm_name{alias, 0}), "");
  EXPECT_TRUE(std::get<name_standing>(answer).held);
  now += 24h;
  EXPECT_EQ(tell(time_passed{}), "");
  ASSERT_EQ(effects_of<release_name>().size(), 1u);
  EXPECT_EQ(effects_of<release_name>()[0].alias, alias);
}

TEST_F(Retirement, WithoutQuarantineItIsGoneAtOnce) {
  const auto gateway = gateway_link{make_entity_id(2, from_ms(1), {2}), {"gw", "hub"}};
  ASSERT_EQ(tell(bind_gateway{gateway, "org", std::nullopt, false}), "");
  log_in();
  EXPECT_EQ(retire(0ms), "");
  EXPECT_FALSE(s.exists);
  EXPECT_TRUE(s.deleted);
  EXPECT_EQ(effects_of<tell_gateway>().size(), 1u);
  EXPECT_EQ(events_of<retired>().size(), 1u);
  EXPECT_EQ(events_of<removed>().size(), 1u);
  const auto* shown = std::get_if<device_snapshot>(&answer);
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->what->retirement().purge_at, now);
  EXPECT_FALSE(next_deadline(s));
}

TEST_F(Retirement, WhoRemovesItIsToldWhatItWas) {
  EXPECT_EQ(tell(remove_device{}), "");
  ASSERT_TRUE(std::holds_alternative<device_snapshot>(answer));
  EXPECT_TRUE(std::get<device_snapshot>(answer).what->retirement().empty());
  auto r = register_device{};
  s = {};
  r.name = name;
  r.organisation = "org";
  r.secret = sealed("secret");
  ASSERT_EQ(tell(r), "");
  ASSERT_EQ(retire(), "");
  EXPECT_EQ(tell(remove_device{}), "");
  EXPECT_FALSE(std::get<device_snapshot>(answer).what->retirement().empty());
}

}  // namespace
}  // namespace orrery::model::device
