// The bytes of one frame of the journal.
#pragma once

#include <string>
#include <string_view>

#include "model/result.hpp"
#include "storage/entity_store.hpp"

namespace orrery::storage {

/// Appends to `out`:
///
///   version u8 (1) | epoch varint | newest record's time svarint | count varint | records |
///   XXH3-64 of all before u64 record: ulid 16 | kind u8 | revision varint | time svarint | events
///   text
void encode_frame(const frame& f, std::string& out);

/// The records of a frame. Fails: `corrupted`.
model::result<frame> decode_frame(model::shard_id shard, std::uint64_t first_offset,
                                  std::string_view bytes);

/// Time of the newest record, without decoding or checking the rest; nothing for no frame.
std::optional<model::timestamp> frame_time(std::string_view bytes);

}  // namespace orrery::storage
