// file: ls, put, get, rm.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

std::string read_bytes(const std::string& name) {
  auto file = std::ifstream{name, std::ios::binary};
  auto text = std::ostringstream{};
  if (!file || !(text << file.rdbuf()))
    throw refused{name + " cannot be read, or is empty"};
  return text.str();
}

/// Sends to a link, which needs no login; what does not work is thrown.
net::http_reply follow(const session& s, const std::string& method, const std::string& link,
                       const std::string& body = {}) {
  const auto scheme = link.find("://");
  const auto path = scheme == std::string::npos ? scheme : link.find('/', scheme + 3);
  if (path == std::string::npos)
    throw refused{"the server gave a link that is none: " + link};
  auto client = net::http_client{link.substr(0, path), s.ca_file};
  auto reply = client.request(method, link.substr(path),
                              {{"Content-Type", "application/octet-stream"}}, body);
  if (reply.status / 100 != 2)
    throw refused{"the link was answered with " + std::to_string(reply.status) + ": " +
                  reply.body.substr(0, 500)};
  return reply;
}

}  // namespace

void add_files(CLI::App& to, session& s) {
  auto* g = group(to, "file", "Files of devices", "file ls demo-inverter/inv-01");
  auto device = make<std::string>(), id = make<std::string>(), file = make<std::string>(),
       name = make<std::string>();
  const auto path = [device, id](const char* rest) {
    return device_path(*device) + "/files/" + encoded(*id) + rest;
  };
  const auto of_device = [device](CLI::App* c) {
    c->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  };
  auto* list = command(*g, "ls", "Those of a device", "file ls demo-inverter/inv-01");
  of_device(list);
  list->callback([&s, device] {
    s.show(s.list(device_path(*device) + "/files", 1000), {{"ID", "/id"},
                                                           {"STATUS", "/status"},
                                                           {"BYTES", "/fileLength"},
                                                           {"NAME", "/filename"},
                                                           {"CREATED", "/createdAt"}});
  });
  auto* put = command(*g, "put", "Give a device a file", "file put demo-inverter/inv-01 map.bin");
  of_device(put);
  put->add_option("file", *file)->required();
  put->add_option("--name", *name, "what it is called; the file's name if not given");
  put->callback([&s, device, file, name] {
    const auto bytes = read_bytes(*file);
    const auto called = name->empty() ? std::filesystem::path{*file}.filename().string() : *name;
    const auto base = device_path(*device) + "/files";
    const auto made =
        s.request("POST", base,
                  {{"filename", called}, {"fileLength", static_cast<std::int64_t>(bytes.size())}});
    follow(s, "PUT", made["uploadUrl"].get<std::string>(), bytes);
    s.show(s.request("GET", base + '/' + made["id"].get<std::string>()),
           {{"ID", "/id"}, {"STATUS", "/status"}, {"URI", "/fileUri"}});
  });
  auto* get = command(*g, "get", "The bytes of a file, to the terminal or a file",
                      "file get demo-inverter/inv-01 0f3a... -o map.bin");
  of_device(get);
  get->add_option("id", *id)->required();
  get->add_option("-o,--to", *file, "file to write");
  get->callback([&s, path, file] {
    const auto link = s.request("POST", path(":link"), json::object());
    const auto got = follow(s, "GET", link["downloadUrl"].get<std::string>());
    if (file->empty()) {
      std::cout << got.body << std::flush;
      return;
    }
    auto out = std::ofstream{*file, std::ios::binary};
    if (!(out << got.body << std::flush))
      throw refused{*file + " cannot be written"};
    s.say("written");
  });
  auto* remove = command(*g, "rm", "Delete a file", "file rm demo-inverter/inv-01 0f3a...");
  of_device(remove);
  remove->add_option("id", *id)->required();
  remove->callback([&s, path] {
    s.request("DELETE", path(""));
    s.say("deleted");
  });
}

}  // namespace orrery::app::cli
