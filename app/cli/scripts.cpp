// product script: set, show, remove, test.
#include <fstream>
#include <iostream>
#include <sstream>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

/// All of a file; of "-" what comes in.
std::string read_text(const std::string& name) {
  auto file = std::ifstream{};
  if (name != "-") {
    file.open(name, std::ios::binary);
    if (!file)
      throw refused{name + " cannot be read"};
  }
  auto text = std::ostringstream{};
  text << (name == "-" ? std::cin : file).rdbuf();
  return text.str();
}

}  // namespace

void add_scripts(CLI::App& products, session& s) {
  auto* g =
      group(products, "script", "The script between the bytes of a product's devices and JSON",
            "product script show meter");
  auto key = make<std::string>(), file = make<std::string>(), hex = make<std::string>(),
       message = make<std::string>();
  const auto path = [key](const std::string& rest) {
    return "~/products/" + encoded(*key) + "/decoder" + rest;
  };
  const auto etag = [&s, key] { return s.etag_of("~/products/" + encoded(*key)); };
  auto* set = command(*g, "set", "Give it a script", "product script set meter meter.lua");
  set->add_option("product", *key)->required();
  set->add_option("file", *file, "Lua; - reads it from what comes in")->required();
  set->callback([&s, path, etag, file] {
    s.request("PUT", path(""), {{"script", read_text(*file)}}, {{"If-Match", etag()}});
    s.say("set");
  });
  auto* show = command(*g, "show", "Show it", "product script show meter");
  show->add_option("product", *key)->required();
  show->callback([&s, path] {
    const auto got = s.request("GET", path(""));
    if (s.output == "table")
      std::cout << got["script"].get<std::string>();
    else
      s.show(got, {});
  });
  auto* remove = command(*g, "remove", "Take it away", "product script remove meter");
  remove->add_option("product", *key)->required();
  remove->callback([&s, path, etag] {
    s.request("DELETE", path(""), nullptr, {{"If-Match", etag()}});
    s.say("removed");
  });
  auto* test = command(*g, "test", "Run it, or the one of a file, on bytes or JSON",
                       "product script test meter --hex 01000000140100040000025f");
  test->add_option("product", *key)->required();
  test->add_option("--script", *file, "Lua, in place of the product's script");
  auto* bytes = test->add_option("--hex", *hex, "bytes of a device");
  test->add_option("--json", *message, "what the device is to be told: JSON or @file")
      ->excludes(bytes);
  test->callback([&s, path, file, hex, message] {
    auto body = json::object();
    if (!file->empty())
      body["script"] = read_text(*file);
    if (!message->empty())
      body["json"] = read_json(*message);
    else
      body["hex"] = *hex;
    const auto got = s.request("POST", path(":test"), body);
    s.show(got, {});
    if (!got["ok"].get<bool>())
      throw refused{got["error"]["detail"].get<std::string>()};
  });
}

}  // namespace orrery::app::cli
