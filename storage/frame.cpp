#include "storage/frame.hpp"

#include <algorithm>

#include <xxhash.h>

#include "model/bytes.hpp"

namespace orrery::storage {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::size_t checksum_size = 8;

}  // namespace

void encode_frame(const frame& f, std::string& out) {
  auto w = model::byte_writer{};
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
  if (in.u8() != version)
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
  if (!in.ok() || !in.at_end())
    return damaged();
  return f;
}

std::optional<model::timestamp> frame_time(std::string_view bytes) {
  auto in = model::byte_reader{bytes};
  const auto known = in.u8() == version;
  in.varint();
  const auto t = in.time();
  if (!known || !in.ok())
    return std::nullopt;
  return t;
}

}  // namespace orrery::storage
