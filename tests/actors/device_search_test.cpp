// Search against a plain scan: random devices, random filters, orders and pages, while the devices
// change.
#include "actors/device_search.hpp"

#include <algorithm>
#include <future>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "actors/kinds.hpp"
#include "model/json.hpp"
#include "storage/keys.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::actors {
namespace {

namespace filter = model::filter;
namespace keys = storage::keys;
using model::entity_id;
using storage::family;
using testing::ElementsAre;

constexpr std::uint16_t shards = 3;

/// Devices as they would be after their records: snapshots and index rows in a store.
class Fleet : public testing::Test {
 protected:
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[random() % all.size()];
  }
  static const std::vector<std::string>& texts() {
    static const auto all = std::vector<std::string>{"a",
                                                     "A",
                                                     "ab",
                                                     "AB",
                                                     "b",
                                                     "é",
                                                     "É",
                                                     "a%",
                                                     std::string(120, 'x'),
                                                     std::string(119, 'x') + 'y'};
    return all;
  }
  model::value any_value() {
    switch (random() % 6) {
      case 0:
        return random() % 2 == 0;
      case 1:
        return static_cast<double>(random() % 6) / 2;
      case 2:
        return (std::int64_t{1} << 53) + static_cast<std::int64_t>(random() % 3);
      case 3:
        return model::object{{"x", 1}};
      case 4:
        return static_cast<std::int64_t>(random() % 4);
      default:
        return one_of(texts());
    }
  }
  model::timestamp any_time() { return model::from_ms(1'000'000 + random() % 5); }

  /// Writes what changed as the entity does: the snapshot, and the rows that differ.
  void write(const entity_id& id, const device::state& now) {
    const auto& before = devices[id];
    constexpr auto all = ~device::search_mask{0};
    auto changed = search_rows(id, before.exists ? before.organisation() : now.organisation(),
                               device::search_terms(before, all), device::search_terms(now, all));
    const auto everybody =
        keys::index(id.shard, search_index(""),
                    search_value((now.exists ? now : before).organisation(), ""), id);
    changed.push_back({.family = family::index,
                       .key = everybody,
                       .operation = now.exists && now.retirement().empty()
                                        ? storage::row_operation::put
                                        : storage::row_operation::remove});
    const auto key = keys::state(model::entity_kind::device, id);
    if (now.exists)
      changed.push_back({family::state, key, device::encode_state(now, 1)});
    else
      changed.push_back(
          {.family = family::state, .key = key, .operation = storage::row_operation::remove});
    ASSERT_TRUE(store->put(changed, false));
    devices[id] = now;
  }

  void change_one() {
    auto id = entity_id{.shard = static_cast<model::shard_id>(random() % shards), .ulid = {}};
    id.ulid[15] = static_cast<std::uint8_t>(random() % 40);
    auto s = devices[id];
    if (!s.exists) {
      s = {};
      s.exists = true;
      s.called = model::cow{
          device::naming{{"p" + std::to_string(random() % 3), "dk" + std::to_string(id.ulid[15])},
                         random() % 8 == 0 ? "other" : "org"}};
      s.created_at = any_time();
    } else if (random() % 10 == 0) {
      s.exists = false;
    }
    s.display_name = one_of(texts());
    s.family.edit().retirement = random() % 5 == 0
                                     ? device::retirement{any_time(), any_time(), "", "", {}}
                                     : device::retirement{};
    s.admin = random() % 4 == 0 ? device::admin_state::disabled : device::admin_state::enabled;
    s.connection.online = random() % 2 == 0;
    s.activated_at = random() % 2 == 0 ? std::optional{any_time()} : std::nullopt;
    s.family = {};
    if (random() % 6 == 0)
      s.family.edit().mirrored = device::mirroring{id, {}, any_time()};
    s.last_online = random() % 3 == 0 ? any_time() : model::timestamp{};
    s.attributes.clear();
    for (const auto* name : {"size", "kind"})
      if (random() % 3 != 0)
        s.attributes.emplace_back(name, any_value());
    auto tags = std::map<std::string, std::string>{};
    for (const auto* name : {"site", "line"})
      if (random() % 2 == 0)
        tags[name] = one_of(texts());
    s.tags = model::cow{std::move(tags)};
    auto files = device::file_folder{};
    for (auto n = random() % 3; n > 0; --n) {
      auto& f = files.all.emplace_back();
      f.id = std::to_string(n);
      f.size = random() % 2 == 0 ? random() % 100 : std::uint64_t{1} << 40;
    }
    s.family.edit().files = model::cow{std::move(files)};
    write(id, s);
  }

