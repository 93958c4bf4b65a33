#include "transport/group_request.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "transport/device_quota.hpp"

namespace orrery::transport {
namespace {

namespace device = model::device;
using actors::answer;
using model::errc;
using model::failure;
using model::object;
using model::value;
using right = actors::session_ask::right;
using questions = std::vector<device_question>;

constexpr std::size_t secret_size = 24;  // clients keep login texts of 200 bytes at most
constexpr std::size_t device_key_size = 12;

object keys_of(const model::device_name& name) {
  return {{"productKey", value{name.product_key}}, {"deviceKey", value{name.device_key}}};
}

std::optional<failure> first_failure(const std::vector<answer>& answers) {
  for (const auto& one : answers)
    if (!one)
      return one.error();
  return std::nullopt;
}

template <class T>
const T* reply_in(const answer& got) {
  const auto* reply = got ? std::get_if<device::reply>(&got->answer) : nullptr;
  return reply ? std::get_if<T>(reply) : nullptr;
}

failure not_gateway(const group_self& self) {
  return {errc::forbidden, "not_gateway",
          self.link.name.product_key + "/" + self.link.name.device_key + " is no gateway"};
}

/// Asks everybody twice, first only whether it could be done; then its own list is changed.
class topology_change final : public group_request {
 public:
  topology_change(const group_self& self, std::vector<model::device_name> subs,
                  std::function<device::order(std::size_t, bool dry_run)> order, bool adds)
      : subs_{std::move(subs)}, order_{std::move(order)}, adds_{adds} {
    if (!self.gateway)
      why_ = not_gateway(self);
  }

  questions next(std::vector<answer> answers) override {
    if (why_)
      return {};
    switch (step_++) {
      case 0:
        return ask_all(true);
      case 1:
        why_ = first_failure(answers);
        return why_ ? questions{} : ask_all(false);
      case 2:
        return change_list(answers);
      default:
        if (!why_)
          why_ = first_failure(answers);
        return {};
    }
  }
  group_outcome outcome() override { return {std::move(why_), {}}; }

 private:
  questions ask_all(bool dry_run) const {
    auto out = questions{};
    for (std::size_t i = 0; i < subs_.size(); ++i)
      out.push_back({subs_[i], order_(i, dry_run)});
    return out;
  }
  questions change_list(const std::vector<answer>& answers) {
    why_ = first_failure(answers);  // a race: what was done is kept, and so it is in the list
    auto change = device::change_sub_devices{};
    for (std::size_t i = 0; i < subs_.size(); ++i)
      if (const auto* done = reply_in<device::device_bound>(answers[i]))
        change.changes[subs_[i]] = adds_ ? std::optional{done->id} : std::nullopt;
    auto out = questions{};
    if (!change.changes.empty())
      out.push_back({std::nullopt, std::move(change)});
    return out;
  }

  std::vector<model::device_name> subs_;
  std::function<device::order(std::size_t, bool)> order_;
  bool adds_;
  std::optional<failure> why_;
  int step_ = 0;
};

class sub_device_list final : public group_request {
 public:
  explicit sub_device_list(const group_self& self) {
    if (!self.gateway)
      why_ = not_gateway(self);
  }
  questions next(std::vector<answer> answers) override {
    if (why_)
      return {};
    if (answers.empty())
      return {{std::nullopt, device::read_device{}}};
    why_ = first_failure(answers);
    if (const auto* self = reply_in<device::device_snapshot>(answers.front()))
      for (const auto& [name, id] : self->what->sub_devices())
        list_.emplace_back(keys_of(name));
    return {};
  }
  group_outcome outcome() override { return {std::move(why_), value{std::move(list_)}}; }

