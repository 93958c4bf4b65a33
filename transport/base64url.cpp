#include "transport/base64url.hpp"

#include <algorithm>

#include "model/base64.hpp"

namespace orrery::transport {

std::string to_base64url(std::string_view bytes) {
  auto out = model::to_base64(bytes);
  while (!out.empty() && out.back() == '=')
    out.pop_back();
  for (auto& c : out)
    c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

std::optional<std::string> from_base64url(std::string_view text) {
  const auto is_other = [](char c) { return c == '+' || c == '/' || c == '='; };
  if (text.size() > 8192 || std::any_of(text.begin(), text.end(), is_other))
    return std::nullopt;
  auto padded = std::string{text};
  for (auto& c : padded)
    c = c == '-' ? '+' : c == '_' ? '/' : c;
  padded.append((4 - text.size() % 4) % 4, '=');
  return model::from_base64(padded);
}

}  // namespace orrery::transport
