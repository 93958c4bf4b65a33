// Registers and updates the devices of a file, or of a pattern of keys.
#include <algorithm>
#include <charconv>
#include <map>

#include "model/json.hpp"
#include "transport/api/device_work.hpp"
#include "transport/api/import_rows.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace operation = model::operation;
using model::errc;
using model::failure;
using operation::row_outcome;
using operation::row_status;

constexpr std::size_t window_bytes = 4 * operation::input_piece_bytes;

constexpr std::size_t max_seen = 100'000;  // keys that a dry run remembers

/// Where a step begins: the byte of its first row, and the number of that.
struct place {
  std::uint64_t offset = 0, index = 0;
};
std::string write(const place& p) {
  return std::to_string(p.offset) + ':' + std::to_string(p.index);
}
std::optional<place> read_place(std::string_view text) {
  auto p = place{};
  const auto* end = text.data() + text.size();
  const auto offset = std::from_chars(text.data(), end, p.offset);
  if (offset.ec != std::errc{} || offset.ptr == end || *offset.ptr != ':')
    return std::nullopt;
  const auto index = std::from_chars(offset.ptr + 1, end, p.index);
  if (index.ec != std::errc{} || index.ptr != end)
    return std::nullopt;
  return p;
}

enum class import_mode { create, update, upsert };

/// What differs from the device as it is; nothing if nothing does. `attributes`: of the row, in the
/// form that devices have them.
std::optional<device::update_device> change_of(const import_row& row,
                                               const model::object& attributes,
                                               const device::state& s) {
  auto u = device::update_device{};
  auto differs = false;
  const auto text = [&](auto& to, const std::optional<std::string>& now, const std::string& was) {
    if (now && *now != was) {
      to = now;
      differs = true;
    }
  };
  text(u.display_name, row.display_name, s.display_name);
  text(u.description, row.description, *s.description);
  text(u.timezone, row.timezone, *s.timezone);
  for (const auto& [id, v] : attributes) {
    const auto was = std::find_if(s.attributes.begin(), s.attributes.end(),
                                  [&name = id](const auto& a) { return a.first == name; });
    if (was == s.attributes.end() || !(was->second == v))
      u.attributes.emplace_back(id, v);
  }
  for (const auto& [key, tag] : row.tags)
    if (const auto was = s.tags->find(key); was == s.tags->end() || was->second != tag)
      u.tags[key] = tag;
  differs = differs || !u.attributes.empty() || !u.tags.empty();
  return differs ? std::optional{std::move(u)} : std::nullopt;
}

class device_import final : public work_base, private row_models {
 public:
  device_import(work_parts parts, actors::work_order order, model::value request)
      : work_base{std::move(parts), std::move(order), std::move(request)},
        format_{text_of(request_, "format") == "ndjson" ? row_format::ndjson : row_format::csv},
        product_key_{text_of(request_, "product")},
        dry_run_{truth_of(request_, "dryRun")} {
    const auto mode = text_of(request_, "mode");
    mode_ = mode == "update"   ? import_mode::update
            : mode == "upsert" ? import_mode::upsert
                               : import_mode::create;
    if (const auto* columns = request_.find("columns"); columns && columns->is_array())
      for (const auto& c : columns->as_array())
        columns_.push_back(c.as_string());
    if (auto pattern = key_pattern::read(text_of(request_, "keys")))
      pattern_ = std::move(*pattern);
  }

  model::result<actors::work_step> step(const std::string& position,
                                        std::size_t max_rows) override {
    auto at = place{static_cast<std::uint64_t>(number_of(request_, "begin")), 0};
    if (!position.empty())
      if (const auto p = read_place(position))
        at = *p;
    rows_.clear();
    auto last = pattern_ ? from_pattern(at, max_rows) : from_input(at, max_rows);
    if (!last)
      return last.error();
    const auto count = rows_.size();
    outcomes_.assign(count, {});
    open_.clear();
    without_room_.clear();
    gateways_.clear();
    for (std::size_t i = 0; i < count; ++i)
      look_at(i);
    auto ok = find_gateways(open_, true);
    std::erase_if(open_, [&](auto i) { return outcomes_[i].status == row_status::failed; });
    if (ok && mode_ != import_mode::update && !dry_run_)
      ok = create();
    if (ok)
      ok = update();
    if (ok)
      ok = bind();
    if (!ok)
      return ok.error();
    auto done = actors::work_step{};
    done.position = write(at);
    done.more = operation::counts_of(outcomes_);
    if (!pattern_)
      if (*last)
        done.total = at.index;
    if (count > 0)
      done.result = operation::encode_outcomes(outcomes_);
    done.last = *last;
    return done;
  }

