// Upgrade jobs: a firmware on its way to many devices (part of group K of the API). The job is kept
// in its product, what became of it in each device: whoever shows a job asks them.
#include <algorithm>
#include <atomic>
#include <charconv>

#include "transport/api/fields.hpp"
#include "transport/api/ota.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace product = model::product;
using model::errc;
using model::failure;
using product::offer_verdict;

// In the order of delivery.
const std::vector<std::string_view> deliveries{"push", "pull", "both"};

/// Copies: the job may go while devices are asked.
struct found_job {
  model::entity_id product;
  std::string product_key;
  product::ota_job what;
};

std::optional<found_job> find(const exchange& e) {
  const auto known = e.parts().known->current();
  for (const auto& [key, p] : known->products)
    if (const auto* job = p->state->find_job(e.param("job"))) {
      if (e.sees(*p->state))
        return found_job{p->id, key, *job};
      e.facts.out_of_reach = true;
    }
  return std::nullopt;
}

failure no_job(const exchange& e) {
  return {errc::not_found, "job_unknown", "no job " + e.param("job")};
}

/// Asks devices of a product, each in its turn; `then` gets the answers in the order of `keys`.
void ask_devices(const exchange_ptr& e, const std::string& product_key,
                 const std::vector<std::string>& keys,
                 const std::function<device::order(std::size_t)>& what,
                 std::function<void(std::vector<actors::answer>)> then) {
  struct round {
    std::vector<actors::answer> answers;
    std::atomic<std::size_t> open;
    std::function<void(std::vector<actors::answer>)> then;
  };
  if (keys.empty())
    return then({});
  const auto r = std::make_shared<round>();
  r->answers.assign(keys.size(), actors::answer{actors::outcome{}});
  r->open = keys.size();
  r->then = std::move(then);
  for (std::size_t i = 0; i < keys.size(); ++i)
    e->parts().ask->ask(model::device_name{product_key, keys[i]}, device_order(*e, what(i)),
                        [r, i](actors::answer got) {
                          r->answers[i] = std::move(got);
                          if (r->open.fetch_sub(1) == 1)
                            r->then(std::move(r->answers));
                        });
}

model::object show(const exchange& e, const std::string& product_key, const product::ota_job& job) {
  auto o = model::object{{"id", job.id},
                         {"productKey", product_key},
                         {"firmware", model::object{{"id", job.image.id},
                                                    {"name", job.firmware_name},
                                                    {"version", job.image.version}}},
                         {"deliver", deliveries[static_cast<std::size_t>(job.deliver)]},
                         {"upgradeTimeout", job.upgrade_timeout.count() / 1000},
                         {"unknownVersion", job.unknown_version ? "include" : "exclude"},
                         {"devices", static_cast<std::int64_t>(job.targets.size())},
                         {"createdAt", e.show(job.created_at)},
                         {"createdBy", job.by}};
  if (job.cancelled_at != model::timestamp{})
    o.emplace_back("cancelledAt", e.show(job.cancelled_at));
  return o;
}

// ---- offers

offer_verdict verdict_of(const actors::answer& got) {
  if (got)
    return offer_verdict::offered;
  const auto& why = got.error();
  return why.reason == "version_current"   ? offer_verdict::version_current
         : why.reason == "version_unknown" ? offer_verdict::version_unknown
         : why.reason == "device_mirror"   ? offer_verdict::version_unknown  // it runs none
         : why.reason == "upgrade_running" ? offer_verdict::upgrade_running
         : why.code == errc::not_found     ? offer_verdict::device_unknown
                                           : offer_verdict::none;
}

/// In the order of offer_verdict; the reasons of those that were skipped.
constexpr std::string_view verdicts[] = {
    "", "", "version_current", "version_unknown", "upgrade_running", "device_unknown"};

bool is_skipped(offer_verdict v) {
  return v > offer_verdict::offered;
}

