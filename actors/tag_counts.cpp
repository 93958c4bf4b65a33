#include "actors/tag_counts.hpp"

#include <iterator>

#include "model/json.hpp"

namespace orrery::actors {
namespace {

/// About what an entry takes in a message.
std::size_t size_of(std::string_view key, std::string_view value) {
  return model::to_json(model::array{std::string{key}, std::string{value}}).size() + 8;
}

const std::string* text_in(const model::value& all, std::size_t i) {
  const auto& a = all.as_array();
  return i < a.size() && a[i].is_string() ? &a[i].as_string() : nullptr;
}

}  // namespace

void tag_counts::add(std::string_view key, std::string_view value, std::uint64_t devices) {
  if (auto* of = at(key)) {
    of->devices += devices;
    add_value(key, *of, value, devices);
    shrink();
  }
}

void tag_counts::add(const device_counts& part) {
  for (const auto& [text, n] : part.of) {
    const auto group = model::parse_json(text);
    if (!group || !group->is_array())
      continue;
    const auto *first = text_in(*group, 0), *second = text_in(*group, 1);
    if (!first && second) {
      end_at(*second);
    } else if (auto* of = first ? at(*first) : nullptr) {
      if (second)
        add_value(*first, *of, *second, n);
      else
        of->devices += n;
    }
  }
  shrink();
}

device_counts tag_counts::counts() const {
  auto all = device_counts{};
  const auto put = [&](model::array group, std::uint64_t n) {
    all.of.emplace(model::to_json(std::move(group)), n);
  };
  for (const auto& [key, of] : keys_) {
    put({key}, of.devices);
    for (const auto& [value, n] : of.values)
      put({key, value}, n);
  }
  if (end_)
    put({nullptr, *end_}, 0);
  return all;
}

/// Null: what is behind the end does not count.
tag_counts::of_key* tag_counts::at(std::string_view key) {
  if (end_ && key >= *end_)
    return nullptr;
  auto found = keys_.find(key);
  if (found == keys_.end()) {
    found = keys_.emplace(std::string{key}, of_key{}).first;
    ++entries_;
    bytes_ += size_of(key, "");
  }
  return &found->second;
}

void tag_counts::add_value(std::string_view key, of_key& of, std::string_view value,
                           std::uint64_t devices) {
  if (const auto found = of.values.find(value); found != of.values.end()) {
    found->second += devices;
    return;
  }
  const auto drop = [&](std::string_view text) {
    --entries_;
    bytes_ -= size_of(key, text);
  };
  ++entries_;
  bytes_ += size_of(key, value);
  of.values.emplace(std::string{value}, devices);
  if (of.values.size() <= max_values + 1)
    return;
  const auto last = std::prev(of.values.end());
  drop(last->first);
  of.values.erase(last);
}

void tag_counts::end_at(std::string_view key) {
  if (end_ && *end_ <= key)
    return;
  end_ = std::string{key};
  for (auto behind = keys_.lower_bound(key); behind != keys_.end();) {
    entries_ -= 1 + behind->second.values.size();
    bytes_ -= size_of(behind->first, "");
    for (const auto& [value, n] : behind->second.values)
      bytes_ -= size_of(behind->first, value);
    behind = keys_.erase(behind);
  }
}

/// Leaves out keys from the last one on, until there is room.
void tag_counts::shrink() {
  while (!keys_.empty() &&
         (keys_.size() > max_keys || entries_ > max_entries || bytes_ > max_bytes))
    end_at(std::string{std::prev(keys_.end())->first});
}

}  // namespace orrery::actors
