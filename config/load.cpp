#include "config/load.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <memory>
#include <optional>

#include <yaml-cpp/yaml.h>

namespace orrery::config {
namespace {

/// One key: where its value lives, how it is read and shown, and what it is for.
struct key {
  std::string name;  // "section.key" or "listeners.mqtt.port"
  std::string help;
  std::function<std::optional<std::string>(settings&, const std::string&)> read;  // what is wrong
  std::function<std::string(const settings&)> show;
};

std::optional<std::uint64_t> scaled(
    const std::string& text, std::initializer_list<std::pair<const char*, std::uint64_t>> units) {
  auto n = std::uint64_t{0};
  const auto* end = text.data() + text.size();
  const auto [ptr, error] = std::from_chars(text.data(), end, n);
  if (error != std::errc{} || ptr == text.data())
    return std::nullopt;
  auto unit = std::string{ptr, end};
  unit.erase(0, unit.find_first_not_of(' ') == std::string::npos ? unit.size()
                                                                 : unit.find_first_not_of(' '));
  for (const auto& [name, factor] : units)
    if (unit == name)
      return n > UINT64_MAX / factor ? std::nullopt : std::optional{n * factor};
  return std::nullopt;
}

std::optional<std::uint64_t> size_in(const std::string& text) {
  return scaled(
      text,
      {{"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024ull * 1024 * 1024}});
}
std::optional<std::uint64_t> ms_in(const std::string& text) {
  return scaled(text,
                {{"ms", 1}, {"s", 1000}, {"min", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}});
}
std::string show_ms(milliseconds d) {
  const auto n = d.count();
  if (n % 86'400'000 == 0)
    return std::to_string(n / 86'400'000) + "d";
  if (n % 3'600'000 == 0)
    return std::to_string(n / 3'600'000) + "h";
  if (n % 60'000 == 0)
    return std::to_string(n / 60'000) + "min";
  return n % 1000 == 0 ? std::to_string(n / 1000) + "s" : std::to_string(n) + "ms";
}
std::string show_size(std::uint64_t n) {
  if (n != 0 && n % (1024ull * 1024 * 1024) == 0)
    return std::to_string(n / (1024ull * 1024 * 1024)) + "GiB";
  if (n != 0 && n % (1024 * 1024) == 0)
    return std::to_string(n / (1024 * 1024)) + "MiB";
  return n != 0 && n % 1024 == 0 ? std::to_string(n / 1024) + "KiB" : std::to_string(n);
}

template <class Get>
key text_key(std::string name, std::string help, Get get, std::vector<std::string> choices = {}) {
  return {std::move(name), std::move(help),
          [get, choices](settings& s, const std::string& v) -> std::optional<std::string> {
            if (!choices.empty() && std::find(choices.begin(), choices.end(), v) == choices.end()) {
              auto all = std::string{};
              for (const auto& c : choices)
                all += (all.empty() ? "" : ", ") + c;
              return "expected one of " + all;
            }
            get(s) = v;
            return std::nullopt;
          },
          [get](const settings& s) { return "\"" + get(const_cast<settings&>(s)) + "\""; }};
}
template <class Get>
key truth_key(std::string name, std::string help, Get get) {
  return {std::move(name), std::move(help),
          [get](settings& s, const std::string& v) -> std::optional<std::string> {
            if (v != "true" && v != "false")
              return "expected true or false";
            get(s) = v == "true";
            return std::nullopt;
          },
          [get](const settings& s) { return get(const_cast<settings&>(s)) ? "true" : "false"; }};
}
template <class Get>
key number_key(std::string name, std::string help, std::uint64_t least, std::uint64_t most,
               Get get) {
  return {std::move(name), std::move(help),
          [get, least, most](settings& s, const std::string& v) -> std::optional<std::string> {
            const auto n = scaled(v, {{"", 1}});
            if (!n || *n < least || *n > most)
              return "expected a whole number from " + std::to_string(least) + " to " +
                     std::to_string(most);
            get(s) = static_cast<std::remove_reference_t<decltype(get(s))>>(*n);
            return std::nullopt;
          },
          [get](const settings& s) { return std::to_string(get(const_cast<settings&>(s))); }};
}
template <class Get>
key size_key(std::string name, std::string help, std::uint64_t least, Get get) {
  return {std::move(name), std::move(help),
          [get, least](settings& s, const std::string& v) -> std::optional<std::string> {
            const auto n = size_in(v);
            if (!n || *n < least)
              return "expected a size of at least " + show_size(least) + ", such as 32MiB";
            get(s) = *n;
            return std::nullopt;
          },
          [get](const settings& s) { return show_size(get(const_cast<settings&>(s))); }};
}
template <class Get>
key time_key(std::string name, std::string help, milliseconds least, Get get) {
  return {std::move(name), std::move(help),
          [get, least](settings& s, const std::string& v) -> std::optional<std::string> {
            const auto n = ms_in(v);
            if (!n || milliseconds{*n} < least)
              return "expected a duration of at least " + show_ms(least) +
                     ", such as 30s, 5min, 72h or 30d";
            get(s) = milliseconds{*n};
            return std::nullopt;
          },
          [get](const settings& s) { return show_ms(get(const_cast<settings&>(s))); }};
}

// NOLINTBEGIN(bugprone-macro-parentheses): the reference is taken for an operator
#define ORRERY_AT(member)     \
  [](settings & s) -> auto& { \
    return s.member;          \
  }
// NOLINTEND(bugprone-macro-parentheses)

std::vector<key> make_table() {
  using std::chrono::seconds;
  auto t = std::vector<key>{
      text_key("node.name", "the node's name in logs and replies", ORRERY_AT(node.name)),
      text_key("node.data", "folder of everything that lasts", ORRERY_AT(node.data)),
      text_key("node.master_key",
               "file with the key that secrets are sealed with, one for all nodes; empty: "
               "<data>/master.key",
               ORRERY_AT(node.master_key)),
  };
  const auto port = [&](const std::string& name, const std::string& help, auto get) {
    const auto prefix = "listeners." + name + ".";
    t.push_back(truth_key(
        prefix + "enabled", help, [get](settings & s) -> auto& { return get(s).enabled; }));
    t.push_back(text_key(
        prefix + "host",
        "address it binds to", [get](settings & s) -> auto& { return get(s).host; }));
    t.push_back(number_key(
        prefix + "port", "0: any free one", 0,
        65535, [get](settings & s) -> auto& { return get(s).port; }));
    if (name != "admin" && name != "link")
      t.push_back(text_key(
          prefix + "proxy_protocol", "required: connections come from a proxy that says for whom",
          [get](settings & s) -> auto& { return get(s).proxy_protocol; }, {"off", "required"}));
  };
  port("mqtt", "MQTT 3.1.1, plain", ORRERY_AT(listeners.mqtt));
  port("mqtts", "MQTT 3.1.1 over TLS", ORRERY_AT(listeners.mqtts));
  port("api", "REST API and stream, plain", ORRERY_AT(listeners.api));
  port("apis", "REST API and stream over TLS", ORRERY_AT(listeners.apis));
  port("http", "MQTT over WebSocket at /mqtt, plain", ORRERY_AT(listeners.http));
  port("https", "MQTT over WebSocket at /mqtt, over TLS", ORRERY_AT(listeners.https));
  port("admin", "/healthz /readyz /metrics", ORRERY_AT(listeners.admin));
  port("link", "other nodes, mutual TLS; opened in a cluster alone", ORRERY_AT(listeners.link));
  auto rest = std::vector<key>{
      text_key(
          "listeners.proxy_from",
          "addresses or networks of proxies, with commas between: others get no connection where "
          "proxy_protocol is required",
          ORRERY_AT(listeners.proxy_from)),
      number_key("listeners.max_connections", "per listener", 1, 1'000'000,
                 ORRERY_AT(listeners.max_connections)),
      number_key("listeners.max_half_open", "connected and not logged in, both MQTT ports together",
                 1, 1'000'000, ORRERY_AT(listeners.max_half_open)),
      time_key("listeners.login_timeout", "until the login must be complete", milliseconds{100},
               ORRERY_AT(listeners.login_timeout)),
      text_key("listeners.public_address",
               "where devices reach this node, as host or host:port: told to those that have to "
               "leave another one",
               ORRERY_AT(listeners.public_address)),
      truth_key("listeners.plain_activation",
                "hand out device secrets without TLS on other addresses than loopback too",
                ORRERY_AT(listeners.plain_activation)),
      text_key("tls.certificate", "PEM file; empty: made under <data>/pki",
               ORRERY_AT(tls.certificate)),
      text_key("tls.key", "PEM file", ORRERY_AT(tls.key)),
      text_key("tls.certificate_rsa", "PEM file, beside one with an ECDSA key",
               ORRERY_AT(tls.certificate_rsa)),
      text_key("tls.key_rsa", "PEM file", ORRERY_AT(tls.key_rsa)),
      text_key("tls.by_name",
               "folder of NAME.pem and NAME.key, each shown to who asks for a DNS name in it",
               ORRERY_AT(tls.by_name)),
      text_key("tls.client_authorities",
               "PEM file: who may sign certificates of devices, beside those of the catalogue",
               ORRERY_AT(tls.client_authorities)),
      text_key("tls.client_revocations", "PEM file: revocation lists of these",
               ORRERY_AT(tls.client_revocations)),
      truth_key("tls.cbc_suites", "also AES-CBC with SHA-2, for devices that know no AES-GCM",
                ORRERY_AT(tls.cbc_suites)),
      truth_key("tls.rsa_key_exchange",
                "also RSA key exchange with AES-CBC, for devices that know no elliptic curves",
                ORRERY_AT(tls.rsa_key_exchange)),
      truth_key("tls.resumption", "devices that come back within a day shake hands in short",
                ORRERY_AT(tls.resumption)),
      text_key("storage.durability", "sync: fsync per group; os: survives kill -9, not power loss",
               ORRERY_AT(storage.durability), {"sync", "os"}),
      time_key("storage.journal_retention", "how long journal records are kept", seconds{1},
               ORRERY_AT(storage.journal_retention)),
      size_key("storage.journal_max_bytes",
               "journal on disk; beyond it the oldest records go before their time",
               64 * 1024 * 1024, ORRERY_AT(storage.journal_max_bytes)),
      time_key("storage.sample_retention", "how long history is kept", std::chrono::hours{1},
               ORRERY_AT(storage.sample_retention)),
      size_key("storage.checkpoint_bytes",
               "journal behind the checkpoint of a node: bounds the replay at start", 1024 * 1024,
               ORRERY_AT(storage.checkpoint_bytes)),
      time_key("storage.checkpoint_interval", "latest time between checkpoints", seconds{1},
               ORRERY_AT(storage.checkpoint_interval)),
      size_key("storage.queue_max_bytes", "waiting for the journal; above it sockets are not read",
               1024 * 1024, ORRERY_AT(storage.queue_max_bytes)),
      size_key("storage.block_cache_bytes", "cache of the database", 8 * 1024 * 1024,
               ORRERY_AT(storage.block_cache_bytes)),
      size_key("storage.write_buffer_bytes", "memtables of the database together", 16 * 1024 * 1024,
               ORRERY_AT(storage.write_buffer_bytes)),
      text_key("backup.directory",
               "holds a folder of backups for each node, under its name; empty: none are made",
               ORRERY_AT(backup.directory)),
      number_key("backup.keep", "backups that are kept, the newest", 1, 1000,
                 ORRERY_AT(backup.keep)),
      size_key("backup.bytes_per_second", "written at most by a backup; 0: as fast as it goes", 0,
               ORRERY_AT(backup.bytes_per_second)),
      time_key("entities.idle_timeout", "an entity not asked that long leaves memory",
               milliseconds{100}, ORRERY_AT(entities.idle_timeout)),
      number_key("entities.max_awake",
                 "entities in memory; beyond it those that were not asked the longest leave it",
                 1'000, 100'000'000, ORRERY_AT(entities.max_awake)),
      size_key("mqtt.max_packet_bytes", "larger packets end their connection", 1024,
               ORRERY_AT(mqtt.max_packet_bytes)),
      number_key("mqtt.max_subscriptions", "per connection", 1, 100'000,
                 ORRERY_AT(mqtt.max_subscriptions)),
      number_key(
          "mqtt.max_unsettled",
          "publishes taken and not answered, per connection; above it its socket is not read", 1,
          100'000, ORRERY_AT(mqtt.max_unsettled)),
      number_key("mqtt.max_queued", "downstream messages waiting, per connection", 1, 100'000,
                 ORRERY_AT(mqtt.max_queued)),
      time_key("mqtt.answer_timeout", "a publish not settled by then is answered as failed",
               seconds{1}, ORRERY_AT(mqtt.answer_timeout)),
      time_key("mqtt.max_keep_alive",
               "longest keep-alive of a client of MQTT 5.0, at most 18h; 0: as it asks",
               milliseconds{0}, ORRERY_AT(mqtt.max_keep_alive)),
      time_key("mqtt.max_session_expiry",
               "longest time that a session is kept without a connection; 0: without end",
               milliseconds{0}, ORRERY_AT(mqtt.max_session_expiry)),
      truth_key("mqtt.unbind_online",
                "a gateway may unbind a sub-device that is logged in: it is logged out",
                ORRERY_AT(mqtt.unbind_online)),
      truth_key("mqtt.virtual_gateway",
                "for tests: an organisation's own gateway, which needs no secret",
                ORRERY_AT(mqtt.virtual_gateway)),
      time_key("mqtt.statistics_interval",
               "how often figures of general topics are published on $SYS/ topics; 0: never",
               milliseconds{0}, ORRERY_AT(mqtt.statistics_interval)),
      text_key("mqtt.open_broker",
               "for tests: the organisation whose general topics anybody may use, without a "
               "password; empty: none",
               ORRERY_AT(mqtt.open_broker)),
      number_key("drain.sessions_per_second",
                 "devices that a node which is emptied sends to other nodes; 0: they stay", 0,
                 1'000'000, ORRERY_AT(drain.sessions_per_second)),
      number_key("login.port_rate",
                 "logins a second of all ports without TLS together, and as many of those with", 1,
                 1'000'000, ORRERY_AT(login.port_rate)),
      number_key("login.port_burst", "so many at once before that rate holds", 1, 10'000'000,
                 ORRERY_AT(login.port_burst)),
      number_key("login.address_rate", "logins a second from one address", 1, 1'000'000,
                 ORRERY_AT(login.address_rate)),
      number_key("login.address_burst", "so many at once before that rate holds", 1, 10'000'000,
                 ORRERY_AT(login.address_burst)),
      time_key("login.failure_window", "failed signatures within that time count together",
               milliseconds{1}, ORRERY_AT(login.failure_window)),
      number_key("login.device_failures", "wrong signatures for one device until it is kept out", 1,
                 1'000'000, ORRERY_AT(login.device_failures)),
      time_key("login.device_ban", "so long the first time, twice as long each time",
               milliseconds{1}, ORRERY_AT(login.device_ban)),
      time_key("login.device_ban_max", "and at most so long", milliseconds{1},
               ORRERY_AT(login.device_ban_max)),
      number_key("login.address_failures",
                 "wrong signatures and unknown devices from one address until it is kept out", 1,
                 1'000'000, ORRERY_AT(login.address_failures)),
      time_key("login.address_ban", "so long", milliseconds{1}, ORRERY_AT(login.address_ban)),
      number_key("login.flapping_logins",
                 "logins of one device within the next until it is kept out", 1, 1'000'000,
                 ORRERY_AT(login.flapping_logins)),
      time_key("login.flapping_window", "that time", milliseconds{1},
               ORRERY_AT(login.flapping_window)),
      time_key("login.flapping_ban", "so long", milliseconds{1}, ORRERY_AT(login.flapping_ban)),
      number_key("login.max_tracked",
                 "devices, pairs of device and address, and addresses that are remembered, of each",
                 1, 10'000'000, ORRERY_AT(login.max_tracked)),
      size_key("api.max_body_bytes", "largest request body", 1024, ORRERY_AT(api.max_body_bytes)),
      time_key("api.access_ttl", "life of an access token", seconds{1}, ORRERY_AT(api.access_ttl)),
      time_key("api.refresh_ttl", "life of a refresh token", seconds{1},
               ORRERY_AT(api.refresh_ttl)),
      number_key("api.max_login_failures", "bad passwords until the login is locked", 1, 1000,
                 ORRERY_AT(api.max_login_failures)),
      time_key("api.ask_timeout", "longest wait for an entity", milliseconds{100},
               ORRERY_AT(api.ask_timeout)),
      number_key("api.max_connections", "per listener", 1, 100'000, ORRERY_AT(api.max_connections)),
      text_key("identity.ca",
               "PEM file of authorities that identity providers are trusted by, beside those of "
               "the system",
               ORRERY_AT(identity.ca)),
      truth_key("identity.private_addresses",
                "identity providers may be at addresses that are not public, this machine's too",
                ORRERY_AT(identity.private_addresses)),
      time_key("identity.timeout", "of each question to an identity provider", milliseconds{100},
               ORRERY_AT(identity.timeout)),
      time_key("audit.retention", "age at which records of the audit log go",
               std::chrono::hours{24}, ORRERY_AT(audit.retention)),
      size_key("audit.max_bytes", "of each organisation's audit log; beyond it the oldest go early",
               1024 * 1024, ORRERY_AT(audit.max_bytes)),
      number_key("stream.max_queued",
                 "items per subscription, then the oldest go and a gap is told", 1, 10'000'000,
                 ORRERY_AT(stream.max_queued)),
      number_key("stream.max_subscriptions", "per socket", 1, 10'000,
                 ORRERY_AT(stream.max_subscriptions)),
      size_key("stream.max_pending_bytes", "sent to a socket and not taken by it", 1024,
               ORRERY_AT(stream.max_pending_bytes)),
      number_key("commands.max_queued", "commands waiting per device", 1, 10'000,
                 ORRERY_AT(commands.max_queued)),
      size_key("files.max_file_bytes", "largest file of a device", 1024,
               ORRERY_AT(files.max_file_bytes)),
      number_key("files.max_files", "files per device", 1, 1000, ORRERY_AT(files.max_files)),
      size_key("files.max_bytes", "files of a device together", 1024, ORRERY_AT(files.max_bytes)),
      time_key("files.link_lifetime", "so long a link to a file is good", seconds{1},
               ORRERY_AT(files.link_lifetime)),
      text_key("files.public_url",
               "where links lead, such as https://iot.example.com:8443; empty: to this node's port "
               "of devices",
               ORRERY_AT(files.public_url)),
      size_key("operations.max_input_bytes", "largest file of an import", 1024,
               ORRERY_AT(operations.max_input_bytes)),
      number_key("operations.max_open", "operations of an organisation that are not over", 1,
                 10'000, ORRERY_AT(operations.max_open)),
      time_key("operations.retention", "so long an operation and its result stay after its end",
               seconds{1}, ORRERY_AT(operations.retention)),
      number_key("operations.workers", "operations that a node works on at a time", 1, 64,
                 ORRERY_AT(operations.workers)),
      number_key("configurations.devices_per_second",
                 "devices that a node brings up to date with configurations; 0: as fast as it goes",
                 0, 1'000'000, ORRERY_AT(configurations.devices_per_second)),
      number_key("threads.io", "threads of the sockets", 1, 64, ORRERY_AT(threads.io)),
      number_key("threads.actors", "threads of the actors", 1, 64, ORRERY_AT(threads.actors)),
      number_key("threads.query", "threads of reads from the store", 1, 64,
                 ORRERY_AT(threads.query)),
      text_key("log.level", "debug, info, warn, error or off", ORRERY_AT(log.level),
               {"debug", "info", "warn", "error", "off"}),
      text_key("cluster.coordinator", "embedded: one node; etcd: one of many",
               ORRERY_AT(cluster.coordinator), {"embedded", "etcd"}),
      number_key("cluster.shard_count", "fixed when the data folder is made", 1, 4096,
                 ORRERY_AT(cluster.shard_count)),
      text_key("cluster.name", "of the cluster, in the keys at its coordinator",
               ORRERY_AT(cluster.name)),
      text_key("cluster.endpoints", "of etcd: http://host:2379,... or https://",
               ORRERY_AT(cluster.endpoints)),
      text_key("cluster.ca", "PEM file, for https; empty: the system's authorities",
               ORRERY_AT(cluster.ca)),
      text_key("cluster.user", "of etcd; empty: it asks for none", ORRERY_AT(cluster.user)),
      text_key("cluster.password_file", "holds the user's password",
               ORRERY_AT(cluster.password_file)),
      number_key("cluster.replication_factor", "nodes that hold each shard", 1, 3,
                 ORRERY_AT(cluster.replication_factor)),
      number_key("cluster.min_in_sync",
                 "with fewer replicas in sync nothing is written; 0: 2 if the factor is 3, else 1",
                 0, 3, ORRERY_AT(cluster.min_in_sync)),
      text_key("cluster.durability",
               "replicated: acknowledged once all in-sync replicas have it; sync: on their disks",
               ORRERY_AT(cluster.durability), {"replicated", "sync"}),
      text_key("cluster.zone", "what fails together has one name: replicas are kept apart",
               ORRERY_AT(cluster.zone)),
      number_key("cluster.weight", "share of the shards, relative to other nodes'", 1, 10'000,
                 ORRERY_AT(cluster.weight)),
      text_key("cluster.advertise_host",
               "where others reach this node; empty: the listener's address, or the machine's name",
               ORRERY_AT(cluster.advertise_host)),
      text_key("cluster.link_ca", "PEM file: who may be a node of the cluster",
               ORRERY_AT(cluster.link_ca)),
      text_key("cluster.link_certificate", "PEM file, with node.name as a DNS name",
               ORRERY_AT(cluster.link_certificate)),
      text_key("cluster.link_key", "PEM file", ORRERY_AT(cluster.link_key)),
      time_key("cluster.replace_after", "a node absent for so long is replaced by others",
               seconds{1}, ORRERY_AT(cluster.replace_after)),
      number_key("cluster.moves_at_once", "shards that are copied for balance", 1, 1000,
                 ORRERY_AT(cluster.moves_at_once)),
      time_key("cluster.grace", "so long a question waits for a node that serves its shard",
               milliseconds{100}, ORRERY_AT(cluster.grace)),
  };
  std::move(rest.begin(), rest.end(), std::back_inserter(t));
  return t;
}

const std::vector<key>& table() {
  static const auto t = make_table();
  return t;
}

std::size_t distance(const std::string& a, const std::string& b) {
  auto row = std::vector<std::size_t>(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string hint(const std::string& name) {
  const auto& t = table();
  const auto nearest = std::min_element(t.begin(), t.end(), [&](const key& a, const key& b) {
    return distance(name, a.name) < distance(name, b.name);
  });
  return "unknown setting " + name + "; did you mean " + nearest->name + "?";
}

class loader {
 public:
  void set(const std::string& where, const std::string& name, const std::string& text) {
    for (const auto& k : table())
      if (k.name == name) {
        if (const auto wrong = k.read(made, text))
          note(where, name + ": " + *wrong + ", got \"" + text + "\"");
        return;
      }
    note(where, hint(name));
  }

  void read_file(const std::string& path) {
    try {
      const auto root = YAML::LoadFile(path);
      if (!root.IsNull())
        walk(path, "", root);
    } catch (const YAML::BadFile&) {
      note(path, "the file cannot be read");
    } catch (const YAML::ParserException& e) {
      note(path + ":" + std::to_string(e.mark.line + 1), "not YAML: " + e.msg);
    }
  }

  void check() {
    if (made.tls.certificate.empty() != made.tls.key.empty())
      note("settings", "tls.certificate and tls.key go together: give both or none");
    if (made.tls.certificate_rsa.empty() != made.tls.key_rsa.empty())
      note("settings", "tls.certificate_rsa and tls.key_rsa go together: give both or none");
    if (made.tls.certificate.empty() && !made.tls.certificate_rsa.empty())
      note("settings",
           "tls.certificate_rsa goes beside tls.certificate: a single certificate, of any kind, is "
           "tls.certificate");
    if (made.tls.client_authorities.empty() && !made.tls.client_revocations.empty())
      note("settings", "tls.client_revocations: whose? Give tls.client_authorities too");
    if (!made.listeners.api.enabled && !made.listeners.apis.enabled)
      note("settings",
           "listeners.api or listeners.apis must be enabled: without them nobody can manage the "
           "node");
    if (made.storage.journal_max_bytes < 2 * made.storage.checkpoint_bytes)
      note("settings",
           "storage.journal_max_bytes must be at least twice storage.checkpoint_bytes: what no "
           "checkpoint has stored cannot go");
    check_proxies();
    if (const auto& at = made.listeners.public_address;
        at.size() > 255 ||
        std::any_of(at.begin(), at.end(), [](char c) { return c <= ' ' || c > '~'; }))
      note("settings", "listeners.public_address: expected host or host:port");
    check_backup();
    check_cluster();
    if (!problems.empty())
      throw bad_settings{problems};
  }

  settings made;
  std::string problems;

 private:
  void check_proxies() {
    auto& l = made.listeners;
    for (auto* one : {&l.mqtt, &l.mqtts, &l.api, &l.apis, &l.http, &l.https}) {
      one->proxy_from = l.proxy_from;
      if (one->proxy_protocol == "required" && l.proxy_from.empty())
        return note("settings",
                    "listeners.proxy_from: whom may proxy_protocol believe? Give the addresses of "
                    "the proxies");
    }
  }

  void check_backup() {
    if (made.backup.directory.empty())
      return;
    if (made.backup.directory.front() != '/')
      note("settings", "backup.directory must be absolute: it begins with /");
    const auto& name = made.node.name;
    if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..")
      note("settings",
           "node.name is the name of a folder in backup.directory: no / in it, and not . or ..");
  }

  void check_cluster() {
    const auto& c = made.cluster;
    if (c.min_in_sync > c.replication_factor)
      note("settings",
           "cluster.min_in_sync is more than cluster.replication_factor: nothing could be written");
    if (c.coordinator != "etcd")
      return;
    if (c.endpoints.empty())
      note("settings", "cluster.endpoints: with etcd as coordinator give its addresses");
    if (c.link_ca.empty() || c.link_certificate.empty() || c.link_key.empty())
      note("settings",
           "cluster.link_ca, cluster.link_certificate and cluster.link_key are needed in a "
           "cluster: nodes prove to each other who they are");
    if (!made.listeners.link.enabled)
      note("settings", "listeners.link must be enabled in a cluster");
  }

  void note(const std::string& where, const std::string& what) {
    problems += where + ": " + what + "\n";
  }

  void walk(const std::string& path, const std::string& prefix, const YAML::Node& node) {
    const auto where = path + ":" + std::to_string(node.Mark().line + 1);
    if (node.IsMap()) {
      for (const auto& item : node)
        walk(path,
             prefix.empty() ? item.first.as<std::string>()
                            : prefix + "." + item.first.as<std::string>(),
             item.second);
    } else if (node.IsScalar()) {
      set(where, prefix, node.as<std::string>());
    } else if (!node.IsNull()) {
      note(where, prefix + ": expected one value, not a list");
    }
  }
};

/// ORRERY_STORAGE__CHECKPOINT_BYTES -> storage.checkpoint_bytes
std::string setting_of(const std::string& variable) {
  auto name = std::string{};
  for (std::size_t i = 7; i < variable.size(); ++i)
    if (variable.compare(i, 2, "__") == 0) {
      name += '.';
      ++i;
    } else {
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(variable[i])));
    }
  return name;
}

}  // namespace

settings load(const sources& from) {
  auto l = loader{};
  if (!from.file.empty())
    l.read_file(from.file);
  for (const auto& [variable, text] : from.environment)
    if (variable.starts_with("ORRERY_") && variable.find("__") != std::string::npos)
      l.set("environment " + variable, setting_of(variable), text);
  for (const auto& assignment : from.set) {
    const auto at = assignment.find('=');
    if (at == std::string::npos)
      l.set("--set " + assignment, assignment, "");
    else
      l.set("--set " + assignment, assignment.substr(0, at), assignment.substr(at + 1));
  }
  l.check();
  return std::move(l.made);
}

std::string print(const settings& s) {
  auto out = std::string{};
  auto open = std::vector<std::string>{};
  for (const auto& k : table()) {
    auto parts = std::vector<std::string>{};
    for (std::size_t from = 0; from <= k.name.size();) {
      const auto to = std::min(k.name.find('.', from), k.name.size());
      parts.push_back(k.name.substr(from, to - from));
      from = to + 1;
    }
    auto same = std::size_t{0};
    while (same + 1 < parts.size() && same < open.size() && open[same] == parts[same])
      ++same;
    open.resize(same);
    for (auto i = same; i + 1 < parts.size(); ++i) {
      out += std::string(2 * i, ' ') + parts[i] + ":\n";
      open.push_back(parts[i]);
    }
    out += std::string(2 * (parts.size() - 1), ' ') + parts.back() + ": " + k.show(s) + "  # " +
           k.help + "\n";
  }
  return out;
}

}  // namespace orrery::config
