#include "actors/query.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

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
  if (text.size() % 2 != 0 || text.size() > 1024)
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

bool is_wanted(const device_list_question& q, const model::device::state& s) {
  return (q.organisation.empty() || s.organisation() == q.organisation) &&
         (q.product_key.empty() || s.name().product_key == q.product_key) &&
         (q.certificate.empty() || has_certificate(s, q.certificate)) &&
         (q.status.empty() || model::device::status_of(s) == q.status) &&
         (q.text.empty() || s.name().device_key.find(q.text) != std::string::npos ||
          s.display_name.find(q.text) != std::string::npos);
}

/// The index that has those who are asked for, and the value there; nothing: all are looked at.
struct index_way {
  std::string_view name;
  std::string value;
};
std::optional<index_way> way_of(const device_list_question& q) {
  if (!q.certificate.empty())
    return index_way{"certificate", q.certificate};
  if (!q.product_key.empty())
    return index_way{"product", q.product_key};
  return std::nullopt;
}

/// Where a list goes on with that device.
std::string place_of(const device_list_question& q, model::shard_id shard,
                     const model::entity_id& id) {
  const auto way = way_of(q);
  return way ? keys::index(shard, way->name, way->value, id)
             : keys::state(model::entity_kind::device, id);
}

model::result<device_page> list_devices(const device_list_question& q,
                                        const storage::entity_store& store,
                                        std::uint16_t shard_count, const read_ways* elsewhere) {
  auto page = device_page{};
  auto from = std::string{};
  auto shard = 0u;
  if (!q.cursor.empty()) {
    const auto bytes = from_hex(q.cursor);
    if (!bytes || bytes->size() < 2)
      return bad_cursor();
    shard = static_cast<unsigned char>((*bytes)[0]) << 8 | static_cast<unsigned char>((*bytes)[1]);
    if (bytes->size() > 2)
      from = *bytes;  // else: at the shard's first
    if (shard >= shard_count)
      return bad_cursor();
  }
  auto failed = model::status{};
  const auto end = q.shards == 0 ? shard_count : std::min<unsigned>(shard_count, shard + q.shards);
  for (; shard < end; ++shard, from.clear()) {
    const auto number = static_cast<model::shard_id>(shard);
    if (elsewhere && !elsewhere->is_here(number)) {
      page.next = to_hex(from.empty() ? keys::shard_prefix(number) : from);
      break;
    }
    const auto way = way_of(q);
    const auto prefix = way ? keys::index_prefix(number, way->name, way->value)
                            : keys::state_prefix(number, model::entity_kind::device);
    if (!from.empty()) {
      const auto id = keys::entity_of(from);
      if (!id || place_of(q, number, *id) != from)
        return bad_cursor();
    }
    auto ok = store.scan(way ? family::index : family::state, prefix, from, false,
                         [&](std::string_view key, std::string_view bytes) {
                           const auto id = keys::entity_of(key);
                           if (!id)
                             return true;
                           auto held = std::string{};
                           if (way) {
                             auto row = store.get(family::state,
                                                  keys::state(model::entity_kind::device, *id));
                             if (!row || !*row)
                               return true;  // deleted meanwhile
                             held = std::move(**row);
                             bytes = held;
                           }
                           auto state = std::make_shared<model::device::state>();
                           auto revision = model::device::decode_state(bytes, *state);
                           if (!revision) {
                             failed = revision.error();
                             return false;
                           }
                           if (!is_wanted(q, *state))
                             return true;
                           if (page.devices.size() == q.limit) {
                             page.next = to_hex(key);
                             return false;
                           }
                           page.devices.push_back({*id, *revision, std::move(state)});
                           return true;
                         });
    if (!ok)
      return ok.error();
    if (!failed)
      return failed.error();
    if (!page.next.empty())
      break;
  }
  return page;
}

