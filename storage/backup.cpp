#include "storage/backup.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

#include <rocksdb/db.h>
#include <rocksdb/utilities/backup_engine.h>

#include "model/json.hpp"
#include "storage/keys.hpp"
#include "storage/rocks_log.hpp"
#include "storage/rocks_open.hpp"

namespace orrery::storage {
namespace {

namespace fs = std::filesystem;
using model::errc;
using model::failure;
using model::status;

constexpr auto restored_key = "restored";
/// Where a restore works: what it leaves when it is cut short is no database.
constexpr auto unfinished_folder = "db.restoring";

std::string encode(const backup_note& n) {
  return model::to_json(model::object{{"id", n.id},
                                      {"at", model::to_ms(n.at)},
                                      {"by", n.by},
                                      {"node", n.node},
                                      {"cluster", n.cluster},
                                      {"release", n.release}});
}

/// What cannot be read stays empty: the files of the backup are good without it.
backup_note decode(std::string_view text) {
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
  return note;
}

failure to_failure(const rocksdb::Status& s, const std::string& folder) {
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

/// A folder that one process at a time changes. Where the file system knows no locks, nothing is
/// held.
class folder_lock {
 public:
  explicit folder_lock(const std::string& folder)
      : file_{::open((folder + "/LOCK").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640)} {
    taken_ = file_ >= 0 && ::flock(file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  }
  ~folder_lock() {
    if (file_ >= 0)
      ::close(file_);
  }
  folder_lock(const folder_lock&) = delete;
  folder_lock& operator=(const folder_lock&) = delete;

  status ok(const std::string& folder) const {
    if (!taken_)
      return {};
    return failure{errc::conflict, "backup_running",
                   "another process is at the backups in " + folder +
                       ": two nodes with one name share it, or a restore is under way"};
  }

 private:
  int file_;
  bool taken_ = false;
};

status make_folder(const std::string& folder) {
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

/// Without it RocksDB makes a folder that is not there, and finds no backups in it.
status check_folder(const std::string& folder) {
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

rocksdb::BackupEngineOptions engine_options(const std::string& folder, rocksdb::Logger* log) {
  auto o = rocksdb::BackupEngineOptions{folder};
  o.info_log = log;
  return o;
}

/// An engine and the log that it writes to.
template <class Engine>
struct opened {
  std::shared_ptr<rocksdb::Logger> log = rocks_log();
  std::unique_ptr<Engine> engine;
};

template <class Engine>
model::result<opened<Engine>> open_engine(const std::string& folder,
                                          std::uint64_t bytes_per_second = 0) {
  auto made = opened<Engine>{};
  auto options = engine_options(folder, made.log.get());
  options.backup_rate_limit = bytes_per_second;
  Engine* engine = nullptr;
  const auto s = Engine::Open(options, rocksdb::Env::Default(), &engine);
  if (!s.ok())
    return to_failure(s, folder);
  made.engine.reset(engine);
  return made;
}

stored_backup shown(const rocksdb::BackupInfo& info) {
  return {info.backup_id, info.size, decode(info.app_metadata)};
}

backup_list list_of(const rocksdb::BackupEngineReadOnly& engine) {
  auto infos = std::vector<rocksdb::BackupInfo>{};
  engine.GetBackupInfo(&infos);
  auto all = backup_list{};
  for (const auto& info : infos)
    all.whole.push_back(shown(info));
  std::sort(all.whole.begin(), all.whole.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  engine.GetCorruptedBackups(&all.damaged);
  std::sort(all.damaged.begin(), all.damaged.end());
  return all;
}

failure damaged(const std::string& folder, std::uint32_t number, const std::string& why) {
  return {errc::corrupted, "backup_damaged",
          "backup " + std::to_string(number) + " in " + folder + " is damaged: " + why +
              "; choose another one"};
}

status verify(const rocksdb::BackupEngineReadOnly& engine, const std::string& folder,
              std::uint32_t number) {
  const auto s = engine.VerifyBackup(number, true);
  if (s.ok())
    return {};
  if (s.IsCorruption() || s.IsAborted())
    return damaged(folder, number, s.ToString());
  return to_failure(s, folder);
}

/// The one of that id, or the newest.
model::result<stored_backup> choose(const backup_list& all, const std::string& folder,
                                    const std::string& id) {
  auto found = std::find_if(all.whole.rbegin(), all.whole.rend(),
                            [&](const auto& one) { return id.empty() || one.note.id == id; });
  const auto newest_damaged = all.damaged.empty() ? 0 : all.damaged.back();
  if (id.empty() && newest_damaged > (found == all.whole.rend() ? 0 : found->number))
    return damaged(folder, newest_damaged, "it is the newest, and files of it are missing");
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
    return to_failure(s.ok() ? closed : s, database);
  return {};
}

/// The names in a folder are on the disk.
void sync_folder(const std::string& folder) {
  if (const auto file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); file >= 0) {
    ::fsync(file);
    ::close(file);
  }
}

}  // namespace

struct backup_maker::running {
  opened<rocksdb::BackupEngine> at;
};

bool backup_maker::begin() {
  const auto hold = std::lock_guard{mutex_};
  return !std::exchange(busy_, true);
}

model::result<stored_backup> backup_maker::make(rocksdb::DB& of, const backup_target& to) {
  const auto work = [&]() -> model::result<stored_backup> {
    if (auto ok = make_folder(to.folder); !ok)
      return ok.error();
    const auto lock = folder_lock{to.folder};
    if (auto ok = lock.ok(to.folder); !ok)
      return ok.error();
    auto engine = open_engine<rocksdb::BackupEngine>(to.folder, to.bytes_per_second);
    if (!engine)
      return engine.error();
    const auto now = std::make_shared<running>(running{std::move(*engine)});
    {
      const auto hold = std::lock_guard{mutex_};
      if (ending_)
        return to_failure(rocksdb::Status::Incomplete(), to.folder);
      running_ = now;
    }
    // The log is copied with the files: it has every write before the call, of all families, up to
    // one place.
    auto number = rocksdb::BackupID{};
    auto s = now->at.engine->CreateNewBackupWithMetadata({}, &of, encode(to.note), &number);
    auto info = rocksdb::BackupInfo{};
    if (s.ok())
      if (const auto found = now->at.engine->GetBackupInfo(number, &info); !found.ok())
        return to_failure(found, to.folder);
    if (!s.ok())
      return to_failure(s, to.folder);
    return shown(info);
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
    running_->at.engine->StopBackup();
  over_.wait(hold, [this] { return !busy_; });
  ending_ = false;
}

model::result<backup_list> list_backups(const std::string& folder) {
  if (auto ok = check_folder(folder); !ok)
    return ok.error();
  const auto engine = open_engine<rocksdb::BackupEngineReadOnly>(folder);
  if (!engine)
    return engine.error();
  return list_of(*engine->engine);
}

status verify_backup(const std::string& folder, std::uint32_t number) {
  if (auto ok = check_folder(folder); !ok)
    return ok;
  const auto engine = open_engine<rocksdb::BackupEngineReadOnly>(folder);
  if (!engine)
    return engine.error();
  return verify(*engine->engine, folder, number);
}

status keep_backups(const std::string& folder, std::uint32_t newest) {
  if (auto ok = check_folder(folder); !ok)
    return ok;
  const auto lock = folder_lock{folder};
  if (auto ok = lock.ok(folder); !ok)
    return ok;
  const auto engine = open_engine<rocksdb::BackupEngine>(folder);
  if (!engine)
    return engine.error();
  const auto s = engine->engine->PurgeOldBackups(newest);
  if (!s.ok())
    return to_failure(s, folder);
  return {};
}

model::result<stored_backup> restore_backup(const std::string& folder, const std::string& id,
                                            const std::string& data) {
  if (auto ok = check_folder(folder); !ok)
    return ok.error();
  if (auto ok = check_empty(data); !ok)
    return ok.error();
  const auto lock = folder_lock{folder};
  if (auto ok = lock.ok(folder); !ok)
    return ok.error();
  const auto engine = open_engine<rocksdb::BackupEngineReadOnly>(folder);
  if (!engine)
    return engine.error();
  const auto chosen = choose(list_of(*engine->engine), folder, id);
  if (!chosen)
    return chosen;
  if (auto ok = verify(*engine->engine, folder, chosen->number); !ok)
    return ok.error();
  auto error = std::error_code{};
  fs::create_directories(data, error);
  if (error)
    return failure{errc::unavailable, "backup_failed",
                   "the folder " + data + " cannot be made: " + error.message()};
  const auto unfinished = (fs::path{data} / unfinished_folder).string();
  auto ok = status{};
  if (const auto s = engine->engine->RestoreDBFromBackup(rocksdb::RestoreOptions{}, chosen->number,
                                                         unfinished, unfinished);
      !s.ok())
    ok = to_failure(s, folder + ", restored into " + data);
  else
    ok = mark(unfinished, chosen->note);
  if (!ok) {
    fs::remove_all(unfinished, error);
    return ok.error();
  }
  fs::rename(unfinished, fs::path{data} / database_folder, error);
  if (error)
    return failure{errc::unavailable, "backup_failed",
                   "the folder " + unfinished + " cannot be renamed: " + error.message()};
  sync_folder(data);
  return chosen;
}

model::result<std::optional<backup_note>> restored_from(const entity_store& in) {
  const auto row = in.get(family::meta, keys::meta(restored_key));
  if (!row)
    return row.error();
  return *row ? std::optional{decode(**row)} : std::nullopt;
}

status clear_restored(entity_store& in) {
  const auto gone = row{
      .family = family::meta, .key = keys::meta(restored_key), .operation = row_operation::remove};
  return in.put(std::span{&gone, 1}, true);
}

}  // namespace orrery::storage
