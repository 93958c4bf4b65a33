// Any bytes at the links of files: as a token, as fields of a request for a part, as a name; as
// what nodes say to each other about files; and as a backup's list of them.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cluster/blob_wire.hpp"
#include "model/credentials.hpp"
#include "storage/blob_list.hpp"
#include "transport/base64url.hpp"
#include "transport/file_link.hpp"

namespace {

void demand(bool holds) {
  if (!holds)
    std::abort();
}

void check_token(std::string_view in) {
  using namespace orrery::transport;
  const auto key = std::string{"key"};
  demand(!read_link(in, key));  // nobody signs by chance
  // What was signed may be anything: then it is read, or not, and what is read can be signed again.
  auto link = file_link{};
  link.file = std::string{in.substr(0, 100)};
  link.size = in.size();
  demand(read_link(sign_link(link, key), key) == link);
}

void check_part(std::string_view in) {
  using namespace orrery::transport;
  const auto cut = in.find('\n');
  const auto range = in.substr(0, cut);
  const auto condition = cut == std::string_view::npos ? std::string_view{} : in.substr(cut + 1);
  for (const auto size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1000}, UINT64_MAX}) {
    const auto part = part_of(range, condition, "\"t\"", size);
    demand(part.what != file_part::kind::whole || (part.first == 0 && part.size == size));
    demand(part.what != file_part::kind::part ||
           (part.size > 0 && part.first < size && part.size <= size - part.first));
  }
  const auto named = disposition_of(in);
  demand(named.find_first_of("\r\n") == std::string::npos);
}

void check_message(std::string_view in) {
  using namespace orrery;
  const auto got = cluster::decode_blob_message(in);
  if (!got)
    return;
  const auto again = std::visit([](const auto& m) { return cluster::encode(m); }, *got);
  const auto same = cluster::decode_blob_message(again);
  demand(same && *same == *got);
}

void check_list(std::string_view in) {
  using namespace orrery;
  const auto check = [](std::string_view text) {
    const auto got = storage::decode_blob_list(text);
    if (!got)
      return;
    const auto again = storage::decode_blob_list(storage::encode(*got));
    demand(again && *again == *got);
  };
  check(in);
  // Nobody finds the digest by chance.
  const auto cut = in.find('\n');
  const auto numbers = in.substr(0, cut);
  const auto lines = cut == std::string_view::npos ? std::string_view{} : in.substr(cut + 1);
  check("{\"backup\":\"b\",\"sha256\":\"" + model::sha256_hex(lines) + "\",\"whole\":true," +
        std::string{numbers} + "}\n" + std::string{lines});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto in = std::string_view{reinterpret_cast<const char*>(data) + 1, size - 1};
  switch (data[0] % 4) {
    case 0:
      check_token(in);
      break;
    case 1:
      check_part(in);
      break;
    case 2:
      check_message(in);
      break;
    default:
      check_list(in);
  }
  return 0;
}
