// What two nodes say to each other on a link, as bytes. Integers are big-endian; each frame is
//
//   u32 size of the rest | u8 kind | the rest of it
//
//   1 greeting    "ORLK" | u16 least, u16 newest version spoken | u32 node | u64 incarnation
//                 | u64 incarnation expected of the other | u32 window | u32 longest message
//                 | u8 size of the name, name | anything: later versions may say more
//   2 refusal     text, at most 200 bytes: why the greeting is not answered
//   3 message     u8 channel | bytes
//   4 credit      u32: so many bytes of the window are free again
//   5 heartbeat   nothing
//
// Greeting and refusal keep their form in every version; each side sends one greeting, first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cluster/shard_record.hpp"
#include "model/result.hpp"

namespace orrery::cluster {

struct link_greeting {
  std::uint16_t version_min = 0, version_max = 0;
  node_id node = 0;
  std::uint64_t incarnation = 0;
  std::uint64_t expected = 0;   // the life that it wants to speak with
  std::uint32_t window = 0;     // see link_cost
  std::uint32_t frame_max = 0;  // longest message that it takes
  std::string_view name;
  bool operator==(const link_greeting&) const = default;
};
struct link_refusal {
  std::string_view reason;
  bool operator==(const link_refusal&) const = default;
};
struct link_data {
  std::uint8_t channel = 0;
  std::string_view bytes;
  bool operator==(const link_data&) const = default;
};
struct link_credit {
  std::uint32_t bytes = 0;
  bool operator==(const link_credit&) const = default;
};
struct link_heartbeat {
  bool operator==(const link_heartbeat&) const = default;
};
using link_frame =
    std::variant<link_greeting, link_refusal, link_data, link_credit, link_heartbeat>;

inline constexpr std::size_t link_head_bytes = 5;      // size and kind
inline constexpr std::size_t link_greeting_max = 512;  // behind the size; of a refusal too
inline constexpr std::size_t link_refusal_max = 200;
/// What a message takes of the window: also what it costs to hold a short one.
constexpr std::size_t link_cost(std::size_t message_bytes) {
  return message_bytes + 64;
}

/// Append one frame. A name of more than 253 bytes or a longer reason is cut.
void encode(const link_greeting& greeting, std::string& out);
void encode(const link_refusal& refusal, std::string& out);
void encode(const link_data& message, std::string& out);
void encode(const link_credit& credit, std::string& out);
void encode(const link_heartbeat& beat, std::string& out);

struct decoded_link_frame {
  link_frame what;  // views into what was decoded
  std::size_t size = 0;
};
/// Reads the frame at the front of `in`; nullopt: more bytes are needed. Fails: `too_large` if it
/// announces more than `max` bytes behind its size, as soon as that is there to read;
/// `invalid_argument` if it is malformed.
model::result<std::optional<decoded_link_frame>> decode_link_frame(std::string_view in,
                                                                   std::size_t max);

/// What stands whole at the front of a stretch of frames.
struct whole_link_frames {
  std::size_t size = 0;      // of all of them
  std::size_t messages = 0;  // how many are messages,
  std::size_t cost = 0;      // and what they cost
};
/// Looks at nothing but sizes and kinds. Fails as decode_link_frame does for sizes.
model::result<whole_link_frames> measure_link_frames(std::string_view in, std::size_t max);

/// Of a stretch of frames that `encode` has made: whole ones from its front, as many as fit into
/// `most` bytes (but one in any case) and cost no more than `credit`.
whole_link_frames take_link_frames(std::string_view in, std::size_t most, std::size_t credit);

}  // namespace orrery::cluster
