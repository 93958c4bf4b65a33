#include "storage/blobs.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

namespace orrery::storage {
namespace {

namespace fs = std::filesystem;
using model::errc;
using model::failure;

// blobs/<owner>.<sha256>; unfinished ones: blobs/incoming-<number>, which is no such name.
constexpr std::string_view unfinished = "incoming-";
constexpr std::size_t hex_digits = 64, longest_owner = 64, piece_bytes = 256 * 1024;
constexpr mode_t for_owner_alone = 0600;

failure trouble(const std::string& what, int error) {
  const auto full = error == ENOSPC || error == EDQUOT;
  return {errc::unavailable, full ? "disk_full" : "blob_not_written",
          what + ": " + std::strerror(error)};
}

/// Of a file that is there: damage, or what the process lacks.
failure unreadable(const std::string& what, int error) {
  if (error == EIO || error == EUCLEAN || error == EBADMSG)
    return {errc::corrupted, what + ": " + std::strerror(error)};
  return trouble(what, error);
}

failure unknown(const blob_name& name) {
  return {errc::not_found, "blob_unknown", "no bytes of " + name.owner + " with that digest here"};
}

model::result<std::string> read_file(int file, std::uint64_t offset, std::size_t most) {
  auto out = std::string{};
  struct stat is {};
  if (::fstat(file, &is) != 0)
    return failure{errc::corrupted, "a blob cannot be looked at"};
  const auto size = static_cast<std::uint64_t>(is.st_size);
  if (offset >= size)
    return out;
  out.resize(std::min<std::uint64_t>(most, size - offset));
  auto done = std::size_t{0};
  while (done < out.size()) {
    const auto got =
        ::pread(file, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return failure{errc::corrupted,
                     std::string{"a blob cannot be read: "} + std::strerror(errno)};
    if (got == 0)
      break;
    done += static_cast<std::size_t>(got);
  }
  out.resize(done);
  return out;
}

/// An open file that is closed with its owner.
class opened {
 public:
  explicit opened(const std::string& path) : file_{::open(path.c_str(), O_RDONLY | O_CLOEXEC)} {}
  ~opened() {
    if (file_ >= 0)
      ::close(file_);
  }
  opened(const opened&) = delete;
  opened& operator=(const opened&) = delete;
  int file() const { return file_; }

 private:
  int file_;
};

}  // namespace

bool is_valid(const blob_name& name) {
  return !name.owner.empty() && name.owner.size() <= longest_owner &&
         name.owner.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") ==
             std::string::npos &&
         name.sha256.size() == hex_digits &&
         name.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string to_string(const blob_name& name) {
  return name.owner + '.' + name.sha256;
}

std::optional<blob_name> parse_blob_name(std::string_view file) {
  const auto dot = file.find('.');
  if (dot == std::string_view::npos)
    return std::nullopt;
  auto name = blob_name{std::string{file.substr(0, dot)}, std::string{file.substr(dot + 1)}};
  return is_valid(name) ? std::optional{std::move(name)} : std::nullopt;
}

struct blob_writer::hashes {
  struct closer {
    void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
  };
  using context = std::unique_ptr<EVP_MD_CTX, closer>;
  context sha256{EVP_MD_CTX_new()}, md5{EVP_MD_CTX_new()};

  bool begin() {
    return sha256 && md5 && EVP_DigestInit_ex(sha256.get(), EVP_sha256(), nullptr) == 1 &&
           EVP_DigestInit_ex(md5.get(), EVP_md5(), nullptr) == 1;
  }
  bool add(std::string_view bytes) {
    return EVP_DigestUpdate(sha256.get(), bytes.data(), bytes.size()) == 1 &&
           EVP_DigestUpdate(md5.get(), bytes.data(), bytes.size()) == 1;
  }
  static std::string end(EVP_MD_CTX* c) {
    constexpr std::string_view digits = "0123456789abcdef";
    auto raw = std::array<unsigned char, EVP_MAX_MD_SIZE>{};
    auto size = 0u;
    if (EVP_DigestFinal_ex(c, raw.data(), &size) != 1)
      return {};
    auto text = std::string{};
    for (auto i = 0u; i < size; ++i) {
      text += digits[raw.at(i) >> 4];
      text += digits[raw.at(i) & 15];
    }
    return text;
  }
};

blob_writer::blob_writer(std::shared_ptr<blobs> in)
    : in_{std::move(in)}, hashes_{std::make_unique<hashes>()} {}

blob_writer::~blob_writer() {
  if (file_ >= 0)
    ::close(file_);
  if (!kept_ && !path_.empty())
    ::unlink(path_.c_str());
}

model::status blob_writer::append(std::string_view bytes) {
  const auto finished = !facts_.sha256.empty();
  if (failed_ || finished)
    return failure{errc::unavailable, "blob_not_written", "the file takes no more"};
  for (auto left = bytes; !left.empty();) {
    const auto put = ::write(file_, left.data(), left.size());
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0) {
      failed_ = true;
      return trouble("a file cannot be written", errno);
    }
    left.remove_prefix(static_cast<std::size_t>(put));
  }
  if (!hashes_->add(bytes)) {
    failed_ = true;
    return failure{errc::unavailable, "blob_not_written", "no digest can be made"};
  }
  size_ += bytes.size();
  return {};
}

model::result<blob_facts> blob_writer::finish() {
  if (failed_)
    return failure{errc::unavailable, "blob_not_written", "the file was not written whole"};
  if (!facts_.sha256.empty())
    return facts_;
  if (::fsync(file_) != 0) {
    failed_ = true;
    return trouble("a file does not reach the disk", errno);
  }
  facts_ = {hashes::end(hashes_->sha256.get()), hashes::end(hashes_->md5.get()), size_};
  if (facts_.sha256.empty() || facts_.md5.empty()) {
    failed_ = true;
    return failure{errc::unavailable, "blob_not_written", "no digest can be made"};
  }
  return facts_;
}

model::result<std::string> blob_writer::read(std::uint64_t offset, std::size_t most) const {
  return read_file(file_, offset, most);
}

model::status blob_writer::keep(const std::string& owner) {
  const auto name = blob_name{owner, facts_.sha256};
  if (failed_)
    return failure{errc::unavailable, "blob_not_written", "the file was not written whole"};
  if (!is_valid(name))
    return failure{errc::invalid_argument, "that is no name of a blob"};
  if (kept_) {
    const auto is = in_->touch(name);
    failed_ = !is;  // it went meanwhile
    return is ? model::status{}
              : failure{errc::unavailable, "blob_not_written", "the file is not there any more"};
  }
  const auto to = in_->path_of(name);
  {
    const auto hold = std::lock_guard{in_->mutex_};
    struct stat is {};
    const auto there = ::stat(to.c_str(), &is) == 0;
    if (::rename(path_.c_str(), to.c_str()) != 0)
      return trouble("a file cannot get its name", errno);
    kept_ = true;
    if (there)  // the same bytes once more
      in_->bytes_.fetch_sub(static_cast<std::uint64_t>(is.st_size));
    else
      in_->count_.fetch_add(1);
    in_->bytes_.fetch_add(size_);
  }
  if (::fsync(in_->directory_) != 0) {
    failed_ = true;  // to ask again tells nothing: the disk says it once
    return trouble("a file's name does not reach the disk", errno);
  }
  return {};
}

blobs::~blobs() {
  if (directory_ >= 0)
    ::close(directory_);
}

model::result<std::shared_ptr<blobs>> blobs::open(std::string folder) {
  auto out = std::shared_ptr<blobs>{new blobs{std::move(folder)}};
  if (::mkdir(out->folder_.c_str(), 0700) != 0 && errno != EEXIST)
    return trouble(out->folder_, errno);
  if (const auto ok = out->load(true); !ok)
    return ok.error();
  return out;
}

model::result<std::shared_ptr<blobs>> blobs::open_as_it_is(std::string folder) {
  auto out = std::shared_ptr<blobs>{new blobs{std::move(folder)}};
  if (const auto ok = out->load(false); !ok)
    return ok.error();
  return out;
}

model::status blobs::load(bool sweep) {
  directory_ = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory_ < 0)
    return trouble(folder_, errno);
  auto e = std::error_code{};
  for (auto i = fs::directory_iterator{folder_, e}; !e && i != fs::directory_iterator{};
       i.increment(e)) {
    const auto file = i->path().filename().string();
    if (file.starts_with(unfinished)) {
      if (sweep)
        ::unlink(i->path().c_str());
    } else if (parse_blob_name(file)) {
      count_.fetch_add(1);
      auto unread = std::error_code{};
      const auto size = i->file_size(unread);
      bytes_.fetch_add(unread ? 0 : size);
    }
  }
  if (e)
    return trouble(folder_, e.value());
  return {};
}

std::string blobs::path_of(const blob_name& name) const {
  return folder_ + '/' + to_string(name);
}

model::result<std::unique_ptr<blob_writer>> blobs::begin() {
  auto out = std::unique_ptr<blob_writer>{new blob_writer{shared_from_this()}};
  auto path = folder_ + '/' + std::string{unfinished} + std::to_string(numbers_.fetch_add(1));
  out->file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, for_owner_alone);
  if (out->file_ < 0)
    return trouble("a file cannot be made", errno);
  out->path_ = std::move(path);
  if (!out->hashes_->begin())
    return failure{errc::unavailable, "blob_not_written", "no digest can be made"};
  return out;
}

