// Files as they were given, in a folder of their own: each is named by whose it is and by the
// SHA-256 of its bytes, and is there whole or not at all.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"

namespace orrery::storage {

/// Whose bytes, and which. Two owners of the same bytes have a file each: none can take the other's
/// away, or learn that somebody has them.
struct blob_name {
  std::string owner;   // 1 to 64 characters of [a-z0-9-]
  std::string sha256;  // 64 lower-case hex digits
  auto operator<=>(const blob_name&) const = default;
};
bool is_valid(const blob_name& name);
/// "<owner>.<sha256>", as its file is named.
std::string to_string(const blob_name& name);
std::optional<blob_name> parse_blob_name(std::string_view file);

/// What was written: the digests in lower-case hex.
struct blob_facts {
  std::string sha256, md5;
  std::uint64_t size = 0;
};
struct listed_blob {
  blob_name name;
  std::uint64_t size = 0;
  std::int64_t written_at = 0;  // seconds since 1970, by the file's own time
};

class blobs;

/// Bytes on their way in, in a file with a temporary name; if it is not kept that goes with the
/// writer. Everything blocks; one thread at a time.
class blob_writer {
 public:
  ~blob_writer();
  blob_writer(const blob_writer&) = delete;
  blob_writer& operator=(const blob_writer&) = delete;

  /// Fails: `unavailable`, "disk_full" or "blob_not_written"; nothing can be added then.
  model::status append(std::string_view bytes);
  std::uint64_t size() const { return size_; }
  /// Nothing went wrong, and it is not finished.
  bool takes_more() const { return !failed_ && facts_.sha256.empty(); }
  /// Nothing went wrong, and all of it is on the disk: it may be kept, also once more.
  bool is_finished() const { return !failed_ && !facts_.sha256.empty(); }
  /// Puts all of it on the disk and says what it is. No more can be added. Fails as append.
  model::result<blob_facts> finish();
  /// Bytes of what was appended, before or after finish(): for whoever copies them. Fails as
  /// blobs::read.
  model::result<std::string> read(std::uint64_t offset, std::size_t most) const;
  /// Gives it its name, on the disk too. After finish(); once more, for the same owner, it sees
  /// that it is still there, and its age begins anew. Fails as append; `invalid_argument` for a
  /// name that is none.
  model::status keep(const std::string& owner);

 private:
  friend class blobs;
  struct hashes;
  explicit blob_writer(std::shared_ptr<blobs> in);

  std::shared_ptr<blobs> in_;
  std::string path_;
  int file_ = -1;
  std::uint64_t size_ = 0;
  std::unique_ptr<hashes> hashes_;
  blob_facts facts_;
  bool failed_ = false, kept_ = false;
};

/// Thread-safe; everything blocks for as long as the disk does.
class blobs : public std::enable_shared_from_this<blobs> {
 public:
  /// Makes the folder if it is not there, and sweeps what an earlier run has left unfinished.
  /// Fails: `unavailable`, "blob_not_written".
  static model::result<std::shared_ptr<blobs>> open(std::string folder);
  /// To read from: changes nothing, so what is on its way in may be another process's. Fails: as
  /// open(), if it is not there too.
  static model::result<std::shared_ptr<blobs>> open_as_it_is(std::string folder);
  ~blobs();
  blobs(const blobs&) = delete;
  blobs& operator=(const blobs&) = delete;

  /// Fails: `unavailable`, "disk_full" or "blob_not_written".
  model::result<std::unique_ptr<blob_writer>> begin();
  /// Bytes. Fails: `not_found`, "blob_unknown"; `invalid_argument` for a name that is none;
  /// `corrupted` if the disk does not give it.
  model::result<std::uint64_t> size(const blob_name& name) const;
  /// At most `most` bytes from `offset` on; fewer at the end, none behind it. Fails as size().
  model::result<std::string> read(const blob_name& name, std::uint64_t offset,
                                  std::size_t most) const;
  /// Reads all of it. Fails as size(), `corrupted` also if its bytes are not those that its name
  /// tells of.
  model::status verify(const blob_name& name) const;
  /// As size(); and its age begins anew.
  model::result<std::uint64_t> touch(const blob_name& name);
  /// Unless it was written after `written_at`, as list() has it: it may be wanted again. Fails as
  /// size(); `conflict` if it was, or while somebody holds what is there.
  model::status remove(const blob_name& name, std::int64_t written_at = INT64_MAX);
  /// At most `most` behind `after` (an empty name: from the first on), in order of their names.
  /// Looks through the whole folder.
  model::result<std::vector<listed_blob>> list(const blob_name& after, std::size_t most) const;

  std::uint64_t count() const { return count_.load(); }
  std::uint64_t bytes() const { return bytes_.load(); }

 private:
  friend class blob_writer;
  friend class blob_hold;
  explicit blobs(std::string folder) : folder_{std::move(folder)} {}
  model::status load(bool sweep);
  std::string path_of(const blob_name& name) const;

  std::string folder_;
  int directory_ = -1;
  mutable std::mutex mutex_;  // of names that come and go
  std::size_t holders_ = 0;
  std::atomic<std::uint64_t> numbers_{0}, count_{0}, bytes_{0};
};

/// As long as it is there nothing is removed: whoever copies all of it finds what he saw.
class blob_hold {
 public:
  explicit blob_hold(std::shared_ptr<blobs> of);
  ~blob_hold();
  blob_hold(const blob_hold&) = delete;
  blob_hold& operator=(const blob_hold&) = delete;

 private:
  std::shared_ptr<blobs> of_;
};

}  // namespace orrery::storage
