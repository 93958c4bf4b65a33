#include "observe/log.hpp"

#include <atomic>
#include <chrono>
#include <memory>

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace orrery::observe::log {
namespace {

constexpr std::size_t max_queued = 8192;
std::atomic<level> least{level::info};

void write_text(std::string_view text, std::string& out) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  for (const auto c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      // Bytes beyond ASCII may be broken UTF-8: what a device sent must not break the line.
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

/// The logger and its one thread; made on first use, ended by flush() at the end of the program.
struct sink {
  std::shared_ptr<spdlog::details::thread_pool> pool =
      std::make_shared<spdlog::details::thread_pool>(max_queued, 1);
  std::shared_ptr<spdlog::async_logger> logger = std::make_shared<spdlog::async_logger>(
      "orrery", std::make_shared<spdlog::sinks::stderr_sink_mt>(), pool,
      spdlog::async_overflow_policy::overrun_oldest);
  sink() {
    logger->set_pattern("%v");
    logger->set_level(spdlog::level::trace);
  }
};

sink& the_sink() {
  static auto s = sink{};
  return s;
}

std::string_view name_of(level l) {
  switch (l) {
    case level::debug:
      return "debug";
    case level::info:
      return "info";
    case level::warn:
      return "warn";
    case level::error:
      return "error";
    case level::off:
      return "off";
  }
  return "info";
}

}  // namespace

void field_value::write(std::string& out) const {
  if (const auto* text = std::get_if<std::string_view>(&content_))
    write_text(*text, out);
  else if (const auto* number = std::get_if<std::int64_t>(&content_))
    out += std::to_string(*number);
  else if (const auto* fraction = std::get_if<double>(&content_))
    out += fmt::format("{:.6g}", *fraction);
  else
    out += std::get<bool>(content_) ? "true" : "false";
}

void set_level(level l) {
  least.store(l, std::memory_order_relaxed);
}

bool enabled(level l) {
  return l >= least.load(std::memory_order_relaxed) && l != level::off;
}

std::uint64_t dropped() {
  return the_sink().pool->overrun_counter();
}

void flush() {
  the_sink().logger->flush();
}

void write(level l, std::string_view unit, std::string_view what, fields more) {
  if (!enabled(l))
    return;
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const auto date = std::chrono::year_month_day{day};
  const auto time = std::chrono::hh_mm_ss{now - day};
  auto line =
      fmt::format(R"({{"time":"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z","level":"{}","unit":)",
                  static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                  static_cast<unsigned>(date.day()), time.hours().count(), time.minutes().count(),
                  time.seconds().count(), time.subseconds().count(), name_of(l));
  write_text(unit, line);
  line += ",\"what\":";
  write_text(what, line);
  for (const auto& [key, value] : more) {
    line += ',';
    write_text(key, line);
    line += ':';
    value.write(line);
  }
  line += '}';
  the_sink().logger->log(spdlog::level::info, spdlog::string_view_t{line.data(), line.size()});
}

}  // namespace orrery::observe::log
