#include "tests/support/etcd_server.hpp"

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "net/http_client.hpp"

namespace orrery::tests {
namespace {

/// A port that was free a moment ago.
std::uint16_t free_port() {
  const auto s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto at = sockaddr_in{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto size = socklen_t{sizeof at};
  if (::bind(s, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
      ::getsockname(s, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    throw std::runtime_error{"no free port"};
  ::close(s);
  return ntohs(at.sin_port);
}

}  // namespace

etcd_server::etcd_server(const std::vector<std::string>& more, std::string ca_file)
    : ca_file_{std::move(ca_file)} {
  auto name = (std::filesystem::temp_directory_path() / "orrery-etcd-XXXXXX").string();
  if (!::mkdtemp(name.data()))
    throw std::runtime_error{"no temporary folder"};
  folder_ = name;
  endpoint_ = (ca_file_.empty() ? "http" : "https") + std::string{"://127.0.0.1:"} +
              std::to_string(free_port());
  const auto peer = "http://127.0.0.1:" + std::to_string(free_port());
  arguments_ = {"etcd",
                "--data-dir",
                (folder_ / "data").string(),
                "--listen-client-urls",
                endpoint_,
                "--advertise-client-urls",
                endpoint_,
                "--listen-peer-urls",
                peer,
                "--initial-advertise-peer-urls",
                peer,
                "--initial-cluster",
                "default=" + peer,
                "--heartbeat-interval",
                "50",
                "--election-timeout",
                "500"};
  arguments_.insert(arguments_.end(), more.begin(), more.end());
  start();
}

etcd_server::~etcd_server() {
  kill();
  auto ignored = std::error_code{};
  std::filesystem::remove_all(folder_, ignored);
}

void etcd_server::start_without_waiting() {
  auto words = std::vector<char*>{};
  for (auto& a : arguments_)
    words.push_back(a.data());
  words.push_back(nullptr);
  const auto log = ::open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // also if a test dies
    ::dup2(log, 1);
    ::dup2(log, 2);
    ::execvp(words[0], words.data());
    ::_exit(127);
  }
  ::close(log);
}

void etcd_server::start() {
  start_without_waiting();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (std::chrono::steady_clock::now() < until) {
    try {
      if (call("/v3/maintenance/status", "{}").find("leader") != std::string::npos)
        return;
    } catch (const net::not_reached&) {
    }
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
  throw std::runtime_error{"etcd did not start: see " + (folder_ / "log").string()};
}

void etcd_server::kill() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_ = -1;
}

std::string etcd_server::call(const std::string& path, const std::string& body) const {
  return net::http_client{endpoint_, ca_file_}.request("POST", path, {}, body).body;
}

}  // namespace orrery::tests
