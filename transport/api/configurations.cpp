// Configurations of fleets (group F of the API): what is desired of all devices that a target
// gathers. Which ones there are stands in the organisation, what a device has of them in the
// device.
#include "model/organisation/configurations.hpp"

#include <algorithm>

#include "actors/configurations.hpp"
#include "model/device/layers.hpp"
#include "model/device/search.hpp"
#include "model/merge_patch.hpp"
#include "model/organisation/groups.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/people.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace filter = model::filter;
namespace organisation = model::organisation;
using model::errc;
using model::failure;
using organisation::configuration;

constexpr std::size_t max_sample = 20;
constexpr std::size_t max_description = 1024;
constexpr std::size_t max_paths = 50;  // that differ, of one device or between two configurations
constexpr std::uint64_t most_looked_at = 20'000;

const auto unknown = failure{errc::not_found, "configuration_unknown", "no such configuration"};

std::int64_t number(std::uint64_t n) {
  return static_cast<std::int64_t>(n);
}

model::value show(const exchange& e, const configuration& c) {
  auto labels = model::object{};
  for (const auto& [key, text] : c.labels)
    labels.emplace_back(key, text);
  return model::object{{"id", c.id},
                       {"name", c.name},
                       {"description", c.description},
                       {"target", c.target},
                       {"priority", int{c.priority}},
                       {"desired", c.desired},
                       {"enabled", c.enabled},
                       {"labels", std::move(labels)},
                       {"version", number(c.version)},
                       {"createdAt", e.show(c.created_at)},
                       {"createdBy", c.actor},
                       {"updatedAt", e.show(c.updated_at)}};
}

const auto fields_of_configurations =
    filter::schema{{{.name = "id", .sortable = true},
                    {.name = "name", .sortable = true},
                    {.name = "description"},
                    {.name = "target"},
                    {.name = "priority", .type = filter::field_type::number, .sortable = true},
                    {.name = "enabled", .type = filter::field_type::truth},
                    {.name = "labels.*"},
                    {.name = "createdAt", .type = filter::field_type::time, .sortable = true},
                    {.name = "createdBy"},
                    {.name = "updatedAt", .type = filter::field_type::time, .sortable = true}}};

void list(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  reply_list(e, fields_of_configurations, org->state->configurations, &configuration::id, show);
}

/// The configuration of the route; null, and answered, if there is none.
const configuration* named(const exchange_ptr& e, const actors::catalogue_organisation& org) {
  const auto* found = org.state->find_configuration(e->param("configuration"));
  if (!found)
    e->fail(unknown);
  return found;
}

void get(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  reply_found(e, org->state->find_configuration(e->param("configuration")), unknown, show);
}

failure bad_target(const failure& why) {
  return {errc::invalid_argument, "configuration_invalid", "target: " + why.detail, why.problems};
}

/// The target as the index of devices reads it. What the organisation cannot judge of one is judged
/// here: what devices have, and what EnOS calls it.
model::result<std::string> read_target(const exchange& e, const std::string& target) {
  auto text = actors::target_filter(target, products_of(e), groups_of(e));
  if (!text)
    return text.error().reason == "bad_filter" ? bad_target(text.error()) : text.error();
  const auto parsed = filter::parse(*text, device::wide_limits());
  if (!parsed)
    return bad_target(parsed.error());
  const auto checked = filter::check(*parsed, device::search_fields());
  if (!checked)
    return bad_target(checked.error());
  return text;
}

/// What a body says of a configuration, over what it is.
void read_into(fields& f, configuration& c) {
  c.name = f.text("name", 256).value_or(c.name);
  c.description = f.text("description", max_description).value_or(c.description);
  c.target = f.text("target", organisation::max_group_rule).value_or(c.target);
  c.priority = static_cast<std::uint16_t>(
      f.integer("priority", 0, organisation::max_priority).value_or(c.priority));
  if (auto desired = f.object("desired"))
    c.desired = std::move(*desired);
  c.enabled = f.truth("enabled").value_or(c.enabled);
  if (f.has("labels")) {
    c.labels.clear();
    for (auto& [key, text] : f.text_map("labels", false))
      c.labels.emplace(key, *text);
  }
}

