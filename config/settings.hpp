// Every setting of a node, by section, with its default.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace orrery::config {

using milliseconds = std::chrono::milliseconds;

struct listener {
  bool enabled = false;
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  std::string proxy_protocol = "off";  // or required: a proxy says whom it speaks for
  std::string proxy_from = {};         // addresses of proxies, with commas; that of all listeners
};

struct settings {
  struct node_section {
    std::string name = "orrery-1";
    std::string data = "data";
    std::string master_key;  // file; empty: <data>/master.key
  } node;

  /// Plain device ports bind to loopback: they carry replayable signatures.
  struct listeners_section {
    listener mqtt{true, "127.0.0.1", 11883};
    listener mqtts{true, "0.0.0.0", 18883};
    listener api{true, "127.0.0.1", 8090};
    listener apis{true, "0.0.0.0", 8493};
    listener http{true, "127.0.0.1", 8080};
    listener https{true, "0.0.0.0", 8443};
    listener admin{true, "127.0.0.1", 8091};
    listener link{true, "0.0.0.0", 7946};  // between nodes, in a cluster alone
    std::string proxy_from;
    std::uint64_t max_connections = 19'000;  // each; a process may hold 20,000 files
    std::uint64_t max_half_open = 5'000;     // connected, not logged in
    milliseconds login_timeout{std::chrono::seconds{5}};
    std::string public_address;     // where devices reach this node from outside, for redirections
    bool plain_activation = false;  // secrets are handed out without TLS, not on loopback alone
  } listeners;

  struct tls_section {
    std::string certificate, key;          // PEM files; empty: made under <data>/pki
    std::string certificate_rsa, key_rsa;  // beside an ECDSA pair
    std::string by_name;                   // folder of pairs for other server names
    std::string client_authorities, client_revocations;
    bool cbc_suites = false;
    bool rsa_key_exchange = false;
    bool resumption = true;
  } tls;

  struct storage_section {
    std::string durability = "sync";  // sync: fsync per group; os: survives kill -9, not power loss
    milliseconds journal_retention{std::chrono::hours{72}};
    std::uint64_t journal_max_bytes = 8ull * 1024 * 1024 * 1024;  // beyond it the oldest goes early
    milliseconds sample_retention{std::chrono::hours{24 * 30}};
    std::uint64_t checkpoint_bytes = 32 * 1024 * 1024;  // bounds the replay at start
    milliseconds checkpoint_interval{std::chrono::seconds{30}};
    std::uint64_t queue_max_bytes = 64 * 1024 * 1024;  // above it sockets are not read
    std::uint64_t block_cache_bytes = 256 * 1024 * 1024;
    std::uint64_t write_buffer_bytes = 256 * 1024 * 1024;
  } storage;

  struct backup_section {
    std::string directory;               // each node has a folder of its name in it; empty: off
    std::uint64_t keep = 7;              // of each node
    std::uint64_t bytes_per_second = 0;  // 0: as fast as it goes
  } backup;

  struct entities_section {
    milliseconds idle_timeout{std::chrono::minutes{5}};
    std::uint64_t max_awake = 300'000;  // about 2.5 KiB each
  } entities;

  struct mqtt_section {
    std::uint64_t max_packet_bytes = 525'312;  // 512 KiB of payload and its topic
    std::uint64_t max_subscriptions = 256;     // per connection
    std::uint64_t max_unsettled = 1'000;       // publishes taken and not answered, per connection
    std::uint64_t max_queued = 1'000;          // downstream messages waiting, per connection
    milliseconds answer_timeout{std::chrono::seconds{10}};
    milliseconds max_keep_alive{std::chrono::hours{1}};           // of clients of MQTT 5.0; 0: any
    milliseconds max_session_expiry{std::chrono::hours{24 * 7}};  // 0: kept without end
    bool unbind_online = false;    // a gateway may unbind a sub-device that is logged in
    bool virtual_gateway = false;  // for tests: an organisation's own gateway, without a secret
    milliseconds statistics_interval{std::chrono::seconds{10}};  // of $SYS/ topics; 0: none
    std::string open_broker;  // for tests: an organisation whose topics are everybody's
  } mqtt;

  /// Of a node that is ordered empty.
  struct drain_section {
    std::uint64_t sessions_per_second = 200;  // 0: they stay
  } drain;

