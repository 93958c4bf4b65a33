#include "storage/rocks_status.hpp"

namespace orrery::storage {

using model::errc;

model::failure to_failure(const rocksdb::Status& s, const std::string& folder) {
  const auto what = s.ToString();
  const auto has = [&](std::string_view text) { return what.find(text) != std::string::npos; };
  const auto text = "database in " + folder + ": " + what;
  if (s.IsCorruption())
    return {errc::corrupted, "storage_corrupt",
            text + "; restore a backup, or move the folder away to begin anew"};
  if (s.IsNoSpace() || has("No space left on device"))
    return {errc::unavailable, "storage_full",
            text + "; the disk is full: free some space, nothing acknowledged is lost"};
  if (has("While lock file") || has("lock hold by current process"))
    return {errc::unavailable, "storage_locked",
            "database in " + folder +
                " is in use by another process: stop that one, or choose another folder with "
                "--data"};
  if (has("Read-only file system") || has("Permission denied"))
    return {errc::unavailable, "storage_failed",
            text + "; the folder must be writable: look at its owner, its mode and the mount"};
  return {errc::unavailable, "storage_failed", text + "; look at the disk and its mount"};
}

}  // namespace orrery::storage
