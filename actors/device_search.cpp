#include "actors/device_search.hpp"

#include <algorithm>

#include "actors/kinds.hpp"
#include "model/encoding.hpp"
#include "model/json.hpp"
#include "model/time_text.hpp"
#include "storage/keys.hpp"

namespace orrery::actors {
namespace {

namespace filter = model::filter;
namespace keys = storage::keys;
using device::search_field;
using model::entity_id;
using model::errc;
using model::failure;
using model::shard_id;
using storage::family;

/// A shard's rows of an index that are looked at to learn which way is the cheapest: twice as many
/// each time until one way has fewer.
constexpr std::size_t first_probe = 64, last_probe = 16'384;
/// So many devices of a shard are looked at to sort or count them.
constexpr std::size_t most_of_a_shard = 100'000;
/// Beyond so many of a shard an order is read from its index instead of sorting what is found.
constexpr std::size_t most_sorted = 512;

constexpr search_field field_of(const filter::field_place& where) {
  return static_cast<search_field>(where.number);
}

/// The field as its index is called.
std::string index_of(const filter::field_place& where) {
  const auto& name = device::search_fields()[where.number].name;
  if (where.key.empty())
    return search_index(name);
  return search_index(name.substr(0, name.size() - 1) + where.key);  // "tags.*"
}

/// All of an organisation in one index.
std::string prefix_of(shard_id shard, const std::string& index, const std::string& organisation) {
  return keys::index_prefix(shard, index) + search_value(organisation, "");
}

/// The bytes of the value in a row of an index; nothing for what is none.
std::optional<std::string_view> value_of(std::string_view key, const std::string& organisation) {
  const auto all = keys::index_value_of(key);
  const auto ahead = organisation.size() + 1;
  if (!all || all->size() < ahead)
    return std::nullopt;
  return all->substr(ahead);
}

/// Where the rows of a value begin that stand behind a device, which may be of another shard.
std::string first_key(shard_id shard, const std::string& index, const std::string& value,
                      const entity_id& behind) {
  if (behind.shard == shard)
    return keys::index(shard, index, value, behind);
  // All of a value are of one side there: behind it, or before it and to be passed over.
  auto end = entity_id{.shard = shard, .ulid = {}};
  end.ulid.fill(shard < behind.shard ? 0xff : 0);
  return keys::index(shard, index, value, end);
}

std::string shard_key(const entity_id& id) {
  return keys::state(model::entity_kind::device, id);
}

/// What is read of a device beside its snapshot, if a filter wants it.
device::searched_device::telemetry_reader telemetry_of(const entity_id& id,
                                                       const storage::row_reader& store) {
  return [&id, &store](device::telemetry& into, model::timestamp& last_data) {
    if (const auto row = store.get(family::latest, keys::latest(id)); row && *row)
      if (!device::decode_latest(**row, into, last_data))
        into = {};  // damaged: as if it had none; reading the device itself says so
  };
}

model::value shown(const filter::datum& d) {
  if (const auto* b = std::get_if<bool>(&d))
    return *b;
  if (const auto* i = std::get_if<std::int64_t>(&d))
    return *i;
  if (const auto* n = std::get_if<double>(&d)) {
    // 5.0 is 5: equal values are one group.
    const auto same = filter::from_index_value(filter::index_value(d));
    const auto* whole = same ? std::get_if<std::int64_t>(&*same) : nullptr;
    return whole ? model::value{*whole} : model::value{*n};
  }
  if (const auto* t = std::get_if<model::timestamp>(&d))
    return model::to_text(*t);
  if (const auto* t = std::get_if<std::string_view>(&d))
    return *t;
  return {};
}

model::status add(device_counts& into, const model::array& group, std::uint64_t n) {
  auto& count = into.of[model::to_json(group)];
  count += n;
  if (into.of.size() > max_count_groups)
    return failure{errc::too_large, "too_many_groups",
                   "more than " + std::to_string(max_count_groups) +
                       " groups: narrow the filter or group by less"};
  return {};
}

failure too_wide() {
  return {
      errc::too_large, "search_too_wide",
      "more than " + std::to_string(most_of_a_shard) +
          " devices of one shard would have to be looked at: narrow the filter by a field of the "
          "index, or sort by one"};
}

/// True if only a device that is out of service can fulfil it.
bool wants_retired(const filter::requirement& r) {
  return !r.any_of.empty() && std::all_of(r.any_of.begin(), r.any_of.end(), [](const auto& s) {
    return field_of(s.where) == search_field::status && s.what == filter::span::kind::values &&
           !s.values.empty() &&
           std::all_of(s.values.begin(), s.values.end(), [](const filter::operand& v) {
             const auto* text = std::get_if<std::string>(&v);
             return text && *text == "retired";
           });
  });
}

/// The device of an assetId, if it is one of the shard.
std::optional<entity_id> is_in(shard_id shard, const filter::operand& asset) {
  const auto id = model::parse_entity_id(std::get<std::string>(asset));
  return id && id->shard == shard ? id : std::nullopt;
}

/// The whole filter is one comparison.
const filter::checked_condition* only_condition(
    const std::optional<filter::checked_filter>& wanted) {
  return wanted && wanted->what == filter::checked_filter::kind::one ? &wanted->test : nullptr;
}

}  // namespace

// ---- the question -------------------------------------------------------------------------------

model::status device_search::read(const std::string& organisation, const std::string& text) {
  organisation_ = organisation;
  if (text.empty())
    return {};
  const auto parsed = filter::parse(text, device::wide_limits());
  if (!parsed)
    return parsed.error();
  auto checked = filter::check(*parsed, device::search_fields());
  if (!checked)
    return checked.error();
  filter_ = std::move(*checked);
  needs_ = filter::requirements(*filter_, device::search_fields());
  retired_ = std::any_of(needs_.begin(), needs_.end(), wants_retired);
  if (retired_)
    needs_.clear();  // no other index has them
  std::erase_if(needs_, [](const filter::requirement& r) {
    return std::any_of(r.any_of.begin(), r.any_of.end(), [](const filter::span& s) {
      return !device::is_indexed(s.where) ||
             (field_of(s.where) == search_field::asset_id && s.what != filter::span::kind::values);
    });
  });
  return {};
}

model::result<device_search> device_search::make(const device_list_question& q) {
  auto made = device_search{};
  if (auto ok = made.read(q.organisation, q.filter); !ok)
    return ok.error();
  if (!q.sort.empty()) {
    auto order = filter::parse_sort(q.sort, device::search_fields());
    if (!order)
      return order.error();
    made.order_ = std::move(*order);
  }
  return made;
}

model::result<device_search> device_search::make(const device_count_question& q) {
  auto made = device_search{};
  if (auto ok = made.read(q.organisation, q.filter); !ok)
    return ok.error();
  if (!q.sum.empty()) {
    auto where = device::search_fields().find({q.sum});
    if (!where || device::search_fields()[where->number].type != filter::field_type::number)
      return failure{errc::invalid_argument, "bad_group", q.sum + " is no field of numbers"};
    made.summed_ = std::move(*where);
  }
  made.every_tag_ = q.groups == every_tag;
  if (q.groups.empty() || made.every_tag_)
    return made;
  const auto paths = filter::parse_paths(q.groups, max_count_fields, false, "bad_group");
  if (!paths)
    return paths.error();
  for (const auto& p : *paths) {
    auto where = device::search_fields().find(p.names);
    if (!where || field_of(*where) == search_field::points ||
        device::search_fields()[where->number].type == filter::field_type::texts)
      return failure{errc::invalid_argument, "bad_group",
                     filter::print(p.names) +
                         " is no field that devices are grouped by; there are: " +
                         device::search_fields().names()};
    made.groups_.push_back(std::move(*where));
  }
  return made;
}

bool device_search::before(const sorted_place& a, const sorted_place& b) const {
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const auto &x = a.by[i], &y = b.by[i];
    if (x == y)
      continue;
    if (!x || !y)
      return x.has_value();  // what a device does not have comes last
    return (*x < *y) != order_[i].descending;
  }
  return !order_.empty() && order_.front().descending ? b.id < a.id : a.id < b.id;
}

