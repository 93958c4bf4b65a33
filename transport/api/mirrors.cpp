// Devices that show the points of another one (group D of the API).
#include "model/device/mirror.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/mirrored.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

model::value show_mirror(const exchange& e, const device::mirroring& m, bool gone) {
  auto points = model::object{};
  for (const auto& [own, of_source] : m.points)
    points.emplace_back(own, of_source);
  return model::object{{"source", to_string(m.source)},
                       {"points", std::move(points)},
                       {"since", e.show(m.since)},
                       {"sourceGone", gone}};
}

void get(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    if (d.state->mirrored().empty())
      return e->fail({errc::not_found, "mirror_unknown",
                      d.state->name().device_key + " shows no other device"});
    find_shown(e, d,
               [e, mirror = d.state](const model::result<std::optional<found_device>>& source) {
                 if (!source)
                   return e->fail(source.error());
                 e->reply_one(show_mirror(*e, mirror->mirrored(), !source->has_value()));
               });
  });
}

/// A device on its way to show another one. It takes that up itself first, then the source is told
/// of it; where the source does not want that, it ends again. Done once more all of it may be.
class mirror_call : public std::enable_shared_from_this<mirror_call> {
 public:
  mirror_call(exchange_ptr e, found_device d, device::mirroring what)
      : e_{std::move(e)}, mirror_{std::move(d)}, what_{std::move(what)} {}

  /// Whoever shows a device to others must be able to read it himself.
  void begin() {
    e_->was(show_device(*e_, mirror_.id, *mirror_.state));
    find([self = shared_from_this()] {
      set_reach(*self->e_, "data:read");
      self->find([self] { self->check(); });
    });
  }

 private:
  void find(std::function<void()> then) {
    e_->with_devices({what_.source}, [self = shared_from_this(), then = std::move(then)](
                                         const exchange::found_devices& found) {
      const auto& one = found.front();
      if (!one)
        return self->e_->fail(one.error());
      self->what_.source = one->id;
      self->source_ = *one;
      then();
    });
  }
  device::mirror_link link() const { return {mirror_.id, mirror_.state->name(), what_.points}; }
  /// As the source will, so that nothing is begun that it would not want.
  void check() {
    drop_stale_mirrors(e_, source_, [self = shared_from_this()](const found_device& source) {
      self->source_ = source;
      drop_stale_mirrors(self->e_, self->mirror_, [self](const found_device& mirror) {
        self->mirror_ = mirror;
        self->set();
      });
    });
  }
  void set() {
    const auto product = e_->product_of(*source_.state);
    if (!product)
      return e_->fail(
          {errc::not_found, "product_unknown", "no product " + source_.state->name().product_key});
    if (auto ok = device::check_source(*source_.state, source_.id, link(), product->view); !ok)
      return e_->fail(ok.error());
    e_->ask(mirror_.id, device_order(*e_, device::set_mirror{what_}),
            [self = shared_from_this()](const actors::outcome& done) { self->read(done); });
  }
  void read(const actors::outcome& done) {
    e_->ask(mirror_.id, device_order(*e_, device::read_device{}),
            [self = shared_from_this(), done](const actors::outcome& now) {
              const auto* s = device_reply<device::device_snapshot>(now);
              if (!s || s->what->mirrored().source != self->what_.source ||
                  s->what->mirrored().points != self->what_.points)
                return self->e_->fail({errc::conflict, "state_conflict",
                                       "the device was given another source meanwhile"});
              self->mirror_ = {s->id, now.revision, s->what};
              self->tell_source(done);
            });
  }
  void tell_source(const actors::outcome& done) {
    e_->parts().ask->ask(source_.id, device_order(*e_, device::link_mirror{link()}),
                         [self = shared_from_this(), done](const actors::answer& linked) {
                           if (linked)
                             return self->look_again(done);
                           // Nobody knows whether it was told: that can be asked for again.
                           if (model::may_work_later(linked.error()))
                             return self->e_->fail(linked.error());
                           self->end(linked.error());
                         });
  }
  /// It may have gone over to another organisation meanwhile.
  void look_again(const actors::outcome& done) {
    e_->parts().ask->ask(
        source_.id, device_order(*e_, device::read_device{}),
        [self = shared_from_this(), done](const actors::answer& now) {
          const auto* s = now ? device_reply<device::device_snapshot>(*now) : nullptr;
          if (!s || s->what->organisation() == self->mirror_.state->organisation())
            return self->reply(done);
          self->e_->parts().ask->ask(
              self->source_.id, device_order(*self->e_, device::unlink_mirror{self->mirror_.id}),
              [self](const actors::answer&) {
                self->end({errc::not_found, "device_unknown", "the source is not here any more"});
              });
        });
  }
  void end(const failure& why) {
    e_->parts().ask->ask(
        mirror_.id, device_order(*e_, device::end_mirror{what_.source}),
        [self = shared_from_this(), why](const actors::answer&) { self->e_->fail(why); });
  }
  void reply(const actors::outcome& done) {
    e_->facts.after = show_device(*e_, mirror_.id, *mirror_.state);
    e_->reply(200, show_mirror(*e_, mirror_.state->mirrored(), false),
              exchange::revision_headers(done));
  }

  exchange_ptr e_;
  found_device mirror_, source_;
  device::mirroring what_;
};

void put(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto what = device::mirroring{};
  const auto source = f.text("source", 64);
  const auto id = source ? model::parse_entity_id(*source) : std::nullopt;
  for (auto& [own, of_source] : f.text_map("points", false))
    what.points.emplace(own, std::move(*of_source));
  if (!source && !f.has("source"))
    f.missing("source");
  else if (source && (!id || id->shard >= e->parts().shard_count))
    f.note("source", "type_mismatch", "expected an assetId");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  what.source = *id;
  e->with_device([e, what = std::move(what)](const found_device& d) {
    std::make_shared<mirror_call>(e, d, what)->begin();
  });
}

/// The source is told before the answer leaves: from then on nothing comes live any more.
void end(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    e->was(show_device(*e, d.id, *d.state));
    e->ask(d.id, device_order(*e, device::end_mirror{}), [e, d](const actors::outcome& done) {
      e->parts().ask->ask(d.state->mirrored().source, device_order(*e, device::unlink_mirror{d.id}),
                          [e, h = exchange::revision_headers(done)](const actors::answer&) {
                            e->reply_empty(204, h);
                          });
    });
  });
}

}  // namespace

std::vector<route> mirror_routes() {
  return {
      {"GET", "@d/mirror", "device:read", get, "getMirror", "Which device a mirror shows, and how",
       "", "Mirror", 200, ""},
      {"PUT", "@d/mirror", "device:write", put, "setMirror",
       "Make a device that was never active show the points of another one, all or some of them by "
       "ids of its own",
       "MirrorSetting", "Mirror", 200, ""},
      {"DELETE", "@d/mirror", "device:write", end, "endMirror",
       "Let a mirror be a device of its own again", "", "", 204, ""},
  };
}

}  // namespace orrery::transport::api
