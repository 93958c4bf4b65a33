// One JSON line per entry on standard error. error: someone must act; warn: something was lost or
// refused; info: life cycle; debug: per message. Never payloads or secrets.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace orrery::observe::log {

enum class level : std::uint8_t { debug, info, warn, error, off };

/// A field's value: text, a whole number, a fraction or a truth.
class field_value {
 public:
  template <class T>
  requires std::is_integral_v<T> field_value(T v) : content_{static_cast<std::int64_t>(v)} {}
  field_value(bool v) : content_{v} {}
  field_value(double v) : content_{v} {}
  field_value(std::string_view v) : content_{v} {}
  field_value(const std::string& v) : content_{std::string_view{v}} {}
  field_value(const char* v) : content_{std::string_view{v}} {}
  void write(std::string& out) const;

 private:
  std::variant<bool, std::int64_t, double, std::string_view> content_;
};
using fields = std::initializer_list<std::pair<std::string_view, field_value>>;

/// Least level that is written; info until set. Any thread.
void set_level(level least);
bool enabled(level l);
/// Entries are handed to a thread of their own; when its queue is full the oldest go. How many
/// went.
std::uint64_t dropped();
/// Writes out what is queued: before the program ends.
void flush();

void write(level l, std::string_view unit, std::string_view what, fields more);

inline void debug(std::string_view unit, std::string_view what, fields more) {
  if (enabled(level::debug))
    write(level::debug, unit, what, more);
}
inline void info(std::string_view unit, std::string_view what, fields more) {
  write(level::info, unit, what, more);
}
inline void warn(std::string_view unit, std::string_view what, fields more) {
  write(level::warn, unit, what, more);
}
inline void error(std::string_view unit, std::string_view what, fields more) {
  write(level::error, unit, what, more);
}

}  // namespace orrery::observe::log
