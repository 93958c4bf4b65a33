#include "transport/mqtt/raw.hpp"

#include <algorithm>

#include "model/json.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::errc;
using model::failure;

model::result<std::shared_ptr<const script>> script_of(script_cache& scripts,
                                                       const actors::catalogue_product& product) {
  if (!product.script)
    return failure{errc::invalid_argument, "script_missing",
                   "product " + product.state->product_key + " has no script"};
  return scripts.of(product.state->product_key, product.script);
}

}  // namespace

bool speaks_raw(const actors::catalogue_product& product) {
  return product.state->format == model::product::data_format::raw;
}

std::string topic_of(std::string_view method, const classified& at) {
  const auto keys = std::string{at.product_key} + '/' + std::string{at.device_key} + '/';
  // An event's id may have dots of its own.
  constexpr auto event = std::string_view{"thing.event."}, post = std::string_view{".post"};
  if (method.starts_with(event) && method.ends_with(post) &&
      method.size() > event.size() + post.size())
    return "/sys/" + keys + "thing/event/" +
           std::string{method.substr(event.size(), method.size() - event.size() - post.size())} +
           "/post";
  auto rest = std::string{method};
  std::replace(rest.begin(), rest.end(), '.', '/');
  if (at.tree == topic_tree::channel)
    return "/sys/" + std::string{at.product_key} + '/' + rest;  // "integration.measurepoint.post"
  return (rest.starts_with("combine/") ? "/ext/session/" : "/sys/") + keys + rest;
}

model::result<raw_message> read_raw(script_cache& scripts, const actors::catalogue_product& product,
                                    const classified& at, std::string_view bytes) {
  const auto with = script_of(scripts, product);
  if (!with)
    return with.error();
  auto json = raw_to_json(**with, bytes);
  if (!json)
    return json.error();
  const auto content = model::parse_json(*json);
  if (!content || !content->is_object())
    return failure{errc::invalid_argument, "payload_invalid", "the script gave no JSON object"};
  auto out = raw_message{};
  if (const auto* method = content->find("method"); method && method->is_string())
    out.method = method->as_string();
  out.answer =
      out.method.ends_with("_reply") || (content->find("code") && !content->find("params"));
  out.topic = topic_of(out.method, at);
  out.json = std::move(*json);
  return out;
}

model::result<std::string> write_raw(script_cache& scripts,
                                     const actors::catalogue_product& product,
                                     std::string_view json) {
  const auto with = script_of(scripts, product);
  if (!with)
    return with.error();
  return json_to_raw(**with, json);
}

}  // namespace orrery::transport::mqtt
