// A device goes over to another organisation: the one that has it offers it by a code, the other
// one takes it with that code. So both have agreed, and neither needs a right in the other.
#include "model/base64.hpp"
#include "model/blueprint/blueprint.hpp"
#include "model/json.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/mirrored.hpp"
#include "transport/api/people.hpp"
#include "transport/api/rename_call.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"
#include "transport/api/tree_view.hpp"
#include "transport/device_quota.hpp"
#include "transport/file_exchange.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

constexpr std::string_view code_owner = "device-transfer";  // what codes are sealed for
constexpr std::size_t max_code = 1024;

/// What is in a code. It is good for one transfer: each change of the device's name counts one up.
struct offer {
  model::entity_id device;
  std::uint64_t renames = 0;
  std::string from, to;
  model::timestamp until;
};

std::string code_of(const offer& o, const model::keyring& keys) {
  const auto text =
      model::to_json(model::value{model::object{{"d", to_string(o.device)},
                                                {"n", static_cast<std::int64_t>(o.renames)},
                                                {"f", o.from},
                                                {"t", o.to},
                                                {"u", model::to_ms(o.until)}}});
  return model::to_base64(keys.seal(text, code_owner).bytes);
}

/// Nothing if it was not made here.
std::optional<offer> read_code(const std::string& code, const model::keyring& keys) {
  const auto bytes = model::from_base64(code);
  if (!bytes)
    return std::nullopt;
  const auto text = keys.open(model::sealed_secret{*bytes}, code_owner);
  if (!text)
    return std::nullopt;
  const auto found = model::parse_json(*text);
  if (!found || !found->is_object())
    return std::nullopt;
  auto f = fields{*found};
  const auto id = f.text("d", 64);
  const auto parsed = id ? model::parse_entity_id(*id) : std::nullopt;
  auto o = offer{};
  o.renames = static_cast<std::uint64_t>(f.integer("n", 0, INT64_MAX).value_or(0));
  o.from = f.text("f", 64).value_or("");
  o.to = f.text("t", 64).value_or("");
  o.until = model::from_ms(f.integer("u", 0, INT64_MAX).value_or(0));
  if (!parsed || !f.finish())
    return std::nullopt;
  o.device = *parsed;
  return o;
}

// ---- the one that has it

void offer_device(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto to = f.text("targetOrg", 64);
  const auto hours = f.integer("hours", 1, 24 * 30).value_or(72);
  if (!to)
    f.missing("targetOrg");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (*to == e->who.organisation)
    return e->fail({errc::conflict, "state_conflict", "the device is in " + *to});
  e->with_device([e, to = *to, hours](const found_device& found) {
    drop_stale_mirrors(e, found, [e, to, hours](const found_device& d) {
      // Whether there is such an organisation is nobody's business here.
      const auto o = offer{d.id, d.state->renaming().renames, e->who.organisation, to,
                           e->parts().now() + std::chrono::hours{hours}};
      e->facts.after = model::object{{"targetOrg", to}, {"expiresAt", e->show(o.until)}};
      e->reply(200, model::object{{"assetId", to_string(d.id)},
                                  {"targetOrg", to},
                                  {"code", code_of(o, *e->parts().keys)},
                                  {"expiresAt", e->show(o.until)}});
    });
  });
}

// ---- the one that takes it

/// What is stored of the device has to mean the same afterwards: every element of its model is
/// there in the other one, of the same type.
model::status fits_model(const actors::catalogue_product& from,
                         const actors::catalogue_product& to) {
  if (!from.view.model || !to.view.model)
    return failure{errc::unavailable, "model_missing", "a model is not known here yet: ask again"};
  auto problems = std::vector<model::problem>{};
  for (const auto& f : model::blueprint::compare(*from.view.model, *to.view.model))
    if (f.weight == model::blueprint::change_class::breaking)
      problems.push_back(f.what);
  if (problems.empty())
    return {};
  return failure{errc::conflict, "model_mismatch",
                 "what the device has been does not fit the model of " + to.state->product_key,
                 std::move(problems)};
}

class adoption : public std::enable_shared_from_this<adoption> {
 public:
  adoption(exchange_ptr e, offer o, std::string product, std::string key)
      : e_{std::move(e)}, offer_{std::move(o)}, to_{std::move(product), std::move(key)} {}

