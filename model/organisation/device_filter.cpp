#include "model/organisation/device_filter.hpp"

#include <algorithm>

#include "model/filter/expression.hpp"
#include "model/filter/record.hpp"
#include "model/filter/schema.hpp"
#include "model/organisation/groups.hpp"
#include "model/organisation/node_filter.hpp"

namespace orrery::model::organisation {
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

/// True if devices that are out of service are asked for.
bool is_any_retired(const filter::condition& c) {
  return std::any_of(c.values.begin(), c.values.end(), [](const auto& v) {
    const auto* text = std::get_if<std::string>(&v);
    return text && lower(*text) == "retired";
  });
}

model::failure bad_filter(std::string detail) {
  return {model::errc::invalid_argument, "bad_filter", std::move(detail)};
}

filter::expression one(filter::condition c) {
  auto e = filter::expression{};
  e.test = std::move(c);
  return e;
}

filter::expression none_of(filter::expression of) {
  auto others = filter::expression{};
  others.what = filter::expression::kind::none;
  others.parts.push_back(std::move(of));
  return others;
}

filter::expression one_of_groups(const std::vector<std::string>& ids) {
  auto c = filter::condition{.field = {std::string{model::organisation::group_field}},
                             .how = filter::comparison::in,
                             .values = {}};
  for (const auto& id : ids)
    c.values.emplace_back(id);
  if (c.values.empty())
    c.values.emplace_back(std::string{});  // no group has it
  return one(std::move(c));
}

/// Turns names in a filter into what the index of devices has.
class rewriting {
 public:
  /// `in_rule`: of a group. `nodes`: null where none may be named.
  rewriting(const std::vector<product_facts>& products, const group_facts& groups, bool in_rule,
            const model::organisation::node_facts* nodes = nullptr)
      : products_{products}, groups_{groups}, in_rule_{in_rule}, nodes_{nodes} {}

  model::status operator()(filter::expression& e) {
    for (auto& part : e.parts)
      if (auto ok = (*this)(part); !ok)
        return ok;
    if (e.what != filter::expression::kind::one)
      return {};
    auto& names = e.test.field;
    if (names.size() == 2 && (names[0] == "deviceTags" || names[0] == "deviceAttributes"))
      names[0] = names[0] == "deviceTags" ? "tags" : "attributes";
    if ((names[0] == "deviceName" || names[0] == "name") && names.size() <= 2)
      names = {"name"};
    if (names.size() == 1 && names[0] == model::organisation::group_field)
      return groups(e);
    if (names.size() == 1 && names[0] == model::organisation::node_field && nodes_)
      return places(e);
    if (names.size() == 1 && names[0] == "status" && is_any_retired(e.test))
      return bad_filter(
          "status: no filter finds devices that are out of service; lists show them "
          "with includeRetired");
    if (const auto where = product_fields().find(names))
      return products(e, *where);
    return {};
  }

 private:
  model::status products(filter::expression& e, const filter::field_place& where) const {
    if (where.number == product_type)
      for (auto& v : e.test.values)
        if (auto* text = std::get_if<std::string>(&v))
          *text = lower(std::move(*text));
    const auto checked = filter::check(e, product_fields());
    if (!checked)
      return checked.error();
    auto keys = std::vector<std::string>{};
    for (const auto& p : products_)
      if (filter::accepts(*checked, product_record{p}))
        keys.push_back(p.key);
    e.test = of_products(keys);
    return {};
  }

  model::status places(filter::expression& e) const {
    const auto how = e.test.how;
    if (how != filter::comparison::equal && how != filter::comparison::unequal &&
        how != filter::comparison::in)
      return bad_filter("underNode: may be compared by =, != and in, with ids of nodes");
    auto c = filter::condition{.field = {"assetId"}, .how = filter::comparison::in, .values = {}};
    for (const auto& v : e.test.values) {
      const auto* id = std::get_if<std::string>(&v);
      if (!id)
        return bad_filter("underNode: expected the id of a node, in quotes");
      if (const auto found = nodes_->find(*id); found != nodes_->end())
        for (const auto& asset : found->second)
          c.values.emplace_back(asset);
    }
    if (c.values.empty())
      c.values.emplace_back(std::string{});  // nobody is there
    e = how == filter::comparison::unequal ? none_of(one(std::move(c))) : one(std::move(c));
    return {};
  }

