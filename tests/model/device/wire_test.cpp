#include "model/device/wire.hpp"

#include "model/device/fields.hpp"
#include "tests/support/wire_kit.hpp"

namespace orrery::model::device {
namespace {

TEST(DeviceWire, EveryCommandComesBack) {
  tests::expect_each_comes_back<command>(
      [](auto& c) -> auto& { return c.what; }, write_command, read_command);
}

TEST(DeviceWire, EveryReplyComesBack) {
  tests::expect_each_comes_back<reply>(
      [](auto& r) -> auto& { return r; }, write_reply, read_reply);
}

}  // namespace
}  // namespace orrery::model::device
