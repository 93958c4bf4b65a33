#include "transport/file_exchange.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "model/json.hpp"
#include "observe/log.hpp"

namespace orrery::transport {
namespace {

namespace device = model::device;
namespace log = observe::log;
using model::errc;
using model::failure;

constexpr std::size_t piece_bytes = 256 * 1024;
/// A blob that is younger may be of an upload that its device does not know of yet.
constexpr auto least_age = std::chrono::hours{1};

std::string random_id() {
  constexpr std::string_view digits = "0123456789abcdef";
  constexpr std::size_t bytes = 8;
  const auto from = model::random_entropy();
  auto out = std::string{};
  for (std::size_t i = 0; i < bytes; ++i) {
    out += digits[from.at(i) >> 4];
    out += digits[from.at(i) & 15];
  }
  return out;
}

int status_of(const failure& why) {
  switch (why.code) {
    case errc::invalid_argument:
      return 422;
    case errc::too_large:
      return 413;
    case errc::not_found:
      return 404;
    case errc::already_exists:
    case errc::conflict:
      return 409;
    case errc::unauthenticated:
    case errc::forbidden:
      return 403;
    case errc::too_many_requests:
      return 429;
    case errc::unavailable:
    case errc::wrong_node:
      return 503;
    case errc::timeout:
      return 504;
    case errc::corrupted:
    case errc::internal:
      return 500;
  }
  return 500;
}

http_response refusal(const failure& why) {
  auto r = http_response{};
  r.status = status_of(why);
  r.content_type = "application/json";
  r.body = model::to_json(model::value{model::object{{"code", static_cast<std::int64_t>(r.status)},
                                                     {"reason", std::string{why.reason}},
                                                     {"message", why.detail}}});
  if (r.status == 503)
    r.headers.emplace_back("Retry-After", "1");
  return r;
}

/// As HTTP writes it (RFC 9110, 5.6.7).
std::string http_date(model::timestamp at) {
  const auto seconds = static_cast<std::time_t>(model::to_ms(at) / 1000);
  auto parts = std::tm{};
  ::gmtime_r(&seconds, &parts);
  constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  auto text = std::array<char, 64>{};
  const auto size = std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                  days.at(static_cast<std::size_t>(parts.tm_wday)), parts.tm_mday,
                                  months.at(static_cast<std::size_t>(parts.tm_mon)),
                                  parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return {text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

const device::file_status* status_in(const actors::answer& got) {
  if (!got)
    return nullptr;
  const auto* reply = std::get_if<device::reply>(&got->answer);
  return reply ? std::get_if<device::file_status>(reply) : nullptr;
}
failure failure_of(const actors::answer& got) {
  return got ? failure{errc::internal, "the device has said something else"} : got.error();
}

/// The link of a request for /files/<use>/<token>, if its time is not over.
model::result<file_link> link_of(const http_request& r, file_link::use what, const std::string& key,
                                 model::timestamp now) {
  auto link = r.path.size() == 3 ? read_link(r.path[2], key) : std::nullopt;
  if (!link || link->what != what)
    return failure{errc::forbidden, "link_invalid", "that link is none of ours"};
  if (link->expires <= now)
    return failure{errc::forbidden, "link_expired", "the time of that link is over: get another"};
  return *std::move(link);
}

/// Where the bytes of a PATCH begin, as it says.
model::result<std::uint64_t> offset_of(const http_request& r) {
  const auto text = r.header("upload-offset");
  auto n = std::uint64_t{0};
  const auto* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, n);
  if (error != std::errc{} || at != end)
    return failure{errc::invalid_argument, "offset_missing",
                   "Upload-Offset: expected the number of bytes that are here, as HEAD tells it"};
  return n;
}

/// What has come of a file that is refused for that reason is wanted no more.
bool is_over(const failure& why) {
  return why.reason == "file_stored" || why.reason == "file_lost" || why.reason == "file_unknown" ||
         why.reason == "device_unknown";
}
/// The same may work in a moment.
bool is_passing(const failure& why) {
  return why.code == errc::unavailable || why.code == errc::timeout ||
         why.code == errc::wrong_node || why.code == errc::too_many_requests;
}

bool is_for(const http_request& r, std::string_view use) {
  return r.path.size() >= 2 && r.path[0] == "files" && r.path[1] == use;
}

}  // namespace

struct file_exchange::figures {
  explicit figures(observe::metrics& m)
      : received{m.count("orrery_files_received_bytes_total", "Bytes of files that came by links")},
        sent{m.count("orrery_files_sent_bytes_total", "Bytes of files that went out by links")},
        uploads{m.count("orrery_files_uploads_total", "Files that came by links")},
        downloads{
            m.count("orrery_files_downloads_total", "Files, or parts, that went out by links")},
        refused{m.count("orrery_files_refused_total", "Requests at links that were refused")},
        swept{m.count("orrery_files_swept_total", "Blobs of no file that were removed")} {}
  observe::counter &received, &sent, &uploads, &downloads, &refused, &swept;
};

/// What a PUT brings, or a PATCH: the rest of a file of which some is here, or a part of that. The
/// device is asked before the first byte goes to the disk.
class file_exchange::upload final : public body_sink, public std::enable_shared_from_this<upload> {
 public:
  /// `from`: where the bytes begin of an upload that may go on later; nothing: they are all.
  upload(std::shared_ptr<file_exchange> of, model::result<file_link> link,
         std::optional<std::uint64_t> from)
      : of_{std::move(of)}, link_{std::move(link)}, from_{from} {}
  ~upload() override { put_aside(); }

