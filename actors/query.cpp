#include "actors/query.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "actors/device_search.hpp"
#include "storage/keys.hpp"

namespace orrery::actors {
namespace {

namespace keys = storage::keys;
using model::errc;
using model::failure;
using storage::family;

failure bad_cursor() {
  return {errc::invalid_argument, "bad_cursor", "that cursor is none of ours: begin without one"};
}

failure not_here() {
  return {errc::wrong_node, "shard_moved", "its shard is not on this node"};
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  auto text = std::string{};
  for (const auto c : bytes) {
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0 || text.size() > 8192)
    return std::nullopt;
  auto value = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  auto bytes = std::string{};
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto high = value(text[i]), low = value(text[i + 1]);
    if (high < 0 || low < 0)
      return std::nullopt;
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

bool has_certificate(const model::device::state& s, const std::string& fingerprint) {
  const auto& all = s.certificates().all;
  return std::any_of(all.begin(), all.end(),
                     [&](const auto& c) { return c.fingerprint == fingerprint; });
}

/// The place of a list in the order of ids: a shard, and the device there that comes next.
struct id_place {
  model::shard_id shard = 0;
  std::optional<model::entity_id> id = {};
};

std::string write_cursor(const id_place& at) {
  return to_hex(at.id ? keys::state(model::entity_kind::device, *at.id)
                      : keys::shard_prefix(at.shard));
}

std::optional<id_place> read_cursor(const std::string& cursor, std::uint16_t shard_count) {
  if (cursor.empty())
    return id_place{};
  const auto bytes = from_hex(cursor);
  const auto shard = bytes ? keys::shard_of(*bytes) : std::nullopt;
  if (!shard || *shard >= shard_count)
    return std::nullopt;
  if (bytes->size() == keys::shard_prefix(*shard).size())
    return id_place{*shard};
  const auto id = keys::entity_of(*bytes);
  if (!id || keys::state(model::entity_kind::device, *id) != *bytes)
    return std::nullopt;
  return id_place{*shard, id};
}

/// The shards that a question is for.
shard_span span_of(const std::optional<shard_span>& asked, std::uint16_t shard_count) {
  return asked.value_or(shard_span{0, shard_count});
}

/// Fails if a write that the asker knows of has not come to the shard yet.
model::status is_level(const std::optional<journal_place>& wanted, const shard_span& among,
                       const storage::entity_store& store) {
  if (!wanted || wanted->shard < among.first || wanted->shard >= among.first + among.count)
    return {};
  const auto meta = store.meta(wanted->shard);
  if (!meta)
    return meta.error();
  if (meta->next_offset <= wanted->offset)
    return failure{errc::unavailable, "index_lag",
                   "the revision that was asked for is not there yet; ask again"};
  return {};
}

/// Devices that one page looks at: more of them are the next page's, and this one may be short.
constexpr std::size_t most_looks = 20'000;

/// Who has the certificate, or had it.
model::status list_holders(const device_list_question& q, model::shard_id shard,
                           const storage::entity_store& store, device_page& page) {
  auto failed = model::status{};
  const auto ok = store.scan(
      family::index, keys::index_prefix(shard, "certificate", q.certificate), {}, false,
      [&](std::string_view key, auto) {
        const auto id = keys::entity_of(key);
        const auto row = id ? store.get(family::state, keys::state(model::entity_kind::device, *id))
                            : model::result<std::optional<std::string>>{std::nullopt};
        if (!row || !*row)
          return true;  // deleted meanwhile
        auto state = std::make_shared<model::device::state>();
        const auto revision = model::device::decode_state(**row, *state);
        if (!revision) {
          failed = revision.error();
          return false;
        }
        if (has_certificate(*state, q.certificate) &&
            (q.organisation.empty() || state->organisation() == q.organisation))
          page.devices.push_back({*id, *revision, std::move(state)});
        return page.devices.size() < q.limit;
      });
  return ok ? failed : ok;
}

/// The part of a list that is in the order of ids.
model::result<device_page> list_devices(const device_list_question& q,
                                        const storage::entity_store& store,
                                        std::uint16_t shard_count, const read_ways* elsewhere) {
  const auto search = device_search::make(q);
  if (!search)
    return search.error();
  const auto among = span_of(q.shards, shard_count);
  auto at = read_cursor(q.cursor, shard_count);
  if (!at)
    return bad_cursor();
  if (q.cursor.empty())
    at->shard = among.first;
  if (auto level = is_level(q.not_before, among, store); !level)
    return level.error();
  auto page = device_page{};
  auto looks = device_search::budget{most_looks};
  for (const auto end = among.first + among.count; at->shard < end;
       *at = {static_cast<model::shard_id>(at->shard + 1)}) {
    if (elsewhere && !elsewhere->is_here(at->shard)) {
      page.next = write_cursor(*at);
      return page;
    }
    if (!q.certificate.empty()) {
      if (auto ok = list_holders(q, at->shard, store, page); !ok)
        return ok.error();
      if (page.devices.size() >= q.limit)
        return page;  // nobody goes on with it
      continue;
    }
    const auto now = store.moment();
    if (!now)
      return now.error();
    const auto next = search->list(at->shard, at->id, q.limit, looks, **now, page.devices);
    if (!next)
      return next.error();
    if (*next) {
      page.next = write_cursor({at->shard, **next});
      page.paused = page.devices.size() < q.limit;
      return page;
    }
  }
  return page;
}

/// Where a sorted list goes on; nothing in it: at its begin. Nothing for a cursor that is none.
std::optional<std::optional<sorted_place>> read_sorted_cursor(const std::string& cursor,
                                                              std::size_t fields) {
  if (cursor.empty())
    return std::optional<sorted_place>{};
  const auto bytes = from_hex(cursor);
  auto place = bytes ? read_place(*bytes) : std::nullopt;
  if (!place || place->by.size() != fields)
    return std::nullopt;
  return std::optional{std::move(place)};
}

/// Puts the first `limit` of sorted lists together; `next` is behind the last of them.
device_page merge_sorted(const device_search& search, std::vector<listed_device> all,
                         std::size_t limit) {
  const auto before = [&](const listed_device& a, const listed_device& b) {
    return search.before({a.by, a.id}, {b.by, b.id});
  };
  auto page = device_page{};
  const auto more = all.size() > limit;
  const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), limit));
  std::partial_sort(all.begin(), end, all.end(), before);
  all.erase(end, all.end());
  if (more && !all.empty())
    page.next = to_hex(write_place({all.back().by, all.back().id}));
  page.devices = std::move(all);
  return page;
}

