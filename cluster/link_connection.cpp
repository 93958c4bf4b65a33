#include "cluster/link_connection.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <boost/asio/post.hpp>

namespace orrery::cluster {

namespace {

constexpr std::size_t write_bytes = std::size_t{64} * 1024;
// A read of less is the last of what one write has sent: worth looking at before the next read.
constexpr std::size_t full_read_bytes = std::size_t{16} * 1024;
constexpr std::uint32_t records_of_a_key = 1u << 23;
constexpr std::size_t kept_bytes = std::size_t{1024} * 1024;  // of a buffer that is empty
// So much at once, then the other links have their turn.
constexpr auto writes_in_a_turn = 4;
constexpr auto reads_in_a_turn = 4;

/// Frames that came together, as long as any of their messages is held.
struct frame_block {
  frame_block(std::string_view frames, std::size_t c, std::shared_ptr<link_debt> d)
      : bytes{frames}, cost{c}, debt{std::move(d)} {}
  ~frame_block() { debt->add(cost); }
  frame_block(const frame_block&) = delete;
  frame_block& operator=(const frame_block&) = delete;

  const std::string bytes;
  const std::size_t cost;
  const std::shared_ptr<link_debt> debt;
};

/// Empties a buffer, and does not keep what a burst has made of it.
void reset(std::string& buffer) {
  if (buffer.capacity() > kept_bytes)
    buffer = {};
  else
    buffer.clear();
}

}  // namespace

void link_debt::add(std::size_t cost) {
  const auto before = owed_.fetch_add(cost, std::memory_order_relaxed);
  if (before >= worth_a_frame_ || before + cost < worth_a_frame_)
    return;
  const auto hold = std::lock_guard{mutex_};
  if (wake_)
    wake_();
}

std::size_t link_debt::take(bool any) {
  if (!any && owed_.load(std::memory_order_relaxed) < worth_a_frame_)
    return 0;
  return owed_.exchange(0, std::memory_order_relaxed);
}

void link_debt::forgive() {
  const auto hold = std::lock_guard{mutex_};
  wake_ = nullptr;
}

link_connection::link_connection(std::shared_ptr<net::stream> stream, link_owner& owner,
                                 const link_options& options, link_counters& counters,
                                 std::span<char> buffer)
    : stream_{std::move(stream)},
      owner_{owner},
      options_{options},
      counters_{counters},
      buffer_{buffer},
      begun_{clock::now()},
      heard_{begun_},
      spoken_{begun_} {
  stream_->rekey_every(records_of_a_key);
}

void link_connection::start() {
  wait();
}

void link_connection::start(const link_greeting& mine) {
  dialed_ = true;
  auto bytes = std::string{};
  encode(mine, bytes);
  stream_->write(bytes);
  wait();
}

void link_connection::wait() {
  stream_->wait_readable([self = shared_from_this()] { self->read(); });
}

void link_connection::tick(clock::time_point now) {
  if (phase_ == phase::greeting && now - begun_ >= options_.connect_timeout)
    return end(stream_->trouble().empty() ? "not in time" : stream_->trouble());
  if (phase_ != phase::up)
    return;
  if (now - heard_ >= options_.silence)
    return end("silent");
  // Half an interval early at most: ticks are not as fine as clocks.
  beat_ = beat_ || now - spoken_ >= options_.heartbeat / 2;
  flush();
}

void link_connection::end(std::string_view why) {
  const auto before = std::exchange(phase_, phase::over);
  if (before == phase::over)
    return;
  const auto self = shared_from_this();
  if (debt_)
    debt_->forgive();
  {
    const auto hold = std::lock_guard{mutex_};
    open_ = false;
    queue_ = {};
    queued_.store(0, std::memory_order_relaxed);
  }
  const auto reason = std::string{why};
  stream_->close();
  owner_.ended(*this, before == phase::up, reason);
}

// Reading

void link_connection::read() {
  for (auto turn = 0; turn < reads_in_a_turn && phase_ != phase::over; ++turn) {
    auto size = std::size_t{0};
    auto closed = false;
    while (size < buffer_.size()) {
      const auto got = stream_->read(buffer_.data() + size, buffer_.size() - size);
      closed = got.closed;
      if (got.size == 0)
        break;
      size += got.size;
      if (got.size < full_read_bytes)
        break;
    }
    if (size > 0) {
      heard_ = clock::now();
      auto in = std::string_view{buffer_.data(), size};
      if (!cut_.empty()) {
        cut_ += in;
        in = cut_;
      }
      auto taken = std::size_t{0};
      while (phase_ != phase::over && take_in(in.substr(taken), taken)) {
      }
      if (phase_ == phase::over)
        return;
      if (in.data() != cut_.data())
        cut_.assign(in.substr(taken));
      else if (taken == cut_.size())
        reset(cut_);
      else
        cut_.erase(0, taken);
    }
    if (closed)
      return end(stream_->trouble().empty() ? "closed" : stream_->trouble());
    if (size == 0)
      break;
  }
  if (phase_ != phase::over)
    wait();
}

/// Takes whole frames from the front, as many as belong together; false: there are none.
bool link_connection::take_in(std::string_view in, std::size_t& taken) {
  if (phase_ == phase::greeting)
    return greeted(in, taken);
  const auto whole = measure_link_frames(in, options_.frame_max_bytes + 2);
  if (!whole) {
    end(whole.error().detail);
    return false;
  }
  if (whole->size == 0 || !deliver(*whole, in.substr(0, whole->size)))
    return false;
  taken += whole->size;
  return true;
}

bool link_connection::greeted(std::string_view in, std::size_t& taken) {
  const auto got = decode_link_frame(in, link_greeting_max);
  if (!got) {
    end(got.error().detail);
    return false;
  }
  if (!*got)
    return false;
  if (const auto* refusal = std::get_if<link_refusal>(&(*got)->what); refusal && dialed_) {
    end("refused: " + std::string{refusal->reason});
    return false;
  }
  const auto* other = std::get_if<link_greeting>(&(*got)->what);
  if (!other) {
    end("no greeting");
    return false;
  }
  const auto answer = owner_.judge(*this, *other);
  auto bytes = std::string{};
  if (!answer) {
    if (!dialed_) {
      encode(link_refusal{answer.error().detail}, bytes);
      stream_->write(bytes);
    }
    end(answer.error().detail);
    return false;
  }
  if (!dialed_) {
    encode(*answer, bytes);
    stream_->write(bytes);
  }
  taken += (*got)->size;
  be_up(*other);
  return true;
}

void link_connection::be_up(const link_greeting& other) {
  credit_ = other.window;
  message_max_ =
      std::min<std::size_t>({options_.frame_max_bytes, other.frame_max, other.window / 2});
  // Often enough that a sender with half of its window in use never waits.
  debt_ = std::make_shared<link_debt>(options_.window_bytes / 8, [weak = weak_from_this()] {
    if (auto self = weak.lock()) {
      auto& list = net::wake_list::of(self->stream_->context());
      list.add(std::move(self));
    }
  });
  phase_ = phase::up;
  {
    const auto hold = std::lock_guard{mutex_};
    open_ = true;
  }
  owner_.up(*this);
}

/// False: it ended meanwhile.
bool link_connection::deliver(const whole_link_frames& whole, std::string_view frames) {
  auto block = std::shared_ptr<const frame_block>{};
  if (whole.messages > 0) {
    uncredited_here_ += whole.cost;
    if (uncredited_here_ > options_.window_bytes) {
      end("more than its window");
      return false;
    }
    // The memory is as long as the frames: what holds a short message holds no whole buffer.
    block = std::make_shared<const frame_block>(frames, whole.cost, debt_);
    frames = block->bytes;
    counters_.messages_received.fetch_add(whole.messages, std::memory_order_relaxed);
    counters_.bytes_received.fetch_add(whole.cost - whole.messages * link_cost(0),
                                       std::memory_order_relaxed);
  }
  while (!frames.empty() && phase_ == phase::up) {
    const auto got = decode_link_frame(frames, frames.size());
    if (!got || !*got) {
      end(got ? "frame: cut" : got.error().detail);
      return false;
    }
    const auto& what = (*got)->what;
    if (const auto* data = std::get_if<link_data>(&what)) {
      owner_.received(*this, {node, incarnation, data->channel, data->bytes, block});
    } else if (const auto* credit = std::get_if<link_credit>(&what)) {
      credit_ += credit->bytes;
    } else if (!std::holds_alternative<link_heartbeat>(what)) {
      end("greeted twice");
      return false;
    }
    frames.remove_prefix((*got)->size);
  }
  flush();  // answers go before what else there is to read
  return phase_ == phase::up;
}

// Sending

bool link_connection::send(std::uint8_t channel, std::string_view bytes) {
  const auto size = link_head_bytes + 1 + bytes.size();
  {
    const auto hold = std::lock_guard{mutex_};
    if (!open_ || queued_.load(std::memory_order_relaxed) + size > options_.queue_max_bytes)
      return false;
    encode(link_data{channel, bytes}, queue_);
    queued_.fetch_add(size, std::memory_order_relaxed);
    if (std::exchange(awake_, true))
      return true;
  }
  net::wake_list::of(stream_->context()).add(shared_from_this());
  return true;
}

void link_connection::flush() {
  if (phase_ != phase::up || draining_)
    return;
  write_control();
  for (auto turn = 0; turn < writes_in_a_turn; ++turn) {
    if (stream_->pending() > 0) {
      draining_ = true;
      return stream_->wait_drained([self = shared_from_this()] {
        self->draining_ = false;
        self->flush();
      });
    }
    const auto frames = next();
    if (frames.empty())
      return;
    spoken_ = clock::now();
    stream_->write(frames);
  }
  boost::asio::post(stream_->context(), [self = shared_from_this()] { self->flush(); });
}

void link_connection::write_control() {
  auto bytes = std::string{};
  if (const auto owed = debt_->take(beat_); owed > 0) {
    uncredited_here_ -= owed;
    encode(link_credit{static_cast<std::uint32_t>(owed)}, bytes);
  } else if (beat_) {
    encode(link_heartbeat{}, bytes);
  }
  beat_ = false;
  if (bytes.empty())
    return;
  spoken_ = clock::now();
  stream_->write(bytes);
}

/// The frames to send next: of all that is waiting, as much as one write and the credit allow.
std::string_view link_connection::next() {
  if (sent_ == sending_.size()) {
    reset(sending_);
    sent_ = 0;
    const auto hold = std::lock_guard{mutex_};
    sending_.swap(queue_);
    if (sending_.empty()) {
      awake_ = false;
      return {};
    }
  }
  const auto waiting = std::string_view{sending_}.substr(sent_);
  const auto taken = take_link_frames(waiting, write_bytes, credit_);
  sent_ += taken.size;
  credit_ -= taken.cost;
  queued_.fetch_sub(taken.size, std::memory_order_relaxed);
  counters_.messages_sent.fetch_add(taken.messages, std::memory_order_relaxed);
  counters_.bytes_sent.fetch_add(taken.cost - taken.messages * link_cost(0),
                                 std::memory_order_relaxed);
  return waiting.substr(0, taken.size);
}

}  // namespace orrery::cluster
