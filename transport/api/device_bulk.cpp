// The same change for many devices: those that a filter finds, or that are named.
#include <set>

#include "actors/tree_scope.hpp"
#include "model/json.hpp"
#include "transport/api/device_retirement.hpp"
#include "transport/api/device_work.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace operation = model::operation;
namespace tree = model::tree;
using model::errc;
using model::failure;
using operation::row_outcome;
using operation::row_status;

constexpr std::size_t most_at_once = 500;

/// Which devices come next stands in the position before anything is done to them: so a step that
/// is done again is about the same ones, whatever the filter finds by then.
struct plan {
  std::uint64_t index = 0;  // of the first
  std::vector<model::entity_id> ids;
  std::set<std::size_t> unknown;  // places of those that were not there then, or out of reach
  std::string cursor;  // where the filter goes on; of ids that are named, the place in their list
  bool last = false;   // nothing comes behind them
};

std::string write(const plan& p) {
  auto ids = model::array{}, unknown = model::array{};
  for (const auto& id : p.ids)
    ids.emplace_back(to_string(id));
  for (const auto i : p.unknown)
    unknown.emplace_back(static_cast<std::int64_t>(i));
  return model::to_json(model::object{{"index", static_cast<std::int64_t>(p.index)},
                                      {"ids", std::move(ids)},
                                      {"unknown", std::move(unknown)},
                                      {"cursor", p.cursor},
                                      {"last", p.last}});
}

plan read_plan(std::string_view text) {
  auto p = plan{};
  const auto v = model::parse_json(text);
  if (!v)
    return p;
  p.index = static_cast<std::uint64_t>(number_of(*v, "index"));
  p.cursor = text_of(*v, "cursor");
  p.last = truth_of(*v, "last");
  if (const auto* ids = v->find("ids"); ids && ids->is_array())
    for (const auto& one : ids->as_array())
      if (const auto id = model::parse_entity_id(one.as_string()))
        p.ids.push_back(*id);
  if (const auto* unknown = v->find("unknown"); unknown && unknown->is_array())
    for (const auto& one : unknown->as_array())
      p.unknown.insert(static_cast<std::size_t>(one.as_int()));
  return p;
}

class device_bulk final : public work_base {
 public:
  device_bulk(work_parts parts, actors::work_order order, model::value request)
      : work_base{std::move(parts), std::move(order), std::move(request)},
        action_{text_of(request_, "action")} {}

  model::result<actors::work_step> step(const std::string& position,
                                        std::size_t max_rows) override {
    auto now = read_plan(position);
    auto done = actors::work_step{};
    if (!now.ids.empty()) {
      auto outcomes = act(now);
      if (!outcomes)
        return outcomes.error();
      done.more = operation::counts_of(*outcomes);
      done.result = operation::encode_outcomes(*outcomes);
    }
    if (now.last) {
      done.position = write({.index = now.index + now.ids.size(),
                             .ids = {},
                             .unknown = {},
                             .cursor = {},
                             .last = true});
      done.last = true;
      return done;
    }
    auto next = plan_behind(now, std::min(max_rows, most_at_once));
    if (!next)
      return next.error();
    done.position = write(*next);
    done.last = next->last && next->ids.empty();
    return done;
  }

 private:
  model::result<plan> plan_behind(const plan& before, std::size_t most) {
    auto next = plan{};
    next.index = before.index + before.ids.size();
    if (const auto* named = request_.find("ids"); named && named->is_array()) {
      const auto& all = named->as_array();
      for (auto i = next.index; i < all.size() && next.ids.size() < most; ++i)
        if (const auto id = model::parse_entity_id(all[i].as_string()))
          next.ids.push_back(*id);
      next.last = next.index + next.ids.size() >= all.size();
      if (removes())
        if (auto ok = look_at(next); !ok)
          return ok.error();
      return next;
    }
    auto q = actors::device_list_question{.organisation = operation().organisation};
    q.filter = text_of(request_, "filter");
    q.cursor = before.cursor;
    q.limit = most;
    auto page = actors::read_and_wait(*parts_.query, std::move(q));
    if (!page)
      return page.error();
    for (const auto& d : page->devices)
      if (reaches(d.id, *d.what))
        next.ids.push_back(d.id);
    next.cursor = std::move(page->next);
    next.last = next.cursor.empty();
    return next;
  }

