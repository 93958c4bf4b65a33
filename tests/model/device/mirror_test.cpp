// Mirrors: what may show what, what a mirror has not, how points are called where they are shown,
// and that no circle comes to be, whatever is lost.
#include "model/device/mirror.hpp"

#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/device/search.hpp"
#include "model/json.hpp"

namespace orrery::model::device {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const auto noon = from_ms(1'700'000'000'000);

entity_id id_of(int n) {
  return {static_cast<shard_id>(n), {1, static_cast<std::uint8_t>(n)}};
}

product_view product_with(std::vector<std::string> points) {
  auto text = std::string{R"({"format": "tm/1", "id": "m", "name": "m", "measurePoints": [)"};
  for (const auto& p : points)
    text +=
        (text.back() == '[' ? "" : ",") + (R"({"id": ")" + p) + R"(", "type": {"t": "double"}})";
  auto product = product_view{};
  product.exists = true;
  product.model =
      std::make_shared<const thing_model>(*thing_model::compile(*parse_json(text + "]}")));
  return product;
}

struct one_device {
  entity_id id;
  product_view product = product_with({"power", "temp"});
  keyring keys{keyring::key_bytes{9}};
  state s{};
  std::vector<entity_id> left{};  // sources that the last order left
  std::size_t happened = 0;
  std::optional<failure> why{};

  explicit one_device(int n) : id{id_of(n)} {
    auto r = register_device{};
    r.name = {"pk", "dk-" + std::to_string(n)};
    r.organisation = "org";
    r.secret = keys.seal("secret", secret_owner(r.name));
    EXPECT_EQ(tell(r), "");
  }
  std::string_view tell(order what) {
    left.clear();
    happened = 0;
    why.reset();
    auto d = decide(s, {std::move(what), {}, "user:a", {}}, {id, noon, product, keys, 3});
    if (!d) {
      why = d.error();
      return d.error().reason;
    }
    for (const auto& e : d->events) {
      const auto bytes = encode_events({e});
      const auto again = decode_events(bytes);
      EXPECT_TRUE(again && encode_events(*again) == bytes);
      apply(s, e);
      for (const auto& x : device::effects(s, e))
        if (const auto* gone = std::get_if<leave_mirror>(&x))
          left.push_back(gone->source);
      ++happened;
    }
    if (s.exists) {
      auto kept = state{};
      EXPECT_TRUE(decode_state(encode_state(s, 1), kept));
      EXPECT_EQ(kept.mirrored(), s.mirrored());
      EXPECT_EQ(kept.mirrors(), s.mirrors());
    }
    return "";
  }
  std::string_view log_in() {
    auto c = connect{};
    c.proof = {s.name().device_key, "1", sign_method::sha256,
               sign_login(s.name(), s.name().device_key, "1", sign_method::sha256, "secret")};
    c.session = {7, 1, 0};
    return tell(c);
  }
  std::string_view post(const std::string& point) {
    auto r = report_points{};
    r.samples.push_back({noon, {{point, 1.5}}});
    return tell(r);
  }
  set_mirror to(const one_device& source, point_map points = {}) const {
    return {{source.id, std::move(points), {}}};
  }
  link_mirror by(const one_device& mirror, point_map points = {}) const {
    return {{mirror.id, mirror.s.name(), std::move(points)}};
  }
};

std::vector<std::string> places(const std::optional<failure>& why) {
  auto all = std::vector<std::string>{};
  if (why)
    for (const auto& p : why->problems)
      all.push_back(p.where + " " + std::string{p.code});
  return all;
}

TEST(Mirror, ShowsAnotherDeviceUntilItEnds) {
  auto mirror = one_device{1}, source = one_device{2};
  EXPECT_EQ(mirror.tell(mirror.to(source, {{"power", "temp"}})), "");
  EXPECT_EQ(mirror.s.mirrored().source, source.id);
  EXPECT_EQ(mirror.s.mirrored().since, noon);
  EXPECT_EQ(status_of(mirror.s), "mirror");
  EXPECT_EQ(source.tell(source.by(mirror, {{"power", "temp"}})), "");
  ASSERT_EQ(source.s.mirrors().size(), 1u);
  EXPECT_EQ(source.s.mirrors().front().name, mirror.s.name());
  EXPECT_EQ(status_of(source.s), "inactive");

  EXPECT_EQ(mirror.tell(end_mirror{}), "");
  EXPECT_THAT(mirror.left, ElementsAre(source.id));
  EXPECT_EQ(status_of(mirror.s), "inactive");
  EXPECT_EQ(source.tell(unlink_mirror{mirror.id}), "");
  EXPECT_THAT(source.s.mirrors(), IsEmpty());
  EXPECT_EQ(mirror.tell(end_mirror{}), "mirror_unknown");
  EXPECT_EQ(mirror.tell(end_mirror{source.id}), "") << "what the service takes back";
  EXPECT_EQ(source.tell(unlink_mirror{mirror.id}), "");
  EXPECT_EQ(source.happened, 0u);
}

TEST(Mirror, IsSetAgainAsOftenAsOneLikes) {
  auto mirror = one_device{1}, source = one_device{2}, other = one_device{3};
  ASSERT_EQ(mirror.tell(mirror.to(source)), "");
  ASSERT_EQ(source.tell(source.by(mirror)), "");
  EXPECT_EQ(mirror.tell(mirror.to(source)), "");
  EXPECT_EQ(mirror.happened, 0u);
  EXPECT_EQ(source.tell(source.by(mirror)), "");
  EXPECT_EQ(source.happened, 0u);
  EXPECT_EQ(mirror.tell(mirror.to(source, {{"temp", "power"}})), "");
  EXPECT_THAT(mirror.left, IsEmpty()) << "the same source, by other ids";
  EXPECT_EQ(source.tell(source.by(mirror, {{"temp", "power"}})), "");
  ASSERT_EQ(source.s.mirrors().size(), 1u);
  EXPECT_EQ(source.s.mirrors().front().points, (point_map{{"temp", "power"}}));
  EXPECT_EQ(mirror.tell(mirror.to(other)), "");
  EXPECT_THAT(mirror.left, ElementsAre(source.id));
  EXPECT_EQ(mirror.s.mirrored().source, other.id);
  EXPECT_EQ(mirror.tell(end_mirror{source.id}), "");
  EXPECT_EQ(mirror.s.mirrored().source, other.id) << "it shows another one by now";
}

TEST(Mirror, HasNoPastOfItsOwn) {
  const auto source = one_device{9};
  {
    auto d = one_device{1};
    ASSERT_EQ(d.log_in(), "");
    EXPECT_EQ(d.tell(d.to(source)), "state_conflict") << "on-line";
    ASSERT_EQ(d.tell(disconnect{"client"}), "");
    EXPECT_EQ(d.tell(d.to(source)), "state_conflict") << "and it was";
  }
  {
    auto d = one_device{2};
    ASSERT_EQ(d.post("power"), "");
    EXPECT_EQ(d.tell(d.to(source)), "state_conflict") << "data";
  }
  {
    auto d = one_device{3};
    ASSERT_EQ(d.tell(bind_gateway{{source.id, source.s.name()}, "org", {}, false}), "");
    EXPECT_EQ(d.tell(d.to(source)), "state_conflict") << "a sub-device";
  }
  {
    auto d = one_device{4};
    d.product.gateway = true;
    EXPECT_EQ(d.tell(d.to(source)), "state_conflict") << "a gateway";
  }
  {
    auto d = one_device{5};
    ASSERT_EQ(d.tell(set_admin_state{admin_state::disabled, ""}), "");
    EXPECT_EQ(d.tell(d.to(source)), "");
    EXPECT_EQ(status_of(d.s), "disabled");
    ASSERT_EQ(d.tell(set_admin_state{admin_state::enabled, ""}), "");
    EXPECT_EQ(status_of(d.s), "mirror");
  }
}

TEST(Mirror, DoesNothingItself) {
  auto mirror = one_device{1};
  const auto source = one_device{2};
  ASSERT_EQ(mirror.tell(mirror.to(source)), "");
  EXPECT_EQ(mirror.log_in(), "device_mirror");
  EXPECT_EQ(mirror.why->code, errc::forbidden);
  auto wrong = connect{};
  wrong.proof = {"dk-1", "1", sign_method::sha256, "00"};
  EXPECT_EQ(mirror.tell(wrong), "sign_check_failed") << "only who proves himself is told more";
  EXPECT_EQ(mirror.post("power"), "device_mirror");
  EXPECT_EQ(mirror.why->code, errc::conflict);
  EXPECT_EQ(mirror.tell(report_event{"hot", {}, {}}), "device_mirror");
  auto command = command_record{};
  command.type = command_record::form::points;
  command.input = {{"power", 1}};
  EXPECT_EQ(mirror.tell(send_command{command}), "device_mirror");
  EXPECT_EQ(mirror.tell(bind_gateway{{source.id, source.s.name()}, "org", {}, false}),
            "device_mirror");
  EXPECT_EQ(mirror.tell(rename_device{{"pk", "other"}, {}, 0, true, {}, {}, {}}), "device_mirror");
  EXPECT_EQ(mirror.tell(emigrate_device{}), "device_mirror");
  EXPECT_EQ(mirror.tell(reset_secret{}), "device_mirror");
  EXPECT_EQ(mirror.tell(reopen_activation{}), "device_mirror");
  EXPECT_EQ(mirror.tell(offer_upgrade{}), "device_mirror");
  auto u = update_device{};
  u.display_name = "Roof";
  EXPECT_EQ(mirror.tell(u), "") << "what it is called is its own";
  EXPECT_EQ(mirror.tell(override_status{status_override::status_code::online,
                                        noon + std::chrono::hours{1}}),
            "");
  EXPECT_EQ(status_of(mirror.s), "mirror");
}

TEST(Mirror, ItsRemovalIsToldToTheSource) {
  auto mirror = one_device{1};
  const auto source = one_device{2};
  ASSERT_EQ(mirror.tell(mirror.to(source)), "");
  EXPECT_EQ(mirror.tell(remove_device{}), "");
  EXPECT_THAT(mirror.left, ElementsAre(source.id));
  auto other = one_device{3};
  EXPECT_EQ(other.tell(remove_device{}), "");
  EXPECT_THAT(other.left, IsEmpty());
}

TEST(Mirror, NobodyShowsHimselfOrAMirror) {
  auto a = one_device{1}, b = one_device{2}, c = one_device{3};
  EXPECT_EQ(a.tell(a.to(a)), "mirror_cycle");
  EXPECT_EQ(a.tell(a.by(a)), "mirror_cycle");
  ASSERT_EQ(a.tell(a.to(b)), "");
  ASSERT_EQ(b.tell(b.by(a)), "");
  EXPECT_EQ(b.tell(b.to(c)), "mirror_cycle") << "it is shown itself";
  EXPECT_EQ(a.tell(a.by(c)), "mirror_cycle") << "it shows another one";
  EXPECT_FALSE(may_be_shown(a.s, "org"));
  EXPECT_TRUE(may_be_shown(b.s, "org"));
  EXPECT_FALSE(may_be_shown(b.s, "another"));
  EXPECT_EQ(b.tell(emigrate_device{}), "device_mirror");
  ASSERT_EQ(b.tell(remove_device{}), "");
  EXPECT_FALSE(may_be_shown(b.s, "org"));
}

TEST(Mirror, ASourceHasSoManyAndNoMore) {
  auto source = one_device{1};
  for (std::size_t i = 0; i < max_mirrors; ++i)
    ASSERT_EQ(source.tell(link_mirror{{id_of(200 - static_cast<int>(i)), {"pk", "m"}, {}}}), "");
  EXPECT_EQ(source.tell(link_mirror{{id_of(100), {"pk", "m"}, {}}}), "too_many_mirrors");
  EXPECT_EQ(source.tell(link_mirror{{id_of(200), {"pk", "m"}, {{"power", "temp"}}}}), "");
  ASSERT_EQ(source.s.mirrors().size(), max_mirrors);
  EXPECT_TRUE(std::is_sorted(source.s.mirrors().begin(), source.s.mirrors().end(),
                             [](const auto& l, const auto& r) { return l.mirror < r.mirror; }));
  ASSERT_EQ(source.tell(unlink_mirror{id_of(190)}), "");
  EXPECT_EQ(source.tell(link_mirror{{id_of(100), {"pk", "m"}, {}}}), "");
}

TEST(Mirror, PointsAreOfTheModels) {
  auto mirror = one_device{1}, source = one_device{2};
  source.product = product_with({"p", "q"});
  EXPECT_EQ(mirror.tell(mirror.to(source, {{"nothing", "p"}, {"power", "q"}, {"temp", "q"}})),
            "mirror_invalid");
  EXPECT_EQ(mirror.why->code, errc::invalid_argument);
  EXPECT_THAT(places(mirror.why),
              UnorderedElementsAre("/points/nothing element_unknown", "/points/temp duplicate"));
  EXPECT_EQ(source.tell(source.by(mirror, {{"power", "p"}, {"temp", "none"}})), "mirror_invalid");
  EXPECT_THAT(places(source.why), ElementsAre("/points/temp element_unknown"));
  EXPECT_EQ(mirror.tell(mirror.to(source, {{"", "p"}, {std::string(257, 'x'), "q"}})),
            "mirror_invalid");
  EXPECT_EQ(mirror.why->problems.size(), 2u);
  auto many = point_map{};
  for (std::size_t i = 0; i <= max_mirrored_points; ++i)
    many.emplace("own-" + std::to_string(i), "s-" + std::to_string(i));
  EXPECT_EQ(mirror.tell(mirror.to(source, many)), "mirror_invalid");
  EXPECT_EQ(mirror.tell(mirror.to(source, {{"power", "p"}, {"temp", "q"}})), "");

  mirror.product.mode = validation::lenient;
  EXPECT_EQ(mirror.tell(mirror.to(source, {{"whatever", "p"}})), "");
  many.erase(many.begin());
  EXPECT_EQ(mirror.tell(mirror.to(source, many)), "");
}

TEST(MirrorPoints, AreAskedForByTheIdsOfTheSource) {
  const auto map = point_map{{"a", "x"}, {"b", "y"}};
  using ids = std::vector<std::string>;
  EXPECT_EQ(points_of_source({}, {}), (ids{}));
  EXPECT_EQ(points_of_source({}, {"p"}), (ids{"p"}));
  EXPECT_EQ(points_of_source(map, {}), (ids{"x", "y"}));
  EXPECT_EQ(points_of_source(map, {"b", "no", "x"}), (ids{"y"}));
  EXPECT_EQ(points_of_source(map, {"no"}), std::nullopt) << "not all of them";
}

TEST(MirrorPoints, AreShownByItsOwnIds) {
  const auto map = point_map{{"a", "y"}, {"b", "x"}};
  const auto latest = std::vector<latest_point>{{point_name{"x"}, 1, 3, noon, noon},
                                                {point_name{"y"}, 2, -1, noon, noon},
                                                {point_name{"z"}, 3, -1, noon, noon}};
  const auto shown = shown_points(latest, map);
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_EQ(shown[0], (latest_point{point_name{"a"}, 2, -1, noon, noon}));
  EXPECT_EQ(shown[1], (latest_point{point_name{"b"}, 1, 3, noon, noon}));
  EXPECT_EQ(shown_points(latest, {}), latest);
}

TEST(MirrorPoints, ComeLiveByItsOwnIds) {
  using events = std::vector<event>;
  const auto map = point_map{{"a", "x"}};
  const auto live =
      points_accepted{{{noon, {{"x", 1, 4}, {"z", 2, -1}}}, {noon, {{"z", 3, -1}}}}, false, noon};
  auto old = live;
  old.backfill = true;
  const auto all = std::make_shared<const events>(events{live});
  EXPECT_EQ(shown_events(all, {}), all) << "nothing is copied";
  const auto mixed =
      std::make_shared<const events>(events{live, disconnected{{}, "client", noon}, old});
  const auto same = shown_events(mixed, {});
  ASSERT_TRUE(same);
  ASSERT_EQ(same->size(), 1u);
  EXPECT_EQ(std::get<points_accepted>(same->front()).samples, live.samples);
  const auto some = shown_events(mixed, map);
  ASSERT_TRUE(some);
  ASSERT_EQ(some->size(), 1u);
  const auto& one = std::get<points_accepted>(some->front());
  EXPECT_EQ(one.samples, (std::vector<sample>{{noon, {{"a", 1, 4}}}}));
  EXPECT_EQ(one.at, noon);
  EXPECT_FALSE(shown_events(mixed, {{"a", "none"}}));
  EXPECT_FALSE(shown_events(std::make_shared<const events>(events{old}), {}));
}

TEST(Mirror, IsFoundByItsStatusAndItsSource) {
  auto mirror = one_device{1};
  const auto source = one_device{2};
  const auto terms = [&] {
    auto all = std::vector<std::string>{};
    for (const auto& t : search_terms(mirror.s, bit_of(search_field::mirror_of)))
      all.push_back(t.field);
    return all;
  };
  EXPECT_THAT(terms(), IsEmpty());
  ASSERT_EQ(mirror.tell(mirror.to(source)), "");
  EXPECT_THAT(terms(), ElementsAre("mirrorOf"));
  const auto both = bit_of(search_field::mirror_of) | bit_of(search_field::status);
  EXPECT_EQ(searched_by(mirror_set{}), both);
  EXPECT_EQ(searched_by(mirror_ended{}), both);
  EXPECT_EQ(searched_by(mirrors_changed{}), 0u);
  const auto seen = searched_device{mirror.id, mirror.s};
  const auto is = [&](search_field f) {
    return std::get<std::string_view>(seen.value(static_cast<std::size_t>(f), {}));
  };
  EXPECT_EQ(is(search_field::status), "mirror");
  EXPECT_EQ(is(search_field::mirror_of), to_string(source.id));
}

/// Orders as they are given by many at once: setting is two steps, and steps are lost.
class AnyOrder : public testing::TestWithParam<unsigned> {
 protected:
  static constexpr int devices = 5;
  struct change {
    int mirror, source;
    bool linked = false;
  };
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  void follow(one_device& d) {
    const auto left = d.left;
    for (const auto& source : left)
      if (pick(4) != 0)  // or the effect is lost
        all_.at(source).tell(unlink_mirror{d.id});
  }
  void begin() {
    const auto c = change{1 + pick(devices), 1 + pick(devices), false};
    auto& mirror = all_.at(id_of(c.mirror));
    if (mirror.tell(mirror.to(all_.at(id_of(c.source)))).empty()) {
      follow(mirror);
      changes_.push_back(c);
    }
  }
  void go_on() {
    if (changes_.empty())
      return;
    const auto at = changes_.begin() + pick(static_cast<int>(changes_.size()));
    const auto c = *at;
    changes_.erase(at);
    if (pick(6) == 0)
      return;  // who asked for it is gone
    auto& mirror = all_.at(id_of(c.mirror));
    auto& source = all_.at(id_of(c.source));
    if (!source.tell(source.by(mirror)).empty()) {
      EXPECT_EQ(mirror.tell(end_mirror{source.id}), "");
      follow(mirror);
    }
  }
  void end() {
    auto& mirror = all_.at(id_of(1 + pick(devices)));
    mirror.tell(end_mirror{});
    follow(mirror);
  }
  /// What is shown is never shown by somebody who is shown as well: no chain, and so no circle.
  void check() {
    for (const auto& [id, d] : all_) {
      if (!d.s.mirrors().empty()) {
        EXPECT_TRUE(d.s.mirrored().empty()) << "it shows, and is told that it is shown";
      }
      auto at = id;
      auto steps = 0;
      while (!all_.at(at).s.mirrored().empty()) {
        const auto& source = all_.at(all_.at(at).s.mirrored().source);
        if (!may_be_shown(source.s, "org"))
          break;  // nothing is shown
        at = source.id;
        ASSERT_LE(++steps, 1) << "a chain";
      }
    }
  }

  std::mt19937 random_{GetParam()};
  std::map<entity_id, one_device> all_ = [] {
    auto all = std::map<entity_id, one_device>{};
    for (auto n = 1; n <= devices; ++n)
      all.emplace(id_of(n), one_device{n});
    return all;
  }();
  std::vector<change> changes_;
};

TEST_P(AnyOrder, LeavesNoCircle) {
  for (auto n = 0; n < 400; ++n) {
    switch (pick(3)) {
      case 0:
        begin();
        break;
      case 1:
        go_on();
        break;
      default:
        if (pick(3) == 0)
          end();
    }
    check();
    if (HasFatalFailure())
      return;
  }
  // Whoever is asked to once more and is not refused is linked: what was lost is healed.
  for (auto& [id, mirror] : all_) {
    if (mirror.s.mirrored().empty())
      continue;
    auto& source = all_.at(mirror.s.mirrored().source);
    if (!mirror.tell(mirror.to(source)).empty() || !source.tell(source.by(mirror)).empty())
      continue;
    EXPECT_TRUE(std::any_of(source.s.mirrors().begin(), source.s.mirrors().end(),
                            [&](const auto& l) { return l.mirror == id; }));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, AnyOrder, testing::Range(1u, 41u));

}  // namespace
}  // namespace orrery::model::device