 private:
  const model::thing_model* of(const std::string& product_key) const override {
    const auto p = product(product_key);
    return p ? p->view.model.get() : nullptr;
  }

  /// The rows of a step; true: these were the last. `at` goes behind them.
  model::result<bool> from_input(place& at, std::size_t max_rows) {
    const auto size = operation().input_bytes;
    const auto window = order_.read_input(at.offset, window_bytes);
    if (!window)
      return window.error();
    auto text = std::string_view{*window};
    const auto to_end = at.offset + text.size() >= size;
    while (rows_.size() < max_rows) {
      const auto cut = next_record(format_, text, to_end);
      if (cut.taken == 0)
        break;
      text.remove_prefix(cut.taken);
      at.offset += cut.taken;
      if (cut.too_long && text.empty() && window->back() != '\n')
        if (auto ok = skip_line(at); !ok)  // longer than the window
          return ok.error();
      if (cut.record.empty())
        continue;
      auto row = import_row{};
      if (cut.too_long)
        row.problem = failure{errc::too_large, "too_large", "a row has at most 64 KiB"};
      else if (format_ == row_format::csv)
        row = read_csv_row(columns_, cut.record, product_key_, *this);
      else
        row = read_json_row(cut.record, product_key_);
      row.index = at.index++;
      rows_.push_back(std::move(row));
    }
    return at.offset >= size;
  }

  /// Goes behind the end of the line.
  model::status skip_line(place& at) {
    while (at.offset < operation().input_bytes) {
      const auto window = order_.read_input(at.offset, window_bytes);
      if (!window)
        return window.error();
      const auto end = window->find('\n');
      at.offset += end == std::string::npos ? window->size() : end + 1;
      if (end != std::string::npos)
        break;
    }
    return {};
  }

  model::result<bool> from_pattern(place& at, std::size_t max_rows) {
    const auto names = text_of(request_, "name");
    for (; rows_.size() < max_rows && at.index < pattern_->size(); ++at.index) {
      auto row = import_row{};
      row.index = at.index;
      row.name = {product_key_, pattern_->key(at.index)};
      if (!names.empty()) {
        auto name = names;
        for (auto mark = name.find("{key}"); mark != std::string::npos;
             mark = name.find("{key}", mark + row.name.device_key.size()))
          name.replace(mark, 5, row.name.device_key);
        row.display_name = std::move(name);
      }
      if (const auto* tags = request_.find("tags"); tags && tags->is_object())
        for (const auto& [k, v] : tags->as_object())
          row.tags[k] = v.as_string();
      if (const auto* attributes = request_.find("attributes");
          attributes && attributes->is_object())
        row.attributes = attributes->as_object();
      rows_.push_back(std::move(row));
    }
    return at.index >= pattern_->size();
  }

  void fail(std::size_t i, const failure& why) {
    outcomes_[i] = failed_row(rows_[i].index, rows_[i].name, why);
  }
  void settle(std::size_t i, row_status status, const model::entity_id& id) {
    outcomes_[i] = {
        .index = rows_[i].index,
        .product_key = rows_[i].name.product_key,
        .device_key = rows_[i].name.device_key,
        .status = status,
        .id = status == row_status::valid && id == model::entity_id{} ? "" : to_string(id),
        .code = {},
        .detail = {},
        .has_secret = status == row_status::created};
  }

