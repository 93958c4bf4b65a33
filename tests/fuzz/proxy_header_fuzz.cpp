// Any bytes as the header of a proxy: what is read lies within them, and less of it is no header.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "transport/proxy_header.hpp"

namespace {

void demand(bool holds) {
  if (!holds)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery::transport;
  const auto exact = std::make_unique<char[]>(size);
  std::copy_n(data, size, exact.get());
  const auto in = std::string_view{exact.get(), size};
  const auto got = decode_proxy_header(in);
  if (!got)
    return 0;
  if (!*got) {
    demand(size < max_proxy_header);
    return 0;
  }
  const auto& header = **got;
  demand(header.size > 0 && header.size <= size && header.size <= max_proxy_header);
  demand(!header.peer.address.empty() || header.peer == proxied_peer{});
  const auto again = decode_proxy_header(in.substr(0, header.size));
  demand(again && *again && (*again)->peer == header.peer);
  for (std::size_t part = 0; part < header.size; ++part) {
    const auto less = decode_proxy_header(in.substr(0, part));
    demand(less && !*less);
  }
  return 0;
}
