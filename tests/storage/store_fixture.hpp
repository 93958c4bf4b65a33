// A database in a folder of its own, which goes with the test.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "storage/bucket.hpp"
#include "storage/keys.hpp"
#include "storage/rocks_families.hpp"
#include "storage/rocks_open.hpp"
#include "storage/rocks_store.hpp"

namespace orrery::storage {

class store_fixture : public testing::Test {
 protected:
  static constexpr auto now = model::from_ms(1'700'000'000'000);

  store_fixture() {
    // In memory where that is possible: opening syncs many small files.
    const auto* memory = "/dev/shm";
    const auto parent = std::filesystem::exists(memory) ? std::filesystem::path{memory}
                                                        : std::filesystem::temp_directory_path();
    auto name = (parent / "orrery-store-XXXXXX").string();
    folder = mkdtemp(name.data());
    options = {
        .folder = folder + "/db", .write_buffer_bytes = 16 << 20, .block_cache_bytes = 8 << 20};
  }
  ~store_fixture() override {
    store.reset();
    std::filesystem::remove_all(folder);
  }

  model::status open(model::timestamp at = now) {
    store.reset();
    auto made = open_rocks_store(options, at);
    if (!made)
      return made.error();
    store = std::move(*made);
    return {};
  }

  /// A frame of shard 1 with records "e<offset>".
  frame journal(std::uint64_t first, std::uint64_t count, model::timestamp time = now,
                model::shard_id shard = 1) {
    auto f = frame{.shard = shard, .epoch = 1, .first_offset = first, .records = {}, .rows = {}};
    for (auto i = first; i < first + count; ++i)
      f.records.push_back({device, model::entity_kind::device, i, time, "e" + std::to_string(i)});
    return f;
  }
  void append(const frame& f) {
    const auto ok = store->append(std::span{&f, 1}, false);
    ASSERT_TRUE(ok) << ok.error().detail;
  }
  void put(const row& r) {
    const auto ok = store->put(std::span{&r, 1}, false);
    ASSERT_TRUE(ok) << ok.error().detail;
  }
  /// Works on the database itself, while the store is closed.
  void with_database(const std::function<void(open_rocks&)>& work,
                     model::timestamp horizon = model::timestamp::min()) {
    store.reset();
    const auto parts =
        family_parts{.cache = nullptr,
                     .horizon = std::make_shared<storage::sample_horizon>(model::to_ms(horizon)),
                     .sample_retention = options.sample_retention};
    auto opened = open_database(options, parts);
    ASSERT_TRUE(opened) << opened.error().detail;
    work(*opened);
    for (const auto& [name, handle] : opened->families)
      opened->db->DestroyColumnFamilyHandle(handle);
    ASSERT_TRUE(opened->db->Close().ok());
  }
  /// Writes bytes as they are: damage.
  void plant(std::string_view family, const std::string& key, const std::string& value) {
    with_database([&](open_rocks& in) {
      for (const auto& [name, handle] : in.families)
        if (name == family) {
          ASSERT_TRUE(in.db->Put({}, handle, key, value).ok());
        }
    });
  }
  std::vector<std::string> replayed(std::uint64_t from, model::shard_id shard = 1) {
    auto all = std::vector<std::string>{};
    const auto ok = store->replay(shard, from, [&](auto, auto, const record& r) {
      all.push_back(r.events);
      return true;
    });
    EXPECT_TRUE(ok) << ok.error().detail;
    return all;
  }

  std::string folder;
  rocks_options options;
  std::unique_ptr<entity_store> store;
  model::entity_id device = model::make_entity_id(1, now, {4});
};

}  // namespace orrery::storage
