// Long work with many devices: import, export, provisioning, changes (group D of the API). Each
// call begins an operation.
#include <algorithm>
#include <set>

#include "model/json.hpp"
#include "transport/api/csv.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/import_upload.hpp"
#include "transport/api/operation_view.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace operation = model::operation;
namespace organisation = model::organisation;
using model::errc;
using model::failure;

constexpr std::size_t max_filter = 64 * 1024;
constexpr std::size_t max_ids = 1'000;
constexpr std::size_t max_columns = 200;
constexpr std::size_t max_tags = 100, max_tag_key = 50, max_tag = 200;
constexpr std::size_t max_attributes = 64 * 1024;
constexpr std::size_t sample_size = 10;
constexpr std::int64_t max_rate = 100'000;
constexpr std::int64_t max_quarantine_days = 365;

void import_devices(const exchange_ptr& e) {
  const auto upload = std::dynamic_pointer_cast<import_upload>(e->request().sink);
  if (!upload)
    return e->fail({errc::unavailable, "unavailable", "the body was not taken: send it again"});
  upload->finish(e);
}

/// The titles of a file: of any product, or with the attributes of one.
void import_template(const exchange_ptr& e) {
  const auto key = e->query("product");
  const auto p = key.empty() ? nullptr : e->product(key);
  if (!key.empty() && !p)
    return e->fail({errc::not_found, "product_unknown", "no product " + key});
  auto titles = csv_row{"productKey", "deviceKey", "name", "description", "timezone", "gateway"};
  if (p && p->view.model)
    for (const auto& a : p->view.model->attributes())
      if (a.access != model::attribute_spec::access_mode::device &&
          a.access != model::attribute_spec::access_mode::read_only)
        titles.push_back("attributes." + a.id);
  if (p && p->view.gateway)
    std::erase(titles, "gateway");
  auto r = http_response{};
  r.content_type = "text/csv; charset=utf-8";
  write_csv(r.body, titles);
  e->send(std::move(r));
}

std::string_view right_of(std::string_view action) {
  return action == "delete" || action == "decommission" ? "device:decommission"
         : action == "resetSecret"                      ? "device:credential"
         : action == "kick"                             ? "device:control"
                                                        : "device:write";
}

/// A filter as it is asked, within what the caller reaches for a right; and that reach as a filter
/// of its own, "" if it is by products alone, which an operation knows by itself.
void with_reached(const exchange_ptr& e, const std::string& asked, std::string_view right,
                  std::function<void(std::string filter, std::string reach)> then) {
  auto own = organisation::device_filter(asked, products_of(*e), groups_of(*e));
  if (!own)
    return e->fail(own.error());
  set_reach(*e, right);
  const auto by_products =
      e->reach.groups.empty() && e->reach.rules.empty() && e->reach.nodes.empty();
  e->with_reach(
      {}, [own = std::move(*own), by_products, then = std::move(then)](const std::string& reach) {
        then(organisation::both(own, reach), by_products ? std::string{} : reach);
      });
}

struct bulk_order {
  model::object request;
  std::string action, asked;           // the filter as it was asked
  std::string filter;                  // and within reach
  std::optional<std::uint64_t> named;  // so many ids
  bool dry_run = false;
};

/// Tags that devices may be able to keep; each device says for itself whether it can.
model::object read_tag_map(fields& f) {
  auto tags = model::object{};
  const auto given = f.text_map("tags", false);
  if (given.size() > max_tags)
    f.note("tags", "too_large", "a device has at most 100 tags");
  else
    for (const auto& [k, v] : given)
      if (k.size() > max_tag_key || v->size() > max_tag)
        f.note("tags", "too_long", "a tag has a key of at most 50 bytes and 200 bytes of text");
      else
        tags.emplace_back(k, *v);
  return tags;
}

void read_tags(fields& f, const std::string& action, model::object& request) {
  if (action == "tag") {
    auto tags = read_tag_map(f);
    if (tags.empty())
      f.missing("tags");
    request.emplace_back("tags", std::move(tags));
  } else if (action == "untag") {
    auto keys = model::array{};
    for (auto& k : f.texts("tagKeys", max_tags).value_or(std::vector<std::string>{}))
      if (k.size() > max_tag_key)
        f.note("tagKeys", "too_long", "the key of a tag has at most 50 bytes");
      else
        keys.emplace_back(std::move(k));
    if (keys.empty())
      f.missing("tagKeys");
    request.emplace_back("tags", std::move(keys));
  }
}

