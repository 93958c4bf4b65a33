// A node put together: store, writer, shards, ports. The one place that knows every layer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "actors/caller.hpp"
#include "config/settings.hpp"
#include "model/credentials.hpp"
#include "model/result.hpp"

namespace orrery::app {

/// The database cannot be opened or read: ends the start.
class storage_failed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class node {
 public:
  /// Opens the store, replays, makes what the first start needs, then opens the ports.
  /// Throws storage_failed, transport::port_taken, config::bad_settings, std::runtime_error.
  explicit node(const config::settings& settings);
  /// stop() if it was not called.
  ~node();

  std::map<std::string, std::uint16_t> ports() const;
  const std::string& ca_file() const;
  std::string password_file() const;

  /// Adds the demo content if it is not there yet; what it made stands in <data>/demo.json.
  void add_demo();

  /// No new connections, sessions told to go, their ends committed, everything closed.
  void stop();

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// Asks an entity and waits for the answer: for the start, before there are ports. Asks again for
/// half a minute while its shard is `unavailable`.
actors::answer ask_and_wait(actors::caller& ask, actors::target whom, actors::any_command what);

/// Makes the organisation `default` and its user `admin` if they are not there; the password goes
/// to `password_file` (mode 0600). Throws std::runtime_error.
void make_first_user(actors::caller& ask, const std::string& password_file);

/// Makes model, product, devices, tree and API key of the demo; gives the text of demo.json.
std::string make_demo(actors::caller& ask, const model::keyring& keys, model::timestamp now);

/// Writes a file that only the owner may read, by way of a temporary name. Throws
/// std::runtime_error.
void write_secret_file(const std::string& path, const std::string& text);

}  // namespace orrery::app
