#include "cluster/cluster_records.hpp"

#include <charconv>
#include <optional>
#include <utility>

#include "cluster/cluster_keys.hpp"
#include "model/json.hpp"

namespace orrery::cluster {
namespace {

using model::array;
using model::object;
using model::value;

constexpr auto limits =
    model::json_limits{.max_bytes = 64 * 1024, .max_depth = 8, .max_nodes = 4096};
constexpr auto max_number = std::int64_t{0x7fff'ffff'ffff'ffff};
constexpr std::size_t max_text = 1024, max_addresses = 64;

std::int64_t whole(std::uint64_t n) {
  return static_cast<std::int64_t>(n);
}
array ids(const node_set& nodes) {
  auto all = array{};
  for (const auto id : nodes)
    all.emplace_back(whole(id));
  return all;
}
value maybe(std::optional<node_id> id) {
  return id ? value{whole(*id)} : value{};
}

/// The members of one object. It remembers the first that does not fit, so one looks at its end.
class members {
 public:
  members(std::string_view key, std::string_view text) : key_{key} {
    auto parsed = model::parse_json(text, limits);
    if (!parsed)
      wrong(parsed.error().detail);
    else if (!parsed->is_object())
      wrong("is no object");
    else
      all_ = std::move(*parsed);
  }

  bool has(std::string_view name) const { return all_.find(name) != nullptr; }
  std::uint64_t number(std::string_view name, std::int64_t least, std::int64_t most) {
    const auto* v = all_.find(name);
    if (!v || !v->is_int() || v->as_int() < least || v->as_int() > most)
      return wrong(name), 0;
    return static_cast<std::uint64_t>(v->as_int());
  }
  /// One that is not there is 0.
  std::uint64_t number_or(std::string_view name, std::int64_t least, std::int64_t most) {
    return all_.find(name) ? number(name, least, most) : 0;
  }
  std::uint64_t long_number(std::string_view name) {
    const auto t = text(name);
    auto n = std::uint64_t{0};
    const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), n);
    if (error != std::errc{} || end != t.data() + t.size())
      wrong(name);
    return n;
  }
  std::string text(std::string_view name) {
    const auto* v = all_.find(name);
    if (!v || !v->is_string() || v->as_string().size() > max_text)
      return wrong(name), std::string{};
    return v->as_string();
  }
  /// One that is not there is false.
  bool flag(std::string_view name) {
    const auto* v = all_.find(name);
    if (v && !v->is_bool())
      wrong(name);
    return v && v->is_bool() && v->as_bool();
  }
  node_set nodes(std::string_view name) {
    auto found = node_set{};
    const auto* v = all_.find(name);
    if (!v || !v->is_array())
      return wrong(name), found;
    for (const auto& one : v->as_array())
      if (one.is_int() && one.as_int() >= 1 && one.as_int() <= max_node_id)
        found.insert(static_cast<node_id>(one.as_int()));
      else
        wrong(name);
    return found;
  }
  std::optional<node_id> maybe_node(std::string_view name) {
    const auto* v = all_.find(name);
    if (!v || v->is_null())
      return std::nullopt;
    return static_cast<node_id>(number(name, 1, max_node_id));
  }
  std::map<std::string, std::string> texts(std::string_view name) {
    auto found = std::map<std::string, std::string>{};
    const auto* v = all_.find(name);
    if (!v || !v->is_object() || v->as_object().size() > max_addresses)
      return wrong(name), found;
    for (const auto& [of, one] : v->as_object())
      if (one.is_string() && one.as_string().size() <= max_text && of.size() <= max_text)
        found[of] = one.as_string();
      else
        wrong(name);
    return found;
  }

  std::map<node_id, std::uint64_t> processes(std::string_view name) {
    auto found = std::map<node_id, std::uint64_t>{};
    const auto* v = all_.find(name);
    if (!v || !v->is_object())
      return wrong(name), found;
    for (const auto& [of, one] : v->as_object()) {
      auto id = node_id{0};
      auto process = std::uint64_t{0};
      const auto read = [](std::string_view t, auto& n) {
        const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), n);
        return error == std::errc{} && end == t.data() + t.size();
      };
      if (read(of, id) && id >= 1 && id <= max_node_id && one.is_string() &&
          read(one.as_string(), process))
        found[id] = process;
      else
        wrong(name);
    }
    return found;
  }

  void wrong(std::string_view what) {
    if (!wrong_)
      wrong_ = std::string{what};
  }
  template <class T>
  model::result<T> give(T read) const {
    if (wrong_)
      return model::failure{model::errc::corrupted, "value_malformed",
                            std::string{key_} + " cannot be read: " + *wrong_};
    return read;
  }

 private:
  std::string_view key_;
  value all_;
  std::optional<std::string> wrong_;
};

}  // namespace

std::string encode(const cluster_about& about) {
  auto o = object{{"format", whole(about.format)},
                  {"shards", whole(about.shards)},
                  {"made", model::to_ms(about.made)},
                  {"keyCheck", about.key_check}};
  if (about.found_again)
    o.emplace_back("foundAgain", true);
  return model::to_json(o);
}

model::result<cluster_about> decode_about(std::string_view key, std::string_view text) {
  auto in = members{key, text};
  auto read = cluster_about{};
  read.format = static_cast<std::uint32_t>(in.number("format", 1, 1'000'000));
  read.shards = static_cast<std::uint16_t>(in.number("shards", 1, model::catalogue_shard));
  read.made = model::from_ms(whole(in.number("made", 0, max_number)));
  read.key_check = in.text("keyCheck");
  read.found_again = in.flag("foundAgain");
  return in.give(std::move(read));
}

