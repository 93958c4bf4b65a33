// What the server of one connection sends as PUBLISH: packet ids, flows of QoS 1 and 2, the
// client's limits (receive maximum, packet size, topic aliases) and what waits because of them.
//
// Packet ids: a command's follows from its number (32768 to 65535), so that it has the same one
// when a resumed session gets it again (4.4); all others take 1 to 32767 in turn.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/time.hpp"
#include "transport/fifo.hpp"
#include "transport/mqtt/codec.hpp"

namespace orrery::transport::mqtt {

/// Who counts a message of QoS 1 or 2, each up to the same limit.
enum class origin : std::uint8_t { reply, command, general };

/// What became of a message that was to be sent.
enum class taken : std::uint8_t {
  yes,         // sent, or it waits for the client's acknowledgements
  queue_full,  // the client acknowledges too slowly; it is dropped
  too_large    // no packet of the size that the client takes holds it; it is dropped
};
struct sending {
  taken how = taken::yes;
  std::uint16_t packet_id = 0;  // QoS 1 and 2
  explicit operator bool() const { return how == taken::yes; }
};

/// The client has acknowledged the command with that number.
struct delivered {
  std::uint64_t command;
};
/// PUBREC of a general message: only its release is to be repeated from now on.
struct received {
  std::uint64_t key;
};
/// A general message is over. `code`: 0x80 and more: the client refused it. `dropped`: it expired
/// while it waited.
struct completed {
  std::uint64_t key;
  std::uint8_t code = 0;
  bool dropped = false;
};
/// The acknowledgement does not belong to the message with that id.
struct wrong_acknowledgement {};
using news = std::variant<std::monostate, delivered, received, completed, wrong_acknowledgement>;

struct outbox_limits {
  std::size_t max_queued = 1'000;            // messages of each origin that are under way or wait
  std::size_t max_queued_bytes = 4'194'304;  // of those that wait
  std::uint16_t topic_aliases = 16;
};

class outbox {
 public:
  explicit outbox(outbox_limits limits) : limits_{limits} {}

  /// What the CONNECT packet says of the version and of the client's limits.
  void open(protocol by, const properties& asked);
  protocol version() const { return by_; }

  /// Appends any packet. False: it is larger than the client takes, and left out.
  template <class Packet>
  bool put(const Packet& p) {
    const auto before = out_.size();
    encode(p, out_, by_);
    if (fits(out_.size() - before))
      return true;
    out_.resize(before);
    return false;
  }
  bool fits(std::size_t bytes) const { return bytes <= max_packet_bytes_; }
  std::string& out() { return out_; }

  /// `what.packet_id` 0: one is given; else it is the one of an earlier connection. `key`: of a
  /// command its number, else what is named when it is over.
  sending send(publish what, origin from, std::uint64_t key, model::timestamp now);
  /// A general message of QoS 2 that was `received` in an earlier connection: PUBREL again.
  bool release(std::uint16_t packet_id, std::uint64_t key);

  news take(const puback& p, model::timestamp now);
  news take(const pubrec& p, model::timestamp now);
  news take(const pubcomp& p, model::timestamp now);
  /// A message that expired while it waited.
  std::optional<completed> take_dropped();

  std::size_t under_way() const { return flights_.size(); }
  std::size_t waiting() const { return waiting_.size(); }

 private:
  struct flight {
    std::uint16_t packet_id;
    origin from;
    bool twice;  // QoS 2
    bool released;
    std::uint64_t key;
  };
  struct waiter {
    std::string bytes;  // a PUBLISH of version 5
    model::timestamp since;
    flight what;
  };
  struct aliases {
    std::map<std::string, std::uint16_t, std::less<>> known;
    std::array<std::size_t, 16> seen{};  // hashes of topics that were sent lately
    std::size_t next = 0;
  };

  std::vector<flight>::iterator find(std::uint16_t id);
  bool is_used(std::uint16_t id) const;
  std::uint16_t free_id(origin from, std::uint64_t number);
  bool write(publish& p);
  bool repeats(std::string_view topic);
  news finish(std::vector<flight>::iterator at, std::uint8_t code, model::timestamp now);
  void launch(model::timestamp now);
  std::size_t& open_of(origin from) { return open_[static_cast<std::size_t>(from)]; }

  outbox_limits limits_;
  protocol by_ = protocol::v3_1_1;
  std::size_t max_packet_bytes_ = ~std::size_t{0}, window_ = 65'535;
  std::uint16_t max_aliases_ = 0, last_id_ = 0;
  std::unique_ptr<aliases> aliases_;
  fifo<flight> flights_;  // sent and not acknowledged
  fifo<waiter> waiting_;  // for one of those
  std::size_t waiting_bytes_ = 0;
  fifo<completed> dropped_;
  std::array<std::size_t, 3> open_{};  // under way or waiting, by origin
  std::string out_;
};

}  // namespace orrery::transport::mqtt
