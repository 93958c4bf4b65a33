// An entity_store in memory whose disk fails when a test wants it to. It outlives the actors that
// use it, as a database outlives a process that was killed.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "storage/entity_store.hpp"

namespace orrery::tests {

/// Thread-safe; set the faults and look at the calls while no actor runs.
class memory_store final : public storage::entity_store {
 public:
  /// What goes wrong from now on.
  struct fault_plan {
    int appends = 0;           // so many appends fail; -1: all
    bool kept_by_log = false;  // a failed append is found by the next reopen: it was in the log
    bool reopening = false;    // reopen fails and leaves the store closed
    bool rows = false;         // get and scan fail
    bool journal = false;      // replay and meta fail
    bool noting = false;       // put_meta fails
    bool putting = false;      // put fails
  };
  /// One append that was kept.
  struct written {
    std::vector<storage::frame> frames;
    bool sync = false;
  };

  fault_plan faults;
  std::vector<written> appends;  // in order
  std::size_t reopened = 0;
  std::function<void()> on_append = [] {};

  /// The records of a shard's journal, by offset.
  std::map<std::uint64_t, storage::record> journal(model::shard_id shard) const;
  std::size_t rows(storage::family f, std::string_view prefix) const;
  /// Writes a row as it is: to plant damage.
  void plant(storage::family f, std::string key, std::string value);

  model::status append(std::span<const storage::frame> frames, bool sync) override;
  model::status put(std::span<const storage::row> rows, bool sync) override;
  model::result<std::optional<std::string>> get(storage::family f,
                                                std::string_view key) const override;
  model::status scan(storage::family f, std::string_view prefix, std::string_view from,
                     bool backwards, const visitor& visit) const override;
  model::result<std::unique_ptr<const storage::row_reader>> moment() const override;
  model::status scan_series(std::string_view prefix, model::timestamp from, model::timestamp to,
                            bool backwards, const visitor& visit) const override;
  model::status replay(model::shard_id shard, std::uint64_t from_offset,
                       const record_visitor& visit) const override;
  model::result<storage::shard_meta> meta(model::shard_id shard) const override;
  model::status put_meta(model::shard_id shard, const storage::shard_meta& meta) override;
  model::status trim_journal(model::shard_id shard, std::uint64_t offset,
                             model::timestamp before) override;
  model::status limit_journal(std::uint64_t max_bytes) override;
  model::status roll_slices(model::timestamp oldest, model::timestamp now) override;
  model::timestamp sample_horizon() const override;
  model::result<std::unique_ptr<storage::shard_copy>> copy_shard(
      model::shard_id shard, std::uint64_t offset) const override;
  model::status reopen() override;
  model::result<storage::stored_backup> back_up(const storage::backup_target& to) override;
  void stop_backup() override {}
  std::vector<std::pair<std::string, double>> figures() const override { return {}; }

  using table = std::map<std::string, std::string, std::less<>>;
  using row_list = std::vector<std::pair<std::string, std::string>>;
  static row_list matching(const table& in, std::string_view prefix, std::string_view from,
                           bool backwards);

 private:
  model::status readable(bool fault) const;
  void keep(std::span<const storage::frame> frames);
  void keep(const storage::row& r);
  void keep_frame(const storage::row& r);
  table journal_table() const;
  storage::shard_meta noted(model::shard_id shard) const;

  mutable std::mutex mutex_;
  bool closed_ = false;
  using all_tables = std::map<storage::family, table>;
  std::shared_ptr<all_tables> tables_ = std::make_shared<all_tables>();  // moments share it
  model::timestamp horizon_ = model::timestamp::min();
  std::map<std::pair<model::shard_id, std::uint64_t>, std::string> frames_;
  std::vector<std::vector<storage::frame>> log_;  // failed appends that a reopen finds
};

}  // namespace orrery::tests
