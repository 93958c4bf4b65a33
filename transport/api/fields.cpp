#include "transport/api/fields.hpp"

#include <algorithm>

#include "transport/api/time_text.hpp"

namespace orrery::transport::api {
namespace {

constexpr std::string_view wrong_type = "type_mismatch";

/// A member's name as a part of a JSON pointer (RFC 6901, 3).
std::string escaped(std::string_view name) {
  auto out = std::string{};
  for (const auto c : name)
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  return out;
}

}  // namespace

fields::fields(const model::value& from, std::string where)
    : from_{from}, where_{std::move(where)} {
  if (!from.is_object())
    problems.push_back({where_, wrong_type, "expected an object"});
}

const model::value* fields::take(std::string_view name) {
  asked_.emplace_back(name);
  return from_.find(name);
}

void fields::note(std::string_view name, std::string_view code, std::string detail) {
  problems.push_back({where_ + "/" + std::string{name}, code, std::move(detail)});
}

std::optional<std::string> fields::text(std::string_view name, std::size_t most) {
  const auto* v = take(name);
  if (!v)
    return std::nullopt;
  if (!v->is_string()) {
    note(name, wrong_type, "expected text");
    return std::nullopt;
  }
  if (v->as_string().size() > most) {
    note(name, "too_long", "at most " + std::to_string(most) + " bytes");
    return std::nullopt;
  }
  return v->as_string();
}

std::optional<bool> fields::truth(std::string_view name) {
  const auto* v = take(name);
  if (!v)
    return std::nullopt;
  if (v->is_bool())
    return v->as_bool();
  note(name, wrong_type, "expected true or false");
  return std::nullopt;
}

std::optional<std::int64_t> fields::integer(std::string_view name, std::int64_t least,
                                            std::int64_t most) {
  const auto* v = take(name);
  if (!v)
    return std::nullopt;
  if (v->is_int() && v->as_int() >= least && v->as_int() <= most)
    return v->as_int();
  note(name, v->is_int() ? "out_of_range" : wrong_type,
       "expected a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return std::nullopt;
}

std::optional<model::timestamp> fields::time(std::string_view name) {
  const auto* v = take(name);
  if (!v)
    return std::nullopt;
  if (const auto t = v->is_int()      ? time_of(v->as_int())
                     : v->is_string() ? parse_time(v->as_string())
                                      : std::nullopt)
    return t;
  note(name, wrong_type, "expected a time: RFC 3339 or epoch ms");
  return std::nullopt;
}

std::optional<std::string> fields::word(std::string_view name,
                                        const std::vector<std::string_view>& words) {
  auto v = text(name);
  if (!v || std::find(words.begin(), words.end(), *v) != words.end())
    return v;
  auto all = std::string{};
  for (const auto w : words)
    all += (all.empty() ? "" : ", ") + std::string{w};
  note(name, "not_allowed", "expected one of " + all);
  return std::nullopt;
}

std::optional<model::object> fields::object(std::string_view name) {
  const auto* v = take(name);
  if (!v)
    return std::nullopt;
  if (v->is_object())
    return v->as_object();
  note(name, wrong_type, "expected an object");
  return std::nullopt;
}

const model::array* fields::array(std::string_view name, std::size_t most) {
  const auto* v = take(name);
  if (!v)
    return nullptr;
  if (!v->is_array()) {
    note(name, wrong_type, "expected an array");
    return nullptr;
  }
  if (v->as_array().size() > most) {
    note(name, "too_long", "at most " + std::to_string(most) + " items");
    return nullptr;
  }
  return &v->as_array();
}

std::optional<std::vector<std::string>> fields::texts(std::string_view name, std::size_t most) {
  const auto* items = array(name, most);
  if (!items)
    return std::nullopt;
  auto all = std::vector<std::string>{};
  for (const auto& item : *items)
    if (item.is_string())
      all.push_back(item.as_string());
    else
      note(std::string{name} + "/" + std::to_string(&item - items->data()), wrong_type,
           "expected text");
  return all;
}

std::map<std::string, std::optional<std::string>> fields::text_map(std::string_view name,
                                                                   bool removable) {
  auto all = std::map<std::string, std::optional<std::string>>{};
  const auto members = object(name);
  if (!members)
    return all;
  for (const auto& [key, v] : *members)
    if (v.is_string())
      all[key] = v.as_string();
    else if (v.is_null() && removable)
      all[key] = std::nullopt;
    else
      note(std::string{name} + "/" + escaped(key), wrong_type, "expected text");
  return all;
}

const model::value* fields::any(std::string_view name) {
  return take(name);
}

model::status fields::finish() {
  constexpr std::string_view unknown = "unknown_field";
  if (from_.is_object())
    for (const auto& [name, v] : from_.as_object())
      if (std::find(asked_.begin(), asked_.end(), name) == asked_.end())
        note(escaped(name), unknown, "no such field here");
  if (problems.empty())
    return {};
  // Also one further in, whose findings were added to these.
  const auto typing_error = std::any_of(problems.begin(), problems.end(),
                                        [&](const auto& p) { return p.code == unknown; });
  return model::failure{model::errc::invalid_argument,
                        typing_error ? unknown : std::string_view{"validation_failed"},
                        "the request has fields that cannot be used", std::move(problems)};
}

}  // namespace orrery::transport::api
