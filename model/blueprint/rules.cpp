#include "model/blueprint/blueprint.hpp"

namespace orrery::model::blueprint {
namespace {

result<decision> refused(errc code, std::string_view reason, std::string detail) {
  return failure{code, reason, std::move(detail)};
}

decision then(const state& s, event e, const surroundings& around) {
  auto after = std::make_shared<state>(s);
  blueprint::apply(*after, e);
  auto d = decision{{}, blueprint_snapshot{around.self, std::move(after)}};
  d.events.push_back(std::move(e));
  return d;
}

/// A draft may be unfinished, but it is an object of the model's own id.
status check_draft(const value& document, const std::string& model_id) {
  const auto* id = document.find("id");
  if (!document.is_object() || !id || !id->is_string() || id->as_string() != model_id)
    return failure{errc::invalid_argument,
                   "model_invalid",
                   "the document's id must be " + model_id,
                   {{"/id", "type_mismatch", "expected " + model_id}}};
  return {};
}

result<decision> decide_on(const state& s, const command&, const create_blueprint& c,
                           const surroundings& around) {
  if (s.exists)
    return refused(errc::already_exists, "model_exists", "model " + c.model_id + " exists");
  if (!is_valid_key(c.model_id, 1, 64))
    return refused(errc::invalid_argument, "model_invalid",
                   "a model id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (auto ok = check_draft(c.document, c.model_id); !ok)
    return ok.error();
  return then(s, created{c, around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const save_draft& d,
                           const surroundings& around) {
  if (auto ok = check_draft(d.document, s.model_id); !ok)
    return ok.error();
  return then(s, draft_saved{d.document, around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const discard_draft&,
                           const surroundings& around) {
  if (!s.draft)
    return refused(errc::not_found, "draft_unknown", "model " + s.model_id + " has no draft");
  return then(s, draft_discarded{around.now}, around);
}

result<decision> decide_on(const state& s, const command& c, const publish& p,
                           const surroundings& around) {
  if (!s.draft)
    return refused(errc::conflict, "draft_unknown",
                   "model " + s.model_id + " has no draft to publish");
  auto after = thing_model::compile(*s.draft);
  if (!after)
    return after.error();
  if (around.products > 0 && !p.force && !s.revisions.empty()) {
    const auto before = thing_model::compile(s.revisions.back().document);
    if (before) {
      auto problems = std::vector<problem>{};
      for (auto& f : compare(*before, *after))
        problems.push_back(std::move(f.what));
      if (!problems.empty())
        return failure{errc::conflict, "breaking_change",
                       "products use the model and the change is not compatible; publish with "
                       "force if it is meant",
                       std::move(problems)};
    }
  }
  const auto number = s.revisions.empty() ? 1 : s.revisions.back().number + 1;
  return then(s, published{{number, *s.draft, p.note, around.now, c.actor}}, around);
}

result<decision> decide_on(const state& s, const command&, const set_deprecated& d,
                           const surroundings& around) {
  return then(s, deprecated_set{d.deprecated, around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const remove_blueprint&,
                           const surroundings& around) {
  if (around.products > 0)
    return refused(errc::conflict, "model_in_use", "products use the model " + s.model_id);
  return then(s, removed{around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const read_blueprint&,
                           const surroundings& around) {
  return decision{{}, blueprint_snapshot{around.self, std::make_shared<const state>(s)}};
}

void apply_on(state& s, const created& e) {
  s.exists = true;
  s.deleted = false;
  s.organisation = e.as.organisation;
  s.model_id = e.as.model_id;
  s.draft = e.as.document;
  s.created_at = s.updated_at = e.at;
}
void apply_on(state& s, const draft_saved& e) {
  s.draft = e.document;
  s.updated_at = e.at;
}
void apply_on(state& s, const draft_discarded& e) {
  s.draft.reset();
  s.updated_at = e.at;
}
void apply_on(state& s, const published& e) {
  s.revisions.push_back(e.revision);
  s.draft.reset();
  s.updated_at = e.revision.published_at;
}
void apply_on(state& s, const removed&) {
  s.exists = false;
  s.deleted = true;
}
void apply_on(state& s, const deprecated_set& e) {
  s.deprecated = e.deprecated;
  s.updated_at = e.at;
}

}  // namespace

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  if (!s.exists && !std::holds_alternative<create_blueprint>(c.what))
    return refused(errc::not_found, "model_unknown", "no such model");
  return std::visit([&](const auto& what) { return decide_on(s, c, what, around); }, c.what);
}

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

std::vector<effect> effects(const state&, const event&) {
  return {};
}

std::optional<timestamp> next_deadline(const state&) {
  return std::nullopt;
}

}  // namespace orrery::model::blueprint
