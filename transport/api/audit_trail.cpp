#include "transport/api/audit_trail.hpp"

#include <algorithm>
#include <chrono>

#include "model/json.hpp"
#include "model/time_text.hpp"
#include "observe/log.hpp"

namespace orrery::transport::api {
namespace {

namespace audit = model::audit;
namespace log = observe::log;
using model::errc;
using model::failure;

constexpr auto short_pause = std::chrono::milliseconds{100};  // while an answer waits
constexpr auto pause = std::chrono::milliseconds{500};        // between two attempts
constexpr auto window = std::chrono::minutes{1};              // of counting

failure not_written() {
  return {errc::unavailable, "audit_unavailable",
          "the audit log does not take records at the moment; ask again"};
}

std::string text_of(const audit_note& n, std::string_view name) {
  const auto found = std::find_if(n.entry.begin(), n.entry.end(),
                                  [&](const auto& member) { return member.first == name; });
  return found != n.entry.end() && found->second.is_string() ? found->second.as_string()
                                                             : std::string{};
}

/// As it would stand in the log, for a person who looks for it elsewhere.
std::string shown(const audit_note& n) {
  return model::to_json(n.entry);
}

}  // namespace

audit_trail::audit_trail(audit_trail_parts p)
    : parts_{std::move(p)},
      written_{
          parts_.metrics->count("orrery_api_audit_records_total", "Records written to audit logs")},
      late_{parts_.metrics->count("orrery_api_audit_late_total",
                                  "Records that no answer could wait for any longer")},
      lost_{parts_.metrics->count("orrery_api_audit_lost_total",
                                  "Records that went to the node's own log alone")} {}

bool audit_trail::takes(const std::vector<std::string>& logs) const {
  return std::none_of(logs.begin(), logs.end(),
                      [&](const auto& log) { return waits_.contains(log); });
}

void audit_trail::prepare(std::vector<std::string> logs, then go_on) {
  auto goes = false;
  {
    const auto hold = std::lock_guard{mutex_};
    goes = !stopped_ && takes(logs);
    if (!goes && !stopped_ && held_.size() < max_held) {
      held_.push_back({std::move(logs), parts_.now() + parts_.patience, std::move(go_on)});
      return;
    }
  }
  go_on(goes ? model::status{} : model::status{not_written()});
}

std::vector<audit_trail::then> audit_trail::released() {
  auto all = std::vector<then>{};
  std::erase_if(held_, [&](held& h) {
    if (!takes(h.logs))
      return false;
    all.push_back(std::move(h.go_on));
    return true;
  });
  return all;
}

void audit_trail::note(audit_note n, then done) {
  const auto now = parts_.now();
  auto w = std::make_shared<waiting>(
      waiting{std::move(n), now + parts_.patience, std::move(done), true, {}, false});
  {
    const auto hold = std::lock_guard{mutex_};
    open_.insert(w);
  }
  ask(w, false);
}

void audit_trail::ask(const waiting_ptr& w, bool again) {
  auto order = audit::append_record{w->what.organisation, model::to_json(w->what.entry),
                                    w->what.request, again};
  parts_.ask(audit::log_id_of(w->what.organisation, parts_.shard_count),
             audit::command{std::move(order), {}, {}},
             [self = shared_from_this(), w](const actors::answer& got) { self->settled(w, got); });
}

void audit_trail::keep(const waiting_ptr& w) {
  if (std::find(waiting_.begin(), waiting_.end(), w) != waiting_.end())
    return;
  waiting_.push_back(w);
  ++waits_[w->what.organisation];
}

void audit_trail::forget(const waiting_ptr& w) {
  const auto place = std::find(waiting_.begin(), waiting_.end(), w);
  if (place == waiting_.end())
    return;
  waiting_.erase(place);
  if (const auto of = waits_.find(w->what.organisation); of != waits_.end() && --of->second == 0)
    waits_.erase(of);
}

/// The oldest, but not the only one of a log: it says that nothing may be changed.
audit_trail::waiting_ptr audit_trail::one_too_many() {
  const auto place = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& w) {
    return waits_.at(w->what.organisation) > 1;
  });
  auto w = place == waiting_.end() ? waiting_.front() : *place;
  forget(w);
  return w;
}

