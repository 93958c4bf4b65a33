// A backup (storage/backup) becomes a data folder again.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "storage/backup.hpp"
#include "storage/blob_backup.hpp"
#include "storage/entity_store.hpp"

namespace orrery::storage {

/// The database's folder in a data folder.
inline constexpr std::string_view database_folder = "db";
/// That of the bytes of devices' files.
inline constexpr std::string_view blobs_folder = "blobs";

struct restored_backup {
  stored_backup what;
  std::vector<blob_entry> left_out;  // files of devices whose bytes are damaged or missing
  bool list_lost =
      false;  // of its files, with damaged_blobs::leave_out: all that the pool has came
};

/// Verifies a backup and puts it into `data`, a data folder that is empty or not there, with the
/// mark that restored_from() gives; of what it refuses nothing is left there. `id`: of its note;
/// "": the newest. Fails: as list_backups(); `conflict` "backup_running"; `unavailable`
/// "backup_full"; `already_exists` "folder_not_empty"; what storage fails with when it opens what
/// was restored.
model::result<restored_backup> restore_backup(const std::string& folder, const std::string& id,
                                              const std::string& data,
                                              damaged_blobs files = damaged_blobs::refuse);

/// What was restored into a store, until it is cleared; nothing: it was not.
model::result<std::optional<backup_note>> restored_from(const entity_store& in);
model::status clear_restored(entity_store& in);

}  // namespace orrery::storage
