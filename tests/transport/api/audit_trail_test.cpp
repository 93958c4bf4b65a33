#include "transport/api/audit_trail.hpp"

#include <gmock/gmock.h>

#include "model/json.hpp"

namespace orrery::transport::api {
namespace {

namespace audit = model::audit;
using model::errc;
using model::failure;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

class AuditTrail : public testing::Test {
 protected:
  AuditTrail() {
    trail = std::make_shared<audit_trail>(audit_trail_parts{
        .ask =
            [this](const actors::target&, const actors::any_command& what,
                   const actors::caller::on_answer& then) {
              const auto& order = std::get<audit::command>(what).what;
              if (std::holds_alternative<audit::read_head>(order)) {
                ++heads;
              } else {
                const auto& a = std::get<audit::append_record>(order);
                asked.push_back(a.organisation + ' ' + a.request + (a.again ? " again" : ""));
                entries.push_back(a.entry);
              }
              if (fails)
                return then(*fails);
              if (keeps)
                return kept.push_back(then);
              then(actors::outcome{.answer = audit::reply{audit::noted{1}}});
            },
        .shard_count = 4,
        .now = [this] { return now; },
        .patience = 10s,
        .metrics = &metrics});
  }
  static audit_note note(const std::string& request, const std::string& action = "a",
                         const std::string& organisation = "org") {
    return {organisation,
            request,
            {{"organisation", organisation}, {"requestId", request}, {"action", action}}};
  }
  audit_trail::then answer() {
    return [this](const model::status& ok) {
      answers.push_back(ok ? "ok" : std::string{ok.error().reason});
    };
  }
  void pass(model::milliseconds time) {
    now += time;
    trail->look_after();
  }

  observe::metrics metrics;
  model::timestamp now = model::from_ms(1'700'000'000'000);
  std::optional<failure> fails;
  bool keeps = false;
  int heads = 0;
  std::vector<actors::caller::on_answer> kept;
  std::vector<std::string> asked, entries, answers;
  std::shared_ptr<audit_trail> trail;
};

TEST_F(AuditTrail, AnswersOnceTheRecordIsThere) {
  keeps = true;
  trail->note(note("r1"), answer());
  EXPECT_TRUE(answers.empty());
  kept.front()(actors::outcome{.answer = audit::reply{audit::noted{1}}});
  EXPECT_THAT(answers, ElementsAre("ok"));
  EXPECT_THAT(asked, ElementsAre("org r1"));
}

TEST_F(AuditTrail, TriesAgainWhileTheAnswerWaits) {
  fails = failure{errc::unavailable, "not_in_sync", ""};
  trail->note(note("r1"), answer());
  EXPECT_TRUE(answers.empty());
  pass(600ms);
  EXPECT_TRUE(answers.empty());
  fails.reset();
  pass(600ms);
  EXPECT_THAT(answers, ElementsAre("ok"));
  EXPECT_THAT(asked, ElementsAre("org r1", "org r1 again", "org r1 again"));
  pass(1h);
  EXPECT_EQ(asked.size(), 3u);
}

TEST_F(AuditTrail, SaysSoWhenItTakesTooLongAndTriesOn) {
  fails = failure{errc::timeout, "", ""};
  trail->note(note("r1"), answer());
  pass(11s);
  EXPECT_THAT(answers, ElementsAre("audit_unavailable"));
  fails.reset();
  pass(1s);
  EXPECT_EQ(answers.size(), 1u);
  EXPECT_EQ(asked.back(), "org r1 again");
  EXPECT_THAT(metrics.text(), HasSubstr("orrery_api_audit_late_total 1"));
}

TEST_F(AuditTrail, AChangeIsRefusedBeforeItIsMadeOnceOneWasNotNoted) {
  trail->prepare("org", answer());
  EXPECT_EQ(heads, 0) << "nobody is asked while all is well";
  fails = failure{errc::unavailable, "shard_unavailable", ""};
  trail->note(note("r1"), [](const model::status&) {});
  trail->prepare("org", answer());
  trail->prepare("another", answer());
  fails.reset();
  trail->prepare("org", answer());
  EXPECT_THAT(answers, ElementsAre("ok", "audit_unavailable", "ok", "ok"));
  EXPECT_EQ(heads, 2);
  trail->prepare("org", answer());
  EXPECT_EQ(heads, 2);
}

TEST_F(AuditTrail, WhatTheLogDoesNotTakeIsNotTriedAgain) {
  fails = failure{errc::too_large, "too_large", ""};
  trail->note(note("r1"), answer());
  EXPECT_THAT(answers, ElementsAre("audit_unavailable"));
  fails.reset();
  pass(1h);
  EXPECT_EQ(asked.size(), 1u);
}

TEST_F(AuditTrail, KeepsABoundedNumber) {
  fails = failure{errc::unavailable, "", ""};
  for (std::size_t i = 0; i < audit_trail::max_waiting + 5; ++i)
    trail->note(note("r" + std::to_string(i)), answer());
  EXPECT_EQ(answers, std::vector<std::string>(5, "audit_unavailable"));
  asked.clear();
  fails.reset();
  pass(1s);
  EXPECT_EQ(asked.size(), audit_trail::max_waiting);
  EXPECT_EQ(asked.front(), "org r5 again");
}

TEST_F(AuditTrail, CountsWhatComesTooOften) {
  for (int i = 0; i < 1000; ++i)
    trail->count(note("r" + std::to_string(i)), "10.0.0.1");
  trail->count(note("other"), "10.0.0.2");
  EXPECT_THAT(asked, ElementsAre("org r0", "org other"));
  pass(1min);
  EXPECT_THAT(asked, ElementsAre("org r0", "org other", "org r999"));
  EXPECT_THAT(entries.back(), HasSubstr(R"("count":999,"since":"2023-11-14T22:13:20.000Z")"));
  trail->count(note("later"), "10.0.0.1");
  EXPECT_EQ(asked.back(), "org later");
}

TEST_F(AuditTrail, CountsManySourcesAsOne) {
  for (int source = 0; source < 5000; ++source)
    trail->count(note("r" + std::to_string(source)), "10.0." + std::to_string(source));
  EXPECT_EQ(asked.size(), audit_trail::max_sources + 1);
  EXPECT_EQ(asked.back(), "~ r" + std::to_string(audit_trail::max_sources));
  pass(1min);
  EXPECT_EQ(asked.size(), audit_trail::max_sources + 2);
  const auto last = model::parse_json(entries.back());
  EXPECT_EQ(last->find("count")->as_int(), 5000 - 1 - static_cast<int>(audit_trail::max_sources));
  EXPECT_EQ(last->find("action")->as_string(), "many");
}

TEST_F(AuditTrail, TellsSomeOneByOneAndTheRestIsCounted) {
  auto told = std::uint32_t{0};
  for (int i = 0; i < 100; ++i)
    told += trail->tells_one_by_one("org/user:eve") ? 1 : 0;
  EXPECT_EQ(told, audit_trail::told_one_by_one);
  EXPECT_TRUE(trail->tells_one_by_one("org/user:ada"));
  now += 1min;
  EXPECT_TRUE(trail->tells_one_by_one("org/user:eve"));
}

TEST_F(AuditTrail, WritesWhatWasCountedWhenTheNodeStops) {
  for (int i = 0; i < 3; ++i)
    trail->count(note("r" + std::to_string(i)), "10.0.0.1");
  trail->flush();
  EXPECT_THAT(asked, ElementsAre("org r0", "org r2"));
}

}  // namespace
}  // namespace orrery::transport::api
