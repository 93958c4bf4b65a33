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

model::result<device_page> list_devices(const device_list_question& q,
                                        const storage::entity_store& store,
                                        std::uint16_t shard_count) {
  auto page = device_page{};
  auto from = std::string{};
  auto shard = 0u;
  if (!q.cursor.empty()) {
    const auto bytes = from_hex(q.cursor);
    if (!bytes || bytes->size() < 2)
      return bad_cursor();
    shard = static_cast<unsigned char>((*bytes)[0]) << 8 | static_cast<unsigned char>((*bytes)[1]);
    from = *bytes;
    if (shard >= shard_count)
      return bad_cursor();
  }
  auto failed = model::status{};
  for (; shard < shard_count; ++shard, from.clear()) {
    const auto number = static_cast<model::shard_id>(shard);
    const auto by_product = !q.product_key.empty();
    const auto prefix = by_product ? keys::index_prefix(number, "product", q.product_key)
                                   : keys::state_prefix(number, model::entity_kind::device);
    if (!from.empty()) {
      const auto id = keys::entity_of(from);
      const auto key = !id          ? std::string{}
                       : by_product ? keys::index(number, "product", q.product_key, *id)
                                    : keys::state(model::entity_kind::device, *id);
      if (key != from)
        return bad_cursor();
    }
    auto ok = store.scan(
        by_product ? family::index : family::state, prefix, from, false,
        [&](std::string_view key, std::string_view bytes) {
          const auto id = keys::entity_of(key);
          if (!id)
            return true;
          auto held = std::string{};
          if (by_product) {
            auto row = store.get(family::state, keys::state(model::entity_kind::device, *id));
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
          if (state->organisation() != q.organisation || (q.keep && !q.keep(*state)))
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

model::result<command_page> list_commands(const model::entity_id& device, const std::string& cursor,
                                          std::size_t limit, const storage::entity_store& store) {
  auto page = command_page{};
  const auto prefix = keys::command_prefix(device);
  auto from = std::string{};
  if (!cursor.empty()) {
    auto bytes = from_hex(cursor);
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
                         if (page.commands.size() == limit) {
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
  std::uint16_t shard_count;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::function<void()>> work;
  bool stopping = false;
  std::vector<std::thread> threads;

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
             std::uint16_t shard_count, std::size_t threads)
    : pool_{std::make_unique<pool>()} {
  pool_->store = std::move(store);
  pool_->ask = std::move(ask);
  pool_->shard_count = shard_count;
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

void query::history(history_question what, then<history_page> done) {
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
  pool_->answer<device_page>(done, [p = pool_.get(), what = std::move(what)] {
    return list_devices(what, *p->store, p->shard_count);
  });
}

void query::events(event_list_question what, then<event_page> done) {
  pool_->answer<event_page>(
      done, [p = pool_.get(), what = std::move(what)] { return list_events(what, *p->store); });
}

void query::command(model::entity_id device, model::entity_id id,
                    then<std::optional<model::device::command_record>> done) {
  using found = std::optional<model::device::command_record>;
  pool_->answer<found>(done, [p = pool_.get(), device, id]() -> model::result<found> {
    auto row = p->store->get(family::state, keys::command(device, id));
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

void query::commands(model::entity_id device, std::string cursor, std::size_t limit,
                     then<command_page> done) {
  pool_->answer<command_page>(done, [p = pool_.get(), device, cursor = std::move(cursor), limit] {
    return list_commands(device, cursor, limit, *p->store);
  });
}

void query::run(std::function<void()> work) {
  if (auto kept = std::make_shared<std::function<void()>>(std::move(work));
      !pool_->post([kept] { (*kept)(); }))
    (*kept)();
}

}  // namespace orrery::actors
