#include "transport/mqtt/login.hpp"

#include <algorithm>

namespace orrery::transport::mqtt {
namespace {

using model::errc;
using model::failure;

constexpr std::size_t max_client_id = 1024;

std::string_view trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ')
    s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ')
    s.remove_suffix(1);
  return s;
}

std::string lower(std::string_view s) {
  auto out = std::string{s};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

/// Calls `each(key, value)` for the pairs of a comma list; keys in lower case.
template <class F>
void for_each_pair(std::string_view list, F each) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto pair = trim(list.substr(0, comma));
    const auto equals = pair.find('=');
    if (equals != std::string_view::npos)
      each(lower(trim(pair.substr(0, equals))), trim(pair.substr(equals + 1)));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  }
}

compression compression_of(std::string_view name) {
  const auto n = lower(name);
  return n == "gzip"  ? compression::gzip
         : n == "lz4" ? compression::lz4
         : n == "lzo" ? compression::lzo
                      : compression::none;
}

}  // namespace

model::result<login> parse_login(std::string_view client_id,
                                 const std::optional<std::string_view>& username,
                                 const std::optional<std::string_view>& password) {
  const auto bad_id = [](const char* detail) {
    return failure{errc::invalid_argument, "client_id_invalid", detail};
  };
  if (client_id.empty() || client_id.size() > max_client_id)
    return bad_id("a client id has 1 to 1024 bytes");
  if (client_id.back() != '|')
    return bad_id("a client id ends with |securemode=..,signmethod=..,timestamp=..|");
  const auto body = client_id.substr(0, client_id.size() - 1);
  const auto bar = body.rfind('|');
  if (bar == std::string_view::npos || bar == 0)
    return bad_id("a client id is an id and, between bars, its parameters");
  const auto id = body.substr(0, bar);

  auto out = login{};
  auto mode = std::optional<std::string>{}, method = std::optional<std::string>{},
       stamp = std::optional<std::string>{};
  for_each_pair(body.substr(bar + 1), [&](const std::string& key, std::string_view v) {
    if (key == "securemode")
      mode = std::string{v};
    else if (key == "signmethod")
      method = std::string{v};
    else if (key == "timestamp")
      stamp = std::string{v};
  });
  if (!mode || !method || !stamp)
    return bad_id("securemode, signmethod or timestamp is missing");

  const auto user = username.value_or(std::string_view{});
  const auto amp = user.rfind('&');
  if (amp == std::string_view::npos || amp == 0 || amp + 1 == user.size() || user.size() > 512)
    return failure{errc::unauthenticated, "username_invalid", "a username is deviceKey&productKey"};
  out.device = {std::string{user.substr(amp + 1)}, std::string{user.substr(0, amp)}};

  const auto known = model::parse_sign_method(*method);
  if (!known)
    return failure{errc::unauthenticated, "sign_method_unknown",
                   "signmethod is sha256, sha1 or md5"};
  if (*mode != "2" && *mode != "3" && *mode != "4")
    return failure{errc::unauthenticated, "secure_mode_unknown", "securemode is 2, 3 or 4"};
  out.mode = static_cast<secure_mode>((*mode)[0] - '0');
  out.proof = {std::string{id}, std::move(*stamp), *known,
               std::string{password.value_or(std::string_view{})}};
  out.addresses_itself_by_product = id == out.device.product_key + "." + out.device.device_key;
  if (id.back() == '}')
    if (const auto open = id.rfind('{'); open != std::string_view::npos)
      for_each_pair(id.substr(open + 1, id.size() - open - 2),
                    [&](const std::string& key, std::string_view v) {
                      out.subscribes_to_replies = true;
                      if (key == "compress")
                        out.payloads = compression_of(v);
                      else if (key == "ip")
                        out.sdk_address = v;
                      else if (key == "version")
                        out.sdk_version = v;
                    });
  return out;
}

}  // namespace orrery::transport::mqtt
