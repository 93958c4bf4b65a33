// Units of values: a table by UCUM code, with the symbol that people and other systems write. A
// unit says what a value is; it changes no value.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace orrery::model {

struct unit {
  std::string_view code;      // UCUM, case-sensitive: "kW.h", "Cel"
  std::string_view quantity;  // "energy", "temperature"
  std::string_view symbol;    // "kWh", "°C"; each one stands once
};

/// All that are known, by quantity.
std::span<const unit> units();

/// The unit with that UCUM code, or else with that symbol; null if it is not known.
const unit* find_unit(std::string_view code_or_symbol);

/// The UCUM code of a unit as EnOS writes it: a symbol or code and a multiplier such as "KILO";
/// what is not in the table stays as it is, with the prefix of the multiplier before it.
std::string ucum_of(std::string_view symbol, std::string_view multiplier);

}  // namespace orrery::model
