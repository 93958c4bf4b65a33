#include "storage/blob_backup.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace orrery::storage {
namespace {

namespace fs = std::filesystem;
using model::errc;
using model::failure;
using model::status;

constexpr std::size_t piece_bytes = 256 * 1024;
constexpr std::string_view unfinished = ".new";
constexpr mode_t for_owner_alone = 0600, folder_for_owner_alone = 0700;

failure trouble(const std::string& what, int error) {
  const auto text = what + ": " + std::strerror(error);
  if (error == ENOSPC || error == EDQUOT)
    return {errc::unavailable, "backup_full", text + "; the disk is full: make room there"};
  return {errc::unavailable, "backup_failed", text};
}

/// Of where files are written to.
failure not_written(const std::string& folder, const failure& why) {
  const auto text = "files in " + folder + ": " + why.detail;
  if (why.reason == "disk_full")
    return {errc::unavailable, "backup_full", text + "; the disk is full: make room there"};
  return {errc::unavailable, "backup_failed", text};
}

failure stopped(const std::string& folder) {
  return {errc::unavailable, "backup_stopped",
          "backup in " + folder + " was not finished: the node stops, or opens its database anew"};
}

bool is_there(const std::vector<blob_entry>& all, const blob_name& name) {
  const auto at =
      std::lower_bound(all.begin(), all.end(), name,
                       [](const blob_entry& one, const blob_name& n) { return one.name < n; });
  return at != all.end() && at->name == name;
}

/// What went wrong with where it comes from is told apart by its code: `not_found`, `corrupted`.
/// `unavailable`: where it goes to; "backup_stopped".
status copy_blob(const blobs& from, blobs& to, const blob_name& name, const go_ahead& may) {
  auto out = to.begin();
  if (!out)
    return out.error();
  for (;;) {
    const auto piece = from.read(name, (*out)->size(), piece_bytes);
    if (!piece)
      return piece.error();
    if (may && !may(piece->size()))
      return failure{errc::unavailable, "backup_stopped", ""};
    if (piece->empty())
      break;
    if (auto ok = (*out)->append(*piece); !ok)
      return ok;
  }
  const auto is = (*out)->finish();
  if (!is)
    return is.error();
  if (is->sha256 != name.sha256)
    return failure{errc::corrupted, "its bytes are not those that its name tells of"};
  return (*out)->keep(name.owner);
}

/// Whole or not at all, and on the disk.
status write_file(const std::string& path, std::string_view text) {
  const auto temporary = path + std::string{unfinished};
  const auto file =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, for_owner_alone);
  if (file < 0)
    return trouble(temporary, errno);
  auto error = 0;
  while (!text.empty() && error == 0) {
    const auto put = ::write(file, text.data(), text.size());
    if (put >= 0)
      text.remove_prefix(static_cast<std::size_t>(put));
    else if (errno != EINTR)
      error = errno;
  }
  if (error == 0 && ::fsync(file) != 0)
    error = errno;
  ::close(file);
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0)
    error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    return trouble(path, error);
  }
  const auto folder = ::open(fs::path{path}.parent_path().c_str(), O_RDONLY | O_CLOEXEC);
  if (folder < 0)
    return trouble(path, errno);
  if (::fsync(folder) != 0)
    error = errno;
  ::close(folder);
  return error == 0 ? status{} : trouble(path, error);
}

}  // namespace

blob_backups::blob_backups(std::string folder) : folder_{std::move(folder)} {}

failure blob_backups::damaged(const blob_name& name, const std::string& how) const {
  return {errc::corrupted, "backup_damaged",
          "the file " + pool() + '/' + to_string(name) + " is " + how +
              ": no backup in this folder has it whole. What else there is can be restored with "
              "--skip-damaged-files"};
}

status blob_backups::write_list(const blob_list& list) const {
  if (!is_backup_id(list.backup))
    return failure{errc::invalid_argument, "backup_failed",
                   "the id of a backup is letters, digits and -"};
  if (::mkdir(lists().c_str(), folder_for_owner_alone) != 0 && errno != EEXIST)
    return trouble(lists(), errno);
  const auto text = encode(list);
  if (text.size() > most_blob_list_bytes)
    return failure{errc::unavailable, "backup_failed", "there are too many files for one backup"};
  return write_file(list_file(list.backup), text);
}

status blob_backups::note_begun(const std::string& id) const {
  if (const auto had = head(id); had && had->whole)
    return failure{errc::already_exists, "backup_failed",
                   "there is a backup " + id + " in " + folder_ + " already: look at the clock"};
  return write_list({id, false, {}});
}

status blob_backups::note_whole(const std::string& id, std::vector<blob_entry> all) const {
  return write_list({id, true, std::move(all)});
}

model::result<std::vector<blob_entry>> blob_backups::take(const blobs& from,
                                                          const std::vector<blob_entry>& known,
                                                          const go_ahead& may) const {
  const auto to = blobs::open(pool());
  if (!to)
    return not_written(folder_, to.error());
  const auto listed = from.list({}, SIZE_MAX);
  if (!listed)
    return failure{errc::unavailable, "backup_failed", listed.error().detail};
  auto all = std::vector<blob_entry>{};
  all.reserve(listed->size());
  for (const auto& one : *listed) {
    if (may && !may(0))
      return stopped(folder_);
    // A file of another size is one that the pool's disk has cut.
    const auto had =
        is_there(known, one.name) ? one.size : (*to)->size(one.name).value_or(~one.size);
    const auto ok = had == one.size ? status{} : copy_blob(from, **to, one.name, may);
    if (ok) {
      all.push_back({one.name, one.size});
      continue;
    }
    if (ok.error().reason == "backup_stopped")
      return stopped(folder_);
    if (ok.error().code == errc::corrupted)
      return failure{errc::corrupted, "backup_failed",
                     "the node's file " + to_string(one.name) + " is damaged: " +
                         ok.error().detail + ". Look at its disk, and remove the file from blobs/"};
    if (ok.error().code != errc::not_found)  // somebody took it away by hand
      return not_written(folder_, ok.error());
  }
  return all;
}

