#include "cluster/link_frame.hpp"

#include "model/bytes.hpp"

namespace orrery::cluster {

using model::errc;
using model::failure;

namespace {

constexpr std::uint32_t magic = 0x4f524c4b;  // "ORLK"
constexpr std::size_t size_bytes = 4;
constexpr std::size_t name_max = 253;

enum kind : std::uint8_t {
  k_greeting = 1,
  k_refusal = 2,
  k_message = 3,
  k_credit = 4,
  k_heartbeat = 5,
};

/// Requires: in.size() >= size_bytes.
std::size_t size_at(std::string_view in) {
  auto v = std::size_t{0};
  for (std::size_t i = 0; i < size_bytes; ++i)
    v = v << 8 | static_cast<unsigned char>(in[i]);
  return v;
}

void head(std::size_t rest, kind k, std::string& out) {
  const auto size = rest + 1;
  const char bytes[] = {static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                        static_cast<char>(size >> 8), static_cast<char>(size),
                        static_cast<char>(k)};
  out.append(bytes, sizeof bytes);
}

std::size_t cost_of(std::string_view frame) {
  return frame.size() > link_head_bytes && frame[size_bytes] == k_message
             ? link_cost(frame.size() - link_head_bytes - 1)
             : 0;
}

failure malformed(std::string what) {
  return {errc::invalid_argument, std::move(what)};
}

model::result<link_frame> decode_body(std::string_view body) {
  auto in = model::byte_reader{body};
  switch (in.u8()) {
    case k_greeting: {
      if (in.u32() != magic)
        return malformed("greeting: not of a node");
      auto g = link_greeting{};
      g.version_min = in.u16();
      g.version_max = in.u16();
      g.node = in.u32();
      g.incarnation = in.u64();
      g.expected = in.u64();
      g.window = in.u32();
      g.frame_max = in.u32();
      g.name = in.raw(in.u8());
      if (!in.ok())
        return malformed("greeting: ends inside a field");
      if (g.name.size() > name_max)
        return malformed("greeting: the name is longer than any");
      return link_frame{g};
    }
    case k_refusal: {
      const auto reason = in.raw(in.left());
      if (reason.size() > link_refusal_max)
        return malformed("refusal: too long");
      return link_frame{link_refusal{reason}};
    }
    case k_message: {
      const auto channel = in.u8();
      if (!in.ok())
        return malformed("message: without a channel");
      return link_frame{link_data{channel, in.raw(in.left())}};
    }
    case k_credit: {
      const auto credit = link_credit{in.u32()};
      if (!in.ok() || !in.at_end())
        return malformed("credit: of another size");
      return link_frame{credit};
    }
    case k_heartbeat:
      if (!in.at_end())
        return malformed("heartbeat: with something in it");
      return link_frame{link_heartbeat{}};
    default:
      return malformed("frame: of an unknown kind");
  }
}

/// The size of the frame at the front with its head, or 0: more bytes are needed.
model::result<std::size_t> frame_at(std::string_view in, std::size_t max) {
  if (in.size() < size_bytes)
    return std::size_t{0};
  const auto size = size_at(in);
  if (size > max)
    return failure{errc::too_large, "frame: " + std::to_string(size) + " bytes announced, " +
                                        std::to_string(max) + " allowed"};
  if (size == 0)
    return malformed("frame: without a kind");
  return in.size() - size_bytes < size ? 0 : size + size_bytes;
}

}  // namespace

void encode(const link_greeting& greeting, std::string& out) {
  const auto name = greeting.name.substr(0, name_max);
  auto body = model::byte_writer{};
  body.u32(magic);
  body.u16(greeting.version_min);
  body.u16(greeting.version_max);
  body.u32(greeting.node);
  body.u64(greeting.incarnation);
  body.u64(greeting.expected);
  body.u32(greeting.window);
  body.u32(greeting.frame_max);
  body.u8(static_cast<std::uint8_t>(name.size()));
  body.raw(name);
  head(body.size(), k_greeting, out);
  out += body.bytes();
}

void encode(const link_refusal& refusal, std::string& out) {
  const auto reason = refusal.reason.substr(0, link_refusal_max);
  head(reason.size(), k_refusal, out);
  out += reason;
}

void encode(const link_data& message, std::string& out) {
  head(message.bytes.size() + 1, k_message, out);
  out += static_cast<char>(message.channel);
  out += message.bytes;
}

void encode(const link_credit& credit, std::string& out) {
  auto body = model::byte_writer{};
  body.u32(credit.bytes);
  head(body.size(), k_credit, out);
  out += body.bytes();
}

void encode(const link_heartbeat&, std::string& out) {
  head(0, k_heartbeat, out);
}

model::result<std::optional<decoded_link_frame>> decode_link_frame(std::string_view in,
                                                                   std::size_t max) {
  const auto size = frame_at(in, max);
  if (!size)
    return size.error();
  if (*size == 0)
    return std::optional<decoded_link_frame>{};
  auto what = decode_body(in.substr(size_bytes, *size - size_bytes));
  if (!what)
    return std::move(what.error());
  return std::optional{decoded_link_frame{*what, *size}};
}

model::result<whole_link_frames> measure_link_frames(std::string_view in, std::size_t max) {
  auto whole = whole_link_frames{};
  while (true) {
    const auto size = frame_at(in.substr(whole.size), max);
    if (!size)
      return size.error();
    if (*size == 0)
      return whole;
    if (const auto cost = cost_of(in.substr(whole.size, *size)); cost > 0) {
      ++whole.messages;
      whole.cost += cost;
    }
    whole.size += *size;
  }
}

whole_link_frames take_link_frames(std::string_view in, std::size_t most, std::size_t credit) {
  auto taken = whole_link_frames{};
  while (taken.size < in.size()) {
    const auto size = size_at(in.substr(taken.size)) + size_bytes;
    const auto cost = cost_of(in.substr(taken.size, size));
    if (taken.cost + cost > credit || (taken.size > 0 && taken.size + size > most))
      break;
    taken.size += size;
    taken.messages += cost > 0 ? 1 : 0;
    taken.cost += cost;
  }
  return taken;
}

}  // namespace orrery::cluster
