#include "model/audit/search.hpp"

#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::model::audit {
namespace {

bool finds(std::string_view text) {
  static const auto record = *parse_json(
      R"({"number":7,"time":"2026-01-31T12:00:00.000Z","actor":"user:ada","address":"10.0.0.1",)"
      R"("action":"updateDevice","resource":{"kind":"device","id":"a1"},"result":"done",)"
      R"("status":200,"requestId":"r1"})");
  const auto parsed = filter::parse(text);
  EXPECT_TRUE(parsed) << text;
  const auto checked = filter::check(*parsed, search_fields());
  EXPECT_TRUE(checked) << text << (checked ? "" : checked.error().detail);
  return checked && accepts(*checked, record);
}

TEST(AuditSearch, FindsByEachField) {
  for (const auto* text :
       {"number = 7", "time >= \"2026-01-31T00:00:00Z\"", "actor = \"user:ada\"",
        "address like \"10.%\"", "action in (\"updateDevice\", \"x\")", "resource = \"device:a1\"",
        "kind = \"device\" and id = \"a1\"", "result = \"done\"", "status < 300",
        "requestId = \"r1\"", "not exists(reason)", "resource like \"device:%\""})
    EXPECT_TRUE(finds(text)) << text;
  for (const auto* text : {"number > 7", "time < \"2026-01-31T00:00:00Z\"", "actor = \"user:eve\"",
                           "exists(count)", "resource = \"device\"", "result = \"failed\""})
    EXPECT_FALSE(finds(text)) << text;
}

}  // namespace
}  // namespace orrery::model::audit
