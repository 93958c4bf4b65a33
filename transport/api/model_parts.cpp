#include "transport/api/model_parts.hpp"

#include "model/blueprint/inheritance.hpp"

namespace orrery::transport::api {

namespace blueprint = model::blueprint;
using model::errc;
using model::failure;

const failure unknown_model = failure{errc::not_found, "model_unknown", "no such model"};

namespace {

std::string id_in(const std::string& key) {
  return key.substr(key.find('/') + 1);
}

/// The models that it inherits from, itself last.
std::vector<std::string> path_of(const exchange& e, const blueprint::state& s,
                                 const model::value& document) {
  const auto known = e.parts().known->current();
  auto path = std::vector<std::string>{};
  if (const auto parent = blueprint::parent_of(document); !parent.empty())
    path = known->path_of(blueprint::key_of(s.organisation, parent));
  path.push_back(blueprint::key_of(s.organisation, s.model_id));
  return path;
}

}  // namespace

std::shared_ptr<const actors::catalogue_blueprint> find_model(const exchange& e,
                                                              const std::string& reference) {
  return e.parts().known->current()->visible_blueprint(e.who.organisation, reference);
}

std::shared_ptr<const actors::catalogue_blueprint> find_model(const exchange& e) {
  return find_model(e, e.param("model"));
}

model::value show_summary(const exchange& e, const blueprint::state& s) {
  const auto shown = blueprint::published_or_draft(s);
  const auto* name = shown.find("name");
  auto o = model::object{
      {"id", s.model_id},
      {"organisation", s.organisation},
      {"name", name ? *name : model::value{s.model_id}},
      {"revision", static_cast<std::int64_t>(s.revisions.empty() ? 0 : s.revisions.back().number)},
      {"hasDraft", s.draft.has_value()},
      {"deprecated", s.deprecated},
      {"createdAt", e.show(s.created_at)},
      {"updatedAt", e.show(s.updated_at)}};
  for (const auto key : {"description", "category", "tags", "extends"})
    if (const auto* v = shown.find(key); v && !v->is_null())
      o.emplace_back(key, *v);
  const auto path = path_of(e, s, shown);
  auto ids = std::string{};
  for (const auto& key : path)
    ids += (ids.empty() ? "" : "/") + id_in(key);
  o.emplace_back("modelIdPath", ids);
  o.emplace_back("rootModelId", id_in(path.front()));
  if (!s.copied_from.empty())
    o.emplace_back("copyFrom", s.copied_from);
  auto shared_with = model::array{};
  auto is_public = false;
  for (const auto& whom : s.shared_with)
    if (whom == blueprint::everybody)
      is_public = true;
    else
      shared_with.emplace_back(whom);
  o.emplace_back("public", is_public);
  if (s.organisation == e.who.organisation)
    o.emplace_back("sharedWith", std::move(shared_with));
  return o;
}

model::value show_model(const exchange& e, const blueprint::state& s,
                        const model::value& document) {
  auto o = show_summary(e, s).as_object();
  o.emplace_back("document", document);
  return o;
}

std::shared_ptr<const blueprint::state> model_state_in(const actors::outcome& done) {
  return std::get<blueprint::blueprint_snapshot>(std::get<blueprint::reply>(done.answer)).what;
}

exchange::headers model_headers(const actors::outcome& done, const blueprint::state& s) {
  auto h = exchange::revision_headers(done);
  h.emplace_back("ETag", exchange::etag(s.revision));
  return h;
}

void change_model(const exchange_ptr& e, blueprint::order what,
                  const model::result<std::optional<std::uint64_t>>& expected,
                  std::function<void(const actors::outcome&, const blueprint::state&)> then) {
  const auto found = find_model(*e);
  if (!found)
    return e->fail(unknown_model);
  if (found->state->organisation != e->who.organisation)
    return e->fail({errc::forbidden, "model_foreign",
                    "the model is of the organisation " + found->state->organisation +
                        ": it can be used and inherited from here, not changed"});
  if (!expected)
    return e->fail(expected.error());
  e->ask(
      found->id, blueprint::command{std::move(what), e->who.actor, *expected},
      [then = std::move(then)](const actors::outcome& done) { then(done, *model_state_in(done)); });
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

model::value show_finding(const model::problem& p, std::string_view weight) {
  return model::object{
      {"pointer", p.where}, {"code", p.code}, {"detail", p.detail}, {"class", weight}};
}

}  // namespace orrery::transport::api
