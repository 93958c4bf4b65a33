#include "transport/text_pattern.hpp"

#include <algorithm>

namespace orrery::transport {

using model::errc;
using model::failure;

namespace {

failure malformed(const char* what) {
  return {errc::invalid_argument, std::string{"malformed pattern: "} + what};
}

unsigned char byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

template <class Belongs>
std::bitset<256> those(Belongs belongs) {
  auto set = std::bitset<256>{};
  for (std::size_t c = 0; c < 256; ++c)
    set[c] = belongs(static_cast<int>(c));
  return set;
}

/// The characters of a class such as %d; of another letter or sign just itself.
std::bitset<256> class_of(unsigned char letter) {
  const auto within = [](int c, int low, int high) { return low <= c && c <= high; };
  const auto lower = [=](int c) { return within(c, 'a', 'z'); };
  const auto upper = [=](int c) { return within(c, 'A', 'Z'); };
  const auto digit = [=](int c) { return within(c, '0', '9'); };
  const auto graphic = [=](int c) { return within(c, 33, 126); };
  const auto alphanumeric = [=](int c) { return lower(c) || upper(c) || digit(c); };
  const auto all = [&]() -> std::optional<std::bitset<256>> {
    switch (letter | 0x20) {
      case 'a':
        return those([=](int c) { return lower(c) || upper(c); });
      case 'c':
        return those([=](int c) { return c < 32 || c == 127; });
      case 'd':
        return those(digit);
      case 'g':
        return those(graphic);
      case 'l':
        return those(lower);
      case 'p':
        return those([=](int c) { return graphic(c) && !alphanumeric(c); });
      case 's':
        return those([=](int c) { return c == ' ' || within(c, 9, 13); });
      case 'u':
        return those(upper);
      case 'w':
        return those(alphanumeric);
      case 'x':
        return those([=](int c) { return digit(c) || within(c | 0x20, 'a', 'f'); });
      default:
        return std::nullopt;
    }
  }();
  const auto is_letter = lower(letter) || upper(letter);
  if (all && is_letter)
    return upper(letter) ? ~*all : *all;
  auto itself = std::bitset<256>{};
  itself.set(letter);
  return itself;
}

}  // namespace

// ---- from its text

class text_pattern::reader {
 public:
  explicit reader(std::string_view text) : text_{text} {}

  model::result<text_pattern> read(bool anchored) {
    auto out = text_pattern{};
    if (anchored && text_.starts_with('^')) {
      out.at_front_ = true;
      text_.remove_prefix(1);
    }
    while (!text_.empty() && !wrong_) {
      if (out.items_.size() == max_items)
        return failure{errc::too_large, "a pattern has at most 256 items"};
      out.items_.push_back(next());
    }
    if (!wrong_ && !open_.empty())
      wrong_ = malformed("unfinished capture");
    if (wrong_)
      return *wrong_;
    out.captures_ = count_;
    return out;
  }

 private:
  item refuse(failure why) {
    if (!wrong_)
      wrong_ = std::move(why);
    text_ = {};
    return {};
  }

  unsigned char take() {
    const auto c = byte_at(text_, 0);
    text_.remove_prefix(1);
    return c;
  }

  item next() {
    if (text_.front() == '(')
      return begin_capture();
    if (text_.front() == ')')
      return end_capture();
    if (text_ == "$") {
      take();
      return {.what = kind::end};
    }
    if (text_.front() == '%' && text_.size() > 1) {
      const auto c = byte_at(text_, 1);
      if (c >= '0' && c <= '9')
        return back_reference();
      if (c == 'b')
        return balanced();
      if (c == 'f')
        return frontier();
    }
    return characters();
  }

  item begin_capture() {
    if (count_ == max_captures)
      return refuse({errc::too_large, "a pattern has at most 32 captures"});
    take();
    const auto number = static_cast<unsigned char>(count_++);
    if (text_.starts_with(')')) {
      take();
      return {.what = kind::position, .number = number};
    }
    open_.push_back(number);
    return {.what = kind::open, .number = number};
  }

  item end_capture() {
    take();
    if (open_.empty())
      return refuse(malformed("a capture ends that has not begun"));
    const auto number = open_.back();
    open_.pop_back();
    closed_.set(number);
    return {.what = kind::close, .number = number};
  }

  item back_reference() {
    take();
    const auto number = static_cast<unsigned>(take() - '1');
    if (number >= max_captures || !closed_[number])
      return refuse(malformed("no such capture to refer to"));
    return {.what = kind::again, .number = static_cast<unsigned char>(number)};
  }

  item balanced() {
    text_.remove_prefix(2);
    if (text_.size() < 2)
      return refuse(malformed("%b needs two characters"));
    auto out = item{.what = kind::balanced};
    out.first = take();
    out.last = take();
    return out;
  }

  item frontier() {
    text_.remove_prefix(2);
    if (!text_.starts_with('['))
      return refuse(malformed("%f needs a set"));
    return {.what = kind::frontier, .set = one_of()};
  }

  item characters() {
    auto out = item{.set = one_of()};
    if (text_.empty())
      return out;
    constexpr auto marks = std::string_view{"*+-?"};
    constexpr kind kinds[] = {kind::many, kind::some, kind::few, kind::perhaps};
    if (const auto at = marks.find(text_.front()); at != std::string_view::npos) {
      take();
      out.what = kinds[at];
    }
    return out;
  }

