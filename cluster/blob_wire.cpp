#include "cluster/blob_wire.hpp"

#include "model/bytes.hpp"

namespace orrery::cluster {
namespace {

constexpr std::uint8_t version = 1, answer_kind = 255;

model::failure malformed() {
  return {model::errc::invalid_argument, "a message about files cannot be read"};
}

}  // namespace

std::string encode(const blob_question& q) {
  auto out = model::byte_writer{};
  out.u8(version);
  out.u8(static_cast<std::uint8_t>(q.what));
  out.varint(q.number);
  out.text(q.name.owner);
  out.text(q.name.sha256);
  out.varint(q.offset);
  out.varint(q.size);
  out.text(q.bytes);
  return out.take();
}

std::string encode(const blob_answer& a) {
  auto out = model::byte_writer{};
  out.u8(version);
  out.u8(answer_kind);
  out.varint(a.number);
  out.u8(static_cast<std::uint8_t>(a.outcome));
  out.varint(a.size);
  out.text(a.bytes);
  return out.take();
}

model::result<blob_message> decode_blob_message(std::string_view bytes) {
  auto in = model::byte_reader{bytes};
  if (in.u8() != version)
    return malformed();
  const auto kind = in.u8();
  if (kind == answer_kind) {
    auto a = blob_answer{};
    a.number = in.varint();
    const auto outcome = in.u8();
    a.size = in.varint();
    a.bytes = in.text();
    if (!in.ok() || !in.at_end() || outcome > static_cast<std::uint8_t>(blob_answer::kind::failed))
      return malformed();
    a.outcome = static_cast<blob_answer::kind>(outcome);
    return blob_message{std::move(a)};
  }
  auto q = blob_question{};
  q.number = in.varint();
  q.name.owner = in.text();
  q.name.sha256 = in.text();
  q.offset = in.varint();
  q.size = in.varint();
  q.bytes = in.text();
  if (!in.ok() || !in.at_end() || kind > static_cast<std::uint8_t>(blob_question::kind::put) ||
      !storage::is_valid(q.name))
    return malformed();
  q.what = static_cast<blob_question::kind>(kind);
  return blob_message{std::move(q)};
}

}  // namespace orrery::cluster
