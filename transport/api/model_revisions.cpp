// Revisions of thing models: what a draft comes to, publishing, differences, checks of values
// (group B of the API).
#include <algorithm>
#include <atomic>
#include <set>

#include <nlohmann/json.hpp>

#include "actors/kinds.hpp"
#include "model/blueprint/inheritance.hpp"
#include "model/json.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/model_parts.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace blueprint = model::blueprint;
using model::errc;
using model::failure;

// ---- what a draft comes to ----------------------------------------------------------------------

/// So many devices are asked for their newest values.
constexpr std::size_t max_devices_asked = 1000;

/// What a check has found so far, while devices are counted and asked.
struct check_report {
  model::object shown;
  std::vector<std::string> products;  // still to be counted
  std::int64_t devices = 0;
  std::shared_ptr<const model::thing_model> after;  // null: what it has no place for is not asked
  std::vector<std::string> points;                  // that fit less than before
  std::vector<model::entity_id> asked;
  std::atomic<std::size_t> open = 0, outside = 0;
};
using report_ptr = std::shared_ptr<check_report>;

bool is_outside(const model::thing_model& after, const model::device::latest_point& p) {
  const auto* spec = after.find_point(p.id.text());
  return !spec || !model::check_value(spec->type, p.v, model::validation::strict, p.id.text());
}

void finish_check(const exchange_ptr& e, const report_ptr& r) {
  r->shown.emplace_back("devices", r->devices);
  r->shown.emplace_back("devicesAsked", static_cast<std::int64_t>(r->asked.size()));
  r->shown.emplace_back("devicesOutside", static_cast<std::int64_t>(r->outside));
  e->reply(200, std::move(r->shown));
}

/// How many devices have a newest value that the draft would refuse.
void ask_devices(const exchange_ptr& e, const report_ptr& r) {
  if (r->asked.empty())
    return finish_check(e, r);
  r->open = r->asked.size();
  for (const auto& id : r->asked)
    e->parts().ask->ask(
        id, device_order(*e, model::device::read_latest{r->points}),
        [e, r](const actors::answer& got) {
          if (got) {
            const auto& all = device_reply<model::device::latest_points>(*got)->points;
            if (std::any_of(all.begin(), all.end(),
                            [&](const auto& p) { return is_outside(*r->after, p); }))
              ++r->outside;
          }
          if (r->open.fetch_sub(1) == 1)
            finish_check(e, r);
        });
}

/// Counts the devices of the products, and picks those that are asked.
void count_devices(const exchange_ptr& e, const report_ptr& r) {
  if (r->products.empty())
    return ask_devices(e, r);
  auto of_these =
      model::organisation::one_of("productKey", {r->products.begin(), r->products.end()});
  auto how_many = actors::device_count_question{e->who.organisation, of_these};
  e->parts().query->count(how_many, [e, r, of_these](model::result<actors::device_counts> got) {
    if (!got)
      return e->fail(got.error());
    for (const auto& [group, n] : got->of)
      r->devices += static_cast<std::int64_t>(n);
    if (r->points.empty())
      return ask_devices(e, r);
    auto some = actors::device_list_question{e->who.organisation, of_these};
    some.limit = max_devices_asked;
    e->parts().query->devices(some, [e, r](model::result<actors::device_page> page) {
      if (!page)
        return e->fail(page.error());
      for (const auto& d : page->devices)
        r->asked.push_back(d.id);
      ask_devices(e, r);
    });
  });
}

/// The ids of the points that a change makes fit less.
std::vector<std::string> narrower_points(const std::vector<blueprint::finding>& all) {
  constexpr std::string_view prefix = "measurePoints/";
  auto ids = std::set<std::string>{};
  for (const auto& f : all)
    if (f.weight != blueprint::change_class::compatible && f.what.where.starts_with(prefix)) {
      const auto id = f.what.where.substr(prefix.size());
      ids.insert(id.substr(0, id.find('/')));
    }
  return {ids.begin(), ids.end()};
}

