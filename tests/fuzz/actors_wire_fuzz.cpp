// Any bytes to what reads the messages of other nodes: what decodes is encoded as something that
// decodes to the same. The first byte says which sort of message it is.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "actors/wire.hpp"

namespace {

using namespace orrery::actors;

template <class T, class Encode>
void check(std::string_view bytes, orrery::model::result<T> (*decode)(std::string_view),
           Encode encode) {
  const auto got = decode(bytes);
  if (!got)
    return;
  const std::string once = encode(*got);
  const auto again = decode(once);
  if (!again || encode(*again) != once)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto bytes = std::string_view{reinterpret_cast<const char*>(data) + 1, size - 1};
  switch (data[0] % 7) {
    case 0:
      check(bytes, decode_asks, encode_asks);
      break;
    case 1:
      check(bytes, decode_answers, encode_answers);
      break;
    case 2:
      check(bytes, decode_effect, [](const auto& e) { return encode_effect(e.what, e.entity); });
      break;
    case 3:
      check(bytes, decode_published, encode_published);
      break;
    case 4:
      check(bytes, decode_feed_wants, encode_feed_wants);
      break;
    case 5:
      check(bytes, decode_read, [](const auto& q) { return encode_read(q.number, q.what); });
      break;
    default:
      check(bytes, decode_page, [](const auto& a) { return encode_page(a.number, a.what); });
  }
  return 0;
}
