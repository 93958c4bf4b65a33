// Events, snapshots and rows of a device as bytes: an old form is read for ever, a new one gets a
// new version.
//
//   events   version u8 (1) | events (model/kind_encoding.hpp)
//   state    version u8 (2) | revision varint | fields but the last one, layers of configurations
//            version u8 (3) | revision varint | fields: what has layers
//            version u8 (4) | revision varint | fields | renaming | alias: what has one of them
//            version u8 (5) | as 4 | retirement | mirrored | mirrors: what has one of them
//   latest   version u8 (1) | revision varint | last data time | points
//   command  version u8 (1) | fields
#include "model/device/fields.hpp"
#include "model/kind_encoding.hpp"

namespace orrery::model::device {

namespace {

constexpr std::uint8_t version = 1;
constexpr std::uint8_t state_version = 3;
constexpr std::uint8_t state_without_layers = 2;  // 1: without groups, override, twin's versions
constexpr std::uint8_t renamed_state_version = 4;
constexpr std::uint8_t mirrored_state_version = 5;

failure damaged(std::string_view what) {
  return {errc::corrupted,
          "device " + std::string{what} + " does not decode: damaged, or of a newer version"};
}

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "device");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  const auto is_renamed = !s.renaming().empty() || !s.alias().empty();
  const auto is_more = !s.retirement().empty() || !s.mirrored().empty() || !s.mirrors().empty();
  if (!is_renamed && !is_more && !s.layers().empty())
    return encode_snapshot(state_version, s, revision);
  if (!is_renamed && !is_more) {
    auto none = byte_writer{};
    write(none, layering{});
    auto bytes = encode_snapshot(state_without_layers, s, revision);
    bytes.resize(bytes.size() - none.take().size());
    return bytes;
  }
  auto out = byte_writer{};
  out.u8(is_more ? mirrored_state_version : renamed_state_version);
  out.varint(revision);
  write(out, s);
  write(out, s.renaming());
  write(out, s.alias());
  if (is_more) {
    write(out, s.retirement());
    write(out, s.mirrored());
    write(out, s.mirrors());
  }
  return out.take();
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  const auto found = bytes.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(bytes.front());
  if (found == state_without_layers) {
    // Layers are the last of it: one of before has none.
    auto none = byte_writer{};
    write(none, layering{});
    auto whole = std::string{bytes} + none.take();
    whole.front() = static_cast<char>(state_version);
    return decode_snapshot(state_version, whole, s, "device");
  }
  if (found != renamed_state_version && found != mirrored_state_version)
    return decode_snapshot(state_version, bytes, s, "device");
  auto in = byte_reader{bytes};
  in.u8();
  const auto revision = in.varint();
  read(in, s);
  auto renamed = renaming{};
  auto alias = name_alias{};
  read(in, renamed);
  read(in, alias);
  auto gone = retirement{};
  auto mirrored = mirroring{};
  auto mirrors = std::vector<mirror_link>{};
  if (found == mirrored_state_version) {
    read(in, gone);
    read(in, mirrored);
    read(in, mirrors);
  }
  if (!in.ok() || !in.at_end())
    return damaged("snapshot");
  auto& family = s.family.edit();
  if (!renamed.empty())
    family.renaming = std::move(renamed);
  if (!alias.empty())
    family.alias = alias;
  if (!gone.empty())
    family.retirement = std::move(gone);
  if (!mirrored.empty())
    family.mirrored = std::move(mirrored);
  if (!mirrors.empty())
    family.mirrors = std::move(mirrors);
  return revision;
}

std::string encode_latest(const telemetry& t, std::uint64_t revision, timestamp last_data) {
  auto out = byte_writer{};
  out.u8(version);
  out.varint(revision);
  out.time(last_data);
  write(out, t.latest);
  return out.take();
}

result<std::uint64_t> decode_latest(std::string_view bytes, telemetry& t, timestamp& last_data) {
  auto in = byte_reader{bytes};
  if (in.u8() != version)
    return damaged("latest values");
  const auto revision = in.varint();
  last_data = in.time();
  t.latest.clear();
  read(in, t.latest);
  if (!in.ok() || !in.at_end())
    return damaged("latest values");
  return revision;
}

std::string encode_command(const command_record& c) {
  return write_versioned(version, c);
}

result<command_record> decode_command(std::string_view bytes) {
  auto c = command_record{};
  if (!read_versioned(version, bytes, c))
    return damaged("command");
  return c;
}

}  // namespace orrery::model::device
