#include "transport/api/device_filter.hpp"

#include <algorithm>

#include "model/filter/expression.hpp"
#include "model/filter/record.hpp"
#include "model/filter/schema.hpp"

namespace orrery::transport::api {
namespace {

namespace filter = model::filter;

enum product_field : std::size_t { model_id, root_model_id, product_type };

const filter::schema& product_fields() {
  static const auto all = filter::schema{
      {{.name = "modelId"},
       {.name = "rootModelId"},
       {.name = "productType", .type = filter::field_type::word, .words = {"device", "gateway"}}}};
  return all;
}

class product_record final : public filter::record {
 public:
  explicit product_record(const product_facts& p) : of_{p} {}
  filter::datum value(std::size_t field, std::string_view) const override {
    switch (field) {
      case model_id:
        return std::string_view{of_.model};
      case root_model_id:
        return std::string_view{of_.ancestors.empty() ? of_.model : of_.ancestors.front()};
      default:
        return std::string_view{of_.gateway ? "gateway" : "device"};
    }
  }

 private:
  const product_facts& of_;
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

/// True of those whose product is one of these; no product has the key "".
filter::condition of_products(const std::vector<std::string>& keys) {
  auto c = filter::condition{.field = {"productKey"}, .how = filter::comparison::in, .values = {}};
  for (const auto& key : keys)
    c.values.emplace_back(key);
  if (c.values.empty())
    c.values.emplace_back(std::string{});
  return c;
}

model::status rewrite(filter::expression& e, const std::vector<product_facts>& products) {
  for (auto& part : e.parts)
    if (auto ok = rewrite(part, products); !ok)
      return ok;
  if (e.what != filter::expression::kind::one)
    return {};
  auto& names = e.test.field;
  if (names.size() == 2 && (names[0] == "deviceTags" || names[0] == "deviceAttributes"))
    names[0] = names[0] == "deviceTags" ? "tags" : "attributes";
  if ((names[0] == "deviceName" || names[0] == "name") && names.size() <= 2)
    names = {"name"};
  const auto where = product_fields().find(names);
  if (!where)
    return {};
  if (where->number == product_type)
    for (auto& v : e.test.values)
      if (auto* text = std::get_if<std::string>(&v))
        *text = lower(std::move(*text));
  const auto checked = filter::check(e, product_fields());
  if (!checked)
    return checked.error();
  auto keys = std::vector<std::string>{};
  for (const auto& p : products)
    if (filter::accepts(*checked, product_record{p}))
      keys.push_back(p.key);
  e.test = of_products(keys);
  return {};
}

std::string quoted(std::string_view text) {
  auto out = std::string{'\''};
  for (const auto c : text) {
    out += c;
    if (c == '\'')
      out += c;
  }
  return out + '\'';
}

}  // namespace

model::result<std::string> device_filter(std::string_view text,
                                         const std::vector<product_facts>& products) {
  if (text.empty())
    return std::string{};
  auto parsed = filter::parse(text);
  if (!parsed)
    return parsed.error();
  if (auto ok = rewrite(*parsed, products); !ok)
    return ok.error();
  return filter::print(*parsed);
}

std::string both(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty())
    return std::string{a.empty() ? b : a};
  return std::string{"("}.append(a).append(") and (").append(b).append(")");
}

std::string equals(std::string_view field, std::string_view text) {
  return std::string{field}.append(" = ").append(quoted(text));
}

std::string one_of(std::string_view field, const std::set<std::string>& texts) {
  if (texts.empty())
    return equals(field, "");
  auto list = std::string{};
  for (const auto& t : texts)
    list += (list.empty() ? "" : ", ") + quoted(t);
  return std::string{field}.append(" in (").append(list).append(")");
}

std::string mentions(std::string_view text) {
  auto pattern = std::string{"%"};
  for (const auto c : text) {
    if (c == '%' || c == '\\')
      pattern += '\\';
    pattern += c;
  }
  pattern = quoted(pattern + '%');
  return "deviceKey like " + pattern + " or name like " + pattern;
}

}  // namespace orrery::transport::api
