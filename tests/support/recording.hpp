// Fakes that keep what they are told: the effects of commits, and the protocol side of a session.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "actors/messages.hpp"
#include "actors/session.hpp"

namespace orrery::tests {

/// `diary` gets a word for each call, so that a test sees what came before what.
class recording_effects final : public actors::commit_effects {
 public:
  explicit recording_effects(std::shared_ptr<std::vector<std::string>> diary = {})
      : diary_{std::move(diary)} {}

  void run(const model::effect& e, const model::entity_id& entity) override {
    note("effect");
    ran.emplace_back(e, entity);
    also_run(e, entity);
  }
  void publish(std::vector<actors::published> group) override {
    note("publish");
    also_publish(group);
    published.push_back(std::move(group));
  }
  void change_catalogue(const actors::catalogue_change& change) override {
    note("catalogue");
    changes.push_back(change);
    also_change(change);
  }

  template <class Effect>
  std::vector<Effect> of() const {
    auto found = std::vector<Effect>{};
    for (const auto& [e, entity] : ran)
      if (const auto* x = std::get_if<Effect>(&e))
        found.push_back(*x);
    return found;
  }

  std::vector<std::pair<model::effect, model::entity_id>> ran;
  std::vector<std::vector<actors::published>> published;
  std::vector<actors::catalogue_change> changes;
  std::function<void(const model::effect&, const model::entity_id&)> also_run = [](auto&, auto&) {};
  std::function<void(const std::vector<actors::published>&)> also_publish = [](auto&) {};
  std::function<void(const actors::catalogue_change&)> also_change = [](auto&) {};

 private:
  void note(const char* word) {
    if (diary_)
      diary_->emplace_back(word);
  }
  std::shared_ptr<std::vector<std::string>> diary_;
};

class recording_port final : public actors::session_port {
 public:
  void settle(std::vector<actors::settled> answers) override {
    words.emplace_back("settle");
    messages.push_back(std::move(answers));
  }
  void deliver(model::downlink message) override { delivered.push_back(std::move(message)); }
  void close(std::string_view reason) override {
    words.emplace_back("close");
    closed.emplace_back(reason);
  }
  void sub_device_gone(model::device_name who) override { subs_gone.push_back(std::move(who)); }

  std::vector<std::uint64_t> numbers() const {
    auto all = std::vector<std::uint64_t>{};
    for (const auto& message : messages)
      for (const auto& item : message)
        all.push_back(item.number);
    return all;
  }
  const actors::answer* to(std::uint64_t number) const {
    for (const auto& message : messages)
      for (const auto& item : message)
        if (item.number == number)
          return &item.what;
    return nullptr;
  }

  std::vector<std::vector<actors::settled>> messages;  // one for each call of settle
  std::vector<model::downlink> delivered;
  std::vector<std::string> closed;
  std::vector<model::device_name> subs_gone;
  std::vector<std::string> words;  // "settle" and "close", in order
};

}  // namespace orrery::tests
