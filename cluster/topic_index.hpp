// What the clients of one shard listen to, and which of its topics have a retained message: found
// by topic and by filter, for each organisation apart.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/ids.hpp"

namespace orrery::cluster {

/// Filters as a tree of their levels, so that a topic is looked up in as many steps as it has
/// levels, whatever number of filters there is.
class filter_tree {
 public:
  void add(std::string_view filter, const model::entity_id& who);
  void remove(std::string_view filter, const model::entity_id& who);
  /// Each once.
  std::vector<model::entity_id> matches(std::string_view topic) const;
  bool empty() const { return root_.empty(); }

 private:
  struct node {
    std::map<std::string, std::unique_ptr<node>, std::less<>> below;
    std::set<model::entity_id> here;  // whose filter ends here
    bool empty() const { return below.empty() && here.empty(); }
  };
  static void find(const node& at, std::string_view rest, bool first,
                   std::set<model::entity_id>& out);
  static bool take(node& at, std::string_view rest, const model::entity_id& who);
  node root_;
};

class topic_index {
 public:
  void put_filter(const std::string& organisation, std::string_view filter,
                  const model::entity_id& who, bool present);
  void put_retained(const std::string& organisation, std::string_view topic,
                    const model::entity_id& id, bool present);
  std::vector<model::entity_id> listeners(const std::string& organisation,
                                          std::string_view topic) const;
  bool is_retained(const std::string& organisation, std::string_view topic) const;
  std::size_t count_retained(const std::string& organisation) const;
  /// In the order of the topics.
  std::vector<model::entity_id> retained(const std::string& organisation,
                                         std::string_view filter) const;

 private:
  struct space {
    filter_tree filters;
    std::map<std::string, model::entity_id, std::less<>> topics;
  };
  std::unordered_map<std::string, space> spaces_;
};

}  // namespace orrery::cluster
