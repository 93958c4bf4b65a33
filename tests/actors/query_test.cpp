#include "actors/query.hpp"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "actors/kinds.hpp"
#include "model/json.hpp"
#include "storage/keys.hpp"
#include "storage/time_series.hpp"
#include "tests/support/small_node.hpp"

namespace orrery::actors {
namespace {

namespace device = model::device;
namespace keys = storage::keys;
using model::errc;
using testing::ElementsAre;
using tests::order;
using namespace std::chrono_literals;
using words = std::vector<std::string>;

class Query : public testing::Test {
 protected:
  Query() {
    id = node.add_device("dk");
    start = storage_hour(node.now());
    everything();
  }
  static model::timestamp storage_hour(model::timestamp t) {
    return std::chrono::floor<std::chrono::hours>(t);
  }
  void everything() {
    q.device = id;
    q.from = start - std::chrono::hours{24};
    q.to = start + std::chrono::hours{24};
  }
  /// Runs what calls back from a thread of the query, and gives what it calls back with.
  template <class T>
  model::result<T> wait(const std::function<void(query::then<T>)>& call) {
    auto promised = std::make_shared<std::promise<model::result<T>>>();
    auto done = promised->get_future();
    call([promised](model::result<T> got) { promised->set_value(std::move(got)); });
    node.run();
    if (done.wait_for(60s) != std::future_status::ready) {
      ADD_FAILURE() << "no answer";
      return model::failure{errc::internal, "no answer"};
    }
    return done.get();
  }
  model::result<history_page> history() {
    return wait<history_page>([this](auto done) { ask.history(q, std::move(done)); });
  }
  /// A page as "seconds point=value"; "..." at the end if there is another page.
  words page() {
    const auto got = history();
    EXPECT_TRUE(got) << (got ? "" : got.error().detail);
    auto all = words{};
    if (!got)
      return all;
    for (const auto& r : got->rows)
      all.push_back(std::to_string((r.time - start).count() / 1000) + " " + r.point.id + "=" +
                    model::to_json(r.point.v));
    next = got->next;
    if (next)
      all.push_back("...");
    return all;
  }
  /// All pages, one after the other; the pages themselves are counted.
  words pages() {
    auto all = words{};
    page_count = 0;
    do {
      auto some = page();
      if (next) {
        some.pop_back();
        (q.newest_first ? q.to : q.from) = *next;
      }
      all.insert(all.end(), some.begin(), some.end());
      EXPECT_LT(++page_count, 50) << "pages without end";
    } while (next && page_count < 50);
    return all;
  }
  void post(int seconds, std::initializer_list<model::posted_point> what) {
    ASSERT_TRUE(node.ask(id, order(tests::points(start + std::chrono::seconds{seconds}, what))));
  }
  /// Moves what the entity holds into the store.
  void checkpoint() { node.pass(31s); }
  std::size_t segments() {
    return node.store->rows(storage::family::series, keys::bucket_prefix(id));
  }

  device_page devices(device_list_question what) {
    auto got = wait<device_page>([&](auto done) { ask.devices(what, std::move(done)); });
    EXPECT_TRUE(got) << (got ? "" : got.error().detail);
    return got ? std::move(*got) : device_page{};
  }

