// Any bytes to the messages between replicas: what is read can be written and read again, and the
// entries of a message can be put into a log as they stand there.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "cluster/replica_wire.hpp"
#include "storage/frame.hpp"

namespace {

using namespace orrery;
using namespace orrery::cluster;

void demand(bool holds) {
  if (!holds)
    std::abort();
}

void check(const append_entries& m) {
  auto at = m.before;
  for (const auto& e : m.entries) {
    const auto frame = storage::outline_of_frame(*e.bytes);
    demand(frame && frame->epoch == e.at.epoch && frame->records == e.at.index - at.index);
    demand(e.at.index > at.index && e.at.epoch >= at.epoch && e.at.epoch <= m.epoch);
    at = e.at;
  }
}
void check(const copy_rows& m) {
  for (const auto& r : m.rows)
    demand(r.family <= storage::last_family);
}
template <class Message>
void check(const Message&) {}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Its own allocation, of exactly that size: a read behind the end is seen.
  const auto exact = std::make_unique<char[]>(size);
  std::copy_n(data, size, exact.get());
  const auto got = decode_replica({exact.get(), size});
  if (!got)
    return 0;
  demand(got->shard <= model::catalogue_shard);
  std::visit([](const auto& m) { check(m); }, got->what);
  const auto once = encode_replica(got->shard, got->what);
  demand(once.size() <= size);  // no number is written longer than it was
  const auto again = decode_replica(once);
  demand(again && again->shard == got->shard && again->what.index() == got->what.index());
  demand(encode_replica(again->shard, again->what) == once);
  return 0;
}