device::order offer_of(const product::ota_job& job) {
  return device::offer_upgrade{job.id, job.image, job.deliver, job.upgrade_timeout,
                               job.unknown_version};
}

void reply_created(const exchange_ptr& e, const found_job& job,
                   const std::vector<offer_verdict>& said) {
  auto results = model::array{};
  auto offered = std::int64_t{0}, skipped = std::int64_t{0}, unreached = std::int64_t{0};
  for (std::size_t i = 0; i < said.size(); ++i) {
    auto o = model::object{};
    o.emplace_back("deviceKey", job.what.targets[i].device_key);
    if (said[i] == offer_verdict::offered) {
      o.emplace_back("result", "offered");
      ++offered;
    } else if (is_skipped(said[i])) {
      o.emplace_back("result", "skipped");
      o.emplace_back("reason", verdicts[static_cast<std::size_t>(said[i])]);
      ++skipped;
    } else {
      o.emplace_back("result", "unreached");
      ++unreached;
    }
    results.emplace_back(std::move(o));
  }
  auto shown = show(*e, job.product_key, job.what);
  shown.emplace_back("offered", offered);
  shown.emplace_back("skipped", skipped);
  shown.emplace_back("unreached", unreached);
  shown.emplace_back("results", std::move(results));
  e->reply(201, std::move(shown));
}

void offer_to_all(const exchange_ptr& e, found_job job) {
  auto keys = std::vector<std::string>{};
  for (const auto& target : job.what.targets)
    keys.push_back(target.device_key);
  const auto product_key = job.product_key;
  const auto order = offer_of(job.what);
  ask_devices(
      e, product_key, keys, [&](std::size_t) { return order; },
      [e, job = std::move(job)](const std::vector<actors::answer>& got) {
        auto said = std::vector<offer_verdict>{};
        auto noted = product::note_offers{job.what.id, {}};
        for (std::size_t i = 0; i < got.size(); ++i) {
          said.push_back(verdict_of(got[i]));
          noted.verdicts[job.what.targets[i].device_key] = said.back();
        }
        e->ask(job.product, product::command{std::move(noted), e->who.actor, {}},
               [e, job, said](const actors::outcome&) { reply_created(e, job, said); });
      });
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto job = found_job{};
  job.product_key = f.text("productKey", 20).value_or("");
  const auto firmware = f.text("firmware", 64).value_or("");
  const auto keys = f.texts("devices", product::max_job_devices);
  const auto deliver = f.word("deliver", deliveries).value_or("push");
  job.what.upgrade_timeout =
      std::chrono::seconds{f.integer("upgradeTimeout", 300, 172'800).value_or(7'200)};
  job.what.unknown_version =
      f.word("unknownVersion", {"include", "exclude"}).value_or("exclude") == "include";
  for (const auto* needed : {"productKey", "firmware", "devices"})
    if (!f.has(needed))
      f.missing(needed);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto p = e->product(job.product_key);
  if (!p)
    return e->fail({errc::not_found, "product_unknown", "no product " + job.product_key});
  const auto* of = p->state->find_firmware(firmware);
  if (!of)
    return e->fail({errc::not_found, "firmware_unknown", "no firmware " + firmware});
  job.product = p->id;
  job.what.id = model::random_text(16);
  job.what.deliver = static_cast<model::delivery>(
      std::find(deliveries.begin(), deliveries.end(), deliver) - deliveries.begin());
  job.what.image = of->image;
  job.what.firmware_name = of->name;
  job.what.by = e->who.actor;
  job.what.created_at = e->parts().now();
  for (const auto& key : *keys)
    job.what.targets.push_back({key});
  auto order = product::add_job{firmware, job.what};
  e->ask(p->id, product::command{std::move(order), e->who.actor, {}},
         [e, job = std::move(job)](const actors::outcome&) { offer_to_all(e, job); });
}

// ---- what became of it

struct task_view {
  std::string state, reason;
  const device::upgrade_task* task = nullptr;  // of the answer
};

