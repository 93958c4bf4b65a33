// What replicas say to each other, as bytes.
//
//   version u8 | shard varint | type u8 | fields
//
//   append_entries   epoch | before epoch | before index | commit | recovered | count | entries
//                    {epoch, index, frame text}
//   append_done      epoch | index | incarnation
//   append_refused   epoch | index
//   copy_begun       copy | epoch | at epoch | at index | recovered
//   copy_rows        copy | number | count | rows {family u8, slice time, key text, value text}
//   copy_ended       copy | number of the last
//   copy_taken       copy | number | accepted u8
//   applied_up_to    epoch | index
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cluster/replica.hpp"
#include "model/result.hpp"
#include "storage/entity_store.hpp"

namespace orrery::cluster {

/// The state of a shard as of a committed entry, in parts that the other side answers for.
/// `copy`: a number of the sender's.
struct copy_begun {
  std::uint64_t copy = 0;
  std::uint64_t epoch = 0;
  log_position at{};
  std::uint64_t recovered = 0;  // shard_record's
};
struct copy_rows {
  std::uint64_t copy = 0;
  std::uint64_t number = 0;  // 1, 2, ...
  std::vector<storage::row> rows{};
};
struct copy_ended {
  std::uint64_t copy = 0;
  std::uint64_t parts = 0;
};
/// `number` 0 answers the beginning, `parts` + 1 the end.
struct copy_taken {
  std::uint64_t copy = 0;
  std::uint64_t number = 0;
  bool accepted = false;
};

/// What is committed up to there is applied at the sender: whoever reads it there sees it.
struct applied_up_to {
  std::uint64_t epoch = 0;
  std::uint64_t index = 0;
};

using replica_envelope = std::variant<append_entries, append_done, append_refused, copy_begun,
                                      copy_rows, copy_ended, copy_taken, applied_up_to>;
struct addressed {
  model::shard_id shard = 0;
  replica_envelope what;
};

std::string encode_replica(model::shard_id shard, const replica_envelope& what);
/// Fails: `invalid_argument`: damaged, or of a newer version.
model::result<addressed> decode_replica(std::string_view bytes);

}  // namespace orrery::cluster
