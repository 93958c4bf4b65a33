// Thing models: lists, drafts and their elements, sharing (group B of the API). Publishing and
// revisions are in model_revisions.cpp.
#include <algorithm>

#include "model/blueprint/inheritance.hpp"
#include "model/enos_dialect.hpp"
#include "model/merge_patch.hpp"
#include "model/wot.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/model_parts.hpp"
#include "transport/api/people.hpp"

namespace orrery::transport::api {
namespace {

namespace blueprint = model::blueprint;
namespace filter = model::filter;
using filter::field_type;
using model::errc;
using model::failure;

// ---- lists --------------------------------------------------------------------------------------

const auto fields_of_models =
    filter::schema{{{.name = "id", .sortable = true},
                    {.name = "organisation", .sortable = true},
                    {.name = "name", .type = field_type::texts},
                    {.name = "name.*"},
                    {.name = "category", .sortable = true},
                    {.name = "extends"},
                    {.name = "root"},
                    {.name = "public", .type = field_type::truth},
                    {.name = "tags.*"},
                    {.name = "attributeTags.*", .type = field_type::texts},
                    {.name = "pointTags.*", .type = field_type::texts},
                    {.name = "serviceTags.*", .type = field_type::texts},
                    {.name = "eventTags.*", .type = field_type::texts},
                    {.name = "revision", .type = field_type::number, .sortable = true},
                    {.name = "hasDraft", .type = field_type::truth},
                    {.name = "deprecated", .type = field_type::truth},
                    {.name = "createdAt", .type = field_type::time, .sortable = true},
                    {.name = "updatedAt", .type = field_type::time, .sortable = true}}};

/// Tags of all elements of a kind: the values of each key.
model::value tags_of(const model::value& document, std::string_view kind) {
  auto all = std::map<std::string, model::array>{};
  if (const auto* list = document.find(kind); list && list->is_array())
    for (const auto& element : list->as_array())
      if (const auto* tags = element.find("tags"); tags && tags->is_object())
        for (const auto& [key, v] : tags->as_object())
          if (v.is_string())
            all[key].push_back(v);
  auto o = model::object{};
  for (auto& [key, values] : all)
    o.emplace_back(key, std::move(values));
  return o;
}

/// A summary with its name by language, {"default": "Pump", "de": "Pumpe"}, and what its elements
/// are tagged with.
model::value facts_of(const exchange& e, const actors::catalogue_blueprint& b) {
  auto facts = show_summary(e, *b.state).as_object();
  const auto name = *model::value{facts}.find("name");
  auto names = model::object{};
  if (const auto* given = name.is_string() ? &name : name.find("default"))
    names.emplace_back("default", *given);
  if (const auto* others = name.find("i18n"); others && others->is_object())
    names.insert(names.end(), others->as_object().begin(), others->as_object().end());
  model::set_member(facts, "name", std::move(names));
  model::set_member(facts, "root", *model::value{facts}.find("rootModelId"));
  const auto document =
      b.effective.is_null() ? blueprint::published_or_draft(*b.state) : b.effective;
  constexpr std::string_view names_of_tags[] = {"attributeTags", "pointTags", "serviceTags",
                                                "eventTags"};
  for (std::size_t i = 0; i < std::size(names_of_tags); ++i)
    facts.emplace_back(names_of_tags[i], tags_of(document, blueprint::element_kinds[i]));
  return facts;
}

void list(const exchange_ptr& e) {
  const auto scope = e->query("scope");
  if (!scope.empty() && scope != "own" && scope != "public" && scope != "all")
    return e->fail({errc::invalid_argument, "malformed", "scope: expected own, public or all"});
  auto all = std::vector<list_row>{};
  const auto known = e->parts().known->current();
  for (const auto& [key, b] : known->blueprints) {
    const auto is_own = b->state->organisation == e->who.organisation;
    if (is_own ? scope == "public" : scope.empty() || scope == "own")
      continue;
    if (known->visible_blueprint(e->who.organisation, key))
      all.push_back({is_own ? b->state->model_id : key,
                     [&e, b = b] { return show_summary(*e, *b->state); },
                     [&e, b = b] { return facts_of(*e, *b); }});
  }
  reply_list(e, fields_of_models, std::move(all));
}

/// The same, with the question in the body.
void search(const exchange_ptr& e) {
  if (auto ok = e->read_question({"scope"}); !ok)
    return e->fail(ok.error());
  list(e);
}

// ---- making one ---------------------------------------------------------------------------------

/// The first draft of a model that is made from another one.
model::result<model::value> drafted_from(const exchange& e, const model::value& body,
                                         blueprint::create_blueprint& c) {
  const auto* from = body.find("from");
  auto f = fields{*from, "/from"};
  const auto clone = f.text("clone", 129), inherit = f.text("inherit", 129);
  const auto keeps_tags = f.truth("tags").value_or(true);
  if (!clone && !inherit)
    f.missing("clone");
  if (clone && inherit)
    f.note("inherit", "conflict", "a model is cloned or inherits, not both");
  if (auto ok = f.finish(); !ok)
    return ok.error();
  const auto& reference = clone ? *clone : *inherit;
  const auto source = find_model(e, reference);
  if (!source)
    return failure{errc::invalid_argument,
                   "inheritance_parent_unknown",
                   "there is no model " + reference,
                   {{clone ? "/from/clone" : "/from/inherit", "inheritance_parent_unknown",
                     "there is no model " + reference}}};
  auto document = model::object{{"format", "tm/1"}, {"id", c.model_id}};
  if (clone) {
    // A copy of a foreign model stands alone: what it extends is not ours to name.
    const auto is_own = source->state->organisation == e.who.organisation;
    const auto copied = is_own ? blueprint::published_or_draft(*source->state) : source->effective;
    for (const auto& [name, v] : copied.as_object())
      if (name != "id" && (name != "tags" || keeps_tags) && (name != "extends" || is_own))
        model::set_member(document, name, v);
    c.copied_from = reference;
  } else {
    document.emplace_back("extends", reference);
  }
  for (const auto& [name, v] : body.as_object())
    if (name != "from")
      model::set_member(document, name, v);
  return model::value{std::move(document)};
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
  auto c = blueprint::create_blueprint{e->who.organisation, id->as_string(), *body};
  if (body->find("from")) {
    auto document = drafted_from(*e, *body, c);
    if (!document)
      return e->fail(document.error());
    c.document = std::move(*document);
  }
  const auto entity = actors::catalogue_id(model::entity_kind::blueprint,
                                           blueprint::key_of(e->who.organisation, c.model_id));
  e->ask(entity, blueprint::command{std::move(c), e->who.actor, {}},
         [e](const actors::outcome& done) {
           const auto s = model_state_in(done);
           e->reply(201, show_model(*e, *s, *s->draft), model_headers(done, *s));
         });
}

// ---- reading one --------------------------------------------------------------------------------

/// What the query asks for: a revision or the newest one, its own document or with what it
/// inherits.
model::result<model::value> wanted_document(const exchange& e,
                                            const actors::catalogue_blueprint& b) {
  const auto& s = *b.state;
  // The Web of Things knows no parents as we do: what is inherited stands in it.
  const auto effective = e.query("effective") == "true" || e.query("format") == "wot";
  const auto wanted = e.query("revision");
  if (!wanted.empty()) {
    for (const auto& r : s.revisions)
      if (std::to_string(r.number) == wanted)
        return effective ? blueprint::effective_document(r) : r.document;
    return failure{errc::not_found, "revision_unknown",
                   "model " + s.model_id + " has no revision " + wanted};
  }
  if (effective && s.revisions.empty())
    return failure{errc::conflict, "model_missing",
                   "model " + s.model_id + " has no published revision"};
  return effective ? b.effective : blueprint::published_or_draft(s);
}

void get(const exchange_ptr& e) {
  const auto b = find_model(*e);
  if (!b)
    return e->fail(unknown_model);
  auto document = wanted_document(*e, *b);
  if (!document)
    return e->fail(document.error());
  if (const auto format = e->query("format"); format == "enos") {
    const auto inherits = e->query("effective") != "true" &&
                          !blueprint::parent_of(*document).empty() && !b->effective.is_null();
    document = inherits ? model::to_enos(b->effective, *document) : model::to_enos(*document, {});
    if (!document)
      return e->fail(document.error());
  } else if (format == "wot") {
    document = model::to_wot(*document);
  } else if (!format.empty() && format != "tm") {
    return e->fail({errc::invalid_argument, "malformed", "format: expected tm, enos or wot"});
  }
  // With what it inherits, it changes when its parents do: only a revision of its own is by ETag.
  auto headers = exchange::headers{};
  headers.emplace_back("ETag", exchange::etag(b->state->revision));
  auto shown = show_model(*e, *b->state, *document);
  if ((e->query("effective") == "true" || e->query("format") == "wot") &&
      e->query("revision").empty())
    return e->reply_one(std::move(shown));
  e->reply(200, std::move(shown), headers);
}

void get_draft(const exchange_ptr& e) {
  const auto b = find_model(*e);
  if (!b)
    return e->fail(unknown_model);
  if (!b->state->draft || b->state->organisation != e->who.organisation)
    return e->fail(
        {errc::not_found, "draft_unknown", "model " + b->state->model_id + " has no draft"});
  e->reply(200, show_model(*e, *b->state, *b->state->draft),
           {{"ETag", exchange::etag(b->state->revision)}});
}

// ---- changing one -------------------------------------------------------------------------------

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
  change_model(e, blueprint::save_draft{std::move(document)}, draft_base(*e, before),
               [e](const auto& done, const auto& s) {
                 e->reply(200, show_model(*e, s, *s.draft), model_headers(done, s));
               });
}

void put_draft(const exchange_ptr& e) {
  auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto b = find_model(*e);
  if (!b)
    return e->fail(unknown_model);
  save_draft(e, *b->state, std::move(*body));
}

/// A merge patch (RFC 7396) on the draft, or on the newest revision if there is none.
void patch_draft(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  if (!body->is_object())
    return e->fail({errc::invalid_argument, "malformed", "expected an object of changes"});
  const auto b = find_model(*e);
  if (!b)
    return e->fail(unknown_model);
  // The patch was made from what the caller has read: If-Match holds it to that.
  save_draft(e, *b->state, model::merge_patch(blueprint::newest_document(*b->state), *body));
}

void delete_draft(const exchange_ptr& e) {
  change_model(
      e, blueprint::discard_draft{}, e->if_match(true),
      [e](const auto& done, const auto& s) { e->reply_empty(204, model_headers(done, s)); });
}

bool is_kind(std::string_view kind) {
  return std::find(std::begin(blueprint::element_kinds), std::end(blueprint::element_kinds),
                   kind) != std::end(blueprint::element_kinds);
}

/// Puts one element into the draft, in its place or last; null takes it out.
void change_element(const exchange_ptr& e, model::value element) {
  const auto& kind = e->param("kind");
  const auto& id = e->param("element");
  if (!is_kind(kind))
    return e->fail({errc::not_found, "kind_unknown",
                    "kinds of elements are attributes, measurePoints, services, events"});
  const auto b = find_model(*e);
  if (!b)
    return e->fail(unknown_model);
  const auto base = draft_base(*e, *b->state);
  if (!base)
    return e->fail(base.error());
  const auto document = blueprint::newest_document(*b->state);
  const auto* before = document.find(kind);
  auto elements = before && before->is_array() ? before->as_array() : model::array{};
  const auto found = std::find_if(elements.begin(), elements.end(), [&](const model::value& v) {
    const auto* named = v.find("id");
    return named && named->is_string() && named->as_string() == id;
  });
  if (element.is_null() && found == elements.end())
    return e->fail(
        {errc::not_found, "element_unknown", "the draft has no such element of its own"});
  if (element.is_null())
    elements.erase(found);
  else if (found == elements.end())
    elements.push_back(std::move(element));
  else
    *found = std::move(element);
  auto changed = document.is_object() ? document.as_object() : model::object{};
  model::set_member(changed, kind, std::move(elements));
  // With If-Match: * it is meant for what was read just now: nothing that came between is lost.
  const auto expected = std::optional{base->value_or(b->state->revision)};
  change_model(e, blueprint::save_draft{std::move(changed)}, expected,
               [e](const auto& done, const auto& s) {
                 e->reply(200, show_model(*e, s, *s.draft), model_headers(done, s));
               });
}

void put_element(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  if (!body->is_object())
    return e->fail({errc::invalid_argument, "malformed", "expected an element, an object"});
  auto element = body->as_object();
  if (const auto* id = body->find("id"); id && !(*id == model::value{e->param("element")}))
    return e->fail({errc::invalid_argument,
                    "model_invalid",
                    "the element's id must be that of the path",
                    {{"/id", "type_mismatch", "expected " + e->param("element")}}});
  if (!body->find("id"))
    element.insert(element.begin(), {"id", e->param("element")});
  change_element(e, std::move(element));
}

void delete_element(const exchange_ptr& e) {
  change_element(e, {});
}

/// What a model says of itself, without another revision.
void change_about(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto c = blueprint::change_about{f.truth("deprecated"), {}};
  for (const auto* name : {"name", "description", "category", "tags"})
    if (const auto* v = f.any(name))
      c.members.emplace_back(name, *v);
  if (!c.deprecated && c.members.empty())
    f.missing("deprecated");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  change_model(e, std::move(c), e->if_match(true), [e](const auto& done, const auto& s) {
    e->reply(200, show_summary(*e, s), model_headers(done, s));
  });
}

void remove(const exchange_ptr& e) {
  change_model(e, blueprint::remove_blueprint{}, e->if_match(true),
               [e](const actors::outcome& done, const auto&) {
                 e->reply_empty(204, exchange::revision_headers(done));
               });
}

void change_share(const exchange_ptr& e, bool on) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto with = f.text("organisation", 64);
  const auto all = f.truth("public").value_or(false);
  if (!with && !all)
    f.missing("organisation");
  if (with && (all || !model::is_valid_key(*with)))
    f.note("organisation", "type_mismatch", "expected the id of an organisation, or `public`");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  change_model(e, blueprint::share{all ? std::string{blueprint::everybody} : *with, on},
               e->if_match(), [e](const auto& done, const auto& s) {
                 e->reply(200, show_summary(*e, s), model_headers(done, s));
               });
}