  std::string any_condition() {
    const auto quoted = [](const std::string& t) { return "'" + t + "'"; };
    static const auto compare = std::vector<std::string>{"=", "!=", "<", "<=", ">", ">="};
    switch (random() % 9) {
      case 0:
        return "status " + one_of(std::vector<std::string>{"=", "!="}) + " '" +
               one_of(std::vector<std::string>{"online", "offline", "inactive", "disabled",
                                               "mirror"}) +
               "'";
      case 1:
        return "name " + one_of(compare) + " " + quoted(one_of(texts()));
      case 2:
        return "name like " + quoted(one_of(std::vector<std::string>{"a%", "%b", "x%", "A", "É%"}));
      case 3:
        return "tags." + one_of(std::vector<std::string>{"site", "line"}) +
               one_of(std::vector<std::string>{" exists", " = 'a'", " in ('b', 'AB')", " > 'a'"});
      case 4:
        return "attributes.size " + one_of(compare) + " " +
               one_of(std::vector<std::string>{"0", "1", "1.5", "true", "'a'", "9007199254740992",
                                               "9007199254740993"});
      case 5:
        return "createdAt " + one_of(std::vector<std::string>{"<", "<=", ">", ">=", "="}) + " " +
               std::to_string(1'000'000 + random() % 5);
      case 6:
        return "lastOnlineAt exists";
      case 7:
        return random() % 2 == 0 ? "productKey in ('p1', 'p2')" : "fileBytes >= 50";
      default:
        return "isSubDevice = " + std::string{random() % 2 == 0 ? "true" : "false"};
    }
  }
  std::string any_filter(int depth) {
    if (depth == 0 || random() % 3 == 0)
      return any_condition();
    const auto a = any_filter(depth - 1), b = any_filter(depth - 1);
    switch (random() % 3) {
      case 0:
        return "not (" + a + ")";
      case 1:
        return "(" + a + ") and (" + b + ")";
      default:
        return "(" + a + ") or (" + b + ")";
    }
  }
  static constexpr std::string_view out_of_service = "status = 'retired'";
  /// Of those in service or, now and then, of the others.
  std::string any_question(int depth) {
    if (random() % 5 != 0)
      return any_filter(depth);
    auto text = std::string{out_of_service};
    return random() % 4 == 0 ? text : text + " and (" + any_filter(depth) + ")";
  }
  std::string any_order() {
    static const auto all = std::vector<std::string>{
        "",           "name",       "-name",           "createdAt",    "-lastOnlineAt",
        "tags.site",  "-tags.site", "attributes.size", "-status,name", "lastOnlineAt,-deviceKey",
        "-deviceKey", "-updatedAt", "-attributes.kind"};
    return one_of(all);
  }

  /// Who a filter accepts, by looking at every device.
  std::vector<entity_id> scan(const std::string& text) const {
    const auto parsed = filter::parse(text);
    EXPECT_TRUE(text.empty() || parsed) << text;
    const auto checked = text.empty()
                             ? std::nullopt
                             : std::optional{*filter::check(*parsed, device::search_fields())};
    auto found = std::vector<entity_id>{};
    const auto retired = text.starts_with(out_of_service);
    for (const auto& [id, s] : devices)
      if (s.exists && s.organisation() == "org" && s.retirement().empty() != retired &&
          (!checked || filter::accepts(*checked, device::searched_device{id, s})))
        found.push_back(id);
    return found;
  }
  /// True if the second may stand behind the first by the fields of the order.
  bool in_order(const std::string& sort, const entity_id& a, const entity_id& b) const {
    const auto order = *filter::parse_sort(sort, device::search_fields());
    const auto values = [&](const entity_id& id) {
      const auto seen = device::searched_device{id, devices.at(id)};
      auto all = std::vector<std::string>{};
      for (const auto& k : order)
        all.push_back(filter::index_value(seen.value(k.where.number, k.where.key)));
      return all;
    };
    const auto x = values(a), y = values(b);
    for (std::size_t i = 0; i < order.size(); ++i)
      if (x[i] != y[i])
        return y[i].empty() || (!x[i].empty() && (x[i] < y[i]) != order[i].descending);
    return true;
  }

