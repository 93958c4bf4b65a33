#include <gtest/gtest.h>

#include "model/device/device.hpp"
#include "model/json.hpp"

namespace orrery::model::device {
namespace {

using namespace std::chrono_literals;
using state_code = upgrade_task::state_code;
using step_code = upgrade_task::step_code;
using reason_code = upgrade_task::reason_code;

/// A device that is off-line and has reported version 1.0.
class Upgrades : public testing::Test {
 protected:
  Upgrades() {
    product.exists = true;
    product.model = std::make_shared<const thing_model>(
        *thing_model::compile(*parse_json(R"({"format": "tm/1", "id": "m", "name": "m"})")));
    auto r = register_device{};
    r.name = name;
    r.organisation = "org";
    r.secret = keys.seal("secret", secret_owner(name));
    EXPECT_TRUE(tell(r));
    EXPECT_TRUE(tell(report_version{"1.0"}));
  }

  result<reply> tell(order what) {
    auto d = decide(s, {std::move(what), {}, "test", {}}, {self, now, product, keys, 3});
    happened.clear();
    if (!d)
      return d.error();
    for (const auto& e : d->events) {
      apply(s, e);
      for (const auto& x : device::effects(s, e))
        if (const auto* sent = std::get_if<deliver>(&x))
          if (std::holds_alternative<firmware_offer>(sent->message.what))
            pushed.push_back(*sent);
      happened.push_back(e);
    }
    // What is kept of it is the same after a restart, and so is what happened.
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(again.firmware(), s.firmware());
    EXPECT_EQ(encode_state(again, 1), encode_state(s, 1));
    const auto events = decode_events(encode_events(d->events));
    EXPECT_TRUE(events && events->size() == d->events.size());
    return std::move(d->answer);
  }
  std::string_view reason(order what) {
    const auto got = tell(std::move(what));
    return got ? std::string_view{"granted"} : got.error().reason;
  }

  void log_in() {
    auto c = connect{};
    c.proof = {"c", "1", sign_method::sha256,
               sign_login(name, "c", "1", sign_method::sha256, "secret")};
    c.session = {7, ++connections, 0};
    ASSERT_TRUE(tell(c));
  }
  offer_upgrade offer(std::string job = "j1", delivery how = delivery::push) const {
    auto o = offer_upgrade{};
    o.job = std::move(job);
    o.image = {"f1", "2.0", digest_method::md5, std::string(32, 'a'), "https://h/2.0.bin", 1000};
    o.deliver = how;
    return o;
  }
  std::vector<firmware_image> asked() {
    const auto got = tell(ask_upgrade{});
    const auto* offers = got ? std::get_if<upgrades_offered>(&*got) : nullptr;
    EXPECT_TRUE(offers);
    return offers ? offers->images : std::vector<firmware_image>{};
  }
  void pass(milliseconds time) {
    now += time;
    ASSERT_TRUE(tell(time_passed{}));
  }
  const upgrade_task& task() const { return *s.firmware().task; }
  void is(state_code wanted, reason_code why = reason_code::none) {
    ASSERT_TRUE(s.firmware().task);
    EXPECT_EQ(task().state, wanted);
    EXPECT_EQ(task().reason, why);
  }

