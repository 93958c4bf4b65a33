#include <gtest/gtest.h>

#include "model/operation/operation.hpp"
#include "model/operation/outcomes.hpp"

namespace orrery::model::operation {
namespace {

using std::chrono::seconds;

const auto noon = from_ms(1'700'000'000'000);
const auto self = make_entity_id(1, noon, {1});
constexpr auto day = std::chrono::hours{24};

class Operation : public testing::Test {
 protected:
  result<reply> tell(order what) {
    auto d = decide(s, {std::move(what), "user:a", {}, "org"}, {self, now, open});
    if (!d)
      return d.error();
    runs = false;
    for (const auto& e : d->events) {
      EXPECT_TRUE(decode_events(encode_events({e})));
      apply(s, e);
      runs = runs || !effects(s, e).empty();
    }
    auto again = state{};
    EXPECT_EQ(*decode_state(encode_state(s, 7), again), 7u);
    EXPECT_EQ(encode_state(again, 7), encode_state(s, 7));
    return d->answer;
  }
  std::string reason(order what) {
    const auto got = tell(std::move(what));
    return got ? "" : std::string{got.error().reason};
  }
  static create_operation made(bool receives = false) {
    auto c = create_operation{};
    c.organisation = "org";
    c.request = "{}";
    c.receives = receives;
    c.seed = {"seed"};
    c.retention = day;
    c.max_open = 2;
    return c;
  }
  static operation::advance step(std::string from, std::string to, std::uint32_t attempt = 1) {
    auto a = operation::advance{};
    a.attempt = attempt;
    a.from = std::move(from);
    a.position = std::move(to);
    a.more = {2, 1, 0};
    a.result = "piece";
    return a;
  }
  void begin() {
    ASSERT_TRUE(tell(made()));
    ASSERT_TRUE(tell(take_operation{}));
  }