  model::status groups(filter::expression& e) {
    const auto how = e.test.how;
    if (how == filter::comparison::exists)
      return {};  // is it put into any
    if (how != filter::comparison::equal && how != filter::comparison::unequal &&
        how != filter::comparison::in)
      return bad_filter("group: may be compared by =, !=, in and exists, with ids of groups");
    auto fixed = std::vector<std::string>{};
    auto parts = std::vector<filter::expression>{};
    for (const auto& v : e.test.values) {
      const auto* id = std::get_if<std::string>(&v);
      if (!id)
        return bad_filter("group: expected the id of a group, in quotes");
      const auto found = groups_.find(*id);
      if (found == groups_.end())
        continue;
      if (found->second.empty()) {
        fixed.push_back(*id);
        continue;
      }
      if (in_rule_)
        return bad_filter("group: a rule names no group that has a rule itself, as " + *id);
      if (++rules_ > max_rules_named)
        return bad_filter("group: a filter names at most " + std::to_string(max_rules_named) +
                          " groups with a rule");
      auto rule = model::organisation::read_rule(found->second);
      if (!rule)
        return bad_filter("group " + *id + ": " + rule.error().detail);
      if (auto ok = rewriting{products_, groups_, true}(*rule); !ok)
        return ok;
      parts.push_back(std::move(*rule));
    }
    if (!fixed.empty() || parts.empty())
      parts.push_back(one_of_groups(fixed));
    auto members = filter::expression{};
    if (parts.size() == 1) {
      members = std::move(parts.front());
    } else {
      members.what = filter::expression::kind::any;
      members.parts = std::move(parts);
    }
    e = how == filter::comparison::unequal ? none_of(std::move(members)) : std::move(members);
    return {};
  }

  const std::vector<product_facts>& products_;
  const group_facts& groups_;
  bool in_rule_;
  const model::organisation::node_facts* nodes_;
  int rules_ = 0;
};

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

group_facts facts_of(const std::vector<model::organisation::device_group>& groups) {
  auto all = group_facts{};
  for (const auto& g : groups)
    all.emplace(g.id, g.rule);
  return all;
}

namespace {

model::result<std::string> rewritten(std::string_view text, rewriting with) {
  if (text.empty())
    return std::string{};
  auto parsed = filter::parse(text);
  if (!parsed)
    return parsed.error();
  if (auto ok = with(*parsed); !ok)
    return ok.error();
  return filter::print(*parsed);
}

void add_nodes(const filter::expression& e, std::set<std::string>& into) {
  for (const auto& part : e.parts)
    add_nodes(part, into);
  const auto& names = e.test.field;
  if (e.what != filter::expression::kind::one || names.size() != 1 || names[0] != node_field)
    return;
  for (const auto& v : e.test.values)
    if (const auto* id = std::get_if<std::string>(&v))
      into.insert(*id);
}

}  // namespace

model::result<std::string> device_filter(std::string_view text,
                                         const std::vector<product_facts>& products,
                                         const group_facts& groups) {
  return rewritten(text, {products, groups, false});
}

model::result<std::string> device_filter(std::string_view text,
                                         const std::vector<product_facts>& products,
                                         const group_facts& groups, const node_facts& nodes) {
  return rewritten(text, {products, groups, false, &nodes});
}

std::set<std::string> nodes_in(std::string_view text) {
  auto all = std::set<std::string>{};
  if (const auto parsed = filter::parse(text))
    add_nodes(*parsed, all);
  return all;
}

model::result<std::string> rule_filter(std::string_view rule,
                                       const std::vector<product_facts>& products,
                                       const group_facts& groups) {
  auto parsed = model::organisation::read_rule(rule);
  if (!parsed)
    return parsed.error();
  if (auto ok = rewriting{products, groups, true}(*parsed); !ok)
    return ok.error();
  return filter::print(*parsed);
}

std::string any_of(const std::vector<std::string>& filters) {
  if (filters.empty())
    return equals("productKey", "");
  if (filters.size() == 1)
    return filters.front();
  auto text = std::string{};
  for (const auto& f : filters)
    text.append(text.empty() ? "(" : " or (").append(f).append(")");
  return text;
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

}  // namespace orrery::model::organisation
