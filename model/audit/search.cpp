#include "model/audit/search.hpp"

#include "model/filter/record.hpp"
#include "model/time_text.hpp"

namespace orrery::model::audit {
namespace {

using filter::field_type;

class json_record final : public filter::record {
 public:
  explicit json_record(const model::value& of) : of_{of} {}

  filter::datum value(std::size_t number, std::string_view) const override {
    const auto& f = search_fields()[number];
    const auto* found = find(f.name);
    if (f.name == "resource") {
      const auto* kind = find("kind");
      const auto* id = find("id");
      if (!kind || !kind->is_string())
        return {};
      resource_ = kind->as_string();
      if (id && id->is_string())
        resource_ += ':' + id->as_string();
      return std::string_view{resource_};
    }
    if (!found)
      return {};
    if (f.type == field_type::time) {
      const auto t = found->is_string() ? parse_time(found->as_string()) : std::nullopt;
      return t ? filter::datum{*t} : filter::datum{};
    }
    if (found->is_int())
      return found->as_int();
    return found->is_string() ? filter::datum{std::string_view{found->as_string()}}
                              : filter::datum{};
  }

 private:
  const model::value* find(const std::string& name) const {
    if (name == "kind" || name == "id") {
      const auto* resource = of_.find("resource");
      return resource ? resource->find(name) : nullptr;
    }
    return of_.find(name);
  }
  const model::value& of_;
  mutable std::string resource_;
};

}  // namespace

const filter::schema& search_fields() {
  static const auto all = filter::schema{{
      {.name = "number", .type = field_type::number},
      {.name = "time", .type = field_type::time},
      {.name = "actor"},
      {.name = "application"},
      {.name = "address"},
      {.name = "requestId"},
      {.name = "device"},
      {.name = "action"},
      {.name = "permission"},
      {.name = "method"},
      {.name = "resource"},
      {.name = "kind"},
      {.name = "id"},
      {.name = "result", .type = field_type::word, .words = {"done", "refused", "failed"}},
      {.name = "status", .type = field_type::number},
      {.name = "reason"},
      {.name = "count", .type = field_type::number},
  }};
  return all;
}

bool accepts(const filter::checked_filter& wanted, const value& record) {
  return filter::accepts(wanted, json_record{record});
}

}  // namespace orrery::model::audit
