#include "transport/api/cursor.hpp"

#include <charconv>

#include "model/credentials.hpp"
#include "transport/base64url.hpp"

namespace orrery::transport::api {
namespace {

// Inside: 16 hex digits of the question's hash, '.', the time it was written in ms, '.', the place.
constexpr std::size_t mark_size = 16;

std::string mark_of(std::string_view question) {
  return model::sha256_hex(question).substr(0, mark_size);
}

model::failure bad(const char* why) {
  return {model::errc::invalid_argument, "bad_cursor", why};
}

}  // namespace

std::string write_cursor(std::string_view place, std::string_view question, model::timestamp now) {
  return to_base64url(mark_of(question) + "." + std::to_string(model::to_ms(now)) + "." +
                      std::string{place});
}

model::result<std::string> read_cursor(std::string_view text, std::string_view question,
                                       model::timestamp now) {
  const auto none_of_ours = bad("that cursor is none of ours: begin without one");
  const auto inside = from_base64url(text);
  if (!inside || inside->size() < mark_size + 2 || (*inside)[mark_size] != '.')
    return none_of_ours;
  auto rest = std::string_view{*inside}.substr(mark_size + 1);
  const auto dot = rest.find('.');
  if (dot == std::string_view::npos)
    return none_of_ours;
  auto written = std::int64_t{0};
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + dot, written);
  constexpr auto latest = std::int64_t{1} << 50;  // of any clock: no sum overflows below it
  if (error != std::errc{} || end != rest.data() + dot || written < 0 || written > latest)
    return none_of_ours;
  if (inside->substr(0, mark_size) != mark_of(question))
    return bad("that cursor belongs to another list or filter: begin without one");
  if (model::to_ms(now) - written > std::chrono::milliseconds{cursor_life}.count())
    return bad("that cursor is older than 15 minutes: begin without one");
  return std::string{rest.substr(dot + 1)};
}

}  // namespace orrery::transport::api