void audit_trail::give_up(const std::vector<waiting_ptr>& all) {
  for (const auto& w : all) {
    auto done = then{};
    {
      const auto hold = std::lock_guard{mutex_};
      w->given_up = true;
      open_.erase(w);
      done = std::exchange(w->done, {});
    }
    lost_.add();
    log::error("audit", "record_given_up",
               {{"organisation", w->what.organisation}, {"record", shown(w->what)}});
    if (done)
      done(not_written());
  }
}

void audit_trail::settled(const waiting_ptr& w, const actors::answer& got) {
  auto done = then{};
  auto gone = std::vector<waiting_ptr>{};
  auto free = std::vector<then>{};
  auto was_given_up = false;
  // What the log itself does not take is not tried again.
  const auto is_hopeless =
      !got && (got.error().code == errc::invalid_argument || got.error().code == errc::too_large);
  {
    const auto hold = std::lock_guard{mutex_};
    was_given_up = w->given_up;
    if (got || is_hopeless) {
      done = std::exchange(w->done, {});
      open_.erase(w);
      forget(w);
      free = released();
    } else if (stopped_ && !was_given_up) {
      forget(w);
      w->given_up = true;
      gone.push_back(w);
    } else if (!was_given_up) {
      w->asked = false;
      w->next = parts_.now() + (w->done ? short_pause : pause);
      keep(w);
      if (waiting_.size() > max_waiting)
        gone.push_back(one_too_many());
      for (const auto& one : gone)
        one->given_up = true;
    }
  }
  if (got) {
    written_.add();
    if (done)
      done({});
    for (const auto& go_on : free)
      go_on({});
    return;
  }
  if (was_given_up)
    return;  // it was told then
  if (is_hopeless) {
    lost_.add();
    log::error("audit", "record_refused",
               {{"detail", got.error().detail}, {"record", shown(w->what)}});
    if (done)
      done(not_written());
    for (const auto& go_on : free)
      go_on({});
    return;
  }
  log::warn("audit", "record_not_written",
            {{"organisation", w->what.organisation},
             {"request", w->what.request},
             {"detail", got.error().detail}});
  give_up(gone);
}

void audit_trail::look_after() {
  const auto now = parts_.now();
  auto again = std::vector<waiting_ptr>{};
  auto late = std::vector<std::pair<then, std::string>>{};
  auto refused = std::vector<then>{};
  auto over = std::vector<counted>{};
  {
    const auto hold = std::lock_guard{mutex_};
    for (const auto& w : waiting_) {
      if (w->done && w->until <= now)
        late.emplace_back(std::exchange(w->done, {}), shown(w->what));
      if (!w->asked && w->next <= now) {
        w->asked = true;
        again.push_back(w);
      }
    }
    std::erase_if(held_, [&](held& h) {
      if (h.until > now)
        return false;
      refused.push_back(std::move(h.go_on));
      return true;
    });
    for (auto i = counted_.begin(); i != counted_.end();)
      if (i->second.since + window <= now) {
        leave_bounds(i->first, i->second);
        if (i->second.more > 0)
          over.push_back(std::move(i->second));
        i = counted_.erase(i);
      } else {
        ++i;
      }
  }
  for (auto& [done, record] : late) {
    late_.add();
    log::error("audit", "record_late", {{"record", record}});
    done(not_written());
  }
  for (const auto& go_on : refused)
    go_on(not_written());
  for (const auto& w : again)
    ask(w, true);
  write_counted(std::move(over));
}

