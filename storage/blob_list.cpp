#include "storage/blob_list.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "model/credentials.hpp"
#include "model/json.hpp"

namespace orrery::storage {
namespace {

using model::errc;
using model::failure;

constexpr std::size_t longest_id = 64, hex_digits = 64;

failure damaged(const std::string& why) {
  return {errc::corrupted, "backup_damaged", "its list of files: " + why};
}

std::uint64_t bytes_of(const std::vector<blob_entry>& all) {
  auto sum = std::uint64_t{0};
  for (const auto& one : all)
    sum += one.size;
  return sum;
}

/// "<owner>.<sha256> <size>"
std::optional<blob_entry> entry_of(std::string_view line) {
  const auto blank = line.find(' ');
  if (blank == std::string_view::npos)
    return std::nullopt;
  auto name = parse_blob_name(line.substr(0, blank));
  const auto digits = line.substr(blank + 1);
  auto size = std::uint64_t{0};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
  if (!name || error != std::errc{} || end != digits.data() + digits.size())
    return std::nullopt;
  return blob_entry{std::move(*name), size};
}

}  // namespace

bool is_backup_id(std::string_view id) {
  return !id.empty() && id.size() <= longest_id && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::string encode(const blob_list& list) {
  auto lines = std::string{};
  for (const auto& one : list.blobs)
    lines += to_string(one.name) + ' ' + std::to_string(one.size) + '\n';
  return model::to_json(model::object{{"backup", list.backup},
                                      {"bytes", static_cast<std::int64_t>(bytes_of(list.blobs))},
                                      {"count", static_cast<std::int64_t>(list.blobs.size())},
                                      {"sha256", model::sha256_hex(lines)},
                                      {"whole", list.whole}}) +
         '\n' + lines;
}

model::result<blob_list_head> decode_blob_list_head(std::string_view text) {
  const auto end = text.substr(0, most_blob_list_head_bytes).find('\n');
  if (end == std::string_view::npos)
    return damaged("it has no first line");
  const auto parsed = model::parse_json(text.substr(0, end));
  if (!parsed || !parsed->is_object())
    return damaged("its first line is not JSON");
  const auto* backup = parsed->find("backup");
  const auto* bytes = parsed->find("bytes");
  const auto* count = parsed->find("count");
  const auto* sha256 = parsed->find("sha256");
  const auto* whole = parsed->find("whole");
  const auto natural = [](const model::value* v) { return v && v->is_int() && v->as_int() >= 0; };
  if (!backup || !backup->is_string() || !is_backup_id(backup->as_string()) || !natural(bytes) ||
      !natural(count) || !sha256 || !sha256->is_string() ||
      sha256->as_string().size() != hex_digits || !whole || !whole->is_bool())
    return damaged("its first line lacks something");
  return blob_list_head{backup->as_string(), static_cast<std::uint64_t>(count->as_int()),
                        static_cast<std::uint64_t>(bytes->as_int()), sha256->as_string(),
                        whole->as_bool()};
}

model::result<blob_list> decode_blob_list(std::string_view text) {
  if (text.size() > most_blob_list_bytes)
    return failure{errc::too_large, "backup_damaged", "its list of files is too long"};
  auto head = decode_blob_list_head(text);
  if (!head)
    return head.error();
  auto lines = text.substr(text.find('\n') + 1);
  if (model::sha256_hex(lines) != head->sha256)
    return damaged("it is not what was written");
  auto list = blob_list{std::move(head->backup), head->whole, {}};
  while (!lines.empty()) {
    const auto end = lines.find('\n');
    auto one = end == std::string_view::npos ? std::nullopt : entry_of(lines.substr(0, end));
    if (!one || (!list.blobs.empty() && one->name <= list.blobs.back().name))
      return damaged("line " + std::to_string(list.blobs.size() + 2) + " is none of it");
    list.blobs.push_back(std::move(*one));
    lines.remove_prefix(end + 1);
  }
  if (list.blobs.size() != head->count || bytes_of(list.blobs) != head->bytes)
    return damaged("it has not what its first line says");
  return list;
}

}  // namespace orrery::storage