/// A whole one needs these.
void need_all(fields& f) {
  for (const auto* name : {"name", "target", "desired"})
    if (!f.has(name))
      f.missing(name);
}

void write(const exchange_ptr& e, configuration what, bool is_new,
           std::optional<std::uint64_t> expected) {
  if (const auto target = read_target(*e, what.target); !target)
    return e->fail(target.error());
  const auto id = what.id;
  e->ask(own_organisation(*e)->id,
         order_of(*e, organisation::put_configuration{std::move(what), is_new}, expected),
         [e, id, is_new](const actors::outcome& done) {
           const auto after = organisation_in(done);
           const auto* now = after->find_configuration(id);
           if (is_new)
             note_quota(*e, *after, "configurations", after->configurations.size());
           e->reply(is_new ? 201 : 200, show(*e, *now), headers_of(done, now->revision));
         });
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto c = configuration{};
  c.id = "c-" + model::random_text(16);
  read_into(f, c);
  need_all(f);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  write(e, std::move(c), true, {});
}

void change(const exchange_ptr& e, bool replace) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  const auto org = own_organisation(*e);
  const auto* before = named(e, *org);
  if (!before)
    return;
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto c = replace ? configuration{} : *before;
  c.id = before->id;
  read_into(f, c);
  if (replace)
    need_all(f);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->was(show(*e, *before));
  // A patch is of what was read here: of what has changed meanwhile it would take back the rest.
  const auto of = *expected || replace ? *expected : std::optional{before->revision};
  write(e, std::move(c), false, of);
}
void patch(const exchange_ptr& e) {
  change(e, false);
}
void put(const exchange_ptr& e) {
  change(e, true);
}

void remove(const exchange_ptr& e) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  const auto org = own_organisation(*e);
  const auto* found = named(e, *org);
  if (!found)
    return;
  e->was(show(*e, *found));
  e->ask(
      org->id, order_of(*e, organisation::remove_configuration{found->id}, *expected),
      [e](const actors::outcome& done) { e->reply_empty(204, exchange::revision_headers(done)); });
}

/// From here on the caller reaches the devices that he may read; false, and answered, if there are
/// none.
bool reach_readable(const exchange_ptr& e) {
  constexpr std::string_view permission = "device:read";
  if (!e->who.may_for_some(permission)) {
    e->fail({errc::forbidden, "forbidden", "needs the permission " + std::string{permission}});
    return false;
  }
  set_reach(*e, permission);
  return true;
}

std::string of_state(const std::string& id, device::applied_layer::state_code s) {
  return organisation::equals(organisation::configuration_field,
                              id + ':' + std::string{device::name_of(s)});
}

/// Counts one filter after the other, and gives all counts by name.
class counting : public std::enable_shared_from_this<counting> {
 public:
  using counts = std::map<std::string, std::uint64_t>;
  using then = std::function<void(const counts&)>;
  struct question {
    std::string name, filter;
    /// So many of what was counted under that name there may be: else it is left out.
    std::string unless = {};
  };
  counting(exchange_ptr e, std::string within, std::vector<question> all, then done)
      : e_{std::move(e)},
        within_{std::move(within)},
        all_{std::move(all)},
        done_{std::move(done)} {}

  void start() {
    while (at_ < all_.size() && !all_[at_].unless.empty() &&
           found_[all_[at_].unless] > most_looked_at)
      ++at_;
    if (at_ == all_.size())
      return done_(found_);
    e_->parts().query->count(
        {e_->who.organisation, organisation::both(all_[at_].filter, within_)},
        [self = shared_from_this()](const model::result<actors::device_counts>& n) {
          if (!n)
            return self->e_->fail(n.error());
          auto& total = self->found_[self->all_[self->at_].name];
          for (const auto& [nothing, count] : n->of)
            total += count;
          ++self->at_;
          self->start();
        });
  }

 private:
  exchange_ptr e_;
  std::string within_;
  std::vector<question> all_;
  then done_;
  counts found_;
  std::size_t at_ = 0;
};

// ---- the report

