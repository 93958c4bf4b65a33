#include "transport/api/csv.hpp"

#include <gtest/gtest.h>

namespace orrery::transport::api {
namespace {

using table = std::vector<csv_row>;

std::string reason(std::string_view text, const csv_limits& limits = {}) {
  const auto got = read_csv(text, limits);
  return got ? "" : std::string{got.error().reason};
}

TEST(Csv, ReadsPlainAndQuotedFields) {
  EXPECT_EQ(*read_csv("a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\n,\n"),
            (table{{"a", "b"}, {"1", "x, \"y\"\nz"}, {"", ""}}));
  EXPECT_EQ(*read_csv("\xef\xbb\xbf"
                      "a"),
            (table{{"a"}}));
  EXPECT_EQ(*read_csv("a,\"\""), (table{{"a", ""}}));
  EXPECT_EQ(*read_csv(""), table{});
  EXPECT_EQ(*read_csv("\r\n\n"), table{});
}

TEST(Csv, RefusesWhatIsNone) {
  EXPECT_EQ(reason("a,\"b"), "malformed");
  EXPECT_EQ(reason("a,b\"c"), "malformed");
  EXPECT_EQ(reason("\"a\"b,c"), "malformed");
  EXPECT_EQ(read_csv("a\n\"").error().detail, "row 2: a quote does not end");
}

TEST(Csv, HasLimits) {
  const auto small = csv_limits{.rows = 2, .columns = 2, .field_bytes = 3};
  EXPECT_EQ(reason("a,b\n1,2\n", small), "");
  EXPECT_EQ(reason("a\nb\nc\n", small), "too_many_rows");
  EXPECT_EQ(reason("a,b,c\n", small), "too_large");
  EXPECT_EQ(reason("abcd\n", small), "too_large");
  EXPECT_EQ(reason("\"abcd\"\n", small), "too_large");
}

TEST(Csv, WhatIsWrittenReadsTheSame) {
  const auto rows = table{{"a", "b,c", "\"", "x\r\ny", "", "=1+1", "-2", "@x", "'"},
                          {""},
                          {"\xef\xbb\xbfx", ""},
                          {"", ""}};
  for (const auto& row : rows) {  // a mark at the front of a file is no part of it
    auto alone = std::string{};
    write_csv(alone, row);
    EXPECT_EQ(*read_csv(alone), table{row});
  }
  auto text = std::string{};
  for (const auto& row : rows)
    write_csv(text, row);
  EXPECT_NE(text.find("\"'=1+1\""), std::string::npos) << "no formula for a sheet";
  EXPECT_EQ(*read_csv(text), rows);
}

}  // namespace
}  // namespace orrery::transport::api
