// The nodes of one asset tree as its rows show them.
#pragma once

#include "model/tree/nodes.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

/// Lives no longer than what it reads from.
class tree_rows final : public model::tree::node_source {
 public:
  tree_rows(const storage::row_reader& from, const model::entity_id& tree)
      : from_{from}, tree_{tree} {}
  model::result<std::optional<model::tree::node>> find(const model::entity_id& id) const override;
  model::result<std::optional<model::entity_id>> holder(
      const model::entity_id& asset) const override;
  model::status children(const model::entity_id& parent, std::string_view from, bool backwards,
                         const visitor& visit) const override;

 private:
  const storage::row_reader& from_;
  model::entity_id tree_;
};

}  // namespace orrery::actors
