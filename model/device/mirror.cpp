// Mirrors. Who shows whom stands in both: in the mirror what it shows, which is what counts, and in
// the source who is to be told of what comes live. A device with mirrors shows no other one, and
// what a mirror would show is not shown: so there are no chains, and no circles, whatever is lost.
#include "model/device/mirror.hpp"

#include <algorithm>
#include <set>

#include "model/device/decisions.hpp"

namespace orrery::model::device {
namespace {

constexpr std::size_t max_id_bytes = 256;
constexpr std::size_t max_map_bytes = 16 * 1024;  // what names them all may be written at once

failure cycle(std::string detail) {
  return {errc::conflict, "mirror_cycle", std::move(detail)};
}

/// It has no connection, no data and nothing behind it: a mirror has none of its own.
status may_become_mirror(const state& s, const product_view& product) {
  const auto refuse = [&](const char* why) {
    return failure{errc::conflict, "state_conflict", label(s) + " cannot be a mirror: " + why};
  };
  if (!s.retirement().empty())
    return refuse("it is out of service");
  if (s.connection.online)
    return refuse("it is on-line");
  if (s.activated_at)
    return refuse("it has been on-line, and has a past of its own");
  if (s.last_data != timestamp{})
    return refuse("it has data of its own");
  if (!s.gateway().empty())
    return refuse("it is a sub-device");
  if (product.gateway || !s.sub_devices().empty())
    return refuse("it is a gateway");
  return {};
}

using links = std::vector<mirror_link>;

links::const_iterator find_link(const links& all, const entity_id& mirror) {
  return std::lower_bound(
      all.begin(), all.end(), mirror,
      [](const mirror_link& l, const entity_id& wanted) { return l.mirror < wanted; });
}

bool is_at(const links& all, links::const_iterator at, const entity_id& mirror) {
  return at != all.end() && at->mirror == mirror;
}

template <class... Ts>
bool holds_one_of(const order& o) {
  return (std::holds_alternative<Ts>(o) || ...);
}

/// What a device does itself, or is given to prove itself or to do: a mirror has nothing of that.
/// Nor is it called otherwise or given away: its source knows its name.
bool is_of_its_own(const order& o) {
  return holds_one_of<report_points, report_event, send_command, offer_upgrade, bind_gateway,
                      reset_secret, reopen_activation, add_certificate, rename_device,
                      emigrate_device>(o);
}

}  // namespace

std::optional<std::vector<std::string>> points_of_source(const point_map& points,
                                                         const std::vector<std::string>& own) {
  if (points.empty())
    return own;
  auto ids = std::vector<std::string>{};
  if (own.empty())
    for (const auto& [id, of_source] : points)
      ids.push_back(of_source);
  for (const auto& id : own)
    if (const auto found = points.find(id); found != points.end())
      ids.push_back(found->second);
  if (ids.empty())
    return std::nullopt;
  return ids;
}

shown_names::shown_names(const point_map& points) : all_{points.empty()} {
  for (const auto& [own, of_source] : points)
    by_source_.emplace(of_source, &own);
}

const std::string* shown_names::of(const std::string& source_id) const {
  if (all_)
    return &source_id;
  const auto found = by_source_.find(source_id);
  return found == by_source_.end() ? nullptr : found->second;
}

std::vector<latest_point> shown_points(const std::vector<latest_point>& of_source,
                                       const point_map& points) {
  if (points.empty())
    return of_source;
  const auto names = shown_names{points};
  auto shown = std::vector<latest_point>{};
  for (const auto& p : of_source)
    if (const auto* own = names.of(p.id.text()))
      shown.push_back({point_name{*own}, p.v, p.quality, p.time, p.server_time});
  std::sort(shown.begin(), shown.end(),
            [](const auto& a, const auto& b) { return a.id.text() < b.id.text(); });
  return shown;
}

std::shared_ptr<const std::vector<event>> shown_events(
    const std::shared_ptr<const std::vector<event>>& of_source, const point_map& points) {
  const auto is_live = [](const event& e) {
    const auto* accepted = std::get_if<points_accepted>(&e);
    return accepted && !accepted->backfill;
  };
  if (points.empty() && std::all_of(of_source->begin(), of_source->end(), is_live))
    return of_source;
  const auto names = shown_names{points};
  auto shown = std::vector<event>{};
  for (const auto& e : *of_source) {
    if (!is_live(e))
      continue;
    const auto& accepted = std::get<points_accepted>(e);
    auto own = points_accepted{{}, false, accepted.at};
    for (const auto& s : accepted.samples) {
      auto translated = sample{s.time, {}};
      for (const auto& p : s.points)
        if (const auto* name = names.of(p.id))
          translated.points.push_back({*name, p.v, p.quality});
      if (!translated.points.empty())
        own.samples.push_back(std::move(translated));
    }
    if (!own.samples.empty())
      shown.emplace_back(std::move(own));
  }
  if (shown.empty())
    return nullptr;
  return std::make_shared<const std::vector<event>>(std::move(shown));
}

bool may_be_shown(const state& source, const std::string& organisation) {
  return source.exists && source.alias().empty() && source.retirement().empty() &&
         source.mirrored().empty() && source.organisation() == organisation;
}

status check_map(const point_map& points, map_side side, const product_view& product) {
  auto wrong = std::vector<problem>{};
  const auto note = [&](const std::string& own, std::string_view code, std::string detail) {
    wrong.push_back({"/points/" + own, code, std::move(detail)});
  };
  if (points.size() > max_mirrored_points)
    return failure{errc::invalid_argument, "mirror_invalid",
                   "points: at most " + std::to_string(max_mirrored_points) +
                       " of them are named; without any all are shown"};
  const auto is_strict = product.mode == validation::strict && product.model;
  auto seen = std::set<std::string_view>{};
  for (const auto& [own, of_source] : points) {
    const auto& id = side == map_side::own ? own : of_source;
    if (id.empty() || id.size() > max_id_bytes)
      note(own, "mirror_invalid", "a point's id is 1 to 256 bytes long");
    else if (is_strict && !product.model->find_point(id))
      note(own, "element_unknown",
           std::string{side == map_side::own ? "its model" : "the model of its source"} +
               " has no point " + id);
    else if (!seen.insert(of_source).second)
      note(own, "duplicate", of_source + " of the source is shown already: each is shown once");
  }
  auto bytes = std::size_t{0};
  for (const auto& [own, of_source] : points)
    bytes += own.size() + of_source.size();
  if (bytes > max_map_bytes)
    return failure{
        errc::invalid_argument, "mirror_invalid",
        "points: their ids have at most " + std::to_string(max_map_bytes) + " bytes together"};
  if (wrong.empty())
    return {};
  return failure{errc::invalid_argument, "mirror_invalid", "points that cannot be shown",
                 std::move(wrong)};
}

status check_source(const state& s, const entity_id& self, const mirror_link& l,
                    const product_view& product) {
  if (l.mirror == self)
    return cycle(label(s) + " cannot show itself");
  if (!s.mirrored().empty())
    return cycle(label(s) + " is a mirror itself: name the device that it shows");
  if (!s.retirement().empty())
    return failure{errc::conflict, "state_conflict", label(s) + " is out of service"};
  if (auto ok = check_map(l.points, map_side::source, product); !ok)
    return ok;
  const auto& all = s.mirrors();
  if (all.size() >= max_mirrors && !is_at(all, find_link(all, l.mirror), l.mirror))
    return failure{
        errc::conflict, "too_many_mirrors",
        label(s) + " is shown by " + std::to_string(max_mirrors) + " devices, which is the limit"};
  return {};
}

status check_mirror(const state& s, const order& o) {
  if (!s.mirrored().empty() && is_of_its_own(o))
    return failure{
        errc::conflict, "device_mirror",
        label(s) + " is a mirror: it shows another device, and has nothing of that of its own"};
  if (!s.mirrors().empty() && std::holds_alternative<emigrate_device>(o))
    return failure{errc::conflict, "device_mirror",
                   label(s) + " is shown by mirrors, which would stay behind: end them first"};
  return {};
}

result<decision> decide_on(const state& s, const set_mirror& m, const surroundings& around) {
  if (m.what.source == around.self)
    return cycle(label(s) + " cannot show itself");
  if (!s.mirrors().empty())
    return cycle(label(s) + " is shown by " + std::to_string(s.mirrors().size()) +
                 " others, and can show none itself until they end");
  if (auto ok = may_become_mirror(s, around.product); !ok)
    return ok.error();
  if (auto ok = check_map(m.what.points, map_side::own, around.product); !ok)
    return ok.error();
  const auto& known = s.mirrored();
  const auto is_same = !known.empty() && known.source == m.what.source;
  if (is_same && known.points == m.what.points)
    return decision{};
  auto d = decision{};
  if (!known.empty() && !is_same)
    d.events.push_back(mirror_ended{known.source, around.now});
  d.events.push_back(
      mirror_set{{m.what.source, m.what.points, is_same ? known.since : around.now}});
  return d;
}

result<decision> decide_on(const state& s, const end_mirror& m, const surroundings& around) {
  const auto& known = s.mirrored();
  if (known.empty() || (m.source && *m.source != known.source)) {
    if (m.source)
      return decision{};
    return refused(errc::not_found, "mirror_unknown", label(s) + " shows no other device");
  }
  return only(mirror_ended{known.source, around.now});
}

result<decision> decide_on(const state& s, const link_mirror& l, const surroundings& around) {
  if (auto ok = check_source(s, around.self, l.what, around.product); !ok)
    return ok.error();
  auto all = s.mirrors();
  const auto at = find_link(all, l.what.mirror);
  if (!is_at(all, at, l.what.mirror))
    all.insert(at, l.what);
  else if (*at == l.what)
    return decision{};
  else
    all[static_cast<std::size_t>(at - all.begin())] = l.what;
  return only(mirrors_changed{std::move(all), around.now});
}

result<decision> decide_on(const state& s, const unlink_mirror& l, const surroundings& around) {
  auto all = s.mirrors();
  if (std::erase_if(all, [&](const mirror_link& m) { return m.mirror == l.mirror; }) == 0)
    return decision{};
  return only(mirrors_changed{std::move(all), around.now});
}

}  // namespace orrery::model::device
