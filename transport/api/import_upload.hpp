// The body of an import: it goes into its operation piece by piece while it comes, so that no more
// than a piece is in memory.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "transport/api/exchange.hpp"
#include "transport/api/import_rows.hpp"

namespace orrery::transport::api {

/// What the query and the head of an import say.
struct import_order {
  row_format format = row_format::csv;
  std::string mode = "create", product;
  bool dry_run = false, secrets = false;
  std::int64_t rate = 0;
};
/// Fails: `invalid_argument` "malformed", "unsupported_media_type".
model::result<import_order> read_import_order(const http_request& head);

/// One call of it at a time. What is not finished is taken back with it.
class import_upload final : public body_sink, public std::enable_shared_from_this<import_upload> {
 public:
  /// With a failure: the body is not wanted.
  import_upload(std::shared_ptr<const service_parts> parts, identity who,
                model::result<import_order> order);
  ~import_upload() override;

  bool wanted() const override { return order_.has_value(); }
  std::uint64_t most() const override;
  void take(std::string bytes, std::function<void(bool more)> next) override;
  std::string digest() const override;

  /// The body is whole: answers.
  void finish(const exchange_ptr& e);

 private:
  void pump(bool at_end, std::function<void(bool)> done);
  void create(bool at_end, std::function<void(bool)> done);
  void send_piece(bool at_end, std::function<void(bool)> done);

  std::shared_ptr<const service_parts> parts_;
  identity who_;
  model::result<import_order> order_;
  std::string buffer_, digest_;
  model::entity_id id_;
  std::uint64_t pieces_ = 0;
  bool created_ = false, submitted_ = false;
  std::optional<model::failure> failure_;
};

}  // namespace orrery::transport::api