void share(const exchange_ptr& e) {
  change_share(e, true);
}
void unshare(const exchange_ptr& e) {
  change_share(e, false);
}

}  // namespace

std::vector<route> model_routes() {
  auto all = std::vector<route>{
      {"GET", "~/models", "model:read", list, "listModels", "Thing models", "", "ModelList", 200,
       "scope limit cursor filter sort fields"},
      {"POST", "~/models/search", "model:read", search, "searchModels",
       "The same, with the question in the body", "ModelSearch", "FoundModels", 200, ""},
      {"POST", "~/models", "model:write", create, "createModel",
       "Make a thing model; its document is the first draft", "NewModel", "Model", 201, ""},
      {"GET", "~/models/{model}", "model:read", get, "getModel",
       "A thing model with its newest or a given revision", "", "Model", 200,
       "revision effective format"},
      {"PATCH", "~/models/{model}", "model:write", change_about, "updateModel",
       "Change what a model says of itself, or mark it as deprecated", "ModelChange",
       "ModelSummary", 200, ""},
      {"DELETE", "~/models/{model}", "model:write", remove, "deleteModel",
       "Delete a model that nothing uses", "", "", 204, ""},
      {"GET", "~/models/{model}/draft", "model:read", get_draft, "getDraft", "The draft", "",
       "Model", 200, ""},
      {"PUT", "~/models/{model}/draft", "model:write", put_draft, "saveDraft", "Replace the draft",
       "ModelDocument", "Model", 200, ""},
      {"PATCH", "~/models/{model}/draft", "model:write", patch_draft, "changeDraft",
       "Change the draft by a merge patch; begins with the newest revision if there is none",
       "DraftPatch", "Model", 200, ""},
      {"DELETE", "~/models/{model}/draft", "model:write", delete_draft, "discardDraft",
       "Discard the draft", "", "", 204, ""},
      {"PUT", "~/models/{model}/draft/{kind}/{element}", "model:write", put_element, "putElement",
       "Put one element into the draft", "Element", "Model", 200, ""},
      {"DELETE", "~/models/{model}/draft/{kind}/{element}", "model:write", delete_element,
       "deleteElement", "Take one element out of the draft", "", "Model", 200, ""},
      {"POST", "~/models/{model}:share", "model:publish", share, "shareModel",
       "Let another organisation, or all, use the model", "Share", "ModelSummary", 200, ""},
      {"POST", "~/models/{model}:unshare", "model:publish", unshare, "unshareModel", "End that",
       "Share", "ModelSummary", 200, ""},
  };
  for (auto part : {revision_routes(), model_file_routes(), library_routes()})
    std::move(part.begin(), part.end(), std::back_inserter(all));
  return all;
}

}  // namespace orrery::transport::api
