// Groups of devices: those that devices are put into, and those that a rule gathers (group E of the
// API). Which groups there are stands in the organisation, who is in one in the devices.
#include "model/organisation/groups.hpp"

#include <algorithm>
#include <atomic>

#include "model/device/search.hpp"
#include "observe/log.hpp"
#include "transport/api/group_parts.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/people.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace filter = model::filter;
namespace log = observe::log;
namespace organisation = model::organisation;
using group = organisation::device_group;
using model::errc;
using model::failure;

constexpr std::size_t max_batch = 1000;
constexpr std::size_t max_sample = 20;
constexpr std::size_t max_description = 1024;

const auto unknown = failure{errc::not_found, "group_unknown", "no such group"};

std::string_view name_of(group::kind k) {
  return k == group::kind::fixed ? "static" : "dynamic";
}

model::value show(const exchange& e, const group& g) {
  auto o = model::object{{"id", g.id},
                         {"name", g.name},
                         {"description", g.description},
                         {"type", name_of(g.what)},
                         {"createdAt", e.show(g.created_at)},
                         {"createdBy", g.actor},
                         {"updatedAt", e.show(g.updated_at)}};
  if (g.what == group::kind::by_rule)
    o.emplace_back("rule", g.rule);
  return o;
}

const auto fields_of_groups =
    filter::schema{{{.name = "id", .sortable = true},
                    {.name = "name", .sortable = true},
                    {.name = "description"},
                    {.name = "type",
                     .type = filter::field_type::word,
                     .words = {"static", "dynamic"},
                     .sortable = true},
                    {.name = "rule"},
                    {.name = "createdAt", .type = filter::field_type::time, .sortable = true},
                    {.name = "createdBy"},
                    {.name = "updatedAt", .type = filter::field_type::time, .sortable = true}}};

void list(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  reply_list(e, fields_of_groups, org->state->groups, &group::id, show);
}

/// The group of the route; null, and answered, if there is none.
const group* named(const exchange_ptr& e, const actors::catalogue_organisation& org) {
  const auto* found = org.state->find_group(e->param("group"));
  if (!found)
    e->fail(unknown);
  return found;
}

void get(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  reply_found(e, org->state->find_group(e->param("group")), unknown, show);
}

/// What the organisation cannot judge of a rule: what devices have, and what EnOS calls it.
model::status check_rule(const exchange& e, const std::string& rule) {
  auto groups = groups_of(e);
  for (auto& [id, of_group] : groups)
    of_group.clear();  // which groups a rule may name, the organisation says
  const auto text = organisation::rule_filter(rule, products_of(e), groups);
  if (!text)
    return text.error();
  const auto parsed = filter::parse(*text, device::wide_limits());
  if (!parsed)
    return parsed.error();
  const auto checked = filter::check(*parsed, device::search_fields());
  return checked ? model::status{} : checked.error();
}

/// From here on the caller reaches what he does by that permission; false, and answered, if that is
/// nothing.
bool reach_by(const exchange_ptr& e, std::string_view permission) {
  if (!e->who.may_for_some(permission)) {
    e->fail({errc::forbidden, "forbidden", "needs the permission " + std::string{permission}});
    return false;
  }
  set_reach(*e, permission);
  return true;
}

void put(const exchange_ptr& e, group what, bool is_new, std::optional<std::uint64_t> expected) {
  if (!what.rule.empty())
    if (auto ok = check_rule(*e, what.rule); !ok)
      return e->fail(ok.error());
  const auto id = what.id;
  e->ask(own_organisation(*e)->id,
         order_of(*e, organisation::put_group{std::move(what), is_new}, expected),
         [e, id, is_new](const actors::outcome& done) {
           const auto after = organisation_in(done);
           const auto* now = after->find_group(id);
           if (is_new)
             note_quota(*e, *after, "groups", after->groups.size());
           e->reply(is_new ? 201 : 200, show(*e, *now), headers_of(done, now->revision));
         });
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto g = group{};
  g.id = "g-" + model::random_text(16);
  g.name = f.text("name", 4 * organisation::max_group_name).value_or("");
  g.description = f.text("description", max_description).value_or("");
  const auto type = f.word("type", {"static", "dynamic"});
  g.rule = f.text("rule", organisation::max_group_rule).value_or("");
  if (!f.has("name"))
    f.missing("name");
  if (!f.has("type"))
    f.missing("type");
  if (type && *type == "dynamic") {
    g.what = group::kind::by_rule;
    if (g.rule.empty() && !f.has("rule"))
      f.missing("rule");
  }
  if (type && *type == "static" && f.has("rule"))
    f.note("rule", "not_allowed", "devices are put into a static group: it has no rule");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  put(e, std::move(g), true, {});
}

