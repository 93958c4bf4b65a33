#include "actors/tree_scope.hpp"

#include <algorithm>
#include <memory>

namespace orrery::actors {

namespace tree = model::tree;

model::shard_id tree_shard(const std::string& organisation, std::uint16_t shard_count) {
  return model::topic_id_of(organisation, "trees", shard_count).shard;
}

void is_below(query& reads, const tree_place& place, const model::entity_id& asset,
              query::then<bool> done) {
  auto q = tree_question{place.tree.shard, place.organisation,
                         find_nodes{place.tree, {tree::by_asset{asset}}, true}};
  reads.trees(std::move(q), [node = place.node,
                             done = std::move(done)](const model::result<tree_page>& got) {
    if (!got && got.error().code == model::errc::not_found)
      return done(false);
    if (!got)
      return done(got.error());
    const auto leads_there = [&](const listed_node& n) {
      return n.what.id == node || std::any_of(n.above.begin(), n.above.end(),
                                              [&](const auto& up) { return up.id == node; });
    };
    done(std::any_of(got->nodes.begin(), got->nodes.end(), leads_there));
  });
}

void devices_below(query& reads, const tree_place& place, std::string cursor, std::size_t limit,
                   query::then<device_ids> done) {
  auto walk = walk_nodes{};
  walk.tree = place.tree;
  walk.from = tree::by_node{place.node};
  walk.levels = 0;
  walk.with_first = walk.devices_only = true;
  walk.cursor = std::move(cursor);
  walk.limit = limit;
  reads.trees({place.tree.shard, place.organisation, std::move(walk)},
              [done = std::move(done)](const model::result<tree_page>& got) {
                if (!got && got.error().code == model::errc::not_found)
                  return done(device_ids{});
                if (!got)
                  return done(got.error());
                auto page = device_ids{{}, got->next};
                for (const auto& n : got->nodes)
                  if (n.what.asset)
                    page.devices.push_back(*n.what.asset);
                done(std::move(page));
              });
}

void are_below(query& reads, const std::string& organisation, model::shard_id trees,
               std::vector<model::entity_id> nodes, std::vector<model::entity_id> assets,
               query::then<std::vector<char>> done) {
  auto q = tree_question{trees, organisation, find_assets{assets}};
  reads.trees(std::move(q), [nodes = std::move(nodes), assets = std::move(assets),
                             done = std::move(done)](const model::result<tree_page>& got) {
    if (!got)
      return done(got.error());
    const auto is_one = [&](const tree::node& n) {
      return std::find(nodes.begin(), nodes.end(), n.id) != nodes.end();
    };
    auto below = std::vector<char>(assets.size(), 0);
    for (const auto& n : got->nodes)
      if (n.what.asset && (is_one(n.what) || std::any_of(n.above.begin(), n.above.end(), is_one)))
        for (std::size_t i = 0; i < assets.size(); ++i)
          if (assets[i] == *n.what.asset)
            below[i] = 1;
    done(std::move(below));
  });
}

namespace {

/// Looks in one tree after the other for the nodes, then at what is below each.
class gathering : public std::enable_shared_from_this<gathering> {
 public:
  gathering(query& reads, const std::string& organisation, model::shard_id trees,
            std::vector<model::entity_id> nodes, std::size_t most,
            query::then<std::vector<model::entity_id>> done)
      : reads_{reads},
        organisation_{organisation},
        shard_{trees},
        nodes_{std::move(nodes)},
        most_{most},
        done_{std::move(done)} {}

  void start() {
    ask(list_trees{}, [](gathering& self, const tree_page& page) {
      for (const auto& t : page.trees)
        self.trees_.push_back(t.id);
      self.look_for_nodes();
    });
  }

 private:
  template <class What, class Then>
  void ask(What what, Then then) {
    reads_.trees({shard_, organisation_, std::move(what)},
                 [self = shared_from_this(), then](const model::result<tree_page>& got) {
                   // A tree or node that went meanwhile has nothing below it.
                   if (!got && got.error().code != model::errc::not_found)
                     return self->done_(got.error());
                   then(*self, got ? *got : tree_page{});
                 });
  }

  void look_for_nodes() {
    if (trees_.empty())
      return walk("");
    const auto id = trees_.back();
    trees_.pop_back();
    auto which = std::vector<tree::node_ref>{};
    for (const auto& n : nodes_)
      which.emplace_back(tree::by_node{n});
    ask(find_nodes{id, std::move(which), false}, [id](gathering& self, const tree_page& page) {
      for (const auto& n : page.nodes)
        self.places_.push_back({self.organisation_, id, n.what.id});
      self.look_for_nodes();
    });
  }

  void walk(std::string cursor) {
    if (places_.empty())
      return finish();
    devices_below(reads_, places_.back(), std::move(cursor), 500,
                  [self = shared_from_this()](const model::result<device_ids>& got) {
                    if (!got)
                      return self->done_(got.error());
                    self->take(*got);
                  });
  }

  void take(const device_ids& page) {
    found_.insert(found_.end(), page.devices.begin(), page.devices.end());
    std::sort(found_.begin(), found_.end());
    found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
    if (found_.size() > most_)
      return done_(model::failure{
          model::errc::too_large, "scope_too_wide",
          "more than " + std::to_string(most_) +
              " devices are below the nodes that the roles hold for: lists need a scope by groups "
              "or products for so many"});
    if (page.next.empty())
      places_.pop_back();
    walk(page.next);
  }

  void finish() { done_(std::move(found_)); }

  query& reads_;
  std::string organisation_;
  model::shard_id shard_;
  std::vector<model::entity_id> nodes_, trees_, found_;
  std::vector<tree_place> places_;
  std::size_t most_;
  query::then<std::vector<model::entity_id>> done_;
};

}  // namespace

void all_devices_below(query& reads, const std::string& organisation, model::shard_id trees,
                       std::vector<model::entity_id> nodes, std::size_t most,
                       query::then<std::vector<model::entity_id>> done) {
  std::make_shared<gathering>(reads, organisation, trees, std::move(nodes), most, std::move(done))
      ->start();
}

}  // namespace orrery::actors
