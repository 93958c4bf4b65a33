// A tm/1 document to a thing_model, with every finding.
#include <algorithm>
#include <set>

#include <re2/re2.h>

#include "model/ids.hpp"
#include "model/json.hpp"
#include "model/thing_model.hpp"

namespace orrery::model {
namespace {

constexpr std::size_t max_attributes = 200, max_points = 5000, max_services = 50, max_events = 50,
                      max_entries = 200, max_fields = 50, max_findings = 200;

constexpr std::size_t max_tags = 100, max_tag_bytes = 50, max_tag_text_bytes = 800,
                      max_category_bytes = 256;

bool is_tag_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
         c == '/' || c == '-';
}

/// Reads one JSON object by its known keys and notes what is wrong, where.
class reader {
 public:
  reader(const value& v, std::string where, std::vector<problem>& findings)
      : v_{v}, where_{std::move(where)}, findings_{findings} {
    if (!v_.is_object())
      note("", "type_mismatch", "expected an object");
  }
  /// Whatever was not asked for and does not begin with "x-" is unknown.
  ~reader() {
    if (!v_.is_object())
      return;
    for (const auto& [key, member] : v_.as_object())
      if (!known_.contains(key) && !key.starts_with("x-"))
        note(key, "unknown_field", "no such key here");
  }
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;

  const value* any(std::string_view key) {
    known_.insert(std::string{key});
    const auto* member = v_.find(key);
    return member && member->is_null() ? nullptr : member;
  }
  std::string text(std::string_view key) {
    const auto* m = any(key);
    if (m && !m->is_string())
      note(key, "type_mismatch", "expected text");
    return m && m->is_string() ? m->as_string() : std::string{};
  }
  bool boolean(std::string_view key, bool otherwise = false) {
    const auto* m = any(key);
    if (m && !m->is_bool())
      note(key, "type_mismatch", "expected true or false");
    return m && m->is_bool() ? m->as_bool() : otherwise;
  }
  std::optional<double> number(std::string_view key) {
    const auto* m = any(key);
    if (m && !m->is_number())
      note(key, "type_mismatch", "expected a number");
    return m && m->is_number() ? std::optional{m->as_double()} : std::nullopt;
  }
  std::optional<std::int64_t> whole(std::string_view key, std::int64_t least, std::int64_t most) {
    const auto* m = any(key);
    if (!m)
      return std::nullopt;
    if (!m->is_int() || m->as_int() < least || m->as_int() > most) {
      note(key, "type_mismatch",
           "expected a whole number from " + std::to_string(least) + " to " + std::to_string(most));
      return std::nullopt;
    }
    return m->as_int();
  }
  /// Text, or {"default", "i18n"}: the default text.
  std::string translated(std::string_view key, std::size_t most, bool required) {
    const auto* m = any(key);
    if (!m) {
      if (required)
        note(key, "required_missing", "a name is required");
      return {};
    }
    const auto* text = m->is_string()       ? m
                       : m->find("default") ? m->find("default")
                                            : m->find("defaultValue");
    if (!text || !text->is_string()) {
      note(key, "type_mismatch", R"(expected text or {"default": text, "i18n": {...}})");
      return {};
    }
    if (text->as_string().size() > most * 4)
      note(key, "too_long", "at most " + std::to_string(most) + " characters");
    return text->as_string();
  }
  /// Texts by key: 100 at most.
  void tags() {
    const auto* m = any("tags");
    if (!m)
      return;
    if (!m->is_object())
      return note("tags", "type_mismatch", "expected an object of texts");
    if (m->as_object().size() > max_tags)
      note("tags", "array_size", "at most " + std::to_string(max_tags) + " tags");
    for (const auto& [key, text] : m->as_object())
      if (key.empty() || key.size() > max_tag_bytes ||
          !std::all_of(key.begin(), key.end(), is_tag_character))
        note("tags/" + key, "type_mismatch", "a tag's key is 1 to 50 of A-Z a-z 0-9 _ / -");
      else if (!text.is_string() || text.as_string().size() > max_tag_text_bytes ||
               text.as_string().starts_with(' ') || text.as_string().ends_with(' '))
        note("tags/" + key, "type_mismatch",
             "a tag is text of at most 200 characters, no blank at its ends");
  }
  template <class Name, class T>
  T one_of(std::string_view key, T otherwise, std::initializer_list<std::pair<Name, T>> choices) {
    const auto* m = any(key);
    if (!m)
      return otherwise;
    auto expected = std::string{};
    for (const auto& [name, choice] : choices) {
      if (m->is_string() && m->as_string() == name)
        return choice;
      expected += (expected.empty() ? "" : ", ") + std::string{name};
    }
    note(key, "enum_unknown", "expected one of " + expected);
    return otherwise;
  }
  const array& list(std::string_view key, std::size_t most) {
    static const auto none = array{};
    const auto* m = any(key);
    if (!m)
      return none;
    if (!m->is_array()) {
      note(key, "type_mismatch", "expected an array");
      return none;
    }
    if (m->as_array().size() > most) {
      note(key, "array_size", "at most " + std::to_string(most) + " entries");
      return none;
    }
    return m->as_array();
  }
  void ignore(std::initializer_list<std::string_view> keys) {
    for (const auto key : keys)
      known_.insert(std::string{key});
  }
  void note(std::string_view key, std::string_view code, std::string detail) {
    if (findings_.size() < max_findings)
      findings_.push_back({at(key), code, std::move(detail)});
  }
  std::string at(std::string_view key) const {
    return key.empty() ? where_ : where_ + "/" + std::string{key};
  }
  std::vector<problem>& findings() { return findings_; }

