// file: ls, put, get, rm.
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

constexpr std::size_t piece_bytes = 4 * 1024 * 1024;
constexpr int most_tries = 5;  // of a piece that does not arrive

/// A link, which needs no login.
class link {
 public:
  link(const session& s, const std::string& url)
      : path_at_{path_of(url)},
        path_{url.substr(path_at_)},
        client_{url.substr(0, path_at_), s.ca_file} {}

  net::http_reply ask(const std::string& method, const net::http_client::headers& more = {},
                      std::string_view body = {}) {
    return client_.request(method, path_, more, body);
  }

 private:
  static std::size_t path_of(const std::string& url) {
    const auto scheme = url.find("://");
    const auto path = scheme == std::string::npos ? scheme : url.find('/', scheme + 3);
    if (path == std::string::npos)
      throw refused{"the server gave a link that is none: " + url};
    return path;
  }
  std::size_t path_at_;
  std::string path_;
  net::http_client client_;
};

refused not_taken(const net::http_reply& reply) {
  return refused{"the link was answered with " + std::to_string(reply.status) + ": " +
                 reply.body.substr(0, 500)};
}

/// How much of a file the other side has, as it says; nothing if it does not say.
std::optional<std::uint64_t> offset_in(const net::http_reply& reply) {
  for (const auto& [name, text] : reply.headers)
    if (auto n = std::uint64_t{0};
        name == "upload-offset" &&
        std::from_chars(text.data(), text.data() + text.size(), n).ec == std::errc{})
      return n;
  return std::nullopt;
}

/// How much has come, where a piece may have arrived though its answer did not; what was known
/// before if nobody says.
std::uint64_t come_so_far(link& to, std::uint64_t known) {
  try {
    const auto reply = to.ask("HEAD");
    return offset_in(reply).value_or(known);
  } catch (const net::not_reached&) {
    return known;
  }
}

bool says(const net::http_reply& reply, std::string_view reason) {
  return reply.body.find('"' + std::string{reason} + '"') != std::string::npos;
}

/// Sends a file piece by piece. Where a piece did not arrive it goes on with what has come.
void send(std::ifstream& file, std::uint64_t size, link& to) {
  auto at = std::uint64_t{0};
  auto piece = std::string{};
  auto unanswered = false;  // the last piece may have come, and be told of as what is there already
  for (auto tries = 1;;) {
    piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, size - at)));
    file.clear();
    if (!file.seekg(static_cast<std::streamoff>(at)) ||
        (!piece.empty() && !file.read(piece.data(), static_cast<std::streamsize>(piece.size()))))
      throw refused{"the file cannot be read, or has become shorter"};
    try {
      const auto reply = to.ask(
          "PATCH",
          {{"Content-Type", "application/octet-stream"}, {"Upload-Offset", std::to_string(at)}},
          piece);
      if (reply.status == 201 || (unanswered && says(reply, "file_stored")))
        return;
      const auto here = offset_in(reply);
      const auto later = reply.status == 503 || says(reply, "upload_busy");
      if (!here && !later)
        throw not_taken(reply);
      if (here && *here > at)
        tries = 0;
      if (here && *here <= size)
        at = *here;
      if (tries++ < most_tries) {
        if (later)
          std::this_thread::sleep_for(std::chrono::seconds{1});
        continue;
      }
      throw not_taken(reply);
    } catch (const net::not_reached&) {
      if (tries++ >= most_tries)
        throw;
      unanswered = true;
      std::this_thread::sleep_for(std::chrono::seconds{1});
      const auto here = std::min(come_so_far(to, at), size);
      if (here > at)
        tries = 0;
      at = here;
    }
  }
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
  auto filter = make<std::string>(), status = make<std::string>();
  auto most = make<std::size_t>(100);
  auto* list = command(*g, "ls", "Those of a device, or of all",
                       "file ls --filter \"tags.site = 'north'\" --status lost");
  list->add_option("device", *device, "PRODUCT/DEVICE or assetId; else all that --filter accepts");
  list->add_option("--filter", *filter, "of devices");
  list->add_option("--status", *status)->check(CLI::IsMember({"pending", "stored", "lost"}));
  list->add_option("--limit", *most, "so many of all devices")->capture_default_str();
  list->callback([&s, device, filter, status, most] {
    auto columns = std::vector<column>{{"ID", "/id"},
                                       {"STATUS", "/status"},
                                       {"BYTES", "/fileLength"},
                                       {"NAME", "/filename"},
                                       {"CREATED", "/createdAt"}};
    if (!device->empty()) {
      if (!filter->empty() || !status->empty())
        throw refused{"--filter and --status are for files of all devices: leave the device out"};
      return s.show(s.list(device_path(*device) + "/files", 1000), columns);
    }
    columns.insert(columns.begin(), {"DEVICE", "/deviceKey"});
    s.show(s.list("~/files?filter=" + encoded(*filter) + "&status=" + *status, *most), columns);
  });
  auto* put = command(*g, "put", "Give a device a file", "file put demo-inverter/inv-01 map.bin");
  of_device(put);
  put->add_option("file", *file)->required();
  put->add_option("--name", *name, "what it is called; the file's name if not given");
  put->callback([&s, device, file, name] {
    auto bytes = std::ifstream{*file, std::ios::binary};
    auto trouble = std::error_code{};
    const auto size = std::filesystem::file_size(*file, trouble);
    if (!bytes || trouble)
      throw refused{*file + " cannot be read"};
    const auto called = name->empty() ? std::filesystem::path{*file}.filename().string() : *name;
    const auto base = device_path(*device) + "/files";
    const auto made = s.request(
        "POST", base, {{"filename", called}, {"fileLength", static_cast<std::int64_t>(size)}});
    auto there = link{s, made["uploadUrl"].get<std::string>()};
    send(bytes, size, there);
    s.show(s.request("GET", base + '/' + made["id"].get<std::string>()),
           {{"ID", "/id"}, {"STATUS", "/status"}, {"URI", "/fileUri"}});
  });
  auto* get = command(*g, "get", "The bytes of a file, to the terminal or a file",
                      "file get demo-inverter/inv-01 0f3a... -o map.bin");
  of_device(get);
  get->add_option("id", *id)->required();
  get->add_option("-o,--to", *file, "file to write");
  get->callback([&s, path, file] {
    const auto told = s.request("POST", path(":link"), json::object());
    const auto got = link{s, told["downloadUrl"].get<std::string>()}.ask("GET");
    if (got.status != 200)
      throw not_taken(got);
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
