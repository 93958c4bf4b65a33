#include "transport/api/idempotency.hpp"

namespace orrery::transport::api {

using model::errc;
using model::failure;

namespace {

constexpr auto lifetime = std::chrono::hours{24};
constexpr std::size_t entry_overhead = 256;

std::size_t cost(const std::string& key, const std::optional<http_response>& answer) {
  return entry_overhead + key.size() + (answer ? answer->body.size() : 0);
}

}  // namespace

model::result<std::optional<http_response>> idempotency::begin(const std::string& key,
                                                               const std::string& fingerprint,
                                                               model::timestamp now) {
  const auto hold = std::lock_guard{mutex_};
  evict(now);
  const auto found = at_.find(key);
  if (found == at_.end()) {
    order_.push_back({key, fingerprint, now, std::nullopt});
    at_.emplace(key, std::prev(order_.end()));
    bytes_ += cost(key, std::nullopt);
    return std::optional<http_response>{};
  }
  const auto& e = *found->second;
  if (e.fingerprint != fingerprint)
    return failure{errc::invalid_argument, "idempotency_mismatch",
                   "that Idempotency-Key was used for another request"};
  if (!e.answer)
    return failure{errc::conflict, "idempotency_in_progress",
                   "the first request with that Idempotency-Key is still being done"};
  return e.answer;
}

void idempotency::keep(const std::string& key, const http_response& answer) {
  const auto hold = std::lock_guard{mutex_};
  const auto found = at_.find(key);
  if (found == at_.end())
    return;
  found->second->answer = answer;
  bytes_ += answer.body.size();
}

void idempotency::drop(const std::string& key) {
  const auto hold = std::lock_guard{mutex_};
  const auto found = at_.find(key);
  if (found == at_.end())
    return;
  bytes_ -= cost(key, found->second->answer);
  order_.erase(found->second);
  at_.erase(found);
}

void idempotency::evict(model::timestamp now) {
  while (!order_.empty() && (bytes_ > max_bytes_ || order_.front().at + lifetime < now)) {
    bytes_ -= cost(order_.front().key, order_.front().answer);
    at_.erase(order_.front().key);
    order_.pop_front();
  }
}

}  // namespace orrery::transport::api
