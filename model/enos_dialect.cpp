#include "model/enos_dialect.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "model/json.hpp"
#include "model/units.hpp"

namespace orrery::model {
namespace {

constexpr std::size_t max_problems = 100;

/// A type of ours and the part of a class name that stands for it; `other` is read as well.
struct type_word {
  std::string_view ours, theirs, other;
};
constexpr std::array<type_word, 11> type_words{{{"bool", "Bool", "Boolean"},
                                                {"int", "Int", "Integer"},
                                                {"float", "Float", ""},
                                                {"double", "Double", ""},
                                                {"string", "String", "Text"},
                                                {"date", "Date", ""},
                                                {"timestamp", "Timestamp", "DateTime"},
                                                {"enum", "Enum", ""},
                                                {"array", "Array", "List"},
                                                {"struct", "Struct", "Object"},
                                                {"file", "File", ""}}};

/// One kind of elements.
struct kind_words {
  std::string_view list, map, suffix, inherited;
};
constexpr std::array<kind_words, 4> kinds{
    {{"attributes", "thingAttributeMap", "Attribute", "inheritedAttributeIds"},
     {"measurePoints", "thingMeasurepointMap", "Measurepoint", "inheritedMeasurepointIds"},
     {"services", "thingServiceMap", "Service", "inheritedServiceIds"},
     {"events", "thingEventMap", "Event", "inheritedEventIds"}}};

// Constraints of a type that both sides have, ours and theirs.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> constraints{
    {{"min", "minimum"},
     {"max", "maximum"},
     {"exclusiveMin", "exclusiveMinimum"},
     {"exclusiveMax", "exclusiveMaximum"},
     {"step", "step"},
     {"precision", "precision"},
     {"minLength", "minLength"},
     {"maxLength", "maxLength"},
     {"pattern", "pattern"},
     {"minItems", "minItems"},
     {"maxItems", "maxItems"},
     {"maxSize", "maxSize"}}};

void note(std::vector<problem>& out, std::string where, std::string_view code, std::string detail) {
  if (out.size() < max_problems)
    out.push_back({std::move(where), code, std::move(detail)});
}

const std::string* text_of(const value& v, std::string_view name) {
  const auto* m = v.find(name);
  return m && m->is_string() ? &m->as_string() : nullptr;
}

bool is_empty(const value& v) {
  return v.is_null() || (v.is_object() && v.as_object().empty()) ||
         (v.is_array() && v.as_array().empty()) || (v.is_string() && v.as_string().empty());
}

// ---- from EnOS ----------------------------------------------------------------------------------

/// {"defaultValue", "i18nValue"} as {"default", "i18n"}; text that has one language as text.
value text_from(const value& theirs) {
  if (!theirs.is_object())
    return theirs;
  auto ours = object{};
  for (const auto& [name, v] : theirs.as_object())
    if (name == "defaultValue" || name == "default")
      ours.emplace_back("default", v);
    else if ((name == "i18nValue" || name == "i18n") && !is_empty(v))
      ours.emplace_back("i18n", v);
  if (ours.size() == 1 && ours[0].first == "default")
    return ours[0].second;
  return ours;
}

/// The bound is what the type has anyway.
bool is_limit_of(std::string_view type, const value& bound) {
  if (!bound.is_number())
    return true;
  const auto x = std::abs(bound.as_double());
  constexpr auto least_int = -static_cast<double>(std::numeric_limits<std::int32_t>::min());
  if (type == "int")
    return x >= least_int - 1;
  if (type == "float")
    return x >= static_cast<double>(std::numeric_limits<float>::max()) * 0.999;
  return x >= std::numeric_limits<double>::max() * 0.999;
}

/// The type that a class name says, "" if it says none: its last part ends in the kind, and what
/// stands before that in the type.
std::string_view type_in(std::string_view class_name, std::string_view suffix) {
  auto name = class_name.substr(class_name.find_last_of(".$") + 1);
  if (!suffix.empty() && name.ends_with(suffix))
    name.remove_suffix(suffix.size());
  auto best = std::string_view{};
  auto length = std::size_t{0};
  for (const auto& word : type_words)
    for (const auto said : {word.theirs, word.other})
      if (!said.empty() && name.ends_with(said) && said.size() > length) {
        best = word.ours;
        length = said.size();
      }
  return best;
}

class importer {
 public:
  std::vector<problem> problems;

