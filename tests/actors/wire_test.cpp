#include "actors/wire.hpp"

#include <fstream>
#include <sstream>

#include "tests/support/wire_kit.hpp"

// Bytes between nodes: `tests/data/wire-1.txt` holds a message of each sort as this release and the
// one before it send them.
namespace orrery::actors {
namespace {

using model::errc;
using model::failure;
using tests::shown;

const auto id = model::entity_id{258, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
const auto noon = model::from_ms(1'700'000'000'000);

// ---- each message decoded and encoded again, for what holds of any ------------------------------

using again = std::function<model::result<std::string>(std::string_view)>;

template <class T, class Encode>
again through(model::result<T> (*decode)(std::string_view), Encode encode) {
  return [=](std::string_view bytes) -> model::result<std::string> {
    auto got = decode(bytes);
    if (!got)
      return got.error();
    return encode(*got);
  };
}
const auto asks = through(decode_asks, encode_asks);
const auto answers = through(decode_answers, encode_answers);
const auto effects_again =
    through(decode_effect, [](const auto& e) { return encode_effect(e.what, e.entity); });
const auto live = through(decode_published, encode_published);
const auto wants = through(decode_feed_wants, encode_feed_wants);
const auto reads =
    through(decode_read, [](const auto& q) { return encode_read(q.number, q.what); });
const auto pages =
    through(decode_page, [](const auto& a) { return encode_page(a.number, a.what); });

// ---- examples -----------------------------------------------------------------------------------

ask question(std::uint64_t number, target whom, any_command what) {
  auto a = ask{};
  a.number = number;
  a.whom = std::move(whom);
  a.what = std::move(what);
  return a;
}

model::device::command points_of_a_session() {
  auto points = model::device::report_points{};
  points.samples.push_back({noon, {{"p", 1.5}, {"q", 7}}});
  points.samples.push_back({std::nullopt, {{"s", "text"}}});
  points.skip_invalid = true;
  return {points, {77, 4, 9}, {}, {}};
}

ask_batch example_asks() {
  auto batch = ask_batch{.shard = 258, .asks = {}};
  batch.asks.push_back(question(300, id, points_of_a_session()));
  batch.asks.push_back(question(
      0, model::device_name{"pk", "dk"},
      model::device::command{model::device::disconnect{"keep_alive"}, {77, 4, 9}, {}, {}}));
  batch.asks.push_back(
      question(1, id, model::product::command{model::product::remove_product{}, "user", 12}));
  batch.asks.push_back(question(
      2, id, model::blueprint::command{model::blueprint::publish{"note", true}, "user", {}}));
  batch.asks.push_back(question(
      3, id,
      model::organisation::command{model::organisation::end_session{"login", "id"}, "user", {}}));
  batch.asks.push_back(
      question(4, id, model::asset::command{model::asset::remove_asset{}, "user", 3}));
  return batch;
}

outcome done(any_reply reply) {
  return {.answer = std::move(reply), .revision = 1000, .shard = 258, .offset = 1'000'000};
}

std::vector<settled> example_answers() {
  auto product = std::make_shared<model::product::state>();
  product->exists = true;
  product->product_key = "pk";
  product->created_at = noon;
  auto answers = std::vector<settled>{};
  answers.push_back({300, done(model::device::reply{model::device::connection_granted{
                              id, 9, "org", true, {{"a/+", std::uint8_t{1}}}}})});
  answers.push_back(
      {1, done(model::product::reply{model::product::product_snapshot{id, product}})});
  answers.push_back({2, done(any_reply{std::in_place_type<model::blueprint::reply>})});
  answers.push_back({3, done(any_reply{std::in_place_type<model::organisation::reply>})});
  answers.push_back({4, done(any_reply{std::in_place_type<model::asset::reply>})});
  answers.push_back({5, failure{errc::conflict, "device_disabled", "pk/dk is disabled"}});
  answers.push_back({6, failure{errc::invalid_argument,
                                "model_validate_failed",
                                "p: too much",
                                {{"p", "above_max", "11 is above 10"}}}});
  return answers;
}

const auto example_effect = model::effect{
    model::deliver{{77, 4, 9}, {"12", {"pk", "dk"}, model::service_call{"go", {{"n", 1}}}, true}}};

const auto example_offer =
    model::effect{model::deliver{{77, 4, 9},
                                 {"12",
                                  {"pk", "dk"},
                                  model::firmware_offer{{"f1", "2.0", model::digest_method::md5,
                                                         "0f34", "https://h/2.0.bin", 183'500}},
                                  false}}};

const auto example_call = model::effect{
    model::deliver{{77, 4, 9}, {"12", {"pk", "dk"}, model::rrpc_call{{"\0\xff", 2}}, false}}};

const auto example_push = model::effect{model::deliver{
    {77, 4, 9},
    {"12", {"pk", "dk"}, model::twin_push{7, {{"a", 1}, {"b", 2}}, {{"b", 2}}}, false}}};

std::vector<published> example_published() {
  auto events = std::vector<model::device::event>{};
  events.emplace_back(model::device::points_accepted{{{noon, {{"p", 1.5, -1}}}}, false, noon});
  auto p = published{};
  p.who = {id, model::device::naming{{"pk", "dk"}, "org"}};
  p.what = std::make_shared<const std::vector<model::device::event>>(std::move(events));
  p.offset = 1'000'000;
  return {p};
}

const auto example_read = any_read{history_question{.device = id,
                                                    .points = {"p", "q"},
                                                    .from = noon,
                                                    .to = noon + std::chrono::hours{1},
                                                    .limit = 1000,
                                                    .newest_first = true}};
const auto example_page = any_page{
    history_page{{{noon, {"p", 1.5, 3}}, {noon, {"q", 7, -1}}}, noon + std::chrono::seconds{1}}};

// ---- held bytes ---------------------------------------------------------------------------------

std::string hex(std::string_view bytes) {
  auto text = std::string{};
  for (const auto c : bytes) {
    text += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

/// A command or reply of each kind, of each sort, every field with a value: `f(any, kind, sort)`.
template <class Any, class F>
void each_filled(F f) {
  tests::each_alternative<Any>([&](std::size_t kind) {
    auto any = Any{};
    model::emplace_alternative(any, kind);
    std::visit(
        [&](auto& x) {
          auto part = [&]() -> auto& {
            if constexpr (requires { x.what; })
              return x.what;
            else
              return x;
          };
          using variant = std::remove_cvref_t<decltype(part())>;
          tests::each_alternative<variant>([&](std::size_t sort) {
            x = {};
            model::emplace_alternative(part(), sort);
            tests::filler{sort}(x);
            f(any, kind, sort);
          });
        },
        any);
  });
}

struct message {
  std::string name, bytes;
  again decoded_and_encoded;
};

/// The examples, and each command, reply, read and page with every field filled.
std::vector<message> held_messages() {
  auto all = std::vector<message>{
      {"asks", encode_asks(example_asks()), asks},
      {"answers", encode_answers(example_answers()), answers},
      {"deliver", encode_effect(example_effect, id), effects_again},
      {"deliver-firmware", encode_effect(example_offer, id), effects_again},
      {"deliver-rrpc", encode_effect(example_call, id), effects_again},
      {"deliver-twin", encode_effect(example_push, id), effects_again},
      {"close", encode_effect(model::close_session{{77, 4, 9}, "taken_over"}, id), effects_again},
      {"settle", encode_effect(model::settle_waiter{{77, 5}, id}, id), effects_again},
      {"published", encode_published(example_published()), live},
      {"wants", encode_feed_wants({.wanted = true}), wants},
      {"read", encode_read(41, example_read), reads},
      {"page", encode_page(41, example_page), pages},
      {"no-page", encode_page(42, failure{errc::unavailable, "storage_failed", "disk"}), pages}};
  const auto name = [](std::string_view sort, auto... places) {
    auto text = std::string{sort};
    ((text += "-" + std::to_string(places)), ...);
    return text;
  };
  each_filled<any_command>([&](const any_command& c, std::size_t kind, std::size_t sort) {
    auto batch = ask_batch{.shard = 1, .asks = {}};
    batch.asks.push_back(question(1, id, c));
    all.push_back({name("command", kind, sort), encode_asks(batch), asks});
  });
  each_filled<any_reply>([&](const any_reply& r, std::size_t kind, std::size_t sort) {
    const auto one = std::vector<settled>{{1, done(r)}};
    all.push_back({name("reply", kind, sort), encode_answers(one), answers});
  });
  tests::each_alternative<any_read>([&](std::size_t place) {
    auto what = any_read{};
    model::emplace_alternative(what, place);
    tests::filler{}(what);
    all.push_back({name("read", place), encode_read(1, what), reads});
  });
  tests::each_alternative<any_page>([&](std::size_t place) {
    auto what = any_page{};
    model::emplace_alternative(what, place);
    tests::filler{}(what);
    all.push_back({name("page", place), encode_page(1, what), pages});
  });
  return all;
}

TEST(WireGolden, EachMessage) {
  auto lines = std::ifstream{"tests/data/wire-1.txt"};
  ASSERT_TRUE(lines);
  for (const auto& m : held_messages()) {
    SCOPED_TRACE(m.name);
    auto name = std::string{}, held = std::string{};
    lines >> name >> held;
    EXPECT_EQ(name, m.name);
    EXPECT_EQ(hex(m.bytes), held);
    tests::expect_firm(m.bytes, m.decoded_and_encoded);
  }
}

// ---- questions and answers ----------------------------------------------------------------------

TEST(Wire, EveryQuestionComesBack) {
  auto batch = ask_batch{.shard = 300, .asks = {}};
  each_filled<any_command>([&](const any_command& c, auto...) {
    const auto number = batch.asks.size();
    const auto whom = number % 2 == 0 ? target{id} : target{model::device_name{"pk", "dk"}};
    batch.asks.push_back(question(number << 40, whom, c));
  });
  ASSERT_GT(batch.asks.size(), 45u);
  const auto got = decode_asks(encode_asks(batch));
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(got->shard, 300);
  EXPECT_FALSE(got->entered);
  ASSERT_EQ(got->asks.size(), batch.asks.size());
  for (std::size_t i = 0; i < batch.asks.size(); ++i) {
    const auto &sent = batch.asks[i], &came = got->asks[i];
    EXPECT_EQ(came.number, sent.number);
    EXPECT_EQ(came.whom, sent.whom);
    EXPECT_EQ(shown{came.what}, shown{sent.what});
    EXPECT_FALSE(came.from);
    EXPECT_FALSE(came.wants_way);
  }
  EXPECT_TRUE(decode_asks(encode_asks({})));
}

TEST(Wire, EveryAnswerComesBack) {
  auto sent = std::vector<settled>{};
  each_filled<any_reply>([&](const any_reply& r, auto...) {
    const auto n = sent.size();
    sent.push_back({n << 40, outcome{r, n + 1, static_cast<model::shard_id>(n * 1000), n << 50}});
  });
  ASSERT_GT(sent.size(), 12u);
  const auto got = decode_answers(encode_answers(sent));
  ASSERT_TRUE(got) << got.error().detail;
  ASSERT_EQ(got->size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ((*got)[i].number, sent[i].number);
    ASSERT_TRUE((*got)[i].what);
    const auto &came = *(*got)[i].what, &was = *sent[i].what;
    EXPECT_EQ(shown{came.answer}, shown{was.answer});
    EXPECT_EQ(came.revision, was.revision);
    EXPECT_EQ(came.shard, was.shard);
    EXPECT_EQ(came.offset, was.offset);
    EXPECT_FALSE(came.way);
  }
}

failure came_back(const failure& f) {
  const auto sent = std::vector<settled>{{7, f}};
  const auto got = decode_answers(encode_answers(sent));
  EXPECT_TRUE(got && got->size() == 1 && !got->front().what);
  return got->front().what.error();
}

TEST(Wire, EveryFailureComesBack) {
  for (auto code = 0; code <= static_cast<int>(errc::internal); ++code) {
    const auto f = failure{static_cast<errc>(code),
                           "bad_cursor",
                           "what was wrong",
                           {{"here", "too_long", "so long"}, {"", "", ""}}};
    EXPECT_EQ(came_back(f), f);
    EXPECT_EQ(came_back({static_cast<errc>(code), "words"}).code, static_cast<errc>(code));
  }
}

TEST(Wire, WhatANewerReleaseSaysIsInternalAndOther) {
  EXPECT_EQ(came_back({errc::conflict, "not_known_here", "words"}),
            (failure{errc::conflict, "other", "words"}));
  const auto sent = std::vector<settled>{{7, failure{errc::conflict, "words"}}};
  auto bytes = encode_answers(sent);
  ASSERT_EQ(bytes[4], 5);  // version, count, number, not ok
  for (const auto code : {0, 14, 255}) {
    bytes[4] = static_cast<char>(code);
    const auto got = decode_answers(bytes);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->front().what.error().code, errc::internal);
  }
}

TEST(Wire, AQuestionSaysOnceWhetherItWantsAnAnswer) {
  auto batch = ask_batch{.shard = 1, .asks = {}};
  batch.asks.push_back(question(5, id, model::device::command{}));
  auto bytes = encode_asks(batch);
  ASSERT_EQ(bytes[4], 1);  // version, shard, count
  for (const auto flags : {2, 3, 0x80}) {
    bytes[4] = static_cast<char>(flags);
    EXPECT_FALSE(decode_asks(bytes)) << flags;
  }
  bytes[4] = 1;
  EXPECT_TRUE(decode_asks(bytes));
  bytes[5] = 0;  // wants one, and has no number
  EXPECT_FALSE(decode_asks(bytes));
}

TEST(Wire, AnUnknownCommandNamesItsEncoding) {
  auto batch = ask_batch{.shard = 1, .asks = {}};
  batch.asks.push_back(question(0, id, model::asset::command{}));
  auto bytes = encode_asks(batch);
  const auto place = std::size_t{1 + 2 + 1 + 1 + 1 + 18};  // up to the kind
  ASSERT_EQ(bytes[place], 4);
  bytes[place + 1] = 9;
  const auto got = decode_asks(bytes);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().detail, "logical asset command in encoding 9: this node knows 1");
  bytes[place + 1] = 1;
  bytes[place] = 5;
  EXPECT_FALSE(decode_asks(bytes)) << "no such kind";
}

TEST(Wire, APostOfOnePointIsShort) {
  auto batch = ask_batch{.shard = 1, .asks = {}};
  auto points = model::device::report_points{};
  points.samples.push_back({noon, {{"temperature", 21.5}}});
  batch.asks.push_back(question(1000, id, model::device::command{points, {77, 4, 9}, {}, {}}));
  const auto one = encode_asks(batch).size();
  batch.asks.push_back(batch.asks.back());
  EXPECT_LT(encode_asks(batch).size() - one, 70u);
}

// ---- what a commit sets off ---------------------------------------------------------------------

TEST(Wire, EveryEffectComesBack) {
  auto effects =
      std::vector<model::effect>{model::deliver{{}, {{}, {}, model::service_call{}, false}},
                                 model::deliver{{}, {{}, {}, model::points_write{}, false}},
                                 model::close_session{}, model::settle_waiter{}};
  for (auto& e : effects) {
    SCOPED_TRACE(e.index());
    tests::filler{}(e);
    const auto bytes = encode_effect(e, id);
    const auto got = decode_effect(bytes);
    ASSERT_TRUE(got) << got.error().detail;
    EXPECT_EQ(got->entity, id);
    EXPECT_EQ(shown{got->what}, shown{e});
    tests::expect_firm(bytes, effects_again);
  }
  EXPECT_FALSE(decode_effect(encode_effect(model::remind{noon}, id)));
  EXPECT_FALSE(decode_effect(encode_effect(model::run_operation{}, id)));
}

TEST(Wire, EveryLiveEventComesBack) {
  auto group = std::vector<published>{};
  tests::each_alternative<model::device::event>([&](std::size_t place) {
    auto events = std::vector<model::device::event>(2);
    for (auto& e : events) {
      model::emplace_alternative(e, place);
      tests::filler{place}(e);
    }
    auto p = published{};
    p.who = {id, model::device::naming{{"pk", "dk" + std::to_string(place)}, "org"}};
    p.what = std::make_shared<const std::vector<model::device::event>>(std::move(events));
    p.offset = place << 40;
    group.push_back(p);
  });
  const auto bytes = encode_published(group);
  const auto got = decode_published(bytes);
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(shown{*got}, shown{group});
  tests::expect_firm(bytes, live);

  group.resize(1);
  group[0].what = nullptr;  // as an entry without events has it
  ASSERT_TRUE(decode_published(encode_published(group)));
  EXPECT_TRUE((*decode_published(encode_published(group)))[0].what->empty());
}

TEST(Wire, WhatAFeedWantsComesBack) {
  for (const auto wanted : {false, true})
    EXPECT_EQ(*decode_feed_wants(encode_feed_wants({wanted})), feed_wants{wanted});
}

// ---- reads of the store -------------------------------------------------------------------------

TEST(Wire, EveryReadComesBack) {
  tests::each_alternative<any_read>([](std::size_t place) {
    auto what = any_read{};
    model::emplace_alternative(what, place);
    for (const auto filled : {false, true}) {
      if (filled)
        tests::filler{}(what);
      const auto bytes = encode_read(7'000'000, what);
      const auto got = decode_read(bytes);
      ASSERT_TRUE(got) << got.error().detail;
      EXPECT_EQ(got->number, 7'000'000u);
      EXPECT_EQ(shown{got->what}, shown{what});
      tests::expect_firm(bytes, reads);
    }
  });
}

TEST(Wire, EveryPageComesBack) {
  tests::each_alternative<any_page>([](std::size_t place) {
    auto what = any_page{};
    model::emplace_alternative(what, place);
    for (const auto filled : {false, true}) {
      if (filled)
        tests::filler{}(what);
      const auto bytes = encode_page(8, what);
      const auto got = decode_page(bytes);
      ASSERT_TRUE(got) << got.error().detail;
      EXPECT_EQ(got->number, 8u);
      ASSERT_TRUE(got->what);
      EXPECT_EQ(shown{*got->what}, shown{what});
      tests::expect_firm(bytes, pages);
    }
  });
  const auto why = failure{errc::invalid_argument, "bad_cursor", "begin without one"};
  const auto got = decode_page(encode_page(8, why));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->number, 8u);
  ASSERT_FALSE(got->what);
  EXPECT_EQ(got->what.error(), why);
}

}  // namespace
}  // namespace orrery::actors
