// Links between the nodes of a cluster: messages of bytes, in order, between lives of nodes that
// have proved who they are. What they mean is for others.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/shard_record.hpp"

namespace orrery::cluster {

/// One life of a node, from a start of its process to the end of it, as the cluster's directory
/// has it.
struct link_peer {
  node_id node = 0;
  std::string name;  // that its certificate must show as a DNS name
  std::string host;  // address or name to dial
  std::uint16_t port = 0;
  std::uint64_t incarnation = 0;  // of the process, never 0
  bool operator==(const link_peer&) const = default;
};

struct link_message {
  node_id from = 0;
  std::uint64_t incarnation = 0;
  std::uint8_t channel = 0;
  std::string_view bytes;  // valid as long as `credit` is held
  /// Keeps the bytes. The sender may send as much again once nobody holds it any more; it may be
  /// dropped on any thread, and after the links have gone. Messages that came together share one.
  std::shared_ptr<const void> credit;
};

/// Called on the links' own thread, which serves all of them: return at once. For each link to a
/// life, which may come and go: `on_up`, its messages in the order in which they were sent,
/// `on_down`, once each.
struct link_events {
  std::function<void(node_id, std::uint64_t incarnation)> on_up;
  /// What was queued for it is gone, and what was sent may have arrived or not.
  std::function<void(node_id, std::uint64_t incarnation)> on_down;
  std::function<void(link_message)> on_message;
};

struct link_options {
  node_id self = 0;
  std::string name;               // of this node, as in its certificate
  std::uint64_t incarnation = 0;  // of this process: never 0, never one of an earlier life
  std::string host = "0.0.0.0";   // address to listen at
  std::uint16_t port = 0;         // 0: any
  std::string ca_file, certificate_file, key_file;

  std::size_t frame_max_bytes = 4u << 20;   // a message is at most this long
  std::size_t window_bytes = 16u << 20;     // a sender's messages here that still hold credit
  std::size_t queue_max_bytes = 32u << 20;  // waiting here for one peer
  std::chrono::milliseconds connect_timeout{2000};  // until both have greeted
  std::chrono::milliseconds backoff_min{50}, backoff_max{1000};
  std::chrono::milliseconds heartbeat{500};
  std::chrono::milliseconds silence{2500};  // after which a link is down
  std::size_t strangers_max = 256;          // connections that have not greeted; then the oldest go
  /// Of what the messages mean. Two nodes speak the newest version that both know.
  std::uint16_t version_min = 1, version_max = 1;
};

struct link_figures {
  std::uint64_t messages_sent = 0, messages_received = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0;  // of messages
  std::uint64_t dials = 0;
  std::uint64_t refused = 0;  // connections of others that ended before they were a link
  std::size_t queued_bytes = 0;
  std::size_t links_up = 0;
};

/// Thread-safe. The destructor ends every link, with its `on_down`, and no call of an event is
/// under way or comes after it; not to be called from one.
class node_links {
 public:
  virtual ~node_links() = default;

  /// The lives that there are now: the whole list. Links to others end; of two nodes the one with
  /// the smaller number dials, again and again. This node itself is passed over.
  virtual void set_peers(std::vector<link_peer> peers) = 0;

  /// Sends to that life of a node; `incarnation` 0: to whichever is linked. Never blocks. False,
  /// and nothing is sent: there is no such link, more than `queue_max_bytes` would wait, or the
  /// message is longer than both ends take (a warning in the log).
  virtual bool send(node_id to, std::uint64_t incarnation, std::uint8_t channel,
                    std::string_view bytes) = 0;

  /// The version that is spoken with a node; 0 without a link.
  virtual std::uint16_t version(node_id with) const = 0;
  /// Where it listens.
  virtual std::uint16_t port() const = 0;
  virtual link_figures figures() const = 0;
};

}  // namespace orrery::cluster
