// Devices are taken out of service, come again, or are removed (group D of the API).
#include "transport/api/device_retirement.hpp"

#include <algorithm>

#include "actors/name_settling.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/people.hpp"
#include "transport/api/show.hpp"
#include "transport/api/tree_view.hpp"
#include "transport/device_quota.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace organisation = model::organisation;
using model::errc;
using model::failure;

constexpr std::uint8_t ceased = 5;  // cessationOfOperation: RFC 5280, 5.3.1
constexpr std::size_t max_reason = 256;
constexpr std::int64_t max_days = 365;

/// Waits for the end of the name that the device was given, so that it is free with the answer.
void free_name(const exchange_ptr& e, const model::entity_id& id, const device::renaming& renamed,
               std::function<void()> then) {
  if (renamed.alias == model::entity_id{})
    return then();
  actors::settle_name(e->parts().ask, {renamed.alias, id, renamed.renames - 1},
                      [then = std::move(then)](const model::status&) { then(); });
}

/// The certificates that ended with it, in the lists of the authorities that are ours.
class revoking : public std::enable_shared_from_this<revoking> {
 public:
  revoking(exchange_ptr e, std::function<void()> then) : e_{std::move(e)}, then_{std::move(then)} {}

  void start(const device::state& s) {
    const auto known = e_->parts().known->current();
    if (const auto* org = known->organisation(e_->who.organisation)) {
      org_ = org->id;
      rows_ = revocations_of(s, *org->state);
    }
    go_on();
  }

 private:
  void go_on() {
    if (rows_.empty())
      return then_();
    auto row = std::move(rows_.back());
    rows_.pop_back();
    // The device refuses them whether they are listed or not.
    e_->parts().ask->ask(org_, organisation::command{std::move(row), e_->who.actor, {}},
                         [self = shared_from_this()](const actors::answer&) { self->go_on(); });
  }

  exchange_ptr e_;
  std::function<void()> then_;
  model::entity_id org_;
  std::vector<organisation::list_revocation> rows_;
};

// ---- out of service

void reply_retired(const exchange_ptr& e, const actors::outcome& done) {
  const auto* was = device_reply<device::device_snapshot>(done);
  if (!was)
    return e->fail({errc::internal, "another reply"});
  const auto& s = *was->what;
  e->facts.after = show_device(*e, was->id, s);
  auto h = exchange::revision_headers(done);
  h.emplace_back("ETag", exchange::etag(done.revision));
  const auto finish = [e, h = std::move(h)] { e->reply(200, *e->facts.after, h); };
  const auto is_gone = s.retirement().purge_at == s.retirement().at;
  const auto free = [e, id = was->id, is_gone, what = was->what, finish] {
    is_gone ? free_name(e, id, what->renaming(), finish) : finish();
  };
  std::make_shared<revoking>(e, [e, id = was->id, free] {
    release_assets(e, {id}, free);
  })->start(s);
}

void decommission(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto what = device::retire_device{};
  what.reason = f.text("reason", max_reason).value_or("");
  if (what.reason.empty())
    f.missing("reason");
  if (const auto days = f.integer("quarantine", 0, max_days))
    what.quarantine = std::chrono::hours{24 * *days};
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  e->with_device([e, what = std::move(what), expected = *expected](const found_device& d) {
    e->was(show_device(*e, d.id, *d.state));
    // The ledger is asked before: it must not take back what a count has seen already.
    e->parts().quota->look(e->who.organisation, [e, id = d.id, what,
                                                 expected](const model::result<device_room>& room) {
      e->ask(id, device_order(*e, what, expected), [e, room](const actors::outcome& done) {
        if (room)
          e->parts().quota->release(*room, 1);
        reply_retired(e, done);
      });
    });
  });
}

// ---- in service again

/// Groups that are gone are left; then the answer.
void reply_restored(const exchange_ptr& e, const device::retirement& was, const device_room& room,
                    const std::string& secret, const actors::outcome& done) {
  const auto* now = device_reply<device::device_snapshot>(done);
  if (!now)
    return e->fail({errc::internal, "another reply"});
  auto shown = show_device(*e, now->id, *now->what).as_object();
  e->facts.after = shown;
  shown.emplace_back("deviceSecret", secret);
  auto h = exchange::revision_headers(done);
  warn_of_quota(*e, use_of(room), h);
  auto gone = device::change_groups{};
  const auto known = e->parts().known->current();
  const auto* org = known->organisation(e->who.organisation);
  for (const auto& group : was.groups)
    if (org && !org->state->find_group(group))
      gone.remove.push_back(group);
  if (gone.remove.empty()) {
    h.emplace_back("ETag", exchange::etag(done.revision));
    return e->reply(200, std::move(shown), std::move(h));
  }
  // One that it still names is nobody's (groups.cpp): whether that works or not it is restored.
  e->parts().ask->ask(
      now->id, device_order(*e, std::move(gone)),
      [e, shown = std::move(shown), h = std::move(h), done](const actors::answer& got) mutable {
        h.emplace_back("ETag", exchange::etag(got ? got->revision : done.revision));
        e->reply(200, std::move(shown), std::move(h));
      });
}

