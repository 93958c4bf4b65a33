// The twin of a device: how it is to be configured, and how it says that it is (group F of the
// API).
#include <limits>
#include <mutex>
#include <utility>

#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;

std::int64_t number(std::uint64_t version) {
  return static_cast<std::int64_t>(version);
}

}  // namespace

model::object show_twin(const exchange& e, const device::twin_state& t,
                        const device::layering& layers) {
  auto delta = device::delta_of(t);
  auto o = model::object{{"desired", t.desired},
                         {"reported", t.reported},
                         {"inSync", delta.empty()},
                         {"delta", std::move(delta)},
                         {"desiredVersion", number(t.desired_version)},
                         {"reportedVersion", number(t.reported_version)},
                         {"appliedVersion", number(t.applied_version)}};
  if (t.desired_at != model::timestamp{}) {
    o.emplace_back("desiredAt", e.show(t.desired_at));
    o.emplace_back("desiredBy", t.desired_by);
  }
  if (t.reported_at != model::timestamp{})
    o.emplace_back("reportedAt", e.show(t.reported_at));
  if (layers.empty())
    return o;
  auto all = model::array{};
  for (const auto& l : layers.all) {
    auto one = model::object{
        {"id", l.id}, {"version", number(l.version)}, {"state", device::name_of(l.state)}};
    if (!l.reason.empty())
      one.emplace_back("reason", l.reason);
    all.emplace_back(std::move(one));
  }
  o.emplace_back("own", layers.own);
  o.emplace_back("configurations", std::move(all));
  o.emplace_back("sources", sources_of(e, t, layers));
  return o;
}

namespace {

void get(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    e->reply_one(show_twin(*e, d.state->twin(), d.state->layers()));
  });
}

void get_desired(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    const auto& t = d.state->twin();
    const auto& layers = d.state->layers();
    e->reply(200, layers.empty() ? t.desired : layers.own,
             {{"ETag", exchange::etag(t.desired_version)}});
  });
}

void change(const exchange_ptr& e, bool replace) {
  const auto expected = e->if_match(true);
  if (!expected)
    return e->fail(expected.error());
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  if (!body->is_object())
    return e->fail({model::errc::invalid_argument, "malformed", "expected a JSON object"});
  e->with_device([e, order = device::change_twin{body->as_object(), replace, *expected}](
                     const found_device& d) {
    e->was(show_twin(*e, d.state->twin(), d.state->layers()));
    e->facts.kind = "twin";
    e->facts.id = to_string(d.id);
    e->ask(d.id, device_order(*e, order), [e](const actors::outcome& done) {
      const auto* told = device_reply<device::twin_status>(done);
      const auto& after = told->what;
      auto h = exchange::revision_headers(done);
      h.emplace_back("ETag", exchange::etag(after.desired_version));
      e->reply(200, show_twin(*e, after, told->layers), std::move(h));
    });
  });
}
void patch(const exchange_ptr& e) {
  change(e, false);
}
void put(const exchange_ptr& e) {
  change(e, true);
}

void history(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    const auto& all = d.state->twin().history;
    auto items = model::array{};
    for (auto v = all.rbegin(); v != all.rend(); ++v) {
      auto o =
          model::object{{"version", number(v->version)}, {"at", e->show(v->at)}, {"by", v->by}};
      if (v->applied_at != model::timestamp{})
        o.emplace_back("appliedAt", e->show(v->applied_at));
      items.emplace_back(std::move(o));
    }
    e->reply_one(model::object{{"items", std::move(items)}});
  });
}

/// A call that waits until the device says that it has a version of what is desired. The feed wakes
/// it, the end of its time too; nothing asks again and again. What the feed loses is read.
class twin_wait : public std::enable_shared_from_this<twin_wait> {
 public:
  twin_wait(exchange_ptr e, model::entity_id id, std::uint64_t version)
      : e_{std::move(e)}, id_{id}, version_{version} {}

  void start(model::milliseconds at_most) {
    const auto& parts = e_->parts();
    const auto subscription =
        parts.feed->subscribe({.kind = actors::feed_kind::lifecycle,
                               .organisation = e_->who.organisation,
                               .products = {},
                               .devices = {id_},
                               .points = {}},
                              [weak = weak_from_this(), query = parts.query] {
                                query->run([weak] {
                                  if (const auto self = weak.lock(); self && self->has_news())
                                    self->read(false);
                                });
                              });
    // It lives as long as it may be called back from here.
    auto waiter =
        parts.ask->expect_command(at_most, [self = shared_from_this()](bool) { self->read(true); });
    auto is_over = false;
    {
      const auto hold = std::lock_guard{mutex_};
      subscription_ = subscription;
      waiter_ = std::move(waiter);
      is_set_ = true;
      is_over = done_;
    }
    if (is_over)
      return let_go();
    // What came while the subscription had no name yet woke nobody: a queue tells that it is not
    // empty once.
    (void)has_news();
    read(false);
  }