  template <class T>
  model::result<T> wait(const std::function<void(query::then<T>)>& call) {
    auto promised = std::promise<model::result<T>>{};
    auto done = promised.get_future();
    call([&promised](model::result<T> got) { promised.set_value(std::move(got)); });
    return done.get();
  }
  model::result<std::vector<entity_id>> pages(const std::string& text, const std::string& sort,
                                              std::size_t limit) {
    auto q = device_list_question{"org", text, sort};
    q.limit = limit;
    auto all = std::vector<entity_id>{};
    for (auto n = 0; n < 1000; ++n) {
      auto got = wait<device_page>([&](auto done) { ask.devices(q, std::move(done)); });
      if (!got)
        return got.error();
      EXPECT_LE(got->devices.size(), limit);
      for (const auto& d : got->devices)
        all.push_back(d.id);
      if ((q.cursor = got->next).empty())
        return all;
    }
    return model::failure{model::errc::internal, "pages without end"};
  }

  std::shared_ptr<tests::memory_store> store = std::make_shared<tests::memory_store>();
  query ask{store, nullptr, shards, 2};
  std::map<entity_id, device::state> devices;
  std::mt19937 random{11};
};

TEST_F(Fleet, IsFoundAsByAPlainScan) {
  for (auto round = 0; round < 60; ++round) {
    for (auto n = 0; n < 25; ++n)
      change_one();
    for (auto n = 0; n < 25; ++n) {
      const auto text = random() % 8 == 0 ? "" : any_question(3);
      const auto sort = any_order();
      const auto limit = one_of(std::vector<std::size_t>{1, 3, 10, 500});
      const auto expected = scan(text);
      const auto got = pages(text, sort, limit);
      ASSERT_TRUE(got) << text << ": " << got.error().detail;
      ASSERT_THAT(*got, testing::UnorderedElementsAreArray(expected))
          << text << " by " << sort << ", " << limit << " a page";
      if (sort.empty()) {
        ASSERT_TRUE(std::is_sorted(got->begin(), got->end()));
        continue;
      }
      for (std::size_t i = 1; i < got->size(); ++i)
        ASSERT_TRUE(in_order(sort, (*got)[i - 1], (*got)[i])) << text << " by " << sort;
    }
  }
}

TEST_F(Fleet, ACursorTellsOfNobodyWhomTheFilterLeavesOut) {
  const auto add = [&](model::shard_id shard, std::uint8_t n, const char* site) {
    auto id = entity_id{.shard = shard, .ulid = {}};
    id.ulid[15] = n;
    auto s = device::state{};
    s.exists = true;
    s.called = model::cow{device::naming{{"p", std::to_string(shard) + std::to_string(n)}, "org"}};
    s.tags = model::cow{std::map<std::string, std::string>{{"site", site}}};
    write(id, s);
  };
  auto q = device_list_question{"org", "tags.site != 'outside'"};
  q.limit = 2;
  const auto next = [&] {
    const auto got = wait<device_page>([&](auto done) { ask.devices(q, std::move(done)); });
    EXPECT_TRUE(got && got->devices.size() == 2 && !got->paused);
    return got ? got->next : std::string{};
  };
  add(0, 1, "inside");
  add(0, 2, "inside");
  EXPECT_EQ(next(), "");
  add(0, 3, "outside");
  add(1, 1, "outside");
  EXPECT_EQ(next(), "") << "there are no more that it accepts";
  add(1, 5, "inside");
  const auto before = next();
  EXPECT_NE(before, "");
  add(0, 4, "outside");
  add(1, 2, "outside");
  EXPECT_EQ(next(), before);
}

