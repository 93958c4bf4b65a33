// One authenticated connection: which device it speaks for and where its answers go. It knows no
// protocol; the port behind it does.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include <caf/fwd.hpp>

#include "actors/messages.hpp"

namespace orrery::actors {

/// The protocol side of a session: answers, the one to session_login first, and what it is told.
/// Called from actor threads: implementations hand over to their connection's own thread and return
/// at once.
class session_port : public answer_port {
 public:
  virtual void deliver(model::downlink message) = 0;
  /// Close the connection: the device's right to it ended. `reason`: static text.
  virtual void close(std::string_view reason) = 0;
  /// That sub-device is not logged in any more, by nobody's wish here.
  virtual void sub_device_gone(model::device_name who) = 0;
};

/// Sessions of this node by number: names in effects lead to handles here. Thread-safe.
class session_table {
 public:
  explicit session_table(std::uint64_t incarnation) : incarnation_{incarnation} {}
  std::uint64_t incarnation() const { return incarnation_; }
  std::uint64_t next_number() { return numbers_.fetch_add(1, std::memory_order_relaxed) + 1; }
  void add(std::uint64_t number, session_actor who);
  void remove(std::uint64_t number);
  /// Null if that session is not here (any more).
  session_actor find(const model::session_ref& ref) const;
  std::size_t size() const;

 private:
  std::uint64_t incarnation_;
  std::atomic<std::uint64_t> numbers_{0};
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, session_actor> sessions_;
};

struct session_parts {
  std::shared_ptr<ask_router> router;
  std::shared_ptr<session_table> table;
};

/// Spawns a session for a connection. It asks nothing before its session_login is granted, and ends
/// after session_closed.
session_actor spawn_session(caf::actor_system& system, session_parts parts,
                            std::weak_ptr<session_port> port);

}  // namespace orrery::actors