 private:
  std::optional<failure> why_;
  model::array list_;
};

/// The login of one sub-device: the question, and what its answer means.
struct login_part {
  login_part(const group_self& self, const group_world& world, sub_device_login sub)
      : who{sub.who} {
    if (self.session)
      how = *self.session;
    how.proof = std::move(sub.proof);
    how.secret = sub.secret;
    how.keeps_session = false;
    if (sub.secret == device::login_secret::device)
      return;
    secret = model::random_text(secret_size);
    how.fresh = world.keys->seal(secret, device::secret_owner(who));
  }
  /// Keys, and with a success the asset id and a secret that was given.
  object show(const answer& got) const {
    auto out = object{};
    const auto* granted = reply_in<device::connection_granted>(got);
    if (granted)
      out.emplace_back("assetId", value{to_string(granted->id)});
    for (auto& member : keys_of(who))
      out.push_back(std::move(member));
    if (granted && granted->activated)
      out.emplace_back("deviceSecret", value{secret});
    return out;
  }
  model::device_name who;
  std::string secret;
  device::connect how;
};

class one_login final : public group_request {
 public:
  one_login(const group_self& self, const group_world& world, sub_device_login sub)
      : part_{self, world, std::move(sub)}, data_{keys_of(part_.who)} {
    if (!self.gateway)
      why_ = not_gateway(self);
  }
  questions next(std::vector<answer> answers) override {
    if (why_)
      return {};
    if (answers.empty())
      return {{part_.who, std::move(part_.how)}};
    why_ = first_failure(answers);
    data_ = part_.show(answers.front());
    return {};
  }
  group_outcome outcome() override { return {std::move(why_), value{std::move(data_)}}; }

 private:
  login_part part_;
  std::optional<failure> why_;
  object data_;
};

class many_logins final : public group_request {
 public:
  many_logins(const group_self& self, const group_world& world,
              std::vector<sub_device_login> subs) {
    if (!self.gateway)
      why_ = not_gateway(self);
    for (auto& sub : subs)
      parts_.emplace_back(self, world, std::move(sub));
  }
  questions next(std::vector<answer> answers) override {
    auto out = questions{};
    if (why_)
      return out;
    if (answers.empty()) {
      for (auto& part : parts_)
        out.push_back({part.who, std::move(part.how)});
      return out;
    }
    auto text = std::string{};
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (answers[i]) {
        in_.emplace_back(parts_[i].show(answers[i]));
        continue;
      }
      failed_.emplace_back(keys_of(parts_[i].who));
      why_ = answers[i].error();
      text += parts_[i].who.product_key + '&' + parts_[i].who.device_key +
              " has error: " + why_->detail + ';';
    }
    if (why_)
      why_->detail = std::move(text);
    return out;
  }
  group_outcome outcome() override {
    return {std::move(why_), object{{"loginedSubDevices", value{std::move(in_)}},
                                    {"failedSubDevices", value{std::move(failed_)}}}};
  }

 private:
  std::vector<login_part> parts_;
  std::optional<failure> why_;
  model::array in_, failed_;
};

class one_logout final : public group_request {
 public:
  explicit one_logout(model::device_name sub) : sub_{std::move(sub)} {}
  questions next(std::vector<answer> answers) override {
    if (!answers.empty()) {
      // Whoever is not there, or nobody's, is out all the same; what could not be written is not.
      if (!answers.front() && answers.front().error().code == errc::unavailable)
        why_ = answers.front().error();
      return {};
    }
    return {{sub_, device::disconnect{"logout"}}};
  }
  group_outcome outcome() override { return {std::move(why_), keys_of(sub_)}; }

 private:
  model::device_name sub_;
  std::optional<failure> why_;
};

class registration final : public group_request {
 public:
  registration(const group_self& self, const group_world& world, std::vector<new_device> devices) {
    if (!self.gateway)
      why_ = not_gateway(self);
    for (auto& d : devices) {
      if (why_)
        return;
      add(self, world, std::move(d));
    }
  }