  tests::small_node node;
  query ask{node.store, node.caller, 2, 2};
  model::entity_id id;
  model::timestamp start;
  history_question q;
  std::optional<model::timestamp> next;
  int page_count = 0;
};

// ---- history ------------------------------------------------------------------------------------

TEST_F(Query, HistoryIsInTheEntityInTheStoreOrInBoth) {
  EXPECT_EQ(page(), words{});
  post(1, {{"q", 1}});
  EXPECT_EQ(page(), (words{"1 q=1"}));
  checkpoint();
  EXPECT_EQ(segments(), 1u);
  EXPECT_EQ(page(), (words{"1 q=1"}));
  post(2, {{"q", 2}});
  post(0, {{"q", 0}});  // older than what is stored
  EXPECT_EQ(page(), (words{"0 q=0", "1 q=1", "2 q=2"}));
  q.newest_first = true;
  EXPECT_EQ(page(), (words{"2 q=2", "1 q=1", "0 q=0"}));
  node.pass(6min);
  EXPECT_EQ(node.awake(), 0u);
  EXPECT_EQ(page(), (words{"2 q=2", "1 q=1", "0 q=0"}));
}

TEST_F(Query, HistoryHasOneRowForEachPointAndTime) {
  for (const auto newest_first : {false, true}) {
    q.newest_first = newest_first;
    post(1, {{"q", 1}});
    checkpoint();
    post(1, {{"q", 2}});
    EXPECT_EQ(page(), (words{"1 q=2"}));  // the entity's is the newer one
    checkpoint();
    EXPECT_EQ(page(), (words{"1 q=2"}));  // and so is the later segment
    post(1, {{"q", 3}});
    post(1, {{"q", 4}});
    EXPECT_EQ(page(), (words{"1 q=4"}));
  }
}

TEST_F(Query, HistoryHoldsBothEndsOfItsRange) {
  for (int i = 0; i < 5; ++i)
    post(i, {{"q", i}});
  q.from = start + 1s;
  q.to = start + 3s;
  const auto expected = words{"1 q=1", "2 q=2", "3 q=3"};
  EXPECT_EQ(page(), expected);
  checkpoint();
  EXPECT_EQ(page(), expected);
}

TEST_F(Query, HistoryShowsThePointsThatAreAskedFor) {
  post(1, {{"q", 1}, {"p", 1.5}});
  checkpoint();
  post(2, {{"q", 2}, {"p", 2.5}});
  EXPECT_EQ(page(), (words{"1 p=1.5", "1 q=1", "2 p=2.5", "2 q=2"}));
  q.points = {"p"};
  EXPECT_EQ(page(), (words{"1 p=1.5", "2 p=2.5"}));
  q.points = {"p", "q"};
  EXPECT_EQ(page().size(), 4u);
  q.points = {"unknown"};
  EXPECT_EQ(page(), words{});
}

TEST_F(Query, HistoryKeepsQuality) {
  post(1, {{"q", model::object{{"value", 5}, {"quality", 9}}}});
  for (int i = 0; i < 2; ++i) {
    const auto got = history();
    ASSERT_TRUE(got);
    ASSERT_EQ(got->rows.size(), 1u);
    EXPECT_EQ(got->rows[0].point.v, model::value{5});
    const auto quality = got->rows[0].point.quality;
    checkpoint();
    EXPECT_EQ(history()->rows[0].point.quality, quality);
  }
}

TEST_F(Query, PagesOfHistoryFollowEachOtherBothWays) {
  auto forward = words{};
  // Over several hours, stored and not, some in one segment and some in segments of their own.
  for (int hour = 0; hour < 4; ++hour) {
    for (int i = 0; i < 5; ++i) {
      post(hour * 3600 + i, {{"q", i}});
      forward.push_back(std::to_string(hour * 3600 + i) + " q=" + std::to_string(i));
      if (i == 2)
        checkpoint();
    }
    if (hour < 3)
      checkpoint();
  }
  auto backward = forward;
  std::reverse(backward.begin(), backward.end());
  for (const std::size_t limit : {1, 2, 3, 5, 7, 19, 20, 21, 1000}) {
    q.limit = limit;
    q.newest_first = false;
    everything();
    EXPECT_EQ(pages(), forward) << "limit " << limit;
    q.newest_first = true;
    everything();
    EXPECT_EQ(pages(), backward) << "limit " << limit;
    EXPECT_LE(static_cast<std::size_t>(page_count), (20 + limit - 1) / limit + 1);
  }
}

TEST_F(Query, APageOfHistorySplitsNoTime) {
  for (int i = 0; i < 3; ++i)
    post(i, {{"p", 1.0}, {"q", i}});
  q.limit = 3;
  EXPECT_EQ(page(), (words{"0 p=1.0", "0 q=0", "1 p=1.0", "1 q=1", "..."}));
  EXPECT_EQ(*next, start + 2s);
  q.limit = 1;
  EXPECT_EQ(page(), (words{"0 p=1.0", "0 q=0", "..."}));
}

TEST_F(Query, APageThatEndsWithItsHourIsNotTheLastOne) {
  // Two rows of one time fill the page beyond its limit, and the hour holds no more.
  for (int hour = 0; hour < 3; ++hour) {
    post(hour * 3600, {{"p", 1.0}, {"q", hour}});
    checkpoint();
  }
  q.limit = 1;
  EXPECT_EQ(pages(),
            (words{"0 p=1.0", "0 q=0", "3600 p=1.0", "3600 q=1", "7200 p=1.0", "7200 q=2"}));
  everything();
  q.newest_first = true;
  EXPECT_EQ(pages(),
            (words{"7200 q=2", "7200 p=1.0", "3600 q=1", "3600 p=1.0", "0 q=0", "0 p=1.0"}));
}

TEST_F(Query, APageSkipsNothingBetweenTheStoreAndTheEntity) {
  // The page is full with what is stored early, the entity holds something late, and there is more
  // in the store between them.
  for (int hour = 0; hour < 3; ++hour) {
    post(hour * 3600, {{"p", 1.0}, {"q", hour}});
    checkpoint();
  }
  post(5 * 3600, {{"q", 5}});
  q.limit = 1;
  EXPECT_EQ(pages().size(), 7u);
  EXPECT_EQ(page_count, 4);
}

TEST_F(Query, HistoryOfADeviceThatIsNotThere) {
  q.device = tests::device_id(1, 99);
  EXPECT_EQ(history().error().code, errc::not_found);
}

TEST_F(Query, DamagedHistoryIsTold) {
  post(1, {{"q", 1}});
  checkpoint();
  node.store->plant(storage::family::series, keys::bucket(id, storage::bucket_of(start)),
                    "no bucket");
  EXPECT_EQ(history().error().code, errc::corrupted);
  node.store->faults.rows = true;
  EXPECT_EQ(history().error().code, errc::unavailable);
}

// ---- lists --------------------------------------------------------------------------------------

TEST_F(Query, ListsDevicesInPages) {
  for (int i = 0; i < 9; ++i)
    node.add_device("d" + std::to_string(i));
  const auto of_product = "productKey = '" + std::string{tests::product_key} + "'";
  for (const auto& [filter, sort] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {of_product, ""}, {"", "-deviceKey"}, {of_product, "status,-createdAt"}})
    for (const std::size_t limit : {1, 3, 10, 11}) {
      auto what = device_list_question{tests::organisation, filter, sort};
      what.limit = limit;
      auto seen = std::set<std::string>{};
      auto count = 0;
      do {
        const auto got = devices(what);
        EXPECT_LE(got.devices.size(), limit);
        for (const auto& d : got.devices) {
          EXPECT_TRUE(seen.insert(d.what->name().device_key).second) << "listed twice";
          EXPECT_EQ(d.revision, 1u);
        }
        what.cursor = got.next;
      } while (!what.cursor.empty() && ++count < 20);
      EXPECT_EQ(seen.size(), 10u) << "limit " << limit;
    }
}

TEST_F(Query, FindsTheDevicesOfACertificate) {
  const auto print = std::string(64, 'c');
  const auto one = node.add_device("one"), two = node.add_device("two");
  auto add = device::add_certificate{};
  add.what.issuer = "aa";
  add.what.serial = "01";
  add.what.fingerprint = print;
  add.what.not_after = node.now() + 24h;
  auto what = device_list_question{};
  what.certificate = print;
  EXPECT_TRUE(devices(what).devices.empty());
  ASSERT_TRUE(node.ask(one, order(add)));
  ASSERT_EQ(devices(what).devices.size(), 1u);
  EXPECT_EQ(devices(what).devices[0].id, one);
  ASSERT_TRUE(node.ask(two, order(add)));
  EXPECT_EQ(devices(what).devices.size(), 2u);
  what.organisation = "another";
  EXPECT_TRUE(devices(what).devices.empty());
  what.organisation.clear();
  what.limit = 1;
  EXPECT_EQ(devices(what).devices.size(), 1u);
  what.limit = 10;
  ASSERT_TRUE(node.ask(one, order(device::remove_device{})));
  EXPECT_EQ(devices(what).devices.size(), 1u);
  EXPECT_EQ(
      node.store->rows(storage::family::index, keys::index_prefix(one.shard, "certificate", print)),
      one.shard == two.shard ? 1u : 0u);
}

TEST_F(Query, ListsOnlyWhatFits) {
  const auto other = node.add_device("other");
  auto renamed = device::update_device{};
  renamed.display_name = "as it is shown";
  ASSERT_TRUE(node.ask(other, order(renamed)));
  node.login("dk");
  const auto found = [this](const std::string& filter, const char* in = tests::organisation) {
    auto ids = std::vector<model::entity_id>{};
    for (const auto& d : devices({in, filter}).devices)
      ids.push_back(d.id);
    return ids;
  };
  EXPECT_THAT(found("deviceKey like '%the%'"), ElementsAre(other));
  EXPECT_THAT(found("name like 'SHOWN'"), ElementsAre(other));
  EXPECT_THAT(found("status = 'inactive'"), ElementsAre(other));
  EXPECT_THAT(found("status = 'online' and name like 'shown'"), ElementsAre());
  EXPECT_THAT(found("status = 'online'"), ElementsAre(id));
  EXPECT_THAT(found("productKey = 'p'"), ElementsAre());  // the beginning of another key is no key
  EXPECT_THAT(found("assetId = '" + to_string(other) + "'"), ElementsAre(other));
  EXPECT_THAT(found("assetId in ('x', '')"), ElementsAre());
  EXPECT_THAT(found("", "elsewhere"), ElementsAre());
  const auto how_many = [this](const std::string& filter) {
    const auto got = wait<device_counts>([&](auto done) {
      ask.count({tests::organisation, filter}, std::move(done));
    });
    return got && !got->of.empty() ? got->of.at("[]") : 0;
  };
  ASSERT_TRUE(node.ask(other, order(device::retire_device{"why", 24h})));
  EXPECT_THAT(found(""), ElementsAre(id)) << "out of service";
  EXPECT_EQ(how_many(""), 1u);
  EXPECT_THAT(found("assetId = '" + to_string(other) + "'"), ElementsAre());
  EXPECT_THAT(found("status = 'retired'"), ElementsAre(other));
  EXPECT_THAT(found("status = 'retired' and name like 'SHOWN'"), ElementsAre(other));
  EXPECT_THAT(found("status = 'retired' and deviceKey = 'dk'"), ElementsAre());
  EXPECT_THAT(found("status = 'retired'", "elsewhere"), ElementsAre());
  EXPECT_EQ(how_many("status = 'retired'"), 1u);
  ASSERT_TRUE(node.ask(other, order(device::restore_device{tests::keys().seal(
                                  "new", device::secret_owner({tests::product_key, "other"}))})));
  EXPECT_THAT(found("status = 'inactive'"), ElementsAre(other));
  EXPECT_THAT(found("status = 'retired'"), ElementsAre());
  EXPECT_EQ(how_many(""), 2u);
  ASSERT_TRUE(node.ask(other, order(device::remove_device{})));
  EXPECT_THAT(found(""), ElementsAre(id));
  EXPECT_THAT(found("status = 'inactive' or deviceKey exists"), ElementsAre(id));
}

/// One that has the shards of one half; the other half is at `other`.
class half_ways final : public read_ways {
 public:
  half_ways(unsigned half, query** other) : half_{half}, other_{other} {}
  bool is_here(model::shard_id shard) const override { return shard % 2 == half_; }
  void read(model::shard_id shard, any_read what, then done) override {
    EXPECT_FALSE(is_here(shard));
    ++asked;
    if (refuses == shard)
      return done(model::failure{errc::unavailable, "shard_not_served", "nobody has it"});
    (*other_)->serve(std::move(what), std::move(done));
  }
  std::atomic<int> asked = 0;
  std::optional<model::shard_id> refuses;