  value element(const value& theirs, const kind_words& kind, const std::string& where) {
    auto ours = object{};
    if (!theirs.is_object()) {
      note(problems, where, "type_mismatch", "expected an object");
      return ours;
    }
    named(theirs, ours, where);
    const auto is_point = kind.list == "measurePoints";
    if (kind.list == "services") {
      copy(theirs, "callType", ours, "callType");
      parameters(theirs, "inputData", ours, "input", where);
      parameters(theirs, "outputData", ours, "output", where);
    } else if (kind.list == "events") {
      copy(theirs, "level", ours, "level");
      parameters(theirs, "outputData", ours, "output", where);
    } else {
      typed(theirs, kind.suffix, ours, where);
      if (is_point)
        point(theirs, ours);
      else
        attribute(theirs, ours);
    }
    return kept(theirs, std::move(ours));
  }

 private:
  static void copy(const value& from, std::string_view name, object& to, std::string_view as) {
    if (const auto* v = from.find(name); v && !v->is_null())
      to.emplace_back(as, *v);
  }
  static void copy_truth(const value& from, std::string_view name, object& to) {
    if (const auto* v = from.find(name); v && v->is_bool() && v->as_bool())
      to.emplace_back(name, true);
  }
  /// What of ours EnOS has no word for.
  static value kept(const value& theirs, object ours) {
    if (const auto* more = theirs.find("orrery"); more && more->is_object())
      for (const auto& [name, v] : more->as_object())
        set_member(ours, name, v);
    return ours;
  }

  void named(const value& theirs, object& ours, const std::string& where) {
    if (const auto* id = text_of(theirs, "identifier"))
      ours.emplace_back("id", *id);
    else
      note(problems, where + "/identifier", "required_missing", "an element has an identifier");
    if (const auto* name = theirs.find("name"); name && !is_empty(*name))
      ours.emplace_back("name", text_from(*name));
    if (const auto* more = theirs.find("i18nDesc"); more && !is_empty(*more))
      ours.emplace_back("description", text_from(*more));
    else if (const auto* text = theirs.find("desc"); text && !is_empty(*text))
      ours.emplace_back("description", text_from(*text));
    if (const auto* tags = theirs.find("tags"))
      if (const auto* map = tags->find("tagMap"); map && !is_empty(*map))
        ours.emplace_back("tags", *map);
    copy(theirs, "priority", ours, "order");
    copy(theirs, "createTime", ours, "createdAt");
  }

  void attribute(const value& theirs, object& ours) {
    copy_truth(theirs, "required", ours);
    copy(theirs, "defaultValue", ours, "default");
    if (const auto* writable = theirs.find("accessMode"))
      if (writable->is_bool() && !writable->as_bool())
        ours.emplace_back("access", "cloud");
  }
  void point(const value& theirs, object& ours) {
    const auto* signal = text_of(theirs, "signalType");
    if (signal && *signal != "UNKNOWN")
      ours.emplace_back("signal", *signal == "GENERIC" ? "Generic" : signal->c_str());
    copy_truth(theirs, "hasQuality", ours);
    if (const auto* writable = theirs.find("accessMode"))
      if (writable->is_bool() && writable->as_bool())
        ours.emplace_back("writable", true);
  }

  void parameters(const value& theirs, std::string_view name, object& ours, std::string_view as,
                  const std::string& where) {
    const auto* all = theirs.find(name);
    if (!all || is_empty(*all))
      return;
    if (!all->is_array())
      return note(problems, where + '/' + std::string{name}, "type_mismatch", "expected an array");
    auto list = array{};
    for (std::size_t i = 0; i < all->as_array().size(); ++i) {
      const auto& p = all->as_array()[i];
      const auto at = where + '/' + std::string{name} + '/' + std::to_string(i);
      auto made = object{};
      named(p, made, at);
      typed(p, "", made, at);
      copy_truth(p, "required", made);
      copy(p, "defaultValue", made, "default");
      list.emplace_back(kept(p, std::move(made)));
    }
    ours.emplace_back(as, std::move(list));
  }

  void typed(const value& theirs, std::string_view suffix, object& ours, const std::string& where) {
    ours.emplace_back("type", type(theirs, suffix, where, 0));
    const auto* unit = theirs.find("unit");
    const auto* id =
        unit ? unit->is_string() ? &unit->as_string() : text_of(*unit, "unitId") : nullptr;
    if (!id || id->empty())
      return;
    const auto* multiplier = text_of(*unit, "multiplier");
    ours.emplace_back("unit", ucum_of(*id, multiplier ? *multiplier : std::string_view{}));
  }