/// The part of a sorted list that the shards of the question have: with one more than the limit, a
/// page tells that it is not the last.
model::result<device_page> sort_devices(const device_list_question& q,
                                        const storage::entity_store& store,
                                        std::uint16_t shard_count, const read_ways* elsewhere) {
  const auto search = device_search::make(q);
  if (!search)
    return search.error();
  const auto after = read_sorted_cursor(q.cursor, search->sorted_by());
  if (!after)
    return bad_cursor();
  const auto among = span_of(q.shards, shard_count);
  if (auto level = is_level(q.not_before, among, store); !level)
    return level.error();
  auto shards = std::vector<model::shard_id>{};
  for (auto shard = unsigned{among.first}; shard < unsigned{among.first} + among.count; ++shard) {
    shards.push_back(static_cast<model::shard_id>(shard));
    if (elsewhere && !elsewhere->is_here(shards.back()))
      return not_here();
  }
  const auto now = store.moment();
  if (!now)
    return now.error();
  auto all = search->sorted(shards, *after, q.limit + 1, **now);
  if (!all)
    return all.error();
  return merge_sorted(*search, std::move(*all), q.limit);
}

model::result<device_counts> count_devices(const device_count_question& q,
                                           const storage::entity_store& store,
                                           std::uint16_t shard_count, const read_ways* elsewhere) {
  const auto search = device_search::make(q);
  if (!search)
    return search.error();
  const auto among = span_of(q.shards, shard_count);
  if (auto level = is_level(q.not_before, among, store); !level)
    return level.error();
  auto counts = device_counts{};
  for (auto shard = unsigned{among.first}; shard < unsigned{among.first} + among.count; ++shard) {
    if (elsewhere && !elsewhere->is_here(static_cast<model::shard_id>(shard)))
      return not_here();
    const auto now = store.moment();
    if (!now)
      return now.error();
    if (auto ok = search->count(static_cast<model::shard_id>(shard), **now, counts); !ok)
      return ok.error();
  }
  return counts;
}

