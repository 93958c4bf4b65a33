// Files of logical assets: export and import (part of group J of the API).
#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>

#include "model/filter/folded.hpp"
#include "transport/api/asset_parts.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/row_files.hpp"

namespace orrery::transport::api {
namespace {

namespace asset = model::asset;
using model::errc;
using model::failure;

const auto columns = std::vector<row_column>{{"assetId"},
                                             {"name"},
                                             {"description"},
                                             {"timezone"},
                                             {"modelId"},
                                             {"tags.*"},
                                             {"attributes.*", cell_form::json}};

// ---- export -------------------------------------------------------------------------------------

/// What an import takes of an asset, as it is shown.
model::value written(const model::value& shown) {
  auto o = model::object{};
  for (const auto& [name, v] : shown.as_object())
    if (name != "kind" && name != "createdAt" && name != "updatedAt")
      o.emplace_back(name, v);
  return o;
}

/// Reads assets one by one and sends the file once all are there; those that are gone meanwhile are
/// left out.
struct asset_export : std::enable_shared_from_this<asset_export> {
  exchange_ptr e;
  row_format format = row_format::csv;
  std::vector<std::optional<model::value>> rows{};
  std::optional<failure> why{};
  std::mutex mutex{};  // of `why`
  std::atomic<std::size_t> open{0};

  void start(const model::array& items) {
    if (items.empty())
      return end();
    rows.resize(items.size());
    open = items.size();
    for (std::size_t i = 0; i < items.size(); ++i) {
      const auto id = *model::parse_entity_id(items[i].find("assetId")->as_string());
      e->parts().ask->ask(id, asset_order(*e, asset::read_asset{}),
                          [self = shared_from_this(), i](const actors::answer& got) {
                            self->take(i, got);
                            if (self->open.fetch_sub(1) == 1)
                              self->end();
                          });
    }
  }

  void take(std::size_t i, const actors::answer& got) {
    if (got) {
      const auto& a = asset_snapshot_in(*got);
      rows[i] = written(show_logical(*e, a.id, *a.what));
    } else if (got.error().code != errc::not_found) {
      const auto hold = std::lock_guard{mutex};
      why = got.error();
    }
  }

