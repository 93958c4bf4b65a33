// What configurations of the fleet make of a device: which ones are for it, what they ask for
// together, and whether the device has it.
#include "model/device/layers.hpp"

#include <algorithm>

#include "model/device/decisions.hpp"
#include "model/filter/record.hpp"
#include "model/merge_patch.hpp"

namespace orrery::model::device {
namespace {

using state_code = applied_layer::state_code;

/// Whose name stands in the history of a twin where no one person has written it.
constexpr auto by_layers = "configurations";

const value* member_of(const object& o, const std::string& name) {
  const auto found =
      std::find_if(o.begin(), o.end(), [&](const auto& m) { return m.first == name; });
  return found == o.end() ? nullptr : &found->second;
}

/// What is laid on a device below its own.
struct layers_laid {
  std::vector<applied_layer> all;
  object common;
};

object on_top(const object& common, const object& own) {
  return merge_patch(value{common}, value{own}).as_object();
}

/// All of them, if the device can have what they ask for together. Else those of the highest
/// priority first, and whatever cannot be desired beside them is refused.
layers_laid lay(const configurations_of_device& wanted, const object& own,
                const surroundings& around) {
  auto made = layers_laid{};
  for (const auto* c : wanted)
    made.all.push_back({c->id, c->version, state_code::pending, {}});
  const auto beyond = wanted.size() > max_layers ? wanted.size() - max_layers : 0;
  for (std::size_t i = 0; i < beyond; ++i) {
    made.all[i].state = state_code::refused;
    made.all[i].reason = "configuration_limit";
  }
  auto taken =
      configurations_of_device(wanted.begin() + static_cast<std::ptrdiff_t>(beyond), wanted.end());
  made.common = laid(taken);
  if (check_desired(on_top(made.common, own), around))
    return made;
  taken.clear();
  made.common.clear();
  for (auto i = wanted.size(); i > beyond; --i) {
    taken.insert(taken.begin(), wanted[i - 1]);
    auto common = laid(taken);
    const auto ok = check_desired(on_top(common, own), around);
    if (ok) {
      made.common = std::move(common);
      continue;
    }
    taken.erase(taken.begin());
    made.all[i - 1].state = state_code::refused;
    made.all[i - 1].reason = ok.error().reason;
  }
  return made;
}

bool are_the_same(const std::vector<applied_layer>& has, const configurations_of_device& wanted) {
  return std::equal(has.begin(), has.end(), wanted.begin(), wanted.end(),
                    [](const applied_layer& a, const fleet_configuration* c) {
                      return a.id == c->id && a.version == c->version;
                    });
}

bool has_refused(const std::vector<applied_layer>& all) {
  return std::any_of(all.begin(), all.end(),
                     [](const applied_layer& l) { return l.state == state_code::refused; });
}

/// The same with the states that they are in by now.
std::vector<applied_layer> judged(std::vector<applied_layer> all,
                                  const configurations_of_device& wanted, const twin_state& twin) {
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].state != state_code::refused)
      all[i].state = state_of(wanted[i]->patch, twin);
  return all;
}

/// True if what happened may concern its configurations.
bool is_concerned(const state& s, const command& c, const std::vector<event>& events,
                  search_mask reads) {
  if (std::holds_alternative<review_layers>(c.what))
    return true;
  return std::any_of(events.begin(), events.end(), [&](const event& e) {
    const auto about_twin =
        std::holds_alternative<twin_reported>(e) || std::holds_alternative<twin_changed>(e) ||
        std::holds_alternative<renamed>(e) || std::holds_alternative<emigrated>(e);
    return std::holds_alternative<registered>(e) || std::holds_alternative<restored>(e) ||
           (changed_by(e) & reads) != 0 || (about_twin && !s.layers().empty());
  });
}

/// What was decided, and the state after it.
class settling {
 public:
  settling(const state& s, const surroundings& around, decision& d)
      : around_{around}, decided_{d}, ahead_{s} {
    ahead_.telemetry = {};
    for (const auto& e : d.events)
      if (!is_telemetry(e))
        device::apply(ahead_, e);
  }

  void run(bool looks_again) {
    if (!ahead_.exists || !ahead_.alias().empty())
      return;
    const auto wanted = for_device(*around_.configurations, around_.self, ahead_);
    const auto before = ahead_.layers();
    // By another model, or with what is now desired of the device itself, they may not be possible.
    const auto is_possible = [&] {
      return before.empty() || check_desired(ahead_.twin().desired, around_);
    };
    if (!are_the_same(before.all, wanted) ||
        (looks_again && (has_refused(before.all) || !is_possible())))
      lay_anew(wanted, before);
    if (auto now = judged(ahead_.layers().all, wanted, ahead_.twin()); now != ahead_.layers().all)
      add(layers_changed{std::move(now), {}, {}, around_.now});
    if (changed_)
      tell();
  }

 private:
  void add(event e) {
    device::apply(ahead_, e);
    decided_.events.push_back(std::move(e));
    changed_ = true;
  }

