// Time as the model knows it: UTC, milliseconds since 1970.
#pragma once

#include <chrono>
#include <cstdint>

namespace orrery::model {

using timestamp = std::chrono::sys_time<std::chrono::milliseconds>;
using milliseconds = std::chrono::milliseconds;

constexpr std::int64_t to_ms(timestamp t) {
  return t.time_since_epoch().count();
}
constexpr timestamp from_ms(std::int64_t ms) {
  return timestamp{milliseconds{ms}};
}

}  // namespace orrery::model