  state s;
  entity_id self = make_entity_id(0, from_ms(1), {});
  timestamp now = from_ms(1'700'000'000'000);
  product_view product;
  keyring keys{keyring::key_bytes{9}};
  device_name name{"pk", "dk"};
  std::uint64_t connections = 100;
  std::vector<event> happened;
  std::vector<deliver> pushed;
};

// ---- which version

TEST_F(Upgrades, AVersionIsKeptWithItsTime) {
  EXPECT_EQ(s.firmware().version, "1.0");
  EXPECT_EQ(s.firmware().reported_at, now);
  now += 1min;
  ASSERT_TRUE(tell(report_version{"1.1"}));
  EXPECT_EQ(s.firmware().reported_at, now);
  EXPECT_EQ(std::get<version_reported>(happened.at(0)).before, "1.0");
  EXPECT_EQ(reason(report_version{""}), "format_error");
  EXPECT_EQ(reason(report_version{std::string(65, 'v')}), "format_error");
  const auto got = tell(read_firmware{});
  ASSERT_TRUE(got);
  EXPECT_EQ(std::get<firmware_status>(*got).what.version, "1.1");
  EXPECT_EQ(std::get<firmware_status>(*got).name, name);
}

TEST_F(Upgrades, WhoTellsNothingTakesNoRoom) {
  auto fresh = state{};
  EXPECT_TRUE(fresh.family->empty());
  fresh.family.change([](auto& f) { f.firmware.edit(); });
  EXPECT_TRUE(fresh.family->empty());
  EXPECT_FALSE(s.family->empty());
}

// ---- offers

TEST_F(Upgrades, WhoIsOnlineIsToldAtOnceAndOnce) {
  log_in();
  EXPECT_TRUE(pushed.empty());
  ASSERT_TRUE(tell(offer()));
  is(state_code::published);
  ASSERT_EQ(pushed.size(), 1u);
  EXPECT_EQ(pushed[0].session, s.connection.session);
  EXPECT_EQ(pushed[0].message.target, name);
  EXPECT_EQ(std::get<firmware_offer>(pushed[0].message.what).image, offer().image);
  EXPECT_EQ(std::get<upgrade_published>(happened.at(1)).downlink_id, pushed[0].message.id);
  EXPECT_EQ(std::to_string(s.downlinks), pushed[0].message.id) << "the number is taken";
  // Not again: by the same offer, the next login, or a question.
  ASSERT_TRUE(tell(offer()));
  EXPECT_TRUE(happened.empty());
  ASSERT_TRUE(tell(disconnect{"client"}));
  log_in();
  log_in();
  EXPECT_TRUE(asked().empty());
  EXPECT_EQ(pushed.size(), 1u);
}

TEST_F(Upgrades, WhoIsOfflineIsToldAtTheNextLogin) {
  ASSERT_TRUE(tell(offer()));
  is(state_code::pending);
  EXPECT_TRUE(pushed.empty());
  EXPECT_FALSE(next_deadline(s)) << "it may stay away for as long as it likes";
  log_in();
  is(state_code::published);
  ASSERT_EQ(pushed.size(), 1u);
  EXPECT_EQ(pushed[0].session, s.connection.session);
}

TEST_F(Upgrades, ACommandThatWaitsAndAPushHaveNumbersOfTheirOwn) {
  product.model = std::make_shared<const thing_model>(*thing_model::compile(*parse_json(
      R"({"format": "tm/1", "id": "m", "name": "m", "services": [{"id": "s", "name": "s"}]})")));
  log_in();
  ASSERT_TRUE(tell(disconnect{"client"}));
  auto c = command_record{};
  c.id = make_entity_id(0, now, {1});
  c.element = "s";
  c.pending_ttl = 1h;
  ASSERT_TRUE(tell(send_command{c}));
  ASSERT_TRUE(tell(offer()));
  log_in();
  ASSERT_EQ(pushed.size(), 1u);
  EXPECT_NE(pushed[0].message.id, s.commands->front().downlink_id);
  EXPECT_EQ(std::stoull(pushed[0].message.id), s.downlinks);
}

TEST_F(Upgrades, OffersThatAreRefused) {
  auto o = offer();
  o.image.version = "1.0";
  EXPECT_EQ(reason(o), "version_current");
  o = offer();
  o.timeout = 299s;
  EXPECT_EQ(reason(o), "below_min");
  o.timeout = 172'801s;
  EXPECT_EQ(reason(o), "below_min");
  o = offer("");
  EXPECT_EQ(reason(o), "job_unknown");
  o = offer();
  o.image.url = "ftp://h/x";
  EXPECT_EQ(reason(o), "firmware_invalid");
  EXPECT_FALSE(s.firmware().task);
  ASSERT_TRUE(tell(offer()));
  EXPECT_EQ(reason(offer("j2")), "upgrade_running");
  ASSERT_TRUE(tell(cancel_upgrade{"j1"}));
  EXPECT_EQ(reason(offer("j2")), "granted");
  EXPECT_EQ(task().job, "j2");
}

TEST_F(Upgrades, WhoNeverSaidItsVersionIsLeftOutUnlessTheJobWantsIt) {
  s.family = {};
  EXPECT_EQ(reason(offer()), "version_unknown");
  auto o = offer();
  o.unknown_version = true;
  EXPECT_EQ(reason(o), "granted");
}

TEST_F(Upgrades, WhoIsToAskIsNotTold) {
  log_in();
  EXPECT_TRUE(asked().empty());
  ASSERT_TRUE(tell(offer("j1", delivery::pull)));
  is(state_code::pending);
  const auto first = asked();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0], offer().image);
  is(state_code::published);
  EXPECT_EQ(asked().size(), 1u) << "the answer may have been lost";
  EXPECT_TRUE(happened.empty());
  ASSERT_TRUE(tell(report_version{"2.0"}));
  EXPECT_TRUE(asked().empty());
  EXPECT_TRUE(pushed.empty());
}

