#include "model/product/wire.hpp"

#include "model/product/fields.hpp"
#include "tests/support/wire_kit.hpp"

namespace orrery::model::product {
namespace {

TEST(ProductWire, EveryCommandComesBack) {
  tests::expect_each_comes_back<command>(
      [](auto& c) -> auto& { return c.what; }, write_command, read_command);
}

TEST(ProductWire, EveryReplyComesBack) {
  tests::expect_each_comes_back<reply>(
      [](auto& r) -> auto& { return r; }, write_reply, read_reply);
}

}  // namespace
}  // namespace orrery::model::product
