#include "model/asset/wire.hpp"

#include "model/asset/fields.hpp"
#include "tests/support/wire_kit.hpp"

namespace orrery::model::asset {
namespace {

TEST(AssetWire, EveryCommandComesBack) {
  tests::expect_each_comes_back<command>(
      [](auto& c) -> auto& { return c.what; }, write_command, read_command);
}

TEST(AssetWire, EveryReplyComesBack) {
  tests::expect_each_comes_back<reply>(
      [](auto& r) -> auto& { return r; }, write_reply, read_reply);
}

}  // namespace
}  // namespace orrery::model::asset
