#include "storage/restore.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>
#include <utility>

#include <rocksdb/db.h>

#include "storage/backup_folder.hpp"
#include "storage/keys.hpp"
#include "storage/rocks_open.hpp"

namespace orrery::storage {
namespace {

namespace fs = std::filesystem;
using model::errc;
using model::failure;
using model::status;

constexpr auto restored_key = "restored";
/// Where a restore works: what it leaves when it is cut short is no database, and no files of one.
constexpr auto unfinished_folder = "db.restoring", unfinished_blobs = "blobs.restoring";

/// The one of that id, or the newest.
model::result<stored_backup> choose(const backup_list& all, const std::string& folder,
                                    const std::string& id) {
  auto found = std::find_if(all.whole.rbegin(), all.whole.rend(),
                            [&](const auto& one) { return id.empty() || one.note.id == id; });
  const auto newest_damaged = all.damaged.empty() ? 0 : all.damaged.back();
  if (id.empty() && newest_damaged > (found == all.whole.rend() ? 0 : found->number))
    return damaged_backup(folder, newest_damaged,
                          "it is the newest, and something of it is missing");
  if (found != all.whole.rend())
    return *found;
  auto known = std::string{};
  for (const auto& one : all.whole)
    known += (known.empty() ? "" : ", ") + one.note.id;
  return failure{errc::not_found, "backup_unknown",
                 "there is no whole backup " + id + " in " + folder +
                     "; there are: " + (known.empty() ? "none" : known)};
}

status check_empty(const std::string& data) {
  auto error = std::error_code{};
  const auto there = fs::exists(data, error);
  if (!error && !there)
    return {};
  auto inside = fs::directory_iterator{data, error};
  if (error)
    return failure{errc::unavailable, "backup_failed",
                   "the folder " + data + " cannot be read: " + error.message()};
  for (const auto& one : inside)
    if (const auto name = one.path().filename(); name != "lost+found")  // of a volume of its own
      return failure{errc::already_exists, "folder_not_empty",
                     "the folder " + data + " is not empty (" + name.string() +
                         "): nothing is restored over what is there. Give a new folder, or move "
                         "that away first"};
  return {};
}

/// Samples are kept as they are: how long they are to be is the node's matter.
status mark(const std::string& database, const backup_note& note) {
  const auto options = rocks_options{.folder = database};
  const auto parts = family_parts{
      .cache = nullptr,
      .horizon = std::make_shared<sample_horizon>(model::to_ms(model::timestamp::min())),
      .sample_retention = options.sample_retention};
  auto opened = open_database(options, parts);
  if (!opened)
    return opened.error();
  auto sync = rocksdb::WriteOptions{};
  sync.sync = true;
  auto s = rocksdb::Status::NotFound("meta");
  for (const auto& [name, handle] : opened->families)
    if (name == "meta")
      s = opened->db->Put(sync, handle, keys::meta(restored_key), encode(note));
  for (const auto& [name, handle] : opened->families)
    opened->db->DestroyColumnFamilyHandle(handle);
  const auto closed = opened->db->Close();
  if (!s.ok() || !closed.ok())
    return to_backup_failure(s.ok() ? closed : s, database);
  return {};
}

/// The names in a folder are on the disk.
status sync_folder(const fs::path& folder) {
  const auto file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto good = file >= 0 && ::fsync(file) == 0;
  const auto why = errno;
  if (file >= 0)
    ::close(file);
  if (good)
    return {};
  return failure{errc::unavailable, "backup_failed",
                 "the folder " + folder.string() + " is not on the disk: " + std::strerror(why)};
}

/// Into folders that no node takes for its own, until all is there.
model::result<std::vector<blob_entry>> restore_into(const fs::path& data,
                                                    const rocksdb::BackupEngineReadOnly& engine,
                                                    const std::string& folder,
                                                    const stored_backup& what,
                                                    damaged_blobs files) {
  auto left_out = model::result<std::vector<blob_entry>>{std::vector<blob_entry>{}};
  if (what.note.blobs) {
    left_out =
        blob_backups{folder}.restore(what.note.id, (data / unfinished_blobs).string(), files);
    if (!left_out)
      return left_out;
  }
  const auto database = (data / unfinished_folder).string();
  if (const auto s =
          engine.RestoreDBFromBackup(rocksdb::RestoreOptions{}, what.number, database, database);
      !s.ok())
    return to_backup_failure(s, folder + ", restored into " + data.string());
  if (auto ok = mark(database, what.note); !ok)
    return ok.error();
  return left_out;
}

status rename_folder(const fs::path& from, const fs::path& to) {
  auto error = std::error_code{};
  fs::rename(from, to, error);
  if (!error)
    return {};
  return failure{errc::unavailable, "backup_failed",
                 "the folder " + from.string() + " cannot be renamed: " + error.message()};
}

/// The database last, on the disk too: what has none was not restored.
status give_names(const fs::path& data, bool with_blobs) {
  auto ok = with_blobs ? rename_folder(data / unfinished_blobs, data / blobs_folder) : status{};
  if (ok)
    ok = sync_folder(data);
  if (ok)
    ok = rename_folder(data / unfinished_folder, data / database_folder);
  return ok ? sync_folder(data) : ok;
}

}  // namespace

model::result<restored_backup> restore_backup(const std::string& folder, const std::string& id,
                                              const std::string& data, damaged_blobs files) {
  if (auto ok = check_backup_folder(folder); !ok)
    return ok.error();
  if (auto ok = check_empty(data); !ok)
    return ok.error();
  const auto lock = folder_lock{folder};
  if (auto ok = lock.ok(folder); !ok)
    return ok.error();
  const auto engine = open_engine<rocksdb::BackupEngineReadOnly>(folder);
  if (!engine)
    return engine.error();
  const auto chosen = choose(list_of(*engine->engine, folder, files), folder, id);
  if (!chosen)
    return chosen.error();
  if (auto ok = verify_database(*engine->engine, folder, chosen->number); !ok)
    return ok.error();
  auto error = std::error_code{};
  const auto is_new = fs::create_directories(data, error);
  if (error)
    return failure{errc::unavailable, "backup_failed",
                   "the folder " + data + " cannot be made: " + error.message()};
  const auto to = fs::path{data};
  auto left_out = restore_into(to, *engine->engine, folder, *chosen, files);
  auto ok = left_out ? give_names(to, chosen->note.blobs) : status{left_out.error()};
  if (!ok) {
    for (const auto* one : {unfinished_folder, unfinished_blobs})
      fs::remove_all(to / one, error);
    fs::remove_all(to / database_folder, error);
    fs::remove_all(to / blobs_folder, error);
    if (is_new)
      fs::remove(to, error);
    return ok.error();
  }
  const auto list_lost = chosen->note.blobs && !blob_backups{folder}.list(chosen->note.id);
  return restored_backup{*chosen, std::move(*left_out), list_lost};
}

model::result<std::optional<backup_note>> restored_from(const entity_store& in) {
  const auto row = in.get(family::meta, keys::meta(restored_key));
  if (!row)
    return row.error();
  return *row ? std::optional{decode_backup_note(**row)} : std::nullopt;
}

status clear_restored(entity_store& in) {
  const auto gone = row{
      .family = family::meta, .key = keys::meta(restored_key), .operation = row_operation::remove};
  return in.put(std::span{&gone, 1}, true);
}

}  // namespace orrery::storage
