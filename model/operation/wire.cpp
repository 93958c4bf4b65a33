#include "model/operation/wire.hpp"

#include "model/kind_wire.hpp"
#include "model/operation/fields.hpp"

namespace orrery::model::operation {
namespace {

constexpr std::uint8_t command_version = 1;
constexpr std::uint8_t reply_version = 1;

}  // namespace

void write_command(byte_writer& out, const command& c) {
  write_part(out, command_version, c);
}

status read_command(byte_reader& in, command& c) {
  return read_part(in, command_version, c, "operation command");
}

void write_reply(byte_writer& out, const reply& r) {
  write_part(out, reply_version, r);
}

status read_reply(byte_reader& in, reply& r) {
  return read_part(in, reply_version, r, "operation reply");
}

}  // namespace orrery::model::operation
