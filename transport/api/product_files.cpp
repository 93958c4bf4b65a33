// Files of products: export and import (part of group C of the API). No secret is in them.
#include <algorithm>
#include <set>

#include "model/credentials.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/people.hpp"
#include "transport/api/product_parts.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/row_files.hpp"

namespace orrery::transport::api {
namespace {

namespace product = model::product;
using model::errc;
using model::failure;

constexpr std::size_t max_filter = 64 * 1024;

const auto columns = std::vector<row_column>{{"productKey"},
                                             {"name"},
                                             {"description"},
                                             {"modelId"},
                                             {"modelRevision", cell_form::json},
                                             {"nodeType"},
                                             {"access"},
                                             {"dataFormat"},
                                             {"auth"},
                                             {"dynamicActivation", cell_form::json},
                                             {"signMethods", cell_form::words},
                                             {"validation"},
                                             {"topics", cell_form::json},
                                             {"tags.*"}};

// ---- export -------------------------------------------------------------------------------------

/// What an import takes of a product, as it is shown.
model::value written(const model::value& shown) {
  auto o = model::object{};
  for (const auto& [name, v] : shown.as_object())
    if (!v.is_null() && name != "hasDecoder" && name != "createdAt" && name != "updatedAt")
      o.emplace_back(name, v);
  return o;
}

void export_products(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto csv = f.word("format", {"csv", "ndjson"}).value_or("csv") == "csv";
  const auto filter = f.text("filter", max_filter).value_or("");
  const auto keys = f.texts("productKeys", max_file_rows);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  auto all = products_seen(*e);
  if (keys) {
    const auto wanted = std::set<std::string>{keys->begin(), keys->end()};
    std::erase_if(all, [&](const list_row& row) { return !wanted.contains(row.key); });
    if (all.size() != wanted.size())
      return e->fail({errc::not_found, "product_unknown", "one of productKeys is no product here"});
  }
  auto rows = accepted(filter, product_fields(), all, max_file_rows);
  if (!rows)
    return e->fail(rows.error());
  for (auto& row : *rows)
    row = written(row);
  send_rows(e, csv ? row_format::csv : row_format::ndjson, columns, *rows);
}

// ---- import -------------------------------------------------------------------------------------

using product_ptr = std::shared_ptr<const actors::catalogue_product>;

/// Row by row: each name must be free when its turn comes.
class product_import : public std::enable_shared_from_this<product_import> {
 public:
  product_import(exchange_ptr e, row_import how, std::vector<file_row> rows)
      : e_{std::move(e)}, how_{how}, rows_{std::move(rows)}, results_{rows_.size()} {}

  /// Goes on until one has to be waited for.
  void go_on() {
    while (at_ < rows_.size())
      if (!take(rows_[at_]))
        return;
    e_->reply(200, results_.take(how_.dry_run));
  }

 private:
  /// True: the row is done with.
  bool take(const file_row& row) {
    key_.clear();
    if (!row)
      return fail(row.error());
    if (const auto* key = row->find("productKey"); key && key->is_string())
      key_ = key->as_string();
    if (!key_.empty() && !keys_.insert(key_).second)
      return fail({errc::invalid_argument, "validation_failed",
                   "productKey: " + key_ + " stands in a row before"});
    const auto there = key_.empty() ? nullptr : e_->product(key_);
    if (there && how_.updates)
      return update(there, *row);
    if (!how_.creates)
      return fail({errc::not_found, "product_unknown", "no product " + key_});
    return create(there, *row);
  }

  bool fail(const failure& why) {
    results_.fail(at_++, key_, why, e_->request_id());
    return true;
  }
  bool done(std::string_view what, model::object more = {}) {
    if (!how_.dry_run)
      e_->facts.ids.push_back(key_);
    results_.done(at_++, what, key_, std::move(more));
    return true;
  }

  bool name_is_used(const std::optional<std::string>& name) {
    return name && !names_.insert(*name).second;
  }