  /// Against devices and strangers that try too often. Each node counts for itself.
  struct login_section {
    std::uint64_t port_rate = 5'000, port_burst = 20'000;  // a second; ports with TLS and without
    std::uint64_t address_rate = 1'000, address_burst = 20'000;  // a fleet may be behind one
    milliseconds failure_window{std::chrono::minutes{1}};
    std::uint64_t device_failures = 5;
    milliseconds device_ban{std::chrono::minutes{1}};
    milliseconds device_ban_max{std::chrono::hours{1}};
    std::uint64_t address_failures = 50;
    milliseconds address_ban{std::chrono::minutes{5}};
    std::uint64_t flapping_logins = 120;
    milliseconds flapping_window{std::chrono::minutes{1}};
    milliseconds flapping_ban{std::chrono::minutes{5}};
    std::uint64_t max_tracked = 50'000;  // devices, pairs and addresses, of each
  } login;

  struct api_section {
    std::uint64_t max_body_bytes = 8 * 1024 * 1024;
    milliseconds access_ttl{std::chrono::minutes{60}};
    milliseconds refresh_ttl{std::chrono::hours{24 * 14}};
    std::uint64_t max_login_failures = 5;
    milliseconds ask_timeout{std::chrono::seconds{10}};
    std::uint64_t max_connections = 2'000;
  } api;

  /// What a node asks identity providers of organisations.
  struct identity_section {
    std::string ca;                  // PEM file of authorities beside those of the system
    bool private_addresses = false;  // also inside: their owners may not be trusted with that
    milliseconds timeout{std::chrono::seconds{10}};  // of each question
  } identity;

  struct audit_section {
    milliseconds retention{std::chrono::hours{24 * 400}};
    std::uint64_t max_bytes = 1024ull * 1024 * 1024;  // of each organisation's log
  } audit;

  struct stream_section {
    std::uint64_t max_queued = 10'000;      // items per subscription, then the oldest go
    std::uint64_t max_subscriptions = 100;  // per socket
    std::uint64_t max_pending_bytes = 4 * 1024 * 1024;  // written to a socket and not taken
  } stream;

  struct commands_section {
    std::uint64_t max_queued = 50;  // per device
  } commands;

  /// Of devices, and the links to them.
  struct files_section {
    std::uint64_t max_file_bytes = 100ull * 1024 * 1024;
    std::uint64_t max_files = 100;                    // per device
    std::uint64_t max_bytes = 1024ull * 1024 * 1024;  // per device
    milliseconds link_lifetime{std::chrono::minutes{15}};
    std::string public_url;  // empty: https or http and the address of the devices' HTTP port
  } files;

  /// Long work: imports, exports, changes of many devices.
  struct operations_section {
    std::uint64_t max_input_bytes = 256ull * 1024 * 1024;
    std::uint64_t max_open = 20;  // of an organisation, not over yet
    milliseconds retention{std::chrono::hours{24 * 7}};
    std::uint64_t workers = 2;
  } operations;

  /// Configurations of fleets on their way to devices.
  struct configurations_section {
    std::uint64_t devices_per_second = 500;  // that a node brings up to date; 0: as fast as it goes
  } configurations;

  struct threads_section {
    std::uint64_t io = 1;
    std::uint64_t actors = 1;
    std::uint64_t query = 2;
  } threads;

  struct log_section {
    std::string level = "info";
  } log;

  struct cluster_section {
    std::string coordinator = "embedded";  // or etcd: one of many
    std::uint64_t shard_count = 64;        // fixed when the data folder is made
    std::string name = "orrery";
    std::string endpoints;  // of etcd, with commas between
    std::string ca, user, password_file;
    std::uint64_t replication_factor = 2;
    std::uint64_t min_in_sync = 0;          // 0: 2 if the factor is 3, else 1
    std::string durability = "replicated";  // or sync: each replica's disk has it
    std::string zone;                       // what fails together has one name
    std::uint64_t weight = 100;
    std::string advertise_host;  // empty: the listener's, or the machine's name
    std::string link_ca, link_certificate, link_key;
    milliseconds replace_after{std::chrono::minutes{10}};
    std::uint64_t moves_at_once = 4;
    milliseconds grace{std::chrono::seconds{8}};
  } cluster;
};

}  // namespace orrery::config
