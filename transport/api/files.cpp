// Files of devices (part of group M of the API). Their bytes go by links, on the ports of devices.
#include <charconv>

#include "model/organisation/device_filter.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/people.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"
#include "transport/device_quota.hpp"
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

// ---- of all devices

constexpr std::size_t devices_at_once = 50;

/// Where a page of files begins: a page of devices, and how many of its files were shown.
struct files_place {
  std::string devices;
  std::size_t skip = 0;
};

std::string write(const files_place& p) {
  return std::to_string(p.skip) + ' ' + p.devices;
}

files_place read_place(const std::string& text) {
  auto p = files_place{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), p.skip);
  if (error == std::errc{} && end != text.data() + text.size())
    p.devices = {end + 1, text.data() + text.size()};
  return p;
}

/// Files of the devices that a filter accepts, some devices at a time.
class all_files : public std::enable_shared_from_this<all_files> {
 public:
  all_files(exchange_ptr e, std::string filter, std::string status, files_place from,
            std::size_t limit)
      : e_{std::move(e)},
        filter_{std::move(filter)},
        status_{std::move(status)},
        at_{std::move(from)},
        limit_{limit} {}

  void read() {
    auto some = actors::device_list_question{.organisation = e_->who.organisation};
    some.filter = filter_;
    some.cursor = at_.devices;
    some.limit = devices_at_once;
    e_->parts().query->devices(
        std::move(some), [self = shared_from_this()](const model::result<actors::device_page>& p) {
          p ? self->take(*p) : self->e_->fail(p.error());
        });
  }

 private:
  void take(const actors::device_page& page) {
    auto seen = std::size_t{0};
    for (const auto& d : page.devices)
      for (const auto& f : d.what->files().all) {
        if (!status_.empty() && device::status_of(f, e_->parts().now()) != status_)
          continue;
        if (seen++ < at_.skip)
          continue;
        if (items_.size() == limit_)
          return reply(files_place{at_.devices, seen - 1});
        auto o = model::object{{"assetId", to_string(d.id)},
                               {"productKey", d.what->name().product_key},
                               {"deviceKey", d.what->name().device_key}};
        auto more = show(*e_, f);
        std::move(more.begin(), more.end(), std::back_inserter(o));
        items_.emplace_back(std::move(o));
      }
    at_ = {page.next, 0};
    if (page.next.empty() || items_.size() == limit_ || ++rounds_ == most_rounds)
      return reply(at_);
    read();
  }
  void reply(const files_place& next) {
    const auto is_last = next.devices.empty() && next.skip == 0;
    e_->reply_page(std::move(items_), is_last ? std::string{} : write(next));
  }

  static constexpr int most_rounds = 20;  // then a page may be short, and another one follows

  exchange_ptr e_;
  std::string filter_, status_;
  files_place at_;
  std::size_t limit_;
  model::array items_;
  int rounds_ = 0;
};

void list_all(const exchange_ptr& e) {
  const auto limit = e->limit();
  if (!limit)
    return e->fail(limit.error());
  const auto asked = e->query("filter"), status = e->query("status");
  if (!status.empty() && status != "pending" && status != "stored" && status != "lost")
    return e->fail(
        {errc::invalid_argument, "malformed", "status: expected pending, stored or lost"});
  const auto only = std::string{"fileBytes >= 0"};
  auto own = model::organisation::device_filter(
      asked.empty() ? only : '(' + asked + ") and " + only, products_of(*e), groups_of(*e));
  if (!own)
    return e->fail(own.error());
  const auto place = e->cursor();
  if (!place)
    return e->fail(place.error());
  e->with_reach(std::move(*own),
                [e, status, from = read_place(*place), limit = *limit](std::string filter) {
                  std::make_shared<all_files>(e, std::move(filter), status, from, limit)->read();
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
    const auto room = e->parts().files->take_room(e->who.organisation, order.what.size);
    if (!room)
      return e->fail(room.error());
    const auto size = order.what.size;
    e->parts().ask->ask(
        d.id, device_order(*e, std::move(order)),
        [e, room = *room, size](const actors::answer& got) {
          const auto* file = got ? device_reply<device::file_status>(*got) : nullptr;
          if (!file) {
            if (!got && device_quota::is_surely_not(got.error()))
              e->parts().files->give_back(e->who.organisation, size);
            return e->fail(got ? failure{errc::internal, "the device has said something else"}
                               : got.error());
          }
          auto h = exchange::revision_headers(*got);
          warn_of_quota(*e, {"fileBytes", room.used, size, room.soft, room.hard}, h);
          offer(e, 201, *file, std::move(h));
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
    const auto* found = d.state->files().find(e->param("file"));
    e->ask(d.id, device_order(*e, device::remove_file{e->param("file")}),
           [e, size = found ? found->size : 0](const actors::outcome& done) {
             e->parts().files->give_back(e->who.organisation, size);
             e->reply_empty(204, exchange::revision_headers(done));
           });
  });
}

}  // namespace

std::vector<route> file_routes() {
  return {
      {"GET", "~/files", "file:read", list_all, "listAllFiles",
       "Files of all devices, or of those that a filter accepts", "", "AllFiles", 200,
       "filter status limit cursor"},
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