TEST_F(Fleet, IsCountedAsByAPlainScan) {
  static const auto groups = std::vector<std::string>{"",
                                                      "status",
                                                      "name",
                                                      "tags.site",
                                                      "attributes.size",
                                                      "status,productKey",
                                                      "isSubDevice",
                                                      "tags.line,attributes.kind,status"};
  for (auto round = 0; round < 40; ++round) {
    for (auto n = 0; n < 25; ++n)
      change_one();
    for (auto n = 0; n < 25; ++n) {
      const auto text = random() % 3 == 0 ? "" : any_question(2);
      const auto by = one_of(groups);
      auto q = device_count_question{"org", text, by};
      const auto got = wait<device_counts>([&](auto done) { ask.count(q, std::move(done)); });
      ASSERT_TRUE(got) << got.error().detail;
      const auto fields =
          by.empty() ? std::vector<filter::listed_path>{} : *filter::parse_paths(by, 3, false, "");
      auto expected = std::map<std::string, std::uint64_t>{};
      for (const auto& id : scan(text)) {
        const auto seen = device::searched_device{id, devices.at(id)};
        auto group = model::array{};
        for (const auto& f : fields) {
          const auto where = device::search_fields().find(f.names);
          const auto d = seen.value(where->number, where->key);
          auto v = model::value{};
          if (const auto* b = std::get_if<bool>(&d))
            v = *b;
          else if (const auto* i = std::get_if<std::int64_t>(&d))
            v = *i;
          else if (const auto* x = std::get_if<double>(&d))
            v = *x == static_cast<double>(static_cast<std::int64_t>(*x))
                    ? model::value{static_cast<std::int64_t>(*x)}
                    : model::value{*x};
          else if (const auto* t = std::get_if<std::string_view>(&d))
            v = *t;
          group.push_back(std::move(v));
        }
        ++expected[model::to_json(group)];
      }
      ASSERT_EQ(got->of, expected) << text << " by " << by;
    }
  }
}

TEST_F(Fleet, IsAddedUpAsByAPlainScan) {
  for (auto round = 0; round < 40; ++round) {
    for (auto n = 0; n < 25; ++n)
      change_one();
    for (auto n = 0; n < 10; ++n) {
      const auto text = random() % 3 == 0 ? "" : any_filter(2);
      auto q = device_count_question{.organisation = "org", .filter = text};
      q.sum = "fileBytes";
      const auto got = wait<device_counts>([&](auto done) { ask.count(q, std::move(done)); });
      ASSERT_TRUE(got) << got.error().detail;
      auto sum = std::uint64_t{0}, expected = std::uint64_t{0};
      for (const auto& [group, bytes] : got->of)
        sum += bytes;
      for (const auto& id : scan(text))
        for (const auto& f : devices.at(id).files().all)
          expected += f.size;
      ASSERT_EQ(sum, expected) << text;
    }
  }
  auto q = device_count_question{.organisation = "org"};
  q.sum = "name";
  EXPECT_FALSE(wait<device_counts>([&](auto done) { ask.count(q, std::move(done)); }));
}

TEST_F(Fleet, TagsAreCountedAsByAPlainScan) {
  for (auto round = 0; round < 40; ++round) {
    for (auto n = 0; n < 25; ++n)
      change_one();
    for (const auto& text : {std::string{}, any_filter(2)}) {
      auto expected = tag_counts{};
      for (const auto& id : scan(text))
        for (const auto& [key, value] : *devices.at(id).tags)
          expected.add(key, value, 1);
      auto q = device_count_question{"org", text, std::string{every_tag}};
      const auto got = wait<device_counts>([&](auto done) { ask.count(q, std::move(done)); });
      ASSERT_TRUE(got) << got.error().detail;
      ASSERT_EQ(got->of, expected.counts().of) << text;
    }
  }
}

