// Questions to all whom a topic concerns in one shard: each of them is asked, and whoever asked
// gets one answer, the sum of theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "actors/messages.hpp"
#include "cluster/topic_index.hpp"
#include "storage/entity_store.hpp"

namespace orrery::cluster {

/// On the thread of the shard's host.
class topic_questions {
 public:
  /// Questions of rounds have no number from here on.
  static constexpr auto first_number = std::uint64_t{1} << 62;

  /// `max_retained`: topics of one organisation in this shard.
  topic_questions(model::shard_id shard, std::size_t max_retained)
      : shard_{shard}, max_retained_{max_retained} {}

  /// Makes the index anew from the store's rows. Fails as the store.
  model::status load(const storage::entity_store& store);
  void note(const model::entity_id& id, const model::index_topic& what);

  /// What passes on its way to a client: filters count for whatever is asked behind it, though they
  /// are not committed; the client decides, in the same order.
  void see(const model::entity_id& client, const actors::ask& one);

  /// `too_many_requests` if it would retain a message more than the organisation may have.
  model::status admit(const actors::ask& one) const;
  /// Nothing: it is a question to one. Else those to be asked in its place, answers to `answers`;
  /// with nobody to ask it is answered, and there are none.
  std::optional<actors::ask_batch> spread(actors::ask& one, const actors::asker& answers);
  /// An answer with a number from first_number on.
  void take(actors::settled& item);

 private:
  struct gathering {
    actors::ask of;
    std::size_t missing = 0;
    actors::answer sum = actors::outcome{};
  };

  model::shard_id shard_;
  std::size_t max_retained_;
  topic_index index_;
  struct attached {
    std::string organisation;
    model::session_ref by;
  };
  std::unordered_map<model::entity_id, attached> attached_;  // clients that are here
  std::unordered_map<std::uint64_t, gathering> gatherings_;
  std::uint64_t last_number_ = first_number;
};

}  // namespace orrery::cluster
