#include "storage/rocks_log.hpp"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <string_view>

#include <rocksdb/env.h>

#include "observe/log.hpp"

namespace orrery::storage {
namespace {

class bridge final : public rocksdb::Logger {
 public:
  bridge() : Logger{rocksdb::WARN_LEVEL} {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    say(observe::log::level::debug, format, arguments);
  }
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel())
      return;
    // A backup keeps files twice, which is as it should be.
    if (std::string_view{format}.find("File Deletions ") != std::string_view::npos)
      return say(observe::log::level::debug, format, arguments);
    say(level >= rocksdb::ERROR_LEVEL ? observe::log::level::error : observe::log::level::warn,
        format, arguments);
  }

 private:
  static void say(observe::log::level level, const char* format, va_list arguments) {
    if (!observe::log::enabled(level))
      return;
    auto text = std::array<char, 512>{};
    const auto size = std::vsnprintf(text.data(), text.size(), format, arguments);
    auto said = std::string_view{text.data(), size < 0 ? 0
                                              : static_cast<std::size_t>(size) < text.size()
                                                  ? static_cast<std::size_t>(size)
                                                  : text.size() - 1};
    while (!said.empty() && said.back() == '\n')
      said.remove_suffix(1);
    observe::log::write(level, "storage.rocksdb", "said", {{"detail", said}});
  }
};

}  // namespace

std::shared_ptr<rocksdb::Logger> rocks_log() {
  return std::make_shared<bridge>();
}

}  // namespace orrery::storage
