// What is asked of a device and what it answers, as bytes between nodes (model/kind_wire.hpp).
#pragma once

#include "model/bytes.hpp"
#include "model/device/device.hpp"

namespace orrery::model::device {

void write_command(byte_writer& out, const command& c);
/// Into a fresh `c`. Fails, and `in` with it: `corrupted`.
status read_command(byte_reader& in, command& c);

/// A device without telemetry, but with the time of its last data, which its snapshot does not
/// have.
void write_state(byte_writer& out, const state& s, std::uint64_t revision);
/// Into a fresh `s`; gives the revision. What does not decode fails the reader.
std::uint64_t read_state(byte_reader& in, state& s);

void write_reply(byte_writer& out, const reply& r);
/// Into a fresh `r`. Fails, and `in` with it: `corrupted`.
status read_reply(byte_reader& in, reply& r);

}  // namespace orrery::model::device