sort_values device_search::values_of(const filter::record& seen) const {
  auto all = sort_values{};
  for (const auto& k : order_) {
    auto bytes = filter::index_value(seen.value(k.where.number, k.where.key));
    all.push_back(bytes.empty() ? std::nullopt : std::optional{std::move(bytes)});
  }
  return all;
}

// ---- one device ---------------------------------------------------------------------------------

/// Nothing: it is not one of those who are asked for, or is gone.
model::result<std::optional<listed_device>> device_search::look(
    const entity_id& id, const storage::row_reader& store) const {
  const auto row = store.get(family::state, shard_key(id));
  if (!row)
    return row.error();
  if (!*row)
    return std::optional<listed_device>{};
  auto state = std::make_shared<device::state>();
  const auto revision = device::decode_state(**row, *state);
  if (!revision)
    return revision.error();
  if (state->organisation() != organisation_ || state->retirement().empty() == retired_)
    return std::optional<listed_device>{};
  const auto seen = device::searched_device{id, *state, telemetry_of(id, store)};
  if (filter_ && !filter::accepts(*filter_, seen))
    return std::optional<listed_device>{};
  auto by = values_of(seen);
  return std::optional{listed_device{id, *revision, std::move(state), std::move(by)}};
}

// ---- ways into the index ------------------------------------------------------------------------