  value type(const value& theirs, std::string_view suffix, const std::string& where, int depth) {
    auto ours = object{};
    const auto* class_name = text_of(theirs, "$class");
    auto name = class_name ? type_in(*class_name, suffix) : std::string_view{};
    if (name.empty())
      if (const auto* said = text_of(theirs, "dataType"))
        name = type_in(with_capital(*said), "");
    if (name.empty() || depth > 2) {
      note(problems, where + "/$class", "type_mismatch", "the class names no type that is known");
      return ours;
    }
    ours.emplace_back("t", name);
    for (const auto& [here, there] : constraints) {
      const auto* v = theirs.find(there);
      if (!v || v->is_null() || ((here == "min" || here == "max") && is_limit_of(name, *v)) ||
          (v->is_bool() && !v->as_bool()))
        continue;
      ours.emplace_back(here, *v);
    }
    if (name == "enum")
      entries(theirs, ours, where);
    if (name == "array")
      if (const auto* items = theirs.find("items"))
        ours.emplace_back("items", type(*items, "", where + "/items", depth + 1));
    if (name == "struct")
      fields(theirs, ours, where, depth);
    return kept(value{object{{"orrery", member_or_null(theirs, "orreryType")}}}, std::move(ours));
  }

  static value member_or_null(const value& v, std::string_view name) {
    const auto* m = v.find(name);
    return m ? *m : value{};
  }
  static std::string with_capital(std::string text) {
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
      text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
  }

  /// Labels are JSON inside of text.
  void entries(const value& theirs, object& ours, const std::string& where) {
    const auto* map = theirs.find("specsMap");
    if (!map || !map->is_object())
      return note(problems, where + "/specsMap", "required_missing", "an enumeration has values");
    const auto* base = text_of(theirs, "valueType");
    if (base && (*base == "string" || *base == "STRING"))
      ours.emplace_back("base", "string");
    auto values = object{};
    for (const auto& [key, label] : map->as_object()) {
      auto shown = label;
      if (label.is_string() && label.as_string().starts_with('{'))
        if (const auto inside = parse_json(label.as_string()))
          shown = *inside;
      set_member(values, key, text_from(shown));
    }
    ours.emplace_back("values", std::move(values));
  }

  void fields(const value& theirs, object& ours, const std::string& where, int depth) {
    auto list = array{};
    if (const auto* all = theirs.find("fieldData"); all && all->is_array())
      for (std::size_t i = 0; i < all->as_array().size(); ++i) {
        const auto& f = all->as_array()[i];
        const auto at = where + "/fieldData/" + std::to_string(i);
        auto made = object{};
        if (const auto* id = text_of(f, "identifier"))
          made.emplace_back("id", *id);
        if (const auto* name = f.find("name"); name && !is_empty(*name))
          made.emplace_back("name", text_from(*name));
        copy_truth(f, "required", made);
        made.emplace_back("type", type(f, "", at, depth + 1));
        list.emplace_back(kept(f, std::move(made)));
      }
    ours.emplace_back("fields", std::move(list));
  }
};

/// The texts in a list of ids.
std::set<std::string> ids_in(const value& exported, std::string_view name) {
  auto ids = std::set<std::string>{};
  if (const auto* all = exported.find(name); all && all->is_array())
    for (const auto& id : all->as_array())
      if (id.is_string())
        ids.insert(id.as_string());
  return ids;
}

std::set<std::string> element_ids(const value& document, std::string_view kind) {
  auto ids = std::set<std::string>{};
  if (const auto* all = document.find(kind); all && all->is_array())
    for (const auto& element : all->as_array())
      if (const auto* id = text_of(element, "id"))
        ids.insert(*id);
  return ids;
}

failure invalid(std::vector<problem> problems, std::string_view reason) {
  auto text = problems.front().where + ": " + problems.front().detail;
  return {errc::invalid_argument, reason, std::move(text), std::move(problems)};
}

// ---- to EnOS ------------------------------------------------------------------------------------

value text_to(const value& ours) {
  if (ours.is_string())
    return object{{"defaultValue", ours}, {"i18nValue", object{}}};
  auto theirs = object{};
  if (const auto* text = ours.find("default"))
    theirs.emplace_back("defaultValue", *text);
  const auto* more = ours.find("i18n");
  theirs.emplace_back("i18nValue", more ? *more : value{object{}});
  return theirs;
}

class exporter {
 public:
  std::vector<problem> problems;

