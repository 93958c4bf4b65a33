#include "model/ledger/wire.hpp"

#include "model/ledger/fields.hpp"
#include "tests/support/wire_kit.hpp"

namespace orrery::model::ledger {
namespace {

TEST(LedgerWire, EveryCommandComesBack) {
  tests::expect_each_comes_back<command>(
      [](auto& c) -> auto& { return c.what; }, write_command, read_command);
}

TEST(LedgerWire, EveryReplyComesBack) {
  tests::expect_each_comes_back<reply>(
      [](auto& r) -> auto& { return r; }, write_reply, read_reply);
}

}  // namespace
}  // namespace orrery::model::ledger