model::result<event_page> list_events(const event_list_question& q,
                                      const storage::entity_store& store) {
  auto page = event_page{};
  auto after = std::string{};
  const auto from = std::max(q.from, store.sample_horizon());
  auto to = q.to;
  if (!q.cursor.empty()) {
    auto bytes = from_hex(q.cursor);
    const auto place = bytes ? keys::parse_series(*bytes) : std::nullopt;
    if (!place || !bytes->starts_with(keys::event_prefix(q.device)))
      return bad_cursor();
    after = std::move(*bytes);
    to = std::min(to, place->time);
  }
  auto failed = model::status{};
  auto ok =
      store.scan_series(keys::event_prefix(q.device), from, to, true,
                        [&](std::string_view key, std::string_view bytes) {
                          if (!after.empty() && key > after)
                            return true;
                          auto events = model::device::decode_events(bytes);
                          if (!events) {
                            failed = events.error();
                            return false;
                          }
                          for (const auto& e : *events)
                            if (const auto* raised = std::get_if<model::device::event_raised>(&e)) {
                              if (raised->time < from || raised->time > q.to ||
                                  (!q.event.empty() && raised->event != q.event))
                                continue;
                              if (page.events.size() == q.limit) {
                                page.next = to_hex(key);
                                return false;
                              }
                              page.events.push_back({raised->time, raised->at, raised->event,
                                                     raised->level, raised->output, to_hex(key)});
                            }
                          return true;
                        });
  if (!ok)
    return ok.error();
  if (!failed)
    return failed.error();
  return page;
}

/// What a row of presence says; nothing for one that is damaged.
std::optional<presence_row> read_presence(std::string_view bytes) {
  const auto events = model::device::decode_events(bytes);
  if (!events || events->size() != 1)
    return std::nullopt;
  if (const auto* came = std::get_if<model::device::connected>(&events->front()))
    return presence_row{came->at, true, came->protocol, came->address, {}};
  if (const auto* went = std::get_if<model::device::disconnected>(&events->front()))
    return presence_row{went->at, false, model::device::protocol::none, {}, went->reason};
  return std::nullopt;
}

model::result<presence_page> list_presence(const presence_question& q,
                                           const storage::entity_store& store) {
  auto page = presence_page{};
  auto after = std::string{};
  auto to = q.to;
  if (!q.cursor.empty()) {
    auto bytes = from_hex(q.cursor);
    const auto place = bytes ? keys::parse_series(*bytes) : std::nullopt;
    if (!place || !bytes->starts_with(keys::presence_prefix(q.device)))
      return bad_cursor();
    after = std::move(*bytes);
    to = std::min(to, place->time);
  }
  auto sum = presence_sum{};
  auto rows = std::size_t{0};
  auto until = q.to;  // what is behind it is counted
  auto damaged = false;
  // The row before the time that is asked for says how that begins.
  const auto ok = store.scan_series(keys::presence_prefix(q.device), store.sample_horizon(), to,
                                    true, [&](std::string_view key, std::string_view bytes) {
                                      if (!after.empty() && key > after)
                                        return true;
                                      auto row = read_presence(bytes);
                                      damaged = !row;
                                      if (!row || ++rows > max_presence_rows)
                                        return false;
                                      const auto at = row->at, begin = std::max(at, q.from);
                                      sum.known += until - begin;
                                      sum.online +=
                                          row->online ? until - begin : model::milliseconds{0};
                                      until = begin;
                                      if (at < q.from)
                                        return false;
                                      if (page.rows.size() < q.limit)
                                        page.rows.push_back(std::move(*row));
                                      else if (page.next.empty())
                                        page.next = to_hex(key);
                                      return page.next.empty() || after.empty();
                                    });
  if (!ok)
    return ok.error();
  if (damaged)
    return failure{errc::corrupted, "a row of the presence of " + to_string(q.device) +
                                        " does not decode: damaged, or of a newer version"};
  if (after.empty() && rows <= max_presence_rows)
    page.sum = sum;
  return page;
}

