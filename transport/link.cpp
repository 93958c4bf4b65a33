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
      journal_queue_max_bytes_{parts.journal_queue_max_bytes},
      router_{parts.session.router} {}

void link::login(std::uint64_t number, model::device_name who, model::device::connect how) {
  caf::anon_send(session_, actors::session_login{number, std::move(who), std::move(how)});
}

void link::open_channel(std::string actor) {
  caf::anon_send(session_, actors::session_channel{std::move(actor)});
}

void link::ask(std::vector<actors::session_ask> questions) {
  caf::anon_send(session_, actors::session_asks{std::move(questions)});
}

void link::attach(std::uint64_t number, const model::entity_id& whom, model::client::order how) {
  caf::anon_send(session_, actors::session_attach{number, whom, std::move(how)});
}

void link::leave(const model::entity_id& group) {
  caf::anon_send(session_, actors::session_leave{group});
}

void link::route(std::vector<actors::ask_batch> batches, bool from_here) {
  const auto here = std::shared_ptr<actors::answer_port>{shared_from_this()};
  for (auto& batch : batches) {
    if (from_here)
      for (auto& one : batch.asks)
        one.from = here;
    router_->route(std::move(batch));
  }
}

void link::closed(std::string_view reason, model::client::detach client) {
  wake_ = nullptr;  // it holds the connection: let it go
  if (session_)
    caf::anon_send(session_, actors::session_closed{reason, std::move(client)});
  session_ = nullptr;
}

link_inbox link::take() {
  const auto hold = std::lock_guard{mutex_};
  return std::exchange(inbox_, {});
}

bool link::must_wait() const {
  return journal_->queued_bytes.load(std::memory_order_relaxed) > journal_queue_max_bytes_;
}

/// Changes the inbox by `into`; the first thing in it wakes the connection.
template <class F>
void link::put(F into) {
  auto was_empty = false;
  {
    const auto hold = std::lock_guard{mutex_};
    was_empty = empty();
    into(inbox_);
  }
  if (was_empty)  // else somebody has told already
    wakes_.add(shared_from_this());
}

void link::settle(std::vector<actors::settled> answers) {
  put([&](link_inbox& inbox) {
    if (inbox.answers.empty())
      inbox.answers = std::move(answers);
    else
      std::move(answers.begin(), answers.end(), std::back_inserter(inbox.answers));
  });
}

void link::deliver(model::downlink message) {
  put([&](link_inbox& inbox) { inbox.downlinks.push_back(std::move(message)); });
}

void link::close(std::string_view reason) {
  put([&](link_inbox& inbox) { inbox.close = reason; });
}

void link::sub_device_gone(model::device_name who) {
  put([&](link_inbox& inbox) { inbox.subs_gone.push_back(std::move(who)); });
}

void link::woken() {
  if (wake_)
    wake_();
}

}  // namespace orrery::transport
