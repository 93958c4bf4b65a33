// Failures as HTTP answers: application/problem+json (RFC 9457).
#pragma once

#include <string>
#include <string_view>

#include "model/result.hpp"
#include "model/value.hpp"
#include "transport/http_message.hpp"

namespace orrery::transport::api {

/// The HTTP status of a failure.
int status_of(const model::failure& f);
/// The stable code of a failure in bodies: its reason, or the name of its errc.
std::string_view code_of(const model::failure& f);
/// The error object: type, title, status, code, detail, instance, requestId, errors.
model::value problem_object(const model::failure& f, std::string_view instance,
                            std::string_view request_id);
http_response to_response(const model::failure& f, std::string_view instance,
                          std::string_view request_id);

}  // namespace orrery::transport::api
