#include "cluster/remote_blobs.hpp"

#include <algorithm>

#include "observe/log.hpp"

namespace orrery::cluster {

using model::errc;
using model::failure;

namespace {

failure stopping() {
  return {errc::unavailable, "stopping", "the node is stopping"};
}

}  // namespace

struct remote_blobs::spreading {
  model::shard_id shard;
  storage::blob_name name;
  then done;
  std::uint64_t size = 0;
  node_set have{};  // they have it
  clock::time_point until{};
};

struct remote_blobs::fetching {
  model::shard_id shard;
  storage::blob_name name;
  std::vector<node_id> from{};  // who is asked, the last one first
  std::shared_ptr<storage::blob_writer> file{};
  std::uint64_t offset = 0;
  bool sure = true;  // everybody who was asked has answered
};

remote_blobs::remote_blobs(blob_links links, std::shared_ptr<actors::blob_access> local,
                           options wanted)
    : links_{std::move(links)}, local_{std::move(local)}, options_{wanted} {}

// ---- questions and their answers ----------------------------------------------------------------

void remote_blobs::ask(node_id to, blob_question q, on_answer done) {
  auto refused = on_answer{};
  {
    const auto hold = std::lock_guard{mutex_};
    if (stopped_) {
      refused = std::move(done);
    } else {
      q.number = ++numbers_;
      open_.emplace(q.number,
                    open_question{to, std::move(done), clock::now() + options_.answer_timeout});
    }
  }
  if (refused)
    return refused({0, blob_answer::kind::failed, 0, {}});
  if (!links_.send(to, encode(q)))
    answered(to, {q.number, blob_answer::kind::failed, 0, {}});
}

void remote_blobs::answered(node_id from, blob_answer a) {
  auto done = on_answer{};
  {
    const auto hold = std::lock_guard{mutex_};
    const auto found = open_.find(a.number);
    if (found == open_.end() || found->second.to != from)
      return;
    done = std::move(found->second.done);
    open_.erase(found);
  }
  done(std::move(a));
}

void remote_blobs::take(node_id from, std::string_view bytes) {
  auto message = decode_blob_message(bytes);
  if (!message)
    return observe::log::warn("cluster", "blob_message_not_read",
                              {{"node", from}, {"detail", message.error().detail}});
  if (auto* a = std::get_if<blob_answer>(&*message))
    return answered(from, std::move(*a));
  const auto q = std::make_shared<blob_question>(std::move(std::get<blob_question>(*message)));
  const auto number = q->number;
  if (!local_->run([self = shared_from_this(), from, q] { self->serve(from, *q); }))
    (void)links_.send(from, encode(blob_answer{number, blob_answer::kind::failed, 0, {}}));
}

void remote_blobs::serve(node_id from, const blob_question& q) {
  const auto& store = *local_->store();
  auto a = blob_answer{q.number, blob_answer::kind::done, 0, {}};
  if (q.what == blob_question::kind::put) {
    a = put(from, q);
  } else {
    const auto size =
        q.what == blob_question::kind::look ? local_->store()->touch(q.name) : store.size(q.name);
    auto bytes = model::result<std::string>{std::string{}};
    if (size && q.what == blob_question::kind::get)
      bytes = store.read(q.name, q.offset, std::min<std::uint64_t>(q.size, options_.piece_bytes));
    if (size && bytes) {
      a.size = *size;
      a.bytes = std::move(*bytes);
    } else {
      const auto code = size ? bytes.error().code : size.error().code;
      a.outcome = code == errc::not_found ? blob_answer::kind::unknown : blob_answer::kind::failed;
    }
  }
  (void)links_.send(from, encode(a));
}

blob_answer remote_blobs::put(node_id from, const blob_question& q) {
  auto a = blob_answer{q.number, blob_answer::kind::failed, q.size, {}};
  const auto hold = std::lock_guard{halves_mutex_};
  const auto key = std::pair{from, q.name};
  if (q.offset == 0) {
    auto begun = local_->store()->begin();
    if (!begun)
      return a;
    halves_[key] = {std::move(*begun), clock::now()};
  }
  const auto found = halves_.find(key);
  if (found == halves_.end() || found->second.file->size() != q.offset)
    return a;
  auto& half = found->second;
  half.last = clock::now();
  const auto fits = q.bytes.size() <= q.size && q.offset <= q.size - q.bytes.size();
  if (!fits || !half.file->append(q.bytes)) {
    halves_.erase(found);
    return a;
  }
  if (half.file->size() == q.size) {
    const auto is = half.file->finish();
    const auto kept = is && is->sha256 == q.name.sha256 && half.file->keep(q.name.owner);
    halves_.erase(found);
    if (!kept)
      return a;
  }
  a.outcome = blob_answer::kind::done;
  return a;
}

// ---- copies
// ---------------------------------------------------------------------------------------

void remote_blobs::spread(model::shard_id shard, storage::blob_name name, then done) {
  const auto s = std::make_shared<spreading>();
  s->shard = shard;
  s->name = std::move(name);
  s->done = std::move(done);
  s->until = clock::now() + options_.patience;
  if (!local_->run([self = shared_from_this(), s] {
        const auto size = self->local_->store()->size(s->name);
        if (!size)
          return s->done(size.error());
        s->size = *size;
        self->step(s);
      }))
    s->done(failure{errc::unavailable, "file_store_busy", "too many files are being copied"});
}

void remote_blobs::step(const std::shared_ptr<spreading>& s) {
  const auto view = links_.view();
  const auto at = view->shards.find(s->shard);
  // Who holds the shard is not known yet: it cannot be said that anybody else has it.
  if (at == view->shards.end() || at->second.in_sync.empty())
    return try_again(s);
  for (const auto node : at->second.in_sync) {
    if (node == links_.self || s->have.contains(node))
      continue;
    return ask(node, {blob_question::kind::look, 0, s->name, 0, 0, {}},
               [self = shared_from_this(), s, node](const blob_answer& a) {
                 if (a.outcome == blob_answer::kind::unknown)
                   return self->send_piece(s, node, 0);
                 if (a.outcome == blob_answer::kind::failed || a.size != s->size)
                   return self->try_again(s);
                 s->have.insert(node);
                 s->until = clock::now() + self->options_.patience;
                 self->step(s);
               });
  }
  s->done({});
}

void remote_blobs::send_piece(const std::shared_ptr<spreading>& s, node_id to,
                              std::uint64_t offset) {
  local_->read(s->name, offset, options_.piece_bytes,
               [self = shared_from_this(), s, to, offset](model::result<std::string> piece) {
                 if (!piece)
                   return s->done(piece.error());
                 if (piece->empty() && offset < s->size)
                   return s->done(failure{errc::corrupted, "a file has become shorter"});
                 const auto behind = offset + piece->size();
                 self->ask(
                     to, {blob_question::kind::put, 0, s->name, offset, s->size, std::move(*piece)},
                     [self, s, to, behind](const blob_answer& a) {
                       if (a.outcome != blob_answer::kind::done)
                         return self->try_again(s);
                       s->until = clock::now() + self->options_.patience;
                       if (behind < s->size)
                         return self->send_piece(s, to, behind);
                       s->have.insert(to);
                       self->step(s);
                     });
               });
}

void remote_blobs::try_again(const std::shared_ptr<spreading>& s) {
  {
    const auto hold = std::lock_guard{mutex_};
    if (!stopped_ && clock::now() < s->until) {
      waiting_.push_back(s);
      return;
    }
  }
  s->done(failure{errc::unavailable, "file_not_copied",
                  "not every node that is to have the file has taken it: send it again"});
}

// ---- what is elsewhere
// ------------------------------------------------------------------------------

void remote_blobs::fetch(model::shard_id shard, storage::blob_name name, then done) {
  {
    const auto hold = std::lock_guard{mutex_};
    auto& who = fetched_[name];
    who.push_back(std::move(done));
    if (who.size() > 1)
      return;  // it is under way
  }
  const auto f = std::make_shared<fetching>();
  f->shard = shard;
  f->name = std::move(name);
  const auto view = links_.view();
  auto last = node_set{};
  for (const auto& [node, entry] : view->nodes)
    last.insert(node);
  if (const auto at = view->shards.find(shard); at != view->shards.end()) {
    for (const auto node : at->second.in_sync)
      last.erase(node);
    f->from.assign(last.begin(), last.end());
    f->from.insert(f->from.end(), at->second.in_sync.begin(), at->second.in_sync.end());
  } else {
    f->from.assign(last.begin(), last.end());
  }
  std::erase(f->from, links_.self);
  next_node(f);
}

void remote_blobs::next_node(const std::shared_ptr<fetching>& f) {
  f->file.reset();
  f->offset = 0;
  if (f->from.empty())
    return finish(f, f->sure ? failure{errc::not_found, "blob_unknown", "no node has those bytes"}
                             : failure{errc::unavailable, "file_unreachable",
                                       "a node that may have those bytes is not there"});
  get_piece(f);
}

void remote_blobs::get_piece(const std::shared_ptr<fetching>& f) {
  ask(f->from.back(), {blob_question::kind::get, 0, f->name, f->offset, options_.piece_bytes, {}},
      [self = shared_from_this(), f](blob_answer a) {
        if (a.outcome != blob_answer::kind::done) {
          f->sure = f->sure && a.outcome == blob_answer::kind::unknown;
          f->from.pop_back();
          return self->next_node(f);
        }
        const auto got = std::make_shared<blob_answer>(std::move(a));
        if (!self->local_->run([self, f, got] { self->take_piece(f, *got); }))
          self->finish(f, failure{errc::unavailable, "file_store_busy",
                                  "too many files are being read and written"});
      });
}

void remote_blobs::take_piece(const std::shared_ptr<fetching>& f, const blob_answer& a) {
  if (!f->file) {
    auto begun = local_->store()->begin();
    if (!begun)
      return finish(f, begun.error());
    f->file = std::move(*begun);
  }
  if (auto ok = f->file->append(a.bytes); !ok)
    return finish(f, ok.error());
  f->offset += a.bytes.size();
  if (f->offset < a.size && !a.bytes.empty())
    return get_piece(f);
  const auto is = f->file->finish();
  if (!is)
    return finish(f, is.error());
  if (is->sha256 == f->name.sha256)
    return finish(f, f->file->keep(f->name.owner));
  observe::log::error("cluster", "blob_damaged",
                      {{"node", f->from.back()}, {"owner", f->name.owner}});
  f->from.pop_back();
  next_node(f);
}

void remote_blobs::finish(const std::shared_ptr<fetching>& f, const model::status& how) {
  f->file.reset();
  auto waiting = std::vector<then>{};
  {
    const auto hold = std::lock_guard{mutex_};
    if (const auto found = fetched_.find(f->name); found != fetched_.end()) {
      waiting = std::move(found->second);
      fetched_.erase(found);
    }
  }
  for (const auto& done : waiting)
    done(how);
}

// ---- the node's life ----------------------------------------------------------------------------

void remote_blobs::link_down(node_id who) {
  auto lost = std::vector<std::pair<std::uint64_t, on_answer>>{};
  {
    const auto hold = std::lock_guard{mutex_};
    for (auto i = open_.begin(); i != open_.end();)
      if (i->second.to == who) {
        lost.emplace_back(i->first, std::move(i->second.done));
        i = open_.erase(i);
      } else {
        ++i;
      }
  }
  for (const auto& [number, done] : lost)
    done({number, blob_answer::kind::failed, 0, {}});
}

void remote_blobs::tick() {
  const auto now = clock::now();
  auto late = std::vector<std::pair<std::uint64_t, on_answer>>{};
  auto again = decltype(waiting_){};
  {
    const auto hold = std::lock_guard{mutex_};
    for (auto i = open_.begin(); i != open_.end();)
      if (now >= i->second.until) {
        late.emplace_back(i->first, std::move(i->second.done));
        i = open_.erase(i);
      } else {
        ++i;
      }
    again.swap(waiting_);
  }
  for (const auto& [number, done] : late)
    done({number, blob_answer::kind::failed, 0, {}});
  for (const auto& s : again)
    step(s);
  // A piece may be on its way to the disk: then it is looked at the next time.
  if (const auto hold = std::unique_lock{halves_mutex_, std::try_to_lock})
    std::erase_if(halves_, [&](const auto& h) { return now - h.second.last > options_.silence; });
}

void remote_blobs::stop() {
  auto open = decltype(open_){};
  auto waiting = decltype(waiting_){};
  {
    const auto hold = std::lock_guard{mutex_};
    stopped_ = true;
    open.swap(open_);
    waiting.swap(waiting_);
  }
  for (auto& [number, q] : open)
    q.done({number, blob_answer::kind::failed, 0, {}});
  for (const auto& s : waiting)
    s->done(stopping());
}

}  // namespace orrery::cluster
