// Remembers the answers to POST requests that carry an Idempotency-Key, so that a repeat is
// answered and not done again. In memory of this node, for 24 hours, bounded.
#pragma once

#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "model/result.hpp"
#include "model/time.hpp"
#include "transport/http_message.hpp"

namespace orrery::transport::api {

/// Thread-safe.
class idempotency {
 public:
  explicit idempotency(std::size_t max_bytes = 32 * 1024 * 1024) : max_bytes_{max_bytes} {}

  /// What to do with a request. A response: that is the answer. Nothing: do it, then `keep` or
  /// `drop`. Fails: `conflict` "idempotency_in_progress", `invalid_argument`
  /// "idempotency_mismatch".
  model::result<std::optional<http_response>> begin(const std::string& key,
                                                    const std::string& fingerprint,
                                                    model::timestamp now);
  void keep(const std::string& key, const http_response& answer);
  /// It was not done: a repeat may try again.
  void drop(const std::string& key);

 private:
  struct entry {
    std::string key, fingerprint;
    model::timestamp at;
    std::optional<http_response> answer;
  };
  void evict(model::timestamp now);
  std::size_t max_bytes_;
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::list<entry> order_;  // oldest first
  std::unordered_map<std::string, std::list<entry>::iterator> at_;
};

}  // namespace orrery::transport::api
