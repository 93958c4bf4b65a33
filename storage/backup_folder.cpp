#include "storage/backup_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

#include "model/json.hpp"

namespace orrery::storage {

namespace fs = std::filesystem;
using model::errc;
using model::failure;
using model::status;

std::string encode(const backup_note& n) {
  return model::to_json(model::object{{"id", n.id},
                                      {"at", model::to_ms(n.at)},
                                      {"by", n.by},
                                      {"node", n.node},
                                      {"cluster", n.cluster},
                                      {"release", n.release},
                                      {"blobs", n.blobs}});
}

backup_note decode_backup_note(std::string_view text) {
  auto note = backup_note{};
  const auto parsed = model::parse_json(text);
  if (!parsed || !parsed->is_object())
    return note;
  const auto read = [&](std::string_view name) {
    const auto* v = parsed->find(name);
    return v && v->is_string() ? v->as_string() : std::string{};
  };
  note.id = read("id");
  note.by = read("by");
  note.node = read("node");
  note.cluster = read("cluster");
  note.release = read("release");
  if (const auto* at = parsed->find("at"); at && at->is_int())
    note.at = model::from_ms(at->as_int());
  if (const auto* blobs = parsed->find("blobs"); blobs && blobs->is_bool())
    note.blobs = blobs->as_bool();
  return note;
}

failure to_backup_failure(const rocksdb::Status& s, const std::string& folder) {
  const auto what = s.ToString();
  const auto has = [&](std::string_view text) { return what.find(text) != std::string::npos; };
  const auto text = "backup in " + folder + ": " + what;
  if (s.IsIncomplete())
    return {
        errc::unavailable, "backup_stopped",
        "backup in " + folder + " was not finished: the node stops, or opens its database anew"};
  if (s.IsNoSpace() || has("No space left on device"))
    return {errc::unavailable, "backup_full", text + "; the disk is full: make room there"};
  if (s.IsCorruption())
    return {errc::corrupted, "backup_damaged", text};
  if (s.IsNotFound())
    return {errc::not_found, "backup_unknown", text};
  if (has("Read-only file system") || has("Permission denied"))
    return {errc::unavailable, "backup_failed",
            text + "; the folder must be writable: look at its owner, its mode and the mount"};
  return {errc::unavailable, "backup_failed", text};
}

folder_lock::folder_lock(const std::string& folder)
    : file_{::open((folder + "/LOCK").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640)} {
  taken_ = file_ >= 0 && ::flock(file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

folder_lock::~folder_lock() {
  if (file_ >= 0)
    ::close(file_);
}

status folder_lock::ok(const std::string& folder) const {
  if (!taken_)
    return {};
  return failure{errc::conflict, "backup_running",
                 "another process is at the backups in " + folder +
                     ": two nodes with one name share it, or a restore is under way"};
}

status make_backup_folder(const std::string& folder) {
  auto error = std::error_code{};
  if (const auto parent = fs::path{folder}.parent_path(); !fs::is_directory(parent, error))
    return failure{errc::unavailable, "backup_failed",
                   "there is no folder " + parent.string() +
                       " for backups: make it, or mount what is to be there"};
  fs::create_directory(folder, error);
  if (error)
    return failure{errc::unavailable, "backup_failed",
                   "the folder " + folder + " cannot be made: " + error.message()};
  return {};
}

status check_backup_folder(const std::string& folder) {
  auto error = std::error_code{};
  if (fs::is_directory(folder + "/meta", error))
    return {};
  auto others = std::string{};
  for (const auto& inside : fs::directory_iterator{folder, error})
    if (fs::is_directory(inside.path() / "meta", error))
      others += (others.empty() ? "" : ", ") + inside.path().string();
  return failure{errc::not_found, "backup_unknown",
                 "there are no backups in " + folder +
                     (others.empty() ? ": give the folder of a node, <backup.directory>/<node.name>"
                                     : ": give the folder of one node: " + others)};
}

stored_backup database_of(const rocksdb::BackupInfo& info) {
  return {info.backup_id, info.size, 0, decode_backup_note(info.app_metadata)};
}

std::vector<stored_backup> databases_of(const rocksdb::BackupEngineReadOnlyBase& engine) {
  auto infos = std::vector<rocksdb::BackupInfo>{};
  engine.GetBackupInfo(&infos);
  auto all = std::vector<stored_backup>{};
  for (const auto& info : infos)
    all.push_back(database_of(info));
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  return all;
}

backup_list list_of(const rocksdb::BackupEngineReadOnly& engine, const std::string& folder,
                    damaged_blobs files) {
  auto all = backup_list{};
  engine.GetCorruptedBackups(&all.damaged);
  for (auto& one : databases_of(engine)) {
    if (one.note.blobs) {
      const auto head = blob_backups{folder}.head(one.note.id);
      if (head && !head->whole)
        continue;
      if (!head && files == damaged_blobs::refuse) {
        all.damaged.push_back(one.number);
        continue;
      }
      one.bytes += head ? head->bytes : 0;
      one.files = head ? head->count : 0;
    }
    all.whole.push_back(std::move(one));
  }
  std::sort(all.damaged.begin(), all.damaged.end());
  return all;
}

failure damaged_backup(const std::string& folder, std::uint32_t number, const std::string& why) {
  return {errc::corrupted, "backup_damaged",
          "backup " + std::to_string(number) + " in " + folder + " is damaged: " + why +
              "; choose another one"};
}

status verify_database(const rocksdb::BackupEngineReadOnly& engine, const std::string& folder,
                       std::uint32_t number) {
  const auto s = engine.VerifyBackup(number, true);
  if (s.ok())
    return {};
  if (s.IsCorruption() || s.IsAborted())
    return damaged_backup(folder, number, s.ToString());
  return to_backup_failure(s, folder);
}

}  // namespace orrery::storage
