// Decoder scripts: a product's own functions, in Lua, between the bytes of its devices and JSON.
// Each call has a Lua state of its own, so nothing is left of one call in the next, and bounds on
// memory, instructions, time and results that a script cannot lift.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "model/result.hpp"

namespace orrery::transport {

struct script_bounds {
  std::size_t max_text_bytes = 64 * 1024;
  std::size_t max_memory_bytes = 4 * 1024 * 1024;  // in all; a quarter of it in one piece
  std::uint64_t max_instructions = 2'000'000;      // of Lua; what a function does in C counts too
  std::chrono::microseconds max_time{50'000};      // of the processor, not of the clock
  std::size_t max_result_bytes = 512 * 1024;
};

/// What a run took, and where it failed.
struct script_report {
  std::uint64_t instructions = 0;  // Lua's own by the hundred
  std::size_t memory_bytes = 0;    // most at one time, Lua's own libraries included
  std::optional<int> line;         // of the script; nothing if it did not fail, or not in a line
};

/// A script that compiles and defines both functions. Immutable: any number of threads may run it.
class script {
 public:
  /// Compiles `text` (a text, never bytecode) and runs it once, under the bounds. Fails:
  /// `too_large` with reason "script_too_large"; `invalid_argument` with reason "script_error" or,
  /// out of bounds, "script_limit"; the detail names the line.
  static model::result<script> compile(std::string_view text, const script_bounds& bounds = {},
                                       script_report* report = nullptr);

  const script_bounds& bounds() const { return bounds_; }

 private:
  friend class script_run;
  script(std::string code, const script_bounds& bounds) : code_{std::move(code)}, bounds_{bounds} {}
  std::string code_;  // Lua's, dumped by compile
  script_bounds bounds_;
};

/// Calls the script's `raw_to_json`, or `rawDataToJsonStr`, with the bytes; gives a JSON object.
/// Any thread. Fails: `invalid_argument` with reason "script_error" (it failed, or gave no JSON
/// object) or "script_limit".
model::result<std::string> raw_to_json(const script& s, std::string_view bytes,
                                       script_report* report = nullptr);

/// Calls `json_to_raw` with what the JSON text says as a table, or `jsonStrToRawData` with the
/// text; gives bytes. Any thread. Fails: as raw_to_json, and as model::parse_json does.
model::result<std::string> json_to_raw(const script& s, std::string_view json,
                                       script_report* report = nullptr);

/// The scripts of products, compiled once for each text. Any thread.
class script_cache {
 public:
  explicit script_cache(const script_bounds& bounds = {}) : bounds_{bounds} {}
  /// The script of a product as the catalogue has it (catalogue_product::script). Requires: a
  /// text. Fails: as script::compile, and again for the same text without compiling it anew.
  model::result<std::shared_ptr<const script>> of(const std::string& product_key,
                                                  const std::shared_ptr<const std::string>& text);

 private:
  static constexpr std::size_t max_scripts = 1024;
  struct entry {
    std::weak_ptr<const std::string> text;
    model::result<std::shared_ptr<const script>> compiled;
  };
  const script_bounds bounds_;
  std::mutex mutex_;
  std::unordered_map<std::string, entry> known_;
};

}  // namespace orrery::transport