TEST_F(Upgrades, WhicheverComesFirst) {
  log_in();
  ASSERT_TRUE(tell(offer("j1", delivery::both)));
  EXPECT_EQ(pushed.size(), 1u);
  EXPECT_EQ(asked().size(), 1u);
  EXPECT_EQ(pushed.size(), 1u);
}

// ---- progress

TEST_F(Upgrades, ProgressRisesAndIsNoSuccess) {
  log_in();
  ASSERT_TRUE(tell(offer()));
  ASSERT_TRUE(tell(report_progress{"0", "begun"}));
  is(state_code::upgrading);
  EXPECT_EQ(task().phase, step_code::downloading);
  EXPECT_EQ(task().upgrading_at, now);
  now += 1min;
  ASSERT_TRUE(tell(report_progress{"60.5", "half"}));
  EXPECT_EQ(task().progress, 60);
  ASSERT_TRUE(tell(report_progress{"40", "once more"}));
  EXPECT_EQ(task().progress, 60);
  EXPECT_EQ(task().step, "40");
  EXPECT_EQ(task().note, "once more");
  ASSERT_TRUE(tell(report_progress{"40", "once more"}));
  EXPECT_TRUE(happened.empty()) << "nothing new";
  ASSERT_TRUE(tell(report_progress{"100", ""}));
  is(state_code::upgrading);
  EXPECT_EQ(task().phase, step_code::rebooting);
  EXPECT_EQ(task().upgrading_at, now - 1min);
  ASSERT_TRUE(tell(report_version{"2.0"}));
  is(state_code::succeeded);
  EXPECT_FALSE(task().late);
  EXPECT_EQ(task().finished_at, now);
  EXPECT_FALSE(next_deadline(s));
}

TEST_F(Upgrades, StepsThatSayWhatWentWrong) {
  const std::pair<const char*, reason_code> steps[] = {
      {"-1", reason_code::unknown},   {"-2", reason_code::download},
      {"-3", reason_code::verify},    {"-4", reason_code::write},
      {"-5", reason_code::declined},  {"-6", reason_code::unknown},
      {"-2.5", reason_code::unknown}, {"broken", reason_code::unknown},
      {"nan", reason_code::unknown},  {"5 %", reason_code::unknown}};
  auto n = 0;
  for (const auto& [step, why] : steps) {
    SCOPED_TRACE(step);
    ASSERT_TRUE(tell(offer("j" + std::to_string(++n))));
    ASSERT_TRUE(tell(report_progress{step, "said so"}));
    is(state_code::failed, why);
    EXPECT_EQ(task().step, step);
    EXPECT_EQ(task().note, "said so");
    EXPECT_EQ(reason(report_progress{"10", ""}), "task_unknown");
  }
}

TEST_F(Upgrades, ReportsThatNobodyWaitsFor) {
  EXPECT_EQ(reason(report_progress{"10", ""}), "task_unknown");
  ASSERT_TRUE(tell(offer()));
  EXPECT_EQ(reason(report_progress{"101", ""}), "format_error");
  EXPECT_EQ(reason(report_progress{"", ""}), "format_error");
  EXPECT_EQ(reason(report_progress{std::string(65, '1'), ""}), "format_error");
  EXPECT_EQ(reason(report_progress{"1", std::string(257, 'x')}), "format_error");
  is(state_code::pending);
  ASSERT_TRUE(tell(cancel_upgrade{"j1"}));
  EXPECT_EQ(reason(report_progress{"10", ""}), "job_not_running");
  ASSERT_TRUE(tell(report_version{"2.0"}));
  is(state_code::cancelled);
}

TEST_F(Upgrades, WhoHasTheVersionAlreadyNeedsNoPush) {
  ASSERT_TRUE(tell(offer()));
  ASSERT_TRUE(tell(report_version{"2.0"}));
  is(state_code::succeeded);
  log_in();
  EXPECT_TRUE(pushed.empty());
}

// ---- deadlines

TEST_F(Upgrades, WhoIsToldAndSaysNothingFails) {
  log_in();
  ASSERT_TRUE(tell(offer()));
  ASSERT_EQ(next_deadline(s), now + 24h);
  pass(24h - 1ms);
  is(state_code::published);
  pass(1ms);
  is(state_code::failed, reason_code::timeout);
  EXPECT_FALSE(next_deadline(s));
}

