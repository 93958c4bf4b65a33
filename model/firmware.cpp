#include "model/firmware.hpp"

#include <algorithm>

namespace orrery::model {
namespace {

bool is_hex(std::string_view text, std::size_t size) {
  return text.size() == size && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

bool is_url(std::string_view text) {
  for (const std::string_view scheme : {"http://", "https://"})
    if (text.starts_with(scheme))
      return text.size() > scheme.size() && text.size() <= max_firmware_url_bytes &&
             is_printable(text);
  return false;
}

}  // namespace

std::string_view name_of(digest_method m) {
  switch (m) {
    case digest_method::md5:
      return "md5";
    case digest_method::sha256:
      return "sha256";
  }
  return "";
}

status check(const firmware_image& image) {
  constexpr auto largest = std::int64_t{INT32_MAX};  // clients read it into 32 bits
  auto wrong = std::vector<problem>{};
  const auto expect = [&](std::string_view where, bool good, std::string detail) {
    if (!good)
      wrong.push_back({std::string{where}, "firmware_invalid", std::move(detail)});
  };
  expect("version",
         !image.version.empty() && image.version.size() <= max_version_bytes &&
             is_printable(image.version),
         "a version is 1 to 64 printable characters without blanks");
  const auto digits = image.method == digest_method::md5 ? std::size_t{32} : std::size_t{64};
  expect("sign", is_hex(image.sign, digits),
         "expected the file's digest: " + std::to_string(digits) + " hexadecimal digits");
  expect("url", is_url(image.url), "expected an http or https URL of at most 2048 characters");
  expect("size", image.size > 0 && image.size <= largest, "expected 1 to 2147483647 bytes");
  if (wrong.empty())
    return {};
  return failure{errc::invalid_argument, "firmware_invalid", "a firmware that cannot be kept",
                 std::move(wrong)};
}

}  // namespace orrery::model