device_search::estimated_way device_search::cheapest(shard_id shard,
                                                     const storage::row_reader& store,
                                                     std::size_t most) const {
  auto best = way{nullptr};
  auto fewest = most;
  for (auto probe = std::min(first_probe, most); !best && !needs_.empty();
       probe = std::min(4 * probe, most)) {
    for (const auto& r : needs_) {
      auto found = std::size_t{0};
      for (const auto& s : r.any_of) {
        if (field_of(s.where) == search_field::asset_id) {
          for (const auto& v : s.values)
            found += is_in(shard, v) ? 1 : 0;
          continue;
        }
        const auto index = index_of(s.where);
        const auto prefix = prefix_of(shard, index, organisation_);
        for (const auto& run : filter::runs_of(s)) {
          // What cannot be read fails where it is read for its own sake.
          (void)store.scan(family::index, prefix, prefix + run.from, false,
                           [&](std::string_view key, auto) {
                             const auto v = value_of(key, organisation_);
                             found += v && run.has(*v) ? 1 : 0;
                             return found < probe && !(v && run.is_past(*v));
                           });
          if (found >= probe)
            break;
        }
      }
      if (found < probe && (!best || found < fewest)) {
        best = &r;
        fewest = found;
      }
    }
    if (probe == most)
      break;
  }
  if (best)
    return {best, true};
  return {needs_.empty() ? nullptr : &needs_.front(), false};  // all are wide
}

/// Where only one way leads nothing has to be compared.
device_search::way device_search::cheapest(shard_id shard, const storage::row_reader& store) const {
  if (needs_.size() < 2)
    return needs_.empty() ? nullptr : &needs_.front();
  return cheapest(shard, store, last_probe).what;
}

