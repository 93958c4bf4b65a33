#include "model/operation/wire.hpp"

#include "model/operation/fields.hpp"
#include "model/operation/outcomes.hpp"
#include "tests/support/wire_kit.hpp"

namespace orrery::model::operation {
namespace {

TEST(OperationWire, EveryCommandComesBack) {
  tests::expect_each_comes_back<command>(
      [](auto& c) -> auto& { return c.what; }, write_command, read_command);
}

TEST(OperationWire, EveryReplyComesBack) {
  tests::expect_each_comes_back<reply>(
      [](auto& r) -> auto& { return r; }, write_reply, read_reply);
}

TEST(OperationWire, OutcomesComeBack) {
  auto rows = std::vector<row_outcome>(3);
  tests::filler{}(rows);
  const auto bytes = encode_outcomes(rows);
  EXPECT_EQ(*decode_outcomes(bytes), rows);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_outcomes(std::string_view{bytes}.substr(0, size)));
  EXPECT_EQ(encode_outcomes({}), std::string("\1\0", 2));
  EXPECT_FALSE(decode_outcomes("\2"));
}

TEST(OperationWire, EventsComeBackWithoutTheBytesThatAreRows) {
  const auto all = std::vector<event>{input_added{3, 5, from_ms(7), "bytes"},
                                      advanced{"p", {1, 2, 3}, 9, 4, false, from_ms(8), "rows"}};
  const auto back = *decode_events(encode_events(all));
  EXPECT_EQ(std::get<input_added>(back[0]).size, 5u);
  EXPECT_EQ(std::get<input_added>(back[0]).bytes, "");
  EXPECT_EQ(std::get<advanced>(back[1]).result_size, 4u);
  EXPECT_EQ(std::get<advanced>(back[1]).result, "");
  EXPECT_EQ(std::get<advanced>(back[1]).more, (row_counts{1, 2, 3}));
}

}  // namespace
}  // namespace orrery::model::operation
