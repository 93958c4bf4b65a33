#include "transport/api/import_rows.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::transport::api {
namespace {

using testing::ElementsAre;

std::vector<std::string> cut(row_format format, std::string_view text) {
  auto all = std::vector<std::string>{};
  while (!text.empty()) {
    const auto c = next_record(format, text, true);
    if (c.taken == 0)
      break;
    all.push_back((c.too_long ? "long:" : "") + std::string{c.record.substr(0, 40)});
    text.remove_prefix(c.taken);
  }
  return all;
}

TEST(Records, AreCutAtTheirEnds) {
  EXPECT_THAT(cut(row_format::csv, "a,b\r\nc,d\n\ne"), ElementsAre("a,b", "c,d", "", "e"));
  EXPECT_THAT(cut(row_format::csv, "\"a\nb\",c\nd"), ElementsAre("\"a\nb\",c", "d"));
  EXPECT_THAT(cut(row_format::csv, "x,\"a\"\"\nb\"\nd\n"), ElementsAre("x,\"a\"\"\nb\"", "d"));
  EXPECT_THAT(cut(row_format::csv, "a\"b\nc\n"), ElementsAre("a\"b", "c"))
      << "a quote inside a field opens nothing";
  EXPECT_THAT(cut(row_format::csv, "\"a\nb"), ElementsAre("\"a\nb"));
  EXPECT_THAT(cut(row_format::ndjson, "{\"a\":\"\\n\"}\r\n{}"),
              ElementsAre("{\"a\":\"\\n\"}", "{}"));
}

TEST(Records, AreTheSameHoweverTheTextComes) {
  const auto text = std::string{"key,\"a \"\"quoted\"\"\nname\"\r\nplain,line\n,\n\"open,\n\nlast"};
  const auto whole = cut(row_format::csv, text);
  for (std::size_t shown = 0; shown <= text.size(); ++shown) {
    const auto some = std::string_view{text}.substr(0, shown);
    const auto c = next_record(row_format::csv, some, false);
    if (c.taken > 0) {
      EXPECT_EQ(c.record, whole.front());
      EXPECT_EQ(c.taken, whole.front().size() + 2);
    }
  }
}

TEST(Records, AreNoLongerThanALimit) {
  const auto line = std::string(max_row_bytes + 10, 'x');
  EXPECT_THAT(cut(row_format::ndjson, line + "\nnext"),
              ElementsAre("long:" + std::string(40, 'x'), "next"));
  EXPECT_THAT(cut(row_format::csv, "\"" + line + "\nnext\n"),
              ElementsAre("long:\"" + std::string(39, 'x'), "next"))
      << "a quote that does not end takes its line alone";
  EXPECT_EQ(next_record(row_format::csv, std::string(100, 'x'), false).taken, 0u);
  EXPECT_TRUE(next_record(row_format::csv, std::string(max_row_bytes, 'x'), false).too_long);
}

TEST(CsvHead, NamesColumns) {
  const auto head = read_csv_head(
      "\xef\xbb\xbf"
      "deviceKey,attributes.a,tags.b\r\nx",
      true);
  ASSERT_TRUE(head);
  EXPECT_THAT(head->columns, ElementsAre("deviceKey", "attributes.a", "tags.b"));
  EXPECT_EQ(head->begin, 3u + 31u);
  for (const auto* bad :
       {"", "\n", "deviceKey,colour\n", "name,name\n", "tags.\n", "\"a\n", "deviceKey,\xff\n"}) {
    const auto got = read_csv_head(bad, true);
    ASSERT_FALSE(got) << bad;
    EXPECT_EQ(got.error().reason, "import_invalid");
  }
  EXPECT_FALSE(read_csv_head("deviceKey,na", false)) << "its end is not there yet";
}

class Rows : public testing::Test, public row_models {
 protected:
  Rows() {
    auto document = model::parse_json(R"({"format":"tm/1","id":"M","name":"M","attributes":[
        {"id":"n","name":"n","type":{"t":"int"}},{"id":"s","name":"s","type":{"t":"string"}},
        {"id":"l","name":"l","type":{"t":"array","items":{"t":"int"}}},
        {"id":"b","name":"b","type":{"t":"bool"}}]})");
    auto made = model::thing_model::compile(*document);
    EXPECT_TRUE(made) << (made ? "" : made.error().problems.front().detail);
    if (made)
      model_ = std::make_unique<model::thing_model>(std::move(*made));
  }
  const model::thing_model* of(const std::string& key) const override {
    return key == "pk" ? model_.get() : nullptr;
  }
  import_row csv(const std::vector<std::string>& columns, std::string_view record) const {
    return read_csv_row(columns, record, "pk", *this);
  }
  std::unique_ptr<model::thing_model> model_;
};