model::result<std::uint64_t> blobs::size(const blob_name& name) const {
  if (!is_valid(name))
    return failure{errc::invalid_argument, "that is no name of a blob"};
  struct stat is {};
  if (::stat(path_of(name).c_str(), &is) != 0)
    return errno == ENOENT ? unknown(name) : unreadable("a blob cannot be looked at", errno);
  return static_cast<std::uint64_t>(is.st_size);
}

model::result<std::string> blobs::read(const blob_name& name, std::uint64_t offset,
                                       std::size_t most) const {
  if (!is_valid(name))
    return failure{errc::invalid_argument, "that is no name of a blob"};
  const auto from = opened{path_of(name)};
  if (from.file() < 0)
    return errno == ENOENT ? unknown(name) : unreadable("a blob cannot be opened", errno);
  return read_file(from.file(), offset, most);
}

model::status blobs::verify(const blob_name& name) const {
  auto hashes = blob_writer::hashes{};
  if (!hashes.begin())
    return failure{errc::unavailable, "blob_not_written", "no digest can be made"};
  for (auto at = std::uint64_t{0};;) {
    const auto piece = read(name, at, piece_bytes);
    if (!piece)
      return piece.error();
    if (piece->empty())
      break;
    if (!hashes.add(*piece))
      return failure{errc::unavailable, "blob_not_written", "no digest can be made"};
    at += piece->size();
  }
  if (blob_writer::hashes::end(hashes.sha256.get()) != name.sha256)
    return failure{errc::corrupted, "its bytes are not those that its name tells of"};
  return {};
}

