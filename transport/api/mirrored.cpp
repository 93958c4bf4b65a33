#include "transport/api/mirrored.hpp"

#include <atomic>
#include <mutex>
#include <set>

#include "model/device/mirror.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {

namespace device = model::device;
using model::errc;
using model::failure;

void find_shown(const exchange_ptr& e, const found_device& d,
                std::function<void(model::result<std::optional<found_device>>)> then) {
  const auto& mirrored = d.state->mirrored();
  if (mirrored.empty())
    return then(std::optional{d});
  e->parts().ask->ask(
      mirrored.source, device_order(*e, device::read_device{}),
      [organisation = d.state->organisation(), then = std::move(then)](const actors::answer& got) {
        if (!got && got.error().code != errc::not_found)
          return then(got.error());
        const auto* s = got ? device_reply<device::device_snapshot>(*got) : nullptr;
        if (!s || !device::may_be_shown(*s->what, organisation))
          return then(std::optional<found_device>{});
        then(std::optional{found_device{s->id, got->revision, s->what}});
      });
}

void read_own_latest(const exchange_ptr& e, const model::entity_id& id,
                     const std::vector<std::string>& ids, on_latest then) {
  e->parts().ask->ask(id, device_order(*e, device::read_latest{ids}),
                      [then = std::move(then)](const actors::answer& got) {
                        if (!got)
                          return then(got.error());
                        const auto* latest = device_reply<device::latest_points>(*got);
                        then(latest ? latest->points : latest_values{});
                      });
}

void read_latest(const exchange_ptr& e, const found_device& d, const std::vector<std::string>& ids,
                 on_latest then) {
  const auto& mirrored = d.state->mirrored();
  if (mirrored.empty())
    return read_own_latest(e, d.id, ids, std::move(then));
  auto wanted = device::points_of_source(mirrored.points, ids);
  if (!wanted)
    return then(latest_values{});
  find_shown(e, d,
             [e, wanted = std::move(*wanted), mirror = d.state,
              then = std::move(then)](const model::result<std::optional<found_device>>& source) {
               if (!source)
                 return then(source.error());
               if (!*source)
                 return then(latest_values{});
               read_own_latest(e, (*source)->id, wanted,
                               [mirror, then](const model::result<latest_values>& got) {
                                 if (!got)
                                   return then(got.error());
                                 then(device::shown_points(*got, mirror->mirrored().points));
                               });
             });
}

void read_latest(const exchange_ptr& e, const model::entity_id& id,
                 const std::vector<std::string>& ids, on_latest then) {
  e->parts().ask->ask(id, device_order(*e, device::read_device{}),
                      [e, ids, then = std::move(then)](const actors::answer& got) {
                        if (!got)
                          return then(got.error());
                        const auto* s = device_reply<device::device_snapshot>(*got);
                        if (!s)
                          return then(failure{errc::internal, "another reply"});
                        read_latest(e, {s->id, got->revision, s->what}, ids, then);
                      });
}

void read_history(const exchange_ptr& e, const found_device& d, actors::history_question q,
                  std::function<void(model::result<actors::history_page>)> then) {
  const auto& mirrored = d.state->mirrored();
  if (mirrored.empty()) {
    q.device = d.id;
    return e->parts().query->history(std::move(q), std::move(then));
  }
  auto wanted = device::points_of_source(mirrored.points, q.points);
  if (!wanted)
    return then(actors::history_page{});
  q.points = std::move(*wanted);
  find_shown(e, d,
             [e, q = std::move(q), mirror = d.state, then = std::move(then)](
                 const model::result<std::optional<found_device>>& source) mutable {
               if (!source)
                 return then(source.error());
               if (!*source)
                 return then(actors::history_page{});
               q.device = (*source)->id;
               e->parts().query->history(
                   std::move(q), [mirror, then](model::result<actors::history_page> page) {
                     if (!page)
                       return then(page.error());
                     const auto names = device::shown_names{mirror->mirrored().points};
                     for (auto& row : page->rows)
                       if (const auto* own = names.of(row.point.id))
                         row.point.id = *own;
                     then(std::move(page));
                   });
             });
}

void drop_stale_mirrors(const exchange_ptr& e, const found_device& d,
                        std::function<void(const found_device&)> then) {
  struct work {
    std::mutex mutex;
    std::set<model::entity_id> stale;
    std::atomic<std::size_t> open;
  };
  const auto& links = d.state->mirrors();
  if (links.empty())
    return then(d);
  const auto all = std::make_shared<work>();
  all->open = links.size();
  const auto dropped = [e, d, all, then = std::move(then)] {
    if (all->stale.empty())
      return then(d);
    all->open = all->stale.size();
    for (const auto& id : all->stale)
      e->parts().ask->ask(d.id, device_order(*e, device::unlink_mirror{id}),
                          [e, d, all, then](const actors::answer&) {
                            if (all->open.fetch_sub(1) != 1)
                              return;
                            auto now = std::make_shared<device::state>(*d.state);
                            auto left = now->mirrors();
                            std::erase_if(left, [&](const device::mirror_link& l) {
                              return all->stale.contains(l.mirror);
                            });
                            now->family.edit().mirrors = std::move(left);
                            then({d.id, d.revision, std::move(now)});
                          });
  };
  for (const auto& link : links)
    e->parts().ask->ask(link.mirror, device_order(*e, device::read_device{}),
                        [id = link.mirror, source = d.id, all, dropped](const actors::answer& got) {
                          const auto* s =
                              got ? device_reply<device::device_snapshot>(*got) : nullptr;
                          const auto is_gone = !got && got.error().code == errc::not_found;
                          if (is_gone || (s && s->what->mirrored().source != source)) {
                            const auto hold = std::lock_guard{all->mutex};
                            all->stale.insert(id);
                          }
                          if (all->open.fetch_sub(1) == 1)
                            dropped();
                        });
}

}  // namespace orrery::transport::api