TEST_F(Rows, OfCsvHaveValuesByTheModel) {
  const auto row = csv({"deviceKey", "name", "attributes.n", "attributes.s", "attributes.l",
                        "attributes.b", "attributes.x", "tags.site", "gateway", "timezone"},
                       R"(d1,"A, ""B""",12,0012,"[1,2]",true,free,A7,g/w,)");
  ASSERT_FALSE(row.problem);
  EXPECT_EQ(row.name, (model::device_name{"pk", "d1"}));
  EXPECT_EQ(row.display_name, "A, \"B\"");
  EXPECT_EQ(row.attributes,
            (model::object{
                {"n", 12}, {"s", "0012"}, {"l", model::array{1, 2}}, {"b", true}, {"x", "free"}}));
  EXPECT_EQ(row.tags, (std::map<std::string, std::string>{{"site", "A7"}}));
  EXPECT_EQ(row.gateway, "g/w");
  EXPECT_FALSE(row.timezone) << "an empty cell says nothing";
}

TEST_F(Rows, OfCsvThatCannotBeRead) {
  for (const auto* bad : {"a", "a,b,c", "a,\"b", "a,b\"c", "a,\xff"}) {
    const auto row = csv({"deviceKey", "name"}, bad);
    ASSERT_TRUE(row.problem) << bad;
    EXPECT_EQ(row.problem->reason, "malformed");
  }
  EXPECT_EQ(csv({"deviceKey", "productKey"}, "a,other").name.product_key, "other");
}

TEST_F(Rows, OfJson) {
  const auto row =
      read_json_row(R"({"deviceKey":"d","name":"N","attributes":{"n":1},"tags":{"a":"b"}})", "pk");
  ASSERT_FALSE(row.problem);
  EXPECT_EQ(row.name, (model::device_name{"pk", "d"}));
  EXPECT_EQ(row.attributes, (model::object{{"n", 1}}));
  EXPECT_EQ(read_json_row(R"({"productKey":"q"})", "pk").name.product_key, "q");
  for (const auto* bad : {"", "[]", "{", "\"x\""})
    EXPECT_EQ(read_json_row(bad, "pk").problem->reason, "malformed") << bad;
  EXPECT_EQ(read_json_row(R"({"colour":1})", "pk").problem->reason, "unknown_field");
  EXPECT_EQ(read_json_row(R"({"name":1})", "pk").problem->reason, "validation_failed");
}

TEST(KeyPattern, CountsInItsWidth) {
  const auto p = key_pattern::read("inv-{0008..0012}-x");
  ASSERT_TRUE(p);
  EXPECT_EQ(p->size(), 5u);
  EXPECT_EQ(p->key(0), "inv-0008-x");
  EXPECT_EQ(p->key(4), "inv-0012-x");
  EXPECT_EQ(key_pattern::read("{9..10}")->key(1), "10");
  for (const auto* bad : {"", "inv", "inv-{1}", "inv-{2..1}", "inv-{a..b}", "i{1..2}{3..4}", "}..{",
                          "{1..1000001}", "a b{1..2}", "{..2}", "{1..2", "{1..9999999999999}"})
    EXPECT_FALSE(key_pattern::read(bad)) << bad;
}

TEST(Texts, AreCutBetweenCharacters) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcd", 3), "abc");
  EXPECT_EQ(shortened("ab\xc3\xa9", 3), "ab");
  EXPECT_TRUE(is_utf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
  for (const auto* bad :
       {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"})
    EXPECT_FALSE(is_utf8(bad));
}

}  // namespace
}  // namespace orrery::transport::api
