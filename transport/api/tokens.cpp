#include "transport/api/tokens.hpp"

#include <array>
#include <vector>

#include <argon2.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "model/json.hpp"
#include "transport/base64url.hpp"

namespace orrery::transport::api {
namespace {

constexpr std::string_view head = R"({"alg":"HS256","typ":"JWT"})";

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
                                               {"sid", c.session},
                                               {"gen", static_cast<std::int64_t>(c.generation)},
                                               {"jti", model::random_text(12)},
                                               {"exp", model::to_ms(c.expires) / 1000}}};
  auto text = to_base64url(head) + "." + to_base64url(model::to_json(body));
  text += "." + to_base64url(mac(key_, text));
  return text;
}

std::optional<token_claims> token_signer::read(std::string_view token) const {
  const auto last = token.rfind('.');
  const auto first = token.find('.');
  if (last == std::string_view::npos || first == last ||
      token.substr(0, first) != to_base64url(head))
    return std::nullopt;
  const auto given = from_base64url(token.substr(last + 1));
  if (!given || !model::equal_in_constant_time(*given, mac(key_, token.substr(0, last))))
    return std::nullopt;
  const auto body = from_base64url(token.substr(first + 1, last - first - 1));
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
  const auto* generation = claims->find("gen");
  const auto known = generation && generation->is_int() && generation->as_int() >= 0;
  return token_claims{text("org"),
                      text("sub"),
                      text("use"),
                      text("sid"),
                      model::from_ms(expires->as_int() * 1000),
                      known ? static_cast<std::uint64_t>(generation->as_int()) : 0};
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

}  // namespace orrery::transport::api
