#include <algorithm>
#include <map>

#include "model/blueprint/blueprint.hpp"
#include "model/blueprint/inheritance.hpp"
#include "model/blueprint/library.hpp"
#include "model/json.hpp"
#include "model/merge_patch.hpp"

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

/// The model that a document extends is there, and the family does not bend into itself or grow too
/// deep.
status check_parent(const std::string& self, const value& document, const surroundings& around) {
  const auto reference = parent_of(document);
  const auto* given = document.find("extends");
  const auto at_fault = [](std::string_view reason, std::string detail) {
    auto problems = std::vector<problem>{{"/extends", reason, detail}};
    return failure{errc::invalid_argument, reason, std::move(detail), std::move(problems)};
  };
  if (reference.empty()) {
    if (given && !given->is_null())
      return at_fault("inheritance_parent_unknown", "`extends` is the id of a model");
    return {};
  }
  if (around.parent && around.parent->key == self)
    return at_fault("inheritance_cycle", "a model cannot extend itself");
  if (!around.parent)
    return at_fault("inheritance_parent_unknown", "there is no model " + reference);
  const auto& path = around.parent->path;
  if (std::find(path.begin(), path.end(), self) != path.end())
    return at_fault("inheritance_cycle", reference + " inherits from this model");
  auto below = std::size_t{0};
  for (const auto& d : around.descendants)
    below = std::max(below, d.depth);
  if (path.size() + 1 + below > max_depth)
    return at_fault("inheritance_depth",
                    "models inherit over " + std::to_string(max_depth) + " levels at most");
  return {};
}

std::string own_key(const state& s) {
  return key_of(s.organisation, s.model_id);
}

