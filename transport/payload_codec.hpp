// The forms in which a client may pack the payloads of its whole connection. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace orrery::transport {

///   gzip  one member (RFC 1952)
///   lz4   blocks: "LZ4Block", method and size class u8, packed length, plain length, checksum
///         (little-endian u32: XXH32 of the plain bytes, 28 bits of it), data; an empty one ends
///   lzo   blocks: plain length, packed length (big-endian u32), an LZO1X stream; no end
enum class compression : unsigned char { none, gzip, lz4, lzo };

/// The payload as it is sent.
std::string compress(compression form, std::string_view plain);

/// The payload as it was before it was packed; nothing at all is an empty one in every form. Fails:
/// `invalid_argument` with reason "payload_invalid" (damaged, cut short, or followed by anything),
/// `too_large` with reason "payload_too_large" if it has more than `max_bytes`. Never takes more
/// memory than those and a buffer of a fixed size.
model::result<std::string> decompress(compression form, std::string_view packed,
                                      std::size_t max_bytes);

}  // namespace orrery::transport
