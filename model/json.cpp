#include "model/json.hpp"

#include <charconv>
#include <cmath>
#include <cstring>
#include <unordered_set>

#include <simdjson.h>

namespace orrery::model {
namespace {

namespace dom = simdjson::dom;

/// Of equal names the last one counts. Few members are compared with each other, many by a set.
void drop_doubles(object& members) {
  constexpr std::size_t few = 16;
  if (members.size() <= few) {
    for (std::size_t i = 1; i < members.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (members[j].first == members[i].first) {
          members.erase(members.begin() + static_cast<std::ptrdiff_t>(j));
          --i;
          break;
        }
    return;
  }
  auto seen = std::unordered_set<std::string_view>{};
  auto unique = std::vector<bool>(members.size());
  for (auto i = members.size(); i-- > 0;)
    unique[i] = seen.insert(members[i].first).second;
  if (seen.size() == members.size())
    return;
  auto kept = object{};
  for (std::size_t i = 0; i < members.size(); ++i)
    if (unique[i])
      kept.push_back(std::move(members[i]));
  members = std::move(kept);
}

struct builder {
  const json_limits& limits;
  std::size_t nodes = 0;
  bool too_many = false;

  value build(const dom::element& e) {
    if (++nodes > limits.max_nodes) {
      too_many = true;
      return {};
    }
    switch (e.type()) {
      case dom::element_type::NULL_VALUE:
        return {};
      case dom::element_type::BOOL:
        return e.get_bool().value_unsafe();
      case dom::element_type::INT64:
        return std::int64_t{e.get_int64().value_unsafe()};
      case dom::element_type::UINT64:
        return static_cast<double>(e.get_uint64().value_unsafe());
      case dom::element_type::DOUBLE:
        return e.get_double().value_unsafe();
      case dom::element_type::STRING:
        return std::string_view{e.get_string().value_unsafe()};
      case dom::element_type::ARRAY: {
        auto items = array{};
        const auto list = e.get_array().value_unsafe();
        items.reserve(list.size());
        for (const auto item : list) {
          items.push_back(build(item));
          if (too_many)
            break;
        }
        return items;
      }
      case dom::element_type::OBJECT: {
        auto members = object{};
        const auto fields = e.get_object().value_unsafe();
        members.reserve(fields.size());
        for (const auto field : fields) {
          auto v = build(field.value);
          if (too_many)
            break;
          members.emplace_back(std::string{field.key}, std::move(v));
        }
        drop_doubles(members);
        return members;
      }
    }
    return {};
  }
};

}  // namespace

result<value> parse_json(std::string_view text, const json_limits& limits) {
  if (text.size() > limits.max_bytes)
    return failure{errc::too_large, "json_too_large",
                   "JSON of " + std::to_string(text.size()) + " bytes; the limit is " +
                       std::to_string(limits.max_bytes)};
  thread_local auto parser = dom::parser{};
  thread_local auto buffer = std::string{};
  if (buffer.size() < text.size() + simdjson::SIMDJSON_PADDING)
    buffer.resize(text.size() + simdjson::SIMDJSON_PADDING);
  std::memcpy(buffer.data(), text.data(), text.size());
  if (parser.max_depth() != limits.max_depth + 1 || parser.capacity() < text.size())
    if (parser.allocate(std::max<std::size_t>(text.size(), 4096), limits.max_depth + 1) !=
        simdjson::SUCCESS)
      return failure{errc::unavailable, "no memory to parse JSON"};
  auto root = dom::element{};
  if (const auto error = parser.parse(buffer.data(), text.size(), false).get(root);
      error != simdjson::SUCCESS) {
    if (error == simdjson::DEPTH_ERROR)
      return failure{errc::too_large, "json_too_deep",
                     "JSON nested deeper than " + std::to_string(limits.max_depth) + " levels"};
    return failure{errc::invalid_argument, "json_malformed",
                   std::string{"not JSON: "} + simdjson::error_message(error)};
  }
  auto made = builder{limits};
  auto v = made.build(root);
  if (made.too_many)
    return failure{errc::too_large, "json_too_large",
                   "JSON of more than " + std::to_string(limits.max_nodes) + " values"};
  constexpr std::size_t kept = 1024 * 1024;
  if (buffer.capacity() > kept)
    buffer = std::string{};
  return v;
}

void write_json_string(std::string_view text, std::string& out) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  auto plain = std::size_t{0};  // begin of what needs no escape
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\')
      continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00";
        out += hex[c >> 4];
        out += hex[c & 15];
    }
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
}

void write_json(const value& v, std::string& out) {
  char digits[40];
  if (v.is_null()) {
    out += "null";
  } else if (v.is_bool()) {
    out += v.as_bool() ? "true" : "false";
  } else if (v.is_int()) {
    out.append(digits, std::to_chars(digits, digits + sizeof digits, v.as_int()).ptr);
  } else if (v.is_double()) {
    if (!std::isfinite(v.as_double())) {
      out += "null";
      return;
    }
    const auto* end = std::to_chars(digits, digits + sizeof digits, v.as_double()).ptr;
    const auto text = std::string_view{digits, static_cast<std::size_t>(end - digits)};
    out += text;
    if (text.find_first_of(".e") == std::string_view::npos)
      out += ".0";
  } else if (v.is_string()) {
    write_json_string(v.as_string(), out);
  } else if (v.is_array()) {
    out += '[';
    auto first = true;
    for (const auto& item : v.as_array()) {
      if (!std::exchange(first, false))
        out += ',';
      write_json(item, out);
    }
    out += ']';
  } else {
    out += '{';
    auto first = true;
    for (const auto& [name, member] : v.as_object()) {
      if (!std::exchange(first, false))
        out += ',';
      write_json_string(name, out);
      out += ':';
      write_json(member, out);
    }
    out += '}';
  }
}

std::string to_json(const value& v) {
  auto out = std::string{};
  write_json(v, out);
  return out;
}

}  // namespace orrery::model
