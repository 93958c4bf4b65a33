#include <algorithm>
#include <set>

#include "model/product/product.hpp"

namespace orrery::model::product {
namespace {

result<decision> refused(errc code, std::string_view reason, std::string detail) {
  return failure{code, reason, std::move(detail)};
}

/// The events and, as the answer, the state they lead to.
decision then(const state& s, event e, const surroundings& around) {
  auto after = std::make_shared<state>(s);
  product::apply(*after, e);
  auto d = decision{{}, product_snapshot{around.self, std::move(after)}};
  d.events.push_back(std::move(e));
  return d;
}

result<decision> decide_on(const state& s, const create_product& c, const surroundings& around) {
  if (s.exists)
    return refused(errc::already_exists, "product_exists", "product " + c.product_key + " exists");
  if (!is_valid_key(c.product_key, 1, 20))
    return refused(errc::invalid_argument, "product_key_invalid",
                   "a product key is 1 to 20 characters of A-Z a-z 0-9 . _ -");
  if (c.name.empty() || c.name.size() > 256)
    return refused(errc::invalid_argument, "name_invalid",
                   "a product's name is 1 to 64 characters");
  if (c.sign_methods == 0 || c.sign_methods > 7)
    return refused(errc::invalid_argument, "sign_methods_invalid",
                   "a product allows at least one of sha256, sha1, md5");
  if (auto ok = check_topic_rules(c.topics); !ok)
    return ok.error();
  return then(s, created{c, around.now}, around);
}

result<decision> decide_on(const state& s, const update_product& u, const surroundings& around) {
  if (u.name && (u.name->empty() || u.name->size() > 256))
    return refused(errc::invalid_argument, "name_invalid",
                   "a product's name is 1 to 64 characters");
  if (u.sign_methods && (*u.sign_methods == 0 || *u.sign_methods > 7))
    return refused(errc::invalid_argument, "sign_methods_invalid",
                   "a product allows at least one of sha256, sha1, md5");
  if (u.topics)
    if (auto ok = check_topic_rules(*u.topics); !ok)
      return ok.error();
  return then(s, updated{u, around.now}, around);
}

result<decision> decide_on(const state& s, const remove_product&, const surroundings& around) {
  if (around.devices > 0)
    return refused(errc::conflict, "product_has_devices",
                   "product " + s.product_key + " still has devices");
  return then(s, removed{around.now}, around);
}

result<decision> decide_on(const state& s, const reset_product_secret& r,
                           const surroundings& around) {
  return then(s, secret_set{r.secret, around.now}, around);
}

result<decision> decide_on(const state& s, const read_product&, const surroundings& around) {
  return decision{{}, product_snapshot{around.self, std::make_shared<const state>(s)}};
}

result<decision> decide_on(const state& s, const set_script& o, const surroundings& around) {
  if (s.format != data_format::raw)
    return refused(errc::conflict, "format_not_raw",
                   "product " + s.product_key + " has devices that speak JSON: it needs no script");
  if (o.text.empty())
    return refused(errc::invalid_argument, "script_error", "the script is empty");
  if (o.text.size() > max_script_bytes)
    return refused(errc::too_large, "script_too_large",
                   "a script has at most " + std::to_string(max_script_bytes) + " bytes");
  return then(s, script_set{o.text, around.now}, around);
}

result<decision> decide_on(const state& s, const remove_script&, const surroundings& around) {
  if (s.script->empty())
    return refused(errc::not_found, "script_unknown",
                   "product " + s.product_key + " has no script");
  return then(s, script_removed{around.now}, around);
}

result<decision> decide_on(const state& s, const add_firmware& a, const surroundings& around) {
  constexpr std::size_t max_name = 256, max_description = 2000;
  if (auto good = check(a.what.image); !good)
    return good.error();
  if (a.what.name.empty() || a.what.name.size() > max_name ||
      a.what.description.size() > max_description)
    return refused(errc::invalid_argument, "name_invalid",
                   "a firmware's name is 1 to 64 characters, its description at most 500");
  if (s.firmwares->size() >= max_firmwares)
    return refused(errc::conflict, "quota_exceeded",
                   "a product has at most " + std::to_string(max_firmwares) + " firmwares");
  for (const auto& f : *s.firmwares) {
    if (f.image.id == a.what.image.id)
      return refused(errc::already_exists, "key_exists", "firmware " + f.image.id + " exists");
    if (f.image.version == a.what.image.version)
      return refused(errc::already_exists, "version_exists",
                     "product " + s.product_key + " has a firmware of version " + f.image.version);
    if (f.name == a.what.name)
      return refused(errc::already_exists, "name_exists",
                     "product " + s.product_key + " has a firmware of the name " + f.name);
  }
  auto what = a.what;
  what.created_at = around.now;
  return then(s, firmware_added{std::move(what)}, around);
}

result<decision> decide_on(const state& s, const remove_firmware& r, const surroundings&) {
  if (!s.find_firmware(r.id))
    return refused(errc::not_found, "firmware_unknown", "no firmware " + r.id);
  return decision{{firmware_removed{r.id}}, done{}};
}

result<decision> decide_on(const state& s, const add_job& a, const surroundings& around) {
  const auto* of = s.find_firmware(a.firmware);
  if (!of)
    return refused(errc::not_found, "firmware_unknown", "no firmware " + a.firmware);
  if (a.what.id.empty() || s.find_job(a.what.id))
    return refused(errc::already_exists, "key_exists", "job " + a.what.id + " exists");
  auto keys = std::set<std::string_view>{};
  for (const auto& target : a.what.targets)
    if (!is_valid_key(target.device_key) || !keys.insert(target.device_key).second)
      return refused(errc::invalid_argument, "device_key_invalid",
                     target.device_key + " is no device key, or is there twice");
  if (keys.empty() || keys.size() > max_job_devices)
    return refused(errc::invalid_argument, "array_size", "a job is for 1 to 1000 devices");
  auto what = a.what;
  what.image = of->image;
  what.firmware_name = of->name;
  what.created_at = around.now;
  what.cancelled_at = {};
  return decision{{job_added{std::move(what)}}, done{}};
}

result<decision> decide_on(const state& s, const note_offers& n, const surroundings&) {
  if (!s.find_job(n.job))
    return refused(errc::not_found, "job_unknown", "no job " + n.job);
  if (n.verdicts.empty())
    return decision{};
  return decision{{offers_noted{n.job, n.verdicts}}, done{}};
}

result<decision> decide_on(const state& s, const cancel_job& c, const surroundings& around) {
  const auto* job = s.find_job(c.job);
  if (!job)
    return refused(errc::not_found, "job_unknown", "no job " + c.job);
  if (job->cancelled_at != timestamp{})
    return decision{};
  return decision{{job_cancelled{c.job, around.now}}, done{}};
}

void apply_on(state& s, const created& e) {
  s.exists = true;
  s.deleted = false;
  s.product_key = e.as.product_key;
  s.organisation = e.as.organisation;
  s.name = e.as.name;
  s.description = e.as.description;
  s.model = e.as.model;
  s.pinned_revision = e.as.pinned_revision;
  s.node = e.as.node;
  s.access = e.as.access;
  s.format = e.as.format;
  s.auth = e.as.auth;
  s.dynamic_activation = e.as.dynamic_activation;
  s.sign_methods = e.as.sign_methods;
  s.mode = e.as.mode;
  s.tags = e.as.tags;
  s.secret = e.as.secret;
  s.script = {};
  s.firmwares = {};
  s.jobs = {};
  s.topics = e.as.topics;
  s.created_at = s.updated_at = e.at;
}

void apply_on(state& s, const updated& e) {
  const auto set = [](auto& member, const auto& wanted) {
    if (wanted)
      member = *wanted;
  };
  set(s.name, e.changes.name);
  set(s.description, e.changes.description);
  set(s.pinned_revision, e.changes.pinned_revision);
  set(s.access, e.changes.access);
  set(s.auth, e.changes.auth);
  set(s.dynamic_activation, e.changes.dynamic_activation);
  set(s.sign_methods, e.changes.sign_methods);
  set(s.mode, e.changes.mode);
  set(s.topics, e.changes.topics);
  for (const auto& [key, v] : e.changes.tags)
    if (v)
      s.tags[key] = *v;
    else
      s.tags.erase(key);
  s.updated_at = e.at;
}

void apply_on(state& s, const removed&) {
  s.exists = false;
  s.deleted = true;
}

void apply_on(state& s, const secret_set& e) {
  s.secret = e.secret;
  s.updated_at = e.at;
}

void apply_on(state& s, const script_set& e) {
  s.script = e.text;
  s.updated_at = e.at;
}

void apply_on(state& s, const script_removed& e) {
  s.script = {};
  s.updated_at = e.at;
}

void apply_on(state& s, const firmware_added& e) {
  s.firmwares.edit().push_back(e.what);
}

void apply_on(state& s, const firmware_removed& e) {
  s.firmwares.change(
      [&](auto& all) { std::erase_if(all, [&](const auto& f) { return f.image.id == e.id; }); });
}

void apply_on(state& s, const job_added& e) {
  auto& jobs = s.jobs.edit();
  jobs.push_back(e.what);
  auto kept = std::size_t{0};
  auto first = jobs.end();
  while (first != jobs.begin() && static_cast<std::size_t>(jobs.end() - first) < max_jobs &&
         kept + (first - 1)->targets.size() <= max_kept_targets)
    kept += (--first)->targets.size();
  jobs.erase(jobs.begin(), first);
}

/// Nothing happens if it has gone to make room.
template <class F>
void change_job(state& s, const std::string& id, F f) {
  if (!s.find_job(id))
    return;
  for (auto& job : s.jobs.edit())
    if (job.id == id)
      f(job);
}

void apply_on(state& s, const offers_noted& e) {
  change_job(s, e.job, [&](ota_job& job) {
    for (auto& target : job.targets)
      if (const auto found = e.verdicts.find(target.device_key); found != e.verdicts.end())
        target.verdict = found->second;
  });
}

void apply_on(state& s, const job_cancelled& e) {
  change_job(s, e.job, [&](ota_job& job) { job.cancelled_at = e.at; });
}

}  // namespace

const firmware* state::find_firmware(std::string_view id) const {
  const auto found = std::find_if(firmwares->begin(), firmwares->end(),
                                  [&](const firmware& f) { return f.image.id == id; });
  return found == firmwares->end() ? nullptr : &*found;
}

const ota_job* state::find_job(std::string_view id) const {
  const auto found =
      std::find_if(jobs->begin(), jobs->end(), [&](const ota_job& j) { return j.id == id; });
  return found == jobs->end() ? nullptr : &*found;
}

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  if (!s.exists && !std::holds_alternative<create_product>(c.what))
    return refused(errc::not_found, "product_unknown", "no such product");
  return std::visit([&](const auto& what) { return decide_on(s, what, around); }, c.what);
}

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

std::vector<effect> effects(const state&, const event&) {
  return {};
}

std::optional<timestamp> next_deadline(const state&) {
  return std::nullopt;
}

std::string secret_owner(const std::string& product_key) {
  return "product-secret:" + product_key;
}

}  // namespace orrery::model::product
