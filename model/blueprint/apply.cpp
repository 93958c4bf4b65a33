// What events make of a thing model, and which of its documents is which.
#include <algorithm>
#include <map>

#include "model/blueprint/blueprint.hpp"

namespace orrery::model::blueprint {
namespace {

/// Null takes the member away.
void set_or_remove(object& o, std::string_view name, const value& v) {
  if (v.is_null())
    std::erase_if(o, [&](const auto& member) { return member.first == name; });
  else
    set_member(o, name, v);
}

value with_about(const value& document, const object& about) {
  if (!document.is_object() || about.empty())
    return document;
  auto o = document.as_object();
  for (const auto& [name, v] : about)
    set_or_remove(o, name, v);
  return o;
}

void apply_on(state& s, const created& e) {
  s.exists = true;
  s.deleted = false;
  s.organisation = e.as.organisation;
  s.model_id = e.as.model_id;
  s.copied_from = e.as.copied_from;
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
  s.about = object{};
  s.updated_at = e.revision.published_at;
}
void apply_on(state& s, const removed&) {
  auto gone = state{};  // whoever makes it again begins with revision 1
  gone.deleted = true;
  gone.organisation = std::move(s.organisation);
  gone.model_id = std::move(s.model_id);
  gone.revision = s.revision;
  s = std::move(gone);
}
void apply_on(state& s, const about_changed& e) {
  if (e.changes.deprecated)
    s.deprecated = *e.changes.deprecated;
  auto about = s.about.as_object();
  for (const auto& [name, v] : e.changes.members)
    set_member(about, name, v);
  s.about = std::move(about);
  if (s.draft)
    s.draft = with_about(*s.draft, e.changes.members);
  s.updated_at = e.at;
}
void apply_on(state& s, const shared& e) {
  const auto at = std::lower_bound(s.shared_with.begin(), s.shared_with.end(), e.what.with);
  if (e.what.on)
    s.shared_with.insert(at, e.what.with);
  else
    s.shared_with.erase(at);
  s.updated_at = e.at;
}
void apply_on(state& s, const library_changed& e) {
  if (!s.exists) {
    s.exists = true;
    s.organisation = e.changes.organisation;
    s.model_id = library_id;
    s.created_at = e.at;
  }
  auto all = std::map<std::string, value>{};
  for (const auto& [id, element] : s.library.as_object())
    all.emplace(id, element);
  for (const auto& [id, element] : e.changes.elements)
    if (element.is_null())
      all.erase(id);
    else
      all.insert_or_assign(id, element);
  s.library = object{all.begin(), all.end()};
  s.updated_at = e.at;
}

}  // namespace

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

const value& effective_document(const revision_record& r) {
  return r.effective ? *r.effective : r.document;
}

value published_or_draft(const state& s) {
  if (s.revisions.empty())
    return s.draft.value_or(value{});
  return with_about(s.revisions.back().document, s.about.as_object());
}

value newest_document(const state& s) {
  return s.draft ? *s.draft : published_or_draft(s);
}

}  // namespace orrery::model::blueprint