  void end() {
    if (why)
      return e->fail(*why);
    auto all = std::vector<model::value>{};
    for (auto& row : rows)
      if (row)
        all.push_back(std::move(*row));
    send_rows(e, format, columns, all);
  }
};

void export_assets(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto csv = f.word("format", {"csv", "ndjson"}).value_or("csv") == "csv";
  const auto l = begin_asset_list(e, "logical");
  l->models = f.texts("modelIds", 100).value_or(std::vector<std::string>{});
  l->text = model::filter::folded(f.text("name", 256).value_or(""));
  for (auto& [k, v] : f.text_map("tags", false))
    l->tags[k] = *v;
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  l->limit = max_file_rows + 1;
  l->done = [e, csv](const model::array& items, const std::string&) {
    if (items.size() > max_file_rows)
      return e->fail({errc::too_large, "too_many_rows",
                      "more than " + std::to_string(max_file_rows) +
                          " assets: narrow by modelIds, name or tags"});
    const auto all = std::make_shared<asset_export>();
    all->e = e;
    all->format = csv ? row_format::csv : row_format::ndjson;
    all->start(items);
  };
  l->next();
}

// ---- import -------------------------------------------------------------------------------------

/// A row that can be done, as far as the row itself tells.
struct wanted_change {
  std::optional<model::entity_id> id;  // of one that is there
  asset::order order;
};

model::result<wanted_change> read_row(const exchange& e, const row_import& how,
                                      const model::value& row) {
  auto f = fields{row};
  auto w = wanted_change{};
  if (const auto text = f.text("assetId", 64)) {
    w.id = model::parse_entity_id(*text);
    if (!w.id || w.id->shard >= e.parts().shard_count)
      f.note("assetId", "type_mismatch", "expected an assetId");
    else if (!how.updates)
      f.note("assetId", "not_allowed", "an asset that is made gets its assetId from the server");
  } else if (!how.creates) {
    f.missing("assetId");
  }
  if (!w.id) {
    w.order = read_new_asset(e, f);
  } else {
    auto u = asset::update_asset{};
    u.name = f.text("name", 256);
    u.description = f.text("description", 2'000);
    u.timezone = f.text("timezone", 64);
    (void)f.any("modelId");  // it is looked at where the asset is known
    u.attributes = f.object("attributes").value_or(model::object{});
    u.tags = f.text_map("tags", true);
    w.order = std::move(u);
  }
  if (auto ok = f.finish(); !ok)
    return ok.error();
  return w;
}

/// The rows of a file, all at once: they know nothing of each other.
class asset_import : public std::enable_shared_from_this<asset_import> {
 public:
  asset_import(exchange_ptr e, row_import how, std::vector<file_row> rows)
      : e_{std::move(e)}, how_{how}, rows_{std::move(rows)}, results_{rows_.size()} {}

  void start() {
    auto wanted = std::vector<model::result<wanted_change>>{};
    auto seen = std::set<model::entity_id>{};
    for (const auto& row : rows_) {
      wanted.push_back(row ? read_row(*e_, how_, *row) : row.error());
      if (auto& w = wanted.back(); w && w->id && !seen.insert(*w->id).second)
        w = failure{errc::invalid_argument, "validation_failed",
                    "assetId: " + to_string(*w->id) + " stands in a row before"};
    }
    read_assets(e_, std::vector(seen.begin(), seen.end()),
                [self = shared_from_this(), wanted](const asset_map& found) {
                  self->change_all(wanted, found);
                });
  }

 private:
  void change_all(const std::vector<model::result<wanted_change>>& wanted, const asset_map& found) {
    open_ = rows_.size() + 1;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const auto& w = wanted[i];
      if (!w) {
        settle(i, w.error());
      } else if (!w->id) {
        create(i, *w);
      } else if (const auto there = found.find(*w->id); there == found.end()) {
        settle(i, unknown_asset());
      } else if (there->second.device) {
        settle(i, is_device(there->second));
      } else {
        update(i, *w);
      }
    }
    close();
  }

  void settle(std::size_t i, const failure& why) {
    const auto* id = rows_[i] ? rows_[i]->find("assetId") : nullptr;
    {
      const auto hold = std::lock_guard{mutex_};
      results_.fail(i, id && id->is_string() ? id->as_string() : "", why, e_->request_id());
    }
    close();
  }
  void settle(std::size_t i, std::string_view what, const std::string& id) {
    {
      const auto hold = std::lock_guard{mutex_};
      if (!how_.dry_run)
        e_->facts.ids.push_back(id);
      results_.done(i, what, id);
    }
    close();
  }
  void close() {
    if (open_.fetch_sub(1) == 1)
      e_->reply(200, results_.take(how_.dry_run));
  }

  void create(std::size_t i, wanted_change w) {
    if (!how_.dry_run)
      return order(i, fresh_asset_id(*e_), std::move(w.order), "created");
    const auto& of = std::get<asset::create_asset>(w.order).model_id;
    if (const auto why = refusal({}, w.order, of))
      return settle(i, *why);
    settle(i, "created", "");
  }

  /// It is looked at first: a file tells its model too, which stays what it is.
  void update(std::size_t i, wanted_change w) {
    e_->parts().ask->ask(
        *w.id, asset_order(*e_, asset::read_asset{}),
        [self = shared_from_this(), i, w = std::move(w)](const actors::answer& got) {
          const auto* reply = got ? std::get_if<asset::reply>(&got->answer) : nullptr;
          const auto* found = reply ? std::get_if<asset::asset_snapshot>(reply) : nullptr;
          if (!found)
            return self->settle(
                i, got || got.error().code == errc::not_found ? unknown_asset() : got.error());
          const auto& s = *found->what;
          if (const auto* of = self->rows_[i]->find("modelId");
              of && !(of->is_string() && of->as_string() == s.model_id))
            return self->settle(i, failure{errc::invalid_argument,
                                           "validation_failed",
                                           "modelId: it stays what the asset was made with",
                                           {{"modelId", "not_allowed", "it cannot be changed"}}});
          if (!self->how_.dry_run)
            return self->order(i, *w.id, w.order, "updated");
          if (const auto why = self->refusal(s, w.order, s.model_id))
            return self->settle(i, *why);
          self->settle(i, "updated", to_string(*w.id));
        });
  }

  /// Why the asset would not take the order.
  std::optional<failure> refusal(const asset::state& s, const asset::order& what,
                                 const std::string& model_id) const {
    const auto known = e_->parts().known->current();
    auto around = asset::surroundings{.self = {}, .now = e_->parts().now()};
    const auto of = known->visible_blueprint(e_->who.organisation, model_id);
    if (of && !of->state->revisions.empty())
      if (const auto compiled = of->compiled.find(of->state->revisions.back().number);
          compiled != of->compiled.end())
        around.model = compiled->second.get();
    const auto decided = asset::decide(s, {what, e_->who.actor, {}, e_->who.organisation}, around);
    return decided ? std::nullopt : std::optional{decided.error()};
  }

  void order(std::size_t i, const model::entity_id& id, asset::order what, const char* outcome) {
    e_->parts().ask->ask(id, asset_order(*e_, std::move(what)),
                         [self = shared_from_this(), i, id, outcome](const actors::answer& got) {
                           if (got)
                             self->settle(i, outcome, to_string(id));
                           else
                             self->settle(i, got.error());
                         });
  }

  exchange_ptr e_;
  row_import how_;
  std::vector<file_row> rows_;
  std::mutex mutex_;  // of the results and the request's facts
  row_results results_;
  std::atomic<std::size_t> open_{0};
};

void import_assets(const exchange_ptr& e) {
  const auto how = read_row_import(*e);
  if (!how)
    return e->fail(how.error());
  auto rows = read_rows(how->format, e->request().body, columns);
  if (!rows)
    return e->fail(rows.error());
  std::make_shared<asset_import>(e, *how, std::move(*rows))->start();
}

}  // namespace

std::vector<route> asset_file_routes() {
  return {
      {"POST", "~/assets:export", "asset:read", export_assets, "exportAssets",
       "Write up to 1,000 logical assets into a file, CSV or NDJSON", "AssetExport", "ExportedRows",
       200, ""},
      {"POST", "~/assets:import", "asset:write", import_assets, "importAssets",
       "Make or change the logical assets of a file (text/csv with titles, or "
       "application/x-ndjson) of up to 1,000 rows; `mode` is create, update or upsert",
       "ImportedRows", "RowResults", 200, "mode dryRun"},
  };
}

}  // namespace orrery::transport::api
