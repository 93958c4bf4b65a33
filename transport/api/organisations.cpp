// Organisations and their quotas (group A of the API): what an operator does, who is of the
// organisation whose installation it is.
#include "observe/log.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/people.hpp"
#include "transport/api/routes.hpp"
#include "transport/bans.hpp"
#include "transport/device_quota.hpp"

namespace orrery::transport::api {
namespace {

namespace filter = model::filter;
namespace log = observe::log;
namespace organisation = model::organisation;
using model::errc;
using model::failure;

const auto unknown = failure{errc::not_found, "org_unknown", "no such organisation"};

model::value show(const exchange& e, const organisation::state& s) {
  auto o = model::object{{"id", s.id},
                         {"name", s.name},
                         {"locale", s.locale},
                         {"timeZone", s.time_zone},
                         {"suspended", s.is_suspended},
                         {"revealSecrets", s.reveals_secrets},
                         {"createdAt", e.show(s.created_at)}};
  if (s.is_suspended)
    o.emplace_back("suspendReason", s.suspend_reason);
  return o;
}

/// True: the caller may have a hand in organisations. Else it is answered.
bool operates(const exchange_ptr& e) {
  if (e->who.is_operator())
    return true;
  e->fail({errc::forbidden, "forbidden",
           "organisations are the matter of the organisation " + std::string{owner_organisation}});
  return false;
}

/// That of the path, if the caller is an operator; null, and answered, otherwise.
std::shared_ptr<const actors::catalogue_organisation> named(const exchange_ptr& e) {
  if (!operates(e))
    return nullptr;
  auto found = find_organisation(e->parts(), e->organisation());
  if (!found)
    e->fail(unknown);
  return found;
}

void note(const exchange& e, const char* what, const std::string& id) {
  log::info("api", what, {{"organisation", id}, {"actor", e.who.actor}});
}

const auto fields_of_organisations =
    filter::schema{{{.name = "id", .sortable = true},
                    {.name = "name", .sortable = true},
                    {.name = "suspended", .type = filter::field_type::truth},
                    {.name = "createdAt", .type = filter::field_type::time, .sortable = true}}};

void list(const exchange_ptr& e) {
  if (!operates(e))
    return;
  auto all = std::vector<list_row>{};
  const auto known = e->parts().known->current();
  for (const auto& [id, org] : known->organisations)
    all.push_back({id, [&e, org = org] { return show(*e, *org->state); }});
  reply_list(e, fields_of_organisations, std::move(all));
}

void get(const exchange_ptr& e) {
  const auto org = find_organisation(e->parts(), e->organisation());
  if (!org)
    return e->fail(unknown);
  e->reply_one(show(*e, *org->state));
}

/// The first person of an organisation that is made, and his password.
struct first_person {
  organisation::user who;
  std::string password;
};

first_person read_first(fields& f) {
  auto first = first_person{};
  const auto* given = f.any("admin");
  if (!given) {
    f.missing("admin");
    return first;
  }
  auto g = fields{*given, "/admin"};
  first.who.login = g.text("login", 64).value_or("");
  first.who.name = g.text("name", 256).value_or(first.who.login);
  first.who.mail = g.text("mail", 254).value_or("");
  first.who.roles = {"admin"};
  if (first.who.login.empty())
    g.missing("login");
  first.password = read_password(g);
  if (auto ok = g.finish(); !ok) {
    const auto& found = ok.error().problems;
    f.problems.insert(f.problems.end(), found.begin(), found.end());
  }
  return first;
}

void create(const exchange_ptr& e) {
  if (!operates(e))
    return;
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto made = organisation::create_organisation{};
  made.id = f.text("id", 64).value_or("");
  made.name = f.text("name", 256).value_or(made.id);
  made.locale = f.text("locale", 64).value_or("");
  made.time_zone = f.text("timeZone", 64).value_or("");
  const auto first = read_first(f);
  if (made.id.empty() && !f.has("id"))
    f.missing("id");
  else if (!model::is_valid_key(made.id))
    f.note("id", "invalid", "an organisation's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  on_hashing_thread(e, [e, made, first] {
    auto wanted = made;
    wanted.first = first.who;
    wanted.first->password_hash = hash_password(first.password);
    const auto id = actors::catalogue_id(model::entity_kind::organisation, wanted.id);
    e->ask(id, order_of(*e, std::move(wanted)), [e](const actors::outcome& done) {
      const auto after = organisation_in(done);
      note(*e, "organisation made", after->id);
      e->reply(201, show(*e, *after), exchange::revision_headers(done));
    });
  });
}

void update(const exchange_ptr& e) {
  const auto org = named(e);
  if (!org)
    return;
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto u = organisation::update_organisation{};
  u.name = f.text("name", 256);
  u.locale = f.text("locale", 64);
  u.time_zone = f.text("timeZone", 64);
  u.reveals_secrets = f.truth("revealSecrets");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->was(show(*e, *org->state));
  e->ask(org->id, order_of(*e, std::move(u)), [e](const actors::outcome& done) {
    e->reply(200, show(*e, *organisation_in(done)), exchange::revision_headers(done));
  });
}

/// The owner's organisation stays: who would be left to bring it back?
bool is_owner(const exchange_ptr& e, const organisation::state& org) {
  if (org.id != owner_organisation)
    return false;
  e->fail({errc::conflict, "state_conflict", "the organisation of the installation stays"});
  return true;
}

void remove(const exchange_ptr& e) {
  const auto org = named(e);
  if (!org || is_owner(e, *org->state))
    return;
  e->was(show(*e, *org->state));
  e->ask(org->id, order_of(*e, organisation::remove_organisation{}),
         [e, id = org->state->id](const actors::outcome& done) {
           note(*e, "organisation deleted", id);
           e->reply_empty(204, exchange::revision_headers(done));
         });
}

void suspend(const exchange_ptr& e) {
  const auto org = named(e);
  if (!org || is_owner(e, *org->state))
    return;
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto reason = f.text("reason", 256).value_or("");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->was(show(*e, *org->state));
  e->ask(org->id, order_of(*e, organisation::suspend_organisation{true, std::move(reason)}),
         [e](const actors::outcome& done) {
           const auto after = organisation_in(done);
           note(*e, "organisation suspended", after->id);
           e->reply(200, show(*e, *after), exchange::revision_headers(done));
         });
}

void resume(const exchange_ptr& e) {
  const auto org = named(e);
  if (!org)
    return;
  e->was(show(*e, *org->state));
  e->ask(org->id, order_of(*e, organisation::suspend_organisation{false, {}}),
         [e](const actors::outcome& done) {
           const auto after = organisation_in(done);
           note(*e, "organisation resumed", after->id);
           e->reply(200, show(*e, *after), exchange::revision_headers(done));
         });
}

// ---- quotas

/// What the index of devices has to be asked for.
struct counted {
  std::uint64_t devices = 0, file_bytes = 0;
};

model::value show_quotas(const exchange& e, const organisation::state& org, const counted& all) {
  auto items = model::array{};
  const auto number = [](std::uint64_t n) { return static_cast<std::int64_t>(n); };
  for (const auto& item : organisation::quota_items()) {
    const auto here = organisation::used_of(org, item.name);
    const auto used = item.name == "devices"     ? all.devices
                      : item.name == "fileBytes" ? all.file_bytes
                      : here                     ? *here
                                                 : count_in_catalogue(e, org.id, item.name);
    auto o = model::object{{"item", item.name}, {"used", number(used)}};
    const auto* quota = org.find_quota(item.name);
    if (quota && quota->soft) {
      o.emplace_back("soft", number(*quota->soft));
      o.emplace_back("passed", used > *quota->soft);
    }
    if (quota && quota->hard)
      o.emplace_back("hard", number(*quota->hard));
    else if (item.most)
      o.emplace_back("hard", number(*item.most));
    items.emplace_back(std::move(o));
  }
  return model::object{{"items", std::move(items)}};
}

std::uint64_t total_of(const actors::device_counts& counts) {
  auto total = std::uint64_t{0};
  for (const auto& [group, n] : counts.of)
    total += n;
  return total;
}

void count_all(const exchange_ptr& e, const std::string& org,
               std::function<void(const counted&)> then) {
  e->parts().query->count({org}, [e, org, then = std::move(then)](
                                     const model::result<actors::device_counts>& devices) {
    if (!devices)
      return e->fail(devices.error());
    auto sum = actors::device_count_question{.organisation = org};
    sum.sum = "fileBytes";
    e->parts().query->count(std::move(sum), [e, then, devices = total_of(*devices)](
                                                const model::result<actors::device_counts>& bytes) {
      if (!bytes)
        return e->fail(bytes.error());
      then({devices, total_of(*bytes)});
    });
  });
}

void get_quotas(const exchange_ptr& e) {
  const auto org = find_organisation(e->parts(), e->organisation());
  if (!org)
    return e->fail(unknown);
  count_all(e, org->state->id,
            [e, org](const counted& all) { e->reply_one(show_quotas(*e, *org->state, all)); });
}

std::optional<std::uint64_t> limit_in(fields& f, const char* name) {
  const auto n = f.integer(name, 0, INT64_MAX);
  return n ? std::optional{static_cast<std::uint64_t>(*n)} : std::nullopt;
}

/// The limits alone, for the audit log.
model::value show_limits(const organisation::state& org) {
  auto all = model::object{};
  for (const auto& q : org.quotas) {
    auto limits = model::object{};
    if (q.soft)
      limits.emplace_back("soft", static_cast<std::int64_t>(*q.soft));
    if (q.hard)
      limits.emplace_back("hard", static_cast<std::int64_t>(*q.hard));
    all.emplace_back(q.item, std::move(limits));
  }
  return all;
}

void put_quotas(const exchange_ptr& e) {
  const auto org = named(e);
  if (!org)
    return;
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto wanted = organisation::set_quotas{};
  const auto* items = f.array("items", organisation::quota_items().size());
  if (!items && !f.has("items"))
    f.missing("items");
  for (std::size_t i = 0; items && i < items->size(); ++i) {
    auto g = fields{(*items)[i], "/items/" + std::to_string(i)};
    auto quota = organisation::quota{};
    quota.item = g.text("item", 64).value_or("");
    if (quota.item.empty())
      g.missing("item");
    quota.soft = limit_in(g, "soft");
    quota.hard = limit_in(g, "hard");
    if (auto ok = g.finish(); !ok)
      return e->fail(ok.error());
    wanted.all.push_back(std::move(quota));
  }
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->was(show_limits(*org->state));
  e->ask(org->id, order_of(*e, std::move(wanted)), [e](const actors::outcome& done) {
    const auto after = organisation_in(done);
    e->facts.after = show_limits(*after);
    e->parts().quota->prepare(*after, [e, after, done] {
      count_all(e, after->id, [e, after, done](const counted& all) {
        e->reply(200, show_quotas(*e, *after, all), exchange::revision_headers(done));
      });
    });
  });
}

}  // namespace

