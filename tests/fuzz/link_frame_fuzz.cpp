// Any bytes to the frames of a link: what is read can be written and read again, and measuring a
// stretch of them finds the same frames as reading them one by one.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "cluster/link_frame.hpp"

namespace {

using namespace orrery::cluster;

constexpr std::size_t max_frame = 1024;

void demand(bool holds) {
  if (!holds)
    std::abort();
}

/// Gives what it costs; 0 for what is no message.
std::size_t check_frame(const decoded_link_frame& got, std::string_view in) {
  demand(got.size >= link_head_bytes && got.size <= in.size());
  auto once = std::string{}, twice = std::string{};
  std::visit([&](const auto& what) { encode(what, once); }, got.what);
  const auto again = decode_link_frame(once, max_frame);
  demand(again && *again && (*again)->size == once.size() && (*again)->what == got.what);
  std::visit([&](const auto& what) { encode(what, twice); }, (*again)->what);
  demand(once == twice);
  // Only a greeting may say more than is understood.
  demand(std::holds_alternative<link_greeting>(got.what) || once == in.substr(0, got.size));
  const auto* data = std::get_if<link_data>(&got.what);
  return data ? link_cost(data->bytes.size()) : 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Its own allocation, of exactly that size: a read behind the end is seen.
  const auto exact = std::make_unique<char[]>(size);
  std::copy_n(data, size, exact.get());
  const auto in = std::string_view{exact.get(), size};
  const auto whole = measure_link_frames(in, max_frame);
  auto read = whole_link_frames{};
  while (true) {
    const auto rest = in.substr(read.size);
    const auto got = decode_link_frame(rest, max_frame);
    if (!got || !*got) {
      // Sizes alone are wrong for both, or there is no more.
      demand(!whole || (got ? whole->size == read.size : whole->size > read.size));
      break;
    }
    const auto cost = check_frame(**got, rest);
    read.size += (*got)->size;
    read.cost += cost;
    read.messages += cost > 0 ? 1 : 0;
  }
  if (!whole || whole->size != read.size)
    return 0;
  demand(whole->cost == read.cost && whole->messages == read.messages);
  // Taking some at a time takes all of it, in whole frames.
  for (auto at = std::size_t{0}; at < read.size;) {
    const auto taken = take_link_frames(in.substr(at, read.size - at), 16, read.cost);
    demand(taken.size > 0);
    at += taken.size;
    demand(at <= read.size);
  }
  return 0;
}