TEST_F(Fleet, RefusesWhatItCannotRead) {
  const auto reason_of = [&](const std::string& text, const std::string& sort) {
    const auto got = pages(text, sort, 10);
    return got ? "" : std::string{got.error().reason};
  };
  EXPECT_EQ(reason_of("status =", ""), "bad_filter");
  EXPECT_EQ(reason_of("colour = 'red'", ""), "bad_filter");
  EXPECT_EQ(reason_of("", "colour"), "bad_sort");
  EXPECT_EQ(reason_of("", "-gateway"), "bad_sort");
  const auto count = [&](const std::string& by) {
    auto q = device_count_question{"org", "", by};
    const auto got = wait<device_counts>([&](auto done) { ask.count(q, std::move(done)); });
    return got ? "" : std::string{got.error().reason};
  };
  for (const auto* by :
       {"colour", "points.p", "status,", "status,name,productKey,deviceKey", "-status"})
    EXPECT_EQ(count(by), "bad_group") << by;
}

TEST_F(Fleet, HasSoManyGroupsAtMost) {
  for (std::uint32_t n = 0; n <= max_count_groups; ++n) {
    auto id = entity_id{.shard = 0, .ulid = {}};
    id.ulid[14] = static_cast<std::uint8_t>(n >> 8);
    id.ulid[15] = static_cast<std::uint8_t>(n);
    auto s = device::state{};
    s.exists = true;
    s.called = model::cow{device::naming{{"p", "d" + std::to_string(n)}, "org"}};
    write(id, s);
  }
  auto q = device_count_question{"org", "", "deviceKey"};
  for (const auto* text : {"", "isSubDevice = false"}) {
    q.filter = text;
    const auto got = wait<device_counts>([&](auto done) { ask.count(q, std::move(done)); });
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().reason, "too_many_groups");
  }
}

TEST_F(Fleet, ReadsTheNewestValuesWhereAFilterAsksForThem) {
  for (std::uint8_t n = 0; n < 3; ++n) {
    auto id = entity_id{.shard = n, .ulid = {}};
    auto s = device::state{};
    s.exists = true;
    s.called = model::cow{device::naming{{"p", "d" + std::to_string(n)}, "org"}};
    write(id, s);
    auto t = device::telemetry{};
    t.latest.push_back({model::point_name{"power"}, 10.0 * n, -1, {}, {}});
    if (n > 0)
      store->plant(family::latest, keys::latest(id),
                   device::encode_latest(t, 1, model::from_ms(1000 * n)));
  }
  const auto shards_of = [&](const std::string& text, const std::string& sort = "") {
    auto all = std::vector<int>{};
    const auto found = pages(text, sort, 1);
    for (const auto& id : *found)
      all.push_back(id.shard);
    return all;
  };
  EXPECT_THAT(shards_of("points.power > 5"), ElementsAre(1, 2));
  EXPECT_THAT(shards_of("points.power not exists"), ElementsAre(0));
  EXPECT_THAT(shards_of("lastDataAt >= 2000"), ElementsAre(2));
  EXPECT_THAT(shards_of("", "-lastDataAt"), ElementsAre(2, 1, 0));
}

TEST_F(Fleet, WaitsForNobodyButSaysThatARevisionIsNotThere) {
  auto q = device_list_question{"org"};
  q.not_before = journal_place{1, 5};
  auto got = wait<device_page>([&](auto done) { ask.devices(q, std::move(done)); });
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, "index_lag");
  EXPECT_EQ(got.error().code, model::errc::unavailable);
  ASSERT_TRUE(store->put_meta(1, {.epoch = 1, .next_offset = 6}));
  got = wait<device_page>([&](auto done) { ask.devices(q, std::move(done)); });
  EXPECT_TRUE(got);
  q.not_before = journal_place{32767, 5};  // of the catalogue: no device is there
  got = wait<device_page>([&](auto done) { ask.devices(q, std::move(done)); });
  EXPECT_TRUE(got);
}

TEST(SortedPlace, ComesBackFromACursor) {
  const auto p =
      sorted_place{{std::nullopt, std::string{"u\0x", 3}, ""}, {.shard = 3, .ulid = {1}}};
  const auto bytes = write_place(p);
  const auto back = read_place(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->by, p.by);
  EXPECT_EQ(back->id, p.id);
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(read_place(std::string_view{bytes}.substr(0, n)));
  EXPECT_FALSE(read_place(bytes + "x"));
}

}  // namespace
}  // namespace orrery::actors