TEST_F(Upgrades, AnUpgradeHasItsTimeFromItsBeginning) {
  log_in();
  auto o = offer();
  o.timeout = 300s;
  ASSERT_TRUE(tell(o));
  now += 1h;
  ASSERT_TRUE(tell(report_progress{"1", ""}));
  now += 200s;
  ASSERT_TRUE(tell(report_progress{"2", ""}));
  ASSERT_EQ(next_deadline(s), now + 100s);
  pass(100s);
  is(state_code::failed, reason_code::timeout);
  // Late, but there.
  ASSERT_TRUE(tell(report_version{"1.5"}));
  is(state_code::failed, reason_code::timeout);
  ASSERT_TRUE(tell(report_version{"2.0"}));
  is(state_code::succeeded);
  EXPECT_TRUE(task().late);
}

TEST_F(Upgrades, AnotherVersionAfterTheRebootFailsIfNoneFollows) {
  log_in();
  ASSERT_TRUE(tell(offer()));
  ASSERT_TRUE(tell(report_progress{"99", ""}));
  ASSERT_TRUE(tell(report_version{"1.0"}));
  EXPECT_EQ(next_deadline(s), now + 2h) << "it has not rebooted yet";
  ASSERT_TRUE(tell(report_progress{"100", ""}));
  ASSERT_TRUE(tell(report_version{"1.0"}));
  EXPECT_EQ(next_deadline(s), now + 15min);
  now += 10min;
  ASSERT_TRUE(tell(report_version{"1.0"}));
  EXPECT_EQ(next_deadline(s), now + 5min);
  pass(5min);
  is(state_code::failed, reason_code::wrong_version);
  ASSERT_TRUE(tell(report_version{"2.0"}));
  is(state_code::succeeded);
  EXPECT_TRUE(task().late);
}

// ---- cancel, retry

TEST_F(Upgrades, OnlyWhatHasNotBegunIsCalledOff) {
  EXPECT_EQ(reason(cancel_upgrade{"j1"}), "task_unknown");
  ASSERT_TRUE(tell(offer()));
  EXPECT_EQ(reason(cancel_upgrade{"j2"}), "task_unknown");
  ASSERT_TRUE(tell(cancel_upgrade{"j1"}));
  is(state_code::cancelled);
  ASSERT_TRUE(tell(cancel_upgrade{"j1"}));
  EXPECT_TRUE(happened.empty());
  log_in();
  EXPECT_TRUE(pushed.empty());
  ASSERT_TRUE(tell(offer("j2")));
  EXPECT_EQ(pushed.size(), 1u);
  ASSERT_TRUE(tell(cancel_upgrade{"j2"}));
  is(state_code::cancelled);
  ASSERT_TRUE(tell(offer("j3")));
  ASSERT_TRUE(tell(report_progress{"1", ""}));
  EXPECT_EQ(reason(cancel_upgrade{"j3"}), "task_not_cancellable");
  ASSERT_TRUE(tell(report_version{"2.0"}));
  EXPECT_EQ(reason(cancel_upgrade{"j3"}), "task_not_cancellable");
}

TEST_F(Upgrades, OnlyWhatFailedIsTriedAgainAndEachAttemptIsPushedOnce) {
  log_in();
  EXPECT_EQ(reason(retry_upgrade{"j1"}), "task_unknown");
  ASSERT_TRUE(tell(offer()));
  EXPECT_EQ(reason(retry_upgrade{"j1"}), "task_not_failed");
  ASSERT_TRUE(tell(report_progress{"70", "so far"}));
  ASSERT_TRUE(tell(report_progress{"-2", "no network"}));
  ASSERT_TRUE(tell(retry_upgrade{"j1"}));
  is(state_code::published);
  EXPECT_EQ(task().attempt, 2u);
  EXPECT_EQ(task().progress, 0);
  EXPECT_EQ(task().step, "");
  EXPECT_EQ(task().image, offer().image);
  ASSERT_EQ(pushed.size(), 2u);
  EXPECT_NE(pushed[0].message.id, pushed[1].message.id);
  ASSERT_TRUE(tell(report_progress{"-5", ""}));
  ASSERT_TRUE(tell(disconnect{"client"}));
  ASSERT_TRUE(tell(retry_upgrade{"j1"}));
  is(state_code::pending);
  EXPECT_EQ(pushed.size(), 2u);
  log_in();
  EXPECT_EQ(pushed.size(), 3u);
  EXPECT_EQ(task().attempt, 3u);
}

}  // namespace
}  // namespace orrery::model::device
