// Import and export of thing models (group B of the API).
#include <algorithm>
#include <set>

#include "model/blueprint/inheritance.hpp"
#include "model/enos_dialect.hpp"
#include "model/json.hpp"
#include "model/merge_patch.hpp"
#include "model/model_csv.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/model_archive.hpp"
#include "transport/api/model_parts.hpp"

namespace orrery::transport::api {
namespace {

namespace blueprint = model::blueprint;
using model::errc;
using model::failure;

// ---- import -------------------------------------------------------------------------------------

/// An import on its way: one document after the other, for a child needs its parent.
struct import_job {
  std::vector<imported_model> all;
  std::size_t at = 0;
  bool creates = true, updates = true, publishes = false, force = false;
  std::string note, reason;
  model::array results;
  std::int64_t ok = 0, failed = 0;
};
using job_ptr = std::shared_ptr<import_job>;

void next(const exchange_ptr& e, const job_ptr& job);

void settle(const exchange_ptr& e, const job_ptr& job, std::string_view status,
            std::uint64_t revision = 0) {
  const auto& m = job->all[job->at];
  auto o = model::object{{"file", m.file}, {"id", m.id}, {"status", status}};
  if (revision != 0)
    o.emplace_back("revision", static_cast<std::int64_t>(revision));
  job->results.emplace_back(std::move(o));
  ++job->ok;
  ++job->at;
  next(e, job);
}

/// `status`: what was done all the same.
void refuse(const exchange_ptr& e, const job_ptr& job, const failure& why,
            std::string_view status = "failed") {
  const auto& m = job->all[job->at];
  auto errors = model::array{};
  for (const auto& p : why.problems)
    errors.push_back(model::object{{"pointer", p.where}, {"code", p.code}, {"detail", p.detail}});
  auto error = model::object{{"code", why.reason.empty() ? model::name_of(why.code) : why.reason},
                             {"detail", why.detail}};
  if (!errors.empty())
    error.emplace_back("errors", std::move(errors));
  job->results.push_back(model::object{
      {"file", m.file}, {"id", m.id}, {"status", status}, {"error", std::move(error)}});
  ++job->failed;
  ++job->at;
  next(e, job);
}

void order(const exchange_ptr& e, const std::string& id, blueprint::order what,
           std::function<void(actors::answer)> then) {
  const auto entity = actors::catalogue_id(model::entity_kind::blueprint,
                                           blueprint::key_of(e->who.organisation, id));
  e->parts().ask->ask(entity, blueprint::command{std::move(what), e->who.actor, {}},
                      std::move(then));
}

void drafted(const exchange_ptr& e, const job_ptr& job, std::string_view status) {
  if (!job->publishes)
    return settle(e, job, status);
  order(e, job->all[job->at].id, blueprint::publish{job->note, job->force, job->reason},
        [e, job, status](const actors::answer& got) {
          if (got)
            settle(e, job, "published", model_state_in(*got)->revisions.back().number);
          else
            refuse(e, job, got.error(), status);
        });
}

/// What the draft becomes: the document, or what the model has with the elements of it.
model::value draft_of(const imported_model& m, const actors::catalogue_blueprint* known) {
  if (!m.elements_only || !known)
    return *m.document;
  const auto before = blueprint::newest_document(*known->state);
  auto after = before.as_object();
  for (const auto kind : blueprint::element_kinds)
    if (const auto* list = m.document->find(kind);
        list && (before.find(kind) || !list->as_array().empty()))
      model::set_member(after, kind, *list);
  return after;
}

void update(const exchange_ptr& e, const job_ptr& job) {
  const auto& m = job->all[job->at];
  const auto document = draft_of(m, find_model(*e, m.id).get());
  if (const auto known = find_model(*e, m.id);
      known && !known->state->draft &&
      model::says_the_same(blueprint::published_or_draft(*known->state), document))
    return settle(e, job, "unchanged", known->state->revisions.back().number);
  order(e, m.id, blueprint::save_draft{document}, [e, job](const actors::answer& got) {
    if (got)
      drafted(e, job, "updated");
    else
      refuse(e, job, got.error());
  });
}

void next(const exchange_ptr& e, const job_ptr& job) {
  if (job->at == job->all.size())
    return e->reply(
        200, model::object{
                 {"results", std::move(job->results)}, {"ok", job->ok}, {"failed", job->failed}});
  const auto& m = job->all[job->at];
  if (!m.document)
    return refuse(e, job, m.document.error());
  if (!job->creates)
    return update(e, job);
  order(e, m.id, blueprint::create_blueprint{e->who.organisation, m.id, *m.document},
        [e, job](const actors::answer& got) {
          if (got)
            drafted(e, job, "created");
          else if (got.error().reason == "model_exists" && job->updates)
            update(e, job);
          else
            refuse(e, job, got.error());
        });
}

void import_models(const exchange_ptr& e) {
  auto job = std::make_shared<import_job>();
  const auto mode = e->query("mode");
  if (!mode.empty() && mode != "create" && mode != "update" && mode != "upsert")
    return e->fail(
        {errc::invalid_argument, "malformed", "mode: expected create, update or upsert"});
  job->creates = mode != "update";
  job->updates = mode != "create";
  job->publishes = e->query("publish") == "true";
  job->force = e->query("force") == "true";
  job->note = e->query("note");
  job->reason = e->query("reason");
  if (job->publishes && !e->who.may("model:publish"))
    return e->fail({errc::forbidden, "publishing needs the permission model:publish"});
  if (e->request().header("content-type").find("csv") != std::string_view::npos) {
    if (e->request().body.size() > archive_limits{}.max_bytes)
      return e->fail({errc::too_large, "too_large", "an import has at most 2 MiB"});
    job->all.push_back(read_csv("body", e->request().body, e->query("id")));
    return next(e, job);
  }
  auto all = read_models(e->request().body);
  if (!all)
    return e->fail(all.error());
  job->all = std::move(*all);
  next(e, job);
}

// ---- export -------------------------------------------------------------------------------------

/// A model as it is written into a file; null if it is not published.
model::result<model::value> written(const actors::catalogue_blueprint& b, bool as_enos) {
  const auto& s = *b.state;
  const auto own = blueprint::published_or_draft(s);
  if (as_enos) {
    if (s.revisions.empty())
      return failure{errc::conflict, "model_missing",
                     "model " + s.model_id + " has no published revision"};
    const auto inherits = !blueprint::parent_of(own).empty();
    auto made = model::to_enos(b.effective, inherits ? own : model::value{});
    if (!made)
      for (auto& p : made.error().problems)
        p.where = s.model_id + '/' + p.where;
    return made;
  }
  auto document = own.as_object();
  if (!s.revisions.empty())
    model::set_member(document, "revision", static_cast<std::int64_t>(s.revisions.back().number));
  return model::value{std::move(document)};
}

void export_models(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  constexpr auto limits = archive_limits{};
  auto ids = f.texts("ids", limits.max_files);
  const auto format = f.word("format", {"tm", "enos", "csv"}).value_or("tm");
  const auto as = f.word("as", {"json", "zip"}).value_or(format == "csv" ? "zip" : "json");
  if (format == "csv" && as == "json")
    f.note("as", "not_allowed", "CSV is written into a zip");
  const auto with_parents = f.truth("parents").value_or(false);
  if (!ids || ids->empty())
    f.missing("ids");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  auto wanted = std::vector<std::string>{};
  const auto known = e->parts().known->current();
  for (const auto& id : *ids) {
    const auto b = find_model(*e, id);
    if (!b)
      return e->fail({errc::not_found, "model_unknown", "no model " + id});
    auto keys =
        std::vector<std::string>{blueprint::key_of(b->state->organisation, b->state->model_id)};
    if (with_parents)
      keys = known->path_of(keys[0]);
    for (const auto& key : keys)
      if (std::find(wanted.begin(), wanted.end(), key) == wanted.end())
        wanted.push_back(key);
  }
  auto documents = model::array{};
  auto problems = std::vector<model::problem>{};
  for (const auto& key : wanted) {
    const auto b = known->visible_blueprint(e->who.organisation, key);
    if (!b)
      continue;  // a parent that is not shared
    auto document = written(*b, format == "enos");
    if (document)
      documents.push_back(std::move(*document));
    else if (document.error().problems.empty())
      return e->fail(document.error());
    else
      problems.insert(problems.end(), document.error().problems.begin(),
                      document.error().problems.end());
  }
  if (!problems.empty()) {
    auto detail = problems.front().where + ": " + problems.front().detail;
    return e->fail(
        {errc::invalid_argument, "enos_unsupported", std::move(detail), std::move(problems)});
  }
  if (documents.size() > limits.max_files)
    return e->fail({errc::too_large, "too_large",
                    "an export has at most " + std::to_string(limits.max_files) + " models"});
  if (as == "json")
    return e->reply(200, std::move(documents));
  auto files = std::vector<archive_file>{};
  for (const auto& d : documents) {
    const auto& id = d.find(format == "enos" ? "thingModelId" : "id")->as_string();
    if (format != "csv") {
      files.push_back({id + ".json", model::to_json(d)});
      continue;
    }
    auto rows = model::to_csv(d);
    if (!rows)
      return e->fail(rows.error());
    files.push_back({id + ".csv", std::move(*rows)});
  }
  auto zip = pack(files);
  if (!zip)
    return e->fail(zip.error());
  auto r = http_response{};
  r.headers = {{"Content-Disposition", "attachment; filename=\"models.zip\""}};
  r.content_type = "application/zip";
  r.body = std::move(*zip);
  e->send(std::move(r));
}

}  // namespace

std::vector<route> model_file_routes() {
  return {
      {"POST", "~/models:import", "model:write", import_models, "importModels",
       "Read thing models: JSON or a zip of files, tm/1 or as EnOS exports them, or CSV",
       "ModelFiles", "ImportResult", 200, "mode publish force note reason id"},
      {"POST", "~/models:export", "model:read", export_models, "exportModels",
       "Write thing models, as JSON or as a zip", "ModelExport", "ModelDocuments", 200, ""},
  };
}

}  // namespace orrery::transport::api
