// Rules for general topics in JSON: {"topic":"plant/%pk/%dk/#","allow":"publish"}.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "model/topic_rule.hpp"
#include "transport/api/fields.hpp"

namespace orrery::transport::api {

/// Nothing if the member is not there; what does not fit is noted.
std::optional<std::vector<model::topic_rule>> read_topic_rules(fields& f, std::string_view name);
model::value show_topic_rules(const std::vector<model::topic_rule>& rules);

}  // namespace orrery::transport::api
