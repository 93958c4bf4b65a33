#include "storage/blob_list.hpp"

#include <gtest/gtest.h>

#include "model/credentials.hpp"
#include "model/json.hpp"

namespace orrery::storage {
namespace {

using model::errc;

blob_entry entry(const std::string& owner, char digit, std::uint64_t size) {
  return {{owner, std::string(64, digit)}, size};
}

const auto two =
    blob_list{"20261125-025746", true, {entry("a-1", '0', 14), entry("b", 'f', 1ull << 40)}};

/// A list whose digest is right, whatever is in it.
std::string sealed(const std::string& lines, std::int64_t count, std::int64_t bytes) {
  return model::to_json(model::object{{"backup", "b-1"},
                                      {"bytes", bytes},
                                      {"count", count},
                                      {"sha256", model::sha256_hex(lines)},
                                      {"whole", true}}) +
         '\n' + lines;
}

std::string line(const std::string& owner, char digit, const std::string& size) {
  return owner + '.' + std::string(64, digit) + ' ' + size + '\n';
}

TEST(BlobList, IsReadAsItWasWritten) {
  for (const auto& list : {two, blob_list{"x", true, {}}, blob_list{"x", false, {}}}) {
    const auto again = decode_blob_list(encode(list));
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_EQ(*again, list);
  }
}

/// What lies in folders of backups.
TEST(BlobList, HasTheseBytes) {
  const auto lines =
      "a-1." + std::string(64, '0') + " 14\nb." + std::string(64, 'f') + " 1099511627776\n";
  EXPECT_EQ(encode(two),
            "{\"backup\":\"20261125-025746\",\"bytes\":1099511627790,\"count\":2,\"sha256\":\"" +
                model::sha256_hex(lines) + "\",\"whole\":true}\n" + lines);
}

TEST(BlobList, TellsOfItselfInItsFirstLine) {
  const auto text = encode(two);
  const auto head = decode_blob_list_head(text.substr(0, text.find('\n') + 1));
  ASSERT_TRUE(head);
  EXPECT_EQ(head->backup, two.backup);
  EXPECT_EQ(head->count, 2u);
  EXPECT_EQ(head->bytes, (1ull << 40) + 14);
  EXPECT_TRUE(head->whole);
  EXPECT_FALSE(decode_blob_list_head(encode({"x", false, {}}))->whole);
}

TEST(BlobList, ThatWasCutOrChangedIsRefused) {
  const auto text = encode(two);
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_EQ(decode_blob_list(text.substr(0, size)).error().code, errc::corrupted) << size;
  for (std::size_t at = text.find('\n') + 1; at < text.size(); ++at) {
    auto changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_EQ(decode_blob_list(changed).error().reason, "backup_damaged") << at;
  }
}

TEST(BlobList, IsReadWithCare) {
  ASSERT_TRUE(decode_blob_list(sealed(line("a", '0', "1") + line("a", '1', "2"), 2, 3)));
  for (const auto& lines :
       {line("a", '1', "1") + line("a", '0', "2"), line("a", '0', "1") + line("a", '0', "2"),
        line("a", '0', "1") + line("../a", '0', "2"), line("a", 'G', "1") + line("b", '0', "2"),
        line("a", '0', "1") + line("b", '0', "+2"), line("a", '0', "1") + line("b", '0', "2 "),
        line("a", '0', "1") + line("b", '0', ""), line("a", '0', "1") + "\n",
        line("a", '0', "1") + line("b", '0', "99999999999999999999"),
        line("a", '0', "1") + "b." + std::string(64, '0') + " 2"})
    EXPECT_EQ(decode_blob_list(sealed(lines, 2, 3)).error().code, errc::corrupted) << lines;
  EXPECT_FALSE(decode_blob_list(sealed(line("a", '0', "1"), 2, 1)));
  EXPECT_FALSE(decode_blob_list(sealed(line("a", '0', "1"), 1, 2)));
}

TEST(BlobList, HasAFirstLineOfAFewBytes) {
  for (const std::string text :
       {"", "\n", "[]\n", "{}\n", "{\"backup\":\"x\"}\n", "no JSON\n",
        "{\"backup\":\"..\",\"bytes\":0,\"count\":0,\"sha256\":\"\",\"whole\":true}\n"})
    EXPECT_EQ(decode_blob_list_head(text).error().code, errc::corrupted) << text;
  const auto good = sealed("", 0, 0);
  ASSERT_TRUE(decode_blob_list_head(good));
  for (const auto& [from, to] :
       {std::pair{"\"bytes\":0", "\"bytes\":-1"}, std::pair{"\"count\":0", "\"count\":0.5"},
        std::pair{"\"whole\":true", "\"whole\":1"}, std::pair{"\"b-1\"", "\"b/1\""},
        std::pair{"\"b-1\"", "\"\""}}) {
    auto bad = good;
    bad.replace(bad.find(from), std::string{from}.size(), to);
    EXPECT_FALSE(decode_blob_list_head(bad)) << bad;
  }
  EXPECT_FALSE(decode_blob_list_head(std::string(most_blob_list_head_bytes, ' ') + good));
}

TEST(BlobList, HasNamesThatLeadNowhereElse) {
  for (const auto* good : {"20261125-025746", "a", "A-9"})
    EXPECT_TRUE(is_backup_id(good));
  for (const auto& bad : {std::string{}, std::string{"."}, std::string{"a/b"}, std::string{"a.new"},
                          std::string(65, 'a'), std::string("a\0b", 3)})
    EXPECT_FALSE(is_backup_id(bad));
}

}  // namespace
}  // namespace orrery::storage