model::result<command_page> list_commands(const command_list_question& q,
                                          const storage::entity_store& store) {
  auto page = command_page{};
  const auto prefix = keys::command_prefix(q.device);
  auto from = std::string{};
  if (!q.cursor.empty()) {
    auto bytes = from_hex(q.cursor);
    if (!bytes || !bytes->starts_with(prefix))
      return bad_cursor();
    from = std::move(*bytes);
  }
  auto failed = model::status{};
  auto ok = store.scan(family::state, prefix, from, true,
                       [&](std::string_view key, std::string_view bytes) {
                         auto c = model::device::decode_command(bytes);
                         if (!c) {
                           failed = c.error();
                           return false;
                         }
                         if (page.commands.size() == q.limit) {
                           page.next = to_hex(key);
                           return false;
                         }
                         page.commands.push_back(std::move(*c));
                         return true;
                       });
  if (!ok)
    return ok.error();
  if (!failed)
    return failed.error();
  return page;
}

}  // namespace

/// A few threads and a bounded queue of work.
struct query::pool {
  std::shared_ptr<const storage::entity_store> store;
  std::shared_ptr<caller> ask;
  std::shared_ptr<read_ways> elsewhere;
  std::uint16_t shard_count;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::function<void()>> work;
  bool stopping = false;
  std::vector<std::thread> threads;

  template <class Page, class Question>
  bool passed_on(model::shard_id shard, const Question& what,
                 const std::function<void(model::result<Page>)>& done);
  template <class Page, class Question>
  struct round;
  template <class Page, class Question>
  void ask_all(Question what, std::function<model::result<Page>(const Question&)> here,
               std::function<void(model::result<std::vector<Page>>)> done);
  /// `parts`: each of one shard.
  template <class Page, class Question>
  void ask_each(std::vector<Question> parts,
                std::function<model::result<Page>(const Question&)> here,
                std::function<void(model::result<std::vector<Page>>)> done,
                std::function<void(std::vector<Page>&)> shorten = {});
  struct sorted_list;
  void ask_sorted(const std::shared_ptr<sorted_list>& l, std::vector<device_list_question> parts);
  struct gathering;
  void scatter(const std::shared_ptr<gathering>& g);
  void gather(const std::shared_ptr<gathering>& g);

  void run() {
    auto hold = std::unique_lock{mutex};
    for (;;) {
      wake.wait(hold, [&] { return stopping || !work.empty(); });
      if (work.empty())
        return;
      auto next = std::move(work.front());
      work.pop_front();
      hold.unlock();
      next();
      hold.lock();
    }
  }
  static constexpr std::size_t max_waiting = 10'000;
  bool post(std::function<void()> what) {
    {
      const auto hold = std::lock_guard{mutex};
      if (stopping || work.size() >= max_waiting)
        return false;
      work.push_back(std::move(what));
    }
    wake.notify_one();
    return true;
  }
  template <class T>
  void answer(const then<T>& done, std::function<model::result<T>()> make) {
    if (!post([done, make = std::move(make)] { done(make()); }))
      done(failure{errc::unavailable, "too many reads are waiting: come back later"});
  }
};

query::query(std::shared_ptr<const storage::entity_store> store, std::shared_ptr<caller> ask,
             std::uint16_t shard_count, std::size_t threads, std::shared_ptr<read_ways> elsewhere)
    : pool_{std::make_unique<pool>()} {
  pool_->store = std::move(store);
  pool_->ask = std::move(ask);
  pool_->shard_count = shard_count;
  pool_->elsewhere = std::move(elsewhere);
  for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i)
    pool_->threads.emplace_back([p = pool_.get()] { p->run(); });
}

query::~query() {
  {
    const auto hold = std::lock_guard{pool_->mutex};
    pool_->stopping = true;
  }
  pool_->wake.notify_all();
  for (auto& t : pool_->threads)
    t.join();
}

namespace {

/// One sort of page as any page, and the other way round.
template <class Page>
std::function<void(model::result<Page>)> as_any(const read_ways::then& done) {
  return [done](model::result<Page> got) {
    if (!got)
      return done(got.error());
    done(any_page{std::move(*got)});
  };
}
template <class Page>
read_ways::then as_one(const std::function<void(model::result<Page>)>& done) {
  return [done](model::result<any_page> got) {
    if (!got)
      return done(got.error());
    if (auto* page = std::get_if<Page>(&*got))
      return done(std::move(*page));
    done(failure{errc::internal, "another node answered with a page of another sort"});
  };
}

}  // namespace

/// True: the read was sent to another node.
template <class Page, class Question>
bool query::pool::passed_on(model::shard_id shard, const Question& what,
                            const std::function<void(model::result<Page>)>& done) {
  if (!elsewhere || elsewhere->is_here(shard))
    return false;
  elsewhere->read(shard, what, as_one<Page>(done));
  return true;
}

