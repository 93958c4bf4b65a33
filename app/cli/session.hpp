// What every command of `orrery` has: a server, a credential, a way to show results.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "net/http_client.hpp"

namespace orrery::app::cli {

using json = nlohmann::ordered_json;

/// The server refused: the text is for the person.
class refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One column of a table: its title and the JSON pointer of its values.
struct column {
  std::string title, pointer;
};

class session {
 public:
  // Bound to the global options.
  std::string server, api_key, profile, output = "table", ca_file;

  /// Sends a request of the API ("~" is the organisation) and gives the reply's body.
  /// Throws refused, net::not_reached.
  json request(const std::string& method, const std::string& path, const json& body = nullptr,
               net::http_client::headers more = {});
  /// The same for bytes of any type; gives the reply as it came.
  net::http_reply exchange(const std::string& method, std::string path, const std::string& bytes,
                           const std::string& type, net::http_client::headers more = {});
  /// The same; gives the body of the reply.
  std::string text(const std::string& method, const std::string& path, const std::string& type = {},
                   const std::string& body = {});
  /// All items of a list, page by page, at most `most`.
  json list(const std::string& path, std::size_t most);
  /// The ETag of what is at `path`, for If-Match.
  std::string etag_of(const std::string& path);
  /// Sends `first` on a stream and hands on every text until `on_text` gives false or the server
  /// closes. Logs in again by itself when the token is about to end.
  void watch(const std::vector<std::string>& first,
             const std::function<bool(std::string_view)>& on_text);
  /// The host of the server, for what speaks to another port of it.
  std::string host();

  /// Shows a list or one object in the wanted form.
  void show(const json& value, const std::vector<column>& columns) const;
  void say(const std::string& text) const;  // only with --output table

  /// Logs in and keeps the tokens in the profile. `code`: of a second factor, "" without one.
  void login(const std::string& user, const std::string& password, const std::string& organisation,
             const std::string& code);
  /// The same by an identity provider: `go` is told where a browser is to go, and the address that
  /// it is sent back to is waited at for so long.
  void login_by(const std::string& provider, const std::string& organisation,
                std::chrono::seconds patience, const std::function<void(const std::string&)>& go);
  /// Ends the log-in of the profile and forgets its tokens.
  void logout();

 private:
  net::http_reply send(const std::string& method, std::string path, const std::string& body,
                       net::http_client::headers more);
  net::http_client& client();
  void load_profile();
  void save_profile() const;
  void keep_tokens(const json& tokens);
  bool refresh();
  std::string credential();

  std::unique_ptr<net::http_client> client_;
  json kept_;
  bool loaded_ = false;
};

/// Options of one command line live as long as their commands.
template <class T>
std::shared_ptr<T> make(T value = {}) {
  return std::make_shared<T>(std::move(value));
}
/// A command with the example of its help.
CLI::App* command(CLI::App& to, const std::string& name, const std::string& about,
                  const std::string& example);
/// A command that is nothing without one of its own.
CLI::App* group(CLI::App& to, const std::string& name, const std::string& about,
                const std::string& example);

/// The path of a device given as assetId or PRODUCT/DEVICE.
std::string device_path(const std::string& device);
/// Percent-encodes one path segment or query value.
std::string encoded(const std::string& text);
/// Epoch ms as a number, all else as text: the server reads both.
json time_value(const std::string& text);
/// From ORRERY_PASSWORD, or asked for without showing it.
std::string ask_password();
/// JSON given on the command line or, after @, in a file. Throws refused.
json read_json(const std::string& text);

// Each adds its commands.
void add_people(CLI::App& to, session& s);
void add_providers(CLI::App& to, session& s);
void add_organisations(CLI::App& to, session& s);
void add_management(CLI::App& to, session& s);
void add_models(CLI::App& to, session& s);
void add_scripts(CLI::App& products, session& s);     // of the group "product"
void add_device_acts(CLI::App& devices, session& s);  // of the group "device"
/// Operations, and what begins them in the group "device".
void add_operations(CLI::App& to, CLI::App& devices, session& s);
void add_ota(CLI::App& to, session& s);
void add_twins(CLI::App& to, session& s);
void add_configurations(CLI::App& to, session& s);
void add_data(CLI::App& to, session& s);
void add_simulate(CLI::App& to, session& s);
void add_certificates(CLI::App& to, session& s);
void add_bans(CLI::App& to, session& s);
void add_audit(CLI::App& to, session& s);
void add_files(CLI::App& to, session& s);
void add_groups(CLI::App& to, session& s);
void add_trees(CLI::App& to, session& s);
void add_cluster(CLI::App& to, session& s);
void add_backup(CLI::App& to, session& s);
void add_restore(CLI::App& to, session& s);
/// Last: it describes all that is there.
void add_completion(CLI::App& to);

}  // namespace orrery::app::cli