 private:
  /// Takes all that the feed has; true if the version may be among it.
  bool has_news() {
    constexpr auto most = std::size_t{100};
    auto subscription = std::uint64_t{0};
    {
      const auto hold = std::lock_guard{mutex_};
      if (!is_set_ || done_)
        return false;
      subscription = subscription_;
    }
    auto news = false;
    for (auto more = true; more;) {
      const auto got = e_->parts().feed->take(subscription, most);
      more = got.items.size() == most;
      news = news || got.lost > 0;
      for (const auto& item : got.items)
        if (const auto* said = std::get_if<device::twin_reported>(&(*item.events)[item.index]))
          news = news || said->applied >= version_;
    }
    return news;
  }

  void read(bool is_over) {
    {
      const auto hold = std::lock_guard{mutex_};
      if (done_)
        return;
    }
    e_->parts().ask->ask(
        id_, device_order(*e_, device::read_twin{}),
        [self = shared_from_this(), is_over](const actors::answer& got) {
          const auto* twin = got ? device_reply<device::twin_status>(*got) : nullptr;
          if (twin && twin->what.applied_version < self->version_ && !is_over)
            return;
          if (!self->end())
            return;
          if (!twin)
            return self->e_->fail(
                got ? model::failure{model::errc::internal, "the device has said something else"}
                    : got.error());
          if (twin->what.applied_version < self->version_)
            return self->e_->fail({model::errc::timeout, "device_timeout",
                                   "the device has not said that it has version " +
                                       std::to_string(self->version_) + "; it has " +
                                       std::to_string(twin->what.applied_version)});
          self->e_->reply(200, show_twin(*self->e_, twin->what, twin->layers));
        });
  }

  /// False: it has ended before.
  bool end() {
    auto is_set = false;
    {
      const auto hold = std::lock_guard{mutex_};
      if (std::exchange(done_, true))
        return false;
      is_set = is_set_;
    }
    if (is_set)
      let_go();  // else start() does
    return true;
  }
  void let_go() {
    e_->parts().feed->unsubscribe(subscription_);
    e_->parts().ask->forget(waiter_);
  }

  exchange_ptr e_;
  model::entity_id id_;
  std::uint64_t version_;
  std::mutex mutex_;
  bool is_set_ = false;  // the two below, which then stay
  std::uint64_t subscription_ = 0;
  model::waiter_ref waiter_;
  bool done_ = false;
};

void wait(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto version = f.integer("desiredVersion", 1, std::numeric_limits<std::int64_t>::max());
  const auto timeout = std::chrono::seconds{f.integer("timeout", 1, 60).value_or(30)};
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, version, timeout](const found_device& d) {
    const auto newest = d.state->twin().desired_version;
    const auto wanted = version ? static_cast<std::uint64_t>(*version) : newest;
    if (wanted > newest)
      return e->fail({model::errc::conflict, "version_unknown",
                      "there is no version above " + std::to_string(newest)});
    std::make_shared<twin_wait>(e, d.id, wanted)->start(timeout);
  });
}

}  // namespace

std::vector<route> twin_routes() {
  return {
      {"GET", "@d/twin", "device:read", get, "getTwin",
       "How a device is to be configured, how it says that it is, and the difference", "", "Twin",
       200, ""},
      {"GET", "@d/twin/desired", "device:read", get_desired, "getDesired",
       "What is desired of a device itself, above configurations; its ETag is that of changes", "",
       "Configuration", 200, ""},
      {"PUT", "@d/twin/desired", "device:control", put, "replaceDesired",
       "Replace what is desired of a device itself", "Configuration", "Twin", 200, ""},
      {"PATCH", "@d/twin/desired", "device:control", patch, "changeDesired",
       "Merge changes into what is desired of a device itself; null takes away", "Configuration",
       "Twin", 200, ""},
      {"GET", "@d/twin/history", "device:read", history, "getTwinHistory",
       "The last versions of how a device is to be configured, newest first", "", "TwinHistory",
       200, ""},
      {"POST", "@d/twin:wait", "device:read", wait, "waitForTwin",
       "Answers once the device says that it has a version (the newest), or 504 when the time is "
       "over",
       "TwinWait", "Twin", 200, ""},
  };
}

}  // namespace orrery::transport::api
