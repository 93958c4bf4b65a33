#include "cluster/remote_reads.hpp"

#include "actors/wire.hpp"
#include "cluster/member.hpp"
#include "observe/log.hpp"

namespace orrery::cluster {

bool remote_reads::is_here(model::shard_id shard) const {
  return at_.serves(shard) && at_.replicas()->may_answer();
}

void remote_reads::read(model::shard_id shard, actors::any_read what, then done) {
  auto number = std::uint64_t{0};
  {
    const auto hold = std::lock_guard{mutex_};
    if (open_.size() < options_.max_open)
      number = ++numbers_;
  }
  if (number == 0)
    return done(model::failure{model::errc::too_many_requests, "too_many_reads",
                               "too many reads wait for other nodes; ask again"});
  send(number, {shard, std::move(what), std::move(done), clock::now() + options_.patience, {}});
}

void remote_reads::send(std::uint64_t number, open_read r) {
  if (is_here(r.shard))
    return read_here(number, std::move(r));
  const auto to = at_.primary_of(r.shard);
  auto bytes = std::string{};
  r.to = 0;
  if (to && *to != at_.self()) {
    bytes = actors::encode_read(number, r.what);
    r.to = *to;
    r.answer = clock::now() + options_.answer_timeout;
  }
  const auto asked = r.to;
  {
    const auto hold = std::lock_guard{mutex_};
    open_.insert_or_assign(number, std::move(r));
  }
  if (asked != 0 && !at_.send(asked, link_channel::read, bytes)) {
    const auto hold = std::lock_guard{mutex_};
    if (const auto found = open_.find(number); found != open_.end())
      found->second.to = 0;
  }
}

/// It may be gone again before it is read: then it waits once more.
void remote_reads::read_here(std::uint64_t number, open_read r) {
  auto what = r.what;
  const auto kept = std::make_shared<open_read>(std::move(r));
  local_(std::move(what), [this, number, kept](model::result<actors::any_page> got) {
    if (got || got.error().code != model::errc::wrong_node)
      return kept->done(std::move(got));
    kept->to = 0;
    const auto hold = std::lock_guard{mutex_};
    open_.insert_or_assign(number, std::move(*kept));
  });
}

void remote_reads::answered(node_id from, std::string_view page) {
  auto got = actors::decode_page(page);
  if (!got) {
    observe::log::warn("cluster", "page_not_read",
                       {{"node", from}, {"detail", got.error().detail}});
    return;
  }
  auto done = then{};
  {
    const auto hold = std::lock_guard{mutex_};
    const auto found = open_.find(got->number);
    if (found == open_.end() || found->second.to != from)
      return;
    if (!got->what && (got->what.error().code == model::errc::wrong_node)) {
      found->second.to = 0;  // it has moved: the next tick asks again
      return;
    }
    done = std::move(found->second.done);
    open_.erase(found);
  }
  done(std::move(got->what));
}

void remote_reads::link_down(node_id who) {
  const auto hold = std::lock_guard{mutex_};
  for (auto& [number, r] : open_)
    if (r.to == who)
      r.to = 0;
}

void remote_reads::tick() {
  const auto now = clock::now();
  auto again = std::vector<std::pair<std::uint64_t, open_read>>{};
  auto late = std::vector<then>{};
  {
    const auto hold = std::lock_guard{mutex_};
    for (auto i = open_.begin(); i != open_.end();) {
      auto& r = i->second;
      if (r.to == 0 ? now >= r.until : now >= r.answer) {
        late.push_back(std::move(r.done));
      } else if (r.to == 0) {
        again.emplace_back(i->first, std::move(r));
      } else {
        ++i;
        continue;
      }
      i = open_.erase(i);
    }
  }
  for (auto& done : late)
    done(model::failure{model::errc::unavailable, "shard_unavailable",
                        "no node serves its shard at the moment; ask again"});
  for (auto& [number, r] : again)
    send(number, std::move(r));
}

void remote_reads::stop() {
  auto open = decltype(open_){};
  {
    const auto hold = std::lock_guard{mutex_};
    open.swap(open_);
  }
  for (auto& [number, r] : open)
    r.done(model::failure{model::errc::unavailable, "stopping", "the node is stopping"});
}

}  // namespace orrery::cluster
