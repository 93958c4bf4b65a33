#include "storage/backup.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <rocksdb/db.h>

#include "storage/backup_folder.hpp"

namespace orrery::storage {

using model::status;

/// What is under way: the engine, and the pace of what is copied beside it.
struct backup_maker::running {
  opened_engine<rocksdb::BackupEngine> at;
  std::uint64_t bytes_per_second = 0;
  std::mutex mutex;
  std::condition_variable wake;
  bool stopped = false;
  std::chrono::steady_clock::time_point next = {};  // when more may be written

  void stop() {
    at.engine->StopBackup();
    {
      const auto hold = std::lock_guard{mutex};
      stopped = true;
    }
    wake.notify_all();
  }

  /// Waits until they may be written. False: it is to end.
  bool may_write(std::uint64_t bytes) {
    auto hold = std::unique_lock{mutex};
    if (bytes_per_second == 0 || bytes == 0)
      return !stopped;
    const auto takes = std::chrono::duration<double>{static_cast<double>(bytes) /
                                                     static_cast<double>(bytes_per_second)};
    next = std::max(next, std::chrono::steady_clock::now()) +
           std::chrono::duration_cast<std::chrono::steady_clock::duration>(takes);
    return !wake.wait_until(hold, next, [this] { return stopped; });
  }

  model::result<stored_backup> make(rocksdb::DB& of, const backup_target& to);
  model::result<stored_backup> make_database(rocksdb::DB& of, const backup_target& to);
};

model::result<stored_backup> backup_maker::running::make_database(rocksdb::DB& of,
                                                                  const backup_target& to) {
  auto note = to.note;
  note.blobs = to.files != nullptr;
  // The log is copied with the files: it has every write before the call, of all families, up to
  // one place.
  auto number = rocksdb::BackupID{};
  auto info = rocksdb::BackupInfo{};
  if (const auto s = at.engine->CreateNewBackupWithMetadata({}, &of, encode(note), &number);
      !s.ok())
    return to_backup_failure(s, to.folder);
  if (const auto s = at.engine->GetBackupInfo(number, &info); !s.ok())
    return to_backup_failure(s, to.folder);
  return database_of(info);
}

/// A file is on the disk before the database knows of it, and none goes while somebody holds them.
/// So what is there after the database was copied has all that the copy names; most of it is copied
/// before, that a backup cut short is seldom one of a database alone.
model::result<stored_backup> backup_maker::running::make(rocksdb::DB& of, const backup_target& to) {
  if (!to.files)
    return make_database(of, to);
  const auto held = blob_hold{to.files};
  const auto beside = blob_backups{to.folder};
  const auto may = [this](std::uint64_t bytes) { return may_write(bytes); };
  if (auto ok = beside.note_begun(to.note.id); !ok)
    return ok.error();
  const auto before = beside.take(*to.files, {}, may);
  if (!before)
    return before.error();
  auto made = make_database(of, to);
  if (!made)
    return made;
  const auto finish = [&]() -> status {
    auto all = beside.take(*to.files, *before, may);
    if (!all)
      return all.error();
    made->files = all->size();
    for (const auto& one : *all)
      made->bytes += one.size;
    return beside.note_whole(to.note.id, std::move(*all));
  };
  if (auto ok = finish(); !ok) {
    // If that fails too its list says that it was not finished.
    (void)at.engine->DeleteBackup(made->number);
    return ok.error();
  }
  return made;
}

bool backup_maker::begin() {
  const auto hold = std::lock_guard{mutex_};
  return !std::exchange(busy_, true);
}

model::result<stored_backup> backup_maker::make(rocksdb::DB& of, const backup_target& to) {
  const auto work = [&]() -> model::result<stored_backup> {
    if (auto ok = make_backup_folder(to.folder); !ok)
      return ok.error();
    const auto lock = folder_lock{to.folder};
    if (auto ok = lock.ok(to.folder); !ok)
      return ok.error();
    auto engine = open_engine<rocksdb::BackupEngine>(to.folder, to.bytes_per_second);
    if (!engine)
      return engine.error();
    const auto now = std::make_shared<running>();
    now->at = std::move(*engine);
    now->bytes_per_second = to.bytes_per_second;
    {
      const auto hold = std::lock_guard{mutex_};
      if (ending_)
        return to_backup_failure(rocksdb::Status::Incomplete(), to.folder);
      running_ = now;
    }
    return now->make(of, to);
  };
  auto made = work();
  {
    const auto hold = std::lock_guard{mutex_};
    running_.reset();
    busy_ = false;
  }
  over_.notify_all();
  return made;
}

void backup_maker::end() {
  auto hold = std::unique_lock{mutex_};
  ending_ = true;
  if (running_)
    running_->stop();
  over_.wait(hold, [this] { return !busy_; });
  ending_ = false;
}

model::result<backup_list> list_backups(const std::string& folder) {
  if (auto ok = check_backup_folder(folder); !ok)
    return ok.error();
  const auto engine = open_engine<rocksdb::BackupEngineReadOnly>(folder);
  if (!engine)
    return engine.error();
  return list_of(*engine->engine, folder, damaged_blobs::refuse);
}

status verify_backup(const std::string& folder, std::uint32_t number) {
  if (auto ok = check_backup_folder(folder); !ok)
    return ok;
  const auto engine = open_engine<rocksdb::BackupEngineReadOnly>(folder);
  if (!engine)
    return engine.error();
  if (auto ok = verify_database(*engine->engine, folder, number); !ok)
    return ok;
  const auto beside = blob_backups{folder};
  for (const auto& one : databases_of(*engine->engine))
    if (one.number == number && one.note.blobs) {
      const auto list = beside.list(one.note.id);
      if (!list)
        return list.error();
      if (!list->whole)
        return model::failure{model::errc::corrupted, "backup_damaged",
                              "backup " + one.note.id + " in " + folder + " was not finished"};
      return beside.verify(*list);
    }
  return {};
}

status keep_backups(const std::string& folder, std::uint32_t newest) {
  if (auto ok = check_backup_folder(folder); !ok)
    return ok;
  const auto lock = folder_lock{folder};
  if (auto ok = lock.ok(folder); !ok)
    return ok;
  const auto engine = open_engine<rocksdb::BackupEngine>(folder);
  if (!engine)
    return engine.error();
  const auto beside = blob_backups{folder};
  for (const auto& one : databases_of(*engine->engine))
    if (const auto head = beside.head(one.note.id); one.note.blobs && head && !head->whole)
      if (const auto s = engine->engine->DeleteBackup(one.number); !s.ok())
        return to_backup_failure(s, folder);
  if (const auto s = engine->engine->PurgeOldBackups(newest); !s.ok())
    return to_backup_failure(s, folder);
  auto kept = std::vector<std::string>{};
  for (const auto& one : databases_of(*engine->engine))
    if (one.note.blobs)
      kept.push_back(one.note.id);
  return beside.keep(kept);
}

}  // namespace orrery::storage
