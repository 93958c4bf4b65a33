// What is asked of an audit log and what it answers, as bytes between nodes (model/kind_wire.hpp).
#pragma once

#include "model/audit/audit.hpp"
#include "model/bytes.hpp"

namespace orrery::model::audit {

void write_command(byte_writer& out, const command& c);
/// Into a fresh `c`. Fails, and `in` with it: `corrupted`.
status read_command(byte_reader& in, command& c);

void write_reply(byte_writer& out, const reply& r);
/// Into a fresh `r`. Fails, and `in` with it: `corrupted`.
status read_reply(byte_reader& in, reply& r);

}  // namespace orrery::model::audit
