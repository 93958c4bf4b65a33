// What is asked of an operation and what it answers, as bytes between nodes
// (model/kind_wire.hpp).
#pragma once

#include "model/bytes.hpp"
#include "model/operation/operation.hpp"

namespace orrery::model::operation {

void write_command(byte_writer& out, const command& c);
/// Into a fresh `c`. Fails, and `in` with it: `corrupted`.
status read_command(byte_reader& in, command& c);

void write_reply(byte_writer& out, const reply& r);
/// Into a fresh `r`. Fails, and `in` with it: `corrupted`.
status read_reply(byte_reader& in, reply& r);

}  // namespace orrery::model::operation