  value element(const value& ours, const kind_words& kind, const std::string& where) {
    auto theirs = object{};
    auto rest = object{};
    const auto is_typed = kind.list == "attributes" || kind.list == "measurePoints";
    if (!is_typed)
      theirs.emplace_back("$class", kind.suffix);
    for (const auto& [name, v] : ours.as_object())
      if (!common(name, v, theirs) && !of_kind(name, v, kind, theirs, where))
        rest.emplace_back(name, v);
    if (is_typed)
      typed(ours, kind.suffix, theirs, where);
    if (kind.list == "measurePoints") {
      set_default(theirs, "signalType", "UNKNOWN");
      set_default(theirs, "hasQuality", false);
      set_default(theirs, "accessMode", false);
    }
    if (kind.list == "attributes") {
      set_default(theirs, "required", false);
      set_default(theirs, "accessMode", true);
    }
    if (!rest.empty())
      theirs.emplace_back("orrery", std::move(rest));
    return theirs;
  }

 private:
  static void set_default(object& o, std::string_view name, value v) {
    if (std::none_of(o.begin(), o.end(), [&](const auto& m) { return m.first == name; }))
      o.emplace_back(name, std::move(v));
  }

  static bool common(std::string_view name, const value& v, object& theirs) {
    if (name == "id")
      theirs.emplace_back("identifier", v);
    else if (name == "name")
      theirs.emplace_back("name", text_to(v));
    else if (name == "description")
      theirs.emplace_back("i18nDesc", text_to(v));
    else if (name == "tags")
      theirs.emplace_back("tags", object{{"tagMap", v}});
    else if (name == "order")
      theirs.emplace_back("priority", v);
    else if (name == "createdAt")
      theirs.emplace_back("createTime", v);
    else
      return name == "type" || name == "unit";
    return true;
  }

  bool of_kind(std::string_view name, const value& v, const kind_words& kind, object& theirs,
               const std::string& where) {
    if (kind.list == "services" || kind.list == "events") {
      if (name == "input" || name == "output")
        theirs.emplace_back(name == "input" ? "inputData" : "outputData", parameters(v, where));
      else if (name == "callType" || name == "level")
        theirs.emplace_back(name, v);
      else
        return false;
      return true;
    }
    if (kind.list == "measurePoints") {
      if (name == "signal")
        theirs.emplace_back("signalType", v == value{"Generic"} ? value{"UNKNOWN"} : v);
      else if (name == "hasQuality")
        theirs.emplace_back(name, v);
      else if (name == "writable")
        theirs.emplace_back("accessMode", v);
      else
        return false;
      return true;
    }
    if (name == "required")
      theirs.emplace_back(name, v);
    else if (name == "default")
      theirs.emplace_back("defaultValue", v);
    else if (name == "access" && (v == value{"rw"} || v == value{"cloud"}))
      theirs.emplace_back("accessMode", v == value{"rw"});
    else
      return false;
    return true;
  }

  array parameters(const value& all, const std::string& where) {
    auto list = array{};
    if (!all.is_array())
      return list;
    for (const auto& p : all.as_array()) {
      auto theirs = object{};
      auto rest = object{};
      for (const auto& [name, v] : p.as_object())
        if (name == "required")
          theirs.emplace_back(name, v);
        else if (name == "default")
          theirs.emplace_back("defaultValue", v);
        else if (!common(name, v, theirs))
          rest.emplace_back(name, v);
      typed(p, "", theirs, where);
      if (!rest.empty())
        theirs.emplace_back("orrery", std::move(rest));
      list.emplace_back(std::move(theirs));
    }
    return list;
  }

  void typed(const value& ours, std::string_view suffix, object& theirs, const std::string& where) {
    if (const auto* t = ours.find("type"))
      type(*t, suffix, theirs, where, "");
    if (const auto* code = text_of(ours, "unit"); code && !code->empty()) {
      const auto* known = find_unit(*code);
      theirs.emplace_back(
          "unit",
          object{{"unitId", known && known->code == *code ? std::string{known->symbol} : *code},
                 {"multiplier", "ONE"}});
    }
  }

