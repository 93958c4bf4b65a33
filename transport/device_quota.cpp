#include "transport/device_quota.hpp"

#include "observe/log.hpp"

namespace orrery::transport {
namespace {

namespace ledger = model::ledger;
using model::errc;
using model::failure;

constexpr auto most_attempts = 3;

actors::any_command order(ledger::order what) {
  return ledger::command{std::move(what), "quota", {}};
}

template <class Reply>
const Reply* reply_in(const actors::answer& got) {
  const auto* any = got ? std::get_if<ledger::reply>(&got->answer) : nullptr;
  return any ? std::get_if<Reply>(any) : nullptr;
}

}  // namespace

void device_quota::reserve(const std::string& organisation, std::uint64_t wanted, then done) {
  const auto known = parts_.known->current();
  const auto* org = known->organisation(organisation);
  const auto* quota = org ? org->state->find_quota("devices") : nullptr;
  auto room = device_room{.organisation = organisation, .devices = wanted};
  if (!quota || (!quota->soft && !quota->hard))
    return done(std::move(room));
  room.limited = true;
  room.soft = quota->soft;
  room.hard = quota->hard;
  reserve(std::move(room), org->state->device_limits, wanted, most_attempts, std::move(done));
}

void device_quota::reserve(device_room room, std::uint64_t stamp, std::uint64_t wanted,
                           int attempts, then done) {
  const auto whom = ledger::ledger_id_of(room.organisation, parts_.shard_count);
  auto what = ledger::reserve{room.organisation, stamp, wanted, room.hard};
  parts_.ask->ask(
      whom, order(std::move(what)),
      [self = shared_from_this(), room = std::move(room), stamp, wanted, attempts,
       done = std::move(done)](const actors::answer& got) mutable {
        if (!got)
          return done(got.error());
        if (const auto* given = reply_in<ledger::room>(got)) {
          room.devices = given->devices;
          room.used = given->used;
          room.count = given->count;
          return done(std::move(room));
        }
        if (attempts <= 1)
          return done(failure{errc::unavailable, "quota_counting",
                              "the devices of the organisation are being counted; ask again"});
        const auto organisation = room.organisation;
        self->count(organisation, stamp,
                    [self, room = std::move(room), stamp, wanted, attempts, done]() mutable {
                      self->reserve(std::move(room), stamp, wanted, attempts - 1, std::move(done));
                    });
      });
}

void device_quota::count(const std::string& organisation, std::uint64_t stamp,
                         std::function<void()> done) {
  const auto whom = ledger::ledger_id_of(organisation, parts_.shard_count);
  parts_.ask->ask(whom, order(ledger::begin_count{organisation, stamp}),
                  [self = shared_from_this(), whom, organisation,
                   done = std::move(done)](const actors::answer& got) {
                    const auto* begun = reply_in<ledger::counting>(got);
                    if (!begun)
                      return done();
                    self->parts_.query->count(
                        {organisation}, [self, whom, organisation, number = begun->number,
                                         done](const model::result<actors::device_counts>& counts) {
                          if (!counts) {
                            observe::log::warn("quota", "devices_not_counted",
                                               {{"organisation", organisation},
                                                {"detail", counts.error().detail}});
                            return self->parts_.ask->ask(whom, order(ledger::abandon_count{number}),
                                                         [done](const actors::answer&) { done(); });
                          }
                          auto total = std::uint64_t{0};
                          for (const auto& [group, n] : counts->of)
                            total += n;
                          self->parts_.ask->ask(whom, order(ledger::end_count{number, total}),
                                                [done](const actors::answer&) { done(); });
                        });
                  });
}

void device_quota::prepare(const model::organisation::state& after, std::function<void()> done) {
  const auto* quota = after.find_quota("devices");
  if (!quota || (!quota->soft && !quota->hard))
    return done();
  count(after.id, after.device_limits, std::move(done));
}

void device_quota::release(const device_room& room, std::uint64_t devices) {
  if (!room.limited || devices == 0)
    return;
  parts_.ask->ask(ledger::ledger_id_of(room.organisation, parts_.shard_count),
                  order(ledger::release{devices, room.count}), [](const actors::answer&) {});
}

}  // namespace orrery::transport
