#include "app/cli/session.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <sys/stat.h>

#include <yaml-cpp/yaml.h>

#include "app/cli/browser_login.hpp"

namespace orrery::app::cli {

namespace fs = std::filesystem;

namespace {

std::string environment(const char* name) {
  const auto* text = std::getenv(name);
  return text ? text : "";
}

fs::path profile_path(const std::string& profile) {
  const auto base = environment("XDG_CONFIG_HOME");
  return (base.empty() ? fs::path{environment("HOME")} / ".config" : fs::path{base}) / "orrery" /
         (profile + ".json");
}

std::string explain(int status, const std::string& body) {
  const auto problem = json::parse(body, nullptr, false);
  if (!problem.is_object())
    return "the server answered " + std::to_string(status);
  auto text = problem.value("detail", problem.value("title", "")) + " (" +
              problem.value("code", "") + ", " + std::to_string(status) + ")";
  for (const auto& e : problem.value("errors", json::array()))
    text += "\n  " + e.value("pointer", "") + ": " + e.value("detail", "");
  if (status == 401)
    text += "\n  log in with `orrery login`, or give --api-key";
  return text;
}

std::string text_of(const json& v) {
  if (v.is_null())
    return "-";
  return v.is_string() ? v.get<std::string>() : v.dump();
}

/// YAML in which every text reads back as a text, and every number as a number.
void write_yaml(YAML::Emitter& out, const json& v) {
  if (v.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [name, member] : v.items()) {
      out << YAML::Key << name << YAML::Value;
      write_yaml(out, member);
    }
    out << YAML::EndMap;
  } else if (v.is_array()) {
    out << YAML::BeginSeq;
    for (const auto& item : v)
      write_yaml(out, item);
    out << YAML::EndSeq;
  } else if (v.is_string()) {
    out << YAML::DoubleQuoted << v.get<std::string>();
  } else if (v.is_null()) {
    out << YAML::Null;
  } else {
    out << v.dump();
  }
}

/// Characters of UTF-8 text, for the width of columns.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

CLI::App* command(CLI::App& to, const std::string& name, const std::string& about,
                  const std::string& example) {
  return to.add_subcommand(name, about)->footer("Example: orrery " + example);
}
CLI::App* group(CLI::App& to, const std::string& name, const std::string& about,
                const std::string& example) {
  auto* g = command(to, name, about, example);
  g->require_subcommand(1);
  return g;
}

std::string encoded(const std::string& text) {
  constexpr auto digits = "0123456789ABCDEF";
  auto out = std::string{};
  for (const auto c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.' ||
        c == '~')
      out += c;
    else
      (out += '%') += std::string{digits[static_cast<unsigned char>(c) >> 4],
                                  digits[static_cast<unsigned char>(c) & 15]};
  return out;
}

std::string device_path(const std::string& device) {
  const auto slash = device.find('/');
  return slash == std::string::npos ? "~/devices/" + encoded(device)
                                    : "~/products/" + encoded(device.substr(0, slash)) +
                                          "/devices/" + encoded(device.substr(slash + 1));
}

json read_json(const std::string& text) {
  auto content = text;
  if (text.starts_with('@')) {
    auto in = std::ifstream{text.substr(1)};
    if (!in)
      throw refused{text.substr(1) + " cannot be read"};
    content = {std::istreambuf_iterator<char>{in}, {}};
  }
  auto v = json::parse(content, nullptr, false);
  if (v.is_discarded())
    throw refused{"that is not JSON: " + text.substr(0, 80)};
  return v;
}

net::http_client& session::client() {
  load_profile();
  if (!client_)
    client_ = std::make_unique<net::http_client>(server, ca_file);
  return *client_;
}

void session::load_profile() {
  if (std::exchange(loaded_, true))
    return;
  // Whoever names a profile means its log-in, whatever the environment says.
  if (api_key.empty() && profile.empty())
    api_key = environment("ORRERY_API_KEY");
  if (profile.empty())
    profile = "default";
  if (profile.find('/') != std::string::npos)
    throw refused{"a profile is a name, not a path: " + profile};
  if (api_key.empty())
    if (auto in = std::ifstream{profile_path(profile)})
      kept_ = json::parse(in, nullptr, false);
  if (server.empty())
    server = environment("ORRERY_SERVER");
  if (server.empty() && kept_.is_object())
    server = kept_.value("server", "");
  if (server.empty())
    server = "http://127.0.0.1:8090";
  if (ca_file.empty() && kept_.is_object())
    ca_file = kept_.value("ca", "");
}

/// Tokens are for their owner alone, from the first byte on.
void session::save_profile() const {
  const auto path = profile_path(profile);
  const auto temporary = path.string() + ".new";
  auto failed = std::error_code{};
  fs::create_directories(path.parent_path(), failed);
  fs::remove(temporary, failed);
  const auto old = umask(077);
  {
    auto out = std::ofstream{temporary};
    out << kept_.dump(2) << '\n';
    umask(old);
    if (!out.flush())
      throw refused{path.string() + " cannot be written: the log-in is not kept"};
  }
  fs::rename(temporary, path);
}

void session::keep_tokens(const json& tokens) {
  kept_ = {{"server", server},
           {"ca", ca_file},
           {"access", tokens.at("access")},
           {"refresh", tokens.at("refresh")}};
  save_profile();
}

std::string session::credential() {
  load_profile();
  if (!api_key.empty())
    return api_key;
  return kept_.is_object() ? kept_.value("access", "") : "";
}

bool session::refresh() {
  if (!api_key.empty() || !kept_.is_object() || !kept_.contains("refresh"))
    return false;
  const auto reply =
      client().request("POST", "/api/v1/auth/token", {{"Content-Type", "application/json"}},
                       json{{"refresh", kept_.at("refresh")}}.dump());
  if (reply.status != 200)
    return false;
  keep_tokens(json::parse(reply.body));
  return true;
}

net::http_reply session::exchange(const std::string& method, std::string path,
                                  const std::string& bytes, const std::string& type,
                                  net::http_client::headers more) {
  if (path.starts_with('~'))
    path = "/orgs/-" + path.substr(1);
  path = "/api/v1" + path;
  if (!bytes.empty())
    more.emplace_back("Content-Type", type);
  const auto send = [&] {
    auto headers = more;
    if (const auto text = credential(); !text.empty())
      headers.emplace_back("Authorization", "Bearer " + text);
    return client().request(method, path, headers, bytes);
  };
  auto reply = send();
  if (reply.status == 401 && refresh())
    reply = send();
  if (reply.status >= 300)
    throw refused{explain(reply.status, reply.body)};
  return reply;
}

std::string session::text(const std::string& method, const std::string& path,
                          const std::string& type, const std::string& body) {
  return exchange(method, path, body, type).body;
}

json session::request(const std::string& method, const std::string& path, const json& body,
                      net::http_client::headers more) {
  const auto reply = exchange(method, path, body.is_null() ? "" : body.dump(), "application/json",
                              std::move(more));
  auto value = reply.body.empty() ? json{} : json::parse(reply.body);
  if (value.is_object())
    for (const auto& [name, text] : reply.headers)
      if (name == "etag")
        value["etag"] = text;
  return value;
}

json session::list(const std::string& path, std::size_t most) {
  auto all = json::array();
  auto cursor = std::string{};
  do {
    const auto mark = path.find('?') == std::string::npos ? "?" : "&";
    const auto page =
        request("GET", path + (cursor.empty() ? "" : mark + ("cursor=" + encoded(cursor))));
    for (const auto& item : page.at("items")) {
      if (all.size() == most)
        return all;
      all.push_back(item);
    }
    cursor = page.value("nextCursor", "");
  } while (!cursor.empty());
  return all;
}

std::string session::etag_of(const std::string& path) {
  return request("GET", path).value("etag", "*");
}

std::string session::host() {
  return client().host();
}

void session::watch(const std::vector<std::string>& first,
                    const std::function<bool(std::string_view)>& on_text) {
  request("GET", "/auth/me");  // a token that is over is refreshed here
  for (auto again = true; again;) {
    again = false;
    client().watch("/api/v1/stream", {{"Authorization", "Bearer " + credential()}},
                   "orrery.v1.json", first, [&](std::string_view text) {
                     if (text.starts_with(R"({"op":"reauth")") && refresh()) {
                       again = true;  // on a new socket, with the new token
                       return false;
                     }
                     return on_text(text);
                   });
  }
}

void session::say(const std::string& text) const {
  if (output == "table")
    std::cout << text << '\n';
}

void session::show(const json& value, const std::vector<column>& columns) const {
  if (output == "json") {
    std::cout << value.dump(2) << '\n';
    return;
  }
  if (output == "yaml") {
    auto out = YAML::Emitter{};
    write_yaml(out, value);
    std::cout << out.c_str() << '\n';
    return;
  }
  if (!value.is_array()) {
    auto width = std::size_t{16};
    for (const auto& [name, member] : value.items())
      width = std::max(width, name.size());
    for (const auto& [name, member] : value.items())
      std::cout << std::left << std::setw(static_cast<int>(width) + 2) << name << text_of(member)
                << '\n';
    return;
  }
  auto rows = std::vector<std::vector<std::string>>{{}};
  for (const auto& c : columns)
    rows[0].push_back(c.title);
  for (const auto& item : value) {
    auto& row = rows.emplace_back();
    for (const auto& c : columns) {
      const auto at = json::json_pointer{c.pointer};
      row.push_back(item.contains(at) ? text_of(item.at(at)) : "-");
    }
  }
  auto widths = std::vector<std::size_t>(columns.size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], width_of(row[i]));
  for (const auto& row : rows) {
    auto line = std::string{};
    for (std::size_t i = 0; i < row.size(); ++i)
      line += row[i] + std::string(i + 1 < row.size() ? widths[i] - width_of(row[i]) + 2 : 0, ' ');
    std::cout << line << '\n';
  }
}