  /// What can be told without asking anybody; rows that are left are open.
  void look_at(std::size_t i) {
    auto& row = rows_[i];
    if (row.problem)
      return fail(i, *row.problem);
    if (row.name.product_key.empty())
      return fail(i, {errc::invalid_argument, "required_missing", "it names no product"});
    if (!product(row.name.product_key))
      return fail(i, {errc::not_found, "product_unknown", "no product " + row.name.product_key});
    if (row.name.device_key.empty() && mode_ == import_mode::update)
      return fail(i, {errc::invalid_argument, "required_missing", "it names no device"});
    if (row.name.device_key.empty())  // the same whenever the row is read
      row.name.device_key =
          model::sha256_hex(to_string(order_.id) + " key " + std::to_string(row.index))
              .substr(0, 16);
    if (!model::is_valid_key(row.name.device_key))
      return fail(i, {errc::invalid_argument, "device_key_invalid",
                      "a device key is 1 to 64 characters of A-Z a-z 0-9 . _ -"});
    if ((row.display_name && row.display_name->size() > 256) ||
        (row.description && row.description->size() > 2'000) ||
        (row.timezone && row.timezone->size() > 64))
      return fail(i, {errc::invalid_argument, "too_long",
                      "a name has at most 256 bytes, a description 2,000, a time zone 64"});
    open_.push_back(i);
  }

  model::entity_id id_of(std::size_t i) const {
    return operation::row_id(order_.id, operation().created_at, parts_.ask->shard_of(rows_[i].name),
                             rows_[i].index);
  }

  device::register_device registration(std::size_t i) const {
    const auto& row = rows_[i];
    auto r = device::register_device{};
    r.name = row.name;
    r.organisation = operation().organisation;
    r.display_name = row.display_name.value_or(row.name.device_key);
    r.description = row.description.value_or("");
    r.timezone = row.timezone.value_or("");
    r.attributes = row.attributes;
    r.tags = row.tags;
    return r;
  }

  /// Registers what is open; what is there already, or has no room, stays open.
  model::status create() {
    auto waiting = std::exchange(open_, {});
    auto looked = false;
    while (!waiting.empty()) {
      const auto room = room_for(waiting.size());
      if (!room && room.error().reason != "quota_exceeded")
        return room.error();
      const auto fitting = room ? std::min<std::size_t>(room->devices, waiting.size()) : 0;
      if (fitting < waiting.size() && !std::exchange(looked, true)) {
        if (room)
          parts_.quota->release(*room, room->devices);
        if (auto ok = set_aside(waiting); !ok)
          return ok;
        continue;
      }
      if (fitting == 0)
        break;
      const auto behind = waiting.begin() + static_cast<std::ptrdiff_t>(fitting);
      if (auto ok = register_some({waiting.begin(), behind}, *room); !ok)
        return ok;
      waiting.erase(waiting.begin(), behind);  // the others ask for what was not needed
    }
    without_room_.insert(waiting.begin(), waiting.end());
    open_.insert(open_.end(), waiting.begin(), waiting.end());
    return {};
  }

  /// Those that are there already need no room: they stay open, and the others are left.
  model::status set_aside(std::vector<std::size_t>& waiting) {
    const auto answers = ask_all(reads_of(waiting));
    if (!answers)
      return answers.error();
    auto others = std::vector<std::size_t>{};
    for (std::size_t n = 0; n < waiting.size(); ++n)
      (snapshot_in((*answers)[n]) ? open_ : others).push_back(waiting[n]);
    waiting = std::move(others);
    return {};
  }

  std::vector<actors::question> reads_of(const std::vector<std::size_t>& which) const {
    auto asked = std::vector<actors::question>{};
    for (const auto i : which)
      asked.push_back({rows_[i].name, command(device::read_device{})});
    return asked;
  }

  model::status register_some(const std::vector<std::size_t>& which, const device_room& room) {
    auto asked = std::vector<actors::question>{};
    for (const auto i : which) {
      auto r = registration(i);
      r.secret = sealed_secret_of(r.name);
      asked.push_back({id_of(i), command(std::move(r))});
    }
    const auto answers = ask_all(std::move(asked));
    if (!answers)
      return answers.error();  // what was reserved is free again at the next count
    auto there = std::vector<std::size_t>{};
    auto unused = std::uint64_t{0};
    for (std::size_t n = 0; n < which.size(); ++n) {
      const auto i = which[n];
      const auto& got = (*answers)[n];
      if (const auto* made = snapshot_in(got)) {
        settle(i, row_status::created, made->id);
      } else if (!got && got.error().code == errc::already_exists) {
        there.push_back(i);  // another one, or made by this row before
      } else {
        fail(i, got ? failure{errc::internal, "", "another reply"} : got.error());
        unused += !got && device_quota::is_surely_not(got.error()) ? 1 : 0;
      }
    }
    open_.insert(open_.end(), there.begin(), there.end());
    if (room.limited && !there.empty()) {
      const auto found = ask_all(reads_of(there));
      if (!found)
        return found.error();
      for (std::size_t n = 0; n < there.size(); ++n)
        if (const auto* s = snapshot_in((*found)[n]); s && s->id != id_of(there[n]))
          ++unused;  // one that is the row's own may be what this room was taken for
    }
    if (unused > 0)
      parts_.quota->release(room, unused);
    return {};
  }

  /// Looks at the devices of the rows that are open, and updates them if that is wanted.
  model::status update() {
    auto answers = ask_all(reads_of(open_));
    if (!answers)
      return answers.error();
    auto changed = std::vector<std::pair<std::size_t, model::entity_id>>{};
    auto asked = std::vector<actors::question>{};
    for (std::size_t n = 0; n < open_.size(); ++n) {
      const auto i = open_[n];
      const auto& got = (*answers)[n];
      const auto* found = snapshot_in(got);
      if (found && !reaches(found->id, *found->what))
        found = nullptr;
      if (!found && !got && got.error().code != errc::not_found)
        fail(i, got.error());
      else if (found && mode_ != import_mode::update && found->id == id_of(i))
        settle(i, row_status::created, found->id);
      else if (found && mode_ == import_mode::create)
        fail(i, {errc::already_exists, "device_key_exists",
                 rows_[i].name.device_key + " exists in product " + rows_[i].name.product_key});
      else if (found)
        change(i, *found, asked, changed);
      else if (mode_ == import_mode::update)
        fail(i, {errc::not_found, "device_unknown", "no such device"});
      else if (dry_run_)
        try_registration(i);
      else if (without_room_.contains(i))
        fail(i, {errc::too_many_requests, "quota_exceeded",
                 "the organisation has as many devices as it may have"});
      else
        fail(i, {errc::conflict, "device_unknown", "it was there and is gone: import it again"});
    }
    answers = ask_all(std::move(asked));
    if (!answers)
      return answers.error();
    for (std::size_t n = 0; n < changed.size(); ++n)
      if (const auto& [i, id] = changed[n]; (*answers)[n])
        settle(i, row_status::updated, id);
      else
        fail(i, (*answers)[n].error());
    return {};
  }

  void change(std::size_t i, const device::device_snapshot& found,
              std::vector<actors::question>& asked,
              std::vector<std::pair<std::size_t, model::entity_id>>& changed) {
    const auto* model = of(rows_[i].name.product_key);
    const auto& posted = rows_[i].attributes;
    // What does not fit the device says itself.
    const auto checked = model ? model->check_attributes(posted, model::thing_model::side::cloud)
                               : model::result<model::object>{posted};
    auto u = change_of(rows_[i], checked ? *checked : posted, *found.what);
    if (!u)
      return settle(i, dry_run_ ? row_status::valid : row_status::unchanged, found.id);
    if (!dry_run_) {
      asked.push_back({found.id, command(std::move(*u))});
      changed.emplace_back(i, found.id);
      return;
    }
    judge(i, *found.what, command(std::move(*u)), found.id);
  }
  void try_registration(std::size_t i) {
    if (seen_.contains(rows_[i].name))
      return fail(i, {errc::already_exists, "device_key_exists", "the file has it twice"});
    if (seen_.size() < max_seen)
      seen_.insert(rows_[i].name);
    judge(i, {}, command(registration(i)), {});
  }
  /// What the device would say.
  void judge(std::size_t i, const device::state& s, const actors::any_command& what,
             const model::entity_id& id) {
    const auto p = product(rows_[i].name.product_key);
    if (!p)  // it is gone meanwhile
      return fail(i,
                  {errc::not_found, "product_unknown", "no product " + rows_[i].name.product_key});
    const auto decided = device::decide(s, std::get<device::command>(what),
                                        {id, parts_.now(), p->view, *parts_.keys, 50});
    if (decided)
      settle(i, row_status::valid, id);
    else
      fail(i, decided.error());
  }

  static model::device_name gateway_name(const std::string& text) {
    const auto slash = text.find('/');
    return slash == std::string::npos
               ? model::device_name{}
               : model::device_name{text.substr(0, slash), text.substr(slash + 1)};
  }

  /// Looks at the gateways that rows name, before anything is made of these rows. `may_come`: of
  /// those that the rows themselves make.
  model::status find_gateways(const std::vector<std::size_t>& rows, bool may_come) {
    auto wanted = std::map<std::string, std::vector<std::size_t>>{};
    auto made = std::set<model::device_name>{};
    for (const auto i : rows) {
      if (!rows_[i].gateway.empty() && !gateways_.contains(rows_[i].gateway))
        wanted[rows_[i].gateway].push_back(i);
      made.insert(rows_[i].name);
    }
    auto asked = std::vector<actors::question>{};
    for (const auto& [text, of] : wanted)
      asked.push_back({gateway_name(text), command(device::read_device{})});
    const auto answers = ask_all(std::move(asked));
    if (!answers)
      return answers.error();
    auto n = std::size_t{0};
    for (const auto& [text, of] : wanted) {
      const auto& got = (*answers)[n++];
      const auto* found = snapshot_in(got);
      const auto name = gateway_name(text);
      const auto p =
          found && reaches(found->id, *found->what) ? product(name.product_key) : nullptr;
      if (p && p->view.gateway) {
        gateways_.emplace(text, *found);
        continue;
      }
      if (!found && may_come && mode_ != import_mode::update &&
          (made.contains(name) || seen_.contains(name)))
        continue;
      for (const auto i : of)
        miss_gateway(i, p ? failure{errc::conflict, "not_gateway", text + " is no gateway"}
                          : failure{errc::not_found, "device_unknown", "no gateway " + text});
    }
    return {};
  }

  /// What the row has made stays: its device, and the secret of that.
  void miss_gateway(std::size_t i, const failure& why) {
    const auto before = outcomes_[i];
    fail(i, why);
    outcomes_[i].id = before.id;
    outcomes_[i].has_secret = before.has_secret;
  }

  /// Makes devices sub-devices of the gateways that their rows name.
  model::status bind() {
    auto with_gateway = std::vector<std::size_t>{};
    for (std::size_t i = 0; i < rows_.size(); ++i)
      if (!rows_[i].gateway.empty() && outcomes_[i].status != row_status::failed)
        with_gateway.push_back(i);
    if (auto ok = find_gateways(with_gateway, dry_run_); !ok)
      return ok;
    if (dry_run_ && mode_ != import_mode::update)
      return {};  // they are not there to be asked
    auto wanted = std::map<std::string, std::vector<std::size_t>>{};
    for (const auto i : with_gateway)
      if (gateways_.contains(rows_[i].gateway))
        wanted[rows_[i].gateway].push_back(i);
    for (const auto& [gateway, rows] : wanted)
      if (auto ok = bind_to(gateways_.at(gateway), rows); !ok)
        return ok;
    return {};
  }
  model::status bind_to(const device::device_snapshot& gateway,
                        const std::vector<std::size_t>& rows) {
    auto asked = std::vector<actors::question>{};
    for (const auto i : rows)
      asked.push_back(
          {rows_[i].name,
           command(device::bind_gateway{
               {gateway.id, gateway.what->name()}, operation().organisation, {}, dry_run_})});
    const auto answers = ask_all(std::move(asked));
    if (!answers)
      return answers.error();
    auto order = device::change_sub_devices{};
    for (std::size_t n = 0; n < rows.size(); ++n) {
      const auto& got = (*answers)[n];
      const auto* reply = got ? std::get_if<device::reply>(&got->answer) : nullptr;
      if (const auto* bound = reply ? std::get_if<device::device_bound>(reply) : nullptr)
        order.changes[rows_[rows[n]].name] = bound->id;
      else if (!got)
        miss_gateway(rows[n], got.error());
    }
    if (order.changes.empty() || dry_run_)
      return {};
    asked.clear();
    asked.push_back({gateway.id, command(std::move(order))});
    const auto told = ask_all(std::move(asked));
    if (!told)
      return told.error();
    if (!told->front())
      for (const auto i : rows)
        miss_gateway(i, told->front().error());
    return {};
  }

  row_format format_;
  import_mode mode_ = import_mode::create;
  std::string product_key_;
  bool dry_run_;
  std::vector<std::string> columns_;
  std::optional<key_pattern> pattern_;
  // Of one step.
  std::vector<import_row> rows_;
  std::vector<row_outcome> outcomes_;
  std::vector<std::size_t> open_;
  std::set<std::size_t> without_room_;
  std::map<std::string, device::device_snapshot> gateways_;  // as rows name them
  std::set<model::device_name> seen_;  // of a dry run, as far as this runner has come
};

}  // namespace

std::unique_ptr<actors::operation_work> import_work(work_parts parts, actors::work_order order,
                                                    model::value request) {
  return std::make_unique<device_import>(std::move(parts), std::move(order), std::move(request));
}

}  // namespace orrery::transport::api
