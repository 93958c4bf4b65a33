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
              const auto& a = std::get<audit::append_record>(std::get<audit::command>(what).what);
              asked.push_back(a.organisation + ' ' + a.request + (a.again ? " again" : ""));
              entries.push_back(a.entry);
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

TEST_F(AuditTrail, AChangeWaitsBeforeItIsMadeWhileOneIsNotNoted) {
  const auto prepared = [&](const std::vector<std::string>& logs) {
    answers.clear();
    trail->prepare(logs, answer());
    return answers.empty() ? "waits" : answers.front();
  };
  EXPECT_EQ(prepared({"org"}), "ok");
  fails = failure{errc::unavailable, "shard_unavailable", ""};
  trail->note(note("r1"), [](const model::status&) {});
  trail->note(note("r2"), [](const model::status&) {});
  EXPECT_EQ(prepared({"org"}), "waits");
  EXPECT_EQ(prepared({"another"}), "ok");
  EXPECT_EQ(prepared({"another", "org"}), "waits") << "all that are to have it";
  fails.reset();
  trail->note(note("r3"), [](const model::status&) {});
  EXPECT_EQ(prepared({"org"}), "waits") << "two are still not written";
  answers.clear();
  pass(600ms);
  EXPECT_THAT(answers, ElementsAre("ok", "ok", "ok"));
  EXPECT_EQ(prepared({"org", "another"}), "ok");
}

TEST_F(AuditTrail, AChangeIsRefusedThatHasWaitedTooLong) {
  fails = failure{errc::unavailable, "shard_unavailable", ""};
  trail->note(note("r1"), [](const model::status&) {});
  trail->prepare({"org"}, answer());
  pass(9s);
  EXPECT_TRUE(answers.empty());
  trail->prepare({"org"}, answer());
  pass(1s);
  EXPECT_THAT(answers, ElementsAre("audit_unavailable"));
  fails.reset();
  pass(1s);
  EXPECT_THAT(answers, ElementsAre("audit_unavailable", "ok"));
}

TEST_F(AuditTrail, ABoundedNumberOfChangesWaits) {
  fails = failure{errc::unavailable, "shard_unavailable", ""};
  trail->note(note("r1"), [](const model::status&) {});
  for (std::size_t i = 0; i < audit_trail::max_held + 3; ++i)
    trail->prepare({"org"}, answer());
  EXPECT_EQ(answers, std::vector<std::string>(3, "audit_unavailable"));
}

