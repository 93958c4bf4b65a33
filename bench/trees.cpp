// What an asset tree of a million nodes costs: filled by the rules through the rows of the real
// store, then opened level by level, moved about in and walked. Prints one JSON line per measure.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "actors/kinds.hpp"
#include "actors/tree_reads.hpp"
#include "storage/rocks_store.hpp"

namespace {

namespace fs = std::filesystem;
namespace tree = orrery::model::tree;
using namespace orrery;
using clock_type = std::chrono::steady_clock;

constexpr auto now = model::from_ms(1'700'000'000'000);
constexpr auto organisation = "bench";

template <class T>
T must(model::result<T> got) {
  if (!got)
    throw std::runtime_error{got.error().detail};
  return std::move(*got);
}

double seconds_since(clock_type::time_point begin) {
  return std::chrono::duration<double>(clock_type::now() - begin).count();
}

/// One tree, decided and written as its entity does it.
class bench_tree {
 public:
  explicit bench_tree(storage::entity_store& store) : store_{store} {
    auto c = tree::create_tree{};
    c.organisation = organisation;
    c.name = "bench";
    c.root.node = next_id();
    c.root.asset = next_id();
    root = c.root.node;
    tell(c);
  }

  void tell(tree::order what) {
    const auto d = must(kind_.decide(state_, {std::move(what), "bench", {}},
                                     {id, now, known_, keys_, store_, 50, 5, 1'000, 64, {}, 0}));
    for (const auto& e : d.events)
      tree::apply(state_, e);
    const auto rows = actors::tree_kind::rows_of(id, state_, d.events, state_.revision, {});
    kind_.note(d.events, state_.revision);
    if (auto ok = store_.put(rows, false); !ok)
      throw std::runtime_error{ok.error().detail};
  }

  /// Puts `count` nodes under one, and gives them.
  std::vector<model::entity_id> grow(const model::entity_id& parent, std::size_t count) {
    auto add = tree::add_nodes{};
    auto ids = std::vector<model::entity_id>{};
    for (std::size_t i = 0; i < count; ++i) {
      auto& one = add.items.emplace_back();
      one.node = next_id();
      one.parent = tree::by_node{parent};
      one.asset = next_id();
      one.device = true;
      ids.push_back(one.node);
    }
    tell(std::move(add));
    return ids;
  }

  model::entity_id next_id() {
    auto bytes = std::array<std::uint8_t, 10>{};
    for (auto& b : bytes)
      b = static_cast<std::uint8_t>(random_());
    return model::make_entity_id(1, now, bytes);
  }
  std::uint64_t nodes() const { return state_.nodes; }

  std::mt19937 random_{1};
  model::entity_id id = next_id(), root;

 private:
  storage::entity_store& store_;
  actors::catalogue known_;
  model::keyring keys_{model::keyring::key_bytes{}};
  actors::tree_kind kind_;
  tree::state state_;
};

actors::tree_page walk(const storage::entity_store& store, const bench_tree& t,
                       const model::entity_id& from, std::uint8_t levels, std::uint64_t limit,
                       std::string cursor = {}) {
  auto w = actors::walk_nodes{};
  w.tree = t.id;
  w.from = tree::by_node{from};
  w.levels = levels;
  w.limit = limit;
  w.cursor = std::move(cursor);
  const auto rows = must(store.moment());
  return must(actors::read_tree({1, organisation, std::move(w)}, *rows));
}

void print(const char* what, std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  std::printf(R"({"what": "%s", "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f})"
              "\n",
              what, ms[ms.size() / 2], ms[ms.size() * 99 / 100], ms.back());
  std::fflush(stdout);
}

/// Milliseconds of each of `times` runs.
template <class F>
std::vector<double> measured(int times, F run) {
  auto all = std::vector<double>{};
  for (int i = 0; i < times; ++i) {
    const auto begin = clock_type::now();
    run();
    all.push_back(seconds_since(begin) * 1'000);
  }
  return all;
}

void run(const std::string& folder, std::size_t first_level) {
  const auto store = must(storage::open_rocks_store({.folder = folder + "/db"}, now));
  auto t = bench_tree{*store};
  auto begin = clock_type::now();
  auto halls = t.grow(t.root, first_level), lines = std::vector<model::entity_id>{};
  auto lowest = std::vector<model::entity_id>{};
  for (const auto& hall : halls)
    for (const auto& line : t.grow(hall, 50)) {
      lines.push_back(line);
      for (const auto& low : t.grow(line, 50)) {
        lowest.push_back(low);
        t.grow(low, 50);
      }
    }
  std::printf(R"({"what": "filled", "nodes": %llu, "seconds": %.1f})"
              "\n",
              static_cast<unsigned long long>(t.nodes()), seconds_since(begin));
  auto random = std::mt19937{2};
  const auto one_of = [&](const std::vector<model::entity_id>& ids) {
    return ids[random() % ids.size()];
  };
  print("open a level of 50", measured(1'000, [&] {
          if (walk(*store, t, one_of(lowest), 1, 50).nodes.size() != 50)
            throw std::runtime_error{"a level is not whole"};
        }));
  print("move a node with 2,550 below it", measured(200, [&] {
          auto m = tree::move_node{};
          m.which = tree::by_node{one_of(lines)};
          m.parent = tree::by_node{one_of(halls)};
          t.tell(m);
        }));
  print("add a node", measured(200, [&] { t.grow(one_of(lowest), 1); }));
  begin = clock_type::now();
  auto seen = std::size_t{0};
  auto page = actors::tree_page{};
  do {
    page = walk(*store, t, t.root, 0, 2'000, page.next);
    seen += page.nodes.size();
  } while (!page.next.empty());
  std::printf(R"({"what": "walked", "nodes": %zu, "seconds": %.1f})"
              "\n",
              seen, seconds_since(begin));
}

}  // namespace

int main(int argc, char** argv) {
  auto app = CLI::App{"An asset tree of a million nodes"};
  auto first_level = std::size_t{8};
  app.add_option("--first-level", first_level, "nodes below the root; each has 127,550 below it")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  auto name = (fs::temp_directory_path() / "orrery-trees-XXXXXX").string();
  const auto folder = std::string{mkdtemp(name.data())};
  auto code = 0;
  try {
    run(folder, first_level);
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    code = 1;
  }
  fs::remove_all(folder);
  return code;
}