std::string cursor_of(const device_list_question& q, const model::entity_id& id) {
  return to_hex(place_of(q, id.shard, id));
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

failure not_here() {
  return {errc::wrong_node, "shard_moved", "its shard is not on this node"};
}

/// Where a list goes on; nothing for a cursor that is none.
std::optional<model::shard_id> shard_of_cursor(const std::string& cursor) {
  if (cursor.empty())
    return model::shard_id{0};
  const auto bytes = from_hex(cursor);
  return bytes ? keys::shard_of(*bytes) : std::nullopt;
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
  part.shards = 1;
  g->parts.assign(count, std::nullopt);
  g->open = count;
  for (auto i = 0u; i < count; ++i) {
    const auto shard = static_cast<model::shard_id>(first + i);
    if (i > 0)
      part.cursor = to_hex(keys::shard_prefix(shard));
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
        page.next = cursor_of(g->what, d.id);
        return g->done(std::move(page));
      }
      page.devices.push_back(std::move(d));
    }
    if (const auto& next = (*part)->next; !next.empty()) {
      if (page.devices.size() == g->what.limit) {
        page.next = next;
        return g->done(std::move(page));
      }
      g->what.cursor = next;  // the shard has moved meanwhile: there it goes on
      return scatter(g);
    }
    ++g->shard;
  }
  if (g->shard >= shard_count)
    return g->done(std::move(page));
  g->what.cursor = to_hex(keys::shard_prefix(static_cast<model::shard_id>(g->shard)));
  if (page.devices.size() == g->what.limit) {
    page.next = g->what.cursor;
    return g->done(std::move(page));
  }
  g->width = std::min(2 * g->width, widest);
  scatter(g);
}

void query::serve(any_read what, then<any_page> done) {
  const auto shard = std::visit(
      [](const auto& q) {
        if constexpr (std::is_same_v<std::decay_t<decltype(q)>, device_list_question>)
          return shard_of_cursor(q.cursor);
        else if constexpr (requires { q.shard; })
          return std::optional{q.shard};
        else
          return std::optional{q.device.shard};
      },
      what);
  if (!shard)
    return done(bad_cursor());
  if (pool_->elsewhere && !pool_->elsewhere->is_here(*shard))
    return done(not_here());
  if (auto* h = std::get_if<history_question>(&what))
    return history(std::move(*h), as_any<history_page>(done));
  if (auto* e = std::get_if<event_list_question>(&what))
    return events(std::move(*e), as_any<event_page>(done));
  if (auto* c = std::get_if<command_question>(&what))
    return command(*c, as_any<std::optional<model::device::command_record>>(done));
  if (auto* l = std::get_if<command_list_question>(&what))
    return commands(std::move(*l), as_any<command_page>(done));
  if (auto* t = std::get_if<tree_question>(&what))
    return trees(std::move(*t), as_any<tree_page>(done));
  if (auto* f = std::get_if<asset_facts_question>(&what))
    return assets(std::move(*f), as_any<asset_page>(done));
  if (auto* a = std::get_if<asset_list_question>(&what))
    return assets(std::move(*a), as_any<asset_page>(done));
  pool_->answer<device_page>(
      as_any<device_page>(done),
      [p = pool_.get(), q = std::move(std::get<device_list_question>(what))] {
        return list_devices(q, *p->store, p->shard_count, p->elsewhere.get());
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

void query::devices(device_list_question what, then<device_page> done) {
  if (!pool_->elsewhere)
    return pool_->answer<device_page>(done, [p = pool_.get(), what = std::move(what)] {
      return list_devices(what, *p->store, p->shard_count, nullptr);
    });
  const auto shard = shard_of_cursor(what.cursor);
  if (!shard || *shard >= pool_->shard_count)
    return done(bad_cursor());
  auto g = std::make_shared<pool::gathering>();
  g->what = std::move(what);
  g->done = std::move(done);
  g->shard = *shard;
  pool_->scatter(g);
}

void query::events(event_list_question what, then<event_page> done) {
  if (pool_->passed_on(what.device.shard, what, done))
    return;
  pool_->answer<event_page>(
      done, [p = pool_.get(), what = std::move(what)] { return list_events(what, *p->store); });
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

void query::run(std::function<void()> work) {
  if (auto kept = std::make_shared<std::function<void()>>(std::move(work));
      !pool_->post([kept] { (*kept)(); }))
    (*kept)();
}

}  // namespace orrery::actors
