#include "model/audit/wire.hpp"

#include "model/audit/fields.hpp"
#include "tests/support/wire_kit.hpp"

namespace orrery::model::audit {
namespace {

TEST(AuditWire, EveryCommandComesBack) {
  tests::expect_each_comes_back<command>(
      [](auto& c) -> auto& { return c.what; }, write_command, read_command);
}

TEST(AuditWire, EveryReplyComesBack) {
  tests::expect_each_comes_back<reply>(
      [](auto& r) -> auto& { return r; }, write_reply, read_reply);
}

}  // namespace
}  // namespace orrery::model::audit