/// Every published model that inherits from this one still can.
status check_descendants(const std::string& self, const resolved& next,
                         const surroundings& around) {
  auto family = std::map<std::string, resolved>{};
  family.emplace(self, next);
  auto problems = std::vector<problem>{};
  for (const auto& d : around.descendants) {
    const auto parent = family.find(d.parent);
    if (parent == family.end())
      continue;  // its parent has a conflict
    auto whole = resolve(d.document, parent->second.document, *parent->second.compiled);
    if (whole) {
      family.emplace(d.key, std::move(*whole));
      continue;
    }
    const auto id = d.key.substr(d.key.find('/') + 1);
    for (const auto& p : whole.error().problems)
      problems.push_back({id + p.where, p.code, p.detail});
  }
  if (problems.empty())
    return {};
  auto text =
      "models that inherit from it could not any more, the first: " + problems.front().where +
      ": " + problems.front().detail;
  return failure{errc::conflict, "descendant_conflict", std::move(text), std::move(problems)};
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
  if (around.models >= max_models)
    return refused(errc::conflict, "quota_exceeded",
                   "an organisation has at most " + std::to_string(max_models) + " models");
  if (auto ok = check_parent(key_of(c.organisation, c.model_id), c.document, around); !ok)
    return ok.error();
  return then(s, created{c, around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const save_draft& d,
                           const surroundings& around) {
  if (auto ok = check_draft(d.document, s.model_id); !ok)
    return ok.error();
  if (auto ok = check_parent(own_key(s), d.document, around); !ok)
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
  auto next = next_revision(s, around);
  if (!next)
    return next.error();
  if (around.products > 0 && !s.revisions.empty()) {
    const auto& before =
        around.in_force.is_null() ? effective_document(s.revisions.back()) : around.in_force;
    auto problems = std::vector<problem>{};
    auto worst = change_class::compatible;
    for (auto& f : compare(before, effective_document(*next)))
      if (f.weight != change_class::compatible) {
        worst = std::max(worst, f.weight);
        problems.push_back(std::move(f.what));
      }
    if (!problems.empty() && !p.force)
      return failure{errc::conflict, "breaking_change",
                     "products use the model and the change is not compatible; publish with "
                     "force if it is meant",
                     std::move(problems)};
    if (worst == change_class::breaking && p.reason.empty())
      return failure{errc::conflict, "reason_required",
                     "the change breaks devices in use: say why, in `reason`", std::move(problems)};
  }
  next->note = p.note;
  next->actor = c.actor;
  if (p.force)
    next->reason = p.reason;
  return then(s, published{std::move(*next)}, around);
}

/// What may be said of a model beside its elements.
status check_about(const object& members) {
  auto problems = std::vector<problem>{};
  auto document = object{{"format", "tm/1"}, {"id", "m"}};
  for (const auto& [name, v] : members)
    if (name == "name" || name == "description" || name == "category" || name == "tags")
      set_member(document, name, v);
    else
      problems.push_back({"/" + name, "unknown_field", "no such key here"});
  if (auto compiled = thing_model::compile(document); !compiled)
    problems = std::move(compiled.error().problems);
  if (problems.empty())
    return {};
  auto text = problems.front().where + ": " + problems.front().detail;
  return failure{errc::invalid_argument, "model_invalid", std::move(text), std::move(problems)};
}

result<decision> decide_on(const state& s, const command&, const change_about& c,
                           const surroundings& around) {
  auto changes = c;
  for (auto& [name, v] : changes.members)
    if (name == "tags" && v.is_object()) {  // tags are changed one by one
      const auto shown = newest_document(s);
      const auto* before = shown.find("tags");
      v = merge_patch(before ? *before : value{}, v);
    }
  if (auto ok = check_about(changes.members); !ok)
    return ok.error();
  return then(s, about_changed{std::move(changes), around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const remove_blueprint&,
                           const surroundings& around) {
  if (around.products > 0)
    return refused(errc::conflict, "model_in_use", "products use the model " + s.model_id);
  if (around.children > 0)
    return refused(errc::conflict, "model_in_use", "models inherit from the model " + s.model_id);
  return then(s, removed{around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const read_blueprint&,
                           const surroundings& around) {
  return decision{{}, blueprint_snapshot{around.self, std::make_shared<const state>(s)}};
}

bool is_shared_with(const state& s, std::string_view whom) {
  return std::binary_search(s.shared_with.begin(), s.shared_with.end(), whom);
}

result<decision> decide_on(const state& s, const command&, const share& what,
                           const surroundings& around) {
  if (what.on == is_shared_with(s, what.with))
    return decision{{}, blueprint_snapshot{around.self, std::make_shared<const state>(s)}};
  if (what.on) {
    if (s.revisions.empty())
      return refused(errc::conflict, "model_missing",
                     "model " + s.model_id + " has no published revision");
    if (what.with == s.organisation || !around.may_share_with)
      return refused(errc::invalid_argument, "organisation_unknown",
                     "there is no other organisation " + what.with);
    if (s.shared_with.size() >= max_shares)
      return refused(errc::conflict, "quota_exceeded",
                     "a model is shared with at most " + std::to_string(max_shares) +
                         " organisations, or with everybody");
  } else {
    const auto uses_it = [&](const std::string& user) {
      return what.with == everybody ? !is_shared_with(s, user)
                                    : user == what.with && !is_shared_with(s, everybody);
    };
    if (std::any_of(around.users.begin(), around.users.end(), uses_it))
      return refused(errc::conflict, "model_in_use",
                     "products or models of another organisation use the model " + s.model_id);
  }
  return then(s, shared{what, around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const change_library& c,
                           const surroundings& around) {
  if (auto ok = check_library(c.elements); !ok)
    return ok.error();
  auto d = then(s, library_changed{c, around.now}, around);
  const auto& after = *std::get<blueprint_snapshot>(d.answer).what;
  if (after.library.as_object().size() > max_library_elements ||
      to_json(after.library).size() > max_library_bytes)
    return refused(errc::conflict, "quota_exceeded",
                   "a library has at most " + std::to_string(max_library_elements) +
                       " elements, and " + std::to_string(max_library_bytes) + " bytes");
  return d;
}

}  // namespace

result<revision_record> next_revision(const state& s, const surroundings& around) {
  if (!s.draft)
    return failure{errc::conflict, "draft_unknown",
                   "model " + s.model_id + " has no draft to publish"};
  if (auto ok = check_parent(own_key(s), *s.draft, around); !ok)
    return ok.error();
  const auto inherits = !parent_of(*s.draft).empty();
  if (inherits && !around.parent->compiled)
    return failure{errc::invalid_argument,
                   "inheritance_parent_unpublished",
                   "what it extends has no published revision",
                   {{"/extends", "inheritance_parent_unpublished", "publish that model first"}}};
  auto whole = inherits ? resolve(*s.draft, around.parent->document, *around.parent->compiled)
                        : resolve(*s.draft);
  if (!whole)
    return whole.error();
  if (auto ok = check_standards(*s.draft, whole->document, around.library); !ok)
    return ok.error();
  if (auto ok = check_descendants(own_key(s), *whole, around); !ok)
    return ok.error();
  auto next = revision_record{};
  next.number = s.revisions.empty() ? 1 : s.revisions.back().number + 1;
  next.document = *s.draft;
  next.published_at = around.now;
  if (inherits) {
    next.parent_revision = around.parent->revision;
    next.effective = std::move(whole->document);
  }
  return next;
}

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  const auto makes_it = std::holds_alternative<create_blueprint>(c.what) ||
                        std::holds_alternative<change_library>(c.what);
  if (!s.exists && !makes_it)
    return refused(errc::not_found, "model_unknown", "no such model");
  return std::visit([&](const auto& what) { return decide_on(s, c, what, around); }, c.what);
}

std::vector<effect> effects(const state&, const event&) {
  return {};
}

std::optional<timestamp> next_deadline(const state&) {
  return std::nullopt;
}

}  // namespace orrery::model::blueprint
