#include "app/data_folder.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <unistd.h>
#include <utility>

#include "cluster/member.hpp"
#include "config/load.hpp"
#include "observe/log.hpp"
#include "storage/keys.hpp"
#include "storage/restore.hpp"
#include "storage/rocks_store.hpp"

namespace orrery::app {
namespace {

namespace fs = std::filesystem;

std::string read_file(const std::string& path) {
  auto in = std::ifstream{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace

void give_up(const model::failure& why) {
  throw storage_failed{why.detail};
}

void write_secret_file(const std::string& path, const std::string& text) {
  const auto temporary = path + ".new";
  const auto file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const auto fail = [&] {
    const auto why = std::string{std::strerror(errno)};
    if (file >= 0)
      ::close(file);
    throw storage_failed{path + " cannot be written: " + why};
  };
  if (file < 0 || ::write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fsync(file) != 0)
    fail();
  ::close(file);
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    throw storage_failed{path + " cannot be written: " + std::strerror(errno)};
}

data_folder::data_folder(const config::settings& s, model::timestamp now)
    : folder_{s.node.data}, master_key_file_{s.node.master_key} {
  auto failed = std::error_code{};
  fs::create_directories(folder_, failed);
  if (failed)
    throw storage_failed{folder_ + " cannot be made: " + failed.message()};
  auto made = storage::open_rocks_store({.folder = file("db"),
                                         .write_buffer_bytes = s.storage.write_buffer_bytes,
                                         .block_cache_bytes = s.storage.block_cache_bytes,
                                         .synced = s.storage.durability == "sync",
                                         .sample_retention = s.storage.sample_retention},
                                        now);
  if (!made)
    give_up(made.error());
  store_ = std::move(*made);
  if (master_key_file_.empty())
    master_key_file_ = file("master.key");
  check_shard_count(s.cluster.shard_count);
  check_restored();
}

/// A backup holds no keys, and a key that is made anew would read no secret of it.
void data_folder::check_restored() {
  const auto from = storage::restored_from(*store_);
  if (!from)
    give_up(from.error());
  restored_ = from->has_value();
  if (!restored_)
    return;
  observe::log::info("node", "restored", {{"backup", (*from)->id}, {"from", (*from)->node}});
  if (!fs::exists(master_key_file_))
    throw storage_failed{folder_ +
                         " was restored from a backup, which holds no keys: put the master key of "
                         "then at " +
                         master_key_file_ + ", and pki/ of then beside it"};
}

void data_folder::note_taken_up() {
  if (const auto ok = restored_ ? storage::clear_restored(*store_) : model::status{}; !ok)
    give_up(ok.error());
  restored_ = false;
}

/// A name's shard depends on the number of shards: it never changes.
void data_folder::check_shard_count(std::size_t wanted) {
  const auto made_with = note("shards");
  if (made_with.empty())
    return set_note("shards", std::to_string(wanted));
  if (made_with != std::to_string(wanted))
    throw config::bad_settings{"cluster.shard_count: the data folder was made with " + made_with +
                               " shards, the settings say " + std::to_string(wanted) +
                               "; the number is fixed when the folder is made\n"};
}

std::string data_folder::file(const std::string& name) const {
  return (fs::path{folder_} / name).string();
}

model::keyring::key_bytes data_folder::master_key() const {
  const auto& path = master_key_file_;
  if (!fs::exists(path))
    write_secret_file(path, model::sha256_hex(model::random_text(64)) + "\n");
  const auto text = read_file(path);
  auto key = model::keyring::key_bytes{};
  if (text.size() < 64 || text.find_first_not_of("0123456789abcdef") < 64)
    throw storage_failed{
        path +
        ": expected 64 hex digits; without the key of this installation no secret can be read"};
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<std::uint8_t>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  return key;
}

std::string data_folder::note(const std::string& name) const {
  const auto row = store_->get(storage::family::meta, storage::keys::meta(name));
  if (!row)
    give_up(row.error());
  return row->value_or("");
}

void data_folder::set_note(const std::string& name, std::string value) {
  const auto row = storage::row{
      .family = storage::family::meta, .key = storage::keys::meta(name), .value = std::move(value)};
  if (auto ok = store_->put(std::span{&row, 1}, true); !ok)
    give_up(ok.error());
}

std::uint64_t data_folder::next_incarnation(cluster::node_id number, model::timestamp now) {
  const auto last = std::strtoull(note("incarnation").c_str(), nullptr, 10);
  const auto next =
      cluster::next_incarnation(last, static_cast<std::uint64_t>(model::to_ms(now)), number);
  set_note("incarnation", std::to_string(next));
  return next;
}

}  // namespace orrery::app
