#include "actors/tree_reads.hpp"

#include <algorithm>

#include "actors/kinds.hpp"
#include "actors/tree_rows.hpp"
#include "model/asset/asset.hpp"
#include "model/bytes.hpp"
#include "model/device/device.hpp"
#include "storage/keys.hpp"

namespace orrery::actors {
namespace {

namespace keys = storage::keys;
namespace tree = model::tree;
using model::entity_kind;
using model::errc;
using model::failure;
using storage::family;

/// A walk looks at no more for one page, so that one of few devices does not go through a whole
/// tree.
constexpr std::size_t max_looked_at = 20'000;

failure bad_cursor() {
  return {errc::invalid_argument, "bad_cursor", "that cursor is none of ours: begin without one"};
}

using trail = std::vector<std::string>;  // places, from below the first node down to one

std::string write_trail(const trail& places) {
  auto out = model::byte_writer{};
  out.varint(places.size());
  for (const auto& place : places)
    out.text(place);
  return out.take();
}

std::optional<trail> read_trail(std::string_view bytes) {
  auto in = model::byte_reader{bytes};
  auto places = trail{};
  for (auto n = in.count(); n > 0 && in.ok(); --n)
    places.emplace_back(in.text());
  if (!in.ok() || !in.at_end() || places.size() > tree::max_depth)
    return std::nullopt;
  return places;
}

class walk {
 public:
  walk(const walk_nodes& q, const tree::node_source& nodes, tree_page& into)
      : q_{q}, nodes_{nodes}, page_{into} {}

  model::status run() {
    auto first = std::optional<tree::node>{};
    if (q_.from) {
      auto found = tree::resolve(nodes_, *q_.from);
      if (!found)
        return found.error();
      first = std::move(*found);
    } else {
      return failure{errc::internal, "a walk begins nowhere"};
    }
    if (!first)
      return failure{errc::not_found, "node_unknown", "the tree has no such node"};
    const auto up = tree::above(nodes_, *first);
    if (!up)
      return up.error();
    level_ = up->size() + 1;
    if (q_.cursor.empty()) {
      if (q_.with_first)
        see(*first, level_);
    } else if (auto places = read_trail(q_.cursor)) {
      resume_ = std::move(*places);
    } else {
      return bad_cursor();
    }
    return below(first->id, 1, true);
  }

 private:
  void see(const tree::node& n, std::size_t level) {
    ++looked_at_;
    last_ = write_trail(trail_);
    if (!q_.devices_only || n.device)
      page_.nodes.push_back({q_.tree, static_cast<std::uint8_t>(level), n, {}});
  }
  bool is_full() const { return page_.nodes.size() >= q_.limit || looked_at_ >= max_looked_at; }
  bool goes_below(std::size_t depth) const { return q_.levels == 0 || depth < q_.levels; }

  /// The children of a node, `depth` levels below the first, and what is below them. `resumes`: it
  /// is on the way to where the page before ended.
  model::status below(const model::entity_id& parent, std::size_t depth, bool resumes) {
    auto from = std::string{};
    if (resumes && depth <= resume_.size()) {
      from = resume_[depth - 1];
      if (auto ok = finish(parent, from, depth); !ok || over_)
        return ok;
    }
    auto failed = model::status{};
    auto ok = nodes_.children(parent, from, false, [&](std::string_view place, const auto& id) {
      if (is_full()) {
        page_.next = last_;
        over_ = true;
        return false;
      }
      const auto n = nodes_.find(id);
      if (!n || !*n) {
        failed = n ? failure{errc::corrupted, "node " + to_string(id) + " has a place and no row"}
                   : n.error();
        return false;
      }
      trail_.emplace_back(place);
      see(**n, level_ + depth);
      if (goes_below(depth) && !(*n)->below.empty())
        failed = below(id, depth + 1, false);
      trail_.pop_back();
      return failed.has_value() && !over_;
    });
    return ok ? failed : ok;
  }

  /// Goes on below a node that the page before ended with, or in.
  model::status finish(const model::entity_id& parent, const std::string& place,
                       std::size_t depth) {
    const auto id = tree::node_of(place, parent.shard);
    if (!id)
      return bad_cursor();
    const auto n = nodes_.find(*id);
    if (!n)
      return n.error();
    // It may have gone or moved since.
    if (!goes_below(depth) || !*n || (*n)->parent != parent || tree::place_of(**n) != place)
      return {};
    trail_.push_back(place);
    auto ok = below(*id, depth + 1, true);
    trail_.pop_back();
    return ok;
  }

