#include "model/tree/order_key.hpp"

#include <algorithm>
#include <cstdint>

namespace orrery::model::tree {
namespace {

constexpr std::string_view digits =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr auto base = static_cast<int>(digits.size());

// At the ends of a list keys are counted on, so that they stay short: a number of this many digits,
// and steps that leave a short way between neighbours.
constexpr std::size_t counted_digits = 6;
constexpr std::uint64_t step = base;

std::uint64_t all_numbers() {
  auto n = std::uint64_t{1};
  for (std::size_t i = 0; i < counted_digits; ++i)
    n *= static_cast<std::uint64_t>(base);
  return n;
}

int digit(std::string_view key, std::size_t at) {
  if (at >= key.size())
    return 0;
  const auto found = digits.find(key[at]);
  return found == std::string_view::npos ? 0 : static_cast<int>(found);
}

std::uint64_t number_of(std::string_view key) {
  auto n = std::uint64_t{0};
  for (std::size_t i = 0; i < counted_digits; ++i)
    n = n * static_cast<std::uint64_t>(base) + static_cast<std::uint64_t>(digit(key, i));
  return n;
}

std::string key_of(std::uint64_t number) {
  auto key = std::string(counted_digits, digits[0]);
  for (auto i = counted_digits; i > 0; --i, number /= static_cast<std::uint64_t>(base))
    key[i - 1] = digits[number % static_cast<std::uint64_t>(base)];
  while (!key.empty() && key.back() == digits[0])
    key.pop_back();
  return key;
}

/// The shortest key near the middle of the two; an empty `upper` is the end of all keys.
std::string middle(std::string_view lower, std::string_view upper) {
  auto key = std::string{};
  auto open = upper.empty();
  for (std::size_t i = 0;; ++i) {
    const auto low = digit(lower, i), high = open ? base : digit(upper, i);
    if (high - low > 1) {
      key += digits[static_cast<std::size_t>((low + high) / 2)];
      return key;
    }
    if (high - low == 1 && !open && upper.size() > i + 1) {
      key += digits[static_cast<std::size_t>(high)];  // the upper one goes on behind this
      return key;
    }
    key += digits[static_cast<std::size_t>(low)];
    open = open || high > low || i >= std::max(lower.size(), upper.size());
  }
}

void spread(std::vector<std::string>& keys, std::size_t first, std::size_t last,
            std::string_view lower, std::string_view upper) {
  if (first == last)
    return;
  const auto at = first + (last - first) / 2;
  keys[at] = middle(lower, upper);
  spread(keys, first, at, lower, keys[at]);
  spread(keys, at + 1, last, keys[at], upper);
}

}  // namespace

std::string key_between(std::string_view lower, std::string_view upper) {
  if (lower.empty() && upper.empty())
    return key_of(all_numbers() / 2);
  if (upper.empty())
    if (const auto n = number_of(lower) + step; n < all_numbers())
      return key_of(n);
  if (lower.empty())
    if (const auto n = number_of(upper); n > step)
      return key_of(n - step);
  return middle(lower, upper);
}

std::vector<std::string> keys_between(std::string_view lower, std::string_view upper,
                                      std::size_t count) {
  auto keys = std::vector<std::string>(count);
  if (upper.empty()) {
    for (auto before = lower; auto& key : keys) {
      key = key_between(before, {});
      before = key;
    }
    return keys;
  }
  spread(keys, 0, count, lower, upper);
  return keys;
}

}  // namespace orrery::model::tree
