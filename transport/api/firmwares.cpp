// Firmwares of products, and which one a device has (part of group K of the API).
#include <algorithm>

#include "transport/api/fields.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/ota.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace filter = model::filter;
namespace product = model::product;
using model::errc;
using model::failure;

// In the order of digest_method.
const std::vector<std::string_view> methods{"md5", "sha256"};

failure no_firmware(const std::string& id) {
  return {errc::not_found, "firmware_unknown", "no firmware " + id};
}

model::object show(const exchange& e, const std::string& product_key, const product::firmware& f) {
  return {{"id", f.image.id},
          {"productKey", product_key},
          {"name", f.name},
          {"version", f.image.version},
          {"signMethod", model::name_of(f.image.method)},
          {"sign", f.image.sign},
          {"url", f.image.url},
          {"size", f.image.size},
          {"description", f.description},
          {"createdAt", e.show(f.created_at)},
          {"createdBy", f.by}};
}

struct place {
  std::shared_ptr<const actors::catalogue_product> of;
  const product::firmware* what = nullptr;  // of that
};

place find(const exchange& e) {
  const auto known = e.parts().known->current();
  for (const auto& [key, p] : known->products)
    if (const auto* found = p->state->find_firmware(e.param("firmware"))) {
      if (e.sees(*p->state))
        return {p, found};
      e.facts.out_of_reach = true;
    }
  return {};
}

const auto fields_of_firmwares = filter::schema{
    {{.name = "id", .sortable = true},
     {.name = "productKey", .sortable = true},
     {.name = "name", .sortable = true},
     {.name = "version", .sortable = true},
     {.name = "signMethod", .type = filter::field_type::word, .words = {"md5", "sha256"}},
     {.name = "size", .type = filter::field_type::number, .sortable = true},
     {.name = "url"},
     {.name = "description"},
     {.name = "createdAt", .type = filter::field_type::time, .sortable = true},
     {.name = "createdBy"}}};

void list(const exchange_ptr& e) {
  const auto wanted = e->query("productKey");
  auto all = std::vector<list_row>{};  // by product and id
  const auto known = e->parts().known->current();
  for (const auto& [key, p] : known->products)
    if (e->sees(*p->state) && (wanted.empty() || wanted == key))
      for (const auto& f : *p->state->firmwares)
        all.push_back({key + '/' + f.image.id,
                       [&e, p = p, &f] { return show(*e, p->state->product_key, f); }});
  reply_list(e, fields_of_firmwares, std::move(all));
}

/// The same, with the question in the body.
void search(const exchange_ptr& e) {
  if (auto ok = e->read_question({"productKey"}); !ok)
    return e->fail(ok.error());
  list(e);
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto what = product::firmware{};
  const auto product_key = f.text("productKey", 20).value_or("");
  what.image.id = model::random_text(16);
  what.image.version = f.text("version", 256).value_or("");
  what.image.method = f.word("signMethod", methods).value_or("sha256") == "md5"
                          ? model::digest_method::md5
                          : model::digest_method::sha256;
  what.image.sign = f.text("sign", 256).value_or("");
  what.image.url = f.text("url", 2 * model::max_firmware_url_bytes).value_or("");
  what.image.size = f.integer("size", 1, INT32_MAX).value_or(0);
  what.name = f.text("name", 256).value_or("");
  what.description = f.text("description", 2000).value_or("");
  what.by = e->who.actor;
  for (const auto* needed : {"productKey", "name", "version", "sign", "url", "size"})
    if (!f.has(needed))
      f.missing(needed);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto p = e->product(product_key);
  if (!p)
    return e->fail({errc::not_found, "product_unknown", "no product " + product_key});
  e->ask(p->id, product::command{product::add_firmware{what}, e->who.actor, {}},
         [e, product_key, id = what.image.id](const actors::outcome& done) {
           const auto& after =
               std::get<product::product_snapshot>(std::get<product::reply>(done.answer)).what;
           if (const auto* made = after->find_firmware(id))
             return e->reply(201, show(*e, product_key, *made), exchange::revision_headers(done));
           e->fail({errc::internal, "", "firmware " + id + " was not kept"});
         });
}

