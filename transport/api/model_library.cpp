// The library of elements and the table of units (group B of the API).
#include "model/enos_dialect.hpp"
#include "model/units.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/model_parts.hpp"

namespace orrery::transport::api {
namespace {

namespace blueprint = model::blueprint;
namespace filter = model::filter;
using model::errc;
using model::failure;

const auto fields_of_units = filter::schema{{{.name = "code", .sortable = true},
                                             {.name = "quantity", .sortable = true},
                                             {.name = "symbol"}}};
const auto fields_of_elements =
    filter::schema{{{.name = "id", .sortable = true},
                    {.name = "name", .type = filter::field_type::texts},
                    {.name = "category", .sortable = true},
                    {.name = "elementTypes", .type = filter::field_type::texts},
                    {.name = "unit"},
                    {.name = "version"},
                    {.name = "deprecated", .type = filter::field_type::truth}}};

void units(const exchange_ptr& e) {
  auto all = std::vector<list_row>{};
  for (const auto& u : model::units())
    all.push_back(
        {std::string{u.quantity} + '/' + std::string{u.code}, [&u] {
           return model::object{{"code", u.code}, {"quantity", u.quantity}, {"symbol", u.symbol}};
         }});
  reply_list(e, fields_of_units, std::move(all));
}

void elements(const exchange_ptr& e) {
  auto all = std::vector<list_row>{};
  const auto library = e->parts().known->current()->library(e->who.organisation);
  for (const auto& [id, element] : library.as_object())
    all.push_back({id, [id = id, element = element] {
                     auto shown = element.as_object();
                     model::set_member(shown, "id", id);
                     return model::value{std::move(shown)};
                   }});
  reply_list(e, fields_of_elements, std::move(all));
}

void import_elements(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto* given = f.array("elements", blueprint::max_library_elements);
  const auto gone =
      f.texts("remove", blueprint::max_library_elements).value_or(std::vector<std::string>{});
  if (!given && gone.empty())
    f.missing("elements");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  auto c = blueprint::change_library{e->who.organisation, {}};
  for (std::size_t i = 0; given && i < given->size(); ++i) {
    auto element = (*given)[i];
    if (element.find("identifier")) {
      auto ours = model::library_element_from_enos(element);
      if (!ours) {
        auto why = ours.error();
        for (auto& p : why.problems)
          p.where = "/elements/" + std::to_string(i) + p.where;
        return e->fail(why);
      }
      element = std::move(*ours);
    }
    const auto* id = element.find("id");
    if (!element.is_object() || !id || !id->is_string())
      return e->fail({errc::invalid_argument,
                      "library_invalid",
                      "an element is an object with an id",
                      {{"/elements/" + std::to_string(i) + "/id", "required_missing",
                        "an element has an id"}}});
    auto kept = element.as_object();
    auto name = id->as_string();
    std::erase_if(kept, [](const auto& member) { return member.first == "id"; });
    c.elements.emplace_back(std::move(name), std::move(kept));
  }
  for (const auto& id : gone)
    c.elements.emplace_back(id, nullptr);
  const auto put = given ? given->size() : 0;
  const auto entity =
      actors::catalogue_id(model::entity_kind::blueprint,
                           e->who.organisation + '/' + std::string{blueprint::library_id});
  e->ask(entity, blueprint::command{std::move(c), e->who.actor, {}},
         [e, put](const actors::outcome& done) {
           const auto total = model_state_in(done)->library.as_object().size();
           e->reply(200,
                    model::object{{"imported", static_cast<std::int64_t>(put)},
                                  {"total", static_cast<std::int64_t>(total)}},
                    exchange::revision_headers(done));
         });
}

}  // namespace

std::vector<route> library_routes() {
  return {
      {"GET", "~/library/units", "model:read", units, "listUnits", "Units of values", "",
       "UnitList", 200, "limit cursor filter sort fields"},
      {"GET", "~/library/elements", "model:read", elements, "listLibraryElements",
       "Elements that are ready to be used in models", "", "LibraryList", 200,
       "limit cursor filter sort fields"},
      {"POST", "~/library:import", "model:write", import_elements, "importLibrary",
       "Put elements into the library, or take them out", "LibraryImport", "LibraryImported", 200,
       ""},
  };
}

}  // namespace orrery::transport::api
