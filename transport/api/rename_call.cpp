#include "transport/api/rename_call.hpp"

#include "actors/name_settling.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

constexpr std::uint8_t superseded = 4;  // RFC 5280, 5.3.1

class rename_call : public std::enable_shared_from_this<rename_call> {
 public:
  using on_end = std::function<void(const model::result<renamed_device>&)>;
  rename_call(exchange_ptr e, rename_order what, on_end then)
      : e_{std::move(e)}, order_{std::move(what)}, then_{std::move(then)} {}

  void begin() {
    const auto& known = order_.device.state->renaming();
    order_.what.renames = known.renames;
    if (!known.former && !known.former_name)
      return reserve();
    // The change before this one was not ended.
    actors::settle_name(e_->parts().ask, {known.alias, order_.device.id, known.renames - 1},
                        [self = shared_from_this()](const model::status& ok) {
                          ok ? self->reserve() : self->then_(ok.error());
                        });
  }

 private:
  const std::string& organisation() const {
    return order_.organisation.empty() ? order_.device.state->organisation() : order_.organisation;
  }
  void reserve() {
    const auto& parts = e_->parts();
    const auto& name = order_.what.name;
    const auto alias =
        model::make_entity_id(parts.ask->shard_of(name), parts.now(), model::random_entropy());
    parts.ask->ask(
        alias,
        device_order(
            *e_, device::reserve_name{name, organisation(), order_.device.id, order_.what.renames}),
        [self = shared_from_this()](const actors::answer& got) {
          const auto* made = got ? device_reply<device::device_bound>(*got) : nullptr;
          if (!made)
            return self->then_(got ? failure{errc::internal, "another reply"} : got.error());
          self->order_.what.alias = made->id;
          self->rename();
        });
  }
  void rename() {
    auto what = order_.organisation.empty()
                    ? device::order{order_.what}
                    : device::order{device::emigrate_device{order_.what, order_.organisation}};
    e_->parts().ask->ask(order_.device.id, device_order(*e_, std::move(what), order_.expected),
                         [self = shared_from_this()](actors::answer got) {
                           // Also where it failed: then the name is free again.
                           self->settle(std::move(got));
                         });
  }
  void settle(actors::answer got) {
    actors::settle_name(e_->parts().ask, {order_.what.alias, order_.device.id, order_.what.renames},
                        [self = shared_from_this(), got = std::move(got)](const model::status&) {
                          got ? self->list_revoked(0, *got) : self->then_(got.error());
                        });
  }
  /// The certificates that ended, in the lists of the authorities that are ours.
  void list_revoked(std::size_t from, const actors::outcome& done) {
    namespace organisation = model::organisation;
    const auto known = e_->parts().known->current();
    const auto* org = known->organisation(order_.device.state->organisation());
    const auto& all = order_.device.state->certificates().all;
    const auto ends = order_.what.replaces || !order_.organisation.empty();
    for (; ends && org && from < all.size(); ++from) {
      const auto& c = all[from];
      const auto* by = org->state->find_authority(c.issuer);
      if (c.state == device::certificate::state_code::revoked || !by ||
          by->kind != organisation::certificate_authority::origin::built_in)
        continue;
      auto row = organisation::list_revocation{};
      row.authority = c.issuer;
      row.what.serial = c.serial;
      row.what.reason = superseded;
      row.what.until = c.not_after;
      return e_->parts().ask->ask(org->id, organisation::command{std::move(row), e_->who.actor, {}},
                                  [self = shared_from_this(), from, done](const actors::answer&) {
                                    self->list_revoked(from + 1, done);
                                  });
    }
    read(done);
  }
  /// Nobody else can tell the new secret: reading is tried more than once.
  void read(const actors::outcome& done, int tries = 3) {
    e_->parts().ask->ask(order_.device.id, device_order(*e_, device::read_device{}),
                         [self = shared_from_this(), done, tries](const actors::answer& now) {
                           if (!now && tries > 1)
                             return self->read(done, tries - 1);
                           self->then_(renamed_device{done, now});
                         });
  }

  exchange_ptr e_;
  rename_order order_;
  on_end then_;
};

}  // namespace

void rename(const exchange_ptr& e, rename_order what,
            std::function<void(const model::result<renamed_device>&)> then) {
  std::make_shared<rename_call>(e, std::move(what), std::move(then))->begin();
}

void reply_renamed(const exchange_ptr& e, int status, const std::string& secret,
                   const renamed_device& got, exchange::headers more) {
  if (!got.now) {
    auto why = got.now.error();
    why.detail = "it was done, but the device cannot be read: " + why.detail;
    return e->fail(why);
  }
  const auto& s = *device_reply<device::device_snapshot>(*got.now);
  auto shown = show_device(*e, s.id, *s.what).as_object();
  e->facts.after = shown;
  if (!secret.empty())
    shown.emplace_back("deviceSecret", secret);
  auto h = exchange::revision_headers(got.done);
  h.emplace_back("ETag", exchange::etag(got.now->revision));
  std::move(more.begin(), more.end(), std::back_inserter(h));
  e->reply(status, std::move(shown), std::move(h));
}

}  // namespace orrery::transport::api
