#include "model/wot.hpp"

#include <charconv>

namespace orrery::model {
namespace {

const std::string* text_of(const value& of, std::string_view name) {
  const auto* v = of.find(name);
  return v && v->is_string() ? &v->as_string() : nullptr;
}

const array& list_of(const value& of, std::string_view name) {
  static const auto none = array{};
  const auto* v = of.find(name);
  return v && v->is_array() ? v->as_array() : none;
}

bool is_true(const value& of, std::string_view name) {
  const auto* v = of.find(name);
  return v && v->is_bool() && v->as_bool();
}

void copy(const value& from, std::string_view name, object& to, const char* as) {
  if (const auto* v = from.find(name))
    to.emplace_back(as, *v);
}

/// A text of tm/1: as it is, and in other languages.
void add_text(const value& from, std::string_view name, object& to, const char* one,
              const char* many) {
  const auto* v = from.find(name);
  if (!v)
    return;
  if (!v->is_object()) {
    to.emplace_back(one, *v);
    return;
  }
  copy(*v, "default", to, one);
  copy(*v, "i18n", to, many);
}

value schema_of(const value& type);

void add_bounds(const value& type, object& to) {
  const auto low = is_true(type, "exclusiveMin"), high = is_true(type, "exclusiveMax");
  copy(type, "min", to, low ? "exclusiveMinimum" : "minimum");
  copy(type, "max", to, high ? "exclusiveMaximum" : "maximum");
  copy(type, "step", to, "multipleOf");
}

/// What may be said of each of its keys: itself, and how it is called.
void add_choices(const value& type, object& to) {
  const auto* base = text_of(type, "base");
  const auto of_texts = base && *base == "string";
  to.emplace_back("type", of_texts ? "string" : "integer");
  auto choices = array{};
  if (const auto* all = type.find("values"); all && all->is_object())
    for (const auto& [key, label] : all->as_object()) {
      auto choice = object{};
      auto number = std::int64_t{0};
      const auto end = key.data() + key.size();
      if (!of_texts && std::from_chars(key.data(), end, number).ptr == end)
        choice.emplace_back("const", number);
      else
        choice.emplace_back("const", key);
      const auto named = value{object{{"name", label}}};
      add_text(named, "name", choice, "title", "titles");
      choices.emplace_back(std::move(choice));
    }
  to.emplace_back("oneOf", std::move(choices));
}

/// Elements with an id as members of one object.
void add_members(const array& all, object& to) {
  auto members = object{};
  auto needed = array{};
  for (const auto& one : all) {
    const auto* id = text_of(one, "id");
    const auto* type = one.find("type");
    if (!id || !type)
      continue;
    auto member = schema_of(*type).as_object();
    add_text(one, "name", member, "title", "titles");
    add_text(one, "description", member, "description", "descriptions");
    copy(one, "unit", member, "unit");
    copy(one, "default", member, "default");
    members.emplace_back(*id, std::move(member));
    if (is_true(one, "required"))
      needed.emplace_back(*id);
  }
  to.emplace_back("type", "object");
  to.emplace_back("properties", std::move(members));
  if (!needed.empty())
    to.emplace_back("required", std::move(needed));
}

value schema_of(const value& type) {
  const auto* name = text_of(type, "t");
  const auto t = name ? std::string_view{*name} : std::string_view{};
  auto o = object{};
  if (t == "bool") {
    o.emplace_back("type", "boolean");
  } else if (t == "int" || t == "long") {
    o.emplace_back("type", "integer");
    add_bounds(type, o);
  } else if (t == "float" || t == "double") {
    o.emplace_back("type", "number");
    add_bounds(type, o);
  } else if (t == "enum") {
    add_choices(type, o);
  } else if (t == "date" || t == "timestamp") {
    o.emplace_back("type", "integer");
    o.emplace_back("orrery:time", "ms since 1970-01-01T00:00:00Z");
  } else if (t == "array") {
    o.emplace_back("type", "array");
    if (const auto* items = type.find("items"))
      o.emplace_back("items", schema_of(*items));
    copy(type, "minItems", o, "minItems");
    copy(type, "maxItems", o, "maxItems");
  } else if (t == "struct") {
    add_members(list_of(type, "fields"), o);
  } else if (t == "map") {
    o.emplace_back("type", "object");
    if (const auto* values = type.find("values"))
      o.emplace_back("additionalProperties", schema_of(*values));
  } else {  // a text, or the reference of a file
    o.emplace_back("type", "string");
    copy(type, "minLength", o, "minLength");
    copy(type, "maxLength", o, "maxLength");
    if (const auto* pattern = text_of(type, "pattern"))
      o.emplace_back("pattern", "^(?:" + *pattern + ")$");
    if (t == "file")
      o.emplace_back("orrery:file", true);
  }
  return o;
}

/// An element that has a value of its own.
object property_of(const value& element, bool read_only) {
  const auto* type = element.find("type");
  auto o = type ? schema_of(*type).as_object() : object{};
  add_text(element, "name", o, "title", "titles");
  add_text(element, "description", o, "description", "descriptions");
  copy(element, "unit", o, "unit");
  copy(element, "default", o, "default");
  o.emplace_back("readOnly", read_only);
  return o;
}

object head_of(const value& element) {
  auto o = object{};
  add_text(element, "name", o, "title", "titles");
  add_text(element, "description", o, "description", "descriptions");
  return o;
}

value members_of(const array& all) {
  auto o = object{};
  add_members(all, o);
  return o;
}

object properties_of(const value& document) {
  auto all = object{};
  for (const auto& one : list_of(document, "attributes"))
    if (const auto* id = text_of(one, "id")) {
      const auto* access = text_of(one, "access");
      auto p = property_of(one, access && (*access == "device" || *access == "ro"));
      p.emplace_back("observable", false);
      p.emplace_back("orrery:kind", "attribute");
      all.emplace_back(*id, std::move(p));
    }
  for (const auto& one : list_of(document, "measurePoints"))
    if (const auto* id = text_of(one, "id")) {
      auto p = property_of(one, !is_true(one, "writable"));
      p.emplace_back("observable", true);
      p.emplace_back("orrery:kind", "measurePoint");
      copy(one, "signal", p, "orrery:signal");
      all.emplace_back(*id, std::move(p));
    }
  return all;
}

object actions_of(const value& document) {
  auto all = object{};
  for (const auto& one : list_of(document, "services"))
    if (const auto* id = text_of(one, "id")) {
      auto a = head_of(one);
      if (const auto& input = list_of(one, "input"); !input.empty())
        a.emplace_back("input", members_of(input));
      if (const auto& output = list_of(one, "output"); !output.empty())
        a.emplace_back("output", members_of(output));
      const auto* how = text_of(one, "callType");
      a.emplace_back("synchronous", !how || *how != "ASYNC");
      a.emplace_back("idempotent", is_true(one, "idempotent"));
      all.emplace_back(*id, std::move(a));
    }
  return all;
}

object events_of(const value& document) {
  auto all = object{};
  for (const auto& one : list_of(document, "events"))
    if (const auto* id = text_of(one, "id")) {
      auto e = head_of(one);
      e.emplace_back("data", members_of(list_of(one, "output")));
      const auto* level = text_of(one, "level");
      e.emplace_back("orrery:level", level ? *level : std::string{"info"});
      all.emplace_back(*id, std::move(e));
    }
  return all;
}

}  // namespace

value to_wot(const value& document) {
  auto o = object{{"@context", array{"https://www.w3.org/2022/wot/td/v1.1",
                                     object{{"orrery", "urn:orrery:tm1#"}}}},
                  {"@type", "tm:ThingModel"}};
  const auto* id = text_of(document, "id");
  if (document.find("name"))
    add_text(document, "name", o, "title", "titles");
  else if (id)
    o.emplace_back("title", *id);
  add_text(document, "description", o, "description", "descriptions");
  if (id)
    o.emplace_back("orrery:model", *id);
  if (const auto* revision = document.find("revision"); revision && revision->is_int())
    o.emplace_back("version", object{{"model", std::to_string(revision->as_int())}});
  o.emplace_back("properties", properties_of(document));
  o.emplace_back("actions", actions_of(document));
  o.emplace_back("events", events_of(document));
  return o;
}

}  // namespace orrery::model
