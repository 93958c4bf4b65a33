// A value shared by its copies until one of them changes it.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace orrery::model {

/// Takes the room of a pointer; what is empty takes no more. Copies share the value, so they are
/// cheap; `edit` gives this one its own. Like other values: one object is for one thread at a time,
/// copies of it may go to others.
template <class T>
class cow {
 public:
  cow() = default;
  cow(T v) {
    if constexpr (requires { v.empty(); })
      if (v.empty())
        return;
    node_ = new node{{1}, std::move(v)};
  }
  cow(const cow& other) noexcept : node_{other.node_} {
    if (node_)
      node_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  cow(cow&& other) noexcept : node_{std::exchange(other.node_, nullptr)} {}
  cow& operator=(cow other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~cow() {
    if (node_ && node_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete node_;
  }

  const T& operator*() const { return node_ ? node_->v : nothing(); }
  const T* operator->() const { return &**this; }

  /// To be changed: nobody else sees it.
  T& edit() {
    if (!is_sole_owner())
      *this = cow{new node{{1}, **this}};
    return node_->v;
  }
  /// Lets `f` change it; what it leaves empty takes no memory any more.
  template <class F>
  void change(F f) {
    f(edit());
    if (node_->v.empty())
      *this = cow{};
  }
  /// True if no copy shares it; never for what is empty.
  bool is_sole_owner() const { return node_ && node_->owners.load(std::memory_order_acquire) == 1; }

  bool operator==(const cow& other) const { return node_ == other.node_ || **this == *other; }

 private:
  struct node {
    std::atomic<std::uint32_t> owners;
    T v;
  };
  explicit cow(node* own) : node_{own} {}
  static const T& nothing() {
    static const auto none = T{};
    return none;
  }

  node* node_ = nullptr;
};

}  // namespace orrery::model