void get(const exchange_ptr& e) {
  const auto found = find(*e);
  if (!found.what)
    return e->fail(no_firmware(e->param("firmware")));
  e->reply_one(show(*e, found.of->state->product_key, *found.what));
}

void remove(const exchange_ptr& e) {
  const auto found = find(*e);
  if (!found.what)
    return e->fail(no_firmware(e->param("firmware")));
  e->ask(
      found.of->id,
      product::command{product::remove_firmware{e->param("firmware")}, e->who.actor, {}},
      [e](const actors::outcome& done) { e->reply_empty(204, exchange::revision_headers(done)); });
}

void of_device(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) { e->reply_one(show_firmware(*e, *d.state)); });
}

}  // namespace

model::object show_upgrade(const exchange& e, const device::upgrade_task& t) {
  // In the order of state_code, step_code and reason_code.
  constexpr std::string_view phases[] = {"", "downloading", "rebooting"};
  constexpr std::string_view reasons[] = {"",      "unknown",  "download", "verify",
                                          "write", "declined", "timeout",  "wrong_version"};
  auto o = model::object{{"state", upgrade_states[static_cast<std::size_t>(t.state)]},
                         {"attempt", static_cast<std::int64_t>(t.attempt)},
                         {"offeredAt", e.show(t.offered_at)}};
  if (t.upgrading_at != model::timestamp{})
    o.emplace_back("progress", int{t.progress});
  if (t.state == device::upgrade_task::state_code::upgrading)
    o.emplace_back("phase", phases[static_cast<std::size_t>(t.phase)]);
  if (t.state == device::upgrade_task::state_code::failed)
    o.emplace_back("reason", reasons[static_cast<std::size_t>(t.reason)]);
  if (t.late)
    o.emplace_back("late", true);
  if (!t.step.empty())
    o.emplace_back("step", t.step);
  if (!t.note.empty())
    o.emplace_back("desc", t.note);
  for (const auto& [name, at] :
       {std::pair{"publishedAt", t.published_at}, std::pair{"upgradingAt", t.upgrading_at},
        std::pair{"finishedAt", t.finished_at}})
    if (at != model::timestamp{})
      o.emplace_back(name, e.show(at));
  return o;
}

model::object show_firmware(const exchange& e, const device::state& s) {
  const auto& f = s.firmware();
  auto o = model::object{};
  o.emplace_back("upgrading", f.task && f.task->is_unfinished());
  if (!f.version.empty()) {
    o.emplace_back("version", f.version);
    o.emplace_back("reportedAt", e.show(f.reported_at));
  }
  if (f.task) {
    auto task = show_upgrade(e, *f.task);
    task.emplace_back("job", f.task->job);
    task.emplace_back("version", f.task->image.version);
    o.emplace_back("task", std::move(task));
  }
  return o;
}

std::vector<route> firmware_routes() {
  return {
      {"GET", "~/firmwares", "ota:read", list, "listFirmwares", "Firmwares", "", "FirmwareList",
       200, "limit cursor filter sort fields productKey"},
      {"POST", "~/firmwares/search", "ota:read", search, "searchFirmwares",
       "The same, with the question in the body", "FirmwareSearch", "FoundFirmwares", 200, ""},
      {"POST", "~/firmwares", "ota:write", create, "createFirmware",
       "Make a firmware of a product known; its file lies at a URL", "NewFirmware", "Firmware", 201,
       ""},
      {"GET", "~/firmwares/{firmware}", "ota:read", get, "getFirmware", "A firmware", "",
       "Firmware", 200, ""},
      {"DELETE", "~/firmwares/{firmware}", "ota:write", remove, "deleteFirmware",
       "Take a firmware away; tasks that have it go on", "", "", 204, ""},
      {"GET", "@d/firmware", "ota:read", of_device, "getDeviceFirmware",
       "Which version a device has, and its newest upgrade", "", "DeviceFirmware", 200, ""},
  };
}

}  // namespace orrery::transport::api