void audit_trail::flush() {
  auto over = std::vector<counted>{};
  {
    const auto hold = std::lock_guard{mutex_};
    for (auto& [what, c] : counted_)
      if (c.more > 0)
        over.push_back(std::move(c));
    counted_.clear();
    sorts_ = {};
    sorts_of_address_.clear();
  }
  write_counted(std::move(over));
  auto left = std::vector<waiting_ptr>{};
  auto refused = std::deque<held>{};
  {
    const auto hold = std::lock_guard{mutex_};
    stopped_ = true;
    refused.swap(held_);
    left.assign(waiting_.begin(), waiting_.end());
    waiting_.clear();
    waits_.clear();
    for (const auto& w : left)
      w->given_up = true;
  }
  give_up(left);
  for (const auto& h : refused)
    h.go_on(not_written());
}

std::size_t audit_trail::records_open() const {
  const auto hold = std::lock_guard{mutex_};
  return open_.size();
}

void audit_trail::give_up_open() {
  auto left = std::vector<waiting_ptr>{};
  {
    const auto hold = std::lock_guard{mutex_};
    for (const auto& w : open_)
      if (!std::exchange(w->given_up, true)) {
        forget(w);
        left.push_back(w);
      }
  }
  give_up(left);
}

void audit_trail::write_counted(std::vector<counted> all) {
  for (auto& c : all) {
    c.last.entry.emplace_back("count", static_cast<std::int64_t>(c.more));
    c.last.entry.emplace_back("since", model::to_text(c.since));
    note(std::move(c.last), [](const model::status&) {});
  }
}

namespace {

/// What is left of a note that stands for many of all sorts.
void make_many(audit_note& n, bool with_address) {
  std::erase_if(n.entry, [&](const auto& member) {
    return member.first != "organisation" && member.first != "requestId" &&
           member.first != "result" && member.first != "status" &&
           !(with_address && member.first == "address");
  });
  model::set_member(n.entry, "action", "many");
}

}  // namespace

audit_trail::sort audit_trail::sort_of(audit_note& n, const std::string& source,
                                       const std::string& address, counted_as as, bool& is_many) {
  auto what = sort{as, n.organisation, source, text_of(n, "action"), text_of(n, "reason")};
  if (counted_.contains(what))
    return what;
  if (as != counted_as::data) {
    const auto of = sorts_of_address_.find({as, address});
    if (of != sorts_of_address_.end() && of->second >= max_sorts_of_address) {
      is_many = true;
      make_many(n, true);
      return {as, n.organisation, "many " + address, {}, {}};
    }
  }
  if (sorts_[static_cast<std::size_t>(as)] >= max_sorts) {
    is_many = true;
    make_many(n, false);
    return {as, n.organisation, "many", {}, {}};
  }
  return what;
}

void audit_trail::leave_bounds(const sort& what, const counted& c) {
  if (c.is_many)
    return;
  const auto as = std::get<counted_as>(what);
  --sorts_[static_cast<std::size_t>(as)];
  if (const auto of = sorts_of_address_.find({as, c.address});
      of != sorts_of_address_.end() && --of->second == 0)
    sorts_of_address_.erase(of);
}

void audit_trail::count(audit_note n, const std::string& source, const std::string& address,
                        counted_as as) {
  const auto now = parts_.now();
  {
    const auto hold = std::lock_guard{mutex_};
    auto is_many = false;
    auto what = sort_of(n, source, address, as, is_many);
    if (const auto found = counted_.find(what); found != counted_.end()) {
      ++found->second.more;
      found->second.last = std::move(n);
      return;
    }
    if (!is_many) {
      ++sorts_[static_cast<std::size_t>(as)];
      ++sorts_of_address_[{as, address}];
    }
    counted_.emplace(std::move(what), counted{n, now, 0, address, is_many});
  }
  note(std::move(n), [](const model::status&) {});
}

bool audit_trail::tells_one_by_one(const std::string& caller) {
  const auto now = parts_.now();
  const auto hold = std::lock_guard{mutex_};
  if (told_since_ + window <= now) {
    told_.clear();
    told_since_ = now;
  }
  if (told_.size() >= 10'000 && !told_.contains(caller))
    return false;
  return ++told_[caller] <= told_one_by_one;
}

}  // namespace orrery::transport::api
