// Bytes of files for those who must not wait for a disk: every call comes back at once and its end
// is told by a callback. In a cluster it finds what other nodes have, and sees to it that what is
// kept here is kept by others too.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/ids.hpp"
#include "model/result.hpp"
#include "storage/blobs.hpp"

namespace orrery::actors {

/// Other nodes. Thread-safe; every callback runs once, on any thread.
class blob_ways {
 public:
  using then = std::function<void(model::status)>;
  virtual ~blob_ways() = default;
  /// Gives what is here to every other node that has the shard in sync and lacks it. Fails:
  /// `unavailable`, "file_not_copied", if one of them did not take it in time.
  virtual void spread(model::shard_id shard, storage::blob_name name, then done) = 0;
  /// Brings it here from whichever node has it. Fails: `not_found`, "blob_unknown", if none has;
  /// `unavailable` if one that may have it could not be asked.
  virtual void fetch(model::shard_id shard, storage::blob_name name, then done) = 0;
};

/// Thread-safe. Callbacks run once, on a thread of the pool (or that of a link): hand over and
/// return. Fails also: `unavailable`, "file_store_busy", if too much waits.
class blob_access {
 public:
  template <class T>
  using then = std::function<void(model::result<T>)>;
  using then_done = std::function<void(model::status)>;
  /// Bytes on their way in; one call at a time.
  using incoming = std::shared_ptr<storage::blob_writer>;

  explicit blob_access(std::shared_ptr<storage::blobs> store, std::size_t threads = 2);
  ~blob_access();  // waits for what runs
  blob_access(const blob_access&) = delete;
  blob_access& operator=(const blob_access&) = delete;

  /// Before any other call; null on a node that is alone.
  void set_elsewhere(std::shared_ptr<blob_ways> elsewhere);
  const std::shared_ptr<storage::blobs>& store() const;

  void begin(then<incoming> done);
  void append(incoming to, std::string bytes, then_done done);
  void finish(incoming what, then<storage::blob_facts> done);
  /// Keeps what is finished, here and wherever the shard is in sync.
  void keep(incoming what, model::shard_id shard, std::string owner, then_done done);
  /// How large it is; brings it here if it is elsewhere. Fails: as blobs::size, blob_ways::fetch.
  void find(model::shard_id shard, storage::blob_name name, then<std::uint64_t> done);
  /// Of what is here.
  void read(storage::blob_name name, std::uint64_t offset, std::size_t most,
            then<std::string> done);
  /// As blobs::remove.
  void remove(storage::blob_name name, std::int64_t written_at, then_done done);
  void list(storage::blob_name after, std::size_t most,
            then<std::vector<storage::listed_blob>> done);
  /// Gives what is here to the nodes that should have it, as keep() does.
  void spread(model::shard_id shard, storage::blob_name name, then_done done);
  /// Runs anything that blocks; false: too much waits.
  bool run(std::function<void()> work);
  /// Takes no more work, and ends when what was taken is done.
  void stop();

 private:
  struct pool;
  std::unique_ptr<pool> pool_;
};

}  // namespace orrery::actors
