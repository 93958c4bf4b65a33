#include "model/point_name.hpp"

#include <algorithm>
#include <functional>
#include <mutex>
#include <unordered_set>

namespace orrery::model {
namespace {

struct by_text {
  using is_transparent = void;
  static std::string_view view(std::string_view text) { return text; }
  static std::string_view view(const cow<std::string>& text) { return *text; }
  std::size_t operator()(const auto& text) const {
    return std::hash<std::string_view>{}(view(text));
  }
  bool operator()(const auto& a, const auto& b) const { return view(a) == view(b); }
};

class pool {
 public:
  cow<std::string> of(std::string_view text) {
    const auto hold = std::lock_guard{mutex_};
    if (const auto known = names_.find(text); known != names_.end())
      return *known;
    if (names_.size() >= sweep_at_) {
      std::erase_if(names_, [](const auto& name) { return name.is_sole_owner(); });
      sweep_at_ = std::max(smallest_sweep, 2 * names_.size());
    }
    return *names_.insert(cow{std::string{text}}).first;
  }
  std::size_t size() {
    const auto hold = std::lock_guard{mutex_};
    return names_.size();
  }

 private:
  static constexpr std::size_t smallest_sweep = 1024;
  std::mutex mutex_;
  std::unordered_set<cow<std::string>, by_text, by_text> names_;
  std::size_t sweep_at_ = smallest_sweep;
};

pool& the_pool() {
  static auto& p = *new pool;  // outlives whatever holds a name
  return p;
}

}  // namespace

point_name::point_name(std::string_view text) : text_{the_pool().of(text)} {}

std::size_t point_name::pooled() {
  return the_pool().size();
}

}  // namespace orrery::model
