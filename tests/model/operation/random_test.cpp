// Runners that are killed at any point, answers that are lost, leases that end: whatever happens,
// each row is done once in effect and stands once in the result.
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "model/operation/operation.hpp"
#include "model/operation/outcomes.hpp"

namespace orrery::model::operation {
namespace {

const auto noon = from_ms(1'700'000'000'000);
const auto self = make_entity_id(1, noon, {1});

/// What rows make: things by name, each with the id of whoever made it first.
struct world {
  std::map<std::uint64_t, entity_id> things;
  std::uint64_t refused = 0;  // another's was there

  /// As a device registers: the row that made it may come again.
  bool make(std::uint64_t name, const entity_id& id) {
    const auto [there, fresh] = things.emplace(name, id);
    return fresh || there->second == id;
  }
};

/// One that works, somewhere: what it knows may be old.
struct runner {
  bool works = false;
  std::uint32_t attempt = 0;
  std::string position;
  std::optional<operation::advance> unsent;  // a step that is done and not written down
  bool wants_to_finish = false;
};

class RandomRunners : public testing::TestWithParam<unsigned> {
 protected:
  static constexpr std::uint64_t rows = 60;

  std::shared_ptr<const state> tell(order what) {
    auto d = decide(s, {std::move(what), "service", {}}, {self, now, 0});
    if (!d)
      return nullptr;
    for (const auto& e : d->events) {
      if (const auto* a = std::get_if<advanced>(&e); a && a->result_size > 0)
        pieces.push_back(a->result);
      apply(s, e);
    }
    const auto* snapshot = std::get_if<operation_snapshot>(&d->answer);
    return snapshot ? snapshot->what : nullptr;
  }

  void take(runner& r) {
    r = {};
    const auto got = tell(take_operation{});
    if (!got || got->phase != state_code::running || chance(10))
      return;  // refused, or killed before the answer came
    r.works = true;
    r.attempt = got->attempt;
    r.position = got->position;
  }

  void work(runner& r) {
    const auto from =
        r.position.empty() ? std::uint64_t{0} : std::uint64_t{std::stoull(r.position)};
    const auto to = std::min<std::uint64_t>(rows, from + 1 + random() % 7);
    auto outcomes = std::vector<row_outcome>{};
    for (auto i = from; i < to; ++i) {
      if (chance(40))  // killed between two rows
        return void(r = {});
      auto& row = outcomes.emplace_back();
      row.index = i;
      // Every fifth row has the name of the one before it.
      const auto name = i % 5 == 4 ? i - 1 : i;
      row.status =
          real.make(name, row_id(self, noon, 3, i)) ? row_status::created : row_status::failed;
    }
    r.unsent = operation::advance{.attempt = r.attempt,
                                  .from = r.position,
                                  .position = std::to_string(to),
                                  .more = counts_of(outcomes),
                                  .total = {},
                                  .result = encode_outcomes(outcomes),
                                  .lets_go = false};
    r.wants_to_finish = to == rows;
  }

  void write(runner& r) {
    const auto got = tell(*r.unsent);
    if (got && chance(8))
      return;  // the answer is lost: it is sent again
    if (!got || chance(12))
      return void(r = {});  // refused, or killed
    r.position = got->position;
    r.unsent.reset();
    if (r.wants_to_finish || got->cancel_wanted) {
      tell(finish_operation{r.attempt, {}, {}});
      r = {};
    }
  }

  void run(bool cancels) {
    auto c = create_operation{};
    c.organisation = "org";
    c.retention = std::chrono::hours{1};
    c.max_open = 1;
    tell(c);
    runner all[3];
    for (auto turn = 0; turn < 20'000 && !is_over(s.phase); ++turn) {
      auto& r = all[random() % 3];
      if (chance(4))
        now += std::chrono::seconds{random() % 20};
      if (chance(3))
        tell(time_passed{});
      if (cancels && chance(60))
        tell(cancel_operation{});
      s.idle_attempts = 0;  // these are killed more often than any that it would bear
      if (!r.works)
        take(r);
      else if (r.unsent)
        write(r);
      else
        work(r);
    }
    ASSERT_TRUE(is_over(s.phase)) << name_of(s.phase);
  }

  std::vector<row_outcome> result() const {
    auto all = std::vector<row_outcome>{};
    for (const auto& piece : pieces) {
      const auto some = decode_outcomes(piece);
      all.insert(all.end(), some->begin(), some->end());
    }
    return all;
  }

  std::uint64_t random() { return engine(); }
  bool chance(unsigned one_in) { return random() % one_in == 0; }

  std::mt19937 engine{GetParam()};
  timestamp now = noon;
  state s;
  world real;
  std::vector<std::string> pieces;
};

TEST_P(RandomRunners, DoEachRowOnce) {
  run(false);
  ASSERT_EQ(s.phase, state_code::succeeded);
  const auto all = result();
  ASSERT_EQ(all.size(), rows);
  for (std::uint64_t i = 0; i < rows; ++i) {
    EXPECT_EQ(all[i].index, i);
    EXPECT_EQ(all[i].status, i % 5 == 4 ? row_status::failed : row_status::created) << i;
  }
  EXPECT_EQ(s.counts, (row_counts{rows * 4 / 5, rows / 5, 0}));
  EXPECT_EQ(s.result_pieces, pieces.size());
  EXPECT_EQ(real.things.size(), rows * 4 / 5);
  for (const auto& [name, id] : real.things)
    EXPECT_EQ(id, row_id(self, noon, 3, name));
}

TEST_P(RandomRunners, LeaveATrueResultWhenTheyAreCancelled) {
  run(true);
  const auto all = result();
  for (std::uint64_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].index, i);
    if (all[i].status == row_status::created) {
      EXPECT_TRUE(real.things.contains(i));
    }
  }
  EXPECT_EQ(s.counts.done(), all.size());
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomRunners, testing::Range(0u, 200u));

}  // namespace
}  // namespace orrery::model::operation
