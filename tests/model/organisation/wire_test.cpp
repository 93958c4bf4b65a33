#include "model/organisation/wire.hpp"

#include "model/organisation/fields.hpp"
#include "tests/support/wire_kit.hpp"

namespace orrery::model::organisation {
namespace {

TEST(OrganisationWire, EveryCommandComesBack) {
  tests::expect_each_comes_back<command>(
      [](auto& c) -> auto& { return c.what; }, write_command, read_command);
}

TEST(OrganisationWire, EveryReplyComesBack) {
  tests::expect_each_comes_back<reply>(
      [](auto& r) -> auto& { return r; }, write_reply, read_reply);
}

}  // namespace
}  // namespace orrery::model::organisation