  /// `inside`: "array" or "struct" if it is of what stands in one.
  void type(const value& ours, std::string_view suffix, object& theirs, const std::string& where,
            std::string_view inside) {
    const auto* name = text_of(ours, "t");
    const auto* const word = std::find_if(type_words.begin(), type_words.end(),
                                          [&](const auto& w) { return name && w.ours == *name; });
    const auto fits = [&](std::initializer_list<std::string_view> all) {
      return std::find(all.begin(), all.end(), *name) != all.end();
    };
    const auto is_known =
        word != type_words.end() &&
        (inside.empty() || (inside == "array" && fits({"int", "float", "double", "string"})) ||
         (inside == "struct" &&
          fits({"date", "timestamp", "string", "double", "int", "float", "enum", "bool"})));
    if (!is_known)
      return note(problems, where, "enos_unsupported",
                  "EnOS has no type " + (name ? *name : std::string{"of that name"}) +
                      (inside.empty() ? "" : " in " + std::string{inside}));
    theirs.insert(theirs.begin(), {"$class", std::string{word->theirs} + std::string{suffix}});
    auto rest = object{};
    for (const auto& [key, v] : ours.as_object()) {
      const auto* const same =
          std::find_if(constraints.begin(), constraints.end(),
                       [&, k = std::string_view{key}](const auto& c) { return c.first == k; });
      if (same != constraints.end())
        theirs.emplace_back(same->second, v);
      else if (key == "values")
        theirs.emplace_back("specsMap", labels(v));
      else if (key == "base")
        theirs.emplace_back("valueType", v);
      else if (key == "items")
        theirs.emplace_back("items", items(v, where));
      else if (key == "fields")
        theirs.emplace_back("fieldData", fields(v, where));
      else if (key != "t")
        rest.emplace_back(key, v);
    }
    if (!rest.empty())
      theirs.emplace_back("orreryType", std::move(rest));
  }

  static object labels(const value& values) {
    auto map = object{};
    if (values.is_object())
      for (const auto& [key, label] : values.as_object())
        map.emplace_back(key, to_json(text_to(label)));
    return map;
  }
  object items(const value& ours, const std::string& where) {
    auto theirs = object{};
    type(ours, "", theirs, where, "array");
    return theirs;
  }
  array fields(const value& all, const std::string& where) {
    auto list = array{};
    if (!all.is_array())
      return list;
    for (const auto& f : all.as_array()) {
      auto theirs = object{};
      auto rest = object{};
      for (const auto& [name, v] : f.as_object())
        if (name == "id")
          theirs.emplace_back("identifier", v);
        else if (name == "name")
          theirs.emplace_back("name", text_to(v));
        else if (name == "required")
          theirs.emplace_back("required", v);
        else if (name != "type")
          rest.emplace_back(name, v);
      if (const auto* t = f.find("type"))
        type(*t, "", theirs, where, "struct");
      if (!rest.empty())
        theirs.emplace_back("orrery", std::move(rest));
      list.emplace_back(std::move(theirs));
    }
    return list;
  }
};

}  // namespace

bool is_enos_model(const value& document) {
  return document.find("thingModelId") != nullptr;
}

result<value> from_enos(const value& exported) {
  auto in = importer{};
  auto ours = object{{"format", "tm/1"}};
  const auto* id = text_of(exported, "thingModelId");
  if (!id)
    return invalid({{"/thingModelId", "required_missing", "a model has an id"}}, "import_invalid");
  ours.emplace_back("id", *id);
  const auto take_text = [&](std::string_view theirs, std::string_view as) {
    if (const auto* v = exported.find(theirs); v && !is_empty(*v))
      if (auto text = text_from(*v); !is_empty(text))
        set_member(ours, as, std::move(text));
  };
  take_text("thingModelName", "name");
  take_text("thingModelDesc", "description");
  take_text("thingModelCategory", "category");
  take_text("thingModelCatagory", "category");  // as it is spelt
  if (const auto* tags = exported.find("tag"))
    if (const auto* map = tags->find("tagMap"); map && !is_empty(*map))
      ours.emplace_back("tags", *map);
  const auto* parent = text_of(exported, "parentThingModelId");
  if (parent && !parent->empty())
    ours.emplace_back("extends", *parent);
  for (const auto name : {"allowAdditionalAttribute", "allowAdditionalMeasurepoint"})
    if (const auto* allows = exported.find(name); allows && allows->is_bool() && allows->as_bool())
      set_member(ours, "validate", "lenient");
  for (const auto& kind : kinds) {
    const auto* map = exported.find(kind.map);
    if (!map || map->is_null())
      continue;
    const auto where = '/' + std::string{kind.map};
    if (!map->is_object()) {
      note(in.problems, where, "type_mismatch", "expected an object of elements");
      continue;
    }
    const auto inherited =
        parent && !parent->empty() ? ids_in(exported, kind.inherited) : std::set<std::string>{};
    auto list = array{};
    for (const auto& [key, element] : map->as_object())
      if (!inherited.contains(key))
        list.push_back(in.element(element, kind, where + '/' + key));
    if (!list.empty())
      ours.emplace_back(kind.list, std::move(list));
  }
  if (const auto* more = exported.find("orrery"); more && more->is_object())
    for (const auto& [name, v] : more->as_object())
      set_member(ours, name, v);
  if (!in.problems.empty())
    return invalid(std::move(in.problems), "import_invalid");
  return value{std::move(ours)};
}

