#include "transport/api/node_filters.hpp"

#include <algorithm>

#include "actors/tree_scope.hpp"
#include "model/organisation/node_filter.hpp"
#include "transport/api/reach.hpp"

namespace orrery::transport::api {
namespace {

namespace organisation = model::organisation;
using model::errc;

constexpr std::size_t max_nodes = 20;       // that a filter names
constexpr std::size_t max_devices = 5'000;  // on one of them or below it
constexpr std::string_view right = "tree:read";

/// True if the caller reads trees there: everywhere, or by a role for that node.
bool reads(const exchange& e, const model::entity_id& node) {
  if (e.who.may(right))
    return true;
  const auto nodes = reach_of(e.who.rights, right, {}, {}).nodes;
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

class node_filter : public std::enable_shared_from_this<node_filter> {
 public:
  node_filter(exchange_ptr e, std::string text, std::vector<model::entity_id> nodes,
              std::function<void(std::string)> then)
      : e_{std::move(e)}, text_{std::move(text)}, left_{std::move(nodes)}, then_{std::move(then)} {}

  void next() {
    if (left_.empty())
      return finish();
    const auto node = left_.back();
    left_.pop_back();
    const auto& org = e_->who.organisation;
    actors::all_devices_below(*e_->parts().query, org,
                              actors::tree_shard(org, e_->parts().shard_count), {node}, max_devices,
                              [self = shared_from_this(),
                               node](const model::result<std::vector<model::entity_id>>& below) {
                                if (!below)
                                  return self->e_->fail(below.error());
                                auto& there = self->found_[to_string(node)];
                                for (const auto& id : *below)
                                  there.insert(to_string(id));
                                self->next();
                              });
  }

 private:
  void finish() {
    auto made = organisation::device_filter(text_, products_of(*e_), groups_of(*e_), found_);
    made ? then_(std::move(*made)) : e_->fail(made.error());
  }

  exchange_ptr e_;
  std::string text_;
  std::vector<model::entity_id> left_;
  std::function<void(std::string)> then_;
  organisation::node_facts found_;
};

}  // namespace

void with_device_filter(const exchange_ptr& e, const std::string& text,
                        std::function<void(std::string)> then) {
  const auto named = organisation::nodes_in(text);
  if (!named.empty() && !e->who.may_for_some(right))
    return e->fail({errc::forbidden, "forbidden", "underNode: needs the permission tree:read"});
  if (named.size() > max_nodes)
    return e->fail({errc::invalid_argument, "bad_filter",
                    "underNode: a filter names at most " + std::to_string(max_nodes) + " nodes"});
  auto nodes = std::vector<model::entity_id>{};
  for (const auto& text_of_id : named) {
    const auto id = model::parse_entity_id(text_of_id);
    if (!id)
      return e->fail({errc::invalid_argument, "bad_filter",
                      "underNode: expected the id of a node, not " + text_of_id.substr(0, 64)});
    if (reads(*e, *id))
      nodes.push_back(*id);
  }
  std::make_shared<node_filter>(e, text, std::move(nodes), std::move(then))->next();
}

}  // namespace orrery::transport::api