void session::login(const std::string& user, const std::string& password,
                    const std::string& organisation, const std::string& code) {
  load_profile();
  auto body = json{{"user", user}, {"password", password}};
  if (!organisation.empty())
    body["organisation"] = organisation;
  if (!code.empty())
    body["otp"] = code;
  const auto reply = client().request("POST", "/api/v1/auth/login",
                                      {{"Content-Type", "application/json"}}, body.dump());
  if (reply.status != 200)
    throw refused{explain(reply.status, reply.body)};
  keep_tokens(json::parse(reply.body));
}

void session::login_by(const std::string& provider, const std::string& organisation,
                       std::chrono::seconds patience,
                       const std::function<void(const std::string&)>& go) {
  load_profile();
  const auto call = [&](const char* path, const json& body) {
    const auto reply =
        client().request("POST", path, {{"Content-Type", "application/json"}}, body.dump());
    if (reply.status != 200)
      throw refused{explain(reply.status, reply.body)};
    return json::parse(reply.body);
  };
  const auto back = loopback_port{};
  auto body = json{{"provider", provider}, {"redirectUri", back.uri()}};
  if (!organisation.empty())
    body["organisation"] = organisation;
  const auto begun = call("/api/v1/auth/external:begin", body);
  const auto url = begun.at("url").get<std::string>();
  go(url);
  const auto state_at = url.find("&state=");
  const auto state = state_at == std::string::npos
                         ? std::string{}
                         : url.substr(state_at + 7, url.find('&', state_at + 7) - state_at - 7);
  const auto got = back.wait(state, patience);
  auto end =
      json{{"transaction", begun.at("transaction")}, {"state", got.state}, {"code", got.code}};
  if (!got.issuer.empty())
    end["issuer"] = got.issuer;
  keep_tokens(call("/api/v1/auth/external:finish", end));
}

void session::logout() {
  request("POST", "/auth/logout", json::object());
  kept_.erase("access");
  kept_.erase("refresh");
  save_profile();
}

}  // namespace orrery::app::cli
