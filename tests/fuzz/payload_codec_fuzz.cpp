// Any bytes as a packed payload: a payload within the cap or a failure with a reason, and what is
// packed again comes back. The first byte chooses the form.
#include <cstdint>
#include <cstdlib>

#include "transport/payload_codec.hpp"

namespace {

using namespace orrery::transport;

constexpr std::size_t cap = 100'000;

void demand(bool true_of_all) {
  if (!true_of_all)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto form = static_cast<compression>(data[0] % 4);
  const auto bytes = std::string_view{reinterpret_cast<const char*>(data + 1), size - 1};
  const auto plain = decompress(form, bytes, cap);
  if (plain)
    demand(plain->size() <= cap);
  else
    demand(!plain.error().reason.empty());
  for (const auto& again : {plain ? *plain : std::string{}, std::string{bytes}}) {
    const auto back = decompress(form, compress(form, again), again.size());
    demand(back && *back == again);
  }
  return 0;
}