std::vector<route> organisation_routes() {
  return {
      {"GET", "/orgs", "sys:org", list, "listOrganisations", "Organisations", "", "Organisations",
       200, "limit cursor filter sort fields"},
      {"POST", "/orgs", "sys:org", create, "createOrganisation",
       "Make an organisation, and its first person", "NewOrganisation", "Organisation", 201, ""},
      {"GET", "/orgs/{org}", "any", get, "getOrganisation", "The organisation", "", "Organisation",
       200, ""},
      {"PATCH", "/orgs/{org}", "sys:org", update, "updateOrganisation", "Change an organisation",
       "OrganisationChange", "Organisation", 200, ""},
      {"DELETE", "/orgs/{org}", "sys:org", remove, "deleteOrganisation",
       "Delete an organisation without products and models", "", "", 204, ""},
      {"POST", "/orgs/{org}:suspend", "sys:org", suspend, "suspendOrganisation",
       "Let nobody and nothing of it log in, and end what is open", "Reason", "Organisation", 200,
       ""},
      {"POST", "/orgs/{org}:resume", "sys:org", resume, "resumeOrganisation",
       "Let it go on; people log in again", "", "Organisation", 200, ""},
      {"GET", "/orgs/{org}/quotas", "org:read", get_quotas, "getQuotas",
       "How much there is of everything, and how much there may be", "", "Quotas", 200, ""},
      {"PUT", "/orgs/{org}/quotas", "sys:org", put_quotas, "setQuotas",
       "Set limits in place of those of before", "QuotaChange", "Quotas", 200, ""},
  };
}

}  // namespace orrery::transport::api
