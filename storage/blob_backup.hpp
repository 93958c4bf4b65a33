// The bytes of files beside the backups of a database: one pool that all backups of a folder share,
// where each content is once, and a list for each backup of what of it is its own.
//
//   <folder>/blobs/<owner>.<sha256>     the pool, a folder of blobs as a node has one
//   <folder>/blob_lists/<backup's id>   storage/blob_list
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/result.hpp"
#include "storage/blob_list.hpp"
#include "storage/blobs.hpp"

namespace orrery::storage {

/// Waits until that many bytes may be written; false: what is under way is to end.
using go_ahead = std::function<bool(std::uint64_t bytes)>;

/// What a restore does about a file whose bytes are not there, or are not what its name says.
enum class damaged_blobs : std::uint8_t { refuse, leave_out };

/// Of the backups in one folder, which is there and which the caller has locked. Everything blocks.
/// Fails everywhere: `unavailable` "backup_full" (no space), "backup_failed"; `corrupted`
/// "backup_damaged".
class blob_backups {
 public:
  explicit blob_backups(std::string folder);

  /// Says that the backup of that id is not finished, until note_whole(). Fails also:
  /// `already_exists` "backup_failed" if there is a whole one; `invalid_argument` for an id that is
  /// none.
  model::status note_begun(const std::string& id) const;
  /// Copies what `from` has and the pool lacks, and gives all that `from` has. Of `known`, what an
  /// earlier call gave, it knows that it is there. Fails also: `corrupted` "backup_failed" (a file
  /// of `from` is damaged); `unavailable` "backup_stopped" (`may` said so).
  model::result<std::vector<blob_entry>> take(const blobs& from,
                                              const std::vector<blob_entry>& known,
                                              const go_ahead& may) const;
  model::status note_whole(const std::string& id, std::vector<blob_entry> all) const;

  model::result<blob_list_head> head(const std::string& id) const;
  model::result<blob_list> list(const std::string& id) const;
  /// Reads them all and compares their digests.
  model::status verify(const blob_list& list) const;
  /// Drops what none of these backups needs.
  model::status keep(const std::vector<std::string>& ids) const;
  /// Into `folder`, which is made; gives what was left out. Looks whether all are there before it
  /// copies any. To leave out what is damaged without a list is to take all that is in the pool.
  model::result<std::vector<blob_entry>> restore(const std::string& id, const std::string& folder,
                                                 damaged_blobs what) const;

 private:
  std::string pool() const { return folder_ + "/blobs"; }
  std::string lists() const { return folder_ + "/blob_lists"; }
  std::string list_file(const std::string& id) const { return lists() + '/' + id; }
  model::status write_list(const blob_list& list) const;
  model::failure damaged(const blob_name& name, const std::string& how) const;
  model::result<std::vector<blob_entry>> in_pool() const;

  std::string folder_;
};

}  // namespace orrery::storage
