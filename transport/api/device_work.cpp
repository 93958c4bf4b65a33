#include "transport/api/device_work.hpp"

#include <algorithm>
#include <future>

#include "model/device/search.hpp"
#include "model/filter/expression.hpp"
#include "model/json.hpp"
#include "transport/api/import_rows.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace filter = model::filter;
namespace operation = model::operation;
using model::errc;
using model::failure;

constexpr auto step_patience = std::chrono::seconds{5};  // within the lease of an operation
constexpr auto room_patience = std::chrono::seconds{5};

bool makes_secrets(const operation::state& s, const model::value& request) {
  return s.kind == operation::work_kind::import_devices ||
         s.kind == operation::work_kind::provision_devices ||
         text_of(request, "action") == "resetSecret";
}

/// Fails if the work cannot be begun: secrets made of an empty seed could be guessed, and without
/// its reach it would touch less than it was asked for.
model::status can_begin(const work_parts& parts, const actors::work_order& order,
                        const model::value& request) {
  if (makes_secrets(*order.what, request) &&
      parts.keys->open(order.what->seed, operation::seed_owner(order.id)).value_or("").empty())
    return failure{errc::internal, "operation_seed_lost",
                   "what its secrets are made of cannot be opened with this service's master key"};
  const auto text = text_of(request, "reach");
  if (text.empty())
    return {};
  const auto parsed = filter::parse(text, device::wide_limits());
  if (!parsed || !filter::check(*parsed, device::search_fields()))
    return failure{errc::internal, "operation_reach_unreadable",
                   "which devices it may touch cannot be read: begin it again"};
  return {};
}

}  // namespace

work_base::work_base(work_parts parts, actors::work_order order, model::value request)
    : parts_{std::move(parts)}, order_{std::move(order)}, request_{std::move(request)} {
  rate_ = static_cast<double>(number_of(request_, "rate"));
  if (!operation().seed.empty())
    seed_ = parts_.keys->open(operation().seed, operation::seed_owner(order_.id)).value_or("");
  if (const auto text = text_of(request_, "reach"); !text.empty())
    if (const auto parsed = filter::parse(text, device::wide_limits()))
      if (auto checked = filter::check(*parsed, device::search_fields()))
        reach_ = std::move(*checked);
}

std::shared_ptr<const actors::catalogue_product> work_base::product(const std::string& key) const {
  const auto known = parts_.known->current();
  const auto found = known->products.find(key);
  if (found == known->products.end() ||
      found->second->state->organisation != operation().organisation)
    return nullptr;
  const auto& may = operation().products;
  if (may && std::find(may->begin(), may->end(), key) == may->end())
    return nullptr;
  return found->second;
}

bool work_base::reaches(const model::entity_id& id, const device::state& s) const {
  return s.organisation() == operation().organisation &&
         (product(s.name().product_key) ||
          (reach_ && filter::accepts(*reach_, device::searched_device{id, s})));
}

model::result<device_room> work_base::room_for(std::uint64_t devices) const {
  const auto got = std::make_shared<std::promise<model::result<device_room>>>();
  auto room = got->get_future();
  parts_.quota->reserve(operation().organisation, devices, [got](model::result<device_room> given) {
    got->set_value(std::move(given));
  });
  if (room.wait_for(room_patience) != std::future_status::ready)
    return failure{errc::unavailable, "quota_counting",
                   "the limit of the organisation's devices has not answered"};
  return room.get();
}

actors::any_command work_base::command(device::order what) const {
  return device::command{std::move(what), {}, operation().actor, {}};
}

model::result<std::vector<actors::answer>> work_base::ask_all(
    std::vector<actors::question> all) const {
  auto answers = actors::ask_and_wait(*parts_.ask, std::move(all), step_patience);
  for (const auto& a : answers)
    if (!a && actors::is_passing(a.error()))
      return a.error();
  return answers;
}

std::string work_base::secret_of(const model::device_name& name) const {
  return operation::secret_of(seed_, name);
}

model::sealed_secret work_base::sealed_secret_of(const model::device_name& name) const {
  return parts_.keys->seal(secret_of(name), device::secret_owner(name));
}

const device::device_snapshot* snapshot_in(const actors::answer& got) {
  const auto* reply = got ? std::get_if<device::reply>(&got->answer) : nullptr;
  return reply ? std::get_if<device::device_snapshot>(reply) : nullptr;
}

operation::row_outcome failed_row(std::uint64_t index, const model::device_name& name,
                                  const failure& why) {
  auto row = operation::row_outcome{.index = index,
                                    .product_key = name.product_key,
                                    .device_key = name.device_key,
                                    .status = operation::row_status::failed,
                                    .id = {},
                                    .code = {},
                                    .detail = why.detail,
                                    .has_secret = false};
  row.code = why.reason.empty() ? name_of(why.code) : why.reason;
  for (const auto& p : why.problems)
    row.detail += "; " + p.where + ": " + p.detail;
  row.detail = shortened(std::move(row.detail), 500);
  return row;
}

std::string text_of(const model::value& request, std::string_view name) {
  const auto* v = request.find(name);
  return v && v->is_string() ? v->as_string() : std::string{};
}
bool truth_of(const model::value& request, std::string_view name) {
  const auto* v = request.find(name);
  return v && v->is_bool() && v->as_bool();
}
std::int64_t number_of(const model::value& request, std::string_view name) {
  const auto* v = request.find(name);
  return v && v->is_int() ? v->as_int() : 0;
}

actors::work_maker device_work(work_parts parts) {
  return [parts = std::move(parts)](
             actors::work_order order) -> model::result<std::unique_ptr<actors::operation_work>> {
    auto request = model::parse_json(order.what->request);
    if (!request || !request->is_object())
      return failure{errc::internal, "", "what the operation is to do cannot be read"};
    if (auto ok = can_begin(parts, order, *request); !ok)
      return ok.error();
    switch (order.what->kind) {
      case operation::work_kind::import_devices:
      case operation::work_kind::provision_devices:
        return import_work(parts, std::move(order), std::move(*request));
      case operation::work_kind::bulk_devices:
        return bulk_work(parts, std::move(order), std::move(*request));
      case operation::work_kind::export_devices:
        return export_work(parts, std::move(order), std::move(*request));
    }
    return failure{errc::internal, "", "a kind of work that nobody does here"};
  };
}

}  // namespace orrery::transport::api
