// Settings from a YAML file, then the environment, then --set.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/settings.hpp"

namespace orrery::config {

/// What is wrong with the settings: one line for each finding, with its place and a hint.
class bad_settings : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct sources {
  std::string file;                                // empty: none
  std::map<std::string, std::string> environment;  // all of it; ORRERY_SECTION__KEY counts
  std::vector<std::string> set;                    // "section.key=value"
};

/// Throws bad_settings: unknown keys (with the nearest known one), wrong types, values out of
/// range, contradictions; all of them, each with file and line where it has one.
settings load(const sources& from);

/// All settings as YAML, each with its default's unit and a sentence: what load() would read back.
std::string print(const settings& s);

}  // namespace orrery::config