/// The device of the route, which must be out of service, and the revision that the change depends
/// on; a failure is the answer.
void with_retired(
    const exchange_ptr& e,
    std::function<void(const found_device&, std::optional<std::uint64_t> expected)> then) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  e->with_device([e, expected = *expected, then = std::move(then)](const found_device& d) {
    if (d.state->retirement().empty())
      return e->fail({errc::conflict, "not_retired",
                      d.state->name().device_key + " is in service: decommission it first"});
    then(d, expected);
  });
}

void restore(const exchange_ptr& e) {
  with_retired(e, [e](const found_device& d, std::optional<std::uint64_t> expected) {
    e->was(show_device(*e, d.id, *d.state));
    e->parts().quota->reserve(
        e->who.organisation, 1,
        [e, id = d.id, state = d.state, expected](const model::result<device_room>& room) {
          if (!room)
            return e->fail(room.error());
          const auto secret = model::random_text(32);
          auto what = device::restore_device{
              e->parts().keys->seal(secret, device::secret_owner(state->name()))};
          e->parts().ask->ask(id, device_order(*e, std::move(what), expected),
                              [e, state, room = *room, secret](const actors::answer& got) {
                                if (got)
                                  return reply_restored(e, state->retirement(), room, secret, *got);
                                if (device_quota::is_surely_not(got.error()))
                                  e->parts().quota->release(room, 1);
                                e->fail(got.error());
                              });
        });
  });
}

// ---- removed

void purge(const exchange_ptr& e) {
  with_retired(e, [e](const found_device& d, std::optional<std::uint64_t> expected) {
    // As it was read: one that comes again meanwhile stays.
    remove_device(e, d, expected.value_or(d.revision));
  });
}

}  // namespace

bool was_in_service(const actors::answer& removed) {
  const auto* reply = removed ? std::get_if<device::reply>(&removed->answer) : nullptr;
  const auto* was = reply ? std::get_if<device::device_snapshot>(reply) : nullptr;
  return removed && (!was || was->what->retirement().empty());
}

std::vector<organisation::list_revocation> revocations_of(const device::state& retired,
                                                          const organisation::state& org) {
  auto rows = std::vector<organisation::list_revocation>{};
  for (const auto& c : retired.certificates().all) {
    const auto* by = org.find_authority(c.issuer);
    if (c.state != device::certificate::state_code::revoked || c.reason != ceased || !by ||
        by->kind != organisation::certificate_authority::origin::built_in)
      continue;
    auto& row = rows.emplace_back();
    row.authority = c.issuer;
    row.what.serial = c.serial;
    row.what.reason = ceased;
    row.what.until = c.not_after;
  }
  return rows;
}

void remove_device(const exchange_ptr& e, const found_device& d,
                   std::optional<std::uint64_t> expected) {
  e->was(show_device(*e, d.id, *d.state));
  // The ledger is asked before: it must not take back what a count has seen already.
  e->parts().quota->look(e->who.organisation, [e, id = d.id, renamed = d.state->renaming(),
                                               expected](const model::result<device_room>& room) {
    e->ask(id, device_order(*e, device::remove_device{}, expected),
           [e, id, room, renamed](const actors::outcome& done) {
             if (room && was_in_service(done))
               e->parts().quota->release(*room, 1);
             free_name(e, id, renamed, [e, id, done] {
               release_assets(
                   e, {id}, [e, h = exchange::revision_headers(done)] { e->reply_empty(204, h); });
             });
           });
  });
}

std::vector<route> device_retirement_routes() {
  return {
      {"POST", "@d:decommission", "device:decommission", decommission, "decommissionDevice",
       "Take a device out of service: it loses all that it proves itself by, and can be restored "
       "for `quarantine` days (30)",
       "Decommission", "Device", 200, ""},
      {"POST", "@d:restore", "device:decommission", restore, "restoreDevice",
       "Let a device that is out of service come again, with a new secret that is shown once", "",
       "CreatedDevice", 200, ""},
      {"POST", "@d:purge", "device:decommission", purge, "purgeDevice",
       "Remove a device that is out of service before its time", "", "", 204, ""},
  };
}

}  // namespace orrery::transport::api
