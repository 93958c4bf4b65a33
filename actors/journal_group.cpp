#include "actors/journal_group.hpp"

#include <utility>

namespace orrery::actors {

void entry_group::add(entry_batch batch) {
  for (const auto& e : batch.entries)
    bytes += cost_of(e);
  records += batch.entries.size();
  batches.push_back(std::move(batch));
}

entry_group entry_group::take() {
  auto all = std::exchange(*this, {});
  batches.reserve(all.batches.size());
  return all;
}

void refuse(entry& e, const model::failure& why) {
  e.reply = model::failure{model::errc::unavailable, why.reason, why.detail};
  e.record.reset();
  e.rows.clear();
  e.effects.clear();
  e.feed.what.reset();
  e.catalogue.reset();
}

void refuse_lost(entry_group& group, const shard_table& shards) {
  group.each([&](entry& e) {
    const auto status = shards.find(e.shard);
    if (status == shards.end() || e.generation != status->second->generation.load())
      refuse(e, {model::errc::unavailable, "write_lost", "an earlier write failed; ask again"});
  });
}

void settle(entry_group& group, commit_effects& effects) {
  auto feed = std::vector<published>{};
  group.each([&](entry& e) {
    if (e.catalogue)
      effects.change_catalogue(*e.catalogue);
    for (const auto& effect : e.effects)
      effects.run(effect, e.entity);
    if (e.feed.what)
      feed.push_back(std::move(e.feed));
    if (e.reply) {
      e.reply->shard = e.shard;
      e.reply->offset = e.feed.offset;
    }
  });
  if (!feed.empty())
    effects.publish(std::move(feed));
  answer_all(group);
}

void answer_all(entry_group& group) {
  auto to = asker{};
  auto answers = std::vector<settled>{};
  group.each([&](entry& e) {
    if (e.to && e.number != 0) {
      if (!(e.to == to)) {
        if (!answers.empty())
          to.settle(std::exchange(answers, {}));
        to = std::move(e.to);
      }
      answers.push_back({e.number, std::move(e.reply)});
    }
    if (e.in_flight)
      e.in_flight->fetch_sub(1, std::memory_order_release);
  });
  if (!answers.empty())
    to.settle(std::move(answers));
}

}  // namespace orrery::actors
