// The rows that operations leave, and what is read of them.
#include "actors/kinds.hpp"
#include "actors/operation_reads.hpp"
#include "storage/keys.hpp"
#include "tests/support/entity_bench.hpp"

namespace orrery::actors {
namespace {

namespace keys = storage::keys;
using model::entity_kind;
using model::errc;
using storage::family;

class OperationEntity : public tests::entity_bench {
 protected:
  OperationEntity() { wake(entity_kind::operation); }

  answer tell(operation::order what) {
    return ask(operation::command{std::move(what), "user:a", {}, {}});
  }
  static operation::create_operation made(std::uint64_t most = 2) {
    auto c = operation::create_operation{};
    c.organisation = tests::organisation;
    c.request = "{}";
    c.receives = true;
    c.retention = std::chrono::hours{1};
    c.max_open = most;
    return c;
  }
  static operation::advance step(std::string from, std::string to, std::string result) {
    auto a = operation::advance{};
    a.attempt = 1;
    a.from = std::move(from);
    a.position = std::move(to);
    a.result = std::move(result);
    return a;
  }
  std::size_t listed(std::string_view index) {
    return store->rows(family::index, keys::index_prefix(id.shard, index, tests::organisation));
  }
  std::size_t inputs() { return store->rows(family::state, keys::operation_inputs(id)); }
  std::size_t results() { return store->rows(family::state, keys::operation_results(id)); }
  std::vector<std::string> pieces(bool of_input, std::uint64_t from, std::uint64_t max_bytes) {
    return read_operations(operation_rows_question{.shard = id.shard,
                                                   .operation = id,
                                                   .inputs = of_input,
                                                   .from = from,
                                                   .max_bytes = max_bytes},
                           *store)
        ->pieces;
  }
};

TEST_F(OperationEntity, HasItsInputAndResultInRows) {
  must(tell(made()));
  EXPECT_EQ(listed("operation"), 1u);
  EXPECT_EQ(listed("operation-open"), 1u);
  const auto whole = std::string(operation::input_piece_bytes, 'x');
  must(tell(operation::add_input{0, whole}));
  must(tell(operation::add_input{1, "rest"}));
  EXPECT_EQ(pieces(true, 0, 1), (std::vector<std::string>{whole}));
  EXPECT_EQ(pieces(true, 0, 1 << 20), (std::vector<std::string>{whole, "rest"}));
  EXPECT_EQ(pieces(true, 2, 1 << 20), std::vector<std::string>{});
  must(tell(operation::submit_operation{}));
  must(tell(operation::take_operation{}));
  must(tell(step("", "1", "first")));
  must(tell(step("1", "2", "")));
  must(tell(step("2", "3", "second")));
  EXPECT_EQ(pieces(false, 0, 1 << 20), (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(pieces(false, 1, 1 << 20), (std::vector<std::string>{"second"}));
  must(tell(operation::finish_operation{1, {}, {}}));
  EXPECT_EQ(listed("operation-open"), 0u);
  EXPECT_EQ(inputs(), 0u) << "nobody reads it again";
  EXPECT_EQ(results(), 2u);
}

TEST_F(OperationEntity, GoesWithAllItsRows) {
  must(tell(made()));
  must(tell(operation::add_input{0, "x"}));
  EXPECT_EQ(store->rows(family::index, keys::index_prefix(id.shard, "operation-due")), 1u);
  must(tell(operation::cancel_operation{}));
  EXPECT_EQ(listed("operation") + listed("operation-open") + inputs() + results(), 0u);
  EXPECT_EQ(store->rows(family::index, keys::index_prefix(id.shard, "operation-due")), 0u);
  EXPECT_EQ(store->rows(family::state, keys::state(entity_kind::operation, id)), 0u);
  EXPECT_EQ(code_of(tell(operation::read_operation{})), errc::not_found);
}

TEST_F(OperationEntity, KnowsWhereItWasAfterItWoke) {
  must(tell(made()));
  must(tell(operation::add_input{0, "x"}));
  must(tell(operation::submit_operation{}));
  must(tell(operation::take_operation{}));
  must(tell(step("", "1", "first")));
  wake(entity_kind::operation);
  EXPECT_EQ(tell(operation::take_operation{}).error().reason, "operation_taken");
  must(tell(step("1", "2", "second")));
  EXPECT_EQ(pieces(false, 0, 1 << 20), (std::vector<std::string>{"first", "second"}));
}

TEST_F(OperationEntity, CountsThoseThatAreOpen) {
  must(tell(made(1)));
  id = model::make_entity_id(id.shard, model::from_ms(1'700'000'000'000), {9});
  wake(entity_kind::operation);
  EXPECT_EQ(tell(made(1)).error().reason, "too_many_operations");
  must(tell(made(2)));
}

TEST_F(OperationEntity, AreListedNewestFirst) {
  auto ids = std::vector<model::entity_id>{};
  for (std::uint8_t n = 1; n <= 5; ++n) {
    id = model::make_entity_id(id.shard,
                               model::from_ms(1'700'000'000'000) + std::chrono::seconds{n}, {n});
    ids.insert(ids.begin(), id);
    wake(entity_kind::operation);
    must(tell(made(10)));
  }
  auto q = operation_list_question{};
  q.shard = id.shard;
  q.organisation = tests::organisation;
  q.limit = 2;
  auto got = std::vector<model::entity_id>{};
  for (;;) {
    const auto page = read_operations(q, *store);
    ASSERT_TRUE(page);
    EXPECT_LE(page->operations.size(), 2u);
    for (const auto& o : page->operations)
      got.push_back(o.id);
    if (page->next.empty())
      break;
    q.cursor = page->next;
  }
  EXPECT_EQ(got, ids);
  q.cursor.clear();
  q.actor = "user:b";
  EXPECT_TRUE(read_operations(q, *store)->operations.empty());
  q.actor = "user:a";
  q.phase = operation::state_code::receiving;
  EXPECT_EQ(read_operations(q, *store)->operations.size(), 2u);
  q.cursor = "nonsense";
  EXPECT_EQ(read_operations(q, *store).error().reason, "bad_cursor");
}

}  // namespace
}  // namespace orrery::actors