  bool wanted() const override { return link_.has_value(); }
  std::uint64_t most() const override {
    const auto from = from_.value_or(0);
    return link_ && link_->size > from ? link_->size - from : 0;
  }
  void take(std::string bytes, std::function<void(bool)> next) override {
    of_->figures_->received.add(bytes.size());
    const auto then = [self = shared_from_this(), next](model::status ok) {
      if (!ok)
        self->failed_ = ok.error();
      next(static_cast<bool>(ok));
    };
    if (file_)
      return of_->parts_.blobs->append(file_, std::move(bytes), then);
    open([self = shared_from_this(), bytes = std::move(bytes), then](model::status ok) mutable {
      if (!ok)
        return then(std::move(ok));
      self->of_->parts_.blobs->append(self->file_, std::move(bytes), then);
    });
  }

  /// After the last piece: keeps it and tells the device; or puts it aside for the next.
  void finish(const responder& answer) {
    if (!link_)
      return refuse(answer, link_.error());
    if (failed_)
      return refuse(answer, *failed_);
    if (file_)
      return end(answer);
    open([self = shared_from_this(), answer](const model::status& ok) {  // nothing has come
      if (!ok)
        return self->refuse(answer, ok.error());
      self->end(answer);
    });
  }

 private:
  unfinished_files::name name() const { return {link_->device, link_->file, link_->organisation}; }

  void open(const std::function<void(model::status)>& then) {
    of_->parts_.ask->ask(link_->device, command_of(device::read_file{link_->file}),
                         [self = shared_from_this(), then](const actors::answer& got) {
                           const auto* is = status_in(got);
                           if (!is)
                             return then(failure_of(got));
                           if (auto good = self->of_->may_come(*is, *self->link_); !good)
                             return then(std::move(good));
                           self->wanted_ = is->what;
                           if (self->from_)
                             return self->go_on(then);
                           self->begin(then);
                         });
  }

  void begin(const std::function<void(model::status)>& then) {
    of_->parts_.blobs->begin([self = shared_from_this(), then](model::result<incoming> made) {
      if (!made)
        return then(made.error());
      self->file_ = std::move(*made);
      then({});
    });
  }

  /// With what has come before, if that ends where this begins.
  void go_on(const std::function<void(model::status)>& then) {
    auto found = of_->unfinished_->take(name());
    if (!found)
      return then(found.error());
    has_taken_ = true;
    file_ = std::move(*found);
    stays_ = file_ && file_->is_finished();
    const auto here = file_ ? file_->size() : 0;
    if (here != *from_)
      return then(failure{
          errc::conflict, "offset_mismatch",
          std::to_string(here) + " bytes are here, and these begin at " + std::to_string(*from_)});
    if (file_)
      return then({});
    begin(then);
  }

