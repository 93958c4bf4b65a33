#include "model/base64.hpp"

#include <algorithm>

#include <openssl/evp.h>

namespace orrery::model {
namespace {

constexpr std::size_t max_size = 1u << 30;

bool is_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' ||
         c == '/';
}

}  // namespace

std::string to_base64(std::string_view bytes) {
  auto out = std::string(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // OpenSSL ends it with a zero
  const auto n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                 reinterpret_cast<const unsigned char*>(bytes.data()),
                                 static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  const auto padding = text.ends_with("==") ? 2u : text.ends_with('=') ? 1u : 0u;
  const auto digits = text.substr(0, text.size() - padding);
  // OpenSSL's decoder takes more alphabets and blanks than one: what is ours is looked at here.
  if (text.size() % 4 != 0 || text.size() >= max_size ||
      !std::all_of(digits.begin(), digits.end(), is_digit))
    return std::nullopt;
  auto out = std::string(text.size() / 4 * 3, '\0');
  const auto n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                 reinterpret_cast<const unsigned char*>(text.data()),
                                 static_cast<int>(text.size()));
  if (n < 0)
    return std::nullopt;
  out.resize(static_cast<std::size_t>(n) - padding);
  return out;
}

}  // namespace orrery::model