/// A list over shards that are on several nodes: some shards are asked at once, more and more of
/// them while the page does not get full, and what they have is put together in their order.
struct query::pool::gathering {
  device_list_question what;
  then<device_page> done;
  device_page so_far{};
  unsigned shard = 0;  // the first that is asked next
  unsigned width = 1;  // so many are asked at once
  std::mutex mutex{};
  std::vector<std::optional<model::result<device_page>>> parts{};
  std::size_t open = 0;
};
constexpr auto widest = 32u;

void query::pool::scatter(const std::shared_ptr<gathering>& g) {
  const auto first = g->shard, count = std::min<unsigned>(g->width, shard_count - g->shard);
  auto part = g->what;
  part.limit = g->what.limit - g->so_far.devices.size();
  g->parts.assign(count, std::nullopt);
  g->open = count;
  for (auto i = 0u; i < count; ++i) {
    const auto shard = static_cast<model::shard_id>(first + i);
    part.shards = shard_span{shard, 1};
    if (i > 0)
      part.cursor = write_cursor({shard});
    const auto take = [this, g, i](model::result<device_page> got) {
      {
        const auto hold = std::lock_guard{g->mutex};
        g->parts[i] = std::move(got);
        if (--g->open > 0)
          return;
      }
      gather(g);
    };
    if (!passed_on<device_page>(shard, part, std::function<void(model::result<device_page>)>{take}))
      answer<device_page>(
          take, [this, part] { return list_devices(part, *store, shard_count, elsewhere.get()); });
  }
}

void query::pool::gather(const std::shared_ptr<gathering>& g) {
  auto& page = g->so_far;
  for (auto& part : g->parts) {
    if (!*part)
      return g->done(part->error());
    for (auto& d : (*part)->devices) {
      if (page.devices.size() == g->what.limit) {
        page.next = write_cursor({d.id.shard, d.id});
        return g->done(std::move(page));
      }
      page.devices.push_back(std::move(d));
    }
    if (const auto& next = (*part)->next; !next.empty()) {
      if (page.devices.size() == g->what.limit || (*part)->paused) {
        page.next = next;
        page.paused = (*part)->paused;
        return g->done(std::move(page));
      }
      g->what.cursor = next;  // the shard has moved meanwhile: there it goes on
      return scatter(g);
    }
    ++g->shard;
  }
  if (g->shard >= shard_count)
    return g->done(std::move(page));
  g->what.cursor = write_cursor({static_cast<model::shard_id>(g->shard)});
  if (page.devices.size() == g->what.limit) {
    page.next = g->what.cursor;
    return g->done(std::move(page));
  }
  g->width = std::min(2 * g->width, widest);
  scatter(g);
}

/// A question to all shards, each where it is.
template <class Page, class Question>
struct query::pool::round {
  std::function<void(model::result<std::vector<Page>>)> done;
  std::function<void(std::vector<Page>&)> shorten;  // what is there so far; may be null
  std::mutex mutex{};
  std::vector<Page> pages{};
  std::optional<failure> failed{};
  std::size_t open = 0;

  void take(Page page) {
    pages.push_back(std::move(page));
    if (shorten)
      shorten(pages);
  }
};

template <class Page, class Question>
void query::pool::ask_all(Question what, std::function<model::result<Page>(const Question&)> here,
                          std::function<void(model::result<std::vector<Page>>)> done) {
  auto parts = std::vector<Question>(shard_count, what);
  for (auto shard = 0u; shard < shard_count; ++shard)
    parts[shard].shards = shard_span{static_cast<model::shard_id>(shard), 1};
  ask_each<Page, Question>(std::move(parts), std::move(here), std::move(done));
}

