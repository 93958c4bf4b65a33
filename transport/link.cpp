#include "transport/link.hpp"

#include <caf/all.hpp>

namespace orrery::transport {

std::shared_ptr<link> link::open(const link_parts& parts, net::wake_list& wakes,
                                 std::function<void()> wake) {
  auto made = std::shared_ptr<link>{new link{parts, wakes, std::move(wake)}};
  made->session_ = actors::spawn_session(*parts.system, parts.session, made);
  return made;
}

link::link(const link_parts& parts, net::wake_list& wakes, std::function<void()> wake)
    : wakes_{wakes},
      wake_{std::move(wake)},
      journal_{parts.journal},
      journal_queue_max_bytes_{parts.journal_queue_max_bytes} {}

void link::login(std::uint64_t number, model::device_name who, model::device::connect how) {
  caf::anon_send(session_, actors::session_login{number, std::move(who), std::move(how)});
}

void link::ask(std::vector<actors::session_ask> questions) {
  caf::anon_send(session_, actors::session_asks{std::move(questions)});
}

void link::closed(std::string_view reason) {
  wake_ = nullptr;  // it holds the connection: let it go
  if (session_)
    caf::anon_send(session_, actors::session_closed{reason});
  session_ = nullptr;
}

link_inbox link::take() {
  const auto hold = std::lock_guard{mutex_};
  return std::exchange(inbox_, {});
}

bool link::must_wait() const {
  return journal_->queued_bytes.load(std::memory_order_relaxed) > journal_queue_max_bytes_;
}

void link::settle(std::vector<actors::settled> answers) {
  auto was_empty = false;
  {
    const auto hold = std::lock_guard{mutex_};
    was_empty = empty();
    if (inbox_.answers.empty())
      inbox_.answers = std::move(answers);
    else
      std::move(answers.begin(), answers.end(), std::back_inserter(inbox_.answers));
  }
  notify(was_empty);
}

void link::deliver(model::downlink message) {
  auto was_empty = false;
  {
    const auto hold = std::lock_guard{mutex_};
    was_empty = empty();
    inbox_.downlinks.push_back(std::move(message));
  }
  notify(was_empty);
}

void link::close(std::string_view reason) {
  auto was_empty = false;
  {
    const auto hold = std::lock_guard{mutex_};
    was_empty = empty();
    inbox_.close = reason;
  }
  notify(was_empty);
}

void link::notify(bool was_empty) {
  if (was_empty)  // else somebody has told already
    wakes_.add(shared_from_this());
}

void link::woken() {
  if (wake_)
    wake_();
}

}  // namespace orrery::transport
