// backup: of all nodes, while they run. restore: into a new data folder, without a server.
#include <chrono>
#include <filesystem>
#include <iostream>
#include <thread>

#include "app/cli/session.hpp"
#include "storage/restore.hpp"

namespace orrery::app::cli {
namespace {

constexpr auto poll = std::chrono::seconds{1};

/// How many nodes are in each state: "2 complete, 1 absent".
std::string in_words(const json& backup) {
  auto text = std::string{};
  for (const auto* state : {"running", "complete", "failed", "absent"}) {
    auto n = 0;
    for (const auto& node : backup.at("nodes"))
      n += node.at("state") == state ? 1 : 0;
    if (n > 0)
      text += (text.empty() ? "" : ", ") + std::to_string(n) + " " + state;
  }
  return text.empty() ? "no node" : text;
}

void show_nodes(session& s, const json& backup) {
  if (s.output != "table")
    return s.show(backup, {});
  std::cout << "backup   " << backup.at("id").get<std::string>() << "\nstate    "
            << backup.at("state").get<std::string>() << "\nstarted  "
            << backup.at("startedAt").get<std::string>() << " by "
            << backup.at("by").get<std::string>() << "\n\n";
  s.show(backup.at("nodes"), {{"NODE", "/node"},
                              {"STATE", "/state"},
                              {"BYTES", "/bytes"},
                              {"SECONDS", "/seconds"},
                              {"FINISHED", "/finishedAt"},
                              {"REASON", "/reason"},
                              {"DETAIL", "/detail"}});
}

/// Until no node is at it any more. Throws refused: that takes too long.
json wait_until_over(session& s, json backup, std::size_t seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{seconds};
  auto told = std::string{};
  while (backup.at("state") == "running") {
    const auto id = backup.at("id").get<std::string>();
    if (auto text = id + ": " + in_words(backup); text != told)
      std::cerr << (told = text) << '\n';
    if (std::chrono::steady_clock::now() > until)
      throw refused{"the backup " + id + " is still under way after " + std::to_string(seconds) +
                    " s; it goes on by itself. See orrery backup show " + id};
    std::this_thread::sleep_for(poll);
    backup = s.request("GET", "/cluster/backups/" + encoded(id));
  }
  return backup;
}

void create(session& s, bool wait, std::size_t seconds) {
  auto backup = s.request("POST", "/cluster/backups", json::object());
  if (!wait) {
    if (s.output != "table")
      return s.show(backup, {});
    const auto id = backup.at("id").get<std::string>();
    return s.say("backup " + id + " has begun; orrery backup show " + id + " tells how far it is");
  }
  backup = wait_until_over(s, std::move(backup), seconds);
  show_nodes(s, backup);
  if (backup.at("state") != "complete")
    throw refused{"the backup " + backup.at("id").get<std::string>() +
                  " is not complete: " + in_words(backup)};
}

void list(session& s) {
  auto all = json::array();
  for (auto one : s.list("/cluster/backups", 1000)) {
    if (s.output == "table")
      one["parts"] = in_words(one);
    all.push_back(std::move(one));
  }
  s.show(all, {{"BACKUP", "/id"},
               {"STATE", "/state"},
               {"STARTED", "/startedAt"},
               {"BY", "/by"},
               {"NODES", "/parts"}});
}

/// The files of devices that are in it, or are not.
void tell_of_files(const storage::restored_backup& got) {
  if (!got.what.note.blobs)
    std::cout << "It has no bytes of devices' files: that release kept them out of backups. What "
                 "blobs/ of then has\ncan be copied into the data folder.\n";
  if (got.list_lost)
    std::cout
        << "The list of its files cannot be read: the files that the backups' folder still has "
           "came, nobody\nknows whether they are all.\n";
  for (const auto& one : got.left_out)
    std::cout << "The bytes of a file are damaged or missing, and left out: " << to_string(one.name)
              << '\n';
}

void restore(const session& s, const std::string& from, const std::string& to,
             const std::string& id, bool skip) {
  using storage::damaged_blobs;
  const auto got = storage::restore_backup(from, id, to,
                                           skip ? damaged_blobs::leave_out : damaged_blobs::refuse);
  if (!got)
    throw refused{got.error().detail};
  const auto& note = got->what.note;
  if (s.output != "table") {
    auto left_out = json::array();
    for (const auto& one : got->left_out)
      left_out.push_back(to_string(one.name));
    return s.show(json{{"id", note.id},
                       {"node", note.node},
                       {"cluster", note.cluster},
                       {"release", note.release},
                       {"listLost", got->list_lost},
                       {"bytes", got->what.bytes},
                       {"files", got->what.files},
                       {"leftOut", left_out},
                       {"data", to}},
                  {});
  }
  const auto folder = std::filesystem::path{to};
  std::cout << "backup " << note.id << " of " << note.node << ", made by release " << note.release
            << ", is verified and restored into " << to << ".\n";
  tell_of_files(*got);
  std::cout << "\nBefore you start it:\n"
            << "  1. The master key of then: copy it to where node.master_key says, else to "
            << (folder / "master.key").string() << ".\n"
            << "     It is not in a backup, and without it no secret can be read.\n"
            << "  2. pki/ of then: copy it to " << (folder / "pki").string()
            << ", if tls.certificate is not set.\n"
            << "     Else a new authority is made there, which devices do not trust.\n"
            << "  3. Owner and modes: whoever runs orreryd must be able to write all of it.\n"
            << "  4. Start orreryd with node.data: " << to << " and the settings of then.\n"
            << "     If it is one of a cluster, first read \"Backup and restore\" in "
               "docs/operations.md.\n";
}

}  // namespace

void add_backup(CLI::App& to, session& s) {
  auto* g = group(to, "backup", "Backups of all nodes, while they run", "backup create --wait");
  auto wait = make<bool>(false);
  auto seconds = make<std::size_t>(3600);
  auto* begin = command(*g, "create", "Begin one", "backup create --wait");
  begin->add_flag("--wait", *wait, "until all nodes are done; fails if not all have their part");
  begin->add_option("--timeout", *seconds, "seconds to wait for that")->capture_default_str();
  begin->callback([&s, wait, seconds] { create(s, *wait, *seconds); });

  command(*g, "list", "Backups, newest first", "backup list")->callback([&s] { list(s); });

  auto id = make<std::string>();
  auto* show = command(*g, "show", "A backup, node by node", "backup show 20261125-025746");
  show->add_option("id", *id, "as orrery backup list has it")->required();
  show->callback([&s, id] { show_nodes(s, s.request("GET", "/cluster/backups/" + encoded(*id))); });
}

void add_restore(CLI::App& to, session& s) {
  auto from = make<std::string>(), data = make<std::string>(), id = make<std::string>();
  auto skip = make<bool>(false);
  auto* c = command(to, "restore", "A node's backup into a new data folder; asks no server",
                    "restore --from /backup/orrery-1 --to /var/lib/orrery-new");
  c->add_option("--from", *from, "<backup.directory>/<node.name>")->required();
  c->add_option("--to", *data, "the data folder: empty, or not there")->required();
  c->add_option("--id", *id, "which backup; the newest if not given");
  c->add_flag("--skip-damaged-files", *skip,
              "leave out files of devices whose bytes are damaged or missing, and name them");
  c->callback([&s, from, data, id, skip] { restore(s, *from, *data, *id, *skip); });
}

}  // namespace orrery::app::cli
