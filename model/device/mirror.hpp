// What a mirror shows: the points of another device, its source, by ids of its own. Pure; any
// thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/device/device.hpp"

namespace orrery::model::device {

/// By own ids those of the source, none of which is there twice; empty: all as they are.
using point_map = std::map<std::string, std::string>;

/// What the source is asked for when `own` ids (empty: all) are wanted of the mirror: empty is all
/// of its points; nothing: none of them is shown.
std::optional<std::vector<std::string>> points_of_source(const point_map& points,
                                                         const std::vector<std::string>& own);

/// The way back: what the source's points are called where they are shown.
class shown_names {
 public:
  /// Of a map that lives as long.
  explicit shown_names(const point_map& points);
  /// Null: it is not shown.
  const std::string* of(const std::string& source_id) const;

 private:
  bool all_ = false;
  std::map<std::string_view, const std::string*> by_source_;
};

/// The newest points of the source as the mirror shows them, in the order of their ids.
std::vector<latest_point> shown_points(const std::vector<latest_point>& of_source,
                                       const point_map& points);

/// What the feed is told in the mirror's name when that happened to its source: the points that
/// came live, as it shows them. Null: nothing.
std::shared_ptr<const std::vector<event>> shown_events(
    const std::shared_ptr<const std::vector<event>>& of_source, const point_map& points);

/// True if a mirror of that organisation may show what the device has: it is there and in service,
/// and shows no other device itself.
bool may_be_shown(const state& source, const std::string& organisation);

/// Which ids of a map are looked at.
enum class map_side : std::uint8_t { own, source };
/// Whether such a map may be given to a device of that product. Fails: `invalid_argument`
/// "mirror_invalid", with a problem for each id.
status check_map(const point_map& points, map_side side, const product_view& product);

/// Whether that one may show the device, which is `self` and of that product. Fails: as `check_map`
/// does; `conflict` "mirror_cycle", "state_conflict", "too_many_mirrors".
status check_source(const state& s, const entity_id& self, const mirror_link& l,
                    const product_view& product);

/// Whether a device that shows another one takes that order. Fails: `conflict` "device_mirror".
status check_mirror(const state& s, const order& o);

}  // namespace orrery::model::device