const model::value* at_path(const model::object& o, const std::vector<std::string>& names) {
  const auto* here = &o;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto found = std::find_if(here->begin(), here->end(),
                                    [&](const auto& m) { return m.first == names[i]; });
    if (found == here->end())
      return nullptr;
    if (i + 1 == names.size())
      return &found->second;
    if (!found->second.is_object())
      return nullptr;
    here = &found->second.as_object();
  }
  return nullptr;
}

std::string pointer_of(const std::vector<std::string>& names) {
  auto p = std::string{};
  for (const auto& name : names) {
    p += '/';
    for (const auto c : name)
      p += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return p;
}

/// Calls `take(names, value)` for what is no object, or an empty one, until it is false.
template <class F>
bool each_leaf(const model::object& o, std::vector<std::string>& names, const F& take) {
  for (const auto& [name, v] : o) {
    names.push_back(name);
    const auto inside = v.is_object() && !v.as_object().empty();
    const auto go_on = inside ? each_leaf(v.as_object(), names, take) : take(names, v);
    names.pop_back();
    if (!go_on)
      return false;
  }
  return true;
}

/// What a device lacks of a configuration, and what it reports in its place.
model::array differences(const configuration& c, const device::twin_state& t) {
  auto all = model::array{};
  auto names = std::vector<std::string>{};
  const auto lacking = model::missing_from(t.reported, device::in_force(c.desired, t.desired));
  each_leaf(lacking, names, [&](const auto& path, const model::value& wanted) {
    auto one = model::object{{"path", pointer_of(path)}, {"desired", wanted}};
    if (const auto* has = at_path(t.reported, path))
      one.emplace_back("reported", *has);
    all.emplace_back(std::move(one));
    return all.size() < max_paths;
  });
  return all;
}

model::value show_reporting(const exchange& e, const configuration& c,
                            const actors::listed_device& d) {
  const auto& s = *d.what;
  const auto& t = s.twin();
  auto o = model::object{{"assetId", to_string(d.id)},
                         {"productKey", s.name().product_key},
                         {"deviceKey", s.name().device_key},
                         {"name", s.display_name},
                         {"status", device::status_of(s)},
                         {"desiredVersion", number(t.desired_version)},
                         {"appliedVersion", number(t.applied_version)},
                         {"differences", differences(c, t)}};
  for (const auto& l : s.layers().all)
    if (l.id == c.id) {
      o.emplace_back("version", number(l.version));
      if (!l.reason.empty())
        o.emplace_back("reason", l.reason);
    }
  if (t.reported_at != model::timestamp{})
    o.emplace_back("reportedAt", e.show(t.reported_at));
  return o;
}

void show_report(const exchange_ptr& e, const std::shared_ptr<const configuration>& c,
                 const counting::counts& n, const std::string& state,
                 const actors::device_page& page) {
  auto items = model::array{};
  for (const auto& d : page.devices)
    items.push_back(show_reporting(*e, *c, d));
  const auto of = [&](const char* name) {
    const auto found = n.find(name);
    return number(found == n.end() ? 0 : found->second);
  };
  auto more = model::object{{"configuration", c->id},
                            {"version", number(c->version)},
                            {"enabled", c->enabled},
                            {"targeted", of("targeted")},
                            {"applied", of("applied")},
                            {"outdated", std::max<std::int64_t>(of("having") - of("applied"), 0)},
                            {"agreed", of("agreed")},
                            {"drifted", of("drifted")},
                            {"pending", of("pending")},
                            {"refused", of("refused")},
                            {"state", state}};
  if (n.contains("offline"))
    more.emplace_back("offline", of("offline"));
  e->reply_page(std::move(items), page.next, std::move(more));
}

/// How many devices there are in each state, and those of one state with what they lack.
void report(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  const auto* found = named(e, *org);
  if (!found)
    return;
  const auto c = std::make_shared<const configuration>(*found);
  using enum device::applied_layer::state_code;
  auto state = e->query("state");
  if (state.empty())
    state = "drifted";
  const auto states = {pending, agreed, drifted, refused};
  const auto wanted = std::find_if(states.begin(), states.end(),
                                   [&](auto s) { return device::name_of(s) == state; });
  if (wanted == states.end())
    return e->fail({errc::invalid_argument, "malformed",
                    "state: expected pending, agreed, drifted or refused"});
  const auto limit = e->limit();
  const auto cursor = e->cursor();
  if (!limit || !cursor)
    return e->fail(limit ? cursor.error() : limit.error());
  const auto target = read_target(*e, c->target);
  if (!reach_readable(e))
    return;
  const auto has = [&](const std::string& suffix) {
    return organisation::equals(organisation::configuration_field, c->id + suffix);
  };
  auto all = std::vector<counting::question>{
      {"having", has("")},
      {"applied", has('@' + std::to_string(c->version))},
      {"agreed", of_state(c->id, agreed)},
      {"drifted", of_state(c->id, drifted)},
      {"pending", of_state(c->id, pending)},
      {"refused", of_state(c->id, refused)},
      {"offline",
       organisation::both(of_state(c->id, pending), organisation::equals("connection", "offline")),
       "pending"}};
  if (c->enabled && target)
    all.push_back({"targeted", *target});
  const auto filter = of_state(c->id, *wanted);
  e->with_reach(
      {}, [e, c, all, state, filter, limit = *limit, cursor = *cursor](const std::string& within) {
        std::make_shared<counting>(
            e, within, all,
            [e, c, state, filter, within, limit, cursor](const counting::counts& n) {
              auto q = actors::device_list_question{.organisation = e->who.organisation,
                                                    .filter = organisation::both(filter, within),
                                                    .cursor = cursor,
                                                    .limit = limit};
              e->parts().query->devices(std::move(q), [e, c, n, state](const auto& page) {
                if (!page)
                  return e->fail(page.error());
                show_report(e, c, n, state, *page);
              });
            })
            ->start();
      });
}

// ---- before there is one

/// Others of the same priority that ask for something else, which may be on the same device.
model::array conflicts_with(const organisation::state& org, const configuration& c) {
  auto all = model::array{};
  for (const auto& other : org.configurations) {
    if (!other.enabled || other.id == c.id || other.priority != c.priority)
      continue;
    auto paths = model::array{};
    for (auto& p : organisation::conflicts(c.desired, other.desired, max_paths))
      paths.emplace_back(std::move(p));
    if (!paths.empty())
      all.emplace_back(
          model::object{{"id", other.id}, {"name", other.name}, {"paths", std::move(paths)}});
  }
  return all;
}

void show_preview(const exchange_ptr& e, const std::string& filter, std::size_t most,
                  const model::array& conflicts) {
  auto q = actors::device_list_question{.organisation = e->who.organisation,
                                        .filter = filter,
                                        .limit = std::max<std::size_t>(most, 1)};
  e->parts().query->devices(std::move(q), [e, filter, most, conflicts](const auto& page) {
    if (!page)
      return e->fail(page.error());
    auto sample = model::array{};
    for (const auto& d : page->devices)
      if (sample.size() < most)
        sample.push_back(show_device(*e, d.id, *d.what));
    e->parts().query->count({e->who.organisation, filter},
                            [e, sample, conflicts](const model::result<actors::device_counts>& n) {
                              if (!n)
                                return e->fail(n.error());
                              auto total = std::uint64_t{0};
                              for (const auto& [nothing, count] : n->of)
                                total += count;
                              e->reply(200, model::object{{"count", number(total)},
                                                          {"sample", sample},
                                                          {"conflicts", conflicts}});
                            });
  });
}

/// Whom a target would reach, of those that the caller reads, and who asks for something else.
void preview(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto c = configuration{};
  c.id = f.text("id", 64).value_or("");
  c.target = f.text("target", organisation::max_group_rule).value_or("");
  c.priority =
      static_cast<std::uint16_t>(f.integer("priority", 0, organisation::max_priority).value_or(0));
  c.desired = f.object("desired").value_or(model::object{});
  const auto most = static_cast<std::size_t>(
      f.integer("sample", 0, static_cast<std::int64_t>(max_sample)).value_or(max_sample));
  if (!f.has("target"))
    f.missing("target");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (auto ok = organisation::check_patch(c.desired); !ok)
    return e->fail(ok.error());
  auto target = read_target(*e, c.target);
  if (!target)
    return e->fail(target.error());
  auto conflicts = conflicts_with(*own_organisation(*e)->state, c);
  if (!reach_readable(e))
    return;
  e->with_reach(std::move(*target), [e, most, conflicts](const std::string& filter) {
    show_preview(e, filter, most, conflicts);
  });
}

// ---- of one device

void of_device(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    const auto org = own_organisation(*e);
    const auto& s = *d.state;
    auto items = model::array{};
    // The one that counts most comes first.
    const auto& layers = s.layers().all;
    for (auto l = layers.rbegin(); l != layers.rend(); ++l) {
      auto o = model::object{
          {"id", l->id}, {"version", number(l->version)}, {"state", device::name_of(l->state)}};
      if (!l->reason.empty())
        o.emplace_back("reason", l->reason);
      if (const auto* c = org->state->find_configuration(l->id)) {
        o.emplace_back("name", c->name);
        o.emplace_back("priority", int{c->priority});
        o.emplace_back("newestVersion", number(c->version));
        if (c->version == l->version) {
          o.emplace_back("inForce", device::in_force(c->desired, s.twin().desired));
          o.emplace_back("differences", differences(*c, s.twin()));
        }
      }
      items.emplace_back(std::move(o));
    }
    e->reply_one(model::object{{"items", std::move(items)}});
  });
}

}  // namespace

