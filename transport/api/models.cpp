// Thing models: drafts, publishing, revisions (group B of the API).
#include <algorithm>

#include "transport/api/fields.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/people.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

namespace blueprint = model::blueprint;
namespace filter = model::filter;
using model::errc;
using model::failure;

const auto unknown = failure{errc::not_found, "model_unknown", "no such model"};

std::shared_ptr<const actors::catalogue_blueprint> find(const exchange& e, const std::string& id) {
  const auto known = e.parts().known->current();
  const auto found = known->blueprints.find(e.who.organisation + '/' + id);
  return found == known->blueprints.end() ? nullptr : found->second;
}

std::size_t products_on(const exchange& e, const std::string& id) {
  const auto known = e.parts().known->current();
  auto n = std::size_t{0};
  for (const auto& [key, p] : known->products)
    n += p->state->organisation == e.who.organisation && p->state->model == id ? 1 : 0;
  return n;
}

/// What work on a model begins with: its draft, else its newest revision.
model::value newest(const blueprint::state& s) {
  return s.draft ? *s.draft : s.revisions.empty() ? model::value{} : s.revisions.back().document;
}

/// RFC 7396: null takes a member away, an object changes the members it names, all else replaces.
model::value merge_patch(const model::value& target, const model::value& patch) {
  if (!patch.is_object())
    return patch;
  auto merged = target.is_object() ? target.as_object() : model::object{};
  for (const auto& [name, v] : patch.as_object()) {
    const auto& key = name;
    const auto found = std::find_if(merged.begin(), merged.end(),
                                    [&](const auto& member) { return member.first == key; });
    if (v.is_null()) {
      if (found != merged.end())
        merged.erase(found);
    } else if (found != merged.end()) {
      found->second = merge_patch(found->second, v);
    } else {
      merged.emplace_back(key, merge_patch({}, v));
    }
  }
  return merged;
}

model::value published_or_draft(const blueprint::state& s) {
  return s.revisions.empty() ? s.draft.value_or(model::value{}) : s.revisions.back().document;
}

model::value summary(const exchange& e, const blueprint::state& s) {
  const auto shown = published_or_draft(s);
  const auto* name = shown.find("name");
  auto o = model::object{
      {"id", s.model_id},
      {"name", name ? *name : model::value{s.model_id}},
      {"revision", static_cast<std::int64_t>(s.revisions.empty() ? 0 : s.revisions.back().number)},
      {"hasDraft", s.draft.has_value()},
      {"deprecated", s.deprecated},
      {"createdAt", e.show(s.created_at)},
      {"updatedAt", e.show(s.updated_at)}};
  return o;
}

model::value show(const exchange& e, const blueprint::state& s, const model::value& document) {
  auto o = summary(e, s).as_object();
  o.emplace_back("document", document);
  return o;
}

std::shared_ptr<const blueprint::state> state_in(const actors::outcome& done) {
  return std::get<blueprint::blueprint_snapshot>(std::get<blueprint::reply>(done.answer)).what;
}

exchange::headers headers_of(const actors::outcome& done, const blueprint::state& s) {
  auto h = exchange::revision_headers(done);
  h.emplace_back("ETag", exchange::etag(s.revision));
  return h;
}

/// Sends an order to the model of the route; `then` gets the state after it. `expected`: the
/// revision that it is meant for.
void change(const exchange_ptr& e, blueprint::order what,
            const model::result<std::optional<std::uint64_t>>& expected,
            std::function<void(const actors::outcome&, const blueprint::state&)> then) {
  if (!find(*e, e->param("model")))
    return e->fail(unknown);
  if (!expected)
    return e->fail(expected.error());
  const auto id = actors::catalogue_id(model::entity_kind::blueprint,
                                       e->who.organisation + "/" + e->param("model"));
  e->ask(id, blueprint::command{std::move(what), e->who.actor, *expected},
         [then = std::move(then)](const actors::outcome& done) { then(done, *state_in(done)); });
}

const auto fields_of_models =
    filter::schema{{{.name = "id", .sortable = true},
                    {.name = "name", .type = filter::field_type::texts},
                    {.name = "name.*"},
                    {.name = "revision", .type = filter::field_type::number, .sortable = true},
                    {.name = "hasDraft", .type = filter::field_type::truth},
                    {.name = "deprecated", .type = filter::field_type::truth},
                    {.name = "createdAt", .type = filter::field_type::time, .sortable = true},
                    {.name = "updatedAt", .type = filter::field_type::time, .sortable = true}}};

/// A summary with its name by language, {"default": "Pump", "de": "Pumpe"}.
model::value facts_of(const exchange& e, const blueprint::state& s) {
  auto facts = summary(e, s).as_object();
  const auto name = *model::value{facts}.find("name");
  auto names = model::object{};
  if (const auto* given = name.is_string() ? &name : name.find("default"))
    names.emplace_back("default", *given);
  if (const auto* others = name.find("i18n"); others && others->is_object())
    names.insert(names.end(), others->as_object().begin(), others->as_object().end());
  model::set_member(facts, "name", std::move(names));
  return facts;
}

