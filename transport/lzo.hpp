// LZO1X: the decoder, and an encoder that stores. For the payload codec alone.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace orrery::transport {

/// Unpacks a whole LZO1X stream, its end mark included, and appends exactly `plain_bytes` to
/// `plain`. False if the stream is damaged, gives more or fewer bytes, or does not end where
/// `packed` ends; then what is appended means nothing. Takes no memory beyond `plain_bytes`.
[[nodiscard]] bool unpack_lzo1x(std::string_view packed, std::size_t plain_bytes,
                                std::string& plain);

/// Appends `plain` as a stream of one run of literals and the end mark: valid LZO1X that is a
/// little longer than the input. Requires: at least one byte.
void store_lzo1x(std::string_view plain, std::string& packed);

}  // namespace orrery::transport