TEST_F(AuditTrail, WhatTheLogDoesNotTakeHoldsNoChange) {
  fails = failure{errc::unavailable, "shard_unavailable", ""};
  trail->note(note("r1"), [](const model::status&) {});
  trail->prepare({"org"}, answer());
  fails = failure{errc::too_large, "too_large", ""};
  pass(600ms);
  EXPECT_THAT(answers, ElementsAre("ok"));
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

TEST_F(AuditTrail, TheLastOneOfALogIsNotPushedOut) {
  fails = failure{errc::unavailable, "", ""};
  trail->note(note("first", "a", "small"), answer());
  for (std::size_t i = 0; i < audit_trail::max_waiting; ++i)
    trail->note(note("r" + std::to_string(i)), answer());
  answers.clear();
  trail->prepare({"small"}, answer());
  EXPECT_TRUE(answers.empty()) << "it takes no records";
}

TEST_F(AuditTrail, WhatWasGivenUpIsNotTriedAgain) {
  keeps = true;
  trail->note(note("r0"), answer());
  kept.front()(failure{errc::unavailable, "", ""});
  pass(600ms);  // asked again, no answer yet
  keeps = false;
  fails = failure{errc::unavailable, "", ""};
  for (std::size_t i = 1; i <= audit_trail::max_waiting; ++i)
    trail->note(note("r" + std::to_string(i)), [](const model::status&) {});
  EXPECT_THAT(answers, ElementsAre("audit_unavailable"));
  kept.back()(failure{errc::unavailable, "", ""});
  asked.clear();
  pass(1s);
  EXPECT_EQ(asked.size(), audit_trail::max_waiting);
  EXPECT_EQ(asked.front(), "org r1 again");
}

TEST_F(AuditTrail, WhatWaitsWhenTheNodeStopsIsToldAndAnswered) {
  keeps = true;
  trail->note(note("under way"), answer());
  keeps = false;
  fails = failure{errc::unavailable, "", ""};
  trail->note(note("waits"), answer());
  auto held = std::vector<std::string>{};
  trail->prepare({"org"}, [&](const model::status& ok) {
    held.push_back(ok ? "ok" : std::string{ok.error().reason});
  });
  EXPECT_TRUE(held.empty());
  trail->flush();
  EXPECT_THAT(held, ElementsAre("audit_unavailable"));
  EXPECT_THAT(answers, ElementsAre("audit_unavailable"));
  EXPECT_THAT(metrics.text(), HasSubstr("orrery_api_audit_lost_total 1"));
  kept.front()(failure{errc::unavailable, "stopping", ""});
  EXPECT_THAT(answers, ElementsAre("audit_unavailable", "audit_unavailable"));
  EXPECT_THAT(metrics.text(), HasSubstr("orrery_api_audit_lost_total 2"));
  trail->note(note("after"), answer());
  EXPECT_EQ(answers.size(), 3u);
  trail->prepare({"org"}, answer());
  EXPECT_EQ(answers.back(), "audit_unavailable");
  asked.clear();
  pass(1h);
  EXPECT_TRUE(asked.empty());
}

TEST_F(AuditTrail, ARecordIsOpenUntilItIsWrittenOrGivenUp) {
  EXPECT_EQ(trail->records_open(), 0u);
  keeps = true;
  for (const auto* request : {"r1", "r2", "r3", "r4"})
    trail->note(note(request), answer());
  EXPECT_EQ(trail->records_open(), 4u) << "nobody has heard of them yet";
  kept[0](actors::outcome{.answer = audit::reply{audit::noted{1}}});
  EXPECT_EQ(trail->records_open(), 3u);
  kept[1](failure{errc::too_large, "too_large", ""});
  EXPECT_EQ(trail->records_open(), 2u);
  kept[2](failure{errc::unavailable, "", ""});
  EXPECT_EQ(trail->records_open(), 2u) << "it is tried again";
  pass(600ms);
  kept[4](actors::outcome{.answer = audit::reply{audit::noted{2}}});
  EXPECT_EQ(trail->records_open(), 1u);
  trail->flush();
  EXPECT_EQ(trail->records_open(), 1u);
  kept[3](failure{errc::unavailable, "stopping", ""});
  EXPECT_EQ(trail->records_open(), 0u);
  EXPECT_THAT(answers, ElementsAre("ok", "audit_unavailable", "ok", "audit_unavailable"));
}

TEST_F(AuditTrail, WhatIsPushedOutIsNotOpen) {
  fails = failure{errc::unavailable, "", ""};
  for (std::size_t i = 0; i < audit_trail::max_waiting + 5; ++i)
    trail->note(note("r" + std::to_string(i)), answer());
  EXPECT_EQ(trail->records_open(), audit_trail::max_waiting);
  trail->flush();
  EXPECT_EQ(trail->records_open(), 0u);
}

TEST_F(AuditTrail, WhatNobodyHearsOfWhenTheNodeStopsIsTold) {
  keeps = true;
  trail->note(note("r1"), answer());
  trail->note(note("r2"), answer());
  trail->flush();
  EXPECT_TRUE(answers.empty());
  kept[0](actors::outcome{.answer = audit::reply{audit::noted{1}}});
  trail->give_up_open();
  EXPECT_EQ(trail->records_open(), 0u);
  EXPECT_THAT(answers, ElementsAre("ok", "audit_unavailable"));
  EXPECT_THAT(metrics.text(), HasSubstr("orrery_api_audit_lost_total 1"));
  kept[1](failure{errc::unavailable, "stopping", ""});
  EXPECT_EQ(answers.size(), 2u);
  EXPECT_THAT(metrics.text(), HasSubstr("orrery_api_audit_lost_total 1"));
}

TEST_F(AuditTrail, CountsWhatComesTooOften) {
  for (int i = 0; i < 1000; ++i)
    trail->count(note("r" + std::to_string(i)), "10.0.0.1", "10.0.0.1", counted_as::stranger);
  trail->count(note("other"), "10.0.0.2", "10.0.0.2", counted_as::stranger);
  EXPECT_THAT(asked, ElementsAre("org r0", "org other"));
  pass(1min);
  EXPECT_THAT(asked, ElementsAre("org r0", "org other", "org r999"));
  EXPECT_THAT(entries.back(), HasSubstr(R"("count":999,"since":"2023-11-14T22:13:20.000Z")"));
  trail->count(note("later"), "10.0.0.1", "10.0.0.1", counted_as::stranger);
  EXPECT_EQ(asked.back(), "org later");
}

TEST_F(AuditTrail, CountsManySourcesAsOne) {
  for (int source = 0; source < 5000; ++source) {
    const auto address = "10.0." + std::to_string(source);
    trail->count(note("r" + std::to_string(source), "a", "~"), address, address,
                 counted_as::stranger);
  }
  EXPECT_EQ(asked.size(), audit_trail::max_sorts + 1);
  EXPECT_EQ(asked.back(), "~ r" + std::to_string(audit_trail::max_sorts));
  pass(1min);
  EXPECT_EQ(asked.size(), audit_trail::max_sorts + 2);
  const auto last = model::parse_json(entries.back());
  EXPECT_EQ(last->find("count")->as_int(), 5000 - 1 - static_cast<int>(audit_trail::max_sorts));
  EXPECT_EQ(last->find("action")->as_string(), "many");
  trail->count(note("later", "a", "~"), "10.1", "10.1", counted_as::stranger);
  EXPECT_EQ(asked.back(), "~ later") << "a minute after there is room again";
}

TEST_F(AuditTrail, OneAddressHidesNoOther) {
  for (int i = 0; i < 1000; ++i)
    trail->count(note("r" + std::to_string(i), "a" + std::to_string(i), "~"), "10.0.0.1",
                 "10.0.0.1", counted_as::stranger);
  EXPECT_EQ(asked.size(), audit_trail::max_sorts_of_address + 1);
  trail->count(note("other", "a", "~"), "10.0.0.2", "10.0.0.2", counted_as::stranger);
  EXPECT_EQ(asked.back(), "~ other");
  pass(1min);
  EXPECT_EQ(asked.size(), audit_trail::max_sorts_of_address + 3);
  asked.clear();
  trail->count(note("again", "a", "~"), "10.0.0.1", "10.0.0.1", counted_as::stranger);
  EXPECT_THAT(asked, ElementsAre("~ again"));
}

TEST_F(AuditTrail, NeitherStrangersNorDataHideAnAttackOnPeople) {
  for (int i = 0; i < 1000; ++i) {
    const auto address = "10.0." + std::to_string(i);
    trail->count(note("s", "a", "~"), address, address, counted_as::stranger);
    trail->count(note("d", "ingest"), "key:" + std::to_string(i), "10.9", counted_as::data);
  }
  asked.clear();
  trail->count(note("m", "login"), "10.0.7", "10.0.7", counted_as::member);
  EXPECT_THAT(asked, ElementsAre("org m"));
  for (int i = 0; i < 1000; ++i) {
    const auto address = "10.1." + std::to_string(i);
    trail->count(note("m", "login", "org"), address, address, counted_as::member);
  }
  asked.clear();
  trail->count(note("x", "login", "another"), "10.2", "10.2", counted_as::member);
  EXPECT_THAT(asked, ElementsAre("another x")) << "each log tells that there were many";
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
    trail->count(note("r" + std::to_string(i)), "10.0.0.1", "10.0.0.1", counted_as::stranger);
  trail->flush();
  EXPECT_THAT(asked, ElementsAre("org r0", "org r2"));
}

}  // namespace
}  // namespace orrery::transport::api
