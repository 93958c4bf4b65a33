// Links to files that are good without a login, for a time: what they name is signed, so any node
// that has the key can tell who may do what. And which part of a file a request wants.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/ids.hpp"
#include "model/time.hpp"

namespace orrery::transport {

struct file_link {
  enum class use : std::uint8_t { upload = 0, download = 1 };
  use what = use::download;
  std::string organisation;
  model::entity_id device;
  std::string file;        // its id among those of the device
  std::uint64_t size = 0;  // bytes
  std::string sha256;      // of a download
  model::timestamp expires;
  bool operator==(const file_link&) const = default;
};

/// base64url of: HMAC-SHA256 of the rest, 32 bytes | version u8 (1) | fields in their order.
std::string sign_link(const file_link& link, const std::string& key);
/// Nothing if it was not signed with that key or is longer than 1 KiB. Whether its time is over is
/// for the caller to say. The signature is compared in constant time, and nothing of the rest is
/// looked at before.
std::optional<file_link> read_link(std::string_view token, const std::string& key);

/// Bytes of a file: `first` to before `first + size`.
struct file_part {
  enum class kind : std::uint8_t { whole, part, none } what = kind::whole;
  std::uint64_t first = 0, size = 0;
  bool operator==(const file_part&) const = default;
};
/// What the fields Range and If-Range ask of a file of that size (RFC 9110, 14.2 and 13.1.5).
/// Several ranges, other units and what is malformed count for nothing: the whole file is given.
/// `none`: the range lies behind the end. `tag`: the file's strong entity tag, with its quotes.
file_part part_of(std::string_view range, std::string_view if_range, std::string_view tag,
                  std::uint64_t size);

/// A Content-Disposition that has a browser keep the file under its name (RFC 6266).
std::string disposition_of(std::string_view name);

}  // namespace orrery::transport
