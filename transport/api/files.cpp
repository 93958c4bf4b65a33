// Files of devices (part of group M of the API). Their bytes go by links, on the ports of devices.
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"
#include "transport/file_exchange.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

const auto unknown = failure{errc::not_found, "file_unknown", "no such file here"};
const auto not_there = failure{errc::conflict, "file_pending", "that file has not come yet"};

model::object show(const exchange& e, const device::file_record& f) {
  auto o = model::object{{"id", f.id},
                         {"fileUri", device::uri_of(f)},
                         {"filename", f.name},
                         {"fileLength", static_cast<std::int64_t>(f.size)},
                         {"status", device::status_of(f, e.parts().now())},
                         {"createdAt", e.show(f.created_at)},
                         {"createdBy", f.actor}};
  if (!f.md5.empty())
    o.emplace_back("md5", f.md5);
  if (!f.sha256.empty())
    o.emplace_back("sha256", f.sha256);
  if (f.state == device::file_record::state_code::stored)
    o.emplace_back("storedAt", e.show(f.stored_at));
  return o;
}

void list(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    auto items = model::array{};
    for (const auto& f : d.state->files().all)
      items.emplace_back(show(*e, f));
    e->reply_page(std::move(items), "");
  });
}

void get(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    const auto* found = d.state->files().find(e->param("file"));
    if (!found)
      return e->fail(unknown);
    e->reply_one(show(*e, *found));
  });
}

/// The link at which the bytes of a file that has not come are awaited.
void offer(const exchange_ptr& e, int status, const device::file_status& file,
           exchange::headers headers) {
  const auto link = e->parts().files->upload_link(file);
  auto o = show(*e, file.what);
  o.emplace_back("uploadUrl", link.url);
  o.emplace_back("headers", model::object{});
  o.emplace_back("expires", e->show(link.expires));
  e->reply(status, std::move(o), std::move(headers));
}

void add(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto order = e->parts().files->new_file();
  order.what.name = f.text("filename").value_or("");
  order.what.size = static_cast<std::uint64_t>(f.integer("fileLength", 0, INT64_MAX).value_or(0));
  order.what.md5 = f.text("md5").value_or("");
  order.what.sha256 = f.text("sha256").value_or("");
  order.what.actor = e->who.actor;
  for (const auto* needed : {"filename", "fileLength"})
    if (!f.has(needed))
      f.missing(needed);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, order = std::move(order)](const found_device& d) mutable {
    e->ask(d.id, device_order(*e, std::move(order)), [e](const actors::outcome& done) {
      const auto* file = device_reply<device::file_status>(done);
      if (!file)
        return e->fail({errc::internal, "the device has said something else"});
      offer(e, 201, *file, exchange::revision_headers(done));
    });
  });
}

/// A link to what is there.
void with_link(const exchange_ptr& e, const std::function<void(const shown_link&)>& then) {
  e->with_device([e, then](const found_device& d) {
    const auto* found = d.state->files().find(e->param("file"));
    if (!found)
      return e->fail(unknown);
    if (device::status_of(*found, e->parts().now()) != "stored")
      return e->fail(not_there);
    then(e->parts().files->download_link({d.id, d.state->organisation(), *found}));
  });
}

/// For an upload that goes on when the time of its link is over.
void upload_link(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    const auto* found = d.state->files().find(e->param("file"));
    if (!found)
      return e->fail(unknown);
    const auto status = device::status_of(*found, e->parts().now());
    if (status == "stored")
      return e->fail({errc::conflict, "file_stored", "that file has its bytes already"});
    if (status == "lost")
      return e->fail({errc::conflict, "file_lost", "the bytes of that file did not come in time"});
    offer(e, 200, {d.id, d.state->organisation(), *found}, {});
  });
}

void link(const exchange_ptr& e) {
  with_link(e, [e](const shown_link& to) {
    e->reply(200, model::object{{"downloadUrl", to.url}, {"expires", e->show(to.expires)}});
  });
}

void content(const exchange_ptr& e) {
  with_link(e, [e](const shown_link& to) {
    e->reply_empty(307, {{"Location", to.url}, {"Cache-Control", "no-store"}});
  });
}

void remove(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    e->ask(d.id, device_order(*e, device::remove_file{e->param("file")}),
           [e](const actors::outcome& done) {
             e->reply_empty(204, exchange::revision_headers(done));
           });
  });
}

}  // namespace

std::vector<route> file_routes() {
  return {
      {"GET", "@d/files", "file:read", list, "listFiles", "Files of a device, oldest first", "",
       "FileList", 200, ""},
      {"GET", "@d/files/{file}", "file:read", get, "getFile", "What is known of a file", "", "File",
       200, ""},
      {"POST", "@d/files", "file:write", add, "addFile",
       "A new file of a device: its bytes go to `uploadUrl` by PUT, once, within the hour",
       "FileRequest", "FileUpload", 201, ""},
      {"POST", "@d/files/{file}:link", "file:read", link, "linkFile",
       "A link to the bytes of a file that is good without a login, for a time", "", "FileLink",
       200, ""},
      {"POST", "@d/files/{file}:uploadLink", "file:write", upload_link, "linkUpload",
       "Another link to put the bytes of a file that has not come", "", "FileUpload", 200, ""},
      {"GET", "@d/files/{file}/content", "file:read", content, "getFileContent",
       "The bytes of a file: leads to such a link", "", "", 307, ""},
      {"DELETE", "@d/files/{file}", "file:write", remove, "deleteFile",
       "Delete a file; values that name it stay as they are", "", "", 204, ""},
  };
}

}  // namespace orrery::transport::api