  void end(const responder& answer) {
    if (from_ && file_->size() < wanted_.size) {
      auto r = http_response{};
      r.status = 204;
      r.headers.emplace_back("Upload-Offset", std::to_string(file_->size()));
      put_aside();
      return answer(std::move(r));
    }
    keep(answer);
  }

  void keep(const responder& answer) {
    of_->parts_.blobs->finish(
        file_, [self = shared_from_this(), answer](const model::result<storage::blob_facts>& is) {
          if (!is)
            return self->refuse_whole(answer, is.error());
          const auto& want = self->wanted_;
          const auto fits = is->size == want.size &&
                            (want.sha256.empty() || want.sha256 == is->sha256) &&
                            (want.md5.empty() || want.md5 == is->md5);
          if (!fits)  // the device says what is wrong with it
            return self->tell(answer, *is);
          self->of_->parts_.blobs->keep(self->file_, self->link_->device.shard,
                                        to_string(self->link_->device),
                                        [self, answer, is = *is](const model::status& kept) {
                                          if (!kept)
                                            return self->refuse_whole(answer, kept.error());
                                          self->tell(answer, is);
                                        });
        });
  }

  void tell(const responder& answer, const storage::blob_facts& is) {
    of_->parts_.ask->ask(link_->device,
                         command_of(device::store_file{link_->file, is.size, is.sha256, is.md5}),
                         [self = shared_from_this(), answer](const actors::answer& got) {
                           const auto* now = status_in(got);
                           if (!now)
                             return self->refuse_whole(answer, failure_of(got));
                           self->put_aside(true);
                           if (!self->from_)  // what PATCHes have brought before
                             self->of_->let_go(self->of_->unfinished_->drop(self->name()));
                           self->of_->figures_->uploads.add();
                           auto r = http_response{};
                           r.status = 201;
                           r.content_type = "application/json";
                           r.headers.emplace_back("ETag", '"' + now->what.sha256 + '"');
                           r.body = model::to_json(model::value{model::object{
                               {"code", std::int64_t{200}},
                               {"data", model::object{{"fileUri", device::uri_of(now->what)},
                                                      {"sha256", now->what.sha256},
                                                      {"md5", now->what.md5}}}}});
                           answer(std::move(r));
                         });
  }

  void refuse(const responder& answer, const failure& why) {
    auto r = refusal(why);
    if (why.reason == "offset_mismatch")
      r.headers.emplace_back("Upload-Offset", std::to_string(file_ ? file_->size() : 0));
    const auto over = link_ && is_over(why);
    if (over && !has_taken_)
      of_->let_go(of_->unfinished_->drop(name()));
    put_aside(over);
    of_->figures_->refused.add();
    answer(std::move(r));
  }
  /// All has come: if what failed may work in a moment it waits for a PATCH that brings nothing.
  void refuse_whole(const responder& answer, const failure& why) {
    stays_ = is_passing(why);
    refuse(answer, why);
  }
  /// What was not kept waits for the rest, if that may come; else it goes where it blocks nobody.
  void put_aside(bool is_over = false) {
    auto left = std::exchange(file_, {});
    if (std::exchange(has_taken_, false)) {
      const auto goes_on =
          !is_over && left && (left->takes_more() || (stays_ && left->is_finished()));
      of_->let_go(of_->unfinished_->give_back(name(), goes_on ? left : nullptr, of_->parts_.now()));
      if (goes_on)
        return;
    }
    if (left)
      of_->let_go({std::move(left)});
  }
  static device::command command_of(device::order what) {
    return {std::move(what), {}, "link", {}};
  }