  questions next(std::vector<answer> answers) override {
    if (why_ && step_ != 3)
      return {};
    switch (step_++) {
      case 0:
        return look_whether_free();
      case 1:
        for (std::size_t i = 0; i < answers.size(); ++i)
          if (answers[i])
            why_ = failure{errc::already_exists, "device_key_exists",
                           asked_[i].device_key + " exists in product " + asked_[i].product_key};
          else if (answers[i].error().code != errc::not_found)
            why_ = answers[i].error();
        return why_ ? questions{} : make_all();
      case 2:
        why_ = first_failure(answers);
        if (!why_)
          return {};
        for (const auto& a : answers)
          sure_ = sure_ && (a || device_quota::is_surely_not(a.error()));
        return take_back(answers);
      case 3:
        for (const auto& a : answers)
          sure_ = sure_ && (a || a.error().code == errc::not_found);
        return {};
      default:
        return {};
    }
  }
  group_outcome outcome() override {
    auto list = model::array{};
    if (!why_)
      for (const auto& d : made_) {
        auto o = object{{"assetId", value{to_string(d.id)}}};
        for (auto& member : keys_of(d.what.name))
          o.push_back(std::move(member));
        o.emplace_back("deviceSecret", value{d.secret});
        list.emplace_back(std::move(o));
      }
    return {std::move(why_), value{std::move(list)}};
  }
  std::uint64_t registers() const override { return why_ ? 0 : made_.size(); }
  bool has_surely_none() const override { return sure_; }

 private:
  struct made {
    model::entity_id id;
    device::register_device what;
    std::string secret;
  };

  void add(const group_self& self, const group_world& world, new_device d) {
    const auto* product = world.known->product(d.name.product_key);
    if (!product || product->state->organisation != self.organisation) {
      why_ = failure{errc::not_found, "product_unknown", "no product " + d.name.product_key};
      return;
    }
    if (d.name.device_key.empty())
      d.name.device_key = model::random_text(device_key_size);
    else
      asked_.push_back(d.name);
    if (std::any_of(made_.begin(), made_.end(),
                    [&](const made& other) { return other.what.name == d.name; })) {
      why_ = failure{errc::already_exists, "device_key_exists",
                     d.name.device_key + " is in the request twice"};
      return;
    }
    auto& m = made_.emplace_back();
    m.secret = model::random_text(secret_size);
    m.id = model::make_entity_id(world.shard_of(d.name), world.now, model::random_entropy());
    m.what.secret = world.keys->seal(m.secret, device::secret_owner(d.name));
    m.what.organisation = self.organisation;
    m.what.display_name = d.display_name.empty() ? d.name.device_key : std::move(d.display_name);
    m.what.description = std::move(d.description);
    m.what.timezone = std::move(d.timezone);
    m.what.attributes = std::move(d.attributes);
    m.what.name = std::move(d.name);
  }
  questions look_whether_free() {
    auto out = questions{};
    for (const auto& name : asked_)
      out.push_back({name, device::read_device{}, right::service});
    if (!out.empty())
      return out;
    step_ = 2;
    return make_all();
  }
  questions make_all() const {
    auto out = questions{};
    for (const auto& m : made_)
      out.push_back({m.id, m.what, right::service});
    return out;
  }
  questions take_back(const std::vector<answer>& answers) const {
    auto out = questions{};
    for (std::size_t i = 0; i < answers.size(); ++i)
      if (answers[i])
        out.push_back({made_[i].id, device::remove_device{}, right::service});
    return out;
  }

  std::vector<model::device_name> asked_;  // keys that were chosen
  std::vector<made> made_;
  std::optional<failure> why_;
  bool sure_ = true;  // of each it is known whether it is there, and those that were are gone
  int step_ = 0;
};

class all_at_once final : public group_request {
 public:
  explicit all_at_once(questions ask) : ask_{std::move(ask)} {}
  explicit all_at_once(failure why) : why_{std::move(why)} {}
  questions next(std::vector<answer> answers) override {
    if (!why_)
      why_ = first_failure(answers);
    return std::exchange(ask_, {});
  }
  group_outcome outcome() override { return {std::move(why_), {}}; }

