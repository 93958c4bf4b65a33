// Times of the API's bodies and queries: the model's texts under the names that handlers use.
#pragma once

#include "model/time_text.hpp"

namespace orrery::transport::api {

using model::parse_time;
using model::time_of;
using model::to_text;

}  // namespace orrery::transport::api