model::result<blob_list_head> blob_backups::head(const std::string& id) const {
  const auto damage = [&](const std::string& why) {
    return failure{errc::corrupted, "backup_damaged", list_file(id) + ": " + why};
  };
  if (!is_backup_id(id))
    return damage("that is no name of a list");
  auto in = std::ifstream{list_file(id), std::ios::binary};
  auto text = std::string(most_blob_list_head_bytes, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  auto got = decode_blob_list_head(text);
  if (!got)
    return damage(text.empty() ? "the list of its files is missing" : got.error().detail);
  if (got->backup != id)
    return damage("it is the list of " + got->backup);
  return got;
}

model::result<blob_list> blob_backups::list(const std::string& id) const {
  if (const auto first = head(id); !first)
    return first.error();
  auto in = std::ifstream{list_file(id), std::ios::binary};
  const auto text = std::string{std::istreambuf_iterator<char>{in}, {}};
  auto got = decode_blob_list(text);
  if (!got)
    return failure{errc::corrupted, "backup_damaged", list_file(id) + ": " + got.error().detail};
  return got;
}

status blob_backups::verify(const blob_list& list) const {
  if (list.blobs.empty())
    return {};
  const auto from = blobs::open_as_it_is(pool());
  if (!from)
    return damaged(list.blobs.front().name, "missing, and the whole folder");
  for (const auto& one : list.blobs)
    if (const auto ok = (*from)->verify(one.name); !ok)
      return ok.error().code == errc::unavailable
                 ? not_written(folder_, ok.error())
                 : damaged(one.name, ok.error().code == errc::not_found ? "missing" : "damaged");
  return {};
}

status blob_backups::keep(const std::vector<std::string>& ids) const {
  auto needed = std::vector<blob_name>{};
  for (const auto& id : ids) {
    const auto one = list(id);
    if (!one)
      return one.error();  // Who knows what it needs?
    auto both = std::vector<blob_name>{};
    auto names = std::vector<blob_name>{};
    names.reserve(one->blobs.size());
    for (const auto& b : one->blobs)
      names.push_back(b.name);
    std::set_union(needed.begin(), needed.end(), names.begin(), names.end(),
                   std::back_inserter(both));
    needed = std::move(both);
  }
  auto error = std::error_code{};
  for (auto i = fs::directory_iterator{lists(), error}; !error && i != fs::directory_iterator{};
       i.increment(error))
    if (std::find(ids.begin(), ids.end(), i->path().filename().string()) == ids.end())
      ::unlink(i->path().c_str());
  if (!fs::is_directory(pool(), error))
    return {};
  const auto in = blobs::open(pool());
  if (!in)
    return not_written(folder_, in.error());
  const auto listed = (*in)->list({}, SIZE_MAX);
  if (!listed)
    return not_written(folder_, listed.error());
  for (const auto& one : *listed)
    if (!std::binary_search(needed.begin(), needed.end(), one.name))
      if (const auto ok = (*in)->remove(one.name); !ok)
        return not_written(folder_, ok.error());
  return {};
}

model::result<std::vector<blob_entry>> blob_backups::in_pool() const {
  auto all = std::vector<blob_entry>{};
  auto error = std::error_code{};
  if (!fs::exists(pool(), error) && !error)
    return all;
  const auto from = blobs::open_as_it_is(pool());
  if (!from)
    return not_written(folder_, from.error());
  const auto listed = (*from)->list({}, SIZE_MAX);
  if (!listed)
    return not_written(folder_, listed.error());
  for (const auto& one : *listed)
    all.push_back({one.name, one.size});
  return all;
}

model::result<std::vector<blob_entry>> blob_backups::restore(const std::string& id,
                                                             const std::string& folder,
                                                             damaged_blobs what) const {
  auto wanted = std::vector<blob_entry>{};
  if (auto of = list(id)) {
    wanted = std::move(of->blobs);
  } else if (what == damaged_blobs::refuse) {
    return of.error();
  } else {
    auto all = in_pool();
    if (!all)
      return all;
    wanted = std::move(*all);
  }
  const auto to = blobs::open(folder);
  if (!to)
    return not_written(folder, to.error());
  if (wanted.empty())
    return wanted;
  const auto from = blobs::open_as_it_is(pool());
  if (!from) {
    if (what == damaged_blobs::leave_out)
      return wanted;
    return damaged(wanted.front().name, "missing, and the whole folder");
  }
  if (what == damaged_blobs::refuse)
    for (const auto& one : wanted)
      if (const auto size = (*from)->size(one.name); !size || *size != one.size)
        return damaged(one.name, size ? "damaged" : "missing");
  auto left_out = std::vector<blob_entry>{};
  for (auto& one : wanted) {
    const auto ok = copy_blob(**from, **to, one.name, {});
    if (ok)
      continue;
    if (ok.error().code == errc::unavailable)
      return not_written(folder, ok.error());
    if (what == damaged_blobs::refuse)
      return damaged(one.name, "damaged");
    left_out.push_back(std::move(one));
  }
  return left_out;
}

}  // namespace orrery::storage
