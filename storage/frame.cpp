#include "storage/frame.hpp"

#include <algorithm>

#include <xxhash.h>

#include "model/bytes.hpp"

namespace orrery::storage {
namespace {

constexpr std::uint8_t plain = 1, with_rows = 2;  // versions
constexpr std::size_t checksum_size = 8;

}  // namespace

void encode_frame(const frame& f, std::string& out, bool carries_rows) {
  auto w = model::byte_writer{};
  const auto version = carries_rows && !f.rows.empty() ? with_rows : plain;
  w.u8(version);
  w.varint(f.epoch);
  auto newest = model::timestamp::min();
  for (const auto& r : f.records)
    newest = std::max(newest, r.time);
  w.time(newest);
  w.varint(f.records.size());
  for (const auto& r : f.records) {
    w.raw({reinterpret_cast<const char*>(r.entity.ulid.data()), r.entity.ulid.size()});
    w.u8(static_cast<std::uint8_t>(r.kind));
    w.varint(r.revision);
    w.time(r.time);
    w.text(r.events);
  }
  if (version == with_rows) {
    w.varint(f.rows.size());
    for (const auto& r : f.rows) {
      w.u8(static_cast<std::uint8_t>(r.family));
      w.u8(static_cast<std::uint8_t>(r.operation));
      w.time(r.slice_time);
      w.text(r.key);
      w.text(r.value);
    }
  }
  w.u64(XXH3_64bits(w.bytes().data(), w.size()));
  out += w.bytes();
}

model::result<frame> decode_frame(model::shard_id shard, std::uint64_t first_offset,
                                  std::string_view bytes) {
  const auto damaged = [&] {
    return model::failure{model::errc::corrupted, "storage_corrupt",
                          "journal of shard " + std::to_string(shard) + ", frame at offset " +
                              std::to_string(first_offset) + " is damaged"};
  };
  if (bytes.size() < checksum_size)
    return damaged();
  const auto body = bytes.substr(0, bytes.size() - checksum_size);
  auto end = model::byte_reader{bytes.substr(body.size())};
  if (end.u64() != XXH3_64bits(body.data(), body.size()))
    return damaged();
  auto in = model::byte_reader{body};
  const auto version = in.u8();
  if (version != plain && version != with_rows)
    return damaged();
  auto f = frame{.shard = shard,
                 .epoch = in.varint(),
                 .first_offset = first_offset,
                 .records = {},
                 .rows = {}};
  in.time();
  for (auto n = in.count(); n > 0 && in.ok(); --n) {
    auto& r = f.records.emplace_back();
    r.entity.shard = shard;
    const auto ulid = in.raw(r.entity.ulid.size());
    std::copy(ulid.begin(), ulid.end(), r.entity.ulid.begin());
    r.kind = static_cast<model::entity_kind>(in.u8());
    r.revision = in.varint();
    r.time = in.time();
    r.events = in.text();
  }
  if (version == with_rows)
    for (auto n = in.count(); n > 0 && in.ok(); --n) {
      const auto in_family = in.u8(), operation = in.u8();
      if (in_family > static_cast<std::uint8_t>(last_family) ||
          operation > static_cast<std::uint8_t>(last_operation))
        return damaged();
      auto& r = f.rows.emplace_back();
      r.family = static_cast<family>(in_family);
      r.operation = static_cast<row_operation>(operation);
      r.slice_time = in.time();
      r.key = in.text();
      r.value = in.text();
    }
  if (!in.ok() || !in.at_end())
    return damaged();
  return f;
}

std::optional<model::timestamp> frame_time(std::string_view bytes) {
  auto in = model::byte_reader{bytes};
  const auto version = in.u8();
  in.varint();
  const auto t = in.time();
  if ((version != plain && version != with_rows) || !in.ok())
    return std::nullopt;
  return t;
}

std::optional<frame_outline> outline_of_frame(std::string_view bytes) {
  auto in = model::byte_reader{bytes};
  const auto version = in.u8();
  auto found = frame_outline{.epoch = in.varint()};
  in.time();
  found.records = in.varint();
  found.has_rows = version == with_rows;
  if ((version != plain && version != with_rows) || !in.ok())
    return std::nullopt;
  return found;
}

}  // namespace orrery::storage
