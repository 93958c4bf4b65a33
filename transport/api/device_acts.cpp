// What is done to a single device beside its data: its session is ended, it is shown with another
// status, how it came and went, its credential (group D of the API).
#include <algorithm>
#include <cmath>

#include "observe/log.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace log = observe::log;
using model::errc;
using model::failure;
using status_code = device::status_override::status_code;

// In the order of status_override::status_code.
const std::vector<std::string_view> statuses{"inactive", "online", "offline"};

// ---- its session

void kick(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto reason = f.text("reason", 256).value_or("");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, reason = std::move(reason)](const found_device& d) {
    e->ask(d.id, device_order(*e, device::kick_device{}),
           [e, reason, id = d.id](const actors::outcome& done) {
             log::info("api", "device_kicked",
                       {{"device", to_string(id)}, {"actor", e->who.actor}, {"reason", reason}});
             e->reply_empty(204, exchange::revision_headers(done));
           });
  });
}

// ---- the status that it is shown with

/// Gives the order, then shows the status.
void change_override(const exchange_ptr& e, device::order what) {
  e->with_device([e, what = std::move(what)](const found_device& d) {
    e->ask(d.id, device_order(*e, what), [e, id = d.id](const actors::outcome& done) {
      e->ask(id, device_order(*e, device::read_device{}), [e, done](const actors::outcome& now) {
        const auto& s = *device_reply<device::device_snapshot>(now);
        e->reply(200, show_status(*e, s.id, *s.what), exchange::revision_headers(done));
      });
    });
  });
}

void set_override(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto as = f.word("status", statuses);
  const auto until = f.time("until");
  if (!f.has("status"))
    f.missing("status");
  if (!f.has("until"))
    f.missing("until");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto place = std::find(statuses.begin(), statuses.end(), *as) - statuses.begin();
  change_override(e, device::override_status{static_cast<status_code>(place), *until});
}

void end_override(const exchange_ptr& e) {
  change_override(e, device::end_override{});
}

// ---- how it came and went

model::value show_row(const exchange& e, const actors::presence_row& r) {
  auto o = model::object{{"time", e.show(r.at)}, {"status", r.online ? "online" : "offline"}};
  if (r.online) {
    o.emplace_back("protocol", name_of(r.protocol));
    o.emplace_back("address", r.address);
  } else {
    o.emplace_back("reason", r.reason);
  }
  return o;
}

/// Percent with two digits behind the point.
double availability(const actors::presence_sum& s) {
  return std::round(10'000.0 * static_cast<double>(s.online.count()) /
                    static_cast<double>(s.known.count())) /
         100.0;
}

void history(const exchange_ptr& e) {
  const auto now = e->parts().now();
  const auto from = e->time("from", now - std::chrono::hours{24});
  const auto to = e->time("to", now);
  const auto limit = e->limit();
  const auto cursor = e->cursor();
  for (const auto* why : {from ? nullptr : &from.error(), to ? nullptr : &to.error(),
                          limit ? nullptr : &limit.error(), cursor ? nullptr : &cursor.error()})
    if (why)
      return e->fail(*why);
  if (*from > *to)
    return e->fail({errc::invalid_argument, "validation_failed", "from is later than to"});
  auto q = actors::presence_question{.device = {},
                                     .from = *from,
                                     .to = std::min(*to, now),  // what is to come is not known
                                     .cursor = *cursor,
                                     .limit = *limit};
  e->with_device([e, q = std::move(q)](const found_device& d) mutable {
    q.device = d.id;
    e->parts().query->presence(std::move(q), [e](const model::result<actors::presence_page>& page) {
      if (!page)
        return e->fail(page.error());
      auto items = model::array{};
      for (const auto& row : page->rows)
        items.push_back(show_row(*e, row));
      auto more = model::object{};
      if (page->sum && page->sum->known.count() > 0)
        more = {{"availability", availability(*page->sum)},
                {"onlineSeconds", page->sum->online.count() / 1000},
                {"knownSeconds", page->sum->known.count() / 1000}};
      e->reply_page(std::move(items), page->next, std::move(more));
    });
  });
}

// ---- its credential

bool may_reveal(const exchange& e) {
  const auto known = e.parts().known->current();
  const auto* org = known->organisation(e.who.organisation);
  return org && org->state->reveals_secrets;
}

void credential(const exchange_ptr& e) {
  const auto text = e->query("reveal");
  if (!text.empty() && text != "true" && text != "false")
    return e->fail({errc::invalid_argument, "malformed", "reveal: expected true or false"});
  const auto reveal = text == "true";
  if (reveal && !may_reveal(*e))
    return e->fail({errc::forbidden, "reveal_forbidden",
                    "the organisation does not show secrets again: reset it to get a new one"});
  e->with_device([e, reveal](const found_device& d) {
    const auto& s = *d.state;
    auto o = model::object{{"assetId", to_string(d.id)},
                           {"productKey", s.name().product_key},
                           {"deviceKey", s.name().device_key},
                           {"certificates", static_cast<std::int64_t>(s.certificates().all.size())},
                           {"secretPending", !s.activation().fresh.empty()}};
    if (!s.old_secret->empty() && e->parts().now() < s.old_secret->until)
      o.emplace_back("formerSecretUntil", e->show(s.old_secret->until));
    if (reveal) {
      const auto& sealed = s.activation().fresh.empty() ? s.secret : s.activation().fresh;
      const auto secret = e->parts().keys->open(sealed, device::secret_owner(s.name()));
      if (!secret)
        return e->fail({errc::internal, "the secret of " + s.name().device_key +
                                            " cannot be opened: is the master key another one?"});
      o.emplace_back("deviceSecret", *secret);
      log::info("api", "secret_revealed", {{"device", to_string(d.id)}, {"actor", e->who.actor}});
    }
    e->reply(200, std::move(o));
  });
}

}  // namespace

std::vector<route> device_act_routes() {
  return {
      {"POST", "@d:kick", "device:control", kick, "kickDevice",
       "End the session of a device; it may come back at once", "Reason", "", 204, ""},
      {"PUT", "@d/status-override", "device:control", set_override, "overrideStatus",
       "Show a device with a status until a time, or until it comes or goes", "StatusOverride",
       "Status", 200, ""},
      {"DELETE", "@d/status-override", "device:control", end_override, "endStatusOverride",
       "Show a device as it is", "", "Status", 200, ""},
      {"GET", "@d/statusHistory", "device:read", history, "getStatusHistory",
       "How a device came and went, newest first, and how much of the time it was there", "",
       "StatusHistory", 200, "from to limit cursor"},
      {"GET", "@d/credential", "device:credential", credential, "getCredential",
       "What a device proves itself by; with `reveal` its secret, if the organisation allows that",
       "", "Credential", 200, "reveal"},
  };
}

}  // namespace orrery::transport::api
