#include "transport/refused_logins.hpp"

#include <utility>

#include "model/audit/redaction.hpp"
#include "model/credentials.hpp"
#include "model/time_text.hpp"

namespace orrery::transport {
namespace {

namespace audit = model::audit;

constexpr auto window = std::chrono::minutes{1}, window_of_many = std::chrono::minutes{10};
constexpr auto hour = std::chrono::hours{1};
constexpr std::size_t max_text = 128;  // of what a stranger told

int status_of(model::errc code) {
  switch (code) {
    case model::errc::forbidden:
      return 403;
    case model::errc::too_many_requests:
      return 429;
    default:
      return 401;
  }
}

}  // namespace

refused_logins::refused_logins(writer write, std::function<model::timestamp()> now)
    : write_{std::move(write)}, now_{std::move(now)}, prefix_{model::random_text(8)} {}

bool refused_logins::takes_record(organisation& o, model::timestamp now) const {
  if (o.hour + hour <= now) {
    o.hour = now;
    o.records = 0;
  }
  if (o.records >= max_records)
    return false;
  ++o.records;
  return true;
}

void refused_logins::count_many(organisation& o, const refused_login& what, std::uint64_t number,
                                model::timestamp now) {
  if (o.many.more == 0)
    o.many.since = now;
  o.many.more += number;
  o.many.last = what;
}

void refused_logins::note(const refused_login& what) {
  const auto now = now_();
  auto first = std::vector<record>{};
  {
    const auto hold = std::lock_guard{mutex_};
    if (organisations_.size() >= max_organisations && !organisations_.contains(what.organisation))
      return;
    auto& o = organisations_[what.organisation];
    const auto key = sort{audit::valid_text(what.product_key, max_text),
                          audit::valid_text(what.device, max_text), what.address, what.reason};
    if (const auto found = o.sorts.find(key); found != o.sorts.end()) {
      ++found->second.more;
      found->second.last = what;
    } else if (o.sorts.size() < max_sorts && takes_record(o, now)) {
      const auto c = counted{what, now, 0};
      o.sorts.emplace(key, c);
      first.push_back(record_of(c, false));
    } else {
      count_many(o, what, 1, now);
    }
  }
  write(std::move(first));
}

refused_logins::record refused_logins::record_of(const counted& c, bool is_many) {
  const auto& w = c.last;
  auto r = record{w.organisation, prefix_ + "-d" + std::to_string(++number_), {}};
  r.entry.emplace_back("organisation", w.organisation);
  if (!is_many)
    r.entry.emplace_back("address", audit::valid_text(w.address, max_text));
  r.entry.emplace_back("requestId", r.id);
  r.entry.emplace_back("action", is_many ? "manyDeviceLogins" : "deviceLogin");
  if (!is_many) {
    const auto device = audit::valid_text(w.device, max_text);
    const auto name =
        w.product_key.empty() ? device : audit::valid_text(w.product_key, max_text) + '/' + device;
    r.entry.emplace_back(
        "resource",
        model::object{{"kind", w.product_key.empty() ? "client" : "device"},
                      {"id", audit::redacted(model::value{name}, audit::short_lengths)}});
  }
  r.entry.emplace_back("result", "refused");
  r.entry.emplace_back("status", status_of(w.code));
  if (!is_many)
    r.entry.emplace_back("reason", w.reason);
  if (c.more > 0) {
    r.entry.emplace_back("count", static_cast<std::int64_t>(c.more));
    r.entry.emplace_back("since", model::to_text(c.since));
  }
  return r;
}

std::vector<refused_logins::record> refused_logins::collect(model::timestamp now, bool all) {
  auto out = std::vector<record>{};
  for (auto at = organisations_.begin(); at != organisations_.end();) {
    auto& o = at->second;
    for (auto i = o.sorts.begin(); i != o.sorts.end();) {
      auto& c = i->second;
      if (!all && c.since + window > now) {
        ++i;
        continue;
      }
      if (c.more == 0) {  // nobody came for a minute
        i = o.sorts.erase(i);
        continue;
      }
      if (all || takes_record(o, now))
        out.push_back(record_of(c, false));
      else
        count_many(o, c.last, c.more, now);
      c.since = now;
      c.more = 0;
      ++i;
    }
    if (o.many.more > 0 && (all || o.many.since + window_of_many <= now)) {
      out.push_back(record_of(o.many, true));
      o.many.more = 0;
    }
    // Whoever is forgotten begins an hour anew: so it is kept as long as that.
    if (o.sorts.empty() && o.many.more == 0 && o.hour + hour <= now)
      at = organisations_.erase(at);
    else
      ++at;
  }
  return out;
}

void refused_logins::look_after() {
  auto over = std::vector<record>{};
  {
    const auto hold = std::lock_guard{mutex_};
    over = collect(now_(), false);
  }
  write(std::move(over));
}

void refused_logins::flush() {
  auto over = std::vector<record>{};
  {
    const auto hold = std::lock_guard{mutex_};
    over = collect(now_(), true);
  }
  write(std::move(over));
}

void refused_logins::write(std::vector<record> all) const {
  for (auto& r : all)
    write_(std::move(r.organisation), std::move(r.id), std::move(r.entry));
}

}  // namespace orrery::transport