template <class Page, class Question>
void query::pool::ask_each(std::vector<Question> parts,
                           std::function<model::result<Page>(const Question&)> here,
                           std::function<void(model::result<std::vector<Page>>)> done,
                           std::function<void(std::vector<Page>&)> shorten) {
  auto r = std::make_shared<round<Page, Question>>();
  r->shorten = std::move(shorten);
  r->done = std::move(done);
  r->open = parts.size();
  const auto take = std::function<void(model::result<Page>)>{[r](model::result<Page> got) {
    {
      const auto hold = std::lock_guard{r->mutex};
      if (got)
        r->take(std::move(*got));
      else if (!r->failed)
        r->failed = std::move(got.error());
      if (--r->open > 0)
        return;
    }
    if (r->failed)
      return r->done(std::move(*r->failed));
    r->done(std::move(r->pages));
  }};
  for (const auto& part : parts) {
    if (passed_on<Page>(part.shards->first, part, take))
      continue;
    const auto or_there =
        std::function<void(model::result<Page>)>{[this, part, take](model::result<Page> got) {
          if (!got && got.error().code == errc::wrong_node)  // it has moved meanwhile
            return elsewhere->read(part.shards->first, part, as_one<Page>(take));
          take(std::move(got));
        }};
    answer<Page>(or_there, [here, part] { return here(part); });
  }
}

void query::serve(any_read what, then<any_page> done) {
  const auto shard = std::visit(
      [](const auto& q) {
        if constexpr (requires { q.shard; })
          return std::optional{q.shard};
        else if constexpr (requires { q.device; })
          return std::optional{q.device.shard};
        else
          return q.shards ? std::optional{q.shards->first} : std::nullopt;
      },
      what);
  if (!shard || *shard >= pool_->shard_count)
    return done(bad_cursor());
  if (pool_->elsewhere && !pool_->elsewhere->is_here(*shard))
    return done(not_here());
  if (auto* h = std::get_if<history_question>(&what))
    return history(std::move(*h), as_any<history_page>(done));
  if (auto* e = std::get_if<event_list_question>(&what))
    return events(std::move(*e), as_any<event_page>(done));
  if (auto* p = std::get_if<presence_question>(&what))
    return presence(std::move(*p), as_any<presence_page>(done));
  if (auto* c = std::get_if<command_question>(&what))
    return command(*c, as_any<std::optional<model::device::command_record>>(done));
  if (auto* l = std::get_if<command_list_question>(&what))
    return commands(std::move(*l), as_any<command_page>(done));
  if (auto* n = std::get_if<device_count_question>(&what))
    return pool_->answer<device_counts>(
        as_any<device_counts>(done), [p = pool_.get(), q = std::move(*n)] {
          return count_devices(q, *p->store, p->shard_count, p->elsewhere.get());
        });
  if (auto* t = std::get_if<tree_question>(&what))
    return trees(std::move(*t), as_any<tree_page>(done));
  if (auto* f = std::get_if<asset_facts_question>(&what))
    return assets(std::move(*f), as_any<asset_page>(done));
  if (auto* a = std::get_if<asset_list_question>(&what))
    return assets(std::move(*a), as_any<asset_page>(done));
  if (auto* r = std::get_if<audit_question>(&what))
    return audit(std::move(*r), as_any<audit_page>(done));
  if (auto* o = std::get_if<operation_list_question>(&what))
    return operations(std::move(*o), as_any<operation_page>(done));
  if (auto* r = std::get_if<operation_rows_question>(&what))
    return operations(*r, as_any<operation_page>(done));
  pool_->answer<device_page>(
      as_any<device_page>(done),
      [p = pool_.get(), q = std::move(std::get<device_list_question>(what))] {
        return q.sort.empty() ? list_devices(q, *p->store, p->shard_count, p->elsewhere.get())
                              : sort_devices(q, *p->store, p->shard_count, p->elsewhere.get());
      });
}

void query::history(history_question what, then<history_page> done) {
  if (pool_->passed_on(what.device.shard, what, done))
    return;
  const auto device = what.device;
  auto read = model::device::read_samples{what.from, what.to};
  pool_->ask->ask(device, model::device::command{read, {}, {}, {}},
                  [p = pool_.get(), what = std::move(what), done = std::move(done)](answer got) {
                    if (!got)
                      return done(got.error());
                    auto unsaved = unsaved_batches{};
                    if (const auto* reply = std::get_if<model::device::reply>(&got->answer))
                      if (const auto* samples = std::get_if<model::device::unsaved_samples>(reply))
                        unsaved = samples->batches;
                    p->answer<history_page>(done, [p, what, unsaved] {
                      return merge_history(what, *p->store, unsaved);
                    });
                  });
}

/// A page of a sorted list of all shards: of what has come no more than that page is kept.
struct query::pool::sorted_list {
  explicit sorted_list(device_search how) : search{std::move(how)} {}
  const device_search search;
  device_list_question what{};
  std::size_t limit = 0;
  then<device_page> done{};
  device_page page{};
  /// Shards that have more behind the place where what they gave ends.
  std::map<model::shard_id, sorted_place> open{};