/// `got`: what a device that was not skipped says of its firmware.
task_view view_of(const product::ota_job& job, const product::job_target& target,
                  const actors::answer* got) {
  if (!got)
    return {"skipped", std::string{verdicts[static_cast<std::size_t>(target.verdict)]}, nullptr};
  if (!*got)
    return {got->error().code == errc::not_found ? "deleted" : "unknown", {}, nullptr};
  const auto* said = device_reply<device::firmware_status>(**got);
  if (said && said->what.task && said->what.task->job == job.id)
    return {std::string{upgrade_states[static_cast<std::size_t>(said->what.task->state)]},
            {},
            &*said->what.task};
  return {target.verdict == offer_verdict::offered ? "replaced" : "unreached", {}, nullptr};
}

/// Asks about targets from `first` on, at most `most`; `then` gets a view of each.
void look_at(const exchange_ptr& e, const std::shared_ptr<const found_job>& job, std::size_t first,
             std::size_t most,
             std::function<void(const product::job_target&, const task_view&)> each,
             std::function<void()> then) {
  const auto& targets = job->what.targets;
  const auto end = std::min(targets.size(), first + most);
  auto keys = std::vector<std::string>{};
  for (auto i = first; i < end; ++i)
    if (!is_skipped(targets[i].verdict))
      keys.push_back(targets[i].device_key);
  ask_devices(
      e, job->product_key, keys, [](std::size_t) { return device::order{device::read_firmware{}}; },
      [job, first, end, each = std::move(each),
       then = std::move(then)](const std::vector<actors::answer>& got) {
        auto next = got.begin();
        for (auto i = first; i < end; ++i) {
          const auto& target = job->what.targets[i];
          const auto* said = is_skipped(target.verdict) ? nullptr : &*next++;
          each(target, view_of(job->what, target, said));
        }
        then();
      });
}

void get(const exchange_ptr& e) {
  auto found = find(*e);
  if (!found)
    return e->fail(no_job(*e));
  const auto job = std::make_shared<const found_job>(std::move(*found));
  const auto counts = std::make_shared<std::map<std::string, std::int64_t>>();
  look_at(
      e, job, 0, job->what.targets.size(),
      [counts](const auto&, const task_view& seen) { ++(*counts)[seen.state]; },
      [e, job, counts] {
        constexpr std::string_view open[] = {"pending", "published", "upgrading", "unreached",
                                             "unknown"};
        const auto goes_on = std::any_of(std::begin(open), std::end(open), [&](auto state) {
          return counts->contains(std::string{state});
        });
        auto shown = show(*e, job->product_key, job->what);
        shown.emplace_back("state", job->what.cancelled_at != model::timestamp{} ? "cancelled"
                                    : goes_on                                    ? "running"
                                                                                 : "completed");
        auto by_state = model::object{};
        for (const auto& [state, n] : *counts)
          by_state.emplace_back(state, n);
        shown.emplace_back("counts", std::move(by_state));
        e->reply_one(std::move(shown));
      });
}

void tasks(const exchange_ptr& e) {
  const auto limit = e->limit();
  const auto after = e->cursor();
  for (const auto* why : {limit ? nullptr : &limit.error(), after ? nullptr : &after.error()})
    if (why)
      return e->fail(*why);
  auto found = find(*e);
  if (!found)
    return e->fail(no_job(*e));
  // The cursor is the number of the next target; a cursor that we did not make is refused before.
  auto first = std::size_t{0};
  std::from_chars(after->data(), after->data() + after->size(), first);
  const auto job = std::make_shared<const found_job>(std::move(*found));
  first = std::min(first, job->what.targets.size());
  const auto items = std::make_shared<model::array>();
  look_at(
      e, job, first, *limit,
      [e, items](const product::job_target& target, const task_view& seen) {
        auto o = model::object{};
        o.emplace_back("deviceKey", target.device_key);
        if (seen.task) {
          auto task = show_upgrade(*e, *seen.task);
          std::move(task.begin(), task.end(), std::back_inserter(o));
        } else {
          o.emplace_back("state", seen.state);
        }
        if (!seen.reason.empty())
          o.emplace_back("reason", seen.reason);
        items->emplace_back(std::move(o));
      },
      [e, job, items, next = first + *limit] {
        e->reply_page(std::move(*items),
                      next < job->what.targets.size() ? std::to_string(next) : "");
      });
}

