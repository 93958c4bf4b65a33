#include "transport/api/problem.hpp"

#include <gmock/gmock.h>

#include "model/json.hpp"

namespace orrery::transport::api {
namespace {

using model::errc;
using model::failure;
using testing::Contains;
using testing::Pair;

constexpr errc all_codes[] = {
    errc::invalid_argument, errc::too_large,       errc::not_found,  errc::already_exists,
    errc::conflict,         errc::unauthenticated, errc::forbidden,  errc::too_many_requests,
    errc::unavailable,      errc::timeout,         errc::wrong_node, errc::corrupted,
    errc::internal};

TEST(Problem, EveryCodeHasAStatusAndATitle) {
  const auto expected =
      std::vector<int>{400, 413, 404, 409, 409, 401, 403, 429, 503, 504, 503, 500, 500};
  auto at = expected.begin();
  for (const auto code : all_codes) {
    const auto f = failure{code, "why"};
    EXPECT_EQ(status_of(f), *at++) << model::name_of(code);
    const auto o = problem_object(f, "/x", "r1");
    EXPECT_FALSE(o.find("title")->as_string().empty());
    EXPECT_FALSE(o.find("code")->as_string().empty());
  }
  EXPECT_EQ(at, expected.end());
}

TEST(Problem, ReasonsTellStatusesApart) {
  const auto status = [](errc code, std::string_view reason) {
    return status_of({code, reason, "why"});
  };
  for (const auto* reason : {"malformed", "unknown_field", "bad_cursor", "bad_filter", ""})
    EXPECT_EQ(status(errc::invalid_argument, reason), 400) << reason;
  for (const auto* reason :
       {"validation_failed", "idempotency_mismatch", "required_missing", "element_unknown"})
    EXPECT_EQ(status(errc::invalid_argument, reason), 422) << reason;
  EXPECT_EQ(status(errc::conflict, "etag_mismatch"), 412);
  EXPECT_EQ(status(errc::invalid_argument, "etag_required"), 428);
  EXPECT_EQ(status(errc::forbidden, "locked"), 423);
  EXPECT_EQ(status(errc::invalid_argument, "method_not_allowed"), 405);
  EXPECT_EQ(status(errc::invalid_argument, "not_acceptable"), 406);
  EXPECT_EQ(status(errc::invalid_argument, "unsupported_media_type"), 415);
  EXPECT_EQ(status(errc::invalid_argument, "upgrade_required"), 426);
  EXPECT_EQ(status(errc::timeout, "device_timeout"), 504);
  EXPECT_EQ(status(errc::conflict, "queue_full"), 409);
}

TEST(Problem, IsTheBodyThatTheApiPromises) {
  const auto r = to_response({errc::already_exists,
                              "device_key_exists",
                              "pump-17 exists in product Qx3",
                              {{"/items/4/deviceKey", "device_key_exists", "is taken"}}},
                             "/api/v1/orgs/-/devices", "r7");
  EXPECT_EQ(r.status, 409);
  EXPECT_EQ(r.content_type, "application/problem+json");
  EXPECT_EQ(r.body,
            R"({"type":"urn:orrery:error:device_key_exists","title":"The state does not allow it",)"
            R"("status":409,"code":"device_key_exists","detail":"pump-17 exists in product Qx3",)"
            R"("instance":"/api/v1/orgs/-/devices","requestId":"r7","errors":[{"pointer":)"
            R"("/items/4/deviceKey","code":"device_key_exists","detail":"is taken"}]})");
}

TEST(Problem, SaysHowToGoOn) {
  EXPECT_THAT(to_response({errc::unauthenticated, "x"}, "", "").headers,
              Contains(Pair("WWW-Authenticate", "Bearer")));
  for (const auto code : {errc::too_many_requests, errc::unavailable, errc::wrong_node})
    EXPECT_THAT(to_response({code, "x"}, "", "").headers, Contains(Pair("Retry-After", "1")));
  EXPECT_THAT(to_response({errc::too_many_requests, "quota_exceeded", "x"}, "", "").headers,
              testing::Not(Contains(Pair("Retry-After", "1"))))
      << "waiting helps nobody";
  EXPECT_TRUE(to_response({errc::not_found, "x"}, "", "").headers.empty());
}

}  // namespace
}  // namespace orrery::transport::api
