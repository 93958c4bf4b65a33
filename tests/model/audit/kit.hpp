// A log in memory, for tests of its rules.
#pragma once

#include <map>
#include <string>

#include "model/audit/audit.hpp"

namespace orrery::model::audit {

/// Does what an entity does: decides, applies, keeps the records.
class log_in_memory : public record_source {
 public:
  result<std::optional<record>> find(std::uint64_t number) const override {
    const auto found = rows.find(number);
    return found == rows.end() ? std::optional<record>{} : std::optional{found->second};
  }
  result<bool> has_request(std::string_view request) const override {
    for (const auto& [number, r] : rows)
      if (r.text.find('"' + std::string{request} + '"') != std::string::npos)
        return true;
    return false;
  }

  result<decision> ask(order what) {
    auto d = decide(
        s, {std::move(what), {}, {}},
        {.self = {}, .now = now, .retention = retention, .max_bytes = max_bytes, .records = *this});
    if (d)
      for (const auto& e : d->events) {
        apply(s, e);
        if (const auto* a = std::get_if<appended>(&e))
          rows[a->what.number] = a->what;
        else
          rows.erase(rows.begin(), rows.lower_bound(std::get<pruned>(e).first));
      }
    return d;
  }
  result<decision> append(const std::string& request, bool again = false) {
    return ask(
        append_record{"org", R"({"requestId":")" + request + R"(","action":"a"})", request, again});
  }

  state s;
  std::map<std::uint64_t, record> rows;
  timestamp now = from_ms(1'700'000'000'000);
  milliseconds retention = std::chrono::hours{24 * 10};
  std::uint64_t max_bytes = 1 << 20;
};

}  // namespace orrery::model::audit
