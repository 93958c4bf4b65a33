#include "storage/journal_trim.hpp"

#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include <rocksdb/convenience.h>

#include "storage/frame.hpp"
#include "storage/keys.hpp"

namespace orrery::storage {
namespace {

std::string_view view(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

std::unique_ptr<rocksdb::Iterator> iterate(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& journal) {
  auto read = rocksdb::ReadOptions{};
  read.fill_cache = false;
  return std::unique_ptr<rocksdb::Iterator>{db.NewIterator(read, &journal)};
}

/// Walks the frames of one shard from its oldest on.
class front {
 public:
  front(std::unique_ptr<rocksdb::Iterator> at, model::shard_id shard, std::uint64_t checkpoint)
      : at_{std::move(at)}, prefix_{keys::shard_prefix(shard)}, checkpoint_{checkpoint} {
    at_->Seek(prefix_);
    look();
  }
  /// The newest record of the frame that stands in front; nothing if it must stay.
  std::optional<model::timestamp> time() const { return time_; }
  std::size_t bytes() const { return bytes_; }
  /// Lets the front frame go.
  void pass() {
    end_ = next_;
    look();
  }
  rocksdb::Status status() const { return at_->status(); }

  /// Deletes all that was passed.
  rocksdb::Status drop(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& journal) const {
    if (end_.empty())
      return {};
    // Files that hold nothing else go at once, without a compaction.
    const auto begin = rocksdb::Slice{prefix_}, end = rocksdb::Slice{end_};
    if (auto s = rocksdb::DeleteFilesInRange(&db, &journal, &begin, &end, false); !s.ok())
      return s;
    return db.DeleteRange({}, &journal, begin, end);
  }

 private:
  bool here() const { return at_->Valid() && at_->key().starts_with(prefix_); }

  /// Reads the frame in front and steps behind it: it ends where the next one begins.
  void look() {
    time_.reset();
    if (!here())
      return;
    const auto newest = frame_time(view(at_->value()));
    bytes_ = at_->key().size() + at_->value().size();
    at_->Next();
    if (!here())
      return;  // the newest of its shard
    next_ = at_->key().ToString();
    const auto behind = keys::journal_offset(next_);
    if (behind && *behind <= checkpoint_ + 1)
      time_ = newest;
  }

  std::unique_ptr<rocksdb::Iterator> at_;
  std::string prefix_;
  std::uint64_t checkpoint_;
  std::optional<model::timestamp> time_;
  std::size_t bytes_ = 0;
  std::string next_, end_;
};

/// The shards that have frames, each with the first key it has.
std::vector<std::pair<model::shard_id, std::string>> shards_of(rocksdb::Iterator& at) {
  auto found = std::vector<std::pair<model::shard_id, std::string>>{};
  for (at.SeekToFirst(); at.Valid();) {
    const auto shard = keys::shard_of(view(at.key()));
    if (!shard)
      break;
    found.emplace_back(*shard, at.key().ToString());
    at.SeekForPrev(keys::journal(*shard, ~std::uint64_t{0}));
    at.Next();
  }
  return found;
}

}  // namespace

rocksdb::Status trim_by_age(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& journal,
                            model::shard_id shard, std::uint64_t offset, model::timestamp before) {
  auto f = front{iterate(db, journal), shard, offset};
  while (f.time() && *f.time() < before)
    f.pass();
  if (!f.status().ok())
    return f.status();
  return f.drop(db, journal);
}

rocksdb::Status journal_bytes(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& journal,
                              std::uint64_t& bytes) {
  bytes = 0;
  const auto at = iterate(db, journal);
  const auto shards = shards_of(*at);
  if (!at->status().ok())
    return at->status();
  auto options = rocksdb::SizeApproximationOptions{};
  options.include_memtables = true;
  for (const auto& [shard, first] : shards) {
    const auto last = keys::journal(shard, ~std::uint64_t{0});
    const auto range = rocksdb::Range{first, last};
    auto size = std::uint64_t{0};
    if (auto s = db.GetApproximateSizes(options, &journal, &range, 1, &size); !s.ok())
      return s;
    bytes += size;
  }
  return {};
}

rocksdb::Status trim_by_size(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& journal,
                             std::uint64_t excess,
                             const std::function<std::uint64_t(model::shard_id)>& checkpoint_of) {
  const auto at = iterate(db, journal);
  auto fronts = std::vector<std::unique_ptr<front>>{};
  for (const auto& [shard, first] : shards_of(*at))
    fronts.push_back(std::make_unique<front>(iterate(db, journal), shard, checkpoint_of(shard)));
  if (!at->status().ok())
    return at->status();
  const auto younger = [](const front* a, const front* b) { return *a->time() > *b->time(); };
  auto oldest = std::priority_queue<front*, std::vector<front*>, decltype(younger)>{younger};
  for (const auto& f : fronts)
    if (f->time())
      oldest.push(f.get());
  for (auto gone = std::uint64_t{0}; gone < excess && !oldest.empty();) {
    auto* f = oldest.top();
    oldest.pop();
    gone += f->bytes();
    f->pass();
    if (f->time())
      oldest.push(f);
  }
  for (const auto& f : fronts) {
    if (!f->status().ok())
      return f->status();
    if (auto s = f->drop(db, journal); !s.ok())
      return s;
  }
  return {};
}

}  // namespace orrery::storage
