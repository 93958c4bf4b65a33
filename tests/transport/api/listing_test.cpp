#include "transport/api/listing.hpp"

#include "model/json.hpp"
#include "tests/transport/api/support.hpp"

namespace orrery::transport::api {
namespace {

namespace filter = model::filter;

class Listing : public api_test {
 protected:
  /// The answer's body to a query, of six items.
  model::value ask(const std::string& query, int status = 200) {
    auto r = http_request{};
    r.method = "GET";
    r.target = "/api/v1/orgs/-/things?" + query;
    EXPECT_TRUE(split_target(r.target, r));
    auto answer = http_response{};
    const auto e = std::make_shared<exchange>(
        parts, std::make_shared<const http_request>(std::move(r)),
        responder{[&](http_response got) { answer = std::move(got); }}, "r1");
    e->who.organisation = "org";
    auto all = std::vector<list_row>{};
    for (
        const auto* item :
        {R"({"id":"d","size":2,"tags":{"site":"A7"},"roles":["x","y"],"at":"2023-11-14T22:13:20.000Z"})",
         R"({"id":"a","size":2.5,"tags":{},"roles":[],"at":1700000000001})",
         R"({"id":"b","size":1,"tags":{"site":"B"},"roles":["y"],"at":"2023-11-14T22:13:20.002Z"})",
         R"({"id":"c","tags":{"site":"a7"},"roles":["z"],"at":"2023-11-14T22:13:20.000Z"})",
         R"({"id":"f","size":1,"tags":{"site":"C"},"roles":["y"],"at":"2023-11-14T22:13:20.002Z"})",
         R"({"id":"e","size":null,"tags":{"site":"A7"},"name":{"default":"Pump","de":"Pumpe"}})"}) {
      const auto v = *model::parse_json(item);
      all.push_back({v.find("id")->as_string(), [v] { return v; }});
    }
    reply_list(e, fields, std::move(all));
    EXPECT_EQ(answer.status, status) << query << ": " << answer.body;
    return *model::parse_json(answer.body);
  }
  /// The ids of a page, and its cursor.
  std::string ids(const std::string& query, std::string* next = nullptr) {
    const auto body = ask(query);
    auto all = std::string{};
    for (const auto& item : body.find("items")->as_array())
      all += item.find("id")->as_string();
    if (const auto* cursor = body.find("nextCursor"); next)
      *next = cursor ? cursor->as_string() : "";
    return all;
  }
  /// The ids of all pages.
  std::string pages(const std::string& query) {
    auto all = std::string{}, cursor = std::string{};
    do
      all += ids(query + (cursor.empty() ? "" : "&cursor=" + cursor), &cursor) + ' ';
    while (!cursor.empty());
    return all;
  }

  const filter::schema fields{
      {{.name = "id", .sortable = true},
       {.name = "name", .type = filter::field_type::texts},
       {.name = "size", .type = filter::field_type::number, .sortable = true},
       {.name = "tags.*"},
       {.name = "roles", .type = filter::field_type::texts},
       {.name = "at", .type = filter::field_type::time, .sortable = true}}};
};

TEST_F(Listing, IsInTheOrderOfItsKeysUnlessAsked) {
  EXPECT_EQ(ids(""), "abcdef");
  EXPECT_EQ(pages("limit=4"), "abcd ef ");
  EXPECT_EQ(pages("limit=6"), "abcdef ");
}

TEST_F(Listing, IsFiltered) {
  EXPECT_EQ(ids("filter=tags.site%20%3D%20'A7'"), "de");
  EXPECT_EQ(ids("filter=tags.site%20like%20'a%25'"), "cde");
  EXPECT_EQ(ids("filter=not%20exists(size)"), "ce");
  EXPECT_EQ(ids("filter=size%20in%20(1,2.5)"), "abf");
  EXPECT_EQ(ids("filter=roles%3D'y'%20and%20size%3E1"), "d");
  EXPECT_EQ(ids("filter=at%20%3E%201700000000000"), "abf");
  EXPECT_EQ(ids("filter=name%20like%20'pumpe'"), "e");
  EXPECT_EQ(ids("filter=id%3D'x'"), "");
  EXPECT_EQ(pages("limit=2&filter=exists(size)"), "ab df ");
}

TEST_F(Listing, GivesAllThatAFilterAccepts) {
  auto all = std::vector<list_row>{};
  for (const auto* item : {R"({"id":"b","size":2})", R"({"id":"a","size":1})", R"({"id":"c"})"}) {
    const auto v = *model::parse_json(item);
    all.push_back({v.find("id")->as_string(), [v] { return v; }});
  }
  const auto found = [&](const char* text, std::size_t most = 10) {
    const auto got = accepted(text, fields, all, most);
    if (!got)
      return std::string{got.error().reason};
    auto ids = std::string{};
    for (const auto& item : *got)
      ids += item.find("id")->as_string();
    return ids;
  };
  EXPECT_EQ(found(""), "abc");
  EXPECT_EQ(found("size > 0"), "ab");
  EXPECT_EQ(found("size > 0", 2), "ab");
  EXPECT_EQ(found("", 2), "too_many_rows");
  EXPECT_EQ(found("nothing = 1"), "bad_filter");
}

TEST_F(Listing, IsSorted) {
  EXPECT_EQ(ids("sort=-id"), "fedcba");
  EXPECT_EQ(ids("sort=size"), "bfdace");  // without a size last
  EXPECT_EQ(ids("sort=-size,-id"), "adfbec");
  EXPECT_EQ(pages("sort=-size&limit=2"), "ad bf ce ");
  EXPECT_EQ(pages("sort=at,-id&limit=1"), "d c a f b e ");
  EXPECT_EQ(pages("sort=at&limit=2&filter=size%3C3"), "da bf ");
}

TEST_F(Listing, ShowsTheFieldsThatAreAskedFor) {
  EXPECT_EQ(model::to_json(*ask("limit=1&fields=id,tags.site&filter=id%3D'd'").find("items")),
            R"([{"id":"d","tags":{"site":"A7"}}])");
  auto cursor = std::string{};
  EXPECT_EQ(ids("limit=1&fields=id", &cursor), "a");
  EXPECT_EQ(ids("limit=1&fields=id,size&cursor=" + cursor),
            "b");  // they are no part of the question
}

TEST_F(Listing, RefusesWhatItCannotRead) {
  for (const auto& [query, code] : {std::pair{"filter=size", "bad_filter"},
                                    {"filter=nothing%3D1", "bad_filter"},
                                    {"sort=tags.site", "bad_sort"},
                                    {"fields=,", "bad_fields"},
                                    {"cursor=x", "bad_cursor"},
                                    {"limit=0", "malformed"}})
    EXPECT_EQ(ask(query, 400).find("code")->as_string(), code) << query;
  auto cursor = std::string{};
  ids("limit=1&sort=id", &cursor);
  EXPECT_EQ(ask("limit=1&sort=-id&cursor=" + cursor, 400).find("code")->as_string(), "bad_cursor");
}

}  // namespace
}  // namespace orrery::transport::api