  void take(device_page got) {
    if (!got.next.empty() && !got.devices.empty()) {
      const auto& last = got.devices.back();
      open.insert_or_assign(last.id.shard, sorted_place{last.by, last.id});
    }
    const auto left_some = !page.next.empty();
    std::move(page.devices.begin(), page.devices.end(), std::back_inserter(got.devices));
    page = merge_sorted(search, std::move(got.devices), limit);
    if (left_some)
      go_on_behind();
  }

  /// The page is not the last one.
  void go_on_behind() {
    if (!page.devices.empty())
      page.next = to_hex(write_place({page.devices.back().by, page.devices.back().id}));
  }

  /// Questions to the shards whose next device may be one of the page.
  std::vector<device_list_question> left() {
    auto parts = std::vector<device_list_question>{};
    const auto full = page.devices.size() >= limit;
    for (const auto& [shard, place] : open) {
      if (full && !search.before(place, {page.devices.back().by, page.devices.back().id}))
        continue;
      auto& part = parts.emplace_back(what);
      part.limit = limit;
      part.shards = shard_span{shard, 1};
      part.cursor = to_hex(write_place(place));
    }
    for (const auto& part : parts)
      open.erase(part.shards->first);
    return parts;
  }
};

void query::pool::ask_sorted(const std::shared_ptr<sorted_list>& l,
                             std::vector<device_list_question> parts) {
  ask_each<device_page, device_list_question>(
      std::move(parts),
      [this](const device_list_question& q) {
        return sort_devices(q, *store, shard_count, elsewhere.get());
      },
      [this, l](const model::result<std::vector<device_page>>& ok) {
        if (!ok)
          return l->done(ok.error());
        if (auto more = l->left(); !more.empty())
          return ask_sorted(l, std::move(more));
        if (!l->open.empty())
          l->go_on_behind();
        l->done(std::move(l->page));
      },
      // With the mutex of the round.
      [l](std::vector<device_page>& pages) {
        for (auto& page : pages)
          l->take(std::move(page));
        pages.clear();
      });
}

void query::devices(device_list_question what, then<device_page> done) {
  if (!pool_->elsewhere)
    return pool_->answer<device_page>(done, [p = pool_.get(), what = std::move(what)] {
      return what.sort.empty() ? list_devices(what, *p->store, p->shard_count, nullptr)
                               : sort_devices(what, *p->store, p->shard_count, nullptr);
    });
  if (!what.sort.empty()) {
    auto read = device_search::make(what);
    if (!read)
      return done(read.error());
    auto l = std::make_shared<pool::sorted_list>(std::move(*read));
    l->limit = what.limit;
    l->done = std::move(done);
    // Devices are spread evenly: each shard is asked for a little more than its part of a page.
    const auto shards = std::size_t{pool_->shard_count};
    what.limit = std::min(what.limit, 4 * what.limit / shards + 4);
    auto parts = std::vector<device_list_question>(shards, what);
    for (std::size_t shard = 0; shard < shards; ++shard)
      parts[shard].shards = shard_span{static_cast<model::shard_id>(shard), 1};
    l->what = std::move(what);
    return pool_->ask_sorted(l, std::move(parts));
  }
  const auto at = read_cursor(what.cursor, pool_->shard_count);
  if (!at)
    return done(bad_cursor());
  auto g = std::make_shared<pool::gathering>();
  g->what = std::move(what);
  g->done = std::move(done);
  g->shard = at->shard;
  pool_->scatter(g);
}

void query::count(device_count_question what, then<device_counts> done) {
  if (!pool_->elsewhere)
    return pool_->answer<device_counts>(done, [p = pool_.get(), what = std::move(what)] {
      return count_devices(what, *p->store, p->shard_count, nullptr);
    });
  const auto of_tags = what.groups == every_tag;
  pool_->ask_all<device_counts, device_count_question>(
      std::move(what),
      [p = pool_.get()](const device_count_question& q) {
        return count_devices(q, *p->store, p->shard_count, p->elsewhere.get());
      },
      [done, of_tags](model::result<std::vector<device_counts>> parts) {
        if (!parts)
          return done(parts.error());
        if (of_tags) {
          auto tags = tag_counts{};
          for (const auto& part : *parts)
            tags.add(part);
          return done(tags.counts());
        }
        auto all = device_counts{};
        for (const auto& part : *parts)
          for (const auto& [group, n] : part.of)
            all.of[group] += n;
        if (all.of.size() > max_count_groups)
          return done(failure{errc::too_large, "too_many_groups",
                              "more than " + std::to_string(max_count_groups) + " groups"});
        done(std::move(all));
      });
}

