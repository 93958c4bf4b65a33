# orrery_page(<target> <name> <file>)
#   The text of a file as the constant <name> of "pages/<name>.hpp", which sources of the target may
#   include. Made anew when the file changes.
include_guard()

function(orrery_page target name file)
  set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${file})
  file(READ ${PROJECT_SOURCE_DIR}/${file} text)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/pages/pages/${name}.hpp @ONLY CONTENT [[// Made from @file@.
#pragma once

namespace orrery::pages {
inline constexpr char @name@[] = R"page(@text@)page";
}  // namespace orrery::pages
]])
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/pages)
endfunction()
