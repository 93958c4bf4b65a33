// Which files belong to a backup: their names and sizes, with a digest over all of it.
//
//   {"backup":"20261125-025746","bytes":14,"count":2,"sha256":"<of what follows>","whole":true}
//   <owner>.<sha256> <size>
//   ...
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "storage/blobs.hpp"

namespace orrery::storage {

struct blob_entry {
  blob_name name;
  std::uint64_t size = 0;
  bool operator==(const blob_entry&) const = default;
};

/// The first line: what a list of backups shows of it.
struct blob_list_head {
  std::string backup;  // the id of its note
  std::uint64_t count = 0, bytes = 0;
  std::string sha256;  // of the lines below
  bool whole = false;  // false: the backup was not finished
  bool operator==(const blob_list_head&) const = default;
};

struct blob_list {
  std::string backup;
  bool whole = false;
  std::vector<blob_entry> blobs;  // in order of their names, each once
  bool operator==(const blob_list&) const = default;
};

/// The longest first line, with its end.
inline constexpr std::size_t most_blob_list_head_bytes = 512;
/// Some ten million files.
inline constexpr std::size_t most_blob_list_bytes = std::size_t{1} << 30;

/// An id that can be the name of a file: 1 to 64 characters of [A-Za-z0-9-].
bool is_backup_id(std::string_view id);

std::string encode(const blob_list& list);
/// `text`: at least the first line; what follows it is not looked at. Fails: `corrupted`.
model::result<blob_list_head> decode_blob_list_head(std::string_view text);
/// Fails: `corrupted`; `too_large` above most_blob_list_bytes.
model::result<blob_list> decode_blob_list(std::string_view text);

}  // namespace orrery::storage