void update(const exchange_ptr& e) {
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
  auto g = *before;
  g.name = f.text("name", 4 * organisation::max_group_name).value_or(g.name);
  g.description = f.text("description", max_description).value_or(g.description);
  g.rule = f.text("rule", organisation::max_group_rule).value_or(g.rule);
  if (f.has("rule") && g.what == group::kind::fixed)
    f.note("rule", "not_allowed", "devices are put into a static group: it has no rule");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (g.rule != before->rule)
    if (const auto why = beyond_roles(*e, g.id, false))
      return e->fail(*why);
  put(e, std::move(g), false, *expected);
}

/// Takes devices out of a group that is gone, page by page. What it does not come to (the node
/// stops) names a group that nobody has and that no other gets the id of: it is not shown, and goes
/// when the device is put into another group.
class sweep : public std::enable_shared_from_this<sweep> {
 public:
  sweep(exchange_ptr e, std::string id) : e_{std::move(e)}, id_{std::move(id)} {}

  void start() {
    auto q = actors::device_list_question{.organisation = e_->who.organisation,
                                          .filter = organisation::equals("group", id_),
                                          .limit = page_size};
    e_->parts().query->devices(
        std::move(q), [self = shared_from_this()](const model::result<actors::device_page>& page) {
          if (!page)
            return self->end(page.error().detail);
          if (page->devices.empty())
            return self->end({});
          self->take_out(page->devices);
        });
  }

 private:
  static constexpr std::size_t page_size = 200;

  void take_out(const std::vector<actors::listed_device>& devices) {
    open_ = devices.size();
    taken_ = 0;
    for (const auto& d : devices)
      e_->parts().ask->ask(d.id, device_order(*e_, device::change_groups{{}, {id_}}),
                           [self = shared_from_this()](const actors::answer& got) {
                             if (got)
                               self->taken_.fetch_add(1);
                             if (self->open_.fetch_sub(1) != 1)
                               return;
                             self->all_ += self->taken_;
                             if (self->taken_ == 0)
                               return self->end("no device answers");
                             self->start();
                           });
  }

  void end(const std::string& why) {
    const auto n = std::to_string(all_);
    if (why.empty())
      log::info("api", "group_emptied", {{"group", id_}, {"devices", n}});
    else
      log::warn("api", "group_not_emptied", {{"group", id_}, {"devices", n}, {"reason", why}});
  }

  exchange_ptr e_;
  std::string id_;
  std::atomic<std::size_t> open_{0}, taken_{0};
  std::size_t all_ = 0;
};

void remove(const exchange_ptr& e) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  const auto org = own_organisation(*e);
  const auto* found = named(e, *org);
  if (!found)
    return;
  e->ask(
      org->id, order_of(*e, organisation::remove_group{found->id}, *expected),
      [e, id = found->id, fixed = found->what == group::kind::fixed](const actors::outcome& done) {
        if (fixed)
          std::make_shared<sweep>(e, id)->start();
        e->reply_empty(204, exchange::revision_headers(done));
      });
}

// ---- who is in one

void members(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  const auto* g = named(e, *org);
  if (g && reach_by(e, "device:read"))
    list_devices(e, organisation::equals("group", g->id));
}

/// Puts devices into a group, or takes them out, one by one.
struct member_change : std::enable_shared_from_this<member_change> {
  member_change(exchange_ptr for_whom, std::string id, std::vector<std::string> names, bool add)
      : e{std::move(for_whom)},
        group_id{std::move(id)},
        ids{std::move(names)},
        results(ids.size()),
        adds{add} {}

