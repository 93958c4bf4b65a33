// The folder of a node's backups: its engine, its lock, what is in it. Inner header of storage.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <rocksdb/utilities/backup_engine.h>

#include "model/result.hpp"
#include "storage/backup.hpp"
#include "storage/rocks_log.hpp"

namespace orrery::storage {

std::string encode(const backup_note& n);
/// What cannot be read stays empty: the files of the backup are good without it.
backup_note decode_backup_note(std::string_view text);

model::failure to_backup_failure(const rocksdb::Status& s, const std::string& folder);

/// A folder that one process at a time changes. Where the file system knows no locks, nothing is
/// held.
class folder_lock {
 public:
  explicit folder_lock(const std::string& folder);
  ~folder_lock();
  folder_lock(const folder_lock&) = delete;
  folder_lock& operator=(const folder_lock&) = delete;

  /// Fails: `conflict` "backup_running".
  model::status ok(const std::string& folder) const;

 private:
  int file_;
  bool taken_ = false;
};

/// Makes it, in a folder that is there.
model::status make_backup_folder(const std::string& folder);
/// Without it RocksDB makes a folder that is not there, and finds no backups in it.
model::status check_backup_folder(const std::string& folder);

/// An engine and the log that it writes to.
template <class Engine>
struct opened_engine {
  std::shared_ptr<rocksdb::Logger> log = rocks_log();
  std::unique_ptr<Engine> engine;
};

template <class Engine>
model::result<opened_engine<Engine>> open_engine(const std::string& folder,
                                                 std::uint64_t bytes_per_second = 0) {
  auto made = opened_engine<Engine>{};
  auto options = rocksdb::BackupEngineOptions{folder};
  options.info_log = made.log.get();
  options.backup_rate_limit = bytes_per_second;
  Engine* engine = nullptr;
  const auto s = Engine::Open(options, rocksdb::Env::Default(), &engine);
  if (!s.ok())
    return to_backup_failure(s, folder);
  made.engine.reset(engine);
  return made;
}

/// As the engine has it: the database alone.
stored_backup database_of(const rocksdb::BackupInfo& info);
/// Oldest first.
std::vector<stored_backup> databases_of(const rocksdb::BackupEngineReadOnlyBase& engine);
/// Those that were not finished are no backups. `files`: without their list they are damaged, or
/// whole all the same.
backup_list list_of(const rocksdb::BackupEngineReadOnly& engine, const std::string& folder,
                    damaged_blobs files);

model::failure damaged_backup(const std::string& folder, std::uint32_t number,
                              const std::string& why);
/// The checksums of its database.
model::status verify_database(const rocksdb::BackupEngineReadOnly& engine,
                              const std::string& folder, std::uint32_t number);

}  // namespace orrery::storage
