// What history costs on disk: devices post through checkpoints into the real store, as on a node.
// Prints one JSON line per kind of device.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <random>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "storage/bucket.hpp"
#include "storage/keys.hpp"
#include "storage/rocks_families.hpp"
#include "storage/rocks_open.hpp"
#include "storage/rocks_store.hpp"

namespace {

namespace fs = std::filesystem;
using namespace orrery;

constexpr auto start = model::from_ms(1'700'000'000'000);
constexpr int point_count = 10;

/// How devices behave.
struct kind {
  const char* name;
  std::chrono::milliseconds interval;  // between posts
  std::chrono::seconds checkpoint;     // what a checkpoint stores
  double noise;                        // standard deviation, in units of the last decimal
  int devices;
  std::chrono::hours length;
};

const kind kinds[] = {
    {"1/s, noise of 1 digit", std::chrono::seconds{1}, std::chrono::seconds{30}, 1, 50,
     std::chrono::hours{2}},
    {"1/s, noise of 10 digits", std::chrono::seconds{1}, std::chrono::seconds{30}, 10, 50,
     std::chrono::hours{2}},
    {"1/s, noise of 100 digits", std::chrono::seconds{1}, std::chrono::seconds{30}, 100, 50,
     std::chrono::hours{2}},
    {"every 10 s, noise of 10 digits", std::chrono::seconds{10}, std::chrono::seconds{30}, 10, 500,
     std::chrono::hours{2}},
    {"every 10 min, noise of 10 digits", std::chrono::minutes{10}, std::chrono::minutes{10}, 10,
     5000, std::chrono::hours{6}},
};

/// Point i has 1 to 3 decimals: a slow swing over a fifth of its level, and noise.
class device {
 public:
  explicit device(unsigned number, const kind& k)
      : kind_{k},
        random_{number},
        offset_{number * 0.37},
        id_{model::make_entity_id(
            static_cast<model::shard_id>(number % 64), start,
            {static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)})} {}

  model::sample post(std::chrono::milliseconds since) {
    auto s = model::sample{start + since + std::chrono::milliseconds{random_() % 50}, {}};
    const auto seconds = std::chrono::duration<double>(since).count();
    for (int i = 0; i < point_count; ++i) {
      const auto scale = std::pow(10.0, 1 + i % 3);
      const auto value = 20.0 * (i + 1) * (1 + 0.2 * std::sin(seconds / 600 + offset_ + i)) +
                         noise_(random_) * kind_.noise / scale;
      s.points.push_back({"point" + std::to_string(i + 1), std::round(value * scale) / scale, -1});
    }
    return s;
  }
  storage::row checkpoint(std::span<const model::sample> samples, model::timestamp bucket) {
    return {.family = storage::family::series,
            .key = storage::keys::bucket(id_, bucket),
            .value = storage::bucket_part(++revision_, samples),
            .slice_time = bucket,
            .operation = storage::row_operation::append};
  }

 private:
  const kind& kind_;
  std::mt19937 random_;
  double offset_;
  std::normal_distribution<> noise_;
  model::entity_id id_;
  std::uint64_t revision_ = 0;
};

double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

/// Flushes what is in memory; gives the bytes of all tables of samples.
std::uint64_t table_bytes(const storage::rocks_options& options, bool compact) {
  auto opened =
      storage::open_database(options, {.cache = nullptr,
                                       .horizon = std::make_shared<storage::sample_horizon>(0),
                                       .sample_retention = options.sample_retention});
  if (!opened)
    throw std::runtime_error{opened.error().detail};
  auto bytes = std::uint64_t{0};
  for (const auto& [name, handle] : opened->families)
    if (name.starts_with("series-")) {
      opened->db->Flush({}, handle);
      if (compact)
        opened->db->CompactRange({}, handle, nullptr, nullptr);
      auto size = std::uint64_t{0};
      opened->db->GetIntProperty(handle, "rocksdb.total-sst-files-size", &size);
      bytes += size;
    }
  for (const auto& [name, handle] : opened->families)
    opened->db->DestroyColumnFamilyHandle(handle);
  opened->db->Close();
  return bytes;
}

void run(const kind& k) {
  auto pattern = (fs::temp_directory_path() / "orrery-bench-XXXXXX").string();
  const auto folder = fs::path{mkdtemp(pattern.data())};
  const auto options =
      storage::rocks_options{.folder = folder / "db", .write_buffer_bytes = 64 << 20};
  auto samples = std::uint64_t{0}, written = std::uint64_t{0};
  const auto before = cpu_seconds();
  auto making = 0.0;
  {
    auto store = storage::open_rocks_store(options, start + k.length);
    if (!store)
      throw std::runtime_error{store.error().detail};
    auto devices = std::vector<device>{};
    for (int i = 0; i < k.devices; ++i)
      devices.emplace_back(static_cast<unsigned>(i), k);
    for (auto at = std::chrono::milliseconds{0}; at < k.length; at += k.checkpoint) {
      for (auto& d : devices) {
        const auto made = cpu_seconds();
        auto buckets = std::map<model::timestamp, std::vector<model::sample>>{};
        for (auto t = at; t < at + k.checkpoint; t += k.interval) {
          auto s = d.post(t);
          samples += s.points.size();
          buckets[storage::bucket_of(s.time)].push_back(std::move(s));
        }
        making += cpu_seconds() - made;
        auto rows = std::vector<storage::row>{};
        for (const auto& [start_of, some] : buckets) {
          rows.push_back(d.checkpoint(some, start_of));
          written += rows.back().value.size();
        }
        if (const auto ok = (*store)->put(rows, false); !ok)
          throw std::runtime_error{ok.error().detail};
      }
    }
  }
  const auto flushed = table_bytes(options, false);
  const auto compacted = table_bytes(options, true);
  const auto cpu = cpu_seconds() - before - making;
  fs::remove_all(folder);
  const auto per = [&](std::uint64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(samples);
  };
  std::printf(
      "{\"what\": \"%s\", \"samples\": %llu, \"written\": %.3f, \"flushed\": %.3f, \"compacted\": "
      "%.3f, \"cpu_ns\": %.0f}\n",
      k.name, static_cast<unsigned long long>(samples), per(written), per(flushed), per(compacted),
      cpu / static_cast<double>(samples) * 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  auto app = CLI::App{"Bytes a sample of history takes on disk"};
  CLI11_PARSE(app, argc, argv);
  try {
    for (const auto& k : kinds)
      run(k);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "orrery-history: " << e.what() << '\n';
    return 1;
  }
}