 private:
  questions ask_;
  std::optional<failure> why_;
};

/// What the models of the posts' products say to them; the first failure.
std::optional<failure> check_posts(const group_self& self, const group_world& world,
                                   const std::vector<group_post>& posts, bool skip_invalid) {
  for (const auto& post : posts) {
    const auto& name = post.who ? *post.who : self.link.name;
    const auto* product = world.known->product(name.product_key);
    if (!product || product->state->organisation != self.organisation)
      return failure{errc::forbidden, "sub_device",
                     name.product_key + "/" + name.device_key + " is no sub-device of this one"};
    const auto& view = product->view;
    if (!view.model)
      continue;  // the device's own rules say so
    const auto mode = skip_invalid && view.mode == model::validation::strict
                          ? model::validation::lenient
                          : view.mode;
    if (const auto checked = view.model->check_points(post.sample.points, mode); !checked)
      return checked.error();
  }
  return std::nullopt;
}

}  // namespace

group_ptr bind_sub_devices(const group_self& self, std::vector<sub_device_login> subs) {
  auto names = std::vector<model::device_name>{};
  for (const auto& sub : subs)
    names.push_back(sub.who);
  return std::make_shared<topology_change>(
      self, std::move(names),
      [link = self.link, organisation = self.organisation, subs = std::move(subs)](
          std::size_t i, bool dry_run) -> device::order {
        return device::bind_gateway{link, organisation, subs[i].proof, dry_run};
      },
      true);
}

group_ptr unbind_sub_devices(const group_self& self, const group_world& world,
                             std::vector<model::device_name> subs) {
  return std::make_shared<topology_change>(
      self, std::move(subs),
      [gateway = self.link.id, online = world.unbind_online](std::size_t,
                                                             bool dry_run) -> device::order {
        return device::unbind_gateway{gateway, dry_run, online};
      },
      false);
}

group_ptr list_sub_devices(const group_self& self) {
  return std::make_shared<sub_device_list>(self);
}

group_ptr log_in_sub_device(const group_self& self, const group_world& world,
                            sub_device_login sub) {
  return std::make_shared<one_login>(self, world, std::move(sub));
}

group_ptr log_in_sub_devices(const group_self& self, const group_world& world,
                             std::vector<sub_device_login> subs) {
  return std::make_shared<many_logins>(self, world, std::move(subs));
}

group_ptr log_out_sub_device(model::device_name sub) {
  return std::make_shared<one_logout>(std::move(sub));
}

group_ptr register_devices(const group_self& self, const group_world& world,
                           std::vector<new_device> devices) {
  return std::make_shared<registration>(self, world, std::move(devices));
}

group_ptr post_for_devices(const group_self& self, const group_world& world,
                           std::vector<group_post> posts, bool backfill, bool skip_invalid,
                           bool allow_offline) {
  if (auto wrong = check_posts(self, world, posts, skip_invalid))
    return std::make_shared<all_at_once>(std::move(*wrong));
  // One order for each device, in the order in which they come first.
  auto order = std::vector<std::optional<model::device_name>>{};
  auto reports = std::map<std::optional<model::device_name>, device::report_points>{};
  for (auto& post : posts) {
    const auto [place, is_new] = reports.try_emplace(post.who);
    if (is_new) {
      order.push_back(post.who);
      place->second.backfill = backfill;
      place->second.skip_invalid = skip_invalid;
      place->second.allow_offline = allow_offline;
    }
    place->second.samples.push_back(std::move(post.sample));
  }
  auto ask = questions{};
  for (const auto& who : order) {
    auto& q = ask.emplace_back();
    if (who)
      q.whom = *who;
    q.what = std::move(reports.at(who));
    q.as = self.channel ? right::service : right::gateway;
  }
  return std::make_shared<all_at_once>(std::move(ask));
}

group_ptr ask_devices(std::vector<device_question> all) {
  return std::make_shared<all_at_once>(std::move(all));
}

}  // namespace orrery::transport
