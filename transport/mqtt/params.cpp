#include "transport/mqtt/params.hpp"

namespace orrery::transport::mqtt {

using model::value;

bool truth(const value* v) {
  return v && ((v->is_bool() && v->as_bool()) || (v->is_string() && v->as_string() == "true"));
}

std::optional<std::string> as_text(const value& v) {
  if (v.is_string())
    return v.as_string();
  if (v.is_number() || v.is_bool())
    return model::to_json(v);
  return std::nullopt;
}

model::result<std::optional<model::timestamp>> read_time(const value& params) {
  const auto* time = params.find("time");
  if (!time || time->is_null())
    return std::optional<model::timestamp>{};
  const auto at = model::normalise_time(*time);
  if (!at)
    return bad_format("time: expected milliseconds since 1970");
  return at;
}

model::result<model::device::posted_sample> read_sample(const value& params) {
  const auto* points = params.find("measurepoints");
  if (!points || !points->is_object() || points->as_object().empty())
    return bad_format("measurepoints: expected an object with a member for each point");
  const auto time = read_time(params);
  if (!time)
    return time.error();
  auto out = model::device::posted_sample{};
  out.time = *time;
  out.points.reserve(points->as_object().size());
  for (const auto& [id, v] : points->as_object())
    out.points.push_back({id, v});
  return out;
}

model::result<model::device_name> read_name(const value& entry) {
  auto out = model::device_name{};
  for (const auto& [name, into] :
       {std::pair{"productKey", &out.product_key}, std::pair{"deviceKey", &out.device_key}}) {
    const auto* v = entry.find(name);
    if (!v || v->is_null())
      continue;
    if (!v->is_string())
      return bad_format(std::string{name} + ": expected a text");
    *into = v->as_string();
  }
  return out;
}

bool is_number(std::string_view text) {
  constexpr std::size_t most_digits = 20;
  return !text.empty() && text.size() <= most_digits &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string_view clip(std::string_view text, std::size_t most) {
  if (text.size() <= most)
    return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80)
    --most;  // a byte that continues a character
  return text.substr(0, most);
}

}  // namespace orrery::transport::mqtt
