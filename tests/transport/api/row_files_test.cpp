#include "transport/api/row_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::transport::api {
namespace {

using model::to_json;

const auto columns = std::vector<row_column>{{"key"},
                                             {"size", cell_form::json},
                                             {"words", cell_form::words},
                                             {"tags.*"},
                                             {"attributes.*", cell_form::json}};

std::string read(row_format format, std::string_view text) {
  const auto rows = read_rows(format, text, columns);
  if (!rows)
    return std::string{rows.error().reason};
  auto all = std::string{};
  for (const auto& row : *rows)
    all += (row ? to_json(*row) : std::string{row.error().reason}) + '\n';
  return all;
}

TEST(RowFiles, ReadTables) {
  EXPECT_EQ(read(row_format::csv,
                 "key,size,words,tags.site,attributes.n,tags.line\r\n"
                 "a,1,x  y,A7,\"{\"\"b\"\":2}\",\r\n"
                 "b,latest,,5,five,L\n"
                 ",,,,,\n"),
            "{\"key\":\"a\",\"size\":1,\"words\":[\"x\",\"y\"],\"attributes\":{\"n\":{\"b\":2}},"
            "\"tags\":{\"site\":\"A7\"}}\n"
            "{\"key\":\"b\",\"size\":\"latest\",\"attributes\":{\"n\":\"five\"},"
            "\"tags\":{\"site\":\"5\",\"line\":\"L\"}}\n"
            "{}\n");
  EXPECT_EQ(read(row_format::csv, "key\n"), "");
}

TEST(RowFiles, ReadLines) {
  EXPECT_EQ(read(row_format::ndjson, "{\"key\":\"a\",\"more\":1}\n\n{\"key\":\"b\"}"),
            "{\"key\":\"a\",\"more\":1}\n{\"key\":\"b\"}\n");
  EXPECT_EQ(read(row_format::ndjson, "[1]\n{\n" + std::string(max_row_bytes + 10, ' ') + "1\n"),
            "validation_failed\nvalidation_failed\ntoo_large\n");
  EXPECT_EQ(read(row_format::ndjson, ""), "");
}

TEST(RowFiles, TellWhatCannotBeRead) {
  EXPECT_EQ(read(row_format::csv, ""), "import_invalid");
  EXPECT_EQ(read(row_format::csv, "key,other\n"), "import_invalid");
  EXPECT_EQ(read(row_format::csv, "key,key\n"), "import_invalid");
  EXPECT_EQ(read(row_format::csv, "key,tags.\n"), "import_invalid");
  EXPECT_EQ(read(row_format::csv, "key\n\"a\n"), "import_invalid");
  EXPECT_EQ(read(row_format::csv, "key\n\xff\n"), "import_invalid");
  EXPECT_EQ(read(row_format::ndjson, "{\"key\":\"\xff\"}\n"), "import_invalid");
  EXPECT_EQ(read(row_format::csv, "key,size\na\n"), "validation_failed\n") << "that row alone";
  auto many = std::string{"key\n"}, lines = std::string{};
  for (std::size_t n = 0; n < max_file_rows; ++n) {
    many += "a\n";
    lines += "{}\n";
  }
  EXPECT_NE(read(row_format::csv, many), "too_many_rows");
  EXPECT_NE(read(row_format::ndjson, lines), "too_many_rows");
  EXPECT_EQ(read(row_format::csv, many + "a\n"), "too_many_rows");
  EXPECT_EQ(read(row_format::ndjson, lines + "{}\n"), "too_many_rows");
  const auto rows = read_rows(row_format::csv, "key,nothing\n", columns);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().problems.front().where, "nothing");
}

TEST(RowFiles, ComeBackAsTheyWereWritten) {
  const auto rows =
      std::vector{*model::parse_json(R"({"key":"=a,\"b\"","size":"5","words":["x","y"],
                             "attributes":{"text":"true","n":1.5,"o":{"a":[1]}},"tags":{"a.b":"1"}})"),
                  *model::parse_json(R"({"key":"c","size":5,"attributes":{"n":"x y"}})")};
  for (const auto format : {row_format::csv, row_format::ndjson}) {
    const auto again = read_rows(format, write_rows(format, columns, rows), columns);
    ASSERT_TRUE(again);
    ASSERT_EQ(again->size(), rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (const auto& [name, v] : rows[i].as_object()) {
        ASSERT_TRUE((*again)[i]);
        const auto* got = (*again)[i]->find(name);
        ASSERT_TRUE(got) << name;
        if (!v.is_object()) {
          EXPECT_EQ(to_json(*got), to_json(v));
          continue;
        }
        for (const auto& [key, inner] : v.as_object())
          EXPECT_EQ(to_json(*got->find(key)), to_json(inner)) << name << '.' << key;
      }
  }
  EXPECT_EQ(write_rows(row_format::csv, columns, {}), "key,size,words\r\n");
}

TEST(RowFiles, ResultsAreCounted) {
  auto results = row_results{2};
  results.done(1, "created", "x", {{"productSecret", "s"}});
  results.fail(0, "", {model::errc::not_found, "product_unknown", "no product"}, "r1");
  const auto all = results.take(true);
  EXPECT_EQ(all.find("ok")->as_int(), 1);
  EXPECT_EQ(all.find("failed")->as_int(), 1);
  EXPECT_TRUE(all.find("dryRun")->as_bool());
  const auto& items = all.find("results")->as_array();
  EXPECT_EQ(items[0].find("status")->as_int(), 404);
  EXPECT_EQ(items[1].find("outcome")->as_string(), "created");
}

}  // namespace
}  // namespace orrery::transport::api
