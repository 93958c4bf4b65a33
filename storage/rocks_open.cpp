#include "storage/rocks_open.hpp"

#include <algorithm>
#include <filesystem>

#include "model/bytes.hpp"
#include "storage/keys.hpp"
#include "storage/rocks_status.hpp"

namespace orrery::storage {
namespace {

namespace fs = std::filesystem;
using model::errc;
using model::failure;
using model::status;

constexpr std::uint64_t format_version = 2;  // 2: devices are in the index

/// Makes the folder. Fails on one that has data files and nothing that says how they belong
/// together.
status prepare(const std::string& folder) {
  auto error = std::error_code{};
  fs::create_directories(folder, error);
  if (error)
    return failure{errc::unavailable, "storage_failed",
                   "cannot make the folder " + folder + ": " + error.message()};
  if (fs::exists(folder + "/CURRENT", error))
    return {};
  auto files = fs::directory_iterator{folder, error};
  if (error)
    return failure{errc::unavailable, "storage_failed",
                   "cannot read the folder " + folder + ": " + error.message()};
  for (const auto& file : files)
    if (const auto kind = file.path().extension(); kind == ".sst" || kind == ".log")
      return failure{errc::corrupted, "storage_corrupt",
                     "database in " + folder + " has lost its file CURRENT, but has data (" +
                         file.path().filename().string() +
                         "); restore a backup, or move the folder away to begin anew"};
  return {};
}

bool is_empty(const open_rocks& in) {
  return std::all_of(in.families.begin(), in.families.end(), [&](const auto& f) {
    const auto it = std::unique_ptr<rocksdb::Iterator>{in.db->NewIterator({}, f.second)};
    it->SeekToFirst();
    return !it->Valid() && it->status().ok();
  });
}

void close(open_rocks& open) {
  for (const auto& [name, handle] : open.families)
    open.db->DestroyColumnFamilyHandle(handle);
  (void)open.db->Close();
}

model::result<open_rocks> open_families(const rocks_options& options, const family_parts& parts,
                                        const std::vector<std::string>& names, bool only_reading) {
  auto families = std::vector<rocksdb::ColumnFamilyDescriptor>{};
  for (const auto& name : names)
    families.emplace_back(name, family_options(name, parts));
  auto handles = std::vector<rocksdb::ColumnFamilyHandle*>{};
  rocksdb::DB* db = nullptr;
  const auto settings = database_options(options);
  const auto s =
      only_reading ? rocksdb::DB::OpenForReadOnly(settings, options.folder, families, &handles, &db)
                   : rocksdb::DB::Open(settings, options.folder, families, &handles, &db);
  if (!s.ok())
    return to_failure(s, options.folder);
  auto opened = open_rocks{std::unique_ptr<rocksdb::DB>{db}, {}};
  for (std::size_t i = 0; i < names.size(); ++i)
    opened.families.emplace_back(names[i], handles[i]);
  return opened;
}

rocksdb::ColumnFamilyHandle* find(const open_rocks& in, std::string_view name) {
  for (const auto& [other, handle] : in.families)
    if (other == name)
      return handle;
  return nullptr;
}

/// Looks at the format a database says it has; nothing: it says none.
model::result<std::optional<std::uint64_t>> format_of(const rocks_options& options,
                                                      const open_rocks& opened) {
  using answer = std::optional<std::uint64_t>;
  auto* meta = find(opened, "meta");
  if (!meta)
    return answer{};
  auto bytes = std::string{};
  const auto s = opened.db->Get({}, meta, keys::meta("format"), &bytes);
  if (!s.ok() && !s.IsNotFound())
    return to_failure(s, options.folder);
  auto in = model::byte_reader{bytes};
  const auto found = in.varint();
  return in.ok() ? answer{found} : answer{};
}

failure newer(const rocks_options& options, std::uint64_t format) {
  return {errc::conflict, "storage_newer_format",
          "database in " + options.folder + " has format " + std::to_string(format) +
              ", this program reads up to " + std::to_string(format_version) +
              ": it was written by a newer release; install that one"};
}

failure older(const rocks_options& options, std::uint64_t format) {
  return {errc::conflict, "storage_older_format",
          "database in " + options.folder + " has format " + std::to_string(format) +
              ", from before the first release; this program reads " +
              std::to_string(format_version) + ": begin with a new folder"};
}

/// The families to open. A first start that was cut short leaves some of ours with nothing in them;
/// a newer release may have more; anything else belongs to another program.
model::result<std::vector<std::string>> families_of(const rocks_options& options,
                                                    const family_parts& parts) {
  auto ignored = std::error_code{};
  if (!fs::exists(options.folder + "/CURRENT", ignored))
    return fixed_families();
  auto names = std::vector<std::string>{};
  if (const auto s =
          rocksdb::DB::ListColumnFamilies(database_options(options), options.folder, &names);
      !s.ok())
    return to_failure(s, options.folder);
  auto missing = std::vector<std::string>{};
  for (const auto& name : fixed_families())
    if (std::find(names.begin(), names.end(), name) == names.end())
      missing.push_back(name);
  const auto all_ours = std::all_of(names.begin(), names.end(), is_ours);
  if (missing.empty() && all_ours)
    return names;
  auto looked = open_families(options, parts, names, true);
  if (!looked)
    return looked.error();
  const auto format = format_of(options, *looked);
  const auto unfinished = all_ours && is_empty(*looked);
  close(*looked);
  if (format && *format && **format > format_version)
    return newer(options, **format);
  if (!unfinished)
    return failure{errc::conflict, "storage_foreign",
                   "database in " + options.folder +
                       " is not one of orreryd's; choose another folder with --data"};
  names.insert(names.end(), missing.begin(), missing.end());
  return names;
}

status check_format(const rocks_options& options, const open_rocks& opened) {
  const auto found = format_of(options, opened);
  if (!found)
    return found.error();
  if (*found && **found > format_version)
    return newer(options, **found);
  if (*found && **found < format_version)
    return older(options, **found);
  if (*found)
    return {};
  if (!is_empty(opened))
    return failure{errc::corrupted, "storage_corrupt",
                   "database in " + options.folder +
                       " does not tell its format; restore a backup, or move the folder away"};
  auto out = model::byte_writer{};
  out.varint(format_version);
  auto write = rocksdb::WriteOptions{};
  write.sync = true;
  if (const auto s = opened.db->Put(write, find(opened, "meta"), keys::meta("format"), out.bytes());
      !s.ok())
    return to_failure(s, options.folder);
  return {};
}

}  // namespace

model::result<open_rocks> open_database(const rocks_options& options, const family_parts& parts) {
  if (auto ok = prepare(options.folder); !ok)
    return ok.error();
  const auto names = families_of(options, parts);
  if (!names)
    return names.error();
  auto opened = open_families(options, parts, *names, false);
  if (!opened)
    return opened;
  if (auto ok = check_format(options, *opened); !ok) {
    close(*opened);
    return ok.error();
  }
  return opened;
}

}  // namespace orrery::storage
