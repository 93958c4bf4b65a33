#include "transport/http_message.hpp"

#include <algorithm>
#include <atomic>

namespace orrery::transport {
namespace {

int digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// Percent-decodes; `plus`: '+' is a blank (query only).
bool decode(std::string_view text, bool plus, std::string& out) {
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size())
        return false;
      const auto high = digit(text[i + 1]), low = digit(text[i + 2]);
      if (high < 0 || low < 0)
        return false;
      c = static_cast<char>(high << 4 | low);
      i += 2;
    } else if (plus && c == '+') {
      c = ' ';
    }
    if (c == '\0')
      return false;
    out += c;
  }
  return true;
}

}  // namespace

std::string_view http_request::header(std::string_view name) const {
  for (const auto& [n, v] : headers)
    if (n == name)
      return v;
  return {};
}

const std::string* http_request::parameter(std::string_view name) const {
  for (const auto& [n, v] : query)
    if (n == name)
      return &v;
  return nullptr;
}

bool split_target(std::string_view target, http_request& into) {
  // The absolute form, as proxies send it (RFC 9112, 3.2.2): the path begins after the authority.
  for (const std::string_view scheme : {"http://", "https://"})
    if (target.starts_with(scheme)) {
      target.remove_prefix(scheme.size());
      target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    }
  const auto mark = target.find('?');
  auto path = target.substr(0, mark);
  if (path.empty() || path.front() != '/')
    return false;
  path.remove_prefix(1);
  while (!path.empty()) {
    const auto end = path.find('/');
    if (!decode(path.substr(0, end), false, into.path.emplace_back()))
      return false;
    path = end == std::string_view::npos ? std::string_view{} : path.substr(end + 1);
  }
  if (mark == std::string_view::npos)
    return true;
  auto query = target.substr(mark + 1);
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto item = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
    if (item.empty())
      continue;
    const auto equal = item.find('=');
    auto& [name, value] = into.query.emplace_back();
    if (!decode(item.substr(0, equal), true, name) ||
        (equal != std::string_view::npos && !decode(item.substr(equal + 1), true, value)))
      return false;
  }
  return true;
}

struct responder::once {
  sink to;
  std::atomic<bool> done{false};
  ~once() {
    if (!done.exchange(true))
      to({.status = 500,
          .headers = {},
          .body = {},
          .content_type = {},
          .upgrade = {},
          .sub_protocol = {}});
  }
};

responder::responder(sink to) : once_{std::make_shared<once>()} {
  once_->to = std::move(to);
}

void responder::operator()(http_response response) const {
  if (!once_->done.exchange(true))
    once_->to(std::move(response));
}

bool offers(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    auto item = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (!item.empty() && item.front() == ' ')
      item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ')
      item.remove_suffix(1);
    if (item == name)
      return true;
  }
  return false;
}

}  // namespace orrery::transport
