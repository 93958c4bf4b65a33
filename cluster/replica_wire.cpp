#include "cluster/replica_wire.hpp"

#include "model/bytes.hpp"
#include "storage/frame.hpp"

namespace orrery::cluster {
namespace {

constexpr std::uint8_t version = 1;

void put(model::byte_writer& out, const log_position& p) {
  out.varint(p.epoch);
  out.varint(p.index);
}
log_position position(model::byte_reader& in) {
  const auto epoch = in.varint();
  return {epoch, in.varint()};
}

void put(model::byte_writer& out, const append_entries& m) {
  out.varint(m.epoch);
  put(out, m.before);
  out.varint(m.commit);
  out.varint(m.recovered);
  out.varint(m.entries.size());
  for (const auto& e : m.entries) {
    put(out, e.at);
    out.text(*e.bytes);
  }
}
void take(model::byte_reader& in, append_entries& m) {
  m.epoch = in.varint();
  m.before = position(in);
  m.commit = in.varint();
  m.recovered = in.varint();
  auto at = m.before;
  for (auto n = in.count(); n > 0 && in.ok(); --n) {
    auto& e = m.entries.emplace_back();
    e.at = position(in);
    e.bytes = std::make_shared<const std::string>(in.text());
    // A log takes entries in order, each with as many records as its position says.
    const auto frame = storage::outline_of_frame(*e.bytes);
    if (!frame || frame->records == 0 || frame->epoch != e.at.epoch || e.at.epoch < at.epoch ||
        e.at.epoch > m.epoch || e.at.index <= at.index || e.at.index - at.index != frame->records)
      return in.fail();
    at = e.at;
  }
}

void put(model::byte_writer& out, const append_done& m) {
  out.varint(m.epoch);
  out.varint(m.index);
  out.varint(m.incarnation);
}
void take(model::byte_reader& in, append_done& m) {
  m.epoch = in.varint();
  m.index = in.varint();
  m.incarnation = in.varint();
}

void put(model::byte_writer& out, const append_refused& m) {
  out.varint(m.epoch);
  out.varint(m.index);
}
void take(model::byte_reader& in, append_refused& m) {
  m.epoch = in.varint();
  m.index = in.varint();
}

void put(model::byte_writer& out, const copy_begun& m) {
  out.varint(m.copy);
  out.varint(m.epoch);
  put(out, m.at);
  out.varint(m.recovered);
}
void take(model::byte_reader& in, copy_begun& m) {
  m.copy = in.varint();
  m.epoch = in.varint();
  m.at = position(in);
  m.recovered = in.varint();
}

void put(model::byte_writer& out, const copy_rows& m) {
  out.varint(m.copy);
  out.varint(m.number);
  out.varint(m.rows.size());
  for (const auto& r : m.rows) {
    out.u8(static_cast<std::uint8_t>(r.family));
    out.time(r.slice_time);
    out.text(r.key);
    out.text(r.value);
  }
}
void take(model::byte_reader& in, copy_rows& m) {
  m.copy = in.varint();
  m.number = in.varint();
  for (auto n = in.count(); n > 0 && in.ok(); --n) {
    const auto family = in.u8();
    if (family > static_cast<std::uint8_t>(storage::last_family))
      return in.fail();
    auto& r = m.rows.emplace_back();
    r.family = static_cast<storage::family>(family);
    r.slice_time = in.time();
    r.key = in.text();
    r.value = in.text();
  }
}

void put(model::byte_writer& out, const copy_ended& m) {
  out.varint(m.copy);
  out.varint(m.parts);
}
void take(model::byte_reader& in, copy_ended& m) {
  m.copy = in.varint();
  m.parts = in.varint();
}

void put(model::byte_writer& out, const copy_taken& m) {
  out.varint(m.copy);
  out.varint(m.number);
  out.boolean(m.accepted);
}
void take(model::byte_reader& in, copy_taken& m) {
  m.copy = in.varint();
  m.number = in.varint();
  m.accepted = in.boolean();
}

void put(model::byte_writer& out, const applied_up_to& m) {
  out.varint(m.epoch);
  out.varint(m.index);
}
void take(model::byte_reader& in, applied_up_to& m) {
  m.epoch = in.varint();
  m.index = in.varint();
}

template <std::size_t... Is>
bool emplace(replica_envelope& v, std::size_t type, std::index_sequence<Is...>) {
  return ((type == Is && (v.emplace<Is>(), true)) || ...);
}

}  // namespace

std::string encode_replica(model::shard_id shard, const replica_envelope& what) {
  auto out = model::byte_writer{};
  out.u8(version);
  out.varint(shard);
  out.u8(static_cast<std::uint8_t>(what.index()));
  std::visit([&](const auto& m) { put(out, m); }, what);
  return out.take();
}

model::result<addressed> decode_replica(std::string_view bytes) {
  auto in = model::byte_reader{bytes};
  auto got = addressed{};
  const auto known = in.u8() == version;
  const auto shard = in.varint();
  const auto type = in.u8();
  got.shard = static_cast<model::shard_id>(shard);
  constexpr auto types = std::make_index_sequence<std::variant_size_v<replica_envelope>>{};
  if (!known || shard > model::catalogue_shard || !emplace(got.what, type, types))
    in.fail();
  else
    std::visit([&](auto& m) { take(in, m); }, got.what);
  if (!in.ok() || !in.at_end())
    return model::failure{model::errc::invalid_argument,
                          "a message between replicas is damaged, or of a newer version"};
  return got;
}

}  // namespace orrery::cluster
