#include "cluster/shard_deadlines.hpp"

#include "storage/keys.hpp"

namespace orrery::cluster {
namespace {

namespace keys = storage::keys;
constexpr auto horizon = std::chrono::minutes{10};
constexpr auto refused_pause = std::chrono::seconds{1};

}  // namespace

void shard_deadlines::clear() {
  all_.clear();
  told_.clear();
  until_ = {};
  loaded_ = false;
}

model::status shard_deadlines::load(const storage::entity_store& store, model::timestamp now) {
  using kind = model::entity_kind;
  if (loaded_ && now + horizon / 2 <= until_)
    return {};
  const auto until = now + horizon;
  for (const auto& [index, of] : {std::pair{"due", kind::device},
                                  {"client-due", kind::client},
                                  {"topic-due", kind::topic},
                                  {"operation-due", kind::operation},
                                  {"audit-due", kind::audit_log}}) {
    const auto prefix = keys::index_prefix(shard_, index);
    const auto ok = store.scan(storage::family::index, prefix,
                               loaded_ ? prefix + keys::ordered(until_) : std::string{}, false,
                               [&, kind_of_index = of](auto key, auto) {
                                 const auto id = keys::entity_of(key);
                                 const auto value = keys::index_value_of(key);
                                 if (!id || !value)
                                   return true;
                                 const auto at = keys::from_ordered(*value);
                                 if (at > until)
                                   return false;
                                 all_[at].emplace(*id, kind_of_index);
                                 return true;
                               });
    if (!ok)
      return ok;
  }
  until_ = until;
  loaded_ = true;
  return {};
}

void shard_deadlines::add(model::timestamp at, const model::entity_id& id,
                          model::entity_kind kind) {
  if (at <= until_)
    all_[at].emplace(id, kind);
}

std::vector<shard_deadlines::told> shard_deadlines::take(model::timestamp now) {
  auto taken = std::vector<told>{};
  while (!all_.empty() && all_.begin()->first <= now) {
    for (const auto& one : all_.begin()->second) {
      told_.emplace(++last_number_, one);
      taken.push_back({last_number_, one.first, one.second});
    }
    all_.erase(all_.begin());
  }
  return taken;
}

void shard_deadlines::settle(const actors::settled& item, model::timestamp now) {
  const auto at = told_.find(item.number);
  if (at == told_.end())
    return;
  if (!item.what && model::may_work_later(item.what.error()))
    all_[now + refused_pause].insert(at->second);
  told_.erase(at);
}

}  // namespace orrery::cluster
