// What operations do with devices: registering and updating them from files and patterns, changing
// and exporting many of them. For the threads of actors/operation_runner.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "actors/blocking_calls.hpp"
#include "actors/catalogue.hpp"
#include "actors/operation_runner.hpp"
#include "model/credentials.hpp"
#include "model/filter/record.hpp"
#include "model/operation/outcomes.hpp"
#include "transport/device_quota.hpp"

namespace orrery::transport::api {

struct work_parts {
  std::shared_ptr<actors::caller> ask;
  std::shared_ptr<actors::query> query;
  std::shared_ptr<const actors::catalogue> known;
  std::shared_ptr<const model::keyring> keys;
  std::function<model::timestamp()> now;
  std::uint16_t shard_count = 64;
  std::shared_ptr<device_quota> quota = {};
};

/// Makes the work of every kind of operation.
actors::work_maker device_work(work_parts parts);

/// What the kinds of work share.
class work_base : public actors::operation_work {
 public:
  work_base(work_parts parts, actors::work_order order, model::value request);
  double rate() const override { return rate_; }

 protected:
  const model::operation::state& operation() const { return *order_.what; }
  /// The product of that key if the operation may touch its devices, else null.
  std::shared_ptr<const actors::catalogue_product> product(const std::string& key) const;
  /// True if the operation may touch that device.
  bool reaches(const model::entity_id& id, const model::device::state& s) const;
  /// Room for so many devices more (0: what their release needs). Waits. Fails: as
  /// device_quota::reserve.
  model::result<device_room> room_for(std::uint64_t devices) const;
  actors::any_command command(model::device::order what) const;
  /// Answers in their places. Fails if some can only be had later.
  model::result<std::vector<actors::answer>> ask_all(std::vector<actors::question> all) const;
  /// The secret of a device that this operation makes or renews.
  std::string secret_of(const model::device_name& name) const;
  model::sealed_secret sealed_secret_of(const model::device_name& name) const;

  work_parts parts_;
  actors::work_order order_;
  model::value request_;  // an object

 private:
  double rate_ = 0;
  std::string seed_;
  std::optional<model::filter::checked_filter> reach_;  // beside the products
};

const model::device::device_snapshot* snapshot_in(const actors::answer& got);
model::operation::row_outcome failed_row(std::uint64_t index, const model::device_name& name,
                                         const model::failure& why);
/// A member of a request; `otherwise` if it is not there.
std::string text_of(const model::value& request, std::string_view name);
bool truth_of(const model::value& request, std::string_view name);
std::int64_t number_of(const model::value& request, std::string_view name);

std::unique_ptr<actors::operation_work> import_work(work_parts parts, actors::work_order order,
                                                    model::value request);
std::unique_ptr<actors::operation_work> bulk_work(work_parts parts, actors::work_order order,
                                                  model::value request);
std::unique_ptr<actors::operation_work> export_work(work_parts parts, actors::work_order order,
                                                    model::value request);

}  // namespace orrery::transport::api
