#include "transport/api/problem.hpp"

#include "model/json.hpp"

namespace orrery::transport::api {

using model::errc;

int status_of(const model::failure& f) {
  if (f.reason == "etag_mismatch")
    return 412;
  if (f.reason == "etag_required")
    return 428;
  if (f.reason == "locked")
    return 423;
  if (f.reason == "method_not_allowed")
    return 405;
  if (f.reason == "not_acceptable")
    return 406;
  if (f.reason == "unsupported_media_type")
    return 415;
  if (f.reason == "upgrade_required")
    return 426;
  switch (f.code) {
    case errc::invalid_argument:
      // 400: it cannot be read; 422: it was read and cannot be done.
      return f.reason == "malformed" || f.reason == "unknown_field" || f.reason == "bad_cursor" ||
                     f.reason == "bad_filter" || f.reason == "bad_sort" ||
                     f.reason == "bad_fields" || f.reason == "bad_group" || f.reason.empty()
                 ? 400
                 : 422;
    case errc::too_large:
      return 413;
    case errc::not_found:
      return 404;
    case errc::already_exists:
    case errc::conflict:
      return 409;
    case errc::unauthenticated:
      return 401;
    case errc::forbidden:
      return 403;
    case errc::too_many_requests:
      return 429;
    case errc::unavailable:
    case errc::wrong_node:
      return 503;
    case errc::timeout:
      return 504;
    case errc::corrupted:
    case errc::internal:
      return 500;
  }
  return 500;
}

std::string_view code_of(const model::failure& f) {
  if (!f.reason.empty())
    return f.reason;
  return f.code == errc::invalid_argument ? "malformed" : model::name_of(f.code);
}

namespace {

std::string_view title_of(int status) {
  switch (status) {
    case 400:
      return "The request cannot be read";
    case 401:
      return "Prove who you are";
    case 403:
      return "Not allowed";
    case 404:
      return "Not found";
    case 405:
      return "No such method here";
    case 406:
      return "No such representation";
    case 409:
      return "The state does not allow it";
    case 412:
      return "It has changed meanwhile";
    case 413:
      return "Too large";
    case 415:
      return "That media type is not understood";
    case 422:
      return "The request cannot be done";
    case 423:
      return "Locked";
    case 426:
      return "Another protocol is needed";
    case 428:
      return "If-Match is required";
    case 429:
      return "Too many requests";
    case 503:
      return "Not available now";
    case 504:
      return "No answer in time";
    default:
      return "Internal failure";
  }
}

}  // namespace

model::value problem_object(const model::failure& f, std::string_view instance,
                            std::string_view request_id) {
  const auto status = status_of(f);
  auto o = model::object{{"type", "urn:orrery:error:" + std::string{code_of(f)}},
                         {"title", title_of(status)},
                         {"status", status},
                         {"code", code_of(f)},
                         {"detail", f.detail},
                         {"instance", instance},
                         {"requestId", request_id}};
  if (!f.problems.empty()) {
    auto errors = model::array{};
    for (const auto& p : f.problems)
      errors.push_back(model::object{{"pointer", p.where}, {"code", p.code}, {"detail", p.detail}});
    o.emplace_back("errors", std::move(errors));
  }
  return o;
}

http_response to_response(const model::failure& f, std::string_view instance,
                          std::string_view request_id) {
  auto r = http_response{};
  r.status = status_of(f);
  r.content_type = "application/problem+json";
  r.body = model::to_json(problem_object(f, instance, request_id));
  if (r.status == 401)
    r.headers.emplace_back("WWW-Authenticate", "Bearer");
  if ((r.status == 429 && f.reason != "quota_exceeded") || r.status == 503)
    r.headers.emplace_back("Retry-After", "1");
  return r;
}

}  // namespace orrery::transport::api