  void begin() {
    e_->parts().ask->ask(offer_.device, device_order(*e_, device::read_device{}),
                         [self = shared_from_this()](const actors::answer& got) {
                           const auto* s =
                               got ? device_reply<device::device_snapshot>(*got) : nullptr;
                           if (!got && model::may_work_later(got.error()))
                             return self->e_->fail(got.error());
                           self->take(s);
                         });
  }

 private:
  void take(const device::device_snapshot* found) {
    auto& e = *e_;
    if (!found || found->what->organisation() != offer_.from ||
        found->what->renaming().renames != offer_.renames)
      return e.fail({errc::conflict, "transfer_void",
                     "the device was moved, replaced or removed since it was offered"});
    const auto& s = *found->what;
    const auto known = e.parts().known->current();
    const auto* from = known->product(s.name().product_key);
    const auto to = e.product(to_.product_key);
    if (!to)
      return e.fail({errc::not_found, "product_unknown", "no product " + to_.product_key});
    if (!from)
      return e.fail({errc::unavailable, "model_missing",
                     "the device's product is not known here yet: ask again"});
    if (auto ok = fits_model(*from, *to); !ok)
      return e.fail(ok.error());
    if (to_.device_key.empty())
      to_.device_key = s.name().device_key;
    order_.device = {found->id, 0, found->what};
    order_.what.name = to_;
    order_.organisation = e.who.organisation;
    order_.secret = model::random_text(32);
    order_.what.secret = e.parts().keys->seal(order_.secret, device::secret_owner(to_));
    e.facts.device = to_string(found->id);
    // Its files come with it.
    for (const auto& f : s.files().all)
      if (const auto room = e.parts().files->take_room(e.who.organisation, f.size); !room)
        return e.fail(room.error());
    e.parts().quota->reserve(e.who.organisation, 1,
                             [self = shared_from_this()](const model::result<device_room>& room) {
                               if (!room)
                                 return self->e_->fail(room.error());
                               self->room_ = *room;
                               self->look_at_theirs();
                             });
  }
  /// Their ledger is asked before: it must not take back what a count has seen already.
  void look_at_theirs() {
    e_->parts().quota->look(offer_.from,
                            [self = shared_from_this()](const model::result<device_room>& theirs) {
                              if (theirs)
                                self->theirs_ = *theirs;
                              self->move();
                            });
  }
  void move() {
    rename(e_, order_, [self = shared_from_this()](const model::result<renamed_device>& got) {
      auto& e = *self->e_;
      if (!got) {
        if (device_quota::is_surely_not(got.error()))
          e.parts().quota->release(self->room_, 1);
        return e.fail(got.error());
      }
      e.facts.also = self->offer_.from;
      if (self->theirs_)
        e.parts().quota->release(*self->theirs_, 1);
      release_assets(self->e_, self->offer_.from, {self->order_.device.id},
                     [self, done = *got] { self->reply(done); });
    });
  }
  void reply(const renamed_device& done) {
    auto more = exchange::headers{};
    warn_of_quota(*e_, use_of(room_), more);
    reply_renamed(e_, 201, order_.secret, done, std::move(more));
  }

  exchange_ptr e_;
  offer offer_;
  model::device_name to_;
  rename_order order_;
  device_room room_;
  std::optional<device_room> theirs_;
};

void adopt(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto code = f.text("code", max_code);
  auto product = f.text("productKey", 20);
  auto key = f.text("deviceKey", 64);
  if (!code)
    f.missing("code");
  if (!product)
    f.missing("productKey");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto o = read_code(*code, *e->parts().keys);
  if (!o || o->to != e->who.organisation)
    return e->fail({errc::invalid_argument, "transfer_invalid",
                    "the code was not made for this organisation: ask for another one"});
  if (o->until <= e->parts().now())
    return e->fail(
        {errc::conflict, "transfer_expired", "the code is too old: ask for another one"});
  std::make_shared<adoption>(e, *o, std::move(*product), key.value_or(""))->begin();
}

}  // namespace

std::vector<route> device_transfer_routes() {
  return {
      {"POST", "@d:moveOrg", "device:credential", offer_device, "offerDevice",
       "Offer a device to another organisation: who has the code takes it from there",
       "DeviceOffer", "OfferedDevice", 200, ""},
      {"POST", "~/devices:adopt", "device:write", adopt, "adoptDevice",
       "Take a device that another organisation has offered; its new secret is shown once",
       "DeviceAdoption", "CreatedDevice", 201, ""},
  };
}

}  // namespace orrery::transport::api
