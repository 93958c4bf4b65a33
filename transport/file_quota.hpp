// The limit of bytes that all files of an organisation have together. The bytes are counted from
// the index of devices, again and again while there is a limit; in between each node adds what it
// lets in itself. So several nodes together may let in more than there is room for, for as long as
// a count is old: ten seconds, or twenty times what it takes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "actors/catalogue.hpp"
#include "actors/query.hpp"

namespace orrery::transport {

struct file_quota_parts {
  std::shared_ptr<actors::query> query;
  std::shared_ptr<const actors::catalogue> known;
  std::function<model::timestamp()> now;
};

/// What an organisation's files have with one more.
struct file_room {
  std::uint64_t used = 0;  // bytes, with it; 0 without limits
  std::optional<std::uint64_t> soft = {}, hard = {};
};

/// Thread-safe.
class file_quota : public std::enable_shared_from_this<file_quota> {
 public:
  explicit file_quota(file_quota_parts parts) : parts_{std::move(parts)} {}
  /// Asks nobody any more.
  void stop();
  /// Room for a file of so many bytes, taken with the answer. Fails: `too_many_requests`
  /// "quota_exceeded"; `unavailable` "quota_counting" where nobody has counted yet.
  model::result<file_room> take(const std::string& organisation, std::uint64_t bytes);
  /// What was taken, and is surely not used, or a file that is gone.
  void give_back(const std::string& organisation, std::uint64_t bytes);
  /// Counts where a count is too old: to be called each second or so.
  void look_after();

 private:
  struct counted {
    std::uint64_t used = 0;    // by the last count
    std::uint64_t added = 0;   // since it was begun
    model::timestamp begun{};  // of the last count
    model::milliseconds took{0};
    std::uint64_t let_in = 0;  // since the count that runs was begun
    bool runs = false;
    bool known = false;
  };
  void count(const std::string& organisation);

  file_quota_parts parts_;
  std::mutex mutex_;
  std::map<std::string, counted, std::less<>> all_;  // with limits alone
};

}  // namespace orrery::transport