  timestamp now = noon;
  std::uint64_t open = 0;
  bool runs = false;  // the last answer had it offered
  state s;
};

TEST_F(Operation, GoesOnStepByStepToItsEnd) {
  ASSERT_TRUE(tell(made()));
  EXPECT_EQ(s.phase, state_code::queued);
  EXPECT_TRUE(runs);
  EXPECT_EQ(reason(made()), "operation_exists");
  ASSERT_TRUE(tell(take_operation{}));
  EXPECT_EQ(s.phase, state_code::running);
  EXPECT_EQ(reason(take_operation{}), "operation_taken");
  ASSERT_TRUE(tell(step("", "1")));
  ASSERT_TRUE(tell(step("1", "2")));
  EXPECT_EQ(s.counts, (row_counts{4, 2, 0}));
  EXPECT_EQ(s.result_pieces, 2u);
  ASSERT_TRUE(tell(finish_operation{1, {}, {}}));
  EXPECT_EQ(s.phase, state_code::succeeded);
  EXPECT_TRUE(s.seed.empty()) << "no secrets were asked for";
  EXPECT_EQ(reason(step("2", "3")), "operation_taken");
  EXPECT_EQ(reason(take_operation{}), "operation_over");
  EXPECT_EQ(reason(cancel_operation{}), "operation_over");
  EXPECT_EQ(next_deadline(s), now + day);
  now += day;
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_TRUE(s.deleted);
  EXPECT_EQ(reason(read_operation{}), "operation_unknown");
}

TEST_F(Operation, AnotherOrganisationsIsNotThere) {
  ASSERT_TRUE(tell(made()));
  const auto got = decide(s, {read_operation{}, "x", {}, "other"}, {self, now, 0});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, "operation_unknown");
  EXPECT_TRUE(decide(s, {read_operation{}, "x", {}, ""}, {self, now, 0}));
}

TEST_F(Operation, AreLimited) {
  open = 2;
  EXPECT_EQ(reason(made()), "too_many_operations");
  open = 1;
  auto large = made();
  large.request = std::string(max_request_bytes + 1, 'x');
  EXPECT_EQ(reason(large), "too_large");
  ASSERT_TRUE(tell(made()));
}

TEST_F(Operation, TakesItsInputInOrderAndOnce) {
  ASSERT_TRUE(tell(made(true)));
  EXPECT_FALSE(runs);
  EXPECT_EQ(reason(take_operation{}), "operation_over");
  EXPECT_EQ(reason(add_input{1, "x"}), "input_out_of_order");
  EXPECT_EQ(reason(add_input{0, ""}), "too_large");
  EXPECT_EQ(reason(add_input{0, std::string(input_piece_bytes + 1, 'x')}), "too_large");
  const auto whole = std::string(input_piece_bytes, 'x');
  ASSERT_TRUE(tell(add_input{0, whole}));
  ASSERT_TRUE(tell(add_input{0, whole})) << "its answer was lost";
  EXPECT_EQ(s.input_pieces, 1u);
  ASSERT_TRUE(tell(add_input{1, "rest"}));
  EXPECT_EQ(reason(add_input{2, "more"}), "input_out_of_order") << "a short piece is the last";
  EXPECT_EQ(s.input_bytes, input_piece_bytes + 4);
  ASSERT_TRUE(tell(submit_operation{}));
  EXPECT_TRUE(runs);
  ASSERT_TRUE(tell(submit_operation{}));
  EXPECT_EQ(reason(add_input{2, "more"}), "operation_submitted");
}

TEST_F(Operation, GoesBeforeItsTimeWhenItIsOver) {
  begin();
  EXPECT_EQ(reason(remove_operation{}), "operation_not_over");
  ASSERT_TRUE(tell(finish_operation{1, {}, {}}));
  ASSERT_TRUE(tell(remove_operation{}));
  EXPECT_TRUE(s.deleted);
  EXPECT_EQ(reason(remove_operation{}), "operation_unknown");
}

TEST_F(Operation, AnInputThatEndsHalfwayIsGivenUp) {
  ASSERT_TRUE(tell(made(true)));
  now += input_patience - seconds{1};
  ASSERT_TRUE(tell(add_input{0, "x"}));
  now += input_patience - seconds{1};
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_TRUE(s.exists);
  now += seconds{1};
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_TRUE(s.deleted);
}

TEST_F(Operation, AStepIsWrittenDownOnce) {
  begin();
  ASSERT_TRUE(tell(step("", "1")));
  ASSERT_TRUE(tell(step("", "1"))) << "its answer was lost";
  EXPECT_EQ(s.counts.done(), 3u);
  EXPECT_EQ(s.result_pieces, 1u);
  EXPECT_EQ(reason(step("", "2")), "operation_taken");
  auto large = step("1", "2");
  large.result = std::string(max_result_piece_bytes + 1, 'x');
  EXPECT_EQ(reason(large), "too_large");
}

TEST_F(Operation, IsOfferedAgainWhenItsRunnerIsSilent) {
  begin();
  now += lease - seconds{1};
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_FALSE(runs);
  now += seconds{1};
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_TRUE(runs);
  EXPECT_EQ(next_deadline(s), now + offer_interval);
  ASSERT_TRUE(tell(step("", "1"))) << "it was slow, and nobody else has begun";
  EXPECT_EQ(s.phase, state_code::running);
  now += lease;
  ASSERT_TRUE(tell(time_passed{}));
  ASSERT_TRUE(tell(take_operation{}));
  EXPECT_EQ(s.attempt, 2u);
  EXPECT_EQ(reason(step("1", "2", 1)), "operation_taken");
  EXPECT_EQ(reason(finish_operation{1, {}, {}}), "operation_taken");
  ASSERT_TRUE(tell(step("1", "2", 2)));
  EXPECT_EQ(s.counts.done(), 6u);
}

TEST_F(Operation, ARunnerLetsGoAtTheEndOfItsNode) {
  begin();
  auto last = step("", "1");
  last.lets_go = true;
  ASSERT_TRUE(tell(last));
  EXPECT_EQ(next_deadline(s), now);
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_TRUE(runs);
  ASSERT_TRUE(tell(take_operation{}));
  EXPECT_EQ(s.attempt, 2u);
}

TEST_F(Operation, FailsWhenNoRunnerGetsAnywhere) {
  ASSERT_TRUE(tell(made()));
  for (auto i = 0u; i < max_idle_attempts; ++i) {
    ASSERT_TRUE(tell(take_operation{}));
    ASSERT_EQ(s.phase, state_code::running);
    now += lease;
    ASSERT_TRUE(tell(time_passed{}));
  }
  ASSERT_TRUE(tell(take_operation{}));
  EXPECT_EQ(s.phase, state_code::failed);
  EXPECT_EQ(s.reason, "operation_stuck");
}

TEST_F(Operation, IsCancelled) {
  ASSERT_TRUE(tell(made(true)));
  ASSERT_TRUE(tell(cancel_operation{}));
  EXPECT_TRUE(s.deleted) << "nothing was asked for yet";
  s = {};
  ASSERT_TRUE(tell(made()));
  ASSERT_TRUE(tell(cancel_operation{}));
  EXPECT_EQ(s.phase, state_code::cancelled);
  s = {};
  begin();
  ASSERT_TRUE(tell(cancel_operation{}));
  EXPECT_EQ(s.phase, state_code::running);
  ASSERT_TRUE(tell(cancel_operation{}));
  ASSERT_TRUE(tell(step("", "1"))) << "what is in hand is written down";
  ASSERT_TRUE(tell(finish_operation{1, {}, {}}));
  EXPECT_EQ(s.phase, state_code::cancelled);
  s = {};
  begin();
  ASSERT_TRUE(tell(cancel_operation{}));
  now += lease;
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_EQ(s.phase, state_code::cancelled) << "its runner is gone";
}

TEST_F(Operation, FailsWithWhatItsWorkSays) {
  begin();
  ASSERT_TRUE(tell(finish_operation{1, "bad_filter", "words"}));
  EXPECT_EQ(s.phase, state_code::failed);
  EXPECT_EQ(s.reason, "bad_filter");
  EXPECT_EQ(s.detail, "words");
}

TEST_F(Operation, ShowsItsSecretsOnce) {
  begin();
  EXPECT_EQ(reason(show_secrets{}), "operation_not_over");
  ASSERT_TRUE(tell(finish_operation{1, {}, {}}));
  EXPECT_EQ(reason(show_secrets{}), "secrets_not_kept");
  s = {};
  auto c = made();
  c.wants_secrets = true;
  ASSERT_TRUE(tell(c));
  ASSERT_TRUE(tell(take_operation{}));
  ASSERT_TRUE(tell(finish_operation{1, {}, {}}));
  EXPECT_EQ(s.seed.bytes, "seed");
  ASSERT_TRUE(tell(show_secrets{}));
  now += secrets_patience;
  ASSERT_TRUE(tell(show_secrets{})) << "the answer was lost";
  now += seconds{1};
  EXPECT_EQ(reason(show_secrets{}), "secrets_shown");
}

TEST(OperationRows, AlwaysGiveTheSameIdAndSecret) {
  EXPECT_EQ(row_id(self, noon, 5, 17), row_id(self, noon, 5, 17));
  EXPECT_NE(row_id(self, noon, 5, 17), row_id(self, noon, 5, 18));
  EXPECT_NE(row_id(self, noon, 5, 17), row_id(make_entity_id(1, noon, {2}), noon, 5, 17));
  EXPECT_EQ(row_id(self, noon, 5, 17).shard, 5);
  EXPECT_EQ(secret_of("seed", {"p", "d"}), secret_of("seed", {"p", "d"}));
  EXPECT_NE(secret_of("seed", {"p", "d"}), secret_of("other", {"p", "d"}));
  EXPECT_NE(secret_of("seed", {"p", "d"}), secret_of("seed", {"p", "e"}));
  EXPECT_EQ(secret_of("seed", {"p", "d"}).size(), 32u);
}

TEST(OperationRows, Count) {
  auto rows = std::vector<row_outcome>(6);
  for (std::size_t i = 0; i < rows.size(); ++i)
    rows[i].status = static_cast<row_status>(i);
  EXPECT_EQ(counts_of(rows), (row_counts{4, 1, 1}));
}

TEST(OperationNames, ComeBack) {
  for (const auto k : {work_kind::import_devices, work_kind::bulk_devices,
                       work_kind::export_devices, work_kind::provision_devices})
    EXPECT_EQ(parse_work_kind(name_of(k)), k);
  for (auto n = 0; n <= static_cast<int>(state_code::cancelled); ++n)
    EXPECT_EQ(parse_state(name_of(static_cast<state_code>(n))), static_cast<state_code>(n));
  EXPECT_FALSE(parse_state("over"));
  EXPECT_FALSE(parse_work_kind(""));
}

}  // namespace
}  // namespace orrery::model::operation
