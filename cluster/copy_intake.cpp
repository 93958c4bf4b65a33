#include "cluster/copy_intake.hpp"

#include <algorithm>

#include "observe/log.hpp"
#include "storage/keys.hpp"

namespace orrery::cluster {
namespace {

constexpr auto patience = std::chrono::seconds{15};

}  // namespace

void copy_intake::take(replica& machine, shard_log& log, node_id from, const copy_begun& m) {
  auto accepted = false;
  if (with_.incarnation && machine.wants_checkpoint(from, m.epoch, m.at, m.recovered)) {
    observe::log::info("cluster", "is_copied",
                       {{"shard", shard_}, {"from", from}, {"index", m.at.index}});
    open_ = {.from = from, .copy = m.copy, .at = m.at, .heard = with_.ports.clock()};
    // Nothing of the shard that waits for its write may come behind what takes it away.
    accepted = with_.put_round_and(log.begin_loading());
  }
  with_.send(from, shard_, copy_taken{m.copy, 0, accepted});
}

void copy_intake::take(node_id from, const copy_rows& m) {
  if (!is_of(from, m.copy))
    return;
  const auto prefix = storage::keys::shard_prefix(shard_);
  const auto fits = m.number == open_->parts + 1 && std::ranges::all_of(m.rows, [&](const auto& r) {
                      return r.key.starts_with(prefix) && !shard_log::is_local(shard_, r);
                    });
  if (fits && with_.put_now(m.rows, false)) {
    ++open_->parts;
    open_->heard = with_.ports.clock();
  }
  with_.send(from, shard_, copy_taken{m.copy, m.number, fits && !with_.failed});
}

std::optional<std::uint64_t> copy_intake::take(replica& machine, shard_log& log, node_id from,
                                               const copy_ended& m) {
  if (!is_of(from, m.copy))
    return std::nullopt;
  const auto at = open_->at;
  const auto whole = m.parts == open_->parts;
  open_.reset();
  const auto installed = whole && with_.put_now(log.end_loading(at), true);
  if (installed) {
    machine.checkpoint_installed(at);
    with_.figures->copies_received.fetch_add(1, std::memory_order_relaxed);
    with_.ports.loaded(shard_);
  } else {
    machine.checkpoint_failed();
  }
  with_.send(from, shard_, copy_taken{m.copy, m.parts + 1, whole});
  return installed ? std::optional{at.index} : std::nullopt;
}

void copy_intake::give_up_if_silent(replica& machine, std::chrono::milliseconds now) {
  if (!open_ || now <= open_->heard + patience)
    return;
  observe::log::warn("cluster", "copy_broke_off", {{"shard", shard_}, {"from", open_->from}});
  open_.reset();
  machine.checkpoint_failed();
}

}  // namespace orrery::cluster
