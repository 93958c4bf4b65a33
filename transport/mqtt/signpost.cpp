#include "transport/mqtt/signpost.hpp"

namespace orrery::transport::mqtt {

void signpost::point(std::optional<redirection> where) {
  const auto hold = std::lock_guard{mutex_};
  where_ = std::move(where);
  stands_ = where_.has_value();
}

std::optional<signpost::direction> signpost::next() {
  const auto hold = std::lock_guard{mutex_};
  if (!where_)
    return std::nullopt;
  auto found = direction{where_->for_good ? "server_moved" : "use_another_server", {}};
  if (!where_->to.empty())
    found.to = where_->to[turn_++ % where_->to.size()];
  return found;
}

}  // namespace orrery::transport::mqtt