model::object sources_of(const exchange& e, const device::twin_state& t,
                         const device::layering& layers) {
  constexpr std::size_t most = 1'000;
  const auto org = own_organisation(e);
  auto all = model::object{};
  auto names = std::vector<std::string>{};
  each_leaf(t.desired, names, [&](const auto& path, const model::value& wanted) {
    auto from = std::string{"device"};
    if (!at_path(layers.own, path))
      for (auto l = layers.all.rbegin(); l != layers.all.rend(); ++l) {
        const auto* c = org->state->find_configuration(l->id);
        const auto* asked = c && c->version == l->version ? at_path(c->desired, path) : nullptr;
        from = "configuration";  // of one that has changed since
        if (asked && model::says_the_same(*asked, wanted)) {
          from = l->id;
          break;
        }
      }
    all.emplace_back(pointer_of(path), from);
    return all.size() < most;
  });
  return all;
}

std::vector<route> configuration_routes() {
  return {
      {"GET", "~/configurations", "config:read", list, "listConfigurations",
       "What is desired of whole fleets", "", "FleetConfigurationList", 200,
       "limit cursor filter sort fields"},
      {"POST", "~/configurations", "config:write", create, "createConfiguration",
       "Desire something of all devices that a target accepts", "NewFleetConfiguration",
       "FleetConfiguration", 201, ""},
      {"POST", "~/configurations:preview", "config:read", preview, "previewConfiguration",
       "Whom a target would reach, and which others of the same priority ask for something else",
       "FleetConfigurationPreview", "FleetConfigurationSample", 200, ""},
      {"GET", "~/configurations/{configuration}", "config:read", get, "getConfiguration",
       "A configuration", "", "FleetConfiguration", 200, ""},
      {"PUT", "~/configurations/{configuration}", "config:write", put, "replaceConfiguration",
       "Replace a configuration; devices follow", "NewFleetConfiguration", "FleetConfiguration",
       200, ""},
      {"PATCH", "~/configurations/{configuration}", "config:write", patch, "changeConfiguration",
       "Change a configuration; devices follow", "FleetConfigurationChange", "FleetConfiguration",
       200, ""},
      {"DELETE", "~/configurations/{configuration}", "config:write", remove, "deleteConfiguration",
       "Delete a configuration; devices go back to what is desired of them without it", "", "", 204,
       ""},
      {"GET", "~/configurations/{configuration}/report", "config:read", report,
       "getConfigurationReport",
       "How many devices have it, say so or have drifted, and those of one state with what differs",
       "", "FleetConfigurationReport", 200, "limit cursor state"},
      {"GET", "@d/configurations", "device:read", of_device, "listDeviceConfigurations",
       "The configurations that a device has, the one that counts most first", "",
       "DeviceConfigurations", 200, ""},
  };
}

}  // namespace orrery::transport::api
