#include "model/audit/wire.hpp"

#include "model/audit/fields.hpp"
#include "model/kind_wire.hpp"

namespace orrery::model::audit {
namespace {

constexpr std::uint8_t command_version = 1;
constexpr std::uint8_t reply_version = 1;

}  // namespace

void write_command(byte_writer& out, const command& c) {
  write_part(out, command_version, c);
}

status read_command(byte_reader& in, command& c) {
  return read_part(in, command_version, c, "audit command");
}

void write_reply(byte_writer& out, const reply& r) {
  write_part(out, reply_version, r);
}

status read_reply(byte_reader& in, reply& r) {
  return read_part(in, reply_version, r, "audit reply");
}

}  // namespace orrery::model::audit