void list(const exchange_ptr& e) {
  const auto limit = e->limit();
  const auto after = e->cursor();
  for (const auto* why : {limit ? nullptr : &limit.error(), after ? nullptr : &after.error()})
    if (why)
      return e->fail(*why);
  const auto wanted = e->query("productKey");
  const auto known = e->parts().known->current();
  auto all = std::vector<std::pair<std::string, const product::ota_job*>>{};
  for (const auto& [key, p] : known->products)
    if (e->sees(*p->state) && (wanted.empty() || wanted == key))
      for (const auto& job : *p->state->jobs)
        if (auto at = key + '/' + job.id; at > *after)
          all.emplace_back(std::move(at), &job);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const auto more = all.size() > *limit;
  if (more)
    all.resize(*limit);
  auto items = model::array{};
  for (const auto& [at, job] : all)
    items.emplace_back(show(*e, at.substr(0, at.find('/')), *job));
  e->reply_page(std::move(items), more ? all.back().first : "");
}

// ---- cancel, retry

/// Nobody named the device, and its task is none that the call concerns: that is no failure.
bool is_other(const actors::answer& got) {
  constexpr std::string_view reasons[] = {"task_unknown", "task_not_failed",
                                          "task_not_cancellable"};
  return !got &&
         std::find(std::begin(reasons), std::end(reasons), got.error().reason) != std::end(reasons);
}

void reply_results(const exchange_ptr& e, const std::vector<std::string>& keys,
                   const std::vector<actors::answer>& got, bool all) {
  auto results = model::array{};
  auto ok = std::int64_t{0}, failed = std::int64_t{0};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (all && is_other(got[i]))
      continue;
    auto o = model::object{};
    o.emplace_back("deviceKey", keys[i]);
    o.emplace_back("status", got[i] ? 200 : status_of(got[i].error()));
    if (!got[i])
      o.emplace_back("error", problem_object(got[i].error(), "", e->request_id()));
    ++(got[i] ? ok : failed);
    results.emplace_back(std::move(o));
  }
  e->reply(200, model::object{{"results", std::move(results)}, {"ok", ok}, {"failed", failed}});
}

/// The devices that did not refuse the job.
std::vector<std::string> asked_devices(const product::ota_job& job) {
  auto keys = std::vector<std::string>{};
  for (const auto& target : job.targets)
    if (!is_skipped(target.verdict))
      keys.push_back(target.device_key);
  return keys;
}

/// The devices that the body names, or those above. Fails: what the caller must be told.
model::result<std::vector<std::string>> selected(const exchange& e, const product::ota_job& job,
                                                 bool& all) {
  const auto body = e.body();
  if (!body)
    return body.error();
  auto f = fields{*body};
  auto named = f.texts("devices", product::max_job_devices);
  if (auto ok = f.finish(); !ok)
    return ok.error();
  all = !named;
  if (!named)
    return asked_devices(job);
  for (const auto& key : *named)
    if (std::none_of(job.targets.begin(), job.targets.end(),
                     [&](const auto& target) { return target.device_key == key; }))
      return failure{errc::not_found, "task_unknown", "the job is not for device " + key};
  return std::move(*named);
}

bool is_unasked(const product::ota_job& job, const std::string& key) {
  return std::any_of(job.targets.begin(), job.targets.end(), [&](const auto& target) {
    return target.device_key == key && target.verdict == offer_verdict::none;
  });
}

