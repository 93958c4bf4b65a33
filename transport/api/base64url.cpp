#include "transport/api/base64url.hpp"

#include <algorithm>

#include <openssl/evp.h>

namespace orrery::transport::api {

std::string to_base64url(std::string_view bytes) {
  auto out = std::string(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const auto n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                 reinterpret_cast<const unsigned char*>(bytes.data()),
                                 static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  while (!out.empty() && out.back() == '=')
    out.pop_back();
  for (auto& c : out)
    c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

std::optional<std::string> from_base64url(std::string_view text) {
  const auto is_ours = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '_';
  };
  const auto padding = (4 - text.size() % 4) % 4;
  // OpenSSL's decoder takes more alphabets and blanks than one: what is ours is looked at here.
  if (text.size() > 8192 || padding == 3 || !std::all_of(text.begin(), text.end(), is_ours))
    return std::nullopt;
  auto padded = std::string{text};
  for (auto& c : padded)
    c = c == '-' ? '+' : c == '_' ? '/' : c;
  padded.append(padding, '=');
  auto out = std::string(padded.size() / 4 * 3, '\0');
  const auto n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                 reinterpret_cast<const unsigned char*>(padded.data()),
                                 static_cast<int>(padded.size()));
  if (n < 0)
    return std::nullopt;
  out.resize(static_cast<std::size_t>(n) - padding);
  return out;
}

}  // namespace orrery::transport::api
