#include "actors/name_settling.hpp"

#include <limits>
#include <utility>

namespace orrery::actors {
namespace {

namespace device = model::device;
using model::errc;

class settling : public std::enable_shared_from_this<settling> {
 public:
  settling(std::weak_ptr<caller> ask, const reserved_name& what,
           std::function<void(const model::status&)> then)
      : ask_{std::move(ask)}, what_{what}, then_{std::move(then)} {}

  void look() {
    tell(what_.device, device::confirm_name{what_.alias, what_.renames},
         [](settling& s, const answer& got) {
           const auto* reply = got ? std::get_if<device::reply>(&got->answer) : nullptr;
           const auto* found = reply ? std::get_if<device::name_standing>(reply) : nullptr;
           if (found) {
             s.found_ = *found;
             return found->held ? s.tell_gateway() : s.settle();
           }
           if (got || got.error().code != errc::not_found)
             return s.end(got ? model::failure{errc::internal, "another reply"} : got.error());
           s.found_.renames = std::numeric_limits<std::uint64_t>::max();  // it will not be there
           s.settle();
         });
  }

 private:
  /// Asks on; what waits for the answer holds this, and is gone with the caller.
  void tell(const model::entity_id& whom, device::order what,
            void (*then)(settling&, const answer&)) {
    const auto ask = ask_.lock();
    if (!ask)
      return;
    ask->ask(whom, device::command{std::move(what), {}, "service", {}, {}},
             [self = shared_from_this(), then](const answer& got) { then(*self, got); });
  }
  /// What refuses will not do otherwise when it is asked again.
  static bool is_open(const answer& got) { return !got && model::may_work_later(got.error()); }

  void tell_gateway() {
    if (!found_.gateway || !found_.former_name)
      return release_former();
    tell(*found_.gateway, device::read_device{}, [](settling& s, const answer& got) {
      if (is_open(got))
        return s.end(got.error());
      const auto* reply = got ? std::get_if<device::reply>(&got->answer) : nullptr;
      const auto* gateway = reply ? std::get_if<device::device_snapshot>(reply) : nullptr;
      gateway ? s.change_list(*gateway->what) : s.release_former();
    });
  }
  /// Another device may have the former name by now: then its place in the list is its own.
  void change_list(const device::state& gateway) {
    const auto& listed = gateway.sub_devices();
    auto change = device::change_sub_devices{};
    if (const auto at = listed.find(*found_.former_name);
        at != listed.end() && at->second == what_.device)
      change.changes[*found_.former_name] = std::nullopt;
    if (const auto at = listed.find(found_.name); at == listed.end() || at->second != what_.device)
      change.changes[found_.name] = what_.device;
    if (change.changes.empty())
      return release_former();
    tell(*found_.gateway, std::move(change), [](settling& s, const answer& got) {
      is_open(got) ? s.end(got.error()) : s.release_former();
    });
  }
  void release_former() {
    if (!found_.former)
      return forget_former();
    tell(*found_.former, device::settle_name{what_.device, found_.renames, false},
         [](settling& s, const answer& got) {
           is_open(got) ? s.end(got.error()) : s.forget_former();
         });
  }
  void forget_former() {
    if (!found_.former && !found_.former_name)
      return settle();
    tell(what_.device, device::forget_former_name{what_.alias},
         [](settling& s, const answer& got) { is_open(got) ? s.end(got.error()) : s.settle(); });
  }
  void settle() {
    tell(what_.alias, device::settle_name{what_.device, found_.renames, found_.held},
         [](settling& s, const answer& got) {
           s.end(is_open(got) ? model::status{got.error()} : model::status{});
         });
  }
  void end(const model::status& how) { std::exchange(then_, nullptr)(how); }

  std::weak_ptr<caller> ask_;
  reserved_name what_;
  std::function<void(const model::status&)> then_;
  device::name_standing found_;
};

}  // namespace

void settle_name(std::weak_ptr<caller> ask, const reserved_name& what,
                 std::function<void(const model::status&)> then) {
  std::make_shared<settling>(std::move(ask), what, std::move(then))->look();
}

}  // namespace orrery::actors
