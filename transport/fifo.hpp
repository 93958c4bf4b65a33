// A queue whose empty form owns no memory: most connections wait for nothing most of the time.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace orrery::transport {

/// First in, first out, with random access for searching. What was popped is kept until half of
/// the memory is unused.
template <class T>
class fifo {
 public:
  bool empty() const { return begin_ == all_.size(); }
  std::size_t size() const { return all_.size() - begin_; }
  T& front() { return all_[begin_]; }
  const T& front() const { return all_[begin_]; }
  T& operator[](std::size_t i) { return all_[begin_ + i]; }
  auto begin() { return all_.begin() + static_cast<std::ptrdiff_t>(begin_); }
  auto end() { return all_.end(); }
  auto begin() const { return all_.begin() + static_cast<std::ptrdiff_t>(begin_); }
  auto end() const { return all_.end(); }

  void push_back(T v) { all_.push_back(std::move(v)); }
  void pop_front() {
    ++begin_;
    if (empty()) {
      if (all_.capacity() > keep)
        all_ = {};
      else
        all_.clear();
      begin_ = 0;
    } else if (begin_ > all_.size() / 2 && begin_ > keep) {
      all_.erase(all_.begin(), begin());
      begin_ = 0;
    }
  }
  /// Removes one element, wherever it stands.
  template <class Iterator>
  void erase(Iterator at) {
    if (at == begin())
      pop_front();
    else
      all_.erase(at);
  }

 private:
  static constexpr std::size_t keep = 4;
  std::vector<T> all_;
  std::size_t begin_ = 0;
};

}  // namespace orrery::transport
