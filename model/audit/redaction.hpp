// What of a request or a state may stand in an audit log: secrets never. They are known by the name
// of what they are in, and by what they look like. Pure; any thread.
#pragma once

#include <string_view>

#include "model/value.hpp"

namespace orrery::model::audit {

/// Stands where a secret was.
inline constexpr std::string_view redacted_text = "[redacted]";
/// A part of a record is no longer than this as JSON; longer texts in it are cut.
inline constexpr std::size_t max_part_bytes = 8 * 1024;
inline constexpr std::size_t max_text_bytes = 512;

/// True if what has that name is a secret: "deviceSecret", "password", "apiKey", "otp".
bool is_secret_name(std::string_view name);
/// True if that text looks like one, whatever it is called: a private key, a token, an API key, a
/// hash of a password, a URL with a password or something long and random in it.
bool looks_secret(std::string_view text);

/// How long texts, and a part in all, may be.
struct lengths {
  std::size_t text = max_text_bytes;
  std::size_t part = max_part_bytes;
};
/// Of what was refused.
inline constexpr auto short_lengths = lengths{128, 1024};

/// UTF-8, whatever it was: what is none of it becomes U+FFFD. At most `most` bytes of it, cut where
/// a character begins, if `most` is not 0.
std::string valid_text(std::string_view text, std::size_t most = 0);

/// Without secrets, all texts valid. Certificates and other PEM are named by their hash. What is
/// too long in all is an object with "omittedBytes".
value redacted(const value& v, const lengths& most = {});

/// What two states do not have in common, member by member.
struct difference {
  value before, after;  // both null: they say the same
};
difference difference_of(const value& before, const value& after);

}  // namespace orrery::model::audit
