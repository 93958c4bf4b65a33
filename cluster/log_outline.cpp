#include "cluster/log_outline.hpp"

#include <algorithm>

namespace orrery::cluster {

const log_outline::stretch* log_outline::stretch_of(std::uint64_t index) const {
  if (index <= begin_.index || index > last_.index)
    return nullptr;
  const auto after = std::upper_bound(stretches_.begin(), stretches_.end(), index,
                                      [](auto i, const stretch& s) { return i < s.first; });
  return &*std::prev(after);
}

std::uint64_t log_outline::epoch_at(std::uint64_t index) const {
  if (index == begin_.index)
    return begin_.epoch;
  const auto* s = stretch_of(index);
  return s ? s->epoch : 0;
}

std::uint64_t log_outline::before_stretch_of(std::uint64_t index) const {
  const auto* s = stretch_of(index);
  return s ? s->first - 1 : begin_.index;
}

void log_outline::append(log_position at) {
  if (stretches_.empty() || stretches_.back().epoch != at.epoch)
    stretches_.push_back({at.epoch, last_.index + 1});
  last_ = at;
}

void log_outline::cut(std::uint64_t index) {
  if (index >= last_.index)
    return;
  const auto epoch = epoch_at(index);
  while (!stretches_.empty() && stretches_.back().first > index)
    stretches_.pop_back();
  last_ = {epoch, index};
}

void log_outline::trim(std::uint64_t index) {
  if (index <= begin_.index)
    return;
  begin_ = {epoch_at(index), index};
  while (stretches_.size() > 1 && stretches_[1].first <= index + 1)
    stretches_.erase(stretches_.begin());
  if (begin_.index == last_.index)
    stretches_.clear();
  else if (!stretches_.empty() && stretches_.front().first <= index)
    stretches_.front().first = index + 1;
}

}  // namespace orrery::cluster
