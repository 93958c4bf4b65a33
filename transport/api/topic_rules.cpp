#include "transport/api/topic_rules.hpp"

namespace orrery::transport::api {
namespace {

const std::vector<std::string_view> rights = {"publish", "subscribe", "both"};  // as numbered

}  // namespace

std::optional<std::vector<model::topic_rule>> read_topic_rules(fields& f, std::string_view name) {
  const auto* list = f.array(name, model::max_topic_rules);
  if (!list)
    return std::nullopt;
  auto rules = std::vector<model::topic_rule>{};
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto one = fields{(*list)[i], "/" + std::string{name} + "/" + std::to_string(i)};
    auto rule = model::topic_rule{};
    if (auto filter = one.text("topic", model::max_rule_bytes))
      rule.filter = std::move(*filter);
    else
      one.missing("topic");
    if (const auto allow = one.word("allow", rights))
      for (std::size_t r = 0; r < rights.size(); ++r)
        if (*allow == rights[r])
          rule.what = static_cast<model::topic_rule::right>(r);
    if (const auto ok = one.finish(); !ok)
      f.problems.insert(f.problems.end(), ok.error().problems.begin(), ok.error().problems.end());
    rules.push_back(std::move(rule));
  }
  if (auto ok = model::check_topic_rules(rules); !ok)
    f.problems.insert(f.problems.end(), ok.error().problems.begin(), ok.error().problems.end());
  return rules;
}

model::value show_topic_rules(const std::vector<model::topic_rule>& rules) {
  auto list = model::array{};
  for (const auto& r : rules)
    list.emplace_back(
        model::object{{"topic", r.filter}, {"allow", rights[static_cast<std::size_t>(r.what)]}});
  return list;
}

}  // namespace orrery::transport::api
