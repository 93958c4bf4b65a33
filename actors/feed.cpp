#include "actors/feed.hpp"

namespace orrery::actors {
namespace {

template <class T>
bool is(const model::device::event& e) {
  return std::holds_alternative<T>(e);
}

/// Devices say it at every login.
bool is_new_version(const model::device::event& e) {
  const auto* said = std::get_if<model::device::version_reported>(&e);
  return said && said->version != said->before;
}

/// What is desired of the device itself below its configurations is told as the twin's.
bool is_about_layers(const model::device::event& e) {
  const auto* changed = std::get_if<model::device::layers_changed>(&e);
  return changed && (changed->common || !changed->own);
}

}  // namespace

bool belongs_to(const model::device::event& e, feed_kind kind) {
  namespace d = model::device;
  switch (kind) {
    case feed_kind::points:
      return is<d::points_accepted>(e) && !std::get<d::points_accepted>(e).backfill;
    case feed_kind::events:
      return is<d::event_raised>(e);
    case feed_kind::presence:
      // A takeover is no absence: the new session is there already.
      return is<d::connected>(e) ||
             (is<d::disconnected>(e) && std::get<d::disconnected>(e).reason != "taken_over");
    case feed_kind::lifecycle:
      return is<d::registered>(e) || is<d::updated>(e) || is<d::admin_state_set>(e) ||
             is<d::removed>(e) || is<d::secret_set>(e) || is<d::attributes_changed>(e) ||
             is<d::tags_changed>(e) || is<d::gateway_bound>(e) || is<d::gateway_unbound>(e) ||
             is<d::activation_reopened>(e) || is_new_version(e) || is<d::twin_changed>(e) ||
             is<d::twin_reported>(e) || is<d::certificate_expiring>(e) ||
             is<d::groups_changed>(e) || is<d::status_overridden>(e) || is<d::override_ended>(e) ||
             is_about_layers(e) || is<d::renamed>(e) || is<d::emigrated>(e) || is<d::retired>(e) ||
             is<d::restored>(e) || is<d::mirror_set>(e) || is<d::mirror_ended>(e);
    case feed_kind::commands:
      return is<d::command_queued>(e) || is<d::command_sent>(e) || is<d::command_finished>(e) ||
             is<d::late_reply_noted>(e);
  }
  return false;
}

bool wants(const feed_filter& filter, const device_identity& who, const model::device::event& e) {
  if (!belongs_to(e, filter.kind))
    return false;
  // Where it went is told of what it was called before, as all else of that moment is.
  const auto* went = std::get_if<model::device::emigrated>(&e);
  if (went && went->organisation == filter.organisation)
    return (filter.products.empty() || filter.products.contains(went->what.name.product_key)) &&
           (filter.devices.empty() || filter.devices.contains(who.id));
  if (filter.organisation != who.called->organisation)
    return false;
  if (!filter.products.empty() && !filter.products.contains(who.called->name.product_key))
    return false;
  if (!filter.devices.empty() && !filter.devices.contains(who.id))
    return false;
  if (filter.kind != feed_kind::points || filter.points.empty())
    return true;
  for (const auto& sample : std::get<model::device::points_accepted>(e).samples)
    for (const auto& point : sample.points)
      if (filter.points.contains(point.id))
        return true;
  return false;
}

std::uint64_t feed::subscribe(feed_filter filter, on_ready ready) {
  const auto hold = std::lock_guard{mutex_};
  subscribers_.emplace(++ids_, subscriber{std::move(filter), std::move(ready), {}, 0});
  wanted_->store(true, std::memory_order_relaxed);
  if (subscribers_.size() == 1)
    told_(true);
  return ids_;
}

void feed::set_wanted_elsewhere(bool wanted) {
  const auto hold = std::lock_guard{mutex_};
  wanted_elsewhere_ = wanted;
  wanted_->store(wanted || !subscribers_.empty(), std::memory_order_relaxed);
}

void feed::unsubscribe(std::uint64_t id) {
  const auto hold = std::lock_guard{mutex_};
  if (subscribers_.erase(id) > 0 && subscribers_.empty())
    told_(false);
  wanted_->store(wanted_elsewhere_ || !subscribers_.empty(), std::memory_order_relaxed);
}

feed::batch feed::take(std::uint64_t id, std::size_t most) {
  const auto hold = std::lock_guard{mutex_};
  auto out = batch{};
  const auto found = subscribers_.find(id);
  if (found == subscribers_.end())
    return out;
  auto& s = found->second;
  out.lost = std::exchange(s.lost, 0);
  while (!s.queue.empty() && out.items.size() < most) {
    out.items.push_back(std::move(s.queue.front()));
    s.queue.pop_front();
  }
  return out;
}

void feed::publish(const std::vector<published>& group) {
  auto ready = std::vector<on_ready>{};
  {
    const auto hold = std::lock_guard{mutex_};
    for (auto& [id, s] : subscribers_) {
      const auto was_empty = s.queue.empty();
      for (const auto& p : group)
        for (std::size_t i = 0; i < p.what->size(); ++i) {
          if (!wants(s.filter, p.who, (*p.what)[i]))
            continue;
          if (s.queue.size() >= max_queued_) {
            s.queue.pop_front();
            ++s.lost;
            dropped_.fetch_add(1, std::memory_order_relaxed);
          }
          s.queue.push_back({p.who, p.what, i, p.offset});
        }
      if (was_empty && !s.queue.empty())
        ready.push_back(s.ready);
    }
  }
  for (const auto& call : ready)
    call();
}

std::size_t feed::subscribers() const {
  const auto hold = std::lock_guard{mutex_};
  return subscribers_.size();
}

}  // namespace orrery::actors
