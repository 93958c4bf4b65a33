#include "cluster/shipping.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "observe/log.hpp"

namespace orrery::cluster {
namespace {

namespace log = observe::log;

constexpr std::size_t ship_bytes = 512 * 1024;         // of one message
constexpr std::size_t window_bytes = 8 * 1024 * 1024;  // shipped to one replica, unacknowledged

std::size_t size_of(const std::vector<log_entry>& entries) {
  auto bytes = std::size_t{0};
  for (const auto& e : entries)
    bytes += e.bytes->size();
  return bytes;
}

}  // namespace

shipped ship_log(const replicas_shared& with, model::shard_id shard, replica& machine,
                 shard_log& from, follower_view& f, const ship& what) {
  if (f.unacknowledged_bytes > window_bytes) {
    f.blocked = true;
    return shipped::done;
  }
  const auto last = machine.log().last().index;
  if (what.after == last && f.told_commit == machine.commit())
    return shipped::done;  // it knows everything
  auto after = what.after;
  do {
    auto some = from.entries(after, last, ship_bytes);
    if (!some) {
      log::error("cluster", "log_not_read", {{"shard", shard}, {"detail", some.error().detail}});
      return shipped::done;
    }
    if (!*some) {  // trimmed meanwhile
      const auto begin = from.begin_kept();
      if (!begin || *begin <= after)
        return shipped::done;
      machine.trim(*begin);
      return shipped::too_old;
    }
    const auto bytes = size_of(**some);
    const auto count = (*some)->size();
    const auto before = log_position{machine.log().epoch_at(after), after};
    const auto next = count == 0 ? last : (**some).back().at.index;
    const auto message =
        encode_replica(shard, machine.shipment(what.to, before, std::move(**some)));
    if (!with.ports.send(what.to, message)) {
      f.blocked = true;
      machine.ship_again(what.to);
      return shipped::done;
    }
    f.told_commit = machine.commit();
    f.unacknowledged_bytes += bytes;
    with.figures->entries_shipped.fetch_add(count, std::memory_order_relaxed);
    with.figures->bytes_shipped.fetch_add(message.size(), std::memory_order_relaxed);
    after = next;
  } while (after < last && f.unacknowledged_bytes <= window_bytes);
  f.blocked = after < last;
  return shipped::done;
}

void send_copy(replicas_shared& with, model::shard_id shard, const replica& machine,
               std::uint64_t applied, node_id to) {
  if (!machine.is_serving() || !with.nodes.linked.contains(to) || !with.copies.is_free(shard, to))
    return;
  // Rows of what is committed are in the store once the round is: the next tick takes it then.
  const auto index = machine.commit();
  if (applied != index)
    return;
  const auto meta = with.store->meta(shard);
  if (!meta)
    return;
  auto rows = with.store->copy_shard(shard, std::min(meta->checkpoint_offset, index));
  if (!rows) {
    log::warn("cluster", "shard_not_copied", {{"shard", shard}, {"detail", rows.error().detail}});
    return;
  }
  log::info("cluster", "copies", {{"shard", shard}, {"to", to}, {"index", index}});
  with.copies.add(shard, to,
                  {.epoch = machine.epoch(),
                   .at = {machine.log().epoch_at(index), index},
                   .recovered = machine.recovered()},
                  std::move(*rows));
}

}  // namespace orrery::cluster
