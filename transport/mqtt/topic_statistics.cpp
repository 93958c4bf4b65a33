#include "transport/mqtt/topic_statistics.hpp"

namespace orrery::transport::mqtt {

std::vector<model::shared_message> statistics_of(const std::string& node, const topic_counts& c,
                                                 model::timestamp now) {
  auto all = std::vector<model::shared_message>{};
  const auto say = [&](const char* figure, const std::atomic<std::uint64_t>& value) {
    auto m = std::make_shared<model::topic_message>();
    m->topic = "$SYS/orrery/" + node + '/' + figure;
    m->payload = std::to_string(value.load(std::memory_order_relaxed));
    m->sent = now;
    m->publisher = "node:" + node;
    all.push_back(std::move(m));
  };
  say("clients/connected", c.clients);
  say("messages/received", c.received);
  say("messages/delivered", c.delivered);
  say("messages/dropped", c.dropped);
  return all;
}

std::shared_ptr<topic_counts> topic_statistics::of(const std::string& organisation) {
  const auto hold = std::lock_guard{mutex_};
  auto& c = counts_[organisation];
  if (!c)
    c = std::make_shared<topic_counts>();
  return c;
}

void topic_statistics::tick(model::timestamp now) {
  if (interval_.count() == 0)
    return;
  auto due = std::map<std::string, std::shared_ptr<topic_counts>>{};
  {
    const auto hold = std::lock_guard{mutex_};
    if (now < last_ + interval_)
      return;
    last_ = now;
    due = counts_;
  }
  for (const auto& [organisation, counts] : due)
    if (counts->clients.load(std::memory_order_relaxed) > 0)
      for (auto& m : statistics_of(node_, *counts, now))
        publish_(organisation, std::move(m));
}

}  // namespace orrery::transport::mqtt