  void start() {
    auto whom = std::vector<actors::target>{};
    for (const auto& text : ids)
      whom.emplace_back(*model::parse_entity_id(text));
    e->with_devices(
        std::move(whom),
        [self = shared_from_this()](const exchange::found_devices& found) { self->take(found); });
  }

  /// Groups that are gone make room where there is none. Which ones are is asked of the
  /// organisation itself: this node may not know yet of one that was made elsewhere.
  void take(const exchange::found_devices& found) {
    open = found.size();
    const auto is_full = [this](const model::result<found_device>& d) {
      return d && lacks_room(*d);
    };
    if (std::none_of(found.begin(), found.end(), is_full))
      return change_all(found, nullptr);
    e->ask(own_organisation(*e)->id, order_of(*e, organisation::read_organisation{}),
           [self = shared_from_this(), found](const actors::outcome& done) {
             self->change_all(found, organisation_in(done));
           });
  }
  bool lacks_room(const found_device& d) const {
    const auto& in = d.state->groups();
    return adds && in.size() >= device::max_groups &&
           std::find(in.begin(), in.end(), group_id) == in.end();
  }

  void change_all(const exchange::found_devices& found,
                  const std::shared_ptr<const organisation::state>& now) {
    for (std::size_t i = 0; i < found.size(); ++i)
      change(i, found[i], now.get());
  }

  void change(std::size_t i, const model::result<found_device>& d, const organisation::state* now) {
    if (!d)
      return set(i, d.error());
    auto order = device::change_groups{};
    (adds ? order.add : order.remove).push_back(group_id);
    if (now && lacks_room(*d))
      for (const auto& id : d->state->groups())
        if (!now->find_group(id))
          order.remove.push_back(id);
    e->parts().ask->ask(d->id, device_order(*e, std::move(order)),
                        [self = shared_from_this(), i](const actors::answer& got) {
                          self->set(i, got ? model::status{} : got.error());
                        });
  }

  void set(std::size_t i, const model::status& how) {
    auto o = model::object{{"index", static_cast<std::int64_t>(i)},
                           {"status", how ? 200 : status_of(how.error())}};
    if (how)
      o.emplace_back("id", ids[i]);
    else
      o.emplace_back("error", problem_object(how.error(), "", e->request_id()));
    (how ? ok : failed).fetch_add(1);
    results[i] = std::move(o);
    if (open.fetch_sub(1) == 1)
      e->reply(200,
               model::object{
                   {"results", std::move(results)}, {"ok", ok.load()}, {"failed", failed.load()}});
  }

  exchange_ptr e;
  std::string group_id;
  std::vector<std::string> ids;
  model::array results;
  bool adds;
  std::atomic<std::size_t> open{0};
  std::atomic<int> ok{0}, failed{0};
};

void change_members(const exchange_ptr& e, bool adds) {
  const auto org = own_organisation(*e);
  const auto* g = named(e, *org);
  if (!g)
    return;
  if (g->what == group::kind::by_rule)
    return e->fail({errc::conflict, "group_dynamic",
                    "who is in the group " + g->id + " is decided by its rule"});
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto ids = f.texts("ids", max_batch);
  if (!ids)
    f.missing("ids");
  for (std::size_t i = 0; ids && i < ids->size(); ++i)
    if (const auto id = model::parse_entity_id((*ids)[i]);
        !id || id->shard >= e->parts().shard_count)
      f.note("ids/" + std::to_string(i), "type_mismatch", "expected an assetId");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (const auto why = beyond_roles(*e, g->id, !adds))
    return e->fail(*why);
  if (!reach_by(e, "device:write"))
    return;
  if (ids->empty())
    return e->reply(200, model::object{{"results", model::array{}}, {"ok", 0}, {"failed", 0}});
  std::make_shared<member_change>(e, g->id, std::move(*ids), adds)->start();
}
void add_members(const exchange_ptr& e) {
  change_members(e, true);
}
void remove_members(const exchange_ptr& e) {
  change_members(e, false);
}

