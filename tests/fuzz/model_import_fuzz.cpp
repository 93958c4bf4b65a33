// Any bytes as an import of thing models: what is read stays within the limits and can be written
// again, as a zip and in the dialect of EnOS.
#include <cstdint>
#include <cstdlib>

#include "model/blueprint/inheritance.hpp"
#include "model/enos_dialect.hpp"
#include "model/json.hpp"
#include "model/model_csv.hpp"
#include "transport/api/model_archive.hpp"

namespace {

namespace api = orrery::transport::api;
namespace model = orrery::model;

constexpr auto limits = api::archive_limits{.max_files = 4, .max_bytes = 64 * 1024};

void demand(bool true_of_all) {
  if (!true_of_all)
    std::abort();
}

void look_at(const model::value& document) {
  const auto whole = model::blueprint::resolve(document);
  if (!whole)
    return demand(!whole.error().problems.empty());
  // A child that says nothing has what its parent has.
  auto child = model::object{{"format", "tm/1"}, {"id", "child"}, {"extends", "parent"}};
  const auto inherits = model::blueprint::resolve(child, whole->document, *whole->compiled);
  demand(inherits && inherits->compiled->points().size() == whole->compiled->points().size());
  const auto theirs = model::to_enos(document, {});
  if (!theirs)
    return demand(theirs.error().reason == "enos_unsupported");
  (void)model::from_enos(*theirs);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::string_view{reinterpret_cast<const char*>(data), size};
  if (const auto rows = api::read_csv("f", bytes, "m").document)
    if (model::blueprint::resolve(*rows))
      if (const auto text = model::to_csv(*rows))
        demand(model::from_csv(*text, "m").has_value());
  const auto all = api::read_models(bytes, limits);
  if (!all) {
    demand(all.error().reason == "import_invalid" || all.error().reason == "too_large");
    return 0;
  }
  demand(all->size() <= limits.max_files);
  auto files = std::vector<api::archive_file>{};
  for (const auto& m : *all) {
    if (!m.document)
      continue;
    demand(!m.id.empty());
    files.push_back({std::to_string(files.size()) + ".json", model::to_json(*m.document)});
    look_at(*m.document);
  }
  if (files.empty())
    return 0;
  const auto zip = api::pack(files);
  demand(zip.has_value());
  const auto again = api::unpack(*zip, {.max_files = 4, .max_bytes = ~std::size_t{0}});
  demand(again && again->size() == files.size() && again->front().text == files.front().text);
  return 0;
}