void list(const exchange_ptr& e) {
  auto all = std::vector<list_row>{};
  const auto known = e->parts().known->current();
  for (const auto& [key, b] : known->blueprints)
    if (b->state->organisation == e->who.organisation)
      all.push_back({b->state->model_id, [&e, b = b] { return summary(*e, *b->state); },
                     [&e, b = b] { return facts_of(*e, *b->state); }});
  reply_list(e, fields_of_models, std::move(all));
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto* id = body->find("id");
  if (!id || !id->is_string() || !model::is_valid_key(id->as_string()))
    return e->fail({errc::invalid_argument,
                    "model_invalid",
                    "the document needs an id of 1 to 64 characters of A-Z a-z 0-9 . _ -",
                    {{"/id", "required_missing", "expected text"}}});
  if (auto ok = check_catalogue_quota(*e, "models"); !ok)
    return e->fail(ok.error());
  const auto entity = actors::catalogue_id(model::entity_kind::blueprint,
                                           e->who.organisation + "/" + id->as_string());
  e->ask(
      entity,
      blueprint::command{blueprint::create_blueprint{e->who.organisation, id->as_string(), *body},
                         e->who.actor,
                         {}},
      [e](const actors::outcome& done) {
        const auto s = state_in(done);
        e->reply(201, show(*e, *s, *s->draft), headers_of(done, *s));
      });
}

void get(const exchange_ptr& e) {
  const auto b = find(*e, e->param("model"));
  if (!b)
    return e->fail(unknown);
  const auto wanted = e->query("revision");
  const auto& s = *b->state;
  const auto headers = exchange::headers{{"ETag", exchange::etag(s.revision)}};
  if (!wanted.empty()) {
    for (const auto& r : s.revisions)
      if (std::to_string(r.number) == wanted)
        return e->reply(200, show(*e, s, r.document), headers);
    return e->fail({errc::not_found, "revision_unknown",
                    "model " + s.model_id + " has no revision " + wanted});
  }
  e->reply(200, show(*e, s, published_or_draft(s)), headers);
}

void get_draft(const exchange_ptr& e) {
  const auto b = find(*e, e->param("model"));
  if (!b)
    return e->fail(unknown);
  if (!b->state->draft)
    return e->fail(
        {errc::not_found, "draft_unknown", "model " + b->state->model_id + " has no draft"});
  e->reply(200, show(*e, *b->state, *b->state->draft),
           {{"ETag", exchange::etag(b->state->revision)}});
}

/// The revision that a draft is written on: what If-Match says, or with If-None-Match: * the one
/// of now, provided that it has no draft.
model::result<std::optional<std::uint64_t>> draft_base(const exchange& e,
                                                       const blueprint::state& s) {
  if (e.request().header("if-none-match") != "*")
    return e.if_match(true);
  if (s.draft)
    return failure{errc::conflict, "etag_mismatch", "model " + s.model_id + " has a draft already"};
  return std::optional{s.revision};
}

void save_draft(const exchange_ptr& e, const blueprint::state& before, model::value document) {
  change(e, blueprint::save_draft{std::move(document)}, draft_base(*e, before),
         [e](const auto& done, const auto& s) {
           e->reply(200, show(*e, s, *s.draft), headers_of(done, s));
         });
}

void put_draft(const exchange_ptr& e) {
  auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto b = find(*e, e->param("model"));
  if (!b)
    return e->fail(unknown);
  save_draft(e, *b->state, std::move(*body));
}

/// A merge patch (RFC 7396) on the draft, or on the newest revision if there is none.
void patch_draft(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  if (!body->is_object())
    return e->fail({errc::invalid_argument, "malformed", "expected an object of changes"});
  const auto b = find(*e, e->param("model"));
  if (!b)
    return e->fail(unknown);
  // The patch was made from what the caller has read: If-Match holds it to that.
  save_draft(e, *b->state, merge_patch(newest(*b->state), *body));
}

void delete_draft(const exchange_ptr& e) {
  change(e, blueprint::discard_draft{}, e->if_match(true),
         [e](const auto& done, const auto& s) { e->reply_empty(204, headers_of(done, s)); });
}

std::string_view name_of(blueprint::change_class c) {
  switch (c) {
    case blueprint::change_class::compatible:
      return "compatible";
    case blueprint::change_class::risky:
      return "risky";
    case blueprint::change_class::breaking:
      return "breaking";
  }
  return "breaking";
}

void check_draft(const exchange_ptr& e) {
  const auto b = find(*e, e->param("model"));
  if (!b)
    return e->fail(unknown);
  if (!b->state->draft)
    return e->fail(
        {errc::not_found, "draft_unknown", "model " + b->state->model_id + " has no draft"});
  auto findings = model::array{};
  const auto add = [&](const model::problem& p, std::string_view weight) {
    findings.push_back(model::object{
        {"pointer", p.where}, {"code", p.code}, {"detail", p.detail}, {"class", weight}});
  };
  auto worst = blueprint::change_class::compatible;
  const auto after = model::thing_model::compile(*b->state->draft);
  if (!after) {
    for (const auto& p : after.error().problems)
      add(p, "invalid");
  } else if (!b->state->revisions.empty()) {
    if (const auto before = model::thing_model::compile(b->state->revisions.back().document))
      for (const auto& f : blueprint::compare(*before, *after)) {
        add(f.what, name_of(f.weight));
        worst = std::max(worst, f.weight);
      }
  }
  e->reply(200, model::object{
                    {"valid", after.has_value()},
                    {"class", name_of(worst)},
                    {"products", static_cast<std::int64_t>(products_on(*e, b->state->model_id))},
                    {"findings", std::move(findings)}});
}

