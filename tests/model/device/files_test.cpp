#include <gtest/gtest.h>

#include "model/device/device.hpp"
#include "model/json.hpp"
#include "model/static_text.hpp"

namespace orrery::model::device {
namespace {

using namespace std::chrono_literals;

const auto sha = std::string(64, 'a'), md5 = std::string(32, 'b');

class Files : public testing::Test {
 protected:
  Files() {
    auto m = thing_model::compile(*parse_json(R"({"format": "tm/1", "id": "m", "name": "m"})"));
    product.exists = true;
    product.model = std::make_shared<const thing_model>(std::move(*m));
    auto r = register_device{};
    r.name = {"pk", "dk"};
    r.organisation = "org";
    EXPECT_TRUE(tell(r));
  }

  result<reply> tell(order what) {
    auto d = decide(s, {std::move(what), {}, "test", {}}, {self, now, product, keys, 3});
    if (!d)
      return d.error();
    EXPECT_TRUE(decode_events(encode_events(d->events)));
    for (const auto& e : d->events)
      apply(s, e);
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(encode_state(again, 1), encode_state(s, 1));
    EXPECT_EQ(again.files(), s.files());
    return std::move(d->answer);
  }
  std::string_view reason(const result<reply>& got) {
    if (got)
      return "granted";
    EXPECT_EQ(static_text(got.error().reason), got.error().reason) << "other nodes know it";
    return got.error().reason;
  }
  static std::string id_of(int number) {
    auto id = std::string(16, '0');
    id += std::to_string(number);
    return id.substr(id.size() - 16);
  }
  static add_file a_file(int number, std::uint64_t size = 10) {
    auto a = add_file{};
    a.what.id = id_of(number);
    a.what.name = "photo.jpg";
    a.what.size = size;
    return a;
  }
  static store_file bytes_of(int number, std::uint64_t size = 10) {
    return {id_of(number), size, sha, md5};
  }
  std::string_view status(int number) const {
    const auto* found = s.files().find(id_of(number));
    return found ? status_of(*found, now) : "none";
  }

