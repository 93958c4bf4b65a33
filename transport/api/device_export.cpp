// Writes the devices that a filter finds into a file.
#include "model/json.hpp"
#include "model/time_text.hpp"
#include "transport/api/csv.hpp"
#include "transport/api/device_work.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace operation = model::operation;

constexpr std::size_t most_at_once = 500;
constexpr auto behind_all = "end";

/// A member of a device as a column has it; null if it has none.
model::value cell_of(const std::string& column, const model::entity_id& id,
                     const device::state& s) {
  const auto time = [](model::timestamp t) {
    return t == model::timestamp{} ? model::value{} : model::value{model::to_text(t)};
  };
  if (column.starts_with("attributes.")) {
    for (const auto& [name, v] : s.attributes)
      if (column.compare(11, std::string::npos, name) == 0)
        return v;
    return {};
  }
  if (column.starts_with("tags.")) {
    const auto found = s.tags->find(column.substr(5));
    return found == s.tags->end() ? model::value{} : model::value{found->second};
  }
  if (column == "assetId")
    return to_string(id);
  if (column == "productKey")
    return s.name().product_key;
  if (column == "deviceKey")
    return s.name().device_key;
  if (column == "name")
    return s.display_name;
  if (column == "description")
    return s.description->empty() ? model::value{} : model::value{*s.description};
  if (column == "timezone")
    return s.timezone->empty() ? model::value{} : model::value{*s.timezone};
  if (column == "status")
    return device::status_of(s);
  if (column == "gateway")
    return s.gateway().empty()
               ? model::value{}
               : model::value{s.gateway().name.product_key + '/' + s.gateway().name.device_key};
  if (column == "createdAt")
    return time(s.created_at);
  if (column == "updatedAt")
    return time(s.updated_at);
  if (column == "activatedAt")
    return time(s.activated_at.value_or(model::timestamp{}));
  if (column == "lastOnlineAt")
    return time(s.last_online);
  if (column == "lastDataAt")
    return time(s.last_data);
  return {};
}

std::string text_of_cell(const model::value& v) {
  return v.is_null() ? std::string{} : v.is_string() ? v.as_string() : model::to_json(v);
}

class device_export final : public work_base {
 public:
  device_export(work_parts parts, actors::work_order order, model::value request)
      : work_base{std::move(parts), std::move(order), std::move(request)} {
    if (const auto* columns = request_.find("columns"); columns && columns->is_array())
      for (const auto& c : columns->as_array())
        columns_.push_back(c.as_string());
  }

  model::result<actors::work_step> step(const std::string& position,
                                        std::size_t max_rows) override {
    if (position == behind_all) {
      auto done = actors::work_step{.position = position, .more = {}, .total = {}, .result = {}};
      done.last = true;
      return done;
    }
    auto q = actors::device_list_question{.organisation = operation().organisation};
    q.filter = text_of(request_, "filter");
    q.cursor = position;
    for (q.limit = std::min(max_rows, most_at_once);; q.limit = q.limit / 4 + 1) {
      auto done = page_of(q, position.empty());
      if (!done || done->result.size() <= operation::max_result_piece_bytes)
        return done;
      if (q.limit == 1)
        return model::failure{model::errc::too_large, "export_row_too_large",
                              "a device fills more than 1 MiB of the file: ask for fewer columns"};
    }
  }

 private:
  model::result<actors::work_step> page_of(const actors::device_list_question& q, bool first) {
    const auto page = actors::read_and_wait(*parts_.query, q);
    if (!page)
      return page.error();
    auto done = actors::work_step{};
    const auto csv = operation().form == operation::result_form::csv;
    if (csv && first)
      write_csv(done.result, columns_);
    for (const auto& d : page->devices) {
      if (!reaches(d.id, *d.what))
        continue;
      csv ? add_csv(d, done.result) : add_json(d, done.result);
      ++done.more.ok;
      if (done.result.size() > operation::max_result_piece_bytes)
        return done;  // it is asked for with fewer devices
    }
    done.last = page->next.empty();
    done.position = done.last ? behind_all : page->next;
    return done;
  }

  void add_csv(const actors::listed_device& d, std::string& out) const {
    auto row = csv_row{};
    for (const auto& c : columns_)
      row.push_back(text_of_cell(cell_of(c, d.id, *d.what)));
    write_csv(out, row);
  }
  void add_json(const actors::listed_device& d, std::string& out) const {
    auto o = model::object{}, attributes = o, tags = o;
    for (const auto& c : columns_) {
      if (c == "attributes") {
        attributes = d.what->attributes;
      } else if (c == "tags") {
        for (const auto& [k, v] : *d.what->tags)
          tags.emplace_back(k, v);
      } else if (auto v = cell_of(c, d.id, *d.what); v.is_null()) {
        continue;
      } else if (c.starts_with("attributes.")) {
        attributes.emplace_back(c.substr(11), std::move(v));
      } else if (c.starts_with("tags.")) {
        tags.emplace_back(c.substr(5), std::move(v));
      } else {
        o.emplace_back(c, std::move(v));
      }
    }
    if (!attributes.empty())
      o.emplace_back("attributes", std::move(attributes));
    if (!tags.empty())
      o.emplace_back("tags", std::move(tags));
    model::write_json(o, out);
    out += '\n';
  }

  std::vector<std::string> columns_;
};

}  // namespace

std::unique_ptr<actors::operation_work> export_work(work_parts parts, actors::work_order order,
                                                    model::value request) {
  return std::make_unique<device_export>(std::move(parts), std::move(order), std::move(request));
}

}  // namespace orrery::transport::api
