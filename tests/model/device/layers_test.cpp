#include "model/device/layers.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "model/json.hpp"
#include "model/merge_patch.hpp"
#include "tests/support/filled.hpp"

namespace orrery::model::device {
namespace {

using state_code = applied_layer::state_code;

object read(std::string_view text) {
  return parse_json(text)->as_object();
}

fleet_configuration configuration(std::string id, std::string_view target, object patch,
                                  std::uint64_t version = 1) {
  return {std::move(id), version, std::move(patch), std::string{target},
          *filter::check(*filter::parse(target), search_fields())};
}

/// A device that is off-line, in an organisation with configurations.
class Layers : public testing::Test {
 protected:
  Layers() {
    product.exists = true;
    product.model = std::make_shared<const thing_model>(*thing_model::compile(
        *parse_json(R"({"format": "tm/1", "id": "m", "name": "m", "attributes": [
          {"id": "zone", "type": {"t": "string", "maxLength": 5}}]})")));
  }

  void register_it(std::map<std::string, std::string> tags = {}) {
    auto r = register_device{};
    r.name = name;
    r.organisation = "org";
    r.secret = keys.seal("secret", secret_owner(name));
    r.tags = std::move(tags);
    ASSERT_TRUE(tell(r));
  }

  result<reply> tell(order what) {
    auto d = decide(s, {std::move(what), {}, "user:a", {}}, {self, now, product, keys, 3, known});
    happened.clear();
    pushed.clear();
    if (!d)
      return d.error();
    const auto events = decode_events(encode_events(d->events));
    EXPECT_TRUE(events && encode_events(*events) == encode_events(d->events));
    for (const auto& e : d->events) {
      apply(s, e);
      for (const auto& x : device::effects(s, e))
        if (const auto* sent = std::get_if<deliver>(&x))
          if (const auto* push = std::get_if<twin_push>(&sent->message.what))
            pushed.push_back(*push);
      happened.push_back(e);
    }
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(again.layers(), s.layers());
    EXPECT_EQ(again.twin(), s.twin());
    if (const auto* told = std::get_if<twin_status>(&d->answer)) {
      EXPECT_EQ(told->what, s.twin());
      EXPECT_EQ(told->layers, s.layers());
    }
    return std::move(d->answer);
  }
  std::string_view reason(order what) {
    const auto got = tell(std::move(what));
    return got ? std::string_view{"granted"} : got.error().reason;
  }
  void log_in() {
    auto c = connect{};
    c.proof = {"c", "1", sign_method::sha256,
               sign_login(name, "c", "1", sign_method::sha256, "secret")};
    c.session = {7, ++connections, 0};
    ASSERT_TRUE(tell(c));
  }
  /// From now on these are the organisation's.
  void set(std::vector<fleet_configuration> some) {
    all.all = std::move(some);
    all.reads = 0;
    for (const auto& c : all.all)
      all.reads |= looked_at(c.target);
    known = &all;
  }
  std::string desired() const { return to_json(value{s.twin().desired}); }
  /// "c1@2:pending c2@1:refused"
  std::string shown() const {
    auto text = std::string{};
    for (const auto& l : s.layers().all)
      text += (text.empty() ? "" : " ") + l.id + '@' + std::to_string(l.version) + ':' +
              std::string{name_of(l.state)};
    return text;
  }
  change_tags tag(std::string key, std::optional<std::string> v) {
    return {{{std::move(key), std::move(v)}}, false};
  }

