#include "transport/api/totp.hpp"

#include <array>

#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "model/credentials.hpp"

namespace orrery::transport::api {
namespace {

constexpr auto step_seconds = std::int64_t{30};
constexpr std::size_t secret_bytes = 20, digits = 6;
constexpr auto modulus = std::uint32_t{1'000'000};

/// Keys and ids are of letters that stand for themselves in a URI (RFC 3986, 2.3).
std::string issuer_of(std::string_view organisation) {
  return "Orrery%20" + std::string{organisation};
}

}  // namespace

std::string make_totp_secret() {
  auto bytes = std::array<unsigned char, secret_bytes>{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    return {};
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string to_base32(std::string_view bytes) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  auto out = std::string{};
  auto bits = 0u;
  auto held = std::uint32_t{0};
  for (const auto c : bytes) {
    held = (held << 8 | static_cast<unsigned char>(c)) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += letters[held >> bits & 31];
    }
  }
  if (bits > 0)
    out += letters[held << (5 - bits) & 31];
  return out;
}

std::string totp_uri(std::string_view secret, std::string_view organisation,
                     std::string_view login) {
  const auto issuer = issuer_of(organisation);
  return "otpauth://totp/" + issuer + ":" + std::string{login} + "?secret=" + to_base32(secret) +
         "&issuer=" + issuer + "&algorithm=SHA1&digits=6&period=30";
}

std::uint64_t totp_step(model::timestamp now) {
  return static_cast<std::uint64_t>(model::to_ms(now) / 1000 / step_seconds);
}

std::string totp_code(std::string_view secret, std::uint64_t step) {
  auto text = std::array<unsigned char, 8>{};
  for (std::size_t i = 0; i < text.size(); ++i)
    text[i] = static_cast<unsigned char>(step >> (8 * (text.size() - 1 - i)));
  auto mac = std::array<unsigned char, 20>{};
  auto size = 0u;
  HMAC(EVP_sha1(), secret.data(), static_cast<int>(secret.size()), text.data(), text.size(),
       mac.data(), &size);
  // RFC 4226, 5.3: four bytes from where the last half byte says, without the first bit.
  const std::size_t at = mac.back() & 0xf;
  auto number = std::uint32_t{0};
  for (std::size_t i = 0; i < 4; ++i)
    number = number << 8 | mac[at + i];
  auto code = std::to_string((number & 0x7fffffff) % modulus);
  return std::string(digits - code.size(), '0') + code;
}

std::optional<std::uint64_t> find_totp_step(std::string_view secret, std::string_view code,
                                            model::timestamp now) {
  auto found = std::optional<std::uint64_t>{};
  const auto middle = totp_step(now);
  for (const auto step : {middle, middle - 1, middle + 1})
    if (model::equal_in_constant_time(totp_code(secret, step), code) && !found)
      found = step;
  return found;
}

std::string make_spare_code() {
  return model::random_text(10);
}

}  // namespace orrery::transport::api