 private:
  unsigned half_;
  query** other_;
};

TEST_F(Query, AListOverTwoNodesIsThatOfOne) {
  constexpr std::uint16_t shards = 40;
  const auto row =
      node.store->get(storage::family::state, keys::state(model::entity_kind::device, id));
  ASSERT_TRUE(row && *row);
  for (std::uint16_t i = 0; i < 90; ++i) {
    auto there =
        model::entity_id{.shard = static_cast<model::shard_id>(i * i % shards), .ulid = {}};
    there.ulid[15] = static_cast<std::uint8_t>(i + 1);
    node.store->plant(storage::family::state, keys::state(model::entity_kind::device, there),
                      **row);
    auto state = device::state{};
    ASSERT_TRUE(device::decode_state(**row, state));
    const auto terms = device::search_terms(state, ~device::search_mask{0});
    auto rows = search_rows(there, tests::organisation, {}, terms);
    rows.push_back(
        {storage::family::index,
         keys::index(there.shard, search_index(""), search_value(tests::organisation, ""), there)});
    for (const auto& r : rows)
      node.store->plant(r.family, r.key, "");
  }
  query* second = nullptr;
  const auto ways = std::make_shared<half_ways>(0, &second);
  auto here = query{node.store, nullptr, shards, 2, ways};
  auto there = query{node.store, nullptr, shards, 2, std::make_shared<half_ways>(1, &second)};
  auto whole = query{node.store, nullptr, shards, 1};
  second = &there;
  const auto all_of = [&](query& by, device_list_question what) {
    auto ids = std::vector<model::entity_id>{};
    for (auto pages = 0; pages < 200; ++pages) {
      const auto got = wait<device_page>([&](auto done) { by.devices(what, std::move(done)); });
      EXPECT_TRUE(got) << got.error().detail;
      if (!got)
        break;
      EXPECT_LE(got->devices.size(), what.limit);
      for (const auto& d : got->devices)
        ids.push_back(d.id);
      if ((what.cursor = got->next).empty())
        break;
    }
    return ids;
  };
  for (const auto* filter : {"", "status = 'inactive'", "name like 'nobody is called so'"})
    for (const auto* sort : {"", "deviceKey", "-createdAt", "lastOnlineAt,-deviceKey"})
      for (const std::size_t limit : {1, 2, 7, 50, 500}) {
        auto what = device_list_question{tests::organisation, filter, sort};
        what.limit = limit;
        const auto expected = all_of(whole, what);
        EXPECT_EQ(expected.size(), std::string_view{filter}.starts_with("name") ? 0u : 91u);
        EXPECT_EQ(all_of(here, what), expected) << "limit " << limit;
      }
  for (auto* by : {&whole, &here}) {
    auto how_many = device_count_question{tests::organisation, "", "status,lastOnlineAt"};
    const auto got = wait<device_counts>([&](auto done) { by->count(how_many, std::move(done)); });
    ASSERT_TRUE(got) << got.error().detail;
    EXPECT_EQ(got->of, (std::map<std::string, std::uint64_t>{{R"(["inactive",null])", 91}}));
  }
  EXPECT_GT(ways->asked.load(), 0);

  ways->refuses = 33;
  for (const auto* sort : {"", "deviceKey"}) {
    auto what = device_list_question{tests::organisation, "", sort};
    what.limit = 500;
    const auto got = wait<device_page>([&](auto done) { here.devices(what, std::move(done)); });
    EXPECT_EQ(got.error().reason, "shard_not_served") << "nobody is left out in silence";
  }
}

TEST_F(Query, ADamagedDeviceIsTold) {
  node.store->plant(storage::family::state, keys::state(model::entity_kind::device, id), "damaged");
  auto what = device_list_question{};
  what.organisation = tests::organisation;
  const auto got = wait<device_page>([&](auto done) { ask.devices(what, std::move(done)); });
  EXPECT_EQ(got.error().code, errc::corrupted);
}

TEST_F(Query, RefusesCursorsThatAreNotItsOwn) {
  node.add_device("second");
  auto own = device_list_question{};
  own.organisation = tests::organisation;
  own.limit = 1;
  const auto cursor = devices(own).next;
  ASSERT_FALSE(cursor.empty());
  for (const auto& bad :
       {std::string{"x"}, std::string{"zz"}, std::string{"0"}, std::string{"00"},
        std::string{"ffffffff"}, std::string{"0000ff"}, "00" + cursor, std::string(5000, 'a')}) {
    own.cursor = bad;
    const auto devices_got =
        wait<device_page>([&](auto done) { ask.devices(own, std::move(done)); });
    EXPECT_EQ(devices_got ? errc::internal : devices_got.error().code, errc::invalid_argument)
        << bad;
    if (!devices_got) {
      EXPECT_EQ(devices_got.error().reason, "bad_cursor");
    }
    auto events = event_list_question{};
    events.device = id;
    events.cursor = bad;
    const auto events_got =
        wait<event_page>([&](auto done) { ask.events(events, std::move(done)); });
    EXPECT_EQ(events_got ? errc::internal : events_got.error().code, errc::invalid_argument) << bad;
    const auto commands_got = wait<command_page>([&](auto done) {
      ask.commands({id, bad, 10}, std::move(done));
    });
    EXPECT_EQ(commands_got ? errc::internal : commands_got.error().code, errc::invalid_argument)
        << bad;
  }
  own.cursor = cursor;
  own.sort = "deviceKey";  // a cursor of another list
  const auto got = wait<device_page>([&](auto done) { ask.devices(own, std::move(done)); });
  EXPECT_EQ(got ? errc::internal : got.error().code, errc::invalid_argument);
}

TEST_F(Query, ListsEventsNewestFirst) {
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(node.ask(
        id, order(device::report_event{"hot", {{"n", i}}, start + std::chrono::seconds{i}})));
  auto what = event_list_question{};
  what.device = id;
  what.from = start + 1s;
  what.to = start + 4s;
  what.limit = 2;
  auto times = std::vector<std::int64_t>{};
  auto ids = std::set<std::string>{};
  auto count = 0;
  do {
    const auto got = wait<event_page>([&](auto done) { ask.events(what, std::move(done)); });
    ASSERT_TRUE(got);
    EXPECT_LE(got->events.size(), 2u);
    for (const auto& e : got->events) {
      times.push_back((e.time - start).count() / 1000);
      ids.insert(e.id);
      EXPECT_EQ(e.event, "hot");
      EXPECT_EQ(e.level, 1);
    }
    what.cursor = got->next;
  } while (!what.cursor.empty() && ++count < 10);
  EXPECT_THAT(times, ElementsAre(4, 3, 2, 1));
  EXPECT_EQ(ids.size(), 4u);
  what.event = "cold";
  EXPECT_TRUE(
      wait<event_page>([&](auto done) { ask.events(what, std::move(done)); })->events.empty());
}

TEST_F(Query, ListsHowADeviceCameAndWent) {
  const auto from = node.now();
  node.login("dk");
  node.pass(10min);
  ASSERT_TRUE(node.ask(id, order(device::kick_device{})));
  node.pass(30min);
  node.login("dk");
  node.pass(20min);
  auto what = presence_question{id, from, node.now()};
  what.limit = 2;
  const auto ask_page = [&] {
    auto got = wait<presence_page>([&](auto done) { ask.presence(what, std::move(done)); });
    EXPECT_TRUE(got);
    return got ? *got : presence_page{};
  };
  auto page = ask_page();
  ASSERT_EQ(page.rows.size(), 2u);
  EXPECT_TRUE(page.rows[0].online);
  EXPECT_FALSE(page.rows[1].online);
  EXPECT_EQ(page.rows[1].reason, "kicked");
  ASSERT_TRUE(page.sum);
  EXPECT_EQ(page.sum->online, 30min);
  EXPECT_EQ(page.sum->known, 60min);
  what.cursor = page.next;
  ASSERT_FALSE(what.cursor.empty());
  page = ask_page();
  ASSERT_EQ(page.rows.size(), 1u);
  EXPECT_EQ(page.rows[0].at, from);
  EXPECT_TRUE(page.next.empty());
  EXPECT_FALSE(page.sum);
  // The row before a time says how it begins.
  what = {id, from + 5min, from + 15min};
  page = ask_page();
  EXPECT_EQ(page.rows.size(), 1u);
  EXPECT_EQ(page.sum->online, 5min);
  EXPECT_EQ(page.sum->known, 10min);
  what = {id, from - 1h, from - 30min};
  page = ask_page();
  EXPECT_TRUE(page.rows.empty());
  EXPECT_EQ(page.sum->known, 0min) << "of what was before nothing is known";
  what.cursor = "00";
  EXPECT_FALSE(wait<presence_page>([&](auto done) { ask.presence(what, std::move(done)); }));
}

TEST_F(Query, ListsCommandsNewestFirstAndFindsOne) {
  node.login("dk");
  for (std::uint8_t i = 1; i <= 5; ++i) {
    auto c = tests::call({id.shard, {i}}, 1h);
    ASSERT_TRUE(node.ask(id, order(c)));
  }
  auto found = std::vector<int>{};
  auto cursor = std::string{};
  auto count = 0;
  do {
    const auto got = wait<command_page>([&](auto done) {
      ask.commands({id, cursor, 2}, std::move(done));
    });
    ASSERT_TRUE(got);
    for (const auto& c : got->commands)
      found.push_back(c.id.ulid[0]);
    cursor = got->next;
  } while (!cursor.empty() && ++count < 10);
  EXPECT_THAT(found, ElementsAre(5, 4, 3, 2, 1));

  using one = std::optional<device::command_record>;
  const auto third = wait<one>([&](auto done) {
    ask.command({id, {id.shard, {3}}}, std::move(done));
  });
  ASSERT_TRUE(third && *third);
  EXPECT_EQ((*third)->state, device::command_record::state_code::queued);
  const auto none = wait<one>([&](auto done) {
    ask.command({id, {id.shard, {9}}}, std::move(done));
  });
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
}

TEST_F(Query, RunsWorkThatBlocksOnAThreadOfItsOwn) {
  auto where = std::promise<std::thread::id>{};
  ask.run([&] { where.set_value(std::this_thread::get_id()); });
  auto got = where.get_future();
  ASSERT_EQ(got.wait_for(60s), std::future_status::ready);
  EXPECT_NE(got.get(), std::this_thread::get_id());
}

}  // namespace
}  // namespace orrery::actors