  state s;
  configuration_set all;
  const configuration_set* known = nullptr;
  entity_id self = make_entity_id(0, from_ms(1), {});
  timestamp now = from_ms(1'700'000'000'000);
  product_view product;
  keyring keys{keyring::key_bytes{9}};
  device_name name{"pk", "dk"};
  std::vector<event> happened;
  std::vector<twin_push> pushed;
  std::uint64_t connections = 0;
};

TEST_F(Layers, AreLaidBelowWhatIsDesiredOfTheDeviceItself) {
  register_it({{"site", "A"}});
  ASSERT_TRUE(tell(change_twin{read(R"({"own": 1, "both": "mine"})"), false, {}}));
  set({configuration("c1", "tags.site = 'A'",
                     read(R"({"both": "fleet", "rate": 1, "a": {"x": 1}})")),
       configuration("c2", "tags.site = 'B'", read(R"({"never": 1})")),
       configuration("c3", "tags.site = 'A'", read(R"({"rate": 2, "a": {"y": 2, "x": null}})"))});
  ASSERT_TRUE(tell(review_layers{}));
  EXPECT_EQ(desired(), R"({"a":{"y":2},"both":"mine","own":1,"rate":2})");
  EXPECT_EQ(shown(), "c1@1:agreed c3@1:pending") << "nothing of the first is in force";
  EXPECT_EQ(s.twin().desired_version, 2u);
  EXPECT_EQ(s.twin().history.back().by, "configurations");
  ASSERT_TRUE(tell(review_layers{}));
  EXPECT_TRUE(happened.empty()) << "nothing is new";
}

TEST_F(Layers, ComeWithTheDevice) {
  set({configuration("c1", "tags.site = 'A'", read(R"({"rate": 1})"))});
  register_it({{"site", "A"}});
  EXPECT_EQ(desired(), R"({"rate":1})");
  EXPECT_EQ(shown(), "c1@1:pending");
}

TEST_F(Layers, FollowWhatTargetsLookAt) {
  set({configuration("c1", "tags.site = 'A'", read(R"({"rate": 1})"))});
  register_it();
  EXPECT_EQ(shown(), "");
  ASSERT_TRUE(tell(tag("site", "A")));
  EXPECT_EQ(shown(), "c1@1:pending");
  EXPECT_EQ(desired(), R"({"rate":1})");
  ASSERT_TRUE(tell(tag("other", "x")));
  EXPECT_EQ(happened.size(), 1u);
  ASSERT_TRUE(tell(tag("site", std::nullopt)));
  EXPECT_EQ(shown(), "");
  EXPECT_EQ(desired(), "{}");
  EXPECT_TRUE(s.layers().own.empty() && s.layers().common.empty());
}

TEST_F(Layers, AreTakenAwayWithTheirConfiguration) {
  register_it();
  ASSERT_TRUE(tell(change_twin{read(R"({"own": 1})"), false, {}}));
  set({configuration("c1", "productKey = 'pk'", read(R"({"rate": 1, "own": 2})"))});
  ASSERT_TRUE(tell(review_layers{}));
  EXPECT_EQ(desired(), R"({"own":1,"rate":1})");
  known = nullptr;
  ASSERT_TRUE(tell(review_layers{}));
  EXPECT_EQ(shown(), "c1@1:pending") << "who does not know the organisation takes nothing away";
  set({});
  ASSERT_TRUE(tell(review_layers{}));
  EXPECT_EQ(shown(), "");
  EXPECT_EQ(desired(), R"({"own":1})");
}

TEST_F(Layers, LeaveTheDevicesOwnToBeChanged) {
  set({configuration("c1", "productKey = 'pk'", read(R"({"rate": 1, "mode": "eco"})"))});
  register_it();
  ASSERT_TRUE(tell(change_twin{read(R"({"rate": 9})"), false, {}}));
  EXPECT_EQ(desired(), R"({"mode":"eco","rate":9})");
  EXPECT_EQ(to_json(value{s.layers().own}), R"({"rate":9})");
  EXPECT_EQ(reason(change_twin{read("{}"), true, 1}), "etag_mismatch");
  ASSERT_TRUE(tell(change_twin{read(R"({"rate": null})"), false, s.twin().desired_version}));
  EXPECT_EQ(desired(), R"({"mode":"eco","rate":1})") << "the layer below comes through again";
  ASSERT_TRUE(tell(change_twin{read(R"({"x": 1})"), true, {}}));
  EXPECT_EQ(desired(), R"({"mode":"eco","rate":1,"x":1})");
  ASSERT_TRUE(tell(change_twin{{{"big", std::string(32'740, 'x')}}, false, {}}));
  EXPECT_NE(desired().find("big"), std::string::npos);
  EXPECT_NE(shown().find("refused"), std::string::npos) << "layers give way to what is its own";
}

TEST_F(Layers, AreToldToADeviceThatIsThereInOneMessage) {
  register_it();
  log_in();
  EXPECT_TRUE(pushed.empty());
  set({configuration("c1", "productKey = 'pk'", read(R"({"rate": 1})"))});
  ASSERT_TRUE(tell(review_layers{}));
  ASSERT_EQ(pushed.size(), 1u);
  EXPECT_EQ(pushed[0].version, 1u);
  EXPECT_EQ(pushed[0].desired, read(R"({"rate": 1})"));
  EXPECT_EQ(pushed[0].delta, read(R"({"rate": 1})"));
}

TEST_F(Layers, AreToldAtTheLogin) {
  set({configuration("c1", "productKey = 'pk'", read(R"({"rate": 1})"))});
  register_it();
  log_in();
  ASSERT_EQ(pushed.size(), 1u);
  set({configuration("c1", "productKey = 'pk'", read(R"({"rate": 1})")),
       configuration("c2", "connection = 'online'", read(R"({"live": true})"))});
  ASSERT_TRUE(tell(kick_device{}));
  EXPECT_EQ(shown(), "c1@1:pending");
  log_in();
  EXPECT_EQ(shown(), "c1@1:pending c2@1:pending");
  ASSERT_EQ(pushed.size(), 1u) << "the login's own message is replaced";
  EXPECT_EQ(pushed[0].desired, read(R"({"live": true, "rate": 1})"));
}

TEST_F(Layers, SayWhetherTheDeviceHasThem) {
  set({configuration("c1", "productKey = 'pk'", read(R"({"rate": 1, "gone": null})")),
       configuration("c2", "productKey = 'pk'", read(R"({"mode": "eco"})"))});
  register_it();
  ASSERT_TRUE(tell(report_twin{read(R"({"rate": 1})"), false, {}}));
  EXPECT_EQ(shown(), "c1@1:agreed c2@1:pending");
  ASSERT_TRUE(tell(report_twin{read(R"({"mode": "full"})"), false, s.twin().desired_version}));
  EXPECT_EQ(shown(), "c1@1:agreed c2@1:drifted") << "it says that it has the version";
  ASSERT_TRUE(tell(report_twin{read(R"({"mode": "eco"})"), false, {}}));
  EXPECT_EQ(shown(), "c1@1:agreed c2@1:agreed");
  ASSERT_TRUE(tell(report_twin{read(R"({"rate": 7})"), false, {}}));
  EXPECT_EQ(shown(), "c1@1:drifted c2@1:agreed");
  ASSERT_TRUE(tell(change_twin{read(R"({"rate": 7})"), false, {}}));
  EXPECT_EQ(shown(), "c1@1:agreed c2@1:agreed")
      << "what the device's own wish hides is not asked of it";
  EXPECT_EQ(configuration_texts(s.layers()),
            (std::vector<std::string>{"c1", "c1@1", "c1:agreed", "c2", "c2@1", "c2:agreed"}));
}

TEST_F(Layers, ThatCannotBeDesiredAreRefusedFromTheLowestOn) {
  const auto big = [](const char* id) {
    return configuration(id, "productKey = 'pk'", {{id, std::string(12'000, 'x')}});
  };
  set({big("c1"), big("c2"),
       configuration("c3", "productKey = 'pk'", read(R"({"zone": "too long"})")), big("c4"),
       configuration("c5", "productKey = 'pk'", read(R"({"zone": "ok"})"))});
  register_it();
  EXPECT_EQ(shown(), "c1@1:refused c2@1:pending c3@1:agreed c4@1:pending c5@1:pending")
      << "a type counts where it is in force";
  EXPECT_EQ(s.layers().all[0].reason, "twin_too_large");
  all.all.pop_back();
  ASSERT_TRUE(tell(review_layers{}));
  EXPECT_EQ(shown(), "c1@1:refused c2@1:pending c3@1:refused c4@1:pending");
  all.all.pop_back();
  ASSERT_TRUE(tell(review_layers{}));
  EXPECT_EQ(shown(), "c1@1:pending c2@1:pending c3@1:refused");
}

TEST_F(Layers, AreAtMostThirtyTwo) {
  auto some = std::vector<fleet_configuration>{};
  for (int i = 0; i < 40; ++i)
    some.push_back(configuration("c" + std::to_string(i), "productKey = 'pk'",
                                 {{"n" + std::to_string(i), i}}));
  set(std::move(some));
  register_it();
  ASSERT_EQ(s.layers().all.size(), 40u);
  EXPECT_EQ(s.layers().all[7].reason, "configuration_limit");
  EXPECT_EQ(s.layers().all[8].state, state_code::pending);
  EXPECT_EQ(s.twin().desired.size(), max_layers);
}

TEST_F(Layers, GoWithTheDevice) {
  set({configuration("c1", "productKey = 'pk'", read(R"({"rate": 1})"))});
  register_it();
  ASSERT_TRUE(tell(remove_device{}));
  EXPECT_FALSE(s.exists);
}

TEST_F(Layers, ChangeNothingOfWhatIsWrittenWithoutThem) {
  register_it({{"site", "A"}});
  ASSERT_TRUE(tell(change_twin{read(R"({"own": 1})"), false, {}}));
  auto bytes = encode_state(s, 7);
  ASSERT_EQ(bytes.front(), 2) << "as it was before there were any";
  auto again = state{};
  const auto revision = decode_state(bytes, again);
  ASSERT_TRUE(revision);
  EXPECT_EQ(*revision, 7u);
  EXPECT_EQ(encode_state(again, 7), encode_state(s, 7));
  bytes.front() = 1;
  EXPECT_FALSE(decode_state(bytes, again));
  set({configuration("c1", "productKey = 'pk'", read(R"({"rate": 1})"))});
  ASSERT_TRUE(tell(review_layers{}));
  bytes = encode_state(s, 8);
  EXPECT_EQ(bytes.front(), 3);
  auto with = state{};
  ASSERT_TRUE(decode_state(bytes, with));
  EXPECT_EQ(with.layers().all.size(), 1u);
}

/// Documents with few names, so that they meet.
class random_documents {
 public:
  explicit random_documents(unsigned seed) : dice_{seed} {}
  object next(bool with_nulls, int depth = 3) {
    auto o = object{};
    for (const auto* name : {"a", "b", "c"}) {
      const auto n = dice_() % 6;
      if (n == 0 && with_nulls)
        o.emplace_back(name, nullptr);
      else if (n == 1)
        o.emplace_back(name, static_cast<int>(dice_() % 3));
      else if (n == 2)
        o.emplace_back(name, array{1, static_cast<int>(dice_() % 2)});
      else if (n == 3 && depth > 0)
        o.emplace_back(name, next(with_nulls, depth - 1));
    }
    return o;
  }
  std::size_t below(std::size_t n) { return dice_() % n; }

 private:
  std::mt19937 dice_;
};

/// Whatever comes and goes in whatever order: what is desired is always all that is for the device,
/// merged one after the other (RFC 7396), with the device's own on top; and a state is what it
/// says.
TEST_F(Layers, AreAlwaysWhatAPlainMergeMakesOfThem) {
  register_it({{"site", "A"}});
  auto dice = random_documents{7};
  auto own = value{object{}};
  auto some = std::vector<fleet_configuration>{};
  auto versions = std::uint64_t{0};
  set(some);
  for (int i = 0; i < 3'000; ++i) {
    switch (dice.below(6)) {
      case 0: {
        auto patch = dice.next(true);
        own = merge_patch(own, value{patch});
        ASSERT_TRUE(tell(change_twin{std::move(patch), false, {}}));
        break;
      }
      case 1:
        ASSERT_TRUE(tell(tag("site", dice.below(2) == 0 ? "A" : "B")));
        break;
      case 2:
        ASSERT_TRUE(tell(report_twin{dice.next(true), false, {}}));
        break;
      case 3:
        ASSERT_TRUE(tell(report_twin{s.twin().desired, true, s.twin().desired_version}));
        break;
      case 4:
        if (!some.empty())
          some.erase(some.begin() + static_cast<std::ptrdiff_t>(dice.below(some.size())));
        [[fallthrough]];
      default:
        if (some.size() < 6)
          some.insert(some.begin() + static_cast<std::ptrdiff_t>(dice.below(some.size() + 1)),
                      configuration("c" + std::to_string(dice.below(1'000'000)),
                                    dice.below(2) == 0 ? "tags.site = 'A'" : "productKey = 'pk'",
                                    dice.next(true), ++versions));
        set(some);
        ASSERT_TRUE(tell(review_layers{}));
    }
    auto expected = value{object{}};
    auto ids = std::vector<std::string>{};
    for (const auto& c : some)
      if (c.text != "tags.site = 'A'" || s.tags->at("site") == "A") {
        expected = merge_patch(expected, value{c.patch});
        ids.push_back(c.id);
      }
    expected = merge_patch(expected, own);
    ASSERT_TRUE(says_the_same(expected, value{s.twin().desired}))
        << i << ": " << to_json(expected) << " and " << desired();
    ASSERT_EQ(s.layers().all.size(), ids.size());
    for (std::size_t n = 0; n < ids.size(); ++n) {
      const auto& l = s.layers().all[n];
      ASSERT_EQ(l.id, ids[n]);
      const auto& c =
          *std::find_if(some.begin(), some.end(), [&](const auto& one) { return one.id == l.id; });
      ASSERT_EQ(l.state, state_of(c.patch, s.twin()));
    }
  }
}

/// Whatever an event changes that a target may look at is among the fields that it is said to
/// change.
TEST(LayersOfDevices, NoEventChangesMoreThanItSays) {
  auto changing = 0;
  tests::each_alternative<event>([&](std::size_t place) {
    for (const auto first : {0, 1, 2, 3, 50})
      for (const auto fills : {false, true}) {
        auto before = state{};
        before.exists = true;
        if (fills)
          tests::filler{static_cast<std::uint64_t>(first)}(before.family);
        auto e = event{};
        emplace_alternative(e, place);
        tests::filler{static_cast<std::uint64_t>(first)}(e);
        if (is_telemetry(e) || std::holds_alternative<removed>(e))
          continue;
        auto after = before;
        device::apply(after, e);
        const auto id = entity_id{};
        const auto was = searched_device{id, before}, is = searched_device{id, after};
        for (std::size_t n = 0; n < search_fields().size(); ++n) {
          const auto f = static_cast<search_field>(n);
          if (f == search_field::updated_at || f == search_field::last_data_at ||
              f == search_field::points || f == search_field::tags || f == search_field::attributes)
            continue;
          if (filter::order(was.value(n, {}), is.value(n, {})) != 0) {
            ++changing;
            EXPECT_NE(changed_by(e) & bit_of(f), 0u)
                << "event " << place << " changes " << search_fields()[n].name;
          }
        }
      }
  });
  EXPECT_GT(changing, 10);
}

}  // namespace
}  // namespace orrery::model::device