model::result<std::uint64_t> blobs::touch(const blob_name& name) {
  const auto hold = std::lock_guard{mutex_};
  auto is = size(name);
  if (is && ::utimensat(AT_FDCWD, path_of(name).c_str(), nullptr, 0) != 0)
    return trouble("a blob cannot be touched", errno);
  return is;
}

model::status blobs::remove(const blob_name& name, std::int64_t written_at) {
  const auto hold = std::lock_guard{mutex_};
  const auto had = size(name);
  if (!had)
    return had.error();
  struct stat is {};
  if (::stat(path_of(name).c_str(), &is) == 0 && is.st_mtime > written_at)
    return failure{errc::conflict, "that blob was written again"};
  if (holders_ > 0)
    return failure{errc::conflict, "what is there is being copied"};
  if (::unlink(path_of(name).c_str()) != 0)
    return trouble("a blob cannot be removed", errno);
  count_.fetch_sub(1);
  bytes_.fetch_sub(*had);
  return {};
}

model::result<std::vector<listed_blob>> blobs::list(const blob_name& after,
                                                    std::size_t most) const {
  auto all = std::vector<listed_blob>{};
  const auto by_name = [](const listed_blob& a, const listed_blob& b) { return a.name < b.name; };
  auto e = std::error_code{};
  for (auto i = fs::directory_iterator{folder_, e}; !e && i != fs::directory_iterator{};
       i.increment(e)) {
    auto name = parse_blob_name(i->path().filename().string());
    if (!name || *name <= after)
      continue;
    // A heap of the smallest names: however many there are, no more than `most` are held.
    if (all.size() == most && (most == 0 || all.front().name <= *name))
      continue;
    struct stat is {};
    if (::stat(i->path().c_str(), &is) != 0) {
      if (errno == ENOENT)
        continue;  // gone meanwhile
      return unreadable(i->path().string(), errno);
    }
    all.push_back({std::move(*name), static_cast<std::uint64_t>(is.st_size), is.st_mtime});
    std::push_heap(all.begin(), all.end(), by_name);
    if (all.size() > most) {
      std::pop_heap(all.begin(), all.end(), by_name);
      all.pop_back();
    }
  }
  if (e)
    return failure{errc::corrupted, folder_ + ": " + e.message()};
  std::sort_heap(all.begin(), all.end(), by_name);
  return all;
}

blob_hold::blob_hold(std::shared_ptr<blobs> of) : of_{std::move(of)} {
  const auto lock = std::lock_guard{of_->mutex_};
  ++of_->holders_;
}

blob_hold::~blob_hold() {
  const auto lock = std::lock_guard{of_->mutex_};
  --of_->holders_;
}

}  // namespace orrery::storage