void check_draft(const exchange_ptr& e) {
  const auto b = find_model(*e);
  if (!b)
    return e->fail(unknown_model);
  const auto& s = *b->state;
  if (!s.draft || s.organisation != e->who.organisation)
    return e->fail({errc::not_found, "draft_unknown", "model " + s.model_id + " has no draft"});
  const auto known = e->parts().known->current();
  const auto around =
      actors::surroundings_of(s, blueprint::publish{}, b->id, e->parts().now(), *known);
  const auto next = blueprint::next_revision(s, around);
  auto findings = model::array{};
  auto worst = blueprint::change_class::compatible;
  auto r = std::make_shared<check_report>();
  if (!next) {
    for (const auto& p : next.error().problems)
      findings.push_back(show_finding(p, "invalid"));
  } else if (!b->effective.is_null()) {
    const auto changes = blueprint::compare(b->effective, blueprint::effective_document(*next));
    for (const auto& f : changes) {
      worst = std::max(worst, f.weight);
      findings.push_back(show_finding(f.what, name_of(f.weight)));
    }
    if (auto after = model::thing_model::compile(blueprint::effective_document(*next))) {
      r->after = std::make_shared<const model::thing_model>(std::move(*after));
      r->points = narrower_points(changes);
    }
  }
  auto family = std::vector<std::string>{blueprint::key_of(s.organisation, s.model_id)};
  auto inheriting = model::array{};
  for (const auto& d : around.descendants) {
    family.push_back(d.key);
    inheriting.emplace_back(d.key.substr(d.key.find('/') + 1));
  }
  for (const auto& [key, p] : known->products)
    if (p->state->organisation == e->who.organisation && p->state->pinned_revision == 0 &&
        std::find(family.begin(), family.end(),
                  blueprint::key_of(p->state->organisation, p->state->model)) != family.end())
      r->products.push_back(key);
  r->shown = {{"valid", next.has_value()},
              {"class", name_of(worst)},
              {"products", static_cast<std::int64_t>(around.products)},
              {"models", std::move(inheriting)},
              {"findings", std::move(findings)}};
  count_devices(e, r);
}

void publish(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto p = blueprint::publish{f.text("note", 2000).value_or(""), f.truth("force").value_or(false),
                              f.text("reason", 2000).value_or("")};
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto b = find_model(*e);
  e->was(model::object{
      {"revision", b && !b->state->revisions.empty()
                       ? model::value{static_cast<std::int64_t>(b->state->revisions.back().number)}
                       : model::value{}}});
  change_model(e, std::move(p), e->if_match(), [e](const auto& done, const auto& s) {
    const auto& newest = s.revisions.back();
    e->facts.after = model::object{{"revision", static_cast<std::int64_t>(newest.number)},
                                   {"note", newest.note}};
    e->reply(200, show_model(*e, s, s.revisions.back().document), model_headers(done, s));
  });
}

// ---- revisions ----------------------------------------------------------------------------------

model::object show_revision(const exchange& e, const blueprint::revision_record& r) {
  auto o = model::object{{"revision", static_cast<std::int64_t>(r.number)},
                         {"note", r.note},
                         {"publishedAt", e.show(r.published_at)},
                         {"publishedBy", r.actor}};
  if (!r.reason.empty())
    o.emplace_back("reason", r.reason);
  if (r.parent_revision != 0)
    o.emplace_back("parentRevision", static_cast<std::int64_t>(r.parent_revision));
  return o;
}

void revisions(const exchange_ptr& e) {
  const auto b = find_model(*e);
  if (!b)
    return e->fail(unknown_model);
  const auto limit = e->limit();
  const auto after = e->cursor();
  for (const auto* why : {limit ? nullptr : &limit.error(), after ? nullptr : &after.error()})
    if (why)
      return e->fail(*why);
  auto items = model::array{};
  const auto first = std::strtoull(after->c_str(), nullptr, 10);  // written by the line below
  for (const auto& r : b->state->revisions) {
    if (r.number <= first)
      continue;
    if (items.size() == *limit)
      return e->reply_page(std::move(items), std::to_string(r.number - 1));
    items.emplace_back(show_revision(*e, r));
  }
  e->reply_page(std::move(items), "");
}

/// The revision of that number; fails as the request is to be answered.
model::result<const blueprint::revision_record*> revision_of(const blueprint::state& s,
                                                             const std::string& number) {
  for (const auto& r : s.revisions)
    if (std::to_string(r.number) == number)
      return &r;
  return failure{errc::not_found, "revision_unknown",
                 "model " + s.model_id + " has no revision " + number};
}

void revision(const exchange_ptr& e) {
  const auto b = find_model(*e);
  if (!b)
    return e->fail(unknown_model);
  const auto r = revision_of(*b->state, e->param("revision"));
  if (!r)
    return e->fail(r.error());
  auto shown = show_revision(*e, **r);
  shown.emplace_back("document", e->query("effective") == "true"
                                     ? blueprint::effective_document(**r)
                                     : (*r)->document);
  e->reply_one(std::move(shown));
}

