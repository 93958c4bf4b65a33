#include "model/blueprint/wire.hpp"

#include "model/blueprint/fields.hpp"
#include "tests/support/wire_kit.hpp"

namespace orrery::model::blueprint {
namespace {

TEST(BlueprintWire, EveryCommandComesBack) {
  tests::expect_each_comes_back<command>(
      [](auto& c) -> auto& { return c.what; }, write_command, read_command);
}

TEST(BlueprintWire, EveryReplyComesBack) {
  tests::expect_each_comes_back<reply>(
      [](auto& r) -> auto& { return r; }, write_reply, read_reply);
}

}  // namespace
}  // namespace orrery::model::blueprint
