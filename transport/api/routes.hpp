// Every call of the API in one table: the dispatcher, the permission check and the OpenAPI document
// are made from it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// Permissions that are none: anybody; whoever has proved who he is.
inline constexpr std::string_view nobody_checked = "";
inline constexpr std::string_view anyone_known = "any";

struct route {
  std::string method;
  std::string pattern;  // under /api/v1: "/orgs/{org}/devices/{asset}:enable"
  std::string permission;
  handler run;
  std::string id;  // operationId
  std::string summary;
  std::string takes;   // schema of the request body; "": none
  std::string gives;   // schema of the reply's body; "": none
  int status;          // of success
  std::string query;   // names of query parameters, separated by blanks
  std::string part{};  // of the API, filled in where all are gathered: a tag of the document
};

/// Calls of one part of the API. A pattern that begins "@d" stands for both addresses of a device.
std::vector<route> log_in_routes();
std::vector<route> external_log_in_routes();
std::vector<route> identity_provider_routes();
std::vector<route> organisation_routes();
std::vector<route> people_routes();
std::vector<route> role_routes();
std::vector<route> application_routes();
std::vector<route> model_routes();
std::vector<route> product_routes();
std::vector<route> product_file_routes();
std::vector<route> decoder_routes();
std::vector<route> firmware_routes();
std::vector<route> ota_job_routes();
std::vector<route> device_routes();
std::vector<route> device_registration_routes();
std::vector<route> device_search_routes();
std::vector<route> device_act_routes();
std::vector<route> device_name_routes();
std::vector<route> device_transfer_routes();
std::vector<route> mirror_routes();
std::vector<route> group_routes();
std::vector<route> tag_routes();
std::vector<route> topology_routes();
std::vector<route> certificate_routes();
std::vector<route> file_routes();
std::vector<route> authority_routes();
std::vector<route> ban_routes();
std::vector<route> point_routes();
std::vector<route> event_routes();
std::vector<route> command_routes();
std::vector<route> rrpc_routes();
std::vector<route> twin_routes();
std::vector<route> configuration_routes();
std::vector<route> statistics_routes();
std::vector<route> asset_routes();
std::vector<route> asset_file_routes();
std::vector<route> tree_routes();
std::vector<route> tree_search_routes();
std::vector<route> tree_file_routes();
std::vector<route> operation_routes();
std::vector<route> device_mass_routes();
std::vector<route> audit_routes();
std::vector<route> cluster_routes();

/// True if the call looks itself at what it is allowed for: its path names a device or a product,
/// or it is a list or takes names and leaves out what its caller does not reach. All
/// other calls are about the organisation: a role with a scope does not give them.
bool looks_at_products(const route& r);
/// Whether a change can be made subject to a revision that was read before (If-Match; RFC 9110,
/// 13.1.1).
enum class condition : std::uint8_t { none, possible, demanded };
condition condition_of(const route& r);
/// True if an operator may call it for another organisation than his own.
bool is_for_operators(const route& r);

/// A part of the API, as the document calls it and what it is about.
struct api_part {
  const char* name;
  const char* what;
};
const std::vector<api_part>& api_parts();

/// All of them, "@d" and "~" written out.
const std::vector<route>& all_routes();

struct match {
  const route* found = nullptr;
  std::vector<std::pair<std::string, std::string>> params;
  std::string allowed;  // methods of the path if it is there under another one
};
/// `path` without "/api/v1".
match find_route(std::string_view method, const std::vector<std::string>& path);

/// The OpenAPI 3.1 document.
const std::string& openapi_document();

}  // namespace orrery::transport::api
