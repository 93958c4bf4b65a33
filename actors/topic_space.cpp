#include "actors/topic_space.hpp"

namespace orrery::actors {
namespace {

ask_batch one_question(model::shard_id shard, target whom, any_command what) {
  auto batch = ask_batch{.shard = shard, .asks = {}};
  auto& one = batch.asks.emplace_back();
  one.whom = std::move(whom);
  one.what = std::move(what);
  return batch;
}

}  // namespace

std::vector<ask_batch> publishing(const model::organisation::state& organisation,
                                  model::shared_message message, std::uint16_t shard_count) {
  auto batches = std::vector<ask_batch>{};
  if (message->retain) {
    const auto id = model::topic_id_of(organisation.id, message->topic, shard_count);
    batches.push_back(one_question(
        id.shard, id,
        model::topic::command{model::topic::retain{organisation.id, message}, "service", {}}));
  }
  for (const auto shard : organisation.topic_shards)
    if (shard < shard_count)
      batches.push_back(one_question(
          shard, topic_listeners{shard, organisation.id, message->topic},
          model::client::command{model::client::offer{message, false}, "service", {}}));
  return batches;
}

std::vector<ask_batch> looking_for_retained(const model::organisation::state& organisation,
                                            std::string_view filter, std::uint16_t shard_count) {
  const auto question = model::topic::command{model::topic::read_retained{}, "service", {}};
  auto batches = std::vector<ask_batch>{};
  if (filter.find_first_of("+#") == std::string_view::npos) {
    const auto id = model::topic_id_of(organisation.id, filter, shard_count);
    batches.push_back(one_question(id.shard, id, question));
    return batches;
  }
  for (const auto shard : organisation.topic_shards)
    if (shard < shard_count)
      batches.push_back(one_question(
          shard, retained_topics{shard, organisation.id, std::string{filter}}, question));
  return batches;
}

}  // namespace orrery::actors