  const walk_nodes& q_;
  const tree::node_source& nodes_;
  tree_page& page_;
  trail resume_, trail_;
  std::string last_;  // cursor behind what was seen last
  std::size_t level_ = 1, looked_at_ = 0;
  bool over_ = false;
};

class tree_reader {
 public:
  tree_reader(const tree_question& q, const storage::row_reader& from) : q_{q}, from_{from} {}

  model::result<tree_page> read() {
    auto ok = std::visit([&](const auto& what) { return read(what); }, q_.what);
    if (!ok)
      return ok.error();
    return std::move(page_);
  }

 private:
  model::result<std::optional<listed_tree>> tree_of(const model::entity_id& id) const {
    const auto none = std::optional<listed_tree>{};
    if (id.shard != q_.shard)
      return none;
    const auto row = from_.get(family::state, keys::state(entity_kind::tree, id));
    if (!row)
      return row.error();
    if (!*row)
      return none;
    auto found = listed_tree{id, {}};
    if (const auto revision = tree::decode_state(**row, found.what); !revision)
      return revision.error();
    if (found.what.organisation != q_.organisation)
      return none;
    return std::optional{std::move(found)};
  }
  model::status open(const model::entity_id& id) {
    auto found = tree_of(id);
    if (!found)
      return found.error();
    if (!*found)
      return failure{errc::not_found, "tree_unknown", "no such tree"};
    page_.revision = (*found)->what.revision;
    root_ = (*found)->what.root;
    return {};
  }
  model::result<std::vector<model::entity_id>> trees() const {
    auto ids = std::vector<model::entity_id>{};
    auto ok = from_.scan(family::index, keys::index_prefix(q_.shard, "tree", q_.organisation), {},
                         false, [&](auto key, auto) {
                           if (const auto id = keys::entity_of(key))
                             ids.push_back(*id);
                           return true;
                         });
    if (!ok)
      return ok.error();
    return ids;
  }
  model::status add(const model::entity_id& in, const tree_rows& nodes, tree::node n, bool with) {
    auto up = tree::above(nodes, n);
    if (!up)
      return up.error();
    auto& one = page_.nodes.emplace_back();
    one.tree = in;
    one.level = static_cast<std::uint8_t>(up->size() + 1);
    one.what = std::move(n);
    if (with)
      one.above = std::move(*up);
    return {};
  }

  model::status read(const list_trees&) {
    const auto ids = trees();
    if (!ids)
      return ids.error();
    for (const auto& id : *ids) {
      auto found = tree_of(id);
      if (!found)
        return found.error();
      if (*found)
        page_.trees.push_back(std::move(**found));
    }
    return {};
  }
  model::status read(const find_nodes& f) {
    if (auto ok = open(f.tree); !ok)
      return ok;
    const auto nodes = tree_rows{from_, f.tree};
    for (const auto& which : f.which) {
      auto n = tree::resolve(nodes, which);
      if (!n)
        return n.error();
      if (*n)
        if (auto ok = add(f.tree, nodes, std::move(**n), f.above); !ok)
          return ok;
    }
    return {};
  }
  model::status read(const walk_nodes& w) {
    if (auto ok = open(w.tree); !ok)
      return ok;
    auto from_root = w;
    if (!from_root.from)
      from_root.from = tree::by_node{root_};
    return walk{from_root, tree_rows{from_, w.tree}, page_}.run();
  }
  model::status read(const find_assets& f) {
    const auto ids = trees();
    if (!ids)
      return ids.error();
    for (const auto& id : *ids) {
      const auto nodes = tree_rows{from_, id};
      for (const auto& asset : f.assets) {
        auto n = tree::resolve(nodes, tree::by_asset{asset});
        if (!n)
          return n.error();
        if (*n)
          if (auto ok = add(id, nodes, std::move(**n), true); !ok)
            return ok;
      }
    }
    return {};
  }
  model::status read(const read_changes& r) {
    if (auto ok = open(r.tree); !ok)
      return ok;
    if (r.since >= page_.revision)
      return {};
    constexpr std::size_t most_notes = 10'000;  // of a page, if it has a change at all
    auto notes_read = std::size_t{0};
    auto failed = model::status{};
    auto ok =
        from_.scan(family::state, keys::tree_changes(r.tree),
                   keys::tree_change(r.tree, r.since + 1), false, [&](auto key, auto value) {
                     if (page_.changes.size() == r.limit || notes_read >= most_notes) {
                       page_.next = std::to_string(page_.changes.back().revision);
                       return false;
                     }
                     auto notes = tree::decode_notes(value);
                     if (!notes) {
                       failed = notes.error();
                       return false;
                     }
                     notes_read += notes->size();
                     page_.changes.push_back({keys::tree_revision_of(key), std::move(*notes)});
                     return true;
                   });
    if (!ok || !failed)
      return ok ? failed : ok;
    page_.gap = page_.changes.empty() || page_.changes.front().revision != r.since + 1;
    return {};
  }

