#include "transport/api/tokens.hpp"

#include <array>
#include <vector>

#include <argon2.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "model/json.hpp"

namespace orrery::transport::api {
namespace {

constexpr std::string_view head = R"({"alg":"HS256","typ":"JWT"})";

/// base64url without padding (RFC 4648, 5).
std::string encode(std::string_view bytes) {
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

std::optional<std::string> decode(std::string_view text) {
  if (text.size() > 8192)
    return std::nullopt;
  auto padded = std::string{text};
  for (auto& c : padded)
    c = c == '-' ? '+' : c == '_' ? '/' : c;
  const auto padding = (4 - padded.size() % 4) % 4;
  padded.append(padding, '=');
  auto out = std::string(padded.size() / 4 * 3, '\0');
  const auto n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                 reinterpret_cast<const unsigned char*>(padded.data()),
                                 static_cast<int>(padded.size()));
  if (n < 0 || padding == 3)
    return std::nullopt;
  out.resize(static_cast<std::size_t>(n) - padding);
  return out;
}

std::string mac(const std::string& key, std::string_view text) {
  auto out = std::array<unsigned char, 32>{};
  auto size = 0u;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &size);
  return {reinterpret_cast<const char*>(out.data()), size};
}

}  // namespace

std::string token_signer::sign(const token_claims& c) const {
  const auto body = model::value{model::object{{"org", c.organisation},
                                               {"sub", c.login},
                                               {"use", c.use},
                                               {"pwd", c.password},
                                               {"jti", model::random_text(12)},
                                               {"exp", model::to_ms(c.expires) / 1000}}};
  auto text = encode(head) + "." + encode(model::to_json(body));
  text += "." + encode(mac(key_, text));
  return text;
}

std::optional<token_claims> token_signer::read(std::string_view token) const {
  const auto last = token.rfind('.');
  const auto first = token.find('.');
  if (last == std::string_view::npos || first == last || token.substr(0, first) != encode(head))
    return std::nullopt;
  const auto given = decode(token.substr(last + 1));
  if (!given || !model::equal_in_constant_time(*given, mac(key_, token.substr(0, last))))
    return std::nullopt;
  const auto body = decode(token.substr(first + 1, last - first - 1));
  if (!body)
    return std::nullopt;
  const auto claims = model::parse_json(*body);
  if (!claims)
    return std::nullopt;
  const auto text = [&](std::string_view name) {
    const auto* v = claims->find(name);
    return v && v->is_string() ? v->as_string() : std::string{};
  };
  const auto* expires = claims->find("exp");
  if (!expires || !expires->is_int())
    return std::nullopt;
  return token_claims{text("org"), text("sub"), text("use"), text("pwd"),
                      model::from_ms(expires->as_int() * 1000)};
}

std::string write_api_key(std::string_view organisation, std::string_view id,
                          std::string_view secret) {
  return "ork~" + std::string{organisation} + "~" + std::string{id} + "~" + std::string{secret};
}

std::optional<api_key_text> read_api_key(std::string_view text) {
  if (!text.starts_with("ork~"))
    return std::nullopt;
  text.remove_prefix(4);
  const auto first = text.find('~');
  const auto second = first == std::string_view::npos ? first : text.find('~', first + 1);
  if (second == std::string_view::npos)
    return std::nullopt;
  return api_key_text{std::string{text.substr(0, first)},
                      std::string{text.substr(first + 1, second - first - 1)},
                      std::string{text.substr(second + 1)}};
}

std::string hash_password(std::string_view password) {
  // RFC 9106, second recommended option halved in memory: 32 MiB, 3 passes.
  constexpr auto memory = 32u * 1024, passes = 3u, lanes = 1u;
  auto salt = std::array<unsigned char, 16>{};
  RAND_bytes(salt.data(), static_cast<int>(salt.size()));
  auto out =
      std::vector<char>(argon2_encodedlen(passes, memory, lanes, salt.size(), 32, Argon2_id));
  if (argon2id_hash_encoded(passes, memory, lanes, password.data(), password.size(), salt.data(),
                            salt.size(), 32, out.data(), out.size()) != ARGON2_OK)
    return {};
  return out.data();
}

bool verify_password(std::string_view password, const std::string& hash) {
  return !hash.empty() &&
         argon2id_verify(hash.c_str(), password.data(), password.size()) == ARGON2_OK;
}

std::string password_mark(const std::string& hash) {
  return model::sha256_hex(hash).substr(0, 16);
}

}  // namespace orrery::transport::api