void cancel(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  if (auto ok = fields{*body}.finish(); !ok)
    return e->fail(ok.error());
  auto found = find(*e);
  if (!found)
    return e->fail(no_job(*e));
  const auto product_id = found->product;
  auto order = product::cancel_job{found->what.id};
  e->ask(product_id, product::command{std::move(order), e->who.actor, {}},
         [e, job = std::move(*found)](const actors::outcome&) {
           const auto keys = asked_devices(job.what);
           ask_devices(
               e, job.product_key, keys,
               [&](std::size_t) { return device::order{device::cancel_upgrade{job.what.id}}; },
               [e, keys](const std::vector<actors::answer>& got) {
                 reply_results(e, keys, got, true);
               });
         });
}

/// Cancels or retries some tasks of a job that runs.
void change_tasks(const exchange_ptr& e, bool retries) {
  const auto job = find(*e);
  if (!job)
    return e->fail(no_job(*e));
  if (job->what.cancelled_at != model::timestamp{})
    return e->fail({errc::conflict, "job_not_running", "job " + job->what.id + " was cancelled"});
  auto all = false;
  const auto keys = selected(*e, job->what, all);
  if (!keys)
    return e->fail(keys.error());
  const auto order = [&](std::size_t i) -> device::order {
    if (!retries)
      return device::cancel_upgrade{job->what.id};
    if (is_unasked(job->what, (*keys)[i]))
      return offer_of(job->what);
    return device::retry_upgrade{job->what.id};
  };
  ask_devices(
      e, job->product_key, *keys, order,
      [e, job = *job, keys = *keys, all](const std::vector<actors::answer>& got) {
        auto noted = product::note_offers{job.what.id, {}};
        for (std::size_t i = 0; i < keys.size(); ++i)
          if (is_unasked(job.what, keys[i]) && got[i])
            noted.verdicts[keys[i]] = offer_verdict::offered;
        if (noted.verdicts.empty())
          return reply_results(e, keys, got, all);
        e->ask(job.product, product::command{std::move(noted), e->who.actor, {}},
               [e, keys, got, all](const actors::outcome&) { reply_results(e, keys, got, all); });
      });
}
void cancel_tasks(const exchange_ptr& e) {
  change_tasks(e, false);
}
void retry_tasks(const exchange_ptr& e) {
  change_tasks(e, true);
}

}  // namespace

std::vector<route> ota_job_routes() {
  return {
      {"GET", "~/otaJobs", "ota:read", list, "listOtaJobs", "Upgrade jobs", "", "OtaJobList", 200,
       "limit cursor productKey"},
      {"POST", "~/otaJobs", "ota:write", create, "createOtaJob",
       "Bring a firmware to up to 1,000 devices of its product", "NewOtaJob", "CreatedOtaJob", 201,
       ""},
      {"GET", "~/otaJobs/{job}", "ota:read", get, "getOtaJob",
       "An upgrade job, with its devices counted by state", "", "OtaJobStatus", 200, ""},
      {"POST", "~/otaJobs/{job}:cancel", "ota:write", cancel, "cancelOtaJob",
       "End a job; devices that have begun go on", "", "OtaResult", 200, ""},
      {"GET", "~/otaJobs/{job}/tasks", "ota:read", tasks, "listOtaTasks",
       "What became of a job on each device", "", "OtaTaskList", 200, "limit cursor"},
      {"POST", "~/otaJobs/{job}/tasks:cancel", "ota:write", cancel_tasks, "cancelOtaTasks",
       "Call off tasks that have not begun: of the devices given, or of all", "OtaSelection",
       "OtaResult", 200, ""},
      {"POST", "~/otaJobs/{job}/tasks:retry", "ota:write", retry_tasks, "retryOtaTasks",
       "Try tasks again that failed: of the devices given, or of all", "OtaSelection", "OtaResult",
       200, ""},
  };
}

}  // namespace orrery::transport::api