void query::events(event_list_question what, then<event_page> done) {
  if (pool_->passed_on(what.device.shard, what, done))
    return;
  pool_->answer<event_page>(
      done, [p = pool_.get(), what = std::move(what)] { return list_events(what, *p->store); });
}

void query::presence(presence_question what, then<presence_page> done) {
  if (pool_->passed_on(what.device.shard, what, done))
    return;
  pool_->answer<presence_page>(
      done, [p = pool_.get(), what = std::move(what)] { return list_presence(what, *p->store); });
}

void query::command(command_question what,
                    then<std::optional<model::device::command_record>> done) {
  using found = std::optional<model::device::command_record>;
  if (pool_->passed_on(what.device.shard, what, done))
    return;
  pool_->answer<found>(done, [p = pool_.get(), what]() -> model::result<found> {
    auto row = p->store->get(family::state, keys::command(what.device, what.command));
    if (!row)
      return row.error();
    if (!*row)
      return found{};
    auto c = model::device::decode_command(**row);
    if (!c)
      return c.error();
    return found{std::move(*c)};
  });
}

void query::commands(command_list_question what, then<command_page> done) {
  if (pool_->passed_on(what.device.shard, what, done))
    return;
  pool_->answer<command_page>(
      done, [p = pool_.get(), what = std::move(what)] { return list_commands(what, *p->store); });
}

namespace {

/// Reads all of a page as of one moment.
template <class Page, class Read>
model::result<Page> of_one_moment(const storage::entity_store& store, Read read) {
  const auto view = store.moment();
  if (!view)
    return view.error();
  return read(**view);
}

}  // namespace

void query::trees(tree_question what, then<tree_page> done) {
  if (pool_->passed_on(what.shard, what, done))
    return;
  pool_->answer<tree_page>(done, [p = pool_.get(), what = std::move(what)] {
    return of_one_moment<tree_page>(*p->store, [&](auto& rows) { return read_tree(what, rows); });
  });
}

void query::assets(asset_facts_question what, then<asset_page> done) {
  if (pool_->passed_on(what.shard, what, done))
    return;
  pool_->answer<asset_page>(done, [p = pool_.get(), what = std::move(what)] {
    return of_one_moment<asset_page>(*p->store,
                                     [&](auto& rows) { return read_assets(what, rows); });
  });
}

void query::assets(asset_list_question what, then<asset_page> done) {
  if (pool_->passed_on(what.shard, what, done))
    return;
  pool_->answer<asset_page>(done, [p = pool_.get(), what = std::move(what)] {
    return of_one_moment<asset_page>(*p->store,
                                     [&](auto& rows) { return read_assets(what, rows); });
  });
}

void query::audit(audit_question what, then<audit_page> done) {
  if (pool_->passed_on(what.shard, what, done))
    return;
  pool_->answer<audit_page>(done, [p = pool_.get(), what = std::move(what)] {
    return of_one_moment<audit_page>(*p->store, [&](auto& rows) { return read_audit(what, rows); });
  });
}

void query::operations(operation_list_question what, then<operation_page> done) {
  if (pool_->passed_on(what.shard, what, done))
    return;
  pool_->answer<operation_page>(done, [p = pool_.get(), what = std::move(what)] {
    return of_one_moment<operation_page>(*p->store,
                                         [&](auto& rows) { return read_operations(what, rows); });
  });
}

void query::operations(operation_rows_question what, then<operation_page> done) {
  if (pool_->passed_on(what.shard, what, done))
    return;
  pool_->answer<operation_page>(done, [p = pool_.get(), what] {
    return of_one_moment<operation_page>(*p->store,
                                         [&](auto& rows) { return read_operations(what, rows); });
  });
}

void query::run(std::function<void()> work) {
  if (auto kept = std::make_shared<std::function<void()>>(std::move(work));
      !pool_->post([kept] { (*kept)(); }))
    (*kept)();
}

}  // namespace orrery::actors