  /// The characters that the next sign, class or set stands for.
  std::bitset<256> one_of() {
    const auto c = take();
    if (c == '.')
      return ~std::bitset<256>{};
    if (c == '[')
      return set();
    if (c != '%') {
      auto itself = std::bitset<256>{};
      itself.set(c);
      return itself;
    }
    if (text_.empty()) {
      refuse(malformed("ends with '%'"));
      return {};
    }
    return class_of(take());
  }

  std::bitset<256> set() {
    auto out = std::bitset<256>{};
    const auto inverted = text_.starts_with('^');
    if (inverted)
      take();
    // A ']' at the front stands for itself.
    for (auto front = true; !text_.empty() && (front || text_.front() != ']'); front = false) {
      const auto c = take();
      if (c == '%') {
        if (text_.empty())
          break;
        out |= class_of(take());
      } else if (text_.size() > 1 && text_[0] == '-' && text_[1] != ']') {
        take();
        for (unsigned i = c, last = take(); i <= last; ++i)
          out.set(i);
      } else {
        out.set(c);
      }
    }
    if (text_.empty()) {
      refuse(malformed("missing ']'"));
      return {};
    }
    take();
    return inverted ? ~out : out;
  }

  std::string_view text_;
  std::vector<unsigned char> open_;
  std::bitset<max_captures> closed_;
  std::size_t count_ = 0;
  std::optional<failure> wrong_;
};

model::result<text_pattern> text_pattern::compile(std::string_view text, bool anchored) {
  return reader{text}.read(anchored);
}

// ---- to a subject

/// One try from one place. All ways through the items pass the same captures in the same order, so
/// what a way that failed has put into them is overwritten before anybody looks.
struct text_pattern::attempt {
  const std::vector<item>& items;
  std::string_view subject;
  std::uint64_t& steps;
  match& out;

  bool step() {
    if (steps == 0)
      return false;
    --steps;
    return true;
  }
  bool is_in(const item& i, std::size_t at) {
    return at < subject.size() && step() && i.set[byte_at(subject, at)];
  }

  /// Whether the items from `i` on match at `at`. Calls itself once for each repeated item.
  bool from(std::size_t i, std::size_t at) {
    for (; i < items.size(); ++i) {
      const auto& it = items[i];
      if (!step())
        return false;
      switch (it.what) {
        case kind::one:
          if (!is_in(it, at))
            return false;
          ++at;
          break;
        case kind::many:
          return greedy(i, at, 0);
        case kind::some:
          return greedy(i, at, 1);
        case kind::few:
          return lazy(i, at);
        case kind::perhaps:
          if (is_in(it, at) && from(i + 1, at + 1))
            return true;
          break;
        case kind::open:
          out.captures[it.number] = {at, 0, false};
          break;
        case kind::close:
          out.captures[it.number].size = at - out.captures[it.number].start;
          break;
        case kind::position:
          out.captures[it.number] = {at, 0, true};
          break;
        case kind::again:
          if (!again(out.captures[it.number], at))
            return false;
          break;
        case kind::balanced:
          if (!balanced(it, at))
            return false;
          break;
        case kind::frontier:
          if (it.set[at == 0 ? 0 : byte_at(subject, at - 1)] ||
              !it.set[at == subject.size() ? 0 : byte_at(subject, at)])
            return false;
          break;
        case kind::end:
          if (at != subject.size())
            return false;
          break;
      }
    }
    out.end = at;
    return true;
  }

  bool greedy(std::size_t i, std::size_t at, std::size_t least) {
    auto count = std::size_t{0};
    while (is_in(items[i], at + count))
      ++count;
    for (++count; count-- > least;)
      if (from(i + 1, at + count))
        return true;
      else if (steps == 0)
        return false;
    return false;
  }

  bool lazy(std::size_t i, std::size_t at) {
    for (;; ++at)
      if (from(i + 1, at))
        return true;
      else if (!is_in(items[i], at))
        return false;
  }

  bool again(const capture& c, std::size_t& at) {
    if (c.size > subject.size() - at)
      return false;
    for (std::size_t k = 0; k < c.size; ++k)
      if (!step() || subject[c.start + k] != subject[at + k])
        return false;
    at += c.size;
    return true;
  }

  bool balanced(const item& it, std::size_t& at) {
    if (at == subject.size() || byte_at(subject, at) != it.first)
      return false;
    auto depth = std::size_t{1};
    for (auto k = at + 1; k < subject.size() && step(); ++k) {
      const auto c = byte_at(subject, k);
      if (c == it.last) {
        if (--depth == 0) {
          at = k + 1;
          return true;
        }
      } else if (c == it.first) {
        ++depth;
      }
    }
    return false;
  }
};

std::optional<text_pattern::match> text_pattern::find(std::string_view subject, std::size_t from,
                                                      std::uint64_t& steps) const {
  auto out = match{};
  for (auto start = from; start <= subject.size(); ++start) {
    out.start = start;
    if (steps == 0)
      return std::nullopt;
    --steps;
    if (attempt{items_, subject, steps, out}.from(0, start))
      return out;
    if (at_front_)
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace orrery::transport
