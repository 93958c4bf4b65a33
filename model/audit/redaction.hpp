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

/// Without secrets. Certificates and other PEM are named by their hash. What is too long in all is
/// an object with "omittedBytes".
value redacted(const value& v);

/// What two states do not have in common, member by member.
struct difference {
  value before, after;  // both null: they say the same
};
difference difference_of(const value& before, const value& after);

}  // namespace orrery::model::audit
