#include "transport/bans.hpp"

#include <algorithm>
#include <tuple>

namespace orrery::transport {
namespace {

namespace organisation = model::organisation;

bool is_of(const actors::catalogue_snapshot& all, const std::string& product,
           const std::string& id) {
  const auto* found = all.product(product);
  return found && found->state->organisation == id;
}

}  // namespace

std::vector<login_ban> bans_of(const actors::catalogue_snapshot& all, model::timestamp now) {
  auto out = std::vector<login_ban>{};
  for (const auto& [id, org] : all.organisations) {
    if (org->state->is_suspended) {
      auto whole = login_ban{};
      whole.organisation = id;
      whole.until = model::timestamp::max();
      out.push_back(std::move(whole));
    }
    for (const auto& b : org->state->bans) {
      if (!b.holds(now))
        continue;
      auto one = login_ban{};
      one.until = b.until.value_or(model::timestamp::max());
      const auto slash = b.subject.find('/');
      switch (b.what) {
        case organisation::ban::kind::device:
          one.product_key = b.subject.substr(0, slash);
          one.device_key = slash == std::string::npos ? "" : b.subject.substr(slash + 1);
          break;
        case organisation::ban::kind::product:
          one.product_key = b.subject;
          break;
        case organisation::ban::kind::address:
          one.addresses = b.subject;
          one.organisation = id == owner_organisation ? "" : id;
          break;
        case organisation::ban::kind::certificate:
          one.certificate = b.subject;
          one.organisation = id == owner_organisation ? "" : id;
          break;
      }
      const auto is_outside = b.what == organisation::ban::kind::address ||
                              b.what == organisation::ban::kind::certificate;
      if (!is_outside && !is_of(all, one.product_key, id))
        continue;
      out.push_back(std::move(one));
    }
  }
  // In one order, whatever that of the organisations; whole organisations come first, then
  // those that hold for everybody, for there may be more than are held.
  const auto rank = [](const login_ban& b) {
    const auto is_suspension = !b.organisation.empty() && b.addresses.empty() &&
                               b.certificate.empty() && b.product_key.empty();
    return std::tuple{!is_suspension, std::tie(b.organisation, b.addresses, b.certificate,
                                               b.product_key, b.device_key, b.until)};
  };
  std::sort(out.begin(), out.end(),
            [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return out;
}

}  // namespace orrery::transport
