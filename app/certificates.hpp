// The certificates that the settings name, looked at before anything else is begun.
#pragma once

#include "config/settings.hpp"

namespace orrery::app {

/// Throws config::bad_settings, which names the setting, if a file that the node would use cannot
/// be read, or a key does not belong to its certificate.
void check_certificates(const config::settings& s);

}  // namespace orrery::app
