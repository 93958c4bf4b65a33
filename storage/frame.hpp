// The bytes of one frame of the journal.
#pragma once

#include <string>
#include <string_view>

#include "model/result.hpp"
#include "storage/entity_store.hpp"

namespace orrery::storage {

/// Appends to `out`:
///
///   version u8 | epoch varint | newest record's time svarint | count varint | records | [count
///   varint | rows |] XXH3-64 of all before u64
///
///   record: ulid 16 | kind u8 | revision varint | time svarint | events text
///   row: family u8 | operation u8 | slice time svarint | key text | value text
///
/// Version 1 has no rows: its reader found them written beside it. With `carries_rows` a frame that
/// has rows is of version 2: they travel in it to other nodes and are applied once it is committed.
void encode_frame(const frame& f, std::string& out, bool carries_rows = false);

/// The records and rows of a frame. Fails: `corrupted`.
model::result<frame> decode_frame(model::shard_id shard, std::uint64_t first_offset,
                                  std::string_view bytes);

/// What a frame says of itself before its records; not checked.
struct frame_outline {
  std::uint64_t epoch = 0;
  std::uint64_t records = 0;
  bool has_rows = false;
};
std::optional<frame_outline> outline_of_frame(std::string_view bytes);

/// Time of the newest record, without decoding or checking the rest; nothing for no frame.
std::optional<model::timestamp> frame_time(std::string_view bytes);

}  // namespace orrery::storage