/// A document whose elements stand under their ids, so that a difference names them and not their
/// places.
nlohmann::json by_id(const model::value& document) {
  auto all = nlohmann::json::parse(model::to_json(document), nullptr, false);
  for (const auto kind : blueprint::element_kinds) {
    const auto list = all.find(kind);
    if (list == all.end() || !list->is_array())
      continue;
    auto elements = nlohmann::json::object();
    for (auto& element : *list)
      if (element.is_object() && element.contains("id") && element["id"].is_string())
        elements[element["id"].get<std::string>()] = element;
    *list = std::move(elements);
  }
  return all;
}

void difference(const exchange_ptr& e) {
  const auto b = find_model(*e);
  if (!b)
    return e->fail(unknown_model);
  const auto& s = *b->state;
  const auto from = revision_of(s, e->param("revision"));
  if (!from)
    return e->fail(from.error());
  const auto wanted = e->query("to");
  const auto to =
      revision_of(s, wanted.empty() ? std::to_string(s.revisions.back().number) : wanted);
  if (!to)
    return e->fail(to.error());
  const auto& before = blueprint::effective_document(**from);
  const auto& after = blueprint::effective_document(**to);
  auto changes = model::array{};
  auto worst = blueprint::change_class::compatible;
  for (const auto& f : blueprint::compare(before, after)) {
    worst = std::max(worst, f.weight);
    changes.push_back(model::object{
        {"element", f.what.where}, {"class", name_of(f.weight)}, {"detail", f.what.detail}});
  }
  auto patch = model::parse_json(nlohmann::json::diff(by_id(before), by_id(after)).dump(),
                                 {.max_bytes = ~std::size_t{0}, .max_nodes = ~std::size_t{0}});
  if (!patch)
    return e->fail(patch.error());
  e->reply_one(model::object{{"from", static_cast<std::int64_t>((*from)->number)},
                             {"to", static_cast<std::int64_t>((*to)->number)},
                             {"class", name_of(worst)},
                             {"changes", std::move(changes)},
                             {"patch", std::move(*patch)}});
}

// ---- values -------------------------------------------------------------------------------------

void add_problems(model::array& out, const std::vector<model::problem>& problems) {
  for (const auto& p : problems)
    out.push_back(model::object{{"pointer", p.where}, {"code", p.code}, {"detail", p.detail}});
}

/// What the newest revision says of values, without a device.
void validate(const exchange_ptr& e) {
  const auto b = find_model(*e);
  if (!b)
    return e->fail(unknown_model);
  if (!b->newest)
    return e->fail({errc::conflict, "model_missing",
                    "model " + b->state->model_id + " has no published revision"});
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto points = f.object("points");
  const auto attributes = f.object("attributes");
  const auto events = f.object("events");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto& m = *b->newest;
  auto problems = model::array{};
  if (points) {
    auto posted = std::vector<model::posted_point>{};
    for (const auto& [id, v] : *points)
      posted.push_back({id, v});
    if (const auto checked = m.check_points(std::move(posted), model::validation::strict); !checked)
      add_problems(problems, checked.error().problems);
  }
  if (attributes)
    if (const auto checked = m.check_attributes(*attributes, model::thing_model::side::cloud);
        !checked)
      add_problems(problems, checked.error().problems);
  if (events)
    for (const auto& [id, output] : *events)
      if (const auto checked =
              m.check_event(id, output.is_object() ? output.as_object() : model::object{},
                            model::validation::strict);
          !checked)
        add_problems(problems, checked.error().problems);
  e->reply(200, model::object{{"valid", problems.empty()}, {"problems", std::move(problems)}});
}

}  // namespace

std::vector<route> revision_routes() {
  return {
      {"POST", "~/models/{model}/draft:check", "model:read", check_draft, "checkDraft",
       "Findings on the draft, and what it means for devices in use", "", "DraftCheck", 200, ""},
      {"POST", "~/models/{model}:publish", "model:publish", publish, "publishModel",
       "Publish the draft as the next revision", "Publish", "Model", 200, ""},
      {"POST", "~/models/{model}:validate", "model:read", validate, "validateValues",
       "Check values against the newest revision", "Validate", "Validation", 200, ""},
      {"GET", "~/models/{model}/revisions", "model:read", revisions, "listRevisions",
       "Published revisions", "", "Revisions", 200, "limit cursor"},
      {"GET", "~/models/{model}/revisions/{revision}", "model:read", revision, "getRevision",
       "A published revision", "", "RevisionDocument", 200, "effective"},
      {"GET", "~/models/{model}/revisions/{revision}/diff", "model:read", difference,
       "diffRevisions", "What changed from a revision to another one, or to the newest", "",
       "Difference", 200, "to"},
  };
}

}  // namespace orrery::transport::api
