// Log-ins of devices that were refused, as records of the audit logs of their organisations: the
// first of a sort at once, of those that follow a number each minute. Strangers can be refused
// without end, so what they leave is bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "model/result.hpp"
#include "model/time.hpp"
#include "model/value.hpp"

namespace orrery::transport {

struct refused_login {
  std::string organisation;         // that is there, and whose the product is
  std::string product_key, device;  // as they were told; a client of general topics has no product
  std::string address;
  model::errc code = model::errc::unauthenticated;
  std::string reason;
};

/// Thread-safe.
class refused_logins {
 public:
  /// Writes a record; `id` stands in it as "requestId".
  using writer =
      std::function<void(std::string organisation, std::string id, model::object record)>;
  /// So many sorts (product, device, address, reason) of one organisation are counted at a time,
  /// each by itself; of more there is one number for the organisation.
  static constexpr std::size_t max_sorts = 20;
  /// And so many records an hour has each organisation of this node; then all are that one number,
  /// a record every ten minutes at most.
  static constexpr std::uint32_t max_records = 60;
  /// Organisations that are counted at a time; of more there are no records.
  static constexpr std::size_t max_organisations = 1'000;

  refused_logins(writer write, std::function<model::timestamp()> now);

  void note(const refused_login& what);
  /// Writes the numbers whose minute is over. Once a second or so.
  void look_after();
  /// Writes all numbers: the node stops.
  void flush();

 private:
  using sort = std::tuple<std::string, std::string, std::string, std::string>;
  struct counted {
    refused_login last;
    model::timestamp since;
    std::uint64_t more = 0;
  };
  struct organisation {
    std::map<sort, counted> sorts;
    counted many;  // of all sorts; nothing while `more` is 0
    model::timestamp hour{};
    std::uint32_t records = 0;  // in that hour
  };
  struct record {
    std::string organisation, id;
    model::object entry;
  };

  bool takes_record(organisation& o, model::timestamp now) const;
  void count_many(organisation& o, const refused_login& what, std::uint64_t number,
                  model::timestamp now);
  record record_of(const counted& c, bool is_many);
  std::vector<record> collect(model::timestamp now, bool all);
  void write(std::vector<record> all) const;

  writer write_;
  std::function<model::timestamp()> now_;
  const std::string prefix_;
  std::mutex mutex_;
  std::uint64_t number_ = 0;
  std::map<std::string, organisation> organisations_;
};

}  // namespace orrery::transport