 private:
  const value& v_;
  std::string where_;
  std::vector<problem>& findings_;
  std::set<std::string> known_;
};

bool is_identifier(std::string_view id) {
  return is_valid_key(id, 1, 128);
}

const value& null_object() {
  static const auto none = value{object{}};
  return none;
}

void read_type(const value* v, std::string where, int depth, std::vector<problem>& findings,
               type_spec& t) {
  auto in = reader{v ? *v : null_object(), std::move(where), findings};
  if (!v) {
    in.note("t", "required_missing", "a type is required");
    return;
  }
  t.type = in.one_of<const char*>("t", data_type::file,
                                  {{"bool", data_type::boolean},
                                   {"int", data_type::int32},
                                   {"long", data_type::int64},
                                   {"float", data_type::float32},
                                   {"double", data_type::float64},
                                   {"string", data_type::string},
                                   {"date", data_type::date},
                                   {"timestamp", data_type::instant},
                                   {"enum", data_type::enumeration},
                                   {"array", data_type::list},
                                   {"struct", data_type::structure},
                                   {"map", data_type::dictionary},
                                   {"file", data_type::file}});
  if (!in.any("t"))
    in.note("t", "required_missing", "a type is required");
  switch (t.type) {
    case data_type::int32:
    case data_type::int64:
    case data_type::float32:
    case data_type::float64: {
      t.min = in.number("min");
      t.max = in.number("max");
      t.step = in.number("step");
      t.exclusive_min = in.boolean("exclusiveMin");
      t.exclusive_max = in.boolean("exclusiveMax");
      in.whole("precision", 0, 20);
      if (t.min && t.max && *t.min > *t.max)
        in.note("min", "below_min", "min is above max");
      if (t.step && *t.step <= 0)
        in.note("step", "below_min", "a step is above 0");
      if (t.type == data_type::int32 || t.type == data_type::int64) {
        if (const auto* m = in.any("min"); m && m->is_int())
          t.min_int = m->as_int();
        else if (t.min)
          t.min_int = static_cast<std::int64_t>(*t.min);
        if (const auto* m = in.any("max"); m && m->is_int())
          t.max_int = m->as_int();
        else if (t.max)
          t.max_int = static_cast<std::int64_t>(*t.max);
      }
      break;
    }
    case data_type::string:
      if (const auto n = in.whole("minLength", 0, 65536))
        t.min_length = static_cast<std::size_t>(*n);
      if (const auto n = in.whole("maxLength", 1, 65536))
        t.max_length = static_cast<std::size_t>(*n);
      t.subtype = in.text("subtype");
      t.pattern = in.text("pattern");
      if (!t.pattern.empty()) {
        auto options = RE2::Options{RE2::Quiet};
        options.set_max_mem(1 << 20);
        auto compiled = std::make_shared<RE2>(t.pattern, options);
        if (!compiled->ok())
          in.note("pattern", "pattern", "not a pattern: " + compiled->error());
        t.compiled_pattern = std::move(compiled);
      }
      break;
    case data_type::enumeration: {
      t.enum_of_strings = in.one_of<const char*>("base", false, {{"int", false}, {"string", true}});
      const auto* entries = in.any("values");
      if (!entries || !entries->is_object() || entries->as_object().empty() ||
          entries->as_object().size() > max_entries) {
        in.note("values", "required_missing", "an enumeration has 1 to 200 values");
        break;
      }
      for (const auto& [key, name] : entries->as_object()) {
        const auto* label = name.is_string() ? &name : name.find("default");
        const auto digits = key.size() - (key.starts_with('-') ? 1 : 0);
        if (!t.enum_of_strings &&
            (digits == 0 || digits > 10 ||
             key.find_first_not_of("0123456789", key.starts_with('-') ? 1 : 0) !=
                 std::string::npos))
          in.note("values/" + key, "type_mismatch",
                  "the key of an int enumeration is a whole number");
        t.entries.emplace_back(key, label && label->is_string() ? label->as_string() : key);
      }
      break;
    }
    case data_type::list:
    case data_type::dictionary: {
      const auto key = t.type == data_type::list ? "items" : "values";
      if (const auto n = in.whole(t.type == data_type::list ? "maxItems" : "maxEntries", 0, 1024))
        t.max_items = static_cast<std::size_t>(*n);
      if (const auto n = in.whole("minItems", 0, 1024))
        t.min_items = static_cast<std::size_t>(*n);
      auto items = std::make_shared<type_spec>();
      const auto* inner = in.any(key);
      if (depth >= 2)
        in.note(key, "type_mismatch", "types nest two deep at most");
      else
        read_type(inner, in.at(key), depth + 1, findings, *items);
      if (items->type == data_type::list || items->type == data_type::dictionary)
        in.note(key, "type_mismatch", "an array of arrays is not possible");
      t.items = std::move(items);
      break;
    }
    case data_type::structure: {
      t.drop_unknown_fields =
          in.one_of<const char*>("unknown", false, {{"reject", false}, {"drop", true}});
      auto n = 0;
      for (const auto& f : in.list("fields", max_fields)) {
        const auto place = in.at("fields/" + std::to_string(n++));
        auto field = reader{f, place, findings};
        auto made = type_spec::field{};
        made.id = field.text("id");
        made.required = field.boolean("required");
        field.translated("name", 64, false);
        field.ignore({"description", "unit", "default"});
        if (!is_identifier(made.id))
          field.note("id", "type_mismatch",
                     "an identifier is 1 to 128 characters of A-Z a-z 0-9 . _ -");
        if (depth >= 1)
          field.note("type", "type_mismatch", "a struct does not nest");
        else
          read_type(field.any("type"), field.at("type"), depth + 1, findings, made.type);
        if (made.type.type == data_type::structure || made.type.type == data_type::dictionary)
          field.note("type", "type_mismatch", "a struct does not nest");
        t.fields.push_back(std::move(made));
      }
      if (t.fields.empty())
        in.note("fields", "required_missing", "a struct has fields");
      break;
    }
    case data_type::file:
      in.whole("maxSize", 1, std::int64_t{1} << 40);
      in.ignore({"media", "ttl"});
      break;
    case data_type::boolean:
      in.ignore({"true", "false", "labels"});
      break;
    case data_type::date:
    case data_type::instant:
      in.ignore({"min", "max"});
      break;
  }
}

void read_element(reader& in, element& e) {
  e.id = in.text("id");
  e.name = in.translated("name", 64, false);
  in.translated("description", 1024, false);
  e.unit = in.text("unit");
  in.ignore({"tags", "order", "standardRef", "createdAt", "deprecated", "indexed"});
  if (!is_identifier(e.id))
    in.note("id", "type_mismatch", "an identifier is 1 to 128 characters of A-Z a-z 0-9 . _ -");
  read_type(in.any("type"), in.at("type"), 0, in.findings(), e.type);
  if (e.name.empty())
    e.name = e.id;
}

std::optional<value> read_default(reader& in, const type_spec& type) {
  const auto* given = in.any("default");
  if (!given)
    return std::nullopt;
  auto checked = check_value(type, *given, validation::strict, in.at("default"));
  if (!checked) {
    in.note("default", checked.error().reason, checked.error().detail);
    return std::nullopt;
  }
  return std::move(*checked);
}

std::vector<parameter_spec> read_parameters(reader& owner, std::string_view key) {
  auto out = std::vector<parameter_spec>{};
  auto n = 0;
  auto ids = std::set<std::string>{};
  for (const auto& v : owner.list(key, 100)) {
    auto in = reader{v, owner.at(std::string{key} + "/" + std::to_string(n++)), owner.findings()};
    auto p = parameter_spec{};
    read_element(in, p);
    p.required = in.boolean("required");
    p.default_value = read_default(in, p.type);
    if (!ids.insert(p.id).second)
      in.note("id", "conflict", "the parameter " + p.id + " stands twice");
    out.push_back(std::move(p));
  }
  return out;
}

}  // namespace