  product_view product;
  keyring keys{{}};
  entity_id self = make_entity_id(3, from_ms(5), {1});
  timestamp now = from_ms(1'700'000'000'000);
  state s;
};

TEST_F(Files, GetTheirBytesOnce) {
  const auto added = tell(a_file(1));
  ASSERT_TRUE(added);
  const auto& told = std::get<file_status>(*added);
  EXPECT_EQ(told.device, self);
  EXPECT_EQ(told.organisation, "org");
  EXPECT_EQ(told.what, s.files().all.at(0));
  EXPECT_EQ(uri_of(told.what), "enos-connect://0000000000000001.jpg");
  EXPECT_EQ(status(1), "pending");
  now += 5s;
  ASSERT_TRUE(tell(bytes_of(1)));
  EXPECT_EQ(status(1), "stored");
  EXPECT_EQ(s.files().all.at(0).sha256, sha);
  EXPECT_EQ(s.files().all.at(0).md5, md5);
  EXPECT_EQ(s.files().all.at(0).stored_at, now);
  EXPECT_EQ(reason(tell(bytes_of(1))), "file_stored");
  EXPECT_EQ(reason(tell(bytes_of(2))), "file_unknown");
  EXPECT_EQ(reason(tell(a_file(1))), "file_exists");
  now += 48h;
  EXPECT_EQ(status(1), "stored");
  EXPECT_EQ(std::get<file_status>(*tell(read_file{id_of(1)})).what.size, 10u);
}

TEST_F(Files, MustBeWhatTheyWereToBe) {
  auto known = a_file(1);
  known.what.sha256 = sha;
  known.what.md5 = md5;
  ASSERT_TRUE(tell(known));
  EXPECT_EQ(reason(tell(bytes_of(1, 9))), "file_size_wrong");
  EXPECT_EQ(reason(tell(store_file{id_of(1), 10, std::string(64, 'c'), md5})), "file_digest_wrong");
  EXPECT_EQ(reason(tell(store_file{id_of(1), 10, sha, std::string(32, 'c')})), "file_digest_wrong");
  EXPECT_EQ(reason(tell(store_file{id_of(1), 10, "", ""})), "file_digest_wrong");
  EXPECT_EQ(status(1), "pending");
  EXPECT_EQ(reason(tell(bytes_of(1))), "granted");
}

TEST_F(Files, ThatNeverComeAreLostAndMakeRoom) {
  auto one = a_file(1), two = a_file(2);
  one.limits.most_files = two.limits.most_files = 1;
  ASSERT_TRUE(tell(one));
  EXPECT_EQ(reason(tell(two)), "file_quota_exceeded");
  now += 1h - 1ms;
  EXPECT_EQ(status(1), "pending");
  now += 1ms;
  EXPECT_EQ(status(1), "lost");
  EXPECT_EQ(reason(tell(bytes_of(1))), "file_lost");
  ASSERT_TRUE(tell(two));
  EXPECT_EQ(status(1), "none");
  EXPECT_EQ(status(2), "pending");
}

TEST_F(Files, AreBoundedInNumberAndSize) {
  auto a = a_file(1, 101);
  a.limits = {2, 150, 100};
  EXPECT_EQ(reason(tell(a)), "file_too_large");
  a.what.size = 100;
  EXPECT_EQ(reason(tell(a)), "granted");
  a.what.id = id_of(2);
  a.what.size = 51;
  EXPECT_EQ(reason(tell(a)), "file_quota_exceeded");
  a.what.size = 50;
  EXPECT_EQ(reason(tell(a)), "granted");
  a.what.id = id_of(3);
  a.what.size = 0;
  EXPECT_EQ(reason(tell(a)), "file_quota_exceeded");
  a.limits = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
  a.what.size = UINT64_MAX;
  EXPECT_EQ(reason(tell(a)), "file_quota_exceeded");
  a.what.size = 0;
  for (int i = 3; i <= static_cast<int>(max_files); ++i) {
    a.what.id = id_of(i);
    ASSERT_EQ(reason(tell(a)), "granted") << i;
  }
  a.what.id = id_of(5000);
  EXPECT_EQ(reason(tell(a)), "file_quota_exceeded");
}

TEST_F(Files, GoOneByOneAndWithTheirDevice) {
  ASSERT_TRUE(tell(a_file(1)));
  ASSERT_TRUE(tell(a_file(2)));
  EXPECT_EQ(reason(tell(remove_file{id_of(3)})), "file_unknown");
  ASSERT_TRUE(tell(remove_file{id_of(1)}));
  EXPECT_EQ(reason(tell(read_file{id_of(1)})), "file_unknown");
  EXPECT_EQ(status(2), "pending");
  ASSERT_TRUE(tell(remove_file{id_of(2)}));
  EXPECT_TRUE(s.family->empty());
  ASSERT_TRUE(tell(a_file(3)));
  ASSERT_TRUE(tell(remove_device{}));
  EXPECT_TRUE(s.files().empty());
}

TEST_F(Files, HaveNamesThatCanBeShown) {
  for (const auto& name :
       {std::string{}, std::string(256, 'x'), std::string{"a\nb"}, std::string{"a\x7f"}}) {
    auto a = a_file(1);
    a.what.name = name;
    EXPECT_EQ(reason(tell(a)), "file_invalid") << name;
  }
  for (const auto& id : {"", "0123", "0123456789ABCDEF", "0123456789abcde/"}) {
    auto a = a_file(1);
    a.what.id = id;
    EXPECT_EQ(reason(tell(a)), "file_invalid") << id;
  }
  auto a = a_file(1);
  a.what.sha256 = std::string(63, 'a');
  EXPECT_EQ(reason(tell(a)), "file_invalid");
  a.what.sha256 = std::string(64, 'A');
  EXPECT_EQ(reason(tell(a)), "file_invalid");
  a = a_file(1);
  a.what.md5 = "x";
  EXPECT_EQ(reason(tell(a)), "file_invalid");
}

TEST(FileUri, IsTheIdAndAnEnding) {
  auto f = file_record{};
  f.id = "00112233445566ff";
  const auto uri = [&](const std::string& name) {
    f.name = name;
    return uri_of(f).substr(std::string{"enos-connect://00112233445566ff"}.size());
  };
  EXPECT_EQ(uri("a.tar.gz"), ".gz");
  EXPECT_EQ(uri("a"), "");
  EXPECT_EQ(uri("a."), "");
  EXPECT_EQ(uri("a.b/c"), "");
  EXPECT_EQ(uri("a.\xc3\xa4"), "");
  EXPECT_EQ(uri("a." + std::string(16, 'x')), "");
  EXPECT_EQ(file_id_of("enos-connect://00112233445566ff.jpg"), f.id);
  EXPECT_EQ(file_id_of("enos-connect://00112233445566ff"), f.id);
  EXPECT_EQ(file_id_of("enos-lark://00112233445566ff.jpg"), f.id);
  for (const auto* bad :
       {"", "00112233445566ff", "enos-connect://", "enos-connect://0011", "http://00112233445566ff",
        "enos-connect://00112233445566FF", "enos-connect://00112233445566ff.aaaaaaaaaaaaaaaaaaaa",
        "enos-connect://00112233445566ff/../x"})
    EXPECT_EQ(file_id_of(bad), "") << bad;
}

}  // namespace
}  // namespace orrery::model::device