  using incoming = actors::blob_access::incoming;
  std::shared_ptr<file_exchange> of_;
  model::result<file_link> link_;
  std::optional<std::uint64_t> from_;
  bool has_taken_ = false;  // what is unfinished is here: it is to be given back
  bool stays_ = false;      // also if all of it has come
  incoming file_;
  device::file_record wanted_;
  std::optional<failure> failed_;
};

file_exchange::file_exchange(file_exchange_parts parts)
    : parts_{std::move(parts)}, figures_{std::make_unique<figures>(*parts_.metrics)} {
  parts_.metrics->gauge(
      "orrery_blobs", "Contents of files that are kept here",
      [store = parts_.blobs->store()] { return static_cast<double>(store->count()); });
  parts_.metrics->gauge("orrery_blobs_bytes", "Bytes of them", [store = parts_.blobs->store()] {
    return static_cast<double>(store->bytes());
  });
  parts_.metrics->gauge("orrery_files_unfinished",
                        "Uploads of which some has come and that may go on",
                        [files = unfinished_] { return static_cast<double>(files->count()); });
}

file_exchange::~file_exchange() = default;

void file_exchange::stop() {
  parts_.ask.reset();
}

void file_exchange::serve_at(std::string base) {
  const auto hold = std::lock_guard{mutex_};
  base_ = std::move(base);
}

device::add_file file_exchange::new_file() const {
  auto out = device::add_file{};
  out.what.id = random_id();
  out.limits = parts_.limits;
  return out;
}

model::result<file_room> file_exchange::take_room(const std::string& organisation,
                                                  std::uint64_t bytes) const {
  if (!parts_.quota || bytes > parts_.limits.most_bytes_each)
    return file_room{};
  return parts_.quota->take(organisation, bytes);
}

void file_exchange::give_back(const std::string& organisation, std::uint64_t bytes) const {
  if (parts_.quota && bytes <= parts_.limits.most_bytes_each)
    parts_.quota->give_back(organisation, bytes);
}

shown_link file_exchange::link_to(const device::file_status& file, file_link::use what) const {
  auto link = file_link{};
  link.what = what;
  link.organisation = file.organisation;
  link.device = file.device;
  link.file = file.what.id;
  link.size = file.what.size;
  link.sha256 = file.what.sha256;
  link.expires = parts_.now() + parts_.link_lifetime;
  const auto hold = std::lock_guard{mutex_};
  return {base_ + (what == file_link::use::upload ? "/files/u/" : "/files/d/") +
              sign_link(link, parts_.key),
          link.expires};
}
shown_link file_exchange::upload_link(const device::file_status& file) const {
  return link_to(file, file_link::use::upload);
}
shown_link file_exchange::download_link(const device::file_status& file) const {
  return link_to(file, file_link::use::download);
}

body_taker file_exchange::taker() {
  return [self = shared_from_this()](const http_request& r) -> std::shared_ptr<body_sink> {
    if (!is_for(r, "u") || (r.method != "PUT" && r.method != "PATCH"))
      return nullptr;
    auto link = link_of(r, file_link::use::upload, self->parts_.key, self->parts_.now());
    if (r.method == "PUT")
      return std::make_shared<upload>(self, std::move(link), std::nullopt);
    const auto from = offset_of(r);
    if (link && !from)
      link = from.error();
    return std::make_shared<upload>(self, std::move(link), from ? *from : 0);
  };
}

http_handler file_exchange::handler() {
  return [self = shared_from_this()](const std::shared_ptr<const http_request>& r,
                                     const responder& answer) {
    const auto gets = r->method == "GET" || r->method == "HEAD";
    if (is_for(*r, "u") && (r->method == "PUT" || r->method == "PATCH"))
      return self->put(r, answer);
    if (is_for(*r, "u") && r->method == "HEAD")
      return self->tell_offset(r, answer);
    if (is_for(*r, "d") && gets)
      return self->get(r, answer);
    auto no = refusal({errc::not_found, "", "nothing is served at that path"});
    if (is_for(*r, "u") || is_for(*r, "d")) {
      no.status = 405;
      no.headers.emplace_back("Allow", is_for(*r, "u") ? "HEAD, PATCH, PUT" : "GET, HEAD");
    }
    answer(std::move(no));
  };
}

void file_exchange::put(const std::shared_ptr<const http_request>& request,
                        const responder& answer) {
  if (const auto sink = std::dynamic_pointer_cast<upload>(request->sink))
    return sink->finish(answer);
  answer(refusal({errc::internal, "the body of an upload went elsewhere"}));
}

/// How much has come, for whoever wants to go on.
void file_exchange::tell_offset(const std::shared_ptr<const http_request>& request,
                                const responder& answer) {
  const auto refuse = [self = shared_from_this(), answer](const failure& why) {
    self->figures_->refused.add();
    answer(refusal(why));
  };
  const auto link = link_of(*request, file_link::use::upload, parts_.key, parts_.now());
  if (!link)
    return refuse(link.error());
  parts_.ask->ask(
      link->device, device::command{device::read_file{link->file}, {}, "link", {}},
      [self = shared_from_this(), answer, refuse, link = *link](const actors::answer& got) {
        const auto* is = status_in(got);
        if (!is) {
          const auto why = failure_of(got);
          if (is_over(why))
            self->let_go(self->unfinished_->drop({link.device, link.file, link.organisation}));
          return refuse(why);
        }
        const auto good = self->may_come(*is, link);
        const auto has_come = !good && good.error().reason == "file_stored";
        const auto name = unfinished_files::name{link.device, link.file, link.organisation};
        if (!good)
          self->let_go(self->unfinished_->drop(name));
        if (!good && !has_come)
          return refuse(good.error());
        const auto here =
            has_come ? model::result<std::uint64_t>{link.size} : self->unfinished_->size(name);
        if (!here)
          return refuse(here.error());
        auto r = http_response{};
        r.status = 204;
        r.headers = {{"Upload-Offset", std::to_string(*here)},
                     {"Upload-Length", std::to_string(link.size)},
                     {"Cache-Control", "no-store"}};
        answer(std::move(r));
      });
}

model::status file_exchange::may_come(const device::file_status& is, const file_link& link) const {
  const auto status = device::status_of(is.what, parts_.now());
  if (status == "stored")
    return failure{errc::conflict, "file_stored", "that file has its bytes already"};
  if (status == "lost" || is.what.size != link.size)
    return failure{errc::conflict, "file_lost", "that link is good no more"};
  return {};
}

/// What is closed and removed takes the disk's time.
void file_exchange::let_go(std::vector<unfinished_files::incoming> gone) {
  if (!gone.empty())
    (void)parts_.blobs->run([gone = std::move(gone)] {});
}

void file_exchange::get(const std::shared_ptr<const http_request>& request,
                        const responder& answer) {
  const auto refuse = [self = shared_from_this(), answer](const failure& why) {
    self->figures_->refused.add();
    answer(refusal(why));
  };
  const auto link = link_of(*request, file_link::use::download, parts_.key, parts_.now());
  if (!link)
    return refuse(link.error());
  parts_.ask->ask(
      link->device, device::command{device::read_file{link->file}, {}, "link", {}},
      [self = shared_from_this(), request, answer, refuse,
       link = *link](const actors::answer& got) {
        const auto* is = status_in(got);
        if (!is)
          return refuse(failure_of(got));
        if (device::status_of(is->what, self->parts_.now()) != "stored")
          return refuse({errc::not_found, "file_pending", "that file has not come yet"});
        if (!link.sha256.empty() && link.sha256 != is->what.sha256)
          return refuse({errc::forbidden, "link_invalid", "that link is of other bytes"});
        const auto name = storage::blob_name{to_string(is->device), is->what.sha256};
        self->parts_.blobs->find(
            is->device.shard, name,
            [self, request, answer, refuse, name,
             file = is->what](const model::result<std::uint64_t>& size) {
              if (!size && size.error().code == errc::not_found)
                return refuse({errc::not_found, "file_lost", "the bytes of that file are nowhere"});
              if (!size)
                return refuse(size.error());
              const auto tag = '"' + file.sha256 + '"';
              const auto changed = http_date(file.stored_at);
              const auto condition = request->header("if-range");
              const auto part =
                  part_of(request->header("range"),
                          condition == changed ? std::string_view{} : condition, tag, *size);
              auto r = http_response{};
              r.headers = {{"ETag", tag},
                           {"Last-Modified", changed},
                           {"Accept-Ranges", "bytes"},
                           {"Cache-Control", "private, no-store"},
                           {"X-Content-Type-Options", "nosniff"},
                           {"Content-Disposition", disposition_of(file.name)}};
              if (request->header("if-none-match") == tag) {
                r.status = 304;
                return answer(std::move(r));
              }
              if (part.what == file_part::kind::none) {
                r = refusal({errc::invalid_argument, "", "the range lies behind the file's end"});
                r.status = 416;
                r.headers.emplace_back("Content-Range", "bytes */" + std::to_string(*size));
                return answer(std::move(r));
              }
              if (part.what == file_part::kind::part) {
                r.status = 206;
                r.headers.emplace_back("Content-Range",
                                       "bytes " + std::to_string(part.first) + '-' +
                                           std::to_string(part.first + part.size - 1) + '/' +
                                           std::to_string(*size));
              }
              r.content_type = "application/octet-stream";
              r.source_size = part.size;
              self->figures_->downloads.add();
              r.source = [self, name, at = part.first,
                          left = part.size](http_response::piece_taker take) mutable {
                const auto size_now =
                    static_cast<std::size_t>(std::min<std::uint64_t>(left, piece_bytes));
                self->parts_.blobs->read(name, at, size_now,
                                         [self, take](model::result<std::string> piece) {
                                           if (!piece)
                                             return take(std::nullopt);
                                           self->figures_->sent.add(piece->size());
                                           take(std::move(*piece));
                                         });
                at += size_now;
                left -= size_now;
              };
              answer(std::move(r));
            });
      });
}

void file_exchange::look_after(std::size_t most) {
  let_go(unfinished_->sweep(parts_.now()));
  parts_.blobs->list(looked_at_, most,
                     [self = shared_from_this(),
                      most](const model::result<std::vector<storage::listed_blob>>& all) {
                       if (!all)
                         return log::warn("files", "not_listed", {{"detail", all.error().detail}});
                       // A page that is not full was the last one: the next look begins with the
                       // first.
                       self->looked_at_ =
                           all->size() < most ? storage::blob_name{} : all->back().name;
                       for (const auto& one : *all)
                         self->look_at(one);
                     });
}

void file_exchange::look_at(const storage::listed_blob& one) {
  const auto whose = model::parse_entity_id(one.name.owner);
  const auto written = model::from_ms(one.written_at * 1000);
  if (!whose || written + least_age > parts_.now())
    return;
  parts_.ask->ask(
      *whose, device::command{device::read_device{}, {}, "files", {}},
      [self = shared_from_this(), name = one.name, at = one.written_at,
       shard = whose->shard](const actors::answer& got) {
        auto wanted = false;
        if (got) {
          const auto* reply = std::get_if<device::reply>(&got->answer);
          const auto* is = reply ? std::get_if<device::device_snapshot>(reply) : nullptr;
          if (!is)
            return;
          for (const auto& f : is->what->files().all)
            wanted = wanted || f.sha256 == name.sha256;
        } else if (got.error().reason != "device_unknown") {
          return;  // nobody can say
        }
        if (wanted)
          return self->parts_.blobs->spread(shard, name, [name](const model::status& ok) {
            if (!ok)
              log::warn("files", "not_copied",
                        {{"owner", name.owner}, {"detail", ok.error().detail}});
          });
        self->parts_.blobs->remove(name, at, [self](const model::status& ok) {
          if (ok)
            self->figures_->swept.add();
        });
      });
}

model::value upload_offer(const device::file_record& file, const shown_link& link) {
  return model::object{{"fileUri", device::uri_of(file)},
                       {"uploadUrl", link.url},
                       {"filename", file.name},
                       {"headers", model::object{}},
                       {"expires", model::to_ms(link.expires)}};
}

model::value download_offer(const device::file_record& file, const shown_link& link) {
  return model::object{{"fileUri", device::uri_of(file)},
                       {"downloadUrl", link.url},
                       {"filename", file.name},
                       {"fileLength", static_cast<std::int64_t>(file.size)},
                       {"md5", file.md5},
                       {"sha256", file.sha256},
                       {"expires", model::to_ms(link.expires)}};
}

}  // namespace orrery::transport
