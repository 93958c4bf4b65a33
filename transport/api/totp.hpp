// Codes of a second factor: six digits that follow from a secret and the time (RFC 6238, with
// HMAC-SHA-1 and steps of 30 seconds, as apps on phones have it).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/time.hpp"

namespace orrery::transport::api {

/// 20 bytes from the cryptographic generator; "" if there are none to be had.
std::string make_totp_secret();
/// RFC 4648, 6, without the padding: as people type it.
std::string to_base32(std::string_view bytes);
/// What a phone reads from a picture: "otpauth://totp/...".
std::string totp_uri(std::string_view secret, std::string_view organisation,
                     std::string_view login);

/// The number of the step that a time is in.
std::uint64_t totp_step(model::timestamp now);
/// The code of a step: six digits.
std::string totp_code(std::string_view secret, std::uint64_t step);
/// The step that `code` is of: the one now, or one before or behind it, for clocks differ. Takes as
/// long for a wrong code as for a right one.
std::optional<std::uint64_t> find_totp_step(std::string_view secret, std::string_view code,
                                            model::timestamp now);
/// Another thing that counts once in place of a code: ten letters and digits.
std::string make_spare_code();

}  // namespace orrery::transport::api