result<value> to_enos(const value& document, const value& own) {
  auto out = exporter{};
  auto theirs = object{};
  auto rest = object{};
  for (const auto& [name, v] : document.as_object())
    if (name == "id")
      theirs.emplace_back("thingModelId", v);
    else if (name == "name")
      theirs.emplace_back("thingModelName", text_to(v));
    else if (name == "description")
      theirs.emplace_back("thingModelDesc", text_to(v));
    else if (name == "category")
      theirs.emplace_back("thingModelCatagory", v);
    else if (name == "tags")
      theirs.emplace_back("tag", object{{"tagMap", v}});
    else if (name == "extends")
      theirs.emplace_back("parentThingModelId", v);
    else if (name == "validate" && (v == value{"strict"} || v == value{"lenient"}))
      for (const auto allows : {"allowAdditionalAttribute", "allowAdditionalMeasurepoint"})
        theirs.emplace_back(allows, v == value{"lenient"});
    else if (name != "format" && name != "attributes" && name != "measurePoints" &&
             name != "services" && name != "events" && name != "revision" && name != "publishedAt")
      rest.emplace_back(name, v);
  for (const auto& kind : kinds) {
    auto map = object{};
    if (const auto* all = document.find(kind.list); all && all->is_array())
      for (const auto& element : all->as_array()) {
        const auto* id = text_of(element, "id");
        const auto key = id ? *id : std::string{};
        map.emplace_back(key, out.element(element, kind, std::string{kind.list} + '/' + key));
      }
    const auto mine = element_ids(own, kind.list);
    auto ids = array{};
    for (const auto& [id, element] : map)
      if (!own.is_null() && !mine.contains(id))
        ids.emplace_back(id);
    theirs.emplace_back(kind.map, std::move(map));
    theirs.emplace_back(kind.inherited, std::move(ids));
  }
  if (!rest.empty())
    theirs.emplace_back("orrery", std::move(rest));
  if (!out.problems.empty())
    return invalid(std::move(out.problems), "enos_unsupported");
  return value{std::move(theirs)};
}

result<value> library_element_from_enos(const value& packed) {
  auto in = importer{};
  auto ours = in.element(packed, kinds[0], "").as_object();
  std::erase_if(ours, [](const auto& m) { return m.first == "required" || m.first == "access"; });
  auto may_be = array{};
  if (const auto* all = packed.find("elementType"); all && all->is_array())
    for (const auto& kind : all->as_array())
      if (kind.is_string()) {
        auto word = kind.as_string();
        std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) {
          return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        });
        may_be.emplace_back(word == "measurepoint" ? "measurePoint" : word.c_str());
      }
  const auto is_data = std::any_of(may_be.begin(), may_be.end(), [](const value& v) {
    return v == value{"attribute"} || v == value{"measurePoint"};
  });
  if (!is_data) {
    std::erase_if(ours, [](const auto& m) { return m.first == "type" || m.first == "unit"; });
    std::erase_if(in.problems, [](const auto& p) { return p.where.ends_with("/$class"); });
  }
  ours.emplace_back("elementTypes", std::move(may_be));
  for (const auto name : {"category", "version"})
    if (const auto* v = packed.find(name); v && v->is_string())
      ours.emplace_back(name, *v);
  if (const auto* gone = packed.find("deprecated"); gone && gone->is_bool() && gone->as_bool())
    ours.emplace_back("deprecated", true);
  if (const auto* text = packed.find("description"); text && !is_empty(*text))
    set_member(ours, "description", text_from(*text));
  if (!in.problems.empty())
    return invalid(std::move(in.problems), "import_invalid");
  return value{std::move(ours)};
}

}  // namespace orrery::model
