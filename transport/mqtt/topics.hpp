// Texts of MQTT, and its topic names and filters under their names here.
#pragma once

#include <string_view>

#include "model/topic_filter.hpp"

namespace orrery::transport::mqtt {

using model::filter_matches;
using model::is_subscription;
using model::is_topic_filter;
using model::is_topic_name;
using model::shared_filter;
using model::shared_of;

/// UTF-8 as MQTT wants it (3.1.1 and 5.0: 1.5.3, 1.5.4): no surrogates, no U+0000, no overlong
/// forms.
bool is_mqtt_text(std::string_view text);

}  // namespace orrery::transport::mqtt