  void lay_anew(const configurations_of_device& wanted, const layering& before) {
    const auto own = before.empty() ? ahead_.twin().desired : before.own;
    auto made = lay(wanted, own, around_);
    auto desired = on_top(made.common, own);
    const auto changes = !says_the_same(value{desired}, value{ahead_.twin().desired});
    // In the state in which they will be found: nothing follows then to correct it.
    auto after = ahead_.twin();
    if (changes) {
      after.desired = desired;
      ++after.desired_version;
    }
    made.all = judged(std::move(made.all), wanted, after);
    if (!changes && made.all == before.all && made.common == before.common)
      return;  // looked at again: it is as it was
    auto e = layers_changed{std::move(made.all), {}, {}, around_.now};
    e.common = std::move(made.common);
    if (before.empty())
      e.own = own;
    add(std::move(e));
    if (!changes)
      return;
    add(twin_changed{std::move(desired), after.desired_version, by_layers, around_.now});
    // One message has it all.
    std::erase_if(decided_.events,
                  [](const event& one) { return std::holds_alternative<twin_pushed>(one); });
    auto push = std::vector<event>{};
    push_twin_after(ahead_, around_.now, push);
    for (auto& one : push)
      add(std::move(one));
  }

  /// Who asked is told of the device as it is now.
  void tell() {
    if (auto* twin = std::get_if<twin_status>(&decided_.answer))
      *twin = {ahead_.twin(), ahead_.layers()};
    else if (auto* snapshot = std::get_if<device_snapshot>(&decided_.answer))
      snapshot->what = std::make_shared<state>(ahead_);
  }

  const surroundings& around_;
  decision& decided_;
  state ahead_;
  bool changed_ = false;
};

}  // namespace

std::string_view name_of(applied_layer::state_code s) {
  switch (s) {
    case state_code::pending:
      return "pending";
    case state_code::agreed:
      return "agreed";
    case state_code::drifted:
      return "drifted";
    case state_code::refused:
      return "refused";
  }
  return "pending";
}

bool configuration_set::says_the_same_as(const configuration_set& other) const {
  return std::equal(all.begin(), all.end(), other.all.begin(), other.all.end(),
                    [](const fleet_configuration& a, const fleet_configuration& b) {
                      return a.id == b.id && a.version == b.version && a.text == b.text;
                    });
}

search_mask looked_at(const filter::checked_filter& f) {
  if (f.what == filter::checked_filter::kind::one)
    return bit_of(static_cast<search_field>(f.test.where.number));
  auto all = search_mask{0};
  for (const auto& part : f.parts)
    all |= looked_at(part);
  return all;
}

search_mask changed_by(const event& e) {
  using enum search_field;
  const auto more = std::visit(
      overloaded{
          [](const updated&) { return bit_of(description) | bit_of(search_field::timezone); },
          [](const admin_state_set&) { return bit_of(search_field::admin); },
          [](const connected&) {
            return bit_of(search_field::connection) | bit_of(search_field::protocol) |
                   bit_of(search_field::activated) | bit_of(activated_at);
          },
          [](const disconnected&) {
            return bit_of(search_field::connection) | bit_of(search_field::protocol);
          },
          [](const gateway_bound&) { return bit_of(is_sub_device); },
          [](const gateway_unbound&) { return bit_of(is_sub_device); },
          [](const activation_granted&) {
            return bit_of(search_field::activated) | bit_of(activated_at) | bit_of(status);
          },
          [](const activation_settled&) {
            return bit_of(search_field::activated) | bit_of(activated_at) | bit_of(status);
          },
          [](const auto&) { return search_mask{0}; }},
      e);
  return more | searched_by(e);
}

configurations_of_device for_device(const configuration_set& all, const entity_id& id,
                                    const state& s) {
  auto some = configurations_of_device{};
  if (!s.retirement().empty())
    return some;
  const auto seen = searched_device{id, s};
  for (const auto& c : all.all)
    if (filter::accepts(c.target, seen))
      some.push_back(&c);
  return some;
}

bool must_review(const configuration_set& all, const entity_id& id, const state& s) {
  return s.exists && !are_the_same(s.layers().all, for_device(all, id, s));
}

object laid(const configurations_of_device& layers) {
  auto all = value{object{}};
  for (const auto* c : layers)
    all = merge_patch(all, value{c->patch});
  return all.as_object();
}

object in_force(const object& patch, const object& desired) {
  auto part = object{};
  for (const auto& [name, v] : patch) {
    const auto* found = member_of(desired, name);
    if (v.is_null() || !found)
      continue;
    if (v.is_object() && found->is_object()) {
      if (auto more = in_force(v.as_object(), found->as_object());
          !more.empty() || v.as_object().empty())
        part.emplace_back(name, std::move(more));
    } else if (says_the_same(v, *found)) {
      part.emplace_back(name, v);
    }
  }
  return part;
}

applied_layer::state_code state_of(const object& patch, const twin_state& twin) {
  if (missing_from(twin.reported, in_force(patch, twin.desired)).empty())
    return state_code::agreed;
  return twin.applied_version == twin.desired_version ? state_code::drifted : state_code::pending;
}

void settle_layers(const state& s, const command& c, const surroundings& around, decision& d) {
  if (!around.configurations || !is_concerned(s, c, d.events, around.configurations->reads))
    return;
  const auto about_own = std::any_of(d.events.begin(), d.events.end(), [](const event& e) {
    return std::holds_alternative<twin_changed>(e) || std::holds_alternative<renamed>(e) ||
           std::holds_alternative<emigrated>(e);
  });
  settling{s, around, d}.run(about_own || std::holds_alternative<review_layers>(c.what));
}

}  // namespace orrery::model::device