  bool create(const product_ptr& there, const model::value& row) {
    auto c = read_new_product(*e_, row);
    if (!c)
      return fail(c.error());
    if (auto ok = check_catalogue_quota(*e_, "products"); !ok)
      return fail(ok.error());
    if (name_is_used(c->name))
      return fail({errc::already_exists, "name_exists", "a row before has the name " + c->name});
    if (how_.dry_run) {
      if (auto why = refusal(there ? *there->state : product::state{}, *c))
        return fail(*why);
      return done("created");
    }
    key_ = c->product_key;
    const auto secret = model::random_text(32);
    c->secret = e_->parts().keys->seal(secret, product::secret_owner(key_));
    ask(std::move(*c), "created", {{"productSecret", secret}});
    return false;
  }

  /// A file has what cannot be changed too: it must be as it is.
  bool update(const product_ptr& there, const model::value& row) {
    const auto shown = show_product(*e_, *there->state);
    auto changes = model::object{};
    for (const auto& [name, v] : row.as_object()) {
      if (name == "productKey")
        continue;
      if (name != "modelId" && name != "nodeType" && name != "dataFormat") {
        changes.emplace_back(name, v);
        continue;
      }
      const auto* now = shown.find(name);
      if (!now || !(*now == v))
        return fail({errc::invalid_argument,
                     "validation_failed",
                     name + ": it stays what it was made with",
                     {{name, "not_allowed", "it stays what it was made with"}}});
    }
    auto u = read_product_change(*e_, key_, model::value{std::move(changes)});
    if (!u)
      return fail(u.error());
    if (name_is_used(u->name))
      return fail({errc::already_exists, "name_exists", "a row before has the name " + *u->name});
    if (how_.dry_run) {
      if (auto why = refusal(*there->state, *u))
        return fail(*why);
      return done("updated");
    }
    ask(std::move(*u), "updated", {});
    return false;
  }

  /// Why the product would not take the order.
  std::optional<failure> refusal(const product::state& s, product::order what) const {
    const auto decided =
        product::decide(s, {std::move(what), e_->who.actor, {}}, {{}, e_->parts().now(), 0});
    return decided ? std::nullopt : std::optional{decided.error()};
  }

  void ask(product::order what, const char* outcome, model::object more) {
    e_->parts().ask->ask(
        actors::catalogue_id(model::entity_kind::product, key_),
        product::command{std::move(what), e_->who.actor, {}},
        [self = shared_from_this(), outcome, more = std::move(more)](const actors::answer& got) {
          if (got)
            self->done(outcome, more);
          else
            self->fail(got.error());
          self->go_on();
        });
  }

  exchange_ptr e_;
  row_import how_;
  std::vector<file_row> rows_;
  row_results results_;
  std::set<std::string> keys_, names_;  // of rows before
  std::size_t at_ = 0;
  std::string key_;  // of the row whose turn it is
};

void import_products(const exchange_ptr& e) {
  const auto how = read_row_import(*e);
  if (!how)
    return e->fail(how.error());
  auto rows = read_rows(how->format, e->request().body, columns);
  if (!rows)
    return e->fail(rows.error());
  std::make_shared<product_import>(e, *how, std::move(*rows))->go_on();
}

}  // namespace

std::vector<route> product_file_routes() {
  return {
      {"POST", "~/products:export", "product:read", export_products, "exportProducts",
       "Write up to 1,000 products into a file, CSV or NDJSON, without their secrets",
       "ProductExport", "ExportedRows", 200, ""},
      {"POST", "~/products:import", "product:write", import_products, "importProducts",
       "Make or change the products of a file (text/csv with titles, or application/x-ndjson) of "
       "up to 1,000 rows; `mode` is create, update or upsert. New secrets are shown once",
       "ImportedRows", "RowResults", 200, "mode dryRun"},
  };
}

}  // namespace orrery::transport::api
