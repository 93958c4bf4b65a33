// The node's program: arguments, settings, signals, exit codes.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "app/joining.hpp"
#include "app/node.hpp"
#include "app/recover.hpp"
#include "config/load.hpp"
#include "observe/log.hpp"
#include "transport/tcp_listener.hpp"

extern char** environ;  // NOLINT: POSIX

// jemalloc reads this (its manual: TUNING): memory that was freed goes back to the machine after
// some seconds also when nothing is asked of the node any more. Other allocators ignore it.
extern "C" const char* malloc_conf;
const char* malloc_conf = "background_thread:true";

namespace {

namespace app = orrery::app;
namespace config = orrery::config;
namespace log = orrery::observe::log;

enum exit_code : int {
  stopped = 0,
  internal_failure = 1,
  bad_settings = 2,
  storage_failure = 3,
  port_taken = 4,
  cluster_failure = 5
};
constexpr auto stop_limit = std::chrono::seconds{9};

struct arguments {
  std::string config, data, ready_file, recover;
  std::vector<std::string> set;
  bool demo = false, check = false, print = false, found_again = false, absent_are_lost = false;
};

config::settings settings_of(const arguments& a) {
  auto from = config::sources{.file = a.config, .environment = {}, .set = a.set};
  for (auto** variable = environ; variable && *variable; ++variable) {
    const auto text = std::string{*variable};
    if (const auto at = text.find('='); at != std::string::npos)
      from.environment.emplace(text.substr(0, at), text.substr(at + 1));
  }
  if (!a.data.empty())
    from.set.push_back("node.data=" + a.data);
  return config::load(from);
}

void write_ready_file(const std::string& path, const config::settings& s, const app::node& n) {
  const auto ready =
      nlohmann::ordered_json{{"node", s.node.name},
                             {"pid", getpid()},
                             {"version", ORRERY_VERSION},
                             {"ports", n.ports()},
                             {"ca", n.ca_file()},
                             {"admin", {{"login", "admin"}, {"passwordFile", n.password_file()}}}};
  const auto temporary = path + ".new";
  {
    auto out = std::ofstream{temporary};
    out << ready.dump(2) << '\n';
    if (!out.flush())
      throw std::runtime_error{path + " cannot be written"};
  }
  std::filesystem::rename(temporary, path);
}

/// Ends the process if closing takes too long: what was acknowledged is on the disk already.
void limit_stop() {
  std::thread{[] {
    std::this_thread::sleep_for(stop_limit);
    log::warn("node", "stop_cut_short", {});
    log::flush();
    std::_Exit(stopped);
  }}.detach();
}

int run(const arguments& a, const config::settings& s, const sigset_t& signals) {
  auto n = app::node{s, a.found_again};
  if (a.demo)
    n.add_demo();
  const auto ports = n.ports();
  for (const auto& [name, port] : ports)
    log::info("node", "listening", {{"listener", name}, {"port", port}});
  if (!a.ready_file.empty())
    write_ready_file(a.ready_file, s, n);
  log::info("node", "ready",
            {{"node", s.node.name}, {"version", ORRERY_VERSION}, {"data", s.node.data}});
  auto got = 0;
  while (sigwait(&signals, &got) == 0 && got == SIGHUP) {
    log::info("node", "rereads_certificates", {});
    n.reload_certificates();
  }
  log::info("node", "stopping", {{"signal", got}});
  limit_stop();
  n.stop();
  log::info("node", "stopped", {});
  log::flush();
  return stopped;
}

}  // namespace

int main(int argc, char** argv) {
  auto a = arguments{};
  auto cli = CLI::App{"Orrery: device connectivity and management"};
  cli.add_option("--config", a.config, "settings file (YAML)");
  cli.add_option("--data", a.data, "folder of everything that lasts");
  cli.add_option("--set", a.set, "section.key=value, more than once")->take_all();
  cli.add_option("--ready-file", a.ready_file, "written when all ports accept");
  cli.add_flag("--demo", a.demo, "add the demo content once");
  cli.add_flag("--check-config", a.check, "check the settings and end");
  cli.add_flag("--print-config", a.print, "print all settings and end");
  cli.add_flag("--found-again", a.found_again,
               "the coordinator lost what it knew of this node's cluster: make it known again");
  cli.add_option("--recover", a.recover,
                 "for shards that nobody serves, then end: list; all (each goes to the best copy "
                 "that is there); <shard>=<node>");
  cli.add_flag("--absent-are-lost", a.absent_are_lost,
               "--recover all counts on no node that is not there");
  cli.set_version_flag("--version", std::string{"orreryd "} + ORRERY_VERSION);
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return cli.exit(e) == 0 ? stopped : bad_settings;
  }
  // Signals are waited for by this thread; all others are started with them blocked.
  auto signals = sigset_t{};
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT: a closed peer is an error code, not a signal
  try {
    const auto s = settings_of(a);
    if (a.print)
      std::cout << config::print(s);
    else if (a.check)
      std::cout << "settings are good\n";
    if (a.print || a.check)
      return stopped;
    if (!a.recover.empty())
      return app::recover(s, a.recover, a.absent_are_lost, std::cout) ? stopped : cluster_failure;
    return run(a, s, signals);
  } catch (const config::bad_settings& e) {
    std::cerr << "orreryd: bad settings\n" << e.what();
    return bad_settings;
  } catch (const app::storage_failed& e) {
    std::cerr << "orreryd: storage: " << e.what() << '\n';
    return storage_failure;
  } catch (const app::cluster_failed& e) {
    std::cerr << "orreryd: cluster: " << e.what() << '\n';
    return cluster_failure;
  } catch (const orrery::transport::port_taken& e) {
    std::cerr << "orreryd: port: " << e.what()
              << "; is another node running? Choose another with --set listeners.<name>.port=N\n";
    return port_taken;
  } catch (const std::exception& e) {
    std::cerr << "orreryd: " << e.what() << '\n';
    return internal_failure;
  }
}