  /// Which of those that are named are there: one of these that is gone when it is to be deleted
  /// was deleted by this step before.
  model::status look_at(plan& next) const {
    auto asked = std::vector<actors::question>{};
    for (const auto& id : next.ids)
      asked.push_back({id, command(device::read_device{})});
    const auto there = ask_all(std::move(asked));
    if (!there)
      return there.error();
    for (std::size_t i = 0; i < next.ids.size(); ++i)
      if (const auto* found = snapshot_in((*there)[i]); !found || !reaches(found->id, *found->what))
        next.unknown.insert(i);
    return {};
  }

  model::result<std::vector<row_outcome>> act(const plan& now) {
    auto asked = std::vector<actors::question>{};
    for (const auto& id : now.ids)
      asked.push_back({id, command(device::read_device{})});
    const auto there = ask_all(std::move(asked));
    if (!there)
      return there.error();
    auto rows = std::vector<row_outcome>(now.ids.size());
    auto changed = std::vector<std::size_t>{};
    asked.clear();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].index = now.index + i;
      rows[i].id = to_string(now.ids[i]);
      const auto* found = snapshot_in((*there)[i]);
      // One that this step has taken out of service is in no group by which it was reached.
      const auto reached =
          found && (reaches(found->id, *found->what) || was_retired_here(*found->what));
      if (!reached) {
        const auto gone = !(*there)[i] && (*there)[i].error().code == errc::not_found;
        if (gone && removes() && !now.unknown.contains(i))
          rows[i].status = row_status::deleted;  // this step has been here before
        else
          miss(rows[i], (*there)[i]);
        continue;
      }
      rows[i].product_key = found->what->name().product_key;
      rows[i].device_key = found->what->name().device_key;
      if (auto what = order_for(*found->what, rows[i])) {
        asked.push_back({now.ids[i], command(std::move(*what))});
        changed.push_back(i);
      }
    }
    const auto room = ends_service() ? room_for(0) : device_room{};
    if (!room)
      return room.error();
    const auto answers = ask_all(std::move(asked));
    if (!answers)
      return answers.error();
    auto gone = std::vector<model::entity_id>{};
    auto freed = std::uint64_t{0};
    for (std::size_t n = 0; n < changed.size(); ++n) {
      settle(rows[changed[n]], (*answers)[n]);
      freed += retires() ? ((*answers)[n] ? 1 : 0) : (was_in_service((*answers)[n]) ? 1 : 0);
    }
    if (ends_service() && freed > 0)
      parts_.quota->release(*room, freed);
    if (ends_service())
      for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i].status == row_status::deleted || rows[i].status == row_status::updated)
          gone.push_back(now.ids[i]);
    if (retires())
      if (auto ok = list_revocations(*there, *answers); !ok)
        return ok.error();
    if (auto ok = leave_trees(gone); !ok)
      return ok.error();
    return rows;
  }

  /// It is not there (any more), or is out of reach.
  static void miss(row_outcome& row, const actors::answer& got) {
    const auto unknown = got || got.error().code == errc::not_found;
    const auto index = row.index;
    auto id = std::move(row.id);
    row = failed_row(
        index, {},
        unknown ? failure{errc::not_found, "device_unknown", "no such device"} : got.error());
    row.id = std::move(id);
  }

  /// What is to be asked of it; nothing if it is so already, which `row` says.
  std::optional<device::order> order_for(const device::state& s, row_outcome& row) const {
    row.status = row_status::unchanged;
    if (action_ == "enable" || action_ == "disable") {
      const auto wanted =
          action_ == "enable" ? device::admin_state::enabled : device::admin_state::disabled;
      if (s.admin == wanted)
        return std::nullopt;
      return device::set_admin_state{wanted, text_of(request_, "reason")};
    }
    if (action_ == "delete")
      return device::remove_device{};
    if (retires())
      return order_to_retire(s, row);
    if (action_ == "kick")
      return s.connection.online ? std::optional<device::order>{device::kick_device{}}
                                 : std::nullopt;
    if (action_ == "resetSecret") {
      row.has_secret = true;
      if (parts_.keys->open(s.secret, device::secret_owner(s.name())) == secret_of(s.name())) {
        row.status = row_status::updated;  // this step has been here before
        return std::nullopt;
      }
      return device::reset_secret{sealed_secret_of(s.name()),
                                  std::chrono::seconds{number_of(request_, "overlap")}};
    }
    auto changes = device::change_tags{};
    if (const auto* tags = request_.find("tags"); tags && tags->is_object()) {
      for (const auto& [key, v] : tags->as_object())
        if (const auto was = s.tags->find(key);
            was == s.tags->end() || was->second != v.as_string())
          changes.changes[key] = v.as_string();
    } else if (tags && tags->is_array()) {
      for (const auto& key : tags->as_array())
        if (s.tags->contains(key.as_string()))
          changes.changes[key.as_string()] = std::nullopt;
    }
    if (changes.changes.empty())
      return std::nullopt;
    return changes;
  }

  bool retires() const { return action_ == "decommission"; }
  /// They are not there any more afterwards.
  bool removes() const {
    return action_ == "delete" || (retires() && quarantine() == model::milliseconds{0});
  }
  bool ends_service() const { return action_ == "delete" || retires(); }
  model::milliseconds quarantine() const {
    const auto* days = request_.find("quarantine");
    return days && days->is_int() ? std::chrono::hours{24 * days->as_int()}
                                  : device::usual_quarantine;
  }

  /// By a step that is done again.
  bool was_retired_here(const device::state& s) const {
    const auto& was = s.retirement();
    return retires() && !was.empty() && s.organisation() == operation().organisation &&
           was.by == operation().actor && was.reason == text_of(request_, "reason") &&
           was.at >= operation().created_at;
  }
  std::optional<device::order> order_to_retire(const device::state& s, row_outcome& row) const {
    if (s.retirement().empty())
      return device::retire_device{text_of(request_, "reason"), quarantine()};
    if (was_retired_here(s))
      row.status = row_status::updated;
    return std::nullopt;
  }

  /// The certificates that ended, in the lists of the authorities that are ours. A step that is
  /// done again does it again.
  model::status list_revocations(const std::vector<actors::answer>& before,
                                 const std::vector<actors::answer>& after) const {
    const auto known = parts_.known->current();
    const auto* org = known->organisation(operation().organisation);
    auto asked = std::vector<actors::question>{};
    for (const auto* answers : {&before, &after})
      for (const auto& a : *answers)
        if (const auto* found = snapshot_in(a); org && found && !found->what->retirement().empty())
          for (auto& row : revocations_of(*found->what, *org->state))
            asked.push_back(
                {org->id, model::organisation::command{std::move(row), operation().actor, {}}});
    const auto answers = ask_all(std::move(asked));
    return answers ? model::status{} : model::status{answers.error()};
  }

  void settle(row_outcome& row, const actors::answer& got) const {
    // Whoever is asked again after an answer that was lost may say that it is gone, or is so.
    const auto again = !got && ((removes() && got.error().code == errc::not_found) ||
                                (retires() && got.error().reason == "device_retired"));
    if (got || again) {
      row.status = removes() ? row_status::deleted : row_status::updated;
    } else if (got.error().reason == "state_conflict" || got.error().reason == "not_connected") {
      row.status = row_status::unchanged;
    } else {
      auto id = std::move(row.id);
      row = failed_row(row.index, {row.product_key, row.device_key}, got.error());
      row.id = std::move(id);
    }
  }

  /// What asset trees still show of them goes.
  model::status leave_trees(const std::vector<model::entity_id>& gone) const {
    if (gone.empty())
      return {};
    const auto& organisation = operation().organisation;
    const auto shard = actors::tree_shard(organisation, parts_.shard_count);
    const auto found = actors::read_and_wait(
        *parts_.query, actors::tree_question{shard, organisation, actors::find_assets{gone}});
    if (!found)
      return found.error();
    auto asked = std::vector<actors::question>{};
    for (const auto& n : found->nodes)
      if (n.what.asset)
        asked.push_back(
            {n.tree, tree::command{
                         tree::release_asset{*n.what.asset}, operation().actor, {}, organisation}});
    const auto answers = ask_all(std::move(asked));
    return answers ? model::status{} : model::status{answers.error()};
  }

  std::string action_;
};

}  // namespace

std::unique_ptr<actors::operation_work> bulk_work(work_parts parts, actors::work_order order,
                                                  model::value request) {
  return std::make_unique<device_bulk>(std::move(parts), std::move(order), std::move(request));
}

}  // namespace orrery::transport::api