result<thing_model> thing_model::compile(const value& document) {
  auto findings = std::vector<problem>{};
  auto m = thing_model{};
  {
    auto in = reader{document, "", findings};
    if (in.text("format") != "tm/1")
      in.note("format", "type_mismatch", "expected tm/1");
    m.id_ = in.text("id");
    if (!is_valid_key(m.id_, 1, 64))
      in.note("id", "type_mismatch", "a model id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
    m.name_ = in.translated("name", 64, false);
    in.translated("description", 1024, false);
    if (in.text("category").size() > max_category_bytes)
      in.note("category", "too_long", "at most 64 characters");
    in.tags();
    in.ignore({"revision", "publishedAt"});
    in.text("extends");  // what it inherits is in it already (blueprint/inheritance.hpp)
    m.mode_ = in.one_of<const char*>("validate", validation::strict,
                                     {{"strict", validation::strict},
                                      {"lenient", validation::lenient},
                                      {"mark", validation::mark},
                                      {"off", validation::off}});
    auto data_ids = std::set<std::string>{};  // an attribute and a point may not share an id
    const auto take_id = [](reader& r, std::set<std::string>& ids, const std::string& id) {
      if (id.starts_with('$'))
        r.note("id", "conflict", "identifiers that begin with $ are reserved");
      if (!ids.insert(id).second)
        r.note("id", "conflict", "the identifier " + id + " stands twice");
    };
    auto n = 0;
    for (const auto& v : in.list("attributes", max_attributes)) {
      auto r = reader{v, "/attributes/" + std::to_string(n++), findings};
      auto a = attribute_spec{};
      read_element(r, a);
      a.required = r.boolean("required");
      a.access = r.one_of<const char*>("access", attribute_spec::access_mode::read_write,
                                       {{"rw", attribute_spec::access_mode::read_write},
                                        {"cloud", attribute_spec::access_mode::cloud},
                                        {"device", attribute_spec::access_mode::device},
                                        {"ro", attribute_spec::access_mode::read_only}});
      a.default_value = read_default(r, a.type);
      take_id(r, data_ids, a.id);
      m.attribute_at_.emplace(a.id, m.attributes_.size());
      m.attributes_.push_back(std::move(a));
    }
    n = 0;
    for (const auto& v : in.list("measurePoints", max_points)) {
      auto r = reader{v, "/measurePoints/" + std::to_string(n++), findings};
      auto p = point_spec{};
      read_element(r, p);
      p.signal = r.one_of<const char*>("signal", signal_kind::generic,
                                       {{"AI", signal_kind::analogue},
                                        {"DI", signal_kind::discrete},
                                        {"PI", signal_kind::pulse},
                                        {"Generic", signal_kind::generic}});
      p.has_quality = r.boolean("hasQuality");
      p.writable = r.boolean("writable");
      r.ignore({"required", "retention", "deadband", "counter"});
      if (p.type.type == data_type::dictionary)
        r.note("type", "type_mismatch", "a measure point is no map");
      take_id(r, data_ids, p.id);
      m.point_at_.emplace(p.id, m.points_.size());
      m.points_.push_back(std::move(p));
    }
    n = 0;
    auto service_ids = std::set<std::string>{}, event_ids = std::set<std::string>{};
    for (const auto& v : in.list("services", max_services)) {
      auto r = reader{v, "/services/" + std::to_string(n++), findings};
      auto s = service_spec{};
      s.id = r.text("id");
      if (!is_identifier(s.id))
        r.note("id", "type_mismatch", "an identifier is 1 to 128 characters of A-Z a-z 0-9 . _ -");
      s.name = r.translated("name", 64, false);
      r.translated("description", 1024, false);
      s.asynchronous = r.one_of<const char*>("callType", false, {{"SYNC", false}, {"ASYNC", true}});
      s.idempotent = r.boolean("idempotent");
      if (const auto seconds = r.whole("timeoutDefault", 1, 60))
        s.timeout_seconds = static_cast<int>(*seconds);
      r.ignore({"tags", "order", "standardRef", "createdAt", "deprecated", "confirm",
                "pendingTtlDefault"});
      s.input = read_parameters(r, "input");
      s.output = read_parameters(r, "output");
      take_id(r, service_ids, s.id);
      m.service_at_.emplace(s.id, m.services_.size());
      m.services_.push_back(std::move(s));
    }
    n = 0;
    for (const auto& v : in.list("events", max_events)) {
      auto r = reader{v, "/events/" + std::to_string(n++), findings};
      auto e = event_spec{};
      e.id = r.text("id");
      if (!is_identifier(e.id))
        r.note("id", "type_mismatch", "an identifier is 1 to 128 characters of A-Z a-z 0-9 . _ -");
      e.name = r.translated("name", 64, false);
      r.translated("description", 1024, false);
      e.level = r.one_of<const char*>("level", event_spec::severity::info,
                                      {{"info", event_spec::severity::info},
                                       {"warning", event_spec::severity::warning},
                                       {"error", event_spec::severity::error}});
      r.ignore({"tags", "order", "standardRef", "createdAt", "deprecated", "dedupKey",
                "dedupWindow", "raisesAlert"});
      e.output = read_parameters(r, "output");
      take_id(r, event_ids, e.id);
      m.event_at_.emplace(e.id, m.events_.size());
      m.events_.push_back(std::move(e));
    }
  }
  if (!findings.empty()) {
    auto text = "the model has " + std::to_string(findings.size()) +
                (findings.size() == 1 ? " fault: " : " faults, the first: ") +
                findings.front().where + ": " + findings.front().detail;
    return failure{errc::invalid_argument, "model_invalid", std::move(text), std::move(findings)};
  }
  return m;
}

}  // namespace orrery::model