std::string encode(const node_info& info) {
  auto addresses = object{};
  for (const auto& [of, address] : info.addresses)
    addresses.emplace_back(of, address);
  return model::to_json(object{{"name", info.name},
                               {"linkHost", info.link_host},
                               {"linkPort", whole(info.link_port)},
                               {"incarnation", std::to_string(info.incarnation)},
                               {"bootId", info.boot_id},
                               {"version", info.version},
                               {"zone", info.zone},
                               {"weight", whole(info.weight)},
                               {"draining", info.draining},
                               {"addresses", std::move(addresses)}});
}

model::result<node_info> decode_node(std::string_view key, std::string_view text) {
  auto in = members{key, text};
  auto read = node_info{};
  read.name = in.text("name");
  if (!is_valid_node_name(read.name))
    in.wrong("name");
  read.link_host = in.text("linkHost");
  read.link_port = static_cast<std::uint16_t>(in.number("linkPort", 0, 65'535));
  read.incarnation = in.long_number("incarnation");
  read.boot_id = in.text("bootId");
  read.version = in.text("version");
  read.zone = in.text("zone");
  read.weight = static_cast<std::uint32_t>(in.number("weight", 1, 10'000));
  read.draining = in.flag("draining");
  read.addresses = in.texts("addresses");
  return in.give(std::move(read));
}

std::string encode(const shard_record& record) {
  auto o = object{{"epoch", whole(record.epoch)},
                  {"primary", maybe(record.primary)},
                  {"inSync", ids(record.in_sync)},
                  {"replicas", ids(record.replicas)},
                  {"preferred", maybe(record.preferred)}};
  if (record.recovered != 0)
    o.emplace_back("recovered", whole(record.recovered));
  return model::to_json(o);
}

model::result<shard_record> decode_shard(std::string_view key, std::string_view text,
                                         std::uint64_t version) {
  auto in = members{key, text};
  auto read = shard_record{.version = version,
                           .epoch = in.number("epoch", 1, max_number),
                           .primary = in.maybe_node("primary"),
                           .in_sync = in.nodes("inSync"),
                           .replicas = in.nodes("replicas"),
                           .preferred = in.maybe_node("preferred")};
  read.recovered = in.number_or("recovered", 0, max_number);
  if (read.in_sync.empty() && read.primary)
    in.wrong("inSync");  // then nobody would have what was acknowledged
  return in.give(std::move(read));
}

std::string encode(const offered_copy& copy) {
  return model::to_json(object{{"version", std::to_string(copy.version)},
                               {"epoch", whole(copy.end.epoch)},
                               {"index", whole(copy.end.index)}});
}

model::result<offered_copy> decode_copy(std::string_view key, std::string_view text) {
  auto in = members{key, text};
  auto read = offered_copy{};
  read.version = in.long_number("version");
  read.end.epoch = in.number("epoch", 0, max_number);
  read.end.index = in.number("index", 0, max_number);
  return in.give(read);
}

std::string encode(node_order order) {
  return model::to_json(object{{order == node_order::drain ? "drain" : "remove", true}});
}

model::result<node_order> decode_order(std::string_view key, std::string_view text) {
  auto in = members{key, text};
  const auto drain = in.flag("drain"), remove = in.flag("remove");
  if (!drain && !remove)
    in.wrong("says neither drain nor remove");
  return in.give(remove ? node_order::remove : node_order::drain);
}

std::string encode(const backup_order& order) {
  auto nodes = object{};
  for (const auto& [id, process] : order.nodes)
    nodes.emplace_back(std::to_string(id), std::to_string(process));
  return model::to_json(object{{"at", model::to_ms(order.at)},
                               {"by", order.by},
                               {"nodes", std::move(nodes)},
                               {"absent", ids(order.absent)}});
}

model::result<backup_order> decode_backup_order(std::string_view key, std::string_view text) {
  auto in = members{key, text};
  auto read = backup_order{};
  read.at = model::from_ms(whole(in.number("at", 0, max_number)));
  read.by = in.text("by");
  read.nodes = in.processes("nodes");
  read.absent = in.nodes("absent");
  return in.give(std::move(read));
}

std::string encode(const backup_part& part) {
  auto o = object{{"at", model::to_ms(part.at)}, {"ms", std::int64_t{part.took.count()}}};
  if (part.reason.empty()) {
    o.emplace_back("bytes", whole(part.bytes));
  } else {
    o.emplace_back("reason", part.reason);
    o.emplace_back("detail", part.detail.substr(0, max_text));
  }
  return model::to_json(o);
}

model::result<backup_part> decode_backup_part(std::string_view key, std::string_view text) {
  auto in = members{key, text};
  auto read = backup_part{};
  read.at = model::from_ms(whole(in.number("at", 0, max_number)));
  read.took = std::chrono::milliseconds{in.number("ms", 0, max_number)};
  if (in.has("bytes")) {
    read.bytes = in.number("bytes", 0, max_number);
  } else {
    read.reason = in.text("reason");
    read.detail = in.text("detail");
    if (read.reason.empty())
      in.wrong("reason");
  }
  return in.give(std::move(read));
}

std::string encode_number(node_id id) {
  return std::to_string(id);
}

model::result<node_id> decode_number(std::string_view key, std::string_view text) {
  auto id = node_id{0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size() || id < 1 || id > max_node_id)
    return model::failure{model::errc::corrupted, "value_malformed",
                          std::string{key} + " cannot be read: it is no number of a node"};
  return id;
}

}  // namespace orrery::cluster
