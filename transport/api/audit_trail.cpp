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

constexpr auto pause = std::chrono::milliseconds{500};  // between two attempts
constexpr auto window = std::chrono::minutes{1};        // of counting

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

void audit_trail::prepare(const std::string& organisation, then go_on) {
  auto is_broken = false;
  {
    const auto hold = std::lock_guard{mutex_};
    is_broken = broken_.contains(organisation);
  }
  if (!is_broken)
    return go_on({});
  parts_.ask(audit::log_id_of(organisation, parts_.shard_count),
             audit::command{audit::read_head{}, {}, {}},
             [self = shared_from_this(), organisation,
              go_on = std::move(go_on)](const actors::answer& got) {
               if (!got)
                 return go_on(not_written());
               {
                 const auto hold = std::lock_guard{self->mutex_};
                 self->broken_.erase(organisation);
               }
               go_on({});
             });
}

void audit_trail::note(audit_note n, then done) {
  const auto now = parts_.now();
  auto w = std::make_shared<waiting>(
      waiting{std::move(n), now + parts_.patience, std::move(done), true, {}});
  ask(w, false);
}

void audit_trail::ask(const std::shared_ptr<waiting>& w, bool again) {
  auto order = audit::append_record{w->what.organisation, model::to_json(w->what.entry),
                                    w->what.request, again};
  parts_.ask(audit::log_id_of(w->what.organisation, parts_.shard_count),
             audit::command{std::move(order), {}, {}},
             [self = shared_from_this(), w](const actors::answer& got) { self->settled(w, got); });
}

void audit_trail::settled(const std::shared_ptr<waiting>& w, const actors::answer& got) {
  auto done = then{};
  auto pushed_out = std::shared_ptr<waiting>{};
  // What the log itself does not take is not tried again.
  const auto is_hopeless =
      !got && (got.error().code == errc::invalid_argument || got.error().code == errc::too_large);
  {
    const auto hold = std::lock_guard{mutex_};
    const auto place = std::find(waiting_.begin(), waiting_.end(), w);
    if (got || is_hopeless) {
      broken_.erase(w->what.organisation);
      done = std::exchange(w->done, {});
      if (place != waiting_.end())
        waiting_.erase(place);
    } else {
      broken_.insert(w->what.organisation);
      w->asked = false;
      w->next = parts_.now() + pause;
      if (place == waiting_.end())
        waiting_.push_back(w);
      if (waiting_.size() > max_waiting) {
        pushed_out = waiting_.front();
        waiting_.pop_front();
        done = std::exchange(pushed_out->done, {});
      }
    }
  }
  if (got) {
    written_.add();
    if (done)
      done({});
    return;
  }
  if (is_hopeless) {
    lost_.add();
    log::error("audit", "record_refused",
               {{"detail", got.error().detail}, {"record", shown(w->what)}});
    if (done)
      done(not_written());
    return;
  }
  log::warn("audit", "record_not_written",
            {{"organisation", w->what.organisation},
             {"request", w->what.request},
             {"detail", got.error().detail}});
  if (pushed_out) {
    lost_.add();
    log::error(
        "audit", "record_given_up",
        {{"organisation", pushed_out->what.organisation}, {"record", shown(pushed_out->what)}});
    if (done)
      done(not_written());
  }
}

void audit_trail::look_after() {
  const auto now = parts_.now();
  auto again = std::vector<std::shared_ptr<waiting>>{};
  auto late = std::vector<std::pair<then, std::string>>{};
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
    for (auto i = counted_.begin(); i != counted_.end();)
      if (i->second.since + window <= now) {
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
  }
  write_counted(std::move(over));
}

void audit_trail::write_counted(std::vector<counted> all) {
  for (auto& c : all) {
    c.last.entry.emplace_back("count", static_cast<std::int64_t>(c.more));
    c.last.entry.emplace_back("since", model::to_text(c.since));
    note(std::move(c.last), [](const model::status&) {});
  }
}

void audit_trail::count(audit_note n, const std::string& source) {
  const auto now = parts_.now();
  {
    const auto hold = std::lock_guard{mutex_};
    auto what = sort{n.organisation, source, text_of(n, "action"), text_of(n, "reason")};
    if (counted_.size() >= max_sources && !counted_.contains(what)) {
      what = sort{std::string{audit::installation}, {}, {}, {}};
      n.organisation = audit::installation;
      std::erase_if(n.entry, [](const auto& member) {
        return member.first != "organisation" && member.first != "requestId" &&
               member.first != "result" && member.first != "status";
      });
      model::set_member(n.entry, "organisation", std::string{audit::installation});
      model::set_member(n.entry, "action", "many");
    }
    if (const auto found = counted_.find(what); found != counted_.end()) {
      ++found->second.more;
      found->second.last = std::move(n);
      return;
    }
    counted_.emplace(std::move(what), counted{n, now, 0});
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