  const tree_question& q_;
  const storage::row_reader& from_;
  tree_page page_;
  model::entity_id root_;
};

asset_facts facts_of(const model::entity_id& id, const model::device::state& s) {
  auto f = asset_facts{};
  f.id = id;
  f.device = true;
  f.organisation = s.organisation();
  f.name = s.display_name;
  f.description = *s.description;
  f.timezone = *s.timezone;
  f.product_key = s.name().product_key;
  f.device_key = s.name().device_key;
  f.status = model::device::status_of(s);
  f.tags = *s.tags;
  f.created_at = s.created_at;
  f.updated_at = s.updated_at;
  return f;
}

asset_facts facts_of(const model::entity_id& id, const model::asset::state& s) {
  auto f = asset_facts{};
  f.id = id;
  f.organisation = s.organisation;
  f.name = s.name;
  f.description = s.description;
  f.timezone = s.timezone;
  f.model_id = s.model_id;
  f.tags = s.tags;
  f.created_at = s.created_at;
  f.updated_at = s.updated_at;
  return f;
}

model::result<asset_facts> read_facts(entity_kind kind, const model::entity_id& id,
                                      std::string_view bytes) {
  if (kind == entity_kind::device) {
    auto s = model::device::state{};
    if (const auto revision = model::device::decode_state(bytes, s); !revision)
      return revision.error();
    return facts_of(id, s);
  }
  auto s = model::asset::state{};
  if (const auto revision = model::asset::decode_state(bytes, s); !revision)
    return revision.error();
  return facts_of(id, s);
}

constexpr entity_kind both_kinds[] = {entity_kind::device, entity_kind::asset};

}  // namespace

model::result<tree_page> read_tree(const tree_question& q, const storage::row_reader& from) {
  return tree_reader{q, from}.read();
}

model::result<asset_page> read_assets(const asset_facts_question& q,
                                      const storage::row_reader& from) {
  auto page = asset_page{};
  for (const auto& id : q.ids)
    for (const auto kind : both_kinds) {
      const auto row = from.get(family::state, keys::state(kind, id));
      if (!row)
        return row.error();
      if (!*row)
        continue;
      auto f = read_facts(kind, id, **row);
      if (!f)
        return f.error();
      if (f->organisation == q.organisation)
        page.assets.push_back(std::move(*f));
      break;
    }
  return page;
}

model::result<asset_page> read_assets(const asset_list_question& q,
                                      const storage::row_reader& from) {
  auto page = asset_page{};
  auto failed = model::status{};
  auto after = q.cursor;
  for (const auto kind : both_kinds) {
    if (q.sort != asset_sort::any &&
        (q.sort == asset_sort::device) != (kind == entity_kind::device))
      continue;
    // Of the organisation's own alone: others may have a million.
    const auto prefix =
        kind == entity_kind::device
            ? keys::index_prefix(q.shard, search_index(""), search_value(q.organisation, ""))
            : keys::index_prefix(q.shard, "asset", q.organisation);
    if (!after.empty() && !after.starts_with(prefix))
      continue;  // it is in the other kind
    auto ok = from.scan(family::index, prefix, after, false, [&](auto key, auto) {
      const auto id = keys::entity_of(key);
      if (!id)
        return true;
      if (page.assets.size() == q.limit) {
        page.next = key;
        return false;
      }
      const auto row = from.get(family::state, keys::state(kind, *id));
      auto f = row && *row ? read_facts(kind, *id, **row)
                           : model::result<asset_facts>{model::failure{
                                 model::errc::not_found, "asset_unknown", "it is gone"}};
      if (f)
        page.assets.push_back(std::move(*f));
      else if (!row || *row)
        failed = row ? f.error() : row.error();
      return failed.has_value();
    });
    if (!ok || !failed)
      return ok ? failed.error() : ok.error();
    if (!page.next.empty())
      return page;
    after.clear();
  }
  if (!after.empty())
    return bad_cursor();
  return page;
}

}  // namespace orrery::actors
