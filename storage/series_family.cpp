#include "storage/series_family.hpp"

#include <rocksdb/compaction_filter.h>
#include <rocksdb/merge_operator.h>

#include "storage/bucket.hpp"
#include "storage/keys.hpp"
#include "storage/time_series.hpp"

namespace orrery::storage {
namespace {

thread_local bool only_reading = false;

std::string_view view(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

/// Never fails: a failed merge would stop all writing. Damaged parts stay in the row, and the read
/// that decodes them says `corrupted`.
class bucket_merge final : public rocksdb::MergeOperator {
 public:
  bool FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const override {
    auto values = std::vector<std::string_view>{};
    if (in.existing_value)
      values.push_back(view(*in.existing_value));
    for (const auto& operand : in.operand_list)
      values.push_back(view(operand));
    out->new_value = merged(values);
    return true;
  }
  bool PartialMergeMulti(const rocksdb::Slice&, const std::deque<rocksdb::Slice>& operands,
                         std::string* out, rocksdb::Logger*) const override {
    auto values = std::vector<std::string_view>{};
    for (const auto& operand : operands)
      values.push_back(view(operand));
    *out = merged(values);
    return true;
  }
  const char* Name() const override { return "orrery.bucket"; }

 private:
  static std::string merged(std::span<const std::string_view> values) {
    auto row = concatenate(values);
    return only_reading ? row : join_parts(row);
  }
};

class age_filter final : public rocksdb::CompactionFilter {
 public:
  explicit age_filter(model::timestamp horizon) : horizon_{horizon} {}
  Decision FilterV2(int, const rocksdb::Slice& key, ValueType, const rocksdb::Slice&, std::string*,
                    std::string*) const override {
    const auto parsed = keys::parse_series(view(key));
    if (!parsed)
      return Decision::kKeep;
    const auto end = parsed->what == keys::series_key::content::samples
                         ? parsed->time + bucket_length
                         : parsed->time + model::milliseconds{1};
    return end <= horizon_ ? Decision::kRemove : Decision::kKeep;
  }
  const char* Name() const override { return "orrery.age"; }

 private:
  model::timestamp horizon_;
};

class age_filter_factory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit age_filter_factory(std::shared_ptr<const sample_horizon> horizon)
      : horizon_{std::move(horizon)} {}
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    return std::make_unique<age_filter>(model::from_ms(horizon_->load(std::memory_order_relaxed)));
  }
  const char* Name() const override { return "orrery.age_factory"; }

 private:
  std::shared_ptr<const sample_horizon> horizon_;
};

}  // namespace

void set_series_options(rocksdb::ColumnFamilyOptions& options,
                        std::shared_ptr<const sample_horizon> horizon) {
  options.merge_operator = std::make_shared<bucket_merge>();
  options.compaction_filter_factory = std::make_shared<age_filter_factory>(std::move(horizon));
}

reading_parts::reading_parts() : before_{std::exchange(only_reading, true)} {}
reading_parts::~reading_parts() {
  only_reading = before_;
}

}  // namespace orrery::storage
