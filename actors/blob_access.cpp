#include "actors/blob_access.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace orrery::actors {
namespace {

constexpr std::size_t max_waiting = 10'000;

model::failure busy() {
  return {model::errc::unavailable, "file_store_busy",
          "too many files are being read and written: come back later"};
}

}  // namespace

struct blob_access::pool {
  std::shared_ptr<storage::blobs> store;
  std::shared_ptr<blob_ways> elsewhere;
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
      next = nullptr;  // what it holds goes while nobody waits
      hold.lock();
    }
  }
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
  template <class Done, class Make>
  void answer(const Done& done, Make make) {
    if (!post([done, make = std::move(make)]() mutable { done(make()); }))
      done(busy());
  }
};

blob_access::blob_access(std::shared_ptr<storage::blobs> store, std::size_t threads)
    : pool_{std::make_unique<pool>()} {
  pool_->store = std::move(store);
  for (std::size_t i = 0; i < threads; ++i)
    pool_->threads.emplace_back([p = pool_.get()] { p->run(); });
}

blob_access::~blob_access() {
  stop();
}

void blob_access::stop() {
  {
    const auto hold = std::lock_guard{pool_->mutex};
    pool_->stopping = true;
  }
  pool_->wake.notify_all();
  for (auto& t : pool_->threads)
    if (t.joinable())
      t.join();
}

void blob_access::set_elsewhere(std::shared_ptr<blob_ways> elsewhere) {
  pool_->elsewhere = std::move(elsewhere);
}
const std::shared_ptr<storage::blobs>& blob_access::store() const {
  return pool_->store;
}
bool blob_access::run(std::function<void()> work) {
  return pool_->post(std::move(work));
}

void blob_access::begin(then<incoming> done) {
  pool_->answer(done, [store = pool_->store]() -> model::result<incoming> {
    auto made = store->begin();
    if (!made)
      return made.error();
    return incoming{std::move(*made)};
  });
}

void blob_access::append(incoming to, std::string bytes, then_done done) {
  pool_->answer(done, [to = std::move(to), bytes = std::move(bytes)] { return to->append(bytes); });
}

void blob_access::finish(incoming what, then<storage::blob_facts> done) {
  pool_->answer(done, [what = std::move(what)] { return what->finish(); });
}

void blob_access::keep(incoming what, model::shard_id shard, std::string owner, then_done done) {
  const auto work = [this, what = std::move(what), shard, owner = std::move(owner), done] {
    const auto facts = what->finish();
    if (!facts)
      return done(facts.error());
    if (auto ok = what->keep(owner); !ok)
      return done(std::move(ok));
    if (!pool_->elsewhere)
      return done({});
    pool_->elsewhere->spread(shard, {owner, facts->sha256}, done);
  };
  if (!pool_->post(work))
    done(busy());
}

void blob_access::find(model::shard_id shard, storage::blob_name name, then<std::uint64_t> done) {
  const auto work = [this, shard, name = std::move(name), done] {
    auto here = pool_->store->size(name);
    if (here || here.error().code != model::errc::not_found || !pool_->elsewhere)
      return done(std::move(here));
    pool_->elsewhere->fetch(shard, name, [store = pool_->store, name, done](model::status fetched) {
      done(fetched ? store->size(name) : model::result<std::uint64_t>{fetched.error()});
    });
  };
  if (!pool_->post(work))
    done(busy());
}

void blob_access::read(storage::blob_name name, std::uint64_t offset, std::size_t most,
                       then<std::string> done) {
  pool_->answer(done, [store = pool_->store, name = std::move(name), offset, most] {
    return store->read(name, offset, most);
  });
}

void blob_access::remove(storage::blob_name name, std::int64_t written_at, then_done done) {
  pool_->answer(done, [store = pool_->store, name = std::move(name), written_at] {
    return store->remove(name, written_at);
  });
}

void blob_access::list(storage::blob_name after, std::size_t most,
                       then<std::vector<storage::listed_blob>> done) {
  pool_->answer(done, [store = pool_->store, after = std::move(after), most] {
    return store->list(after, most);
  });
}

void blob_access::spread(model::shard_id shard, storage::blob_name name, then_done done) {
  if (pool_->elsewhere)
    pool_->elsewhere->spread(shard, std::move(name), std::move(done));
  else
    done({});
}

}  // namespace orrery::actors