void publish(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto p = blueprint::publish{f.text("note", 2000).value_or(""), f.truth("force").value_or(false)};
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  change(e, std::move(p), e->if_match(), [e](const auto& done, const auto& s) {
    e->reply(200, show(*e, s, s.revisions.back().document), headers_of(done, s));
  });
}

model::value show_revision(const exchange& e, const blueprint::revision_record& r) {
  return model::object{{"revision", static_cast<std::int64_t>(r.number)},
                       {"note", r.note},
                       {"publishedAt", e.show(r.published_at)},
                       {"publishedBy", r.actor}};
}

void revisions(const exchange_ptr& e) {
  const auto b = find(*e, e->param("model"));
  if (!b)
    return e->fail(unknown);
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
    items.push_back(show_revision(*e, r));
  }
  e->reply_page(std::move(items), "");
}

void deprecate(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto deprecated = f.truth("deprecated");
  if (!deprecated)
    f.missing("deprecated");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  change(
      e, blueprint::set_deprecated{*deprecated}, e->if_match(true),
      [e](const auto& done, const auto& s) { e->reply(200, summary(*e, s), headers_of(done, s)); });
}

void remove(const exchange_ptr& e) {
  if (products_on(*e, e->param("model")) > 0)
    return e->fail({errc::conflict, "model_in_use", "products use the model " + e->param("model")});
  change(e, blueprint::remove_blueprint{}, e->if_match(true),
         [e](const actors::outcome& done, const auto&) {
           e->reply_empty(204, exchange::revision_headers(done));
         });
}

void add_problems(model::array& out, const std::vector<model::problem>& problems) {
  for (const auto& p : problems)
    out.push_back(model::object{{"pointer", p.where}, {"code", p.code}, {"detail", p.detail}});
}

/// What the newest revision says of values, without a device.
void validate(const exchange_ptr& e) {
  const auto b = find(*e, e->param("model"));
  if (!b)
    return e->fail(unknown);
  if (b->state->revisions.empty())
    return e->fail({errc::conflict, "model_missing",
                    "model " + b->state->model_id + " has no published revision"});
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto points = f.object("points");
  const auto attributes = f.object("attributes");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto& m = *b->compiled.at(b->state->revisions.back().number);
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
  e->reply(200, model::object{{"valid", problems.empty()}, {"problems", std::move(problems)}});
}

}  // namespace

std::vector<route> model_routes() {
  return {
      {"GET", "~/models", "model:read", list, "listModels", "Thing models", "", "ModelList", 200,
       "limit cursor filter sort fields"},
      {"POST", "~/models", "model:write", create, "createModel",
       "Make a thing model; its document is the first draft", "ModelDocument", "Model", 201, ""},
      {"GET", "~/models/{model}", "model:read", get, "getModel",
       "A thing model with its newest or a given revision", "", "Model", 200, "revision"},
      {"PATCH", "~/models/{model}", "model:write", deprecate, "updateModel",
       "Mark a model as deprecated, or not", "ModelChange", "ModelSummary", 200, ""},
      {"DELETE", "~/models/{model}", "model:write", remove, "deleteModel",
       "Delete a model that no product uses", "", "", 204, ""},
      {"GET", "~/models/{model}/draft", "model:read", get_draft, "getDraft", "The draft", "",
       "Model", 200, ""},
      {"PUT", "~/models/{model}/draft", "model:write", put_draft, "saveDraft", "Replace the draft",
       "ModelDocument", "Model", 200, ""},
      {"PATCH", "~/models/{model}/draft", "model:write", patch_draft, "changeDraft",
       "Change the draft by a merge patch; begins with the newest revision if there is none",
       "DraftPatch", "Model", 200, ""},
      {"DELETE", "~/models/{model}/draft", "model:write", delete_draft, "discardDraft",
       "Discard the draft", "", "", 204, ""},
      {"POST", "~/models/{model}/draft:check", "model:read", check_draft, "checkDraft",
       "Findings on the draft, and what it means for devices in use", "", "DraftCheck", 200, ""},
      {"POST", "~/models/{model}:publish", "model:publish", publish, "publishModel",
       "Publish the draft as the next revision", "Publish", "Model", 200, ""},
      {"POST", "~/models/{model}:validate", "model:read", validate, "validateValues",
       "Check values against the newest revision", "Validate", "Validation", 200, ""},
      {"GET", "~/models/{model}/revisions", "model:read", revisions, "listRevisions",
       "Published revisions", "", "Revisions", 200, "limit cursor"},
  };
}

}  // namespace orrery::transport::api
