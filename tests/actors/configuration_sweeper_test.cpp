#include "actors/configuration_sweeper.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "model/json.hpp"
#include "tests/support/small_node.hpp"

namespace orrery::actors {
namespace {

namespace organisation = model::organisation;
namespace device = model::device;
using model::entity_kind;

/// Keeps what other threads ask until the thread of the actors takes it.
class kept_questions final : public ask_router {
 public:
  explicit kept_questions(std::shared_ptr<ask_router> behind) : behind_{std::move(behind)} {}
  model::shard_id shard_of(const target& whom) const override { return behind_->shard_of(whom); }
  void route(ask_batch batch) override {
    const auto hold = std::lock_guard{mutex_};
    waiting_.push_back(std::move(batch));
    came_.notify_all();
  }
  /// Passes on what there is, or comes soon. `refuses`: so many are answered that nobody is there.
  std::size_t pass_on(std::size_t& refuses) {
    auto some = std::deque<ask_batch>{};
    {
      auto hold = std::unique_lock{mutex_};
      came_.wait_for(hold, std::chrono::milliseconds{5}, [this] { return !waiting_.empty(); });
      some.swap(waiting_);
    }
    for (auto& batch : some)
      if (refuses > 0) {
        --refuses;
        for (const auto& one : batch.asks)
          one.from.settle({{one.number, model::failure{model::errc::unavailable, "nobody"}}});
      } else {
        behind_->route(std::move(batch));
      }
    return some.size();
  }

 private:
  std::shared_ptr<ask_router> behind_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<ask_batch> waiting_;
};

class Sweeper : public testing::Test {
 protected:
  static constexpr std::uint16_t shards = 2;

  ~Sweeper() override { end(); }

  void tell(organisation::order what) {
    const auto got = node.ask(catalogue_id(entity_kind::organisation, tests::organisation),
                              organisation::command{std::move(what), "user:a", {}});
    ASSERT_TRUE(got) << got.error().detail;
  }
  void configure(const std::string& id, std::string target, model::object desired,
                 bool is_new = true) {
    auto p = organisation::put_configuration{{}, is_new};
    p.what.id = p.what.name = id;
    p.what.target = std::move(target);
    p.what.desired = std::move(desired);
    tell(std::move(p));
  }

  void begin() {
    asked = std::make_shared<kept_questions>(node.router);
    ask = std::make_shared<caller>(node.system(), asked, node.incarnation, std::chrono::seconds{5});
    reads = std::make_shared<query>(node.store, ask, shards, 2);
    sweeper = std::make_unique<configuration_sweeper>(sweeper_parts{
        .ask = ask,
        .reads = reads,
        .known = node.known,
        .shard_count = shards,
        .life = [this](model::shard_id s) -> std::optional<std::uint64_t> {
          return static_cast<int>(s) == away ? std::nullopt : std::optional{life.load()};
        },
        .devices_per_second = 0,
        .tick = std::chrono::milliseconds{5}});
  }
  /// Its thread may wait for an answer of the actors, which work here.
  void end() {
    if (!sweeper)
      return;
    auto over = std::atomic<bool>{false};
    auto ending = std::thread{[&] {
      sweeper->stop();
      over = true;
    }};
    while (!over)
      work();
    ending.join();
    sweeper.reset();
    reads.reset();
    ask.reset();
    node.run();
  }
  std::size_t work() {
    const auto passed = asked->pass_on(refuses);
    node.run();
    told += passed;
    return passed;
  }
  std::string desired(const model::entity_id& id) {
    return model::to_json(model::value{node.state_of(id).twin().desired});
  }
  bool until(const std::function<bool()>& holds) {
    const auto late = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (!holds() && std::chrono::steady_clock::now() < late)
      work();
    return holds();
  }
  bool until_all_have(const std::string& document) {
    return until([&] {
      return std::all_of(devices.begin(), devices.end(),
                         [&](const auto& id) { return desired(id) == document; });
    });
  }
  bool until_swept(std::uint64_t times) {
    return until([&] { return sweeper->figures()->sweeps >= times; });
  }
  void make_devices() {
    tell(organisation::create_organisation{tests::organisation, "Org"});
    for (int i = 0; i < 10; ++i)
      devices.push_back(node.add_device("d" + std::to_string(i)));
  }

  tests::small_node node;
  std::vector<model::entity_id> devices;
  std::shared_ptr<kept_questions> asked;
  std::shared_ptr<caller> ask;
  std::shared_ptr<query> reads;
  std::unique_ptr<configuration_sweeper> sweeper;
  std::atomic<std::uint64_t> life{1};
  std::atomic<int> away{-1};
  std::size_t refuses = 0, told = 0;
};

TEST_F(Sweeper, BringsAndTakesLayers) {
  make_devices();
  begin();
  configure("c1", "productKey = 'pk'", {{"rate", 1}});
  EXPECT_TRUE(until_all_have(R"({"rate":1})"));
  configure("c1", "deviceKey = 'd1'", {{"rate", 2}}, false);
  EXPECT_TRUE(until([&] { return desired(devices[0]) == "{}"; }));
  EXPECT_TRUE(until([&] { return desired(devices[1]) == R"({"rate":2})"; }));
  tell(organisation::remove_configuration{"c1"});
  EXPECT_TRUE(until_all_have("{}"));
}

TEST_F(Sweeper, FindsAfterARestartWhatHasChangedMeanwhile) {
  make_devices();
  configure("c1", "productKey = 'pk'", {{"gone", 1}});
  begin();
  EXPECT_TRUE(until_all_have(R"({"gone":1})"));
  end();
  configure("c2", "productKey = 'pk'", {{"rate", 1}});
  tell(organisation::remove_configuration{"c1"});
  node.restart();
  begin();
  EXPECT_TRUE(until_all_have(R"({"rate":1})"));
}

TEST_F(Sweeper, AsksAgainWhereNobodyAnswers) {
  make_devices();
  configure("c1", "productKey = 'pk'", {{"rate", 1}});
  refuses = 7;
  begin();
  EXPECT_TRUE(until_all_have(R"({"rate":1})"));
  EXPECT_EQ(refuses, 0u);
}

TEST_F(Sweeper, TellsNobodyWhoHasAllOfIt) {
  make_devices();
  configure("c1", "productKey = 'pk'", {{"rate", 1}});
  begin();
  ASSERT_TRUE(until_all_have(R"({"rate":1})"));
  ASSERT_TRUE(until_swept(shards));
  told = 0;
  ++life;  // it serves them again: they are compared, and nothing differs
  EXPECT_TRUE(until_swept(2 * shards));
  EXPECT_EQ(told, 0u);
}

TEST_F(Sweeper, LeavesShardsToWhomTheyAre) {
  make_devices();
  configure("c1", "productKey = 'pk'", {{"rate", 1}});
  away = 1;
  begin();
  ASSERT_TRUE(until_swept(1));
  for (const auto& id : devices)
    EXPECT_EQ(desired(id), id.shard == 1 ? "{}" : R"({"rate":1})");
  away = -1;
  EXPECT_TRUE(until_all_have(R"({"rate":1})"));
}

}  // namespace
}  // namespace orrery::actors
