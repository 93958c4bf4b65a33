#include "storage/rocks_scan.hpp"

#include <array>
#include <memory>

#include "storage/bucket.hpp"
#include "storage/keys.hpp"
#include "storage/series_family.hpp"

namespace orrery::storage {
namespace {

std::string_view view(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

/// An iterator in one direction.
class walk {
 public:
  walk(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, key_range keys)
      : keys_{std::move(keys)}, end_{keys_.end} {
    auto read = rocksdb::ReadOptions{};
    read.snapshot = keys_.as_of;
    if (!keys_.end.empty())
      read.iterate_upper_bound = &end_;
    at_.reset(db.NewIterator(read, family));
    if (keys_.backwards)
      at_->SeekToLast();
    else
      at_->Seek(keys_.first);
  }
  walk(const walk&) = delete;
  walk& operator=(const walk&) = delete;

  bool valid() const { return at_->Valid() && (!keys_.backwards || key() >= keys_.first); }
  void next() { keys_.backwards ? at_->Prev() : at_->Next(); }
  std::string_view key() const { return view(at_->key()); }
  std::string_view value() const { return view(at_->value()); }
  rocksdb::Status status() const { return at_->status(); }
  /// True if it stands at a key that comes before `other` in its direction.
  bool before(std::string_view other) const {
    return valid() && (keys_.backwards ? key() > other : key() < other);
  }

 private:
  key_range keys_;
  rocksdb::Slice end_;  // the iterator holds a pointer to it
  std::unique_ptr<rocksdb::Iterator> at_;
};

bool is_bucket(std::string_view key) {
  const auto parsed = keys::parse_series(key);
  return parsed && parsed->what == keys::series_key::content::samples;
}

}  // namespace

std::string key_behind(std::string_view prefix) {
  auto next = std::string{prefix};
  while (!next.empty() && static_cast<unsigned char>(next.back()) == 0xff)
    next.pop_back();
  if (!next.empty())
    next.back() = static_cast<char>(next.back() + 1);
  return next;
}

rocksdb::Status scan_range(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, key_range keys,
                           const entity_store::visitor& visit) {
  auto at = walk{db, family, std::move(keys)};
  for (; at.valid(); at.next())
    if (!visit(at.key(), at.value()))
      return {};
  return at.status();
}

rocksdb::Status scan_slices(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* far,
                            const std::vector<rocksdb::ColumnFamilyHandle*>& slices,
                            const key_range& keys, const entity_store::visitor& visit) {
  const auto reading = reading_parts{};
  auto odd = walk{db, far, keys};
  for (auto* slice : slices) {
    auto at = walk{db, slice, keys};
    for (; at.valid(); at.next()) {
      for (; odd.before(at.key()); odd.next())
        if (!visit(odd.key(), odd.value()))
          return {};
      auto value = at.value();
      auto both = std::string{};
      if (odd.valid() && odd.key() == at.key()) {
        if (is_bucket(at.key())) {
          both = concatenate(std::array{odd.value(), value});
          value = both;
        }
        odd.next();
      }
      if (!visit(at.key(), value))
        return {};
    }
    if (!at.status().ok())
      return at.status();
  }
  for (; odd.valid(); odd.next())
    if (!visit(odd.key(), odd.value()))
      return {};
  return odd.status();
}

}  // namespace orrery::storage