/// All that fulfil a requirement, in order, none twice.
model::result<device_search::ids> device_search::ids_of(const filter::requirement& r,
                                                        shard_id shard,
                                                        const storage::row_reader& store) const {
  auto found = ids{};
  for (const auto& s : r.any_of) {
    if (field_of(s.where) == search_field::asset_id) {
      for (const auto& v : s.values)
        if (const auto id = is_in(shard, v))
          found.push_back(*id);
      continue;
    }
    const auto prefix = prefix_of(shard, index_of(s.where), organisation_);
    for (const auto& run : filter::runs_of(s)) {
      const auto read = store.scan(family::index, prefix, prefix + run.from, false,
                                   [&](std::string_view key, auto) {
                                     const auto v = value_of(key, organisation_);
                                     const auto id = keys::entity_of(key);
                                     if (v && id && run.has(*v))
                                       found.push_back(*id);
                                     return !(v && run.is_past(*v));
                                   });
      if (!read)
        return read.error();
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

/// Devices in the order of their ids that may be asked for, until `each` gives false.
model::status device_search::visit(way w, shard_id shard, const std::optional<entity_id>& from,
                                   const storage::row_reader& store, const visitor& each) const {
  auto how = model::status{};
  const auto go_on = [&](const entity_id& id) {
    auto more = each(id);
    if (!more)
      how = more.error();
    return more && *more;
  };
  // All of one value stand in the order of ids already.
  auto index = search_index(retired_ ? "retired" : "");
  auto value = search_value(organisation_, "");
  if (w) {
    const auto& s = w->any_of.front();
    const auto runs = w->any_of.size() == 1 && field_of(s.where) != search_field::asset_id
                          ? filter::runs_of(s)
                          : std::vector<filter::index_run>{};
    if (runs.size() != 1 || !runs.front().is_one()) {
      const auto all = ids_of(*w, shard, store);
      if (!all)
        return all.error();
      auto at = from ? std::lower_bound(all->begin(), all->end(), *from) : all->begin();
      while (at != all->end() && go_on(*at))
        ++at;
      return how;
    }
    index = index_of(s.where);
    value += runs.front().from;
  }
  const auto read = store.scan(family::index, keys::index_prefix(shard, index, value),
                               from ? keys::index(shard, index, value, *from) : "", false,
                               [&](std::string_view key, auto) {
                                 const auto id = keys::entity_of(key);
                                 return !id || go_on(*id);
                               });
  return read ? how : read;
}

// ---- lists --------------------------------------------------------------------------------------

model::result<std::optional<entity_id>> device_search::list(
    shard_id shard, const std::optional<entity_id>& from, std::size_t limit, budget& looks,
    const storage::row_reader& store, std::vector<listed_device>& into) const {
  auto next = std::optional<entity_id>{};
  const auto done = visit(cheapest(shard, store), shard, from, store,
                          [&](const entity_id& id) -> model::result<bool> {
                            if (looks.left == 0) {
                              next = id;
                              return false;
                            }
                            --looks.left;
                            auto found = look(id, store);
                            if (!found)
                              return found.error();
                            if (!*found)
                              return true;
                            // Whoever reads the cursor learns of nobody that the filter leaves out.
                            if (into.size() >= limit) {
                              next = id;
                              return false;
                            }
                            into.push_back(std::move(**found));
                            return true;
                          });
  if (!done)
    return done.error();
  return next;
}

/// The first `limit` of the devices that were added.
class device_search::first_few {
  auto before() const {
    return [this](const listed_device& a, const listed_device& b) {
      return search_.before({a.by, a.id}, {b.by, b.id});
    };
  }

 public:
  first_few(const device_search& search, std::size_t limit) : search_{search}, limit_{limit} {}
  void add(listed_device d) {
    if (heap_.size() == limit_ && (limit_ == 0 || !before()(d, heap_.front())))
      return;
    heap_.push_back(std::move(d));
    std::push_heap(heap_.begin(), heap_.end(), before());
    if (heap_.size() <= limit_)
      return;
    std::pop_heap(heap_.begin(), heap_.end(), before());
    heap_.pop_back();
  }
  std::vector<listed_device> take() {
    std::sort_heap(heap_.begin(), heap_.end(), before());
    return std::move(heap_);
  }

 private:
  const device_search& search_;
  std::size_t limit_;
  std::vector<listed_device> heap_;  // the last of them in front
};

/// The rows that one shard has in the index of the order, behind a place: some are read at a time,
/// for of many shards few of each are wanted.
class device_search::index_reader {
 public:
  index_reader(const device_search& search, shard_id shard,
               const std::optional<sorted_place>& after, const storage::row_reader& store)
      : search_{&search}, store_{&store}, last_{after} {
    const auto index = index_of(search.order_.front().where);
    prefix_ = prefix_of(shard, index, search.organisation_);
    if (after)
      from_ = first_key(shard, index, search_value(search.organisation_, *after->by.front()),
                        after->id);
  }

  /// Where it stands; null: there are no more.
  const sorted_place* here() const { return at_ < rows_.size() ? &rows_[at_] : nullptr; }
  std::size_t passed() const { return passed_; }

  /// Goes to the next row; to the first one at the begin.
  model::status next() {
    ++passed_;
    if (at_ + 1 < rows_.size()) {
      ++at_;
      return {};
    }
    at_ = 0;
    rows_.clear();
    if (at_end_)
      return {};
    auto read = store_->scan(family::index, prefix_, from_, search_->order_.front().descending,
                             [&](std::string_view key, auto) {
                               const auto id = keys::entity_of(key);
                               const auto value = value_of(key, search_->organisation_);
                               if (!id || !value)
                                 return true;
                               auto place = sorted_place{{std::string{*value}}, *id};
                               if (last_ && !search_->before(*last_, place))
                                 return true;
                               rows_.push_back(std::move(place));
                               if (rows_.size() < some_)
                                 return true;
                               from_ = key;
                               return false;
                             });
    at_end_ = rows_.size() < some_;
    if (!at_end_)
      last_ = rows_.back();
    some_ = std::min(4 * some_, std::size_t{1024});
    return read;
  }

 private:
  const device_search* search_;
  const storage::row_reader* store_;
  std::string prefix_, from_;
  std::optional<sorted_place> last_;  // what is read next stands behind it
  std::vector<sorted_place> rows_;
  std::size_t at_ = 0;
  std::size_t passed_ = 0;
  std::size_t some_ = 8;
  bool at_end_ = false;
};

model::result<std::vector<listed_device>> device_search::sorted(
    const std::vector<shard_id>& shards, const std::optional<sorted_place>& after,
    std::size_t limit, const storage::row_reader& store) const {
  const auto has_order =
      !retired_ && order_.size() == 1 && device::is_indexed(order_.front().where);
  auto few = first_few{*this, limit};
  auto in_order = std::vector<shard_id>{};
  for (const auto shard : shards) {
    if (has_order) {
      // Devices are spread evenly: where one shard has many, the others do.
      const auto is_wide = !in_order.empty() || !cheapest(shard, store, most_sorted).is_narrow;
      if (is_wide) {
        in_order.push_back(shard);
        continue;
      }
    }
    if (auto ok = first_of(cheapest(shard, store), shard, after, store, few); !ok)
      return ok.error();
  }
  if (in_order.empty())
    return few.take();
  auto found = std::vector<listed_device>{};
  auto ok = in_index_order(in_order, after, limit, store, found);
  if (order_.front().descending)
    std::reverse(in_order.begin(), in_order.end());
  for (auto s = in_order.begin(); ok && s != in_order.end() && found.size() < limit; ++s)
    ok = without_value(*s, after, limit, store, found);
  if (!ok)
    return ok.error();
  for (auto& d : found)
    few.add(std::move(d));
  return few.take();
}

/// Looks at all that a way leads to in a shard.
model::status device_search::first_of(way w, shard_id shard,
                                      const std::optional<sorted_place>& after,
                                      const storage::row_reader& store, first_few& into) const {
  auto looks = std::size_t{0};
  return visit(w, shard, std::nullopt, store, [&](const entity_id& id) -> model::result<bool> {
    if (++looks > most_of_a_shard)
      return too_wide();
    auto found = look(id, store);
    if (!found)
      return found.error();
    if (*found && (!after || before(*after, {(*found)->by, (*found)->id})))
      into.add(std::move(**found));
    return true;
  });
}

/// Those of several shards that have a value in the one field of the order.
model::status device_search::in_index_order(const std::vector<shard_id>& shards,
                                            const std::optional<sorted_place>& after,
                                            std::size_t limit, const storage::row_reader& store,
                                            std::vector<listed_device>& into) const {
  if (after && !after->by.front())
    return {};  // past them
  auto readers = std::vector<index_reader>{};
  readers.reserve(shards.size());
  auto heads = std::vector<index_reader*>{};  // a heap, the first of them in front
  const auto later = [this](const index_reader* a, const index_reader* b) {
    return before(*b->here(), *a->here());
  };
  const auto go_on = [&](index_reader& r) {
    auto ok = r.next();
    if (ok && r.here()) {
      heads.push_back(&r);
      std::push_heap(heads.begin(), heads.end(), later);
    }
    return ok;
  };
  for (const auto shard : shards)
    if (auto ok = go_on(readers.emplace_back(*this, shard, after, store)); !ok)
      return ok;
  while (!heads.empty() && into.size() < limit) {
    std::pop_heap(heads.begin(), heads.end(), later);
    auto& r = *heads.back();
    heads.pop_back();
    if (r.passed() > most_of_a_shard)
      return too_wide();
    const auto& place = *r.here();
    auto found = look(place.id, store);
    if (!found)
      return found.error();
    // A row that does not fit its device is of before: the device is found where its row stands.
    if (*found && (*found)->by == place.by)
      into.push_back(std::move(**found));
    if (auto ok = go_on(r); !ok)
      return ok;
  }
  return {};
}

/// Those that have none: behind all others.
model::status device_search::without_value(shard_id shard, const std::optional<sorted_place>& after,
                                           std::size_t limit, const storage::row_reader& store,
                                           std::vector<listed_device>& into) const {
  const auto& by = order_.front();
  if (device::is_always_there(field_of(by.where)))
    return {};
  const auto past = after && !after->by.front();
  const auto index = search_index(""), value = search_value(organisation_, "");
  const auto from = past ? first_key(shard, index, value, after->id) : std::string{};
  auto how = model::status{};
  auto looks = std::size_t{0};
  const auto read = store.scan(family::index, keys::index_prefix(shard, index, value), from,
                               by.descending, [&](std::string_view key, auto) {
                                 const auto id = keys::entity_of(key);
                                 if (!id || (past && !before(*after, {{std::nullopt}, *id})))
                                   return true;
                                 if (++looks > most_of_a_shard) {
                                   how = too_wide();
                                   return false;
                                 }
                                 auto found = look(*id, store);
                                 if (!found) {
                                   how = found.error();
                                   return false;
                                 }
                                 if (*found && !(*found)->by.front())
                                   into.push_back(std::move(**found));
                                 return into.size() < limit;
                               });
  return read ? how : read;
}

// ---- counts -------------------------------------------------------------------------------------

/// What the index alone can count. False: the devices have to be looked at.
bool device_search::count_by_index(shard_id shard, const storage::row_reader& store,
                                   device_counts& into, model::status& how) const {
  if (retired_ || groups_.size() > 1 || (!groups_.empty() && filter_) ||
      (summed_ && (filter_ || !groups_.empty() || !device::is_indexed(*summed_))))
    return false;
  const auto rows = [&](const std::string& prefix, const std::string& from, const auto& each) {
    how = store.scan(family::index, prefix, from, false,
                     [&](std::string_view key, auto) { return each(key); });
    return how.has_value();
  };
  const auto all_of = [&](std::uint64_t& n) {
    return rows(keys::index_prefix(shard, search_index(""), search_value(organisation_, "")), "",
                [&](auto) { return ++n, true; });
  };
  auto total = std::uint64_t{0};
  if (summed_) {
    // Where a value does not tell the number, the devices are asked.
    auto telling = true;
    const auto add_up = [&](std::string_view key) {
      const auto v = value_of(key, organisation_);
      const auto number = v ? filter::from_index_value(*v) : std::nullopt;
      const auto* n = number ? std::get_if<std::int64_t>(&*number) : nullptr;
      telling = !v || n;
      total += n ? static_cast<std::uint64_t>(*n) : 0;
      return telling;
    };
    const auto& name = device::search_fields()[summed_->number].name;
    const auto is_read =
        rows(prefix_of(shard, index_of(*summed_), organisation_), "", add_up) && telling &&
        rows(prefix_of(shard, search_index("retired." + name), organisation_), "", add_up);
    if (is_read && telling && total > 0)
      how = add(into, {}, total);
    return telling;
  }
  if (groups_.empty()) {
    if (filter_) {
      const auto* c = only_condition(filter_);
      if (!c || needs_.size() != 1 || needs_.front().any_of.size() != 1 ||
          field_of(c->where) == search_field::asset_id)
        return false;
      const auto runs = filter::runs_of(needs_.front().any_of.front());
      if (!std::all_of(runs.begin(), runs.end(), [](const auto& run) { return run.exact; }))
        return false;
      const auto prefix = prefix_of(shard, index_of(c->where), organisation_);
      for (const auto& run : runs)
        if (!rows(prefix, prefix + run.from, [&](std::string_view key) {
              const auto v = value_of(key, organisation_);
              total += v && run.has(*v) ? 1 : 0;
              return !(v && run.is_past(*v));
            }))
          return true;
    } else if (!all_of(total)) {
      return true;
    }
    if (total > 0)
      how = add(into, {}, total);
    return true;
  }
  const auto& where = groups_.front();
  if (!device::is_indexed(where) || field_of(where) == search_field::asset_id)
    return false;
  auto of_value = std::map<std::string, std::uint64_t, std::less<>>{};
  auto with_value = std::uint64_t{0};
  auto telling = true;
  auto last = of_value.end();
  if (!rows(prefix_of(shard, index_of(where), organisation_), "", [&](std::string_view key) {
        const auto v = value_of(key, organisation_);
        if (!v)
          return true;
        if (last == of_value.end() || last->first != *v) {
          telling = filter::from_index_value(*v).has_value();
          last = of_value.try_emplace(std::string{*v}, 0).first;
        }
        ++last->second;
        ++with_value;
        return telling && of_value.size() <= max_count_groups;
      }))
    return true;
  if (!telling)
    return false;
  for (const auto& [bytes, n] : of_value) {
    const auto v = filter::from_index_value(bytes);
    if (how = add(into, {shown(filter::datum_of(*v))}, n); !how)
      return true;
  }
  if (all_of(total) && total > with_value)
    how = add(into, {nullptr}, total - with_value);
  return true;
}

model::status device_search::add_tag_of(const std::optional<entity_id>& id, const std::string& key,
                                        const storage::row_reader& store, tag_counts& into) const {
  if (!id)
    return {};
  const auto found = look(*id, store);
  if (!found)
    return found.error();
  if (!*found)
    return {};
  const auto& tags = *(*found)->what->tags;
  if (const auto at = tags.find(key); at != tags.end())
    into.add(key, at->second, 1);
  return {};
}

/// The index has a row for each tag of each device, by key, organisation and value. A value that is
/// too long for it is read of its device.
model::status device_search::tags_in_index(shard_id shard, const storage::row_reader& store,
                                           tag_counts& into) const {
  const auto field = search_index("tags.");
  auto of_all = keys::index_prefix(shard, field);
  of_all.pop_back();  // the names of indexes that begin so
  auto looks = std::size_t{0};
  for (auto from = of_all;; ++looks) {
    if (looks > most_of_a_shard)  // keys of all organisations stand in line
      return too_wide();
    auto key = std::string{};
    auto read = store.scan(family::index, of_all, from, false, [&](std::string_view row, auto) {
      const auto rest = row.substr(of_all.size());
      key = rest.substr(0, rest.find('\0'));
      return false;
    });
    if (!read || key.empty() || !into.takes(key))
      return read;
    auto how = model::status{};
    auto last = std::string{}, text = std::string{};
    auto devices = std::uint64_t{0};
    const auto settle = [&] {
      if (devices > 0)
        into.add(key, text, devices);
      devices = 0;
    };
    read = store.scan(family::index, prefix_of(shard, field + key, organisation_), "", false,
                      [&](std::string_view row, auto) {
                        const auto v = value_of(row, organisation_);
                        if (!v)
                          return true;
                        if (devices == 0 || *v != last) {
                          settle();
                          last = *v;
                          const auto told = filter::from_index_value(last);
                          const auto* said = told ? std::get_if<std::string>(&*told) : nullptr;
                          if (!said && ++looks > most_of_a_shard)
                            how = too_wide();
                          else if (!said)
                            how = add_tag_of(keys::entity_of(row), key, store, into);
                          if (!said)
                            return how.has_value();
                          text = *said;
                        }
                        ++devices;
                        return true;
                      });
    settle();
    if (!read || !how)
      return read ? how : read;
    from = keys::index_prefix(shard, field + key);
    from.back() = '\x01';  // behind all of that key
  }
}

model::status device_search::count_tags(shard_id shard, const storage::row_reader& store,
                                        device_counts& into) const {
  auto all = tag_counts{};
  all.add(into);
  auto looks = std::size_t{0};
  auto how = filter_ ? visit(cheapest(shard, store), shard, std::nullopt, store,
                             [&](const entity_id& id) -> model::result<bool> {
                               if (++looks > most_of_a_shard)
                                 return too_wide();
                               const auto found = look(id, store);
                               if (!found)
                                 return found.error();
                               if (*found)
                                 for (const auto& [key, text] : *(*found)->what->tags)
                                   all.add(key, text, 1);
                               return true;
                             })
                     : tags_in_index(shard, store, all);
  if (how)
    into = all.counts();
  return how;
}

model::status device_search::count(shard_id shard, const storage::row_reader& store,
                                   device_counts& into) const {
  if (every_tag_)
    return count_tags(shard, store, into);
  auto how = model::status{};
  if (count_by_index(shard, store, into, how))
    return how;
  auto looks = std::size_t{0};
  return visit(
      cheapest(shard, store), shard, std::nullopt, store,
      [&](const entity_id& id) -> model::result<bool> {
        if (++looks > most_of_a_shard)
          return too_wide();
        auto found = look(id, store);
        if (!found)
          return found.error();
        if (!*found)
          return true;
        const auto seen = device::searched_device{id, *(*found)->what, telemetry_of(id, store)};
        auto group = model::array{};
        for (const auto& g : groups_)
          group.push_back(shown(seen.value(g.number, g.key)));
        auto n = std::uint64_t{1};
        if (summed_) {
          const auto v = seen.value(summed_->number, summed_->key);
          const auto* number = std::get_if<std::int64_t>(&v);
          n = number && *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
        }
        if (auto ok = add(into, group, n); !ok)
          return ok.error();
        return true;
      });
}

// ---- places -------------------------------------------------------------------------------------

std::string write_place(const sorted_place& p) {
  auto out = model::byte_writer{};
  model::write(out, p.by);
  out.id(p.id);
  return out.take();
}

std::optional<sorted_place> read_place(std::string_view text) {
  auto in = model::byte_reader{text};
  auto p = sorted_place{};
  model::read(in, p.by);
  p.id = in.id();
  if (!in.ok() || !in.at_end())
    return std::nullopt;
  return p;
}

}  // namespace orrery::actors
