// A real etcd of one member, on ports of its own, with its data in a temporary folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

namespace orrery::tests {

class etcd_server {
 public:
  /// `more`: arguments; `ca_file`: it speaks TLS, and that is who signed its certificate. Throws
  /// std::runtime_error if it does not come up.
  explicit etcd_server(const std::vector<std::string>& more = {}, std::string ca_file = {});
  ~etcd_server();
  etcd_server(const etcd_server&) = delete;
  etcd_server& operator=(const etcd_server&) = delete;

  /// What its clients dial.
  const std::string& endpoint() const { return endpoint_; }
  /// Ends it at once, and starts it again on the same ports over the same data.
  void kill();
  void start();
  /// The same, for one whose status may not be asked by everybody.
  void start_without_waiting();
  /// One call of its JSON gateway; gives the body.
  std::string call(const std::string& path, const std::string& body) const;

 private:
  std::filesystem::path folder_;
  std::vector<std::string> arguments_;
  std::string endpoint_, ca_file_;
  pid_t pid_ = -1;
};

}  // namespace orrery::tests
