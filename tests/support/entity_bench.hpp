// One entity under test with a real journal behind it and a host that records.
#pragma once

#include <gtest/gtest.h>

#include "tests/support/builders.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/recording.hpp"
#include "tests/support/spawn.hpp"
#include "tests/support/stage.hpp"

namespace orrery::tests {

/// The fixture of tests of single entities; it ends every actor it spawned.
class entity_bench : public testing::Test {
 protected:
  entity_bench() {
    fill(*known);
    (*shards)[1] = status;
    (*shards)[model::catalogue_shard] = std::make_shared<actors::shard_status>();
    journal = spawn_journal_here(stage.system(), {.store = store,
                                                  .effects = effects,
                                                  .shards = shards,
                                                  .figures = figures,
                                                  .options = {.now = stage.clock.reader()},
                                                  .on_write_lost = [this](actors::write_lost lost) {
                                                    lost_writes.push_back(lost);
                                                  }});
    host = stage.system().spawn(
        [](actors::host_actor::pointer, entity_bench* kept) -> actors::host_actor::behavior_type {
          return {[kept](actors::settled_batch& batch) {
                    for (auto& item : batch.items)
                      kept->host_settled.push_back(std::move(item));
                  },
                  [](const actors::ask_batch&) {},
                  [kept](const actors::rest_answer& a) { kept->rested.push_back(a.rested); },
                  [](const actors::reminder&) {},
                  [](const actors::topic_note&) {},
                  [](const actors::write_lost&) {},
                  [](actors::host_tick) {},
                  [](const actors::shard_role&) {},
                  [](actors::look_for_lost_sessions) {}};
        },
        this);
    context.journal = journal;
    context.figures = figures;
    context.store = store;
    context.known = known;
    context.keys = std::make_shared<model::keyring>(keys());
    context.now = stage.clock.reader();
    context.shard = status;
    context.host = host;
    context.feed_wanted = feed_wanted;
    context.unsaved_points_max = 100;
  }
  ~entity_bench() override {
    rest();
    stage.kill(journal);
    stage.kill(host);
    stage.run();
  }

  /// Wakes the entity, as after a rest or a restart.
  void wake(model::entity_kind kind = model::entity_kind::device, actors::tail unsaved = {}) {
    rest();
    door = std::make_shared<actors::gate>();
    auto its = std::make_shared<const actors::entity_context>(context);
    entity = wake_entity(stage.system(), kind, id, std::move(its), std::move(unsaved), door);
    stage.run();
  }
  /// Ends the entity without a word, as a crash would.
  void rest() {
    if (entity)
      stage.kill(entity);
    stage.run();
  }
  std::uint64_t send(actors::any_command what) {
    auto batch = actors::ask_batch{.shard = id.shard, .asks = {}};
    batch.asks.push_back({asker.handle(), ++numbers, id, std::move(what)});
    caf::anon_send(entity, std::move(batch));
    return numbers;
  }
  actors::answer ask(actors::any_command what) {
    const auto number = send(std::move(what));
    stage.run();
    const auto* got = asker.to(number);
    EXPECT_TRUE(got) << "nobody answered question " << number;
    return got ? *got : actors::answer{model::failure{model::errc::internal, "nobody answered"}};
  }
  actors::answer ask(model::device::order what) { return ask(order(std::move(what))); }
  /// The revision after a question that must be granted.
  std::uint64_t must(const actors::answer& got) {
    EXPECT_TRUE(got) << (got ? "" : got.error().detail);
    return got ? got->revision : 0;
  }
  model::errc code_of(const actors::answer& got) {
    EXPECT_FALSE(got);
    return got ? model::errc::internal : got.error().code;
  }
  /// The way to the entity that a question which wants it is answered with.
  std::shared_ptr<const actors::doorway> way_in() {
    auto batch = actors::ask_batch{.shard = id.shard, .asks = {}};
    batch.asks.push_back(
        {asker.handle(), ++numbers, id, order(model::device::read_device{}), true});
    caf::anon_send(entity, std::move(batch));
    stage.run();
    const auto* got = asker.to(numbers);
    EXPECT_TRUE(got && *got && (*got)->way);
    return got && *got ? (*got)->way : nullptr;
  }
  void add_device() { must(ask(model::device::order{registration(name)})); }
  model::session_ref log_in(std::uint64_t number = 1) {
    auto how = login(name);
    how.session = {7, number, 0};
    const auto got = ask(std::move(how));
    const auto* granted = reply_of<model::device::connection_granted>(got);
    EXPECT_TRUE(granted) << (got ? "" : got.error().detail);
    return {7, number, granted ? granted->epoch : 0};
  }
  model::device::state state_of() {
    const auto got = ask(model::device::read_device{});
    const auto* found = reply_of<model::device::device_snapshot>(got);
    EXPECT_TRUE(found) << (got ? "" : got.error().detail);
    return found ? *found->what : model::device::state{};
  }
  /// Newest value of a point as text; "" if there is none.
  std::string latest(const std::string& point);
  /// How many samples are in the entity and not in the store.
  std::size_t unsaved();
  /// The journal's records of the entity as the tail that its host would give it.
  actors::tail tail_from(std::uint64_t offset) const;

  tests::stage stage;
  tests::recorder asker{stage};
  std::shared_ptr<memory_store> store = std::make_shared<memory_store>();
  std::shared_ptr<recording_effects> effects = std::make_shared<recording_effects>();
  std::shared_ptr<actors::shard_table> shards = std::make_shared<actors::shard_table>();
  std::shared_ptr<actors::shard_status> status = std::make_shared<actors::shard_status>();
  std::shared_ptr<actors::journal_figures> figures = std::make_shared<actors::journal_figures>();
  std::shared_ptr<actors::catalogue> known = std::make_shared<actors::catalogue>();
  std::shared_ptr<std::atomic<bool>> feed_wanted = std::make_shared<std::atomic<bool>>(false);
  std::vector<actors::write_lost> lost_writes;
  std::vector<actors::settled> host_settled;
  std::vector<bool> rested;
  actors::entity_context context;
  actors::journal_actor journal;
  actors::host_actor host;
  actors::entity_actor entity;
  std::shared_ptr<actors::gate> door;  // of the entity
  model::entity_id id = device_id(1, 1);
  model::device_name name{product_key, "dk"};
  std::uint64_t numbers = 0;
};

}  // namespace orrery::tests
