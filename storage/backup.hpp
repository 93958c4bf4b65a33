// Backups of a database in a folder of their own, by RocksDB's BackupEngine. Each is one moment of
// all families, and has the bytes of files that this moment knows of (storage/blob_backup); what
// several of them have is there once.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "model/time.hpp"
#include "storage/blob_backup.hpp"
#include "storage/blobs.hpp"
#include "storage/entity_store.hpp"

namespace rocksdb {
class DB;
}

namespace orrery::storage {

/// What a backup says of itself. {"id":"20261125-025746","at":1795575466000,"by":"user:admin",
/// "node":"node-1","cluster":"orrery","release":"0.1.0","blobs":true}
struct backup_note {
  std::string id;  // the same on all nodes of a cluster
  model::timestamp at;
  std::string by;  // who ordered it
  std::string node, cluster, release;
  bool blobs = false;  // bytes of files are in it; earlier ones have none. Who makes it sets it
  bool operator==(const backup_note&) const = default;
};

struct backup_target {
  std::string folder;                  // made if it is not there; the one that it is in must be
  std::uint64_t bytes_per_second = 0;  // 0: as fast as it goes
  backup_note note;
  std::shared_ptr<blobs> files = {};  // whose bytes the database names; nullptr: without
};

struct stored_backup {
  std::uint32_t number = 0;  // in its folder; rises
  std::uint64_t bytes = 0;   // of all that is in it, what others have too among it
  std::uint64_t files = 0;   // of devices: how many are in it
  backup_note note;
  bool operator==(const stored_backup&) const = default;
};

struct backup_list {
  std::vector<stored_backup> whole;    // oldest first; by what stands in the folder, not verified
  std::vector<std::uint32_t> damaged;  // something of it is missing
};

/// Makes backups of one database, one at a time. Any thread.
class backup_maker {
 public:
  /// False: one is under way.
  bool begin();
  /// After begin(). All that was written before the call is in it; while it lasts no file of `to`
  /// is removed. Blocks; `of` must stay open until it is over: see end(). Fails: `unavailable`
  /// "backup_full" (no space), "backup_failed", "backup_stopped"; `corrupted` "backup_failed" (one
  /// of the files is damaged); `conflict` "backup_running" (another process is at that folder).
  model::result<stored_backup> make(rocksdb::DB& of, const backup_target& to);
  /// Ends the one under way and waits for its end.
  void end();

 private:
  struct running;
  std::mutex mutex_;
  std::condition_variable over_;
  bool busy_ = false, ending_ = false;
  std::shared_ptr<running> running_;
};

// Fails everywhere: `not_found` "backup_unknown" (none there, with what to give instead);
// `corrupted` "backup_damaged"; `unavailable` "backup_failed"; what changes the folder also
// `conflict` "backup_running".

model::result<backup_list> list_backups(const std::string& folder);
/// Reads it all and compares checksums.
model::status verify_backup(const std::string& folder, std::uint32_t number);
/// Drops all but the newest, those that were not finished, and what only they had.
model::status keep_backups(const std::string& folder, std::uint32_t newest);

}  // namespace orrery::storage
