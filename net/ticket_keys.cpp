#include "net/ticket_keys.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace orrery::net {
namespace {

constexpr auto slots_back = ticket_keys::lifetime / ticket_keys::slot;

std::int64_t slot_of(ticket_keys::seconds now) {
  return now / ticket_keys::slot;
}

template <std::size_t Size>
void derive(const std::string& secret, const std::string& what,
            std::array<unsigned char, Size>& into) {
  unsigned char out[EVP_MAX_MD_SIZE];
  auto size = std::size_t{0};
  if (!EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, secret.data(), secret.size(),
                 reinterpret_cast<const unsigned char*>(what.data()), what.size(), out, sizeof out,
                 &size) ||
      size < Size)
    throw std::runtime_error{"cannot make a key for session tickets"};
  std::copy_n(out, Size, into.begin());
  OPENSSL_cleanse(out, sizeof out);
}

}  // namespace

ticket_keys::~ticket_keys() {
  OPENSSL_cleanse(secret_.data(), secret_.size());
}

ticket_keys::key ticket_keys::of_slot(std::int64_t number) const {
  const auto hold = std::lock_guard{mutex_};
  if (const auto known = made_.find(number); known != made_.end())
    return known->second;
  auto made = key{};
  const auto text = std::to_string(number);
  derive(secret_, "ticket name " + text, made.name);
  derive(secret_, "ticket cipher " + text, made.cipher);
  derive(secret_, "ticket mac " + text, made.mac);
  if (made_.size() > 8)
    made_.clear();
  made_.emplace(number, made);
  return made;
}

ticket_keys::key ticket_keys::current(seconds now) const {
  return of_slot(slot_of(now));
}

std::optional<ticket_keys::found> ticket_keys::find(const unsigned char* name, seconds now) const {
  const auto at = slot_of(now);
  for (auto number = at + 1; number >= at - slots_back; --number)
    if (const auto one = of_slot(number); std::memcmp(one.name.data(), name, one.name.size()) == 0)
      return found{one, number == at};
  return std::nullopt;
}

}  // namespace orrery::net