model::result<bulk_order> read_bulk(const exchange& e, const model::value& body) {
  static const auto actions = std::vector<std::string_view>{
      "enable", "disable", "tag", "untag", "kick", "resetSecret", "decommission", "delete"};
  auto f = fields{body};
  auto b = bulk_order{};
  b.action = f.word("action", actions).value_or("");
  if (!f.has("action"))
    f.missing("action");
  const auto filter = f.text("filter", max_filter);
  const auto ids = f.texts("ids", max_ids);
  const auto all = f.truth("all").value_or(false);
  if ((filter && !filter->empty() ? 1 : 0) + (ids ? 1 : 0) + (all ? 1 : 0) != 1)
    f.note("filter", "required_missing", "give one of filter, ids and all: true");
  b.request = {{"action", b.action}};
  read_tags(f, b.action, b.request);
  b.dry_run = f.truth("dryRun").value_or(false);
  auto reason = f.text("reason", 256);
  if (b.action == "decommission" && (!reason || reason->empty()))
    f.missing("reason");
  if (reason)
    b.request.emplace_back("reason", std::move(*reason));
  if (const auto days = f.integer("quarantine", 0, max_quarantine_days))
    b.request.emplace_back("quarantine", *days);
  if (const auto rate = f.integer("rate", 1, max_rate))
    b.request.emplace_back("rate", *rate);
  if (const auto overlap = f.integer("overlap", 0, 30 * 86'400))
    b.request.emplace_back("overlap", *overlap);
  if (ids) {
    auto named = model::array{};
    auto seen = std::set<model::entity_id>{};
    for (std::size_t i = 0; i < ids->size(); ++i) {
      const auto id = model::parse_entity_id((*ids)[i]);
      if (!id || id->shard >= e.parts().shard_count)
        f.note("ids/" + std::to_string(i), "type_mismatch", "expected an assetId");
      else if (!seen.insert(*id).second)
        f.note("ids/" + std::to_string(i), "duplicate", "it is named before");
      named.emplace_back((*ids)[i]);
    }
    b.named = ids->size();
    b.request.emplace_back("ids", std::move(named));
  }
  if (auto ok = f.finish(); !ok)
    return ok.error();
  b.asked = filter.value_or("");
  return b;
}

/// How many it would be for, and some of them.
void try_bulk(const exchange_ptr& e, const bulk_order& b) {
  e->parts().query->count(
      {.organisation = e->who.organisation, .filter = b.filter},
      [e, filter = b.filter](const model::result<actors::device_counts>& counts) {
        if (!counts)
          return e->fail(counts.error());
        auto total = std::int64_t{0};
        for (const auto& [group, n] : counts->of)
          total += static_cast<std::int64_t>(n);
        auto q = actors::device_list_question{.organisation = e->who.organisation};
        q.filter = filter;
        q.limit = sample_size;
        e->parts().query->devices(
            std::move(q), [e, total](const model::result<actors::device_page>& page) {
              if (!page)
                return e->fail(page.error());
              auto sample = model::array{};
              for (const auto& d : page->devices)
                sample.push_back(model::object{{"assetId", to_string(d.id)},
                                               {"productKey", d.what->name().product_key},
                                               {"deviceKey", d.what->name().device_key},
                                               {"name", d.what->display_name}});
              e->reply(200, model::object{{"total", total}, {"sample", std::move(sample)}});
            });
      });
}

void begin_bulk(const exchange_ptr& e, bulk_order& b, std::string_view right, std::string reach) {
  if (!b.named) {
    b.request.emplace_back("filter", b.filter);
    b.request.emplace_back("asked", b.asked);
  }
  if (!reach.empty())
    b.request.emplace_back("reach", std::move(reach));
  const auto id = fresh_operation(e->parts(), e->who.organisation);
  auto what = new_operation(e->parts(), e->who, id, operation::work_kind::bulk_devices,
                            std::move(b.request), right);
  what.wants_secrets = b.action == "resetSecret";
  what.total = b.named;
  begin_operation(e, id, std::move(what));
}

void bulk(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto read = read_bulk(*e, *body);
  if (!read)
    return e->fail(read.error());
  const auto right = right_of(read->action);
  if (!e->who.may_for_some(right))
    return e->fail({errc::forbidden, "forbidden", "needs the permission " + std::string{right}});
  if (read->dry_run && read->named)
    return e->fail({errc::invalid_argument, "validation_failed",
                    "dryRun tells what a filter finds; ids are known"});
  const auto asked = read->asked;
  with_reached(e, asked, right,
               [e, right, b = std::move(*read)](std::string filter, std::string reach) mutable {
                 b.filter = std::move(filter);
                 if (b.dry_run)
                   return try_bulk(e, b);
                 begin_bulk(e, b, right, std::move(reach));
               });
}

// ---- export
// --------------------------------------------------------------------------------------

bool is_export_column(const std::string& c, bool csv) {
  static const auto plain = std::set<std::string>{
      "assetId", "productKey", "deviceKey", "name",        "description",  "timezone",  "status",
      "gateway", "createdAt",  "updatedAt", "activatedAt", "lastOnlineAt", "lastDataAt"};
  return plain.contains(c) || (c.starts_with("attributes.") && c.size() > 11) ||
         (c.starts_with("tags.") && c.size() > 5) || (!csv && (c == "attributes" || c == "tags"));
}

/// What can be imported again: in a CSV file the attributes of all products that are reached.
std::vector<std::string> columns_by_themselves(const exchange& e, bool csv) {
  auto all = std::vector<std::string>{"productKey", "deviceKey", "name", "description", "timezone"};
  if (!csv) {
    all.insert(all.end(), {"attributes", "tags"});
    return all;
  }
  auto attributes = std::set<std::string>{};
  const auto known = e.parts().known->current();
  for (const auto& [key, p] : known->products)
    if (e.sees(*p->state) && p->view.model)
      for (const auto& a : p->view.model->attributes())
        if (attributes.size() < max_columns - all.size())
          attributes.insert("attributes." + a.id);
  all.insert(all.end(), attributes.begin(), attributes.end());
  return all;
}

void export_devices(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto asked = f.text("filter", max_filter).value_or("");
  const auto csv = f.word("format", {"csv", "ndjson"}).value_or("csv") == "csv";
  auto columns = f.texts("columns", max_columns).value_or(std::vector<std::string>{});
  auto seen = std::set<std::string>{};
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (!is_export_column(columns[i], csv))
      f.note("columns/" + std::to_string(i), "unknown_field", "there is no such column");
    else if (!seen.insert(columns[i]).second)
      f.note("columns/" + std::to_string(i), "duplicate", "the column is there before");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (columns.empty())
    columns = columns_by_themselves(*e, csv);
  with_reached(
      e, asked, "device:read",
      [e, asked, csv, columns = std::move(columns)](std::string filter, std::string reach) {
        auto named = model::array{};
        for (const auto& c : columns)
          named.emplace_back(c);
        auto request = model::object{{"format", csv ? "csv" : "ndjson"},
                                     {"filter", std::move(filter)},
                                     {"asked", asked},
                                     {"columns", std::move(named)}};
        if (!reach.empty())
          request.emplace_back("reach", std::move(reach));
        const auto id = fresh_operation(e->parts(), e->who.organisation);
        auto what = new_operation(e->parts(), e->who, id, operation::work_kind::export_devices,
                                  std::move(request), "device:read");
        what.form = csv ? operation::result_form::csv : operation::result_form::ndjson;
        begin_operation(e, id, std::move(what));
      });
}

// ---- provisioning
// --------------------------------------------------------------------------------

void provision(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto product = f.text("productKey", 64).value_or("");
  const auto keys = f.text("keys", 256).value_or("");
  auto request = model::object{{"product", product}, {"keys", keys}, {"mode", "create"}};
  if (auto name = f.text("name", 200))
    request.emplace_back("name", std::move(*name));
  if (auto tags = read_tag_map(f); !tags.empty())
    request.emplace_back("tags", std::move(tags));
  if (auto attributes = f.object("attributes")) {
    auto all = model::value{std::move(*attributes)};
    if (model::to_json(all).size() > max_attributes)
      f.note("attributes", "too_large", "the attributes of a device have at most 64 KiB");
    request.emplace_back("attributes", std::move(all));
  }
  if (const auto rate = f.integer("rate", 1, max_rate))
    request.emplace_back("rate", *rate);
  if (f.truth("dryRun").value_or(false))
    request.emplace_back("dryRun", true);
  for (const auto* needed : {"productKey", "keys"})
    if (!f.has(needed))
      f.missing(needed);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto pattern = key_pattern::read(keys);
  if (!pattern)
    return e->fail(pattern.error());
  if (!e->product(product))
    return e->fail({errc::not_found, "product_unknown", "no product " + product});
  const auto id = fresh_operation(e->parts(), e->who.organisation);
  auto what = new_operation(e->parts(), e->who, id, operation::work_kind::provision_devices,
                            std::move(request), "device:write");
  what.wants_secrets = true;
  what.total = pattern->size();
  begin_operation(e, id, std::move(what));
}

}  // namespace

std::vector<route> device_mass_routes() {
  return {
      {"POST", "~/devices:import", "device:write", import_devices, "importDevices",
       "Register or update the devices of a file (text/csv with titles, or application/x-ndjson): "
       "an operation",
       "ImportedDevices", "Operation", 202, "mode dryRun product secrets rate"},
      {"GET", "~/devices:importTemplate", "device:read", import_template, "getImportTemplate",
       "The titles of a CSV file for a product", "", "", 200, "product"},
      {"POST", "~/devices:export", "device:read", export_devices, "exportDevices",
       "Write the devices that a filter finds into a file: an operation", "DeviceExport",
       "Operation", 202, ""},
      {"POST", "~/devices:bulk", "device:read", bulk, "bulkDevices",
       "Enable, disable, tag, untag, decommission, delete or give new secrets to many devices: an "
       "operation. "
       "With `dryRun` only how many, and some of them. Needs `device:write`, `device:credential` "
       "or `device:decommission`, as the action does alone",
       "DeviceBulk", "Operation", 202, ""},
      {"POST", "~/devices:provision", "device:write", provision, "provisionDevices",
       "Register many devices by a pattern of keys such as inv-{0001..5000}: an operation whose "
       "result has their secrets",
       "DeviceProvision", "Operation", 202, ""},
  };
}

}  // namespace orrery::transport::api
