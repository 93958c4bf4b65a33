#include "model/credentials.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

namespace orrery::model {
namespace {

constexpr std::uint8_t sealed_version = 1;
constexpr std::size_t nonce_size = 12, tag_size = 16;

const EVP_MD* algorithm_of(sign_method method) {
  // Fetched once: EVP_sha256() would fetch anew in each digest (OpenSSL 3).
  static const auto sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const auto sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  static const auto md5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
  switch (method) {
    case sign_method::sha256:
      return sha256;
    case sign_method::sha1:
      return sha1;
    case sign_method::md5:
      return md5;
  }
  return sha256;
}

std::string to_hex(const unsigned char* bytes, std::size_t size) {
  constexpr std::string_view digits = "0123456789abcdef";
  auto text = std::string{};
  text.reserve(size * 2);
  for (std::size_t i = 0; i < size; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

std::string digest_hex(const EVP_MD* algorithm, std::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  auto size = 0u;
  if (!algorithm || EVP_Digest(text.data(), text.size(), out, &size, algorithm, nullptr) != 1)
    return {};  // not offered by this OpenSSL (MD5 under FIPS): no digest equals it
  return to_hex(out, size);
}

struct cipher_deleter {
  void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
};
using cipher = std::unique_ptr<EVP_CIPHER_CTX, cipher_deleter>;

const unsigned char* bytes_of(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

void random_bytes(unsigned char* out, std::size_t size) {
  if (RAND_bytes(out, static_cast<int>(size)) != 1)
    throw std::runtime_error("the random generator failed");  // nothing safe can follow
}

}  // namespace

std::optional<sign_method> parse_sign_method(std::string_view label) {
  auto lower = std::string{label};
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  auto name = std::string_view{lower};
  if (name.starts_with("hmac"))
    name.remove_prefix(4);
  if (name == "sha256")
    return sign_method::sha256;
  if (name == "sha1")
    return sign_method::sha1;
  if (name == "md5")
    return sign_method::md5;
  return std::nullopt;
}

std::string_view name_of(sign_method method) {
  switch (method) {
    case sign_method::sha256:
      return "sha256";
    case sign_method::sha1:
      return "sha1";
    case sign_method::md5:
      return "md5";
  }
  return "sha256";
}

std::string sign_login(const device_name& device, std::string_view client_id,
                       std::string_view timestamp, sign_method method, std::string_view secret) {
  auto source = std::string{};
  source.reserve(48 + client_id.size() + device.device_key.size() + device.product_key.size() +
                 timestamp.size() + secret.size());
  source.append("clientId").append(client_id);
  source.append("deviceKey").append(device.device_key);
  source.append("productKey").append(device.product_key);
  source.append("timestamp").append(timestamp).append(secret);
  auto digest = digest_hex(algorithm_of(method), source);
  OPENSSL_cleanse(source.data(), source.size());
  return digest;
}

bool proves(const login_proof& proof, const device_name& device, std::string_view secret) {
  const auto expected = sign_login(device, proof.client_id, proof.timestamp, proof.method, secret);
  auto given = proof.digest;
  std::transform(given.begin(), given.end(), given.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return !expected.empty() && equal_in_constant_time(expected, given);
}

sealed_secret keyring::seal(std::string_view secret, std::string_view owner) const {
  auto out = std::string(1 + nonce_size + secret.size() + tag_size, '\0');
  out[0] = static_cast<char>(sealed_version);
  auto* bytes = reinterpret_cast<unsigned char*>(out.data());
  random_bytes(bytes + 1, nonce_size);
  auto c = cipher{EVP_CIPHER_CTX_new()};
  auto written = 0;
  auto* text = bytes + 1 + nonce_size;
  const auto ok =
      c &&
      EVP_EncryptInit_ex(c.get(), EVP_aes_256_gcm(), nullptr, master_.data(), bytes + 1) == 1 &&
      EVP_EncryptUpdate(c.get(), nullptr, &written, bytes_of(owner),
                        static_cast<int>(owner.size())) == 1 &&
      EVP_EncryptUpdate(c.get(), text, &written, bytes_of(secret),
                        static_cast<int>(secret.size())) == 1 &&
      EVP_EncryptFinal_ex(c.get(), text + written, &written) == 1 &&
      EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_GCM_GET_TAG, tag_size, text + secret.size()) == 1;
  if (!ok)
    throw std::runtime_error("AES-256-GCM is not available");
  return {std::move(out)};
}

std::optional<std::string> keyring::open(const sealed_secret& sealed,
                                         std::string_view owner) const {
  const auto& in = sealed.bytes;
  if (in.size() < 1 + nonce_size + tag_size || static_cast<std::uint8_t>(in[0]) != sealed_version)
    return std::nullopt;
  const auto* bytes = bytes_of(in);
  const auto size = in.size() - 1 - nonce_size - tag_size;
  auto plain = std::string(size, '\0');
  auto tag = in.substr(in.size() - tag_size);
  auto c = cipher{EVP_CIPHER_CTX_new()};
  auto written = 0;
  auto* out = reinterpret_cast<unsigned char*>(plain.data());
  const auto ok =
      c &&
      EVP_DecryptInit_ex(c.get(), EVP_aes_256_gcm(), nullptr, master_.data(), bytes + 1) == 1 &&
      EVP_DecryptUpdate(c.get(), nullptr, &written, bytes_of(owner),
                        static_cast<int>(owner.size())) == 1 &&
      EVP_DecryptUpdate(c.get(), out, &written, bytes + 1 + nonce_size, static_cast<int>(size)) ==
          1 &&
      EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_GCM_SET_TAG, tag_size, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(c.get(), out + written, &written) == 1;
  if (!ok)
    return std::nullopt;
  return plain;
}

std::string random_text(std::size_t size) {
  constexpr std::string_view letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  auto text = std::string{};
  text.reserve(size);
  while (text.size() < size) {
    unsigned char batch[32];
    random_bytes(batch, sizeof batch);
    for (const auto byte : batch)
      if (byte < 248 && text.size() < size)  // 4 x 62: no letter is likelier than another
        text += letters[byte % 62];
  }
  return text;
}

std::array<std::uint8_t, 10> random_entropy() {
  auto bytes = std::array<std::uint8_t, 10>{};
  random_bytes(bytes.data(), bytes.size());
  return bytes;
}

std::string sha256_hex(std::string_view text) {
  return digest_hex(algorithm_of(sign_method::sha256), text);
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace orrery::model