/// How many a filter finds, and some of them.
void show_some(const exchange_ptr& e, const std::string& filter, std::size_t most) {
  auto q = actors::device_list_question{.organisation = e->who.organisation,
                                        .filter = filter,
                                        .limit = std::max<std::size_t>(most, 1)};
  e->parts().query->devices(std::move(q), [e, filter, most](const auto& page) {
    if (!page)
      return e->fail(page.error());
    auto sample = model::array{};
    for (const auto& d : page->devices)
      if (sample.size() < most)
        sample.push_back(show_device(*e, d.id, *d.what));
    e->parts().query->count(
        {e->who.organisation, filter},
        [e, sample = std::move(sample)](const model::result<actors::device_counts>& n) {
          if (!n)
            return e->fail(n.error());
          auto total = std::int64_t{0};
          for (const auto& [nothing, count] : n->of)
            total += static_cast<std::int64_t>(count);
          e->reply(200, model::object{{"count", total}, {"sample", sample}});
        });
  });
}

/// Who a rule would gather, of those that the caller reaches.
void preview(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto rule = f.text("rule", organisation::max_group_rule);
  const auto most = static_cast<std::size_t>(
      f.integer("sample", 0, static_cast<std::int64_t>(max_sample)).value_or(max_sample));
  if (!rule && !f.has("rule"))
    f.missing("rule");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (auto ok = check_rule(*e, *rule); !ok)
    return e->fail(ok.error());
  auto text = organisation::rule_filter(*rule, products_of(*e), groups_of(*e));
  if (!text)
    return e->fail(text.error());
  if (!reach_by(e, "device:read"))
    return;
  e->with_reach(std::move(*text),
                [e, most](const std::string& filter) { show_some(e, filter, most); });
}

}  // namespace

std::optional<failure> beyond_roles(const exchange& e, const std::string& id, bool by_leaving) {
  for (const auto& r : organisation::roles_reached_by(*own_organisation(e)->state, id, by_leaving))
    if (const auto missing =
            organisation::missing_to_give(e.who.rights, {r.name, r.permissions, r.within}))
      return failure{errc::forbidden, "forbidden",
                     "who is in the group " + id + " decides whom the role " + r.name +
                         " reaches, and it gives what you do not have: " + *missing};
  return std::nullopt;
}

std::vector<route> group_routes() {
  return {
      {"GET", "~/groups", "group:read", list, "listGroups", "Groups of devices", "", "GroupList",
       200, "limit cursor filter sort fields"},
      {"POST", "~/groups", "group:write", create, "createGroup",
       "Make a group: `static` (devices are put into it) or `dynamic` (by a rule)", "NewGroup",
       "Group", 201, ""},
      {"POST", "~/groups:preview", "group:read", preview, "previewGroup",
       "Who a rule would gather: how many, and some of them", "GroupPreview", "GroupSample", 200,
       ""},
      {"GET", "~/groups/{group}", "group:read", get, "getGroup", "A group", "", "Group", 200, ""},
      {"PATCH", "~/groups/{group}", "group:write", update, "updateGroup",
       "Change a group; who is in a dynamic one follows at once", "GroupChange", "Group", 200, ""},
      {"DELETE", "~/groups/{group}", "group:write", remove, "deleteGroup",
       "Delete a group that no role and no rule names", "", "", 204, ""},
      {"GET", "~/groups/{group}/members", "group:read", members, "listGroupMembers",
       "The devices in a group", "", "DeviceList", 200, "limit cursor filter sort fields count"},
      {"POST", "~/groups/{group}/members:add", "group:write", add_members, "addGroupMembers",
       "Put up to 1,000 devices into a static group", "Ids", "MemberResult", 200, ""},
      {"POST", "~/groups/{group}/members:remove", "group:write", remove_members,
       "removeGroupMembers", "Take up to 1,000 devices out of a static group", "Ids",
       "MemberResult", 200, ""},
  };
}

}  // namespace orrery::transport::api
