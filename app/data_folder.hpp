// The folder of a node: its database, its secrets, and what it notes about itself there.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "cluster/shard_record.hpp"
#include "config/settings.hpp"
#include "model/credentials.hpp"
#include "model/result.hpp"
#include "storage/entity_store.hpp"

namespace orrery::app {

/// The database cannot be opened or read: ends the start.
class storage_failed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class data_folder {
 public:
  /// Makes the folder if it is not there, and opens the database. Throws storage_failed, also if it
  /// was restored and the keys are not there; config::bad_settings if it was made with another
  /// number of shards.
  data_folder(const config::settings& s, model::timestamp now);

  const std::shared_ptr<storage::entity_store>& store() const { return store_; }
  /// The path of a file in it.
  std::string file(const std::string& name) const;
  /// The master key of the installation: 64 hex digits in a file, which is made if the settings
  /// name none. Throws storage_failed.
  model::keyring::key_bytes master_key() const;

  /// The database came from a backup, and nothing has gone on from it yet.
  bool restored() const { return restored_; }
  /// Now something has. Throws storage_failed.
  void note_taken_up();

  /// What was noted under that name; empty: nothing. Both throw storage_failed.
  std::string note(const std::string& name) const;
  void set_note(const std::string& name, std::string value);
  /// Of a process of this node, by its number: rises with every start, also when the clock went
  /// back. Throws storage_failed.
  std::uint64_t next_incarnation(cluster::node_id number, model::timestamp now);

 private:
  void check_shard_count(std::size_t wanted);
  void check_restored();

  std::string folder_, master_key_file_;
  bool restored_ = false;
  std::shared_ptr<storage::entity_store> store_;
};

/// Writes a file that only the owner may read, by way of a temporary name. Throws
/// std::runtime_error.
void write_secret_file(const std::string& path, const std::string& text);

/// Throws what ends a start, by the failure of the store.
[[noreturn]] void give_up(const model::failure& why);

}  // namespace orrery::app
