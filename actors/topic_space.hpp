// How a message on a general topic reaches those who listen: the questions that a publish is made
// of. The clients of an organisation are in few shards (model/topic_message.hpp); the catalogue
// says in which there are any.
#pragma once

#include <memory>
#include <vector>

#include "actors/messages.hpp"
#include "model/organisation/organisation.hpp"

namespace orrery::actors {

/// Offers the message to all who listen, and keeps it if it is to be retained: a batch for each
/// shard, without asker and numbers.
std::vector<ask_batch> publishing(const model::organisation::state& organisation,
                                  model::shared_message message, std::uint16_t shard_count);
/// Asks for the retained messages that a filter matches.
std::vector<ask_batch> looking_for_retained(const model::organisation::state& organisation,
                                            std::string_view filter, std::uint16_t shard_count);

}  // namespace orrery::actors
