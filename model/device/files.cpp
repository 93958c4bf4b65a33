// Which files a device has. Their bytes are kept elsewhere: here is said what they must be.
#include <algorithm>

#include "model/device/decisions.hpp"

namespace orrery::model::device {
namespace {

constexpr std::string_view scheme = "enos-connect://", direct_scheme = "enos-lark://";
constexpr std::size_t least_id = 16, most_id = 32, sha256_digits = 64, md5_digits = 32,
                      longest_name = 255, longest_ending = 16;

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}
bool is_digest(std::string_view text, std::size_t digits) {
  return text.empty() || (text.size() == digits && is_hex(text));
}
bool is_id(std::string_view text) {
  return text.size() >= least_id && text.size() <= most_id && is_hex(text);
}
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= longest_name &&
         std::none_of(text.begin(), text.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte < 0x20 || byte == 0x7f;
         });
}

failure unknown(const state& s) {
  return {errc::not_found, "file_unknown", label(s) + " has no such file"};
}

file_status status_with(const state& s, const surroundings& around, file_record what) {
  return {around.self, s.organisation(), std::move(what)};
}

}  // namespace

const file_record* file_folder::find(std::string_view id) const {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const file_record& f) { return f.id == id; });
  return found == all.end() ? nullptr : &*found;
}

std::string_view status_of(const file_record& f, timestamp now) {
  if (f.state == file_record::state_code::stored)
    return "stored";
  return f.created_at + file_patience <= now ? "lost" : "pending";
}

std::string uri_of(const file_record& f) {
  auto out = std::string{scheme} + f.id;
  const auto dot = f.name.rfind('.');
  if (dot == std::string::npos)
    return out;
  const auto ending = std::string_view{f.name}.substr(dot);
  const auto is_plain = std::all_of(ending.begin() + 1, ending.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
  if (ending.size() > 1 && ending.size() <= longest_ending && is_plain)
    out += ending;
  return out;
}

std::string file_id_of(std::string_view uri) {
  if (uri.starts_with(scheme))
    uri.remove_prefix(scheme.size());
  else if (uri.starts_with(direct_scheme))
    uri.remove_prefix(direct_scheme.size());
  else
    return {};
  const auto id = uri.substr(0, uri.find('.'));
  return is_id(id) && uri.size() - id.size() <= longest_ending ? std::string{id} : std::string{};
}

result<decision> decide_on(const state& s, const add_file& a, const surroundings& around) {
  const auto& f = a.what;
  if (!is_id(f.id) || !is_name(f.name) || !is_digest(f.sha256, sha256_digits) ||
      !is_digest(f.md5, md5_digits))
    return refused(errc::invalid_argument, "file_invalid",
                   "a file has a name of 1 to 255 bytes without control characters, and digests in "
                   "lower-case hex");
  if (f.size > a.limits.most_bytes_each)
    return refused(errc::too_large, "file_too_large",
                   "a file has at most " + std::to_string(a.limits.most_bytes_each) + " bytes");
  if (s.files().find(f.id))
    return refused(errc::already_exists, "file_exists", "there is a file with that id");
  auto added = file_added{f, {}};
  auto bytes = std::uint64_t{0};
  for (const auto& one : s.files().all)
    if (status_of(one, around.now) == "lost")
      added.dropped.push_back(one.id);
    else
      bytes += one.size;
  const auto most = std::min<std::uint64_t>(a.limits.most_files, max_files);
  if (s.files().all.size() - added.dropped.size() >= most)
    return refused(errc::conflict, "file_quota_exceeded",
                   "a device has at most " + std::to_string(most) + " files: delete one first");
  if (bytes > a.limits.most_bytes || f.size > a.limits.most_bytes - bytes)
    return refused(errc::conflict, "file_quota_exceeded",
                   "the files of a device have at most " + std::to_string(a.limits.most_bytes) +
                       " bytes together: delete some first");
  added.what.state = file_record::state_code::pending;
  added.what.created_at = around.now;
  added.what.stored_at = {};
  auto answer = status_with(s, around, added.what);
  return only(std::move(added), std::move(answer));
}

result<decision> decide_on(const state& s, const store_file& f, const surroundings& around) {
  const auto* found = s.files().find(f.id);
  if (!found)
    return unknown(s);
  if (found->state == file_record::state_code::stored)
    return refused(errc::conflict, "file_stored", "that file has its bytes already");
  if (status_of(*found, around.now) == "lost")
    return refused(errc::conflict, "file_lost",
                   "that file should have come within the hour: ask for another");
  if (f.size != found->size)
    return refused(errc::invalid_argument, "file_size_wrong",
                   "the file was to have " + std::to_string(found->size) + " bytes, and " +
                       std::to_string(f.size) + " came");
  if (f.sha256.size() != sha256_digits || !is_hex(f.sha256) || f.md5.size() != md5_digits ||
      !is_hex(f.md5) || (!found->sha256.empty() && found->sha256 != f.sha256) ||
      (!found->md5.empty() && found->md5 != f.md5))
    return refused(errc::invalid_argument, "file_digest_wrong",
                   "what came has another digest than the file was to have");
  auto now = *found;
  now.state = file_record::state_code::stored;
  now.sha256 = f.sha256;
  now.md5 = f.md5;
  now.stored_at = around.now;
  return only(file_stored{f.id, f.sha256, f.md5, around.now},
              status_with(s, around, std::move(now)));
}

result<decision> decide_on(const state& s, const remove_file& r, const surroundings& around) {
  const auto* found = s.files().find(r.id);
  if (!found)
    return unknown(s);
  return only(file_removed{r.id, around.now}, status_with(s, around, *found));
}

result<decision> decide_on(const state& s, const read_file& r, const surroundings& around) {
  const auto* found = s.files().find(r.id);
  if (!found)
    return unknown(s);
  return decision{{}, status_with(s, around, *found)};
}

}  // namespace orrery::model::device
