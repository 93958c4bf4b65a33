#include "model/tree/wire.hpp"

#include "model/tree/fields.hpp"
#include "tests/support/wire_kit.hpp"

namespace orrery::model::tree {
namespace {

TEST(TreeWire, EveryCommandComesBack) {
  tests::expect_each_comes_back<command>(
      [](auto& c) -> auto& { return c.what; }, write_command, read_command);
}

TEST(TreeWire, EveryReplyComesBack) {
  tests::expect_each_comes_back<reply>(
      [](auto& r) -> auto& { return r; }, write_reply, read_reply);
}

}  // namespace
}  // namespace orrery::model::tree
