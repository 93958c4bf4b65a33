// Who may not log in: bans of an organisation, and whom the node asked keeps out for a while.
#include "transport/bans.hpp"

#include <algorithm>

#include "observe/log.hpp"
#include "transport/address_range.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

namespace log = observe::log;
namespace organisation = model::organisation;
using kind = organisation::ban::kind;
using model::errc;
using model::failure;

constexpr std::size_t max_shown = 1000;

// In the order of ban::kind.
const std::vector<std::string_view> kinds{"device", "product", "address", "certificate"};

std::shared_ptr<const actors::catalogue_organisation> mine(const exchange& e) {
  const auto known = e.parts().known->current();
  const auto found = known->organisations.find(e.who.organisation);
  return found == known->organisations.end() ? nullptr : found->second;
}

model::object show(const exchange& e, const organisation::ban& b) {
  auto o = model::object{{"id", ban_id(b)},
                         {"kind", kinds[static_cast<std::size_t>(b.what)]},
                         {"subject", b.subject},
                         {"reason", b.reason},
                         {"createdAt", e.show(b.created_at)},
                         {"createdBy", b.actor}};
  if (b.until)
    o.emplace_back("until", e.show(*b.until));
  return o;
}

void list(const exchange_ptr& e) {
  const auto org = mine(*e);
  auto items = model::array{};
  for (const auto& b : org->state->bans)
    if (b.holds(e->parts().now()))
      items.emplace_back(show(*e, b));
  e->reply_page(std::move(items), "");
}

void get(const exchange_ptr& e) {
  const auto org = mine(*e);
  const auto* found = org->state->find_ban(e->param("ban"));
  if (!found || !found->holds(e->parts().now()))
    return e->fail({errc::not_found, "ban_unknown", "no such ban"});
  e->reply_one(show(*e, *found));
}

/// What the organisation cannot judge of a ban by itself: forms of addresses, and whose products
/// they are.
void check(const exchange& e, organisation::ban& b, fields& f) {
  if (b.what == kind::address) {
    if (!is_address_range(b.subject))
      f.note("subject", "invalid", "expected an address or a network such as 10.0.0.0/8");
    else if (b.subject.find('/') == std::string::npos)
      b.subject = plain_address(b.subject);
  }
  if (b.what == kind::certificate) {  // as openssl writes it, too
    std::erase(b.subject, ':');
    std::transform(b.subject.begin(), b.subject.end(), b.subject.begin(), [](char c) {
      return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    });
  }
  if ((b.what == kind::device || b.what == kind::product) &&
      !e.product(b.subject.substr(0, b.subject.find('/'))))
    f.note("subject", "invalid", "the organisation has no such product");
}

void note(const exchange& e, const char* what, const organisation::ban& b) {
  log::info("login", what,
            {{"organisation", e.who.organisation},
             {"actor", e.who.actor},
             {"kind", kinds[static_cast<std::size_t>(b.what)]},
             {"subject", b.subject},
             {"reason", b.reason}});
}

void add(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto wanted = organisation::ban{};
  const auto of = f.word("kind", kinds);
  const auto subject = f.text("subject", 256);
  wanted.until = f.time("until");
  wanted.reason = f.text("reason", 256).value_or("");
  if (!of && !f.has("kind"))
    f.missing("kind");
  if (!subject && !f.has("subject"))
    f.missing("subject");
  if (of && subject) {
    wanted.what = static_cast<kind>(std::find(kinds.begin(), kinds.end(), *of) - kinds.begin());
    wanted.subject = *subject;
    check(*e, wanted, f);
  }
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto id = ban_id(wanted);
  e->ask(mine(*e)->id,
         organisation::command{organisation::set_ban{std::move(wanted)}, e->who.actor, {}},
         [e, id](const actors::outcome& done) {
           const auto& reply = std::get<organisation::reply>(done.answer);
           const auto& state = *std::get<organisation::organisation_snapshot>(reply).what;
           const auto& made = *state.find_ban(id);
           note(*e, "banned", made);
           e->reply(201, show(*e, made), exchange::revision_headers(done));
         });
}

void remove(const exchange_ptr& e) {
  const auto org = mine(*e);
  const auto* found = org->state->find_ban(e->param("ban"));
  const auto was = found ? *found : organisation::ban{};
  if (found)
    e->was(show(*e, *found));
  e->ask(org->id,
         organisation::command{organisation::remove_ban{e->param("ban")}, e->who.actor, {}},
         [e, was](const actors::outcome& done) {
           note(*e, "ban_removed", was);
           e->reply_empty(204, exchange::revision_headers(done));
         });
}

/// Addresses are of all organisations: the owner of the installation sees them.
void list_temporary(const exchange_ptr& e) {
  auto items = model::array{};
  for (const auto& one : e->parts().guard->all_kept_out(e->parts().now(), max_shown)) {
    const auto is_device = !one.device.device_key.empty();
    if (is_device ? !e->product(one.device.product_key) : e->who.organisation != owner_organisation)
      continue;
    auto o = model::object{{"until", e->show(one.until)}, {"reason", one.reason}};
    if (is_device) {
      o.emplace_back("productKey", one.device.product_key);
      o.emplace_back("deviceKey", one.device.device_key);
    }
    if (!one.address.empty())
      o.emplace_back("address", one.address);
    items.emplace_back(std::move(o));
  }
  e->reply_page(std::move(items), "");
}

}  // namespace

std::vector<route> ban_routes() {
  return {
      {"GET", "~/bans", "device:read", list, "listBans", "Who may not log in", "", "BanList", 200,
       ""},
      {"GET", "~/bans:temporary", "device:read", list_temporary, "listTemporaryBans",
       "Whom the node that is asked keeps out for a while by itself", "", "TemporaryBanList", 200,
       ""},
      {"GET", "~/bans/{ban}", "device:read", get, "getBan", "A ban", "", "Ban", 200, ""},
      {"POST", "~/bans", "device:ban", add, "addBan",
       "Keep somebody out, and end his sessions; in place of the ban that he has", "NewBan", "Ban",
       201, ""},
      {"DELETE", "~/bans/{ban}", "device:ban", remove, "deleteBan", "Let him in again", "", "", 204,
       ""},
  };
}

}  // namespace orrery::transport::api
