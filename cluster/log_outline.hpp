// What a replica knows of its log without reading it: where it begins and ends, and which epoch
// wrote which part.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace orrery::cluster {

/// A place in a log: the entry whose last record has that index. {0, 0} stands before the first.
struct log_position {
  std::uint64_t epoch = 0;
  std::uint64_t index = 0;
  bool operator==(const log_position&) const = default;
  /// The order in which a later primary prefers one log to another.
  auto operator<=>(const log_position&) const = default;
};

class log_outline {
 public:
  /// What one epoch wrote without another between.
  struct stretch {
    std::uint64_t epoch, first;  // of its entries: the least index that they may have
    bool operator==(const stretch&) const = default;
  };

  log_outline() = default;
  /// Everything up to `begin` is in the state and not in the log any more.
  explicit log_outline(log_position begin) : begin_{begin}, last_{begin} {}

  /// As it was kept. Requires: stretches in order, none behind `last`.
  log_outline(log_position begin, log_position last, std::vector<stretch> stretches)
      : begin_{begin}, last_{last}, stretches_{std::move(stretches)} {}

  log_position begin() const { return begin_; }
  log_position last() const { return last_; }
  /// The epoch that wrote the entry at `index`, from begin() to last(). Elsewhere: 0.
  std::uint64_t epoch_at(std::uint64_t index) const;

  const std::vector<stretch>& stretches() const { return stretches_; }

  /// The end of what other epochs wrote before the stretch that holds `index`.
  std::uint64_t before_stretch_of(std::uint64_t index) const;

  /// Requires: at.index > last().index, at.epoch >= last().epoch.
  void append(log_position at);
  /// Takes away what is behind `index`, which is an entry's end or begin(). Requires: index >=
  /// begin().index.
  void cut(std::uint64_t index);
  /// Forgets what is before `index`, an entry's end up to last().
  void trim(std::uint64_t index);

 private:
  const stretch* stretch_of(std::uint64_t index) const;

  log_position begin_, last_;
  std::vector<stretch> stretches_;  // in order
};

}  // namespace orrery::cluster
