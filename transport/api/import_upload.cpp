#include "transport/api/import_upload.hpp"

#include <charconv>

#include "transport/api/operation_view.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

namespace operation = model::operation;
using model::errc;
using model::failure;

constexpr std::int64_t max_rate = 100'000;

failure malformed(std::string detail) {
  return {errc::invalid_argument, "malformed", std::move(detail)};
}

model::result<bool> truth(const http_request& head, std::string_view name) {
  const auto* text = head.parameter(name);
  if (!text || *text == "false")
    return false;
  if (*text == "true")
    return true;
  return malformed(std::string{name} + ": expected true or false");
}

}  // namespace

model::result<import_order> read_import_order(const http_request& head) {
  auto o = import_order{};
  const auto type = head.header("content-type");
  if (type.find("ndjson") != std::string_view::npos)
    o.format = row_format::ndjson;
  else if (type.find("text/csv") == std::string_view::npos)
    return failure{errc::invalid_argument, "unsupported_media_type",
                   "the body must be text/csv or application/x-ndjson"};
  if (const auto coding = head.header("content-encoding"); !coding.empty() && coding != "identity")
    return failure{errc::invalid_argument, "unsupported_media_type",
                   "a body with Content-Encoding " + std::string{coding} + " is not understood"};
  if (const auto* mode = head.parameter("mode"))
    o.mode = *mode;
  if (o.mode != "create" && o.mode != "update" && o.mode != "upsert")
    return malformed("mode: expected create, update or upsert");
  if (const auto* product = head.parameter("product"))
    o.product = *product;
  const auto dry_run = truth(head, "dryRun"), secrets = truth(head, "secrets");
  if (!dry_run || !secrets)
    return dry_run ? secrets.error() : dry_run.error();
  o.dry_run = *dry_run;
  o.secrets = *secrets;
  if (const auto* rate = head.parameter("rate")) {
    const auto [end, error] = std::from_chars(rate->data(), rate->data() + rate->size(), o.rate);
    if (error != std::errc{} || end != rate->data() + rate->size() || o.rate < 1 ||
        o.rate > max_rate)
      return malformed("rate: expected rows a second, from 1 to 100000");
  }
  return o;
}

import_upload::import_upload(std::shared_ptr<const service_parts> parts, identity who,
                             model::result<import_order> order)
    : parts_{std::move(parts)}, who_{std::move(who)}, order_{std::move(order)} {}

import_upload::~import_upload() {
  if (created_ && !submitted_)
    parts_->ask->ask(id_, operation_order(who_, operation::cancel_operation{}),
                     [](const actors::answer&) {});
}

std::uint64_t import_upload::most() const {
  return parts_->settings.operations.max_input_bytes;
}

std::string import_upload::digest() const {
  return model::sha256_hex(digest_ + model::sha256_hex(buffer_));
}

void import_upload::take(std::string bytes, std::function<void(bool more)> next) {
  buffer_ += bytes;
  pump(false, std::move(next));
}

void import_upload::pump(bool at_end, std::function<void(bool)> done) {
  if (failure_)
    return done(false);
  if (buffer_.size() < operation::input_piece_bytes && !at_end)
    return done(true);
  if (!created_)
    return create(at_end, std::move(done));
  if (buffer_.empty())
    return done(true);
  send_piece(at_end, std::move(done));
}

void import_upload::create(bool at_end, std::function<void(bool)> done) {
  const auto& o = *order_;
  auto request = model::object{{"format", o.format == row_format::csv ? "csv" : "ndjson"},
                               {"mode", o.mode},
                               {"dryRun", o.dry_run}};
  if (!o.product.empty())
    request.emplace_back("product", o.product);
  if (o.rate > 0)
    request.emplace_back("rate", o.rate);
  if (o.format == row_format::csv) {
    const auto head = read_csv_head(buffer_, at_end);
    if (!head) {
      failure_ = head.error();
      return done(false);
    }
    auto columns = model::array{};
    for (const auto& c : head->columns)
      columns.emplace_back(c);
    request.emplace_back("columns", std::move(columns));
    request.emplace_back("begin", static_cast<std::int64_t>(head->begin));
  } else if (buffer_.empty()) {
    failure_ = failure{errc::invalid_argument, "import_invalid", "the file is empty"};
    return done(false);
  }
  id_ = fresh_operation(*parts_, who_.organisation);
  auto what = new_operation(*parts_, who_, id_, operation::work_kind::import_devices,
                            std::move(request), "device:write");
  what.receives = true;
  what.wants_secrets = o.secrets;
  make_room(*parts_, who_.organisation,
            [self = shared_from_this(), at_end, done, what = std::move(what)] {
              self->parts_->ask->ask(self->id_, operation_order(self->who_, what),
                                     [self, at_end, done](const actors::answer& got) {
                                       self->created_ = got || got.error().code == errc::timeout;
                                       if (!got) {
                                         self->failure_ = got.error();
                                         return done(false);
                                       }
                                       self->pump(at_end, done);
                                     });
            });
}

void import_upload::send_piece(bool at_end, std::function<void(bool)> done) {
  auto piece = buffer_.substr(0, operation::input_piece_bytes);
  buffer_.erase(0, piece.size());
  digest_ = model::sha256_hex(digest_ + model::sha256_hex(piece));
  parts_->ask->ask(id_, operation_order(who_, operation::add_input{pieces_, std::move(piece)}),
                   [self = shared_from_this(), at_end, done](const actors::answer& got) {
                     if (!got) {
                       self->failure_ = got.error();
                       return done(false);
                     }
                     ++self->pieces_;
                     self->pump(at_end, done);
                   });
}

void import_upload::finish(const exchange_ptr& e) {
  if (!order_)
    return e->fail(order_.error());
  if (e->who.actor != who_.actor || e->who.organisation != who_.organisation)
    return e->fail({errc::forbidden, "forbidden", "it was begun by somebody else"});
  if (!order_->product.empty() && !e->product(order_->product))
    return e->fail({errc::not_found, "product_unknown", "no product " + order_->product});
  pump(true, [self = shared_from_this(), e](bool ok) {
    if (!ok)
      return e->fail(*self->failure_);
    e->ask(self->id_, operation_order(self->who_, operation::submit_operation{}),
           [self, e](const actors::outcome& done) {
             self->submitted_ = true;
             reply_begun(e, done);
           });
  });
}

}  // namespace orrery::transport::api
