// Files of devices: links to put them and to get them, and what answers at those links.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "actors/blob_access.hpp"
#include "actors/caller.hpp"
#include "model/device/device.hpp"
#include "observe/metrics.hpp"
#include "transport/file_link.hpp"
#include "transport/file_quota.hpp"
#include "transport/http_message.hpp"
#include "transport/unfinished_files.hpp"

namespace orrery::transport {

struct file_exchange_parts {
  std::shared_ptr<actors::caller> ask;
  std::shared_ptr<actors::blob_access> blobs;
  std::string key;  // that links are signed with, the same on all nodes
  std::function<model::timestamp()> now;
  model::device::file_limits limits;
  model::milliseconds link_lifetime{std::chrono::minutes{15}};
  std::shared_ptr<observe::metrics> metrics;
  std::shared_ptr<file_quota> quota = {};  // null: organisations have no limits
};

/// A link as it is told.
struct shown_link {
  std::string url;
  model::timestamp expires;
};

/// Thread-safe. Is to be made as a shared_ptr.
class file_exchange : public std::enable_shared_from_this<file_exchange> {
 public:
  explicit file_exchange(file_exchange_parts parts);
  ~file_exchange();
  /// Asks nobody any more: when all threads that call it have ended.
  void stop();

  /// Where links lead: "https://host:port".
  void serve_at(std::string base);

  /// An order for a file with a new id.
  model::device::add_file new_file() const;
  /// file_quota::take: before it is asked for. Nothing for one that is too large anyway.
  model::result<file_room> take_room(const std::string& organisation, std::uint64_t bytes) const;
  /// file_quota::give_back.
  void give_back(const std::string& organisation, std::uint64_t bytes) const;
  shown_link upload_link(const model::device::file_status& file) const;
  shown_link download_link(const model::device::file_status& file) const;

  /// PUT, PATCH and HEAD /files/u/{token}; GET and HEAD /files/d/{token}.
  http_handler handler();
  /// Takes the bodies of uploads; null for any other request.
  body_taker taker();

  /// Looks at the next few of the blobs that are here: those of no file go, those that other nodes
  /// should have are given to them. Uploads that nobody goes on with are dropped. One call at a
  /// time; called every minute or so.
  void look_after(std::size_t most = 100);

 private:
  class upload;
  struct figures;
  void put(const std::shared_ptr<const http_request>& request, const responder& answer);
  void tell_offset(const std::shared_ptr<const http_request>& request, const responder& answer);
  model::status may_come(const model::device::file_status& is, const file_link& link) const;
  void let_go(std::vector<unfinished_files::incoming> gone);
  void get(const std::shared_ptr<const http_request>& request, const responder& answer);
  void look_at(const storage::listed_blob& one);
  shown_link link_to(const model::device::file_status& file, file_link::use what) const;

  file_exchange_parts parts_;
  std::unique_ptr<figures> figures_;
  std::shared_ptr<unfinished_files> unfinished_ = std::make_shared<unfinished_files>();
  mutable std::mutex mutex_;
  std::string base_;
  storage::blob_name looked_at_;  // last
};

/// {"fileUri":..,"uploadUrl":..,"filename":..,"headers":{},"expires":..}, as devices are told.
model::value upload_offer(const model::device::file_record& file, const shown_link& link);
/// {"fileUri":..,"downloadUrl":..,"filename":..,"fileLength":..,"md5":..,"sha256":..,"expires":..}
model::value download_offer(const model::device::file_record& file, const shown_link& link);

}  // namespace orrery::transport
