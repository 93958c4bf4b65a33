#include "model/device/wire.hpp"

#include "model/device/fields.hpp"
#include "model/kind_wire.hpp"

namespace orrery::model::device {

static void write(byte_writer& out, const device_snapshot& s) {
  out.id(s.id);
  write_state(out, s.what ? *s.what : state{}, 0);
}

static void read(byte_reader& in, device_snapshot& s) {
  s.id = in.id();
  auto content = std::make_shared<state>();
  read_state(in, *content);
  s.what = std::move(content);
}

namespace {

constexpr std::uint8_t command_version = 1;
constexpr std::uint8_t reply_version = 1;

}  // namespace

void write_command(byte_writer& out, const command& c) {
  write_part(out, command_version, c);
}

status read_command(byte_reader& in, command& c) {
  return read_part(in, command_version, c, "device command");
}

void write_state(byte_writer& out, const state& s, std::uint64_t revision) {
  out.text(encode_state(s, revision));
  out.time(s.last_data);
}

std::uint64_t read_state(byte_reader& in, state& s) {
  const auto revision = decode_state(in.text(), s);
  s.last_data = in.time();
  if (!revision)
    in.fail();
  return revision ? *revision : 0;
}

void write_reply(byte_writer& out, const reply& r) {
  write_part(out, reply_version, r);
}

status read_reply(byte_reader& in, reply& r) {
  return read_part(in, reply_version, r, "device reply");
}

}  // namespace orrery::model::device
