// A node put together: store, writer, shards, ports. The one place that knows every layer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "app/data_folder.hpp"
#include "config/settings.hpp"

namespace orrery::app {

class node {
 public:
  /// Opens the store, replays, makes what the first start needs, then opens the ports.
  /// Throws storage_failed, transport::port_taken, config::bad_settings, std::runtime_error.
  /// `found_again`: an operator's word that what the coordinator knew of this node's cluster is
  /// lost for good.
  explicit node(const config::settings& settings, bool found_again = false);
  /// stop() if it was not called.
  ~node();

  std::map<std::string, std::uint16_t> ports() const;
  const std::string& ca_file() const;
  std::string password_file() const;

  /// Adds the demo content if it is not there yet; what it made stands in <data>/demo.json.
  void add_demo();

  /// Reads the files of certificates, keys and clients' authorities again; what cannot be read is
  /// logged, and the former stay in force. Any thread.
  void reload_certificates();

  /// No new connections, sessions told to go, their ends committed, everything closed.
  void stop();

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace orrery::app
