#include "model/filter/expression.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <simdjson.h>

namespace orrery::model::filter {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view names[] = {"="sv,  "!="sv, "<"sv,    "<="sv,    ">"sv,
                                      ">="sv, "in"sv, "like"sv, "exists"sv};
constexpr std::string_view keywords[] = {"and"sv, "or"sv, "not"sv, "in"sv, "like"sv, "exists"sv};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_character(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '/';
}
bool is_quote(char c) {
  return c == '\'' || c == '"';
}
bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool same_word(std::string_view word, std::string_view lower_case) {
  return std::equal(word.begin(), word.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}
bool is_keyword(std::string_view word) {
  return std::any_of(std::begin(keywords), std::end(keywords),
                     [&](std::string_view k) { return same_word(word, k); });
}

/// Reads from the front; what does not fit is kept as the one failure, and nothing fits after it.
class reader {
 public:
  reader(std::string_view text, std::string_view reason) : text_{text}, reason_{reason} {}

  const std::optional<failure>& error() const { return error_; }

  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_]))
      ++at_;
  }
  bool at_end() const { return at_ == text_.size(); }
  char here() const { return at_end() ? '\0' : text_[at_]; }
  std::size_t place() const { return at_; }

  /// The letters, digits and so on that stand here.
  std::string_view word() const {
    auto end = at_;
    while (end < text_.size() && is_name_character(text_[end]))
      ++end;
    return text_.substr(at_, end - at_);
  }
  bool take_word(std::string_view lower_case) {
    const auto w = word();
    if (error_ || !same_word(w, lower_case))
      return false;
    at_ += w.size();
    skip_blanks();
    return true;
  }
  bool take(std::string_view mark) {
    if (error_ || !text_.substr(at_).starts_with(mark))
      return false;
    at_ += mark.size();
    return true;
  }

  bool fail(std::string_view expected) { return fail_at(at_, "found " + found(), expected); }
  bool fail_at(std::size_t at, const std::string& what, std::string_view expected) {
    if (!error_) {
      const auto before = text_.substr(0, at);
      const auto column = 1 + std::count_if(before.begin(), before.end(), [](char c) {
                            return (static_cast<unsigned char>(c) & 0xc0U) != 0x80;
                          });
      error_ = failure{
          errc::invalid_argument, reason_,
          "column " + std::to_string(column) + ": " + what + ", expected " + std::string{expected}};
    }
    return false;
  }

  /// A text in quotes, which stand here.
  bool quoted(std::string& out) {
    const auto begin = at_;
    const auto quote = text_[at_++];
    for (; !at_end(); ++at_) {
      if (is_control(text_[at_]))
        return fail("a text without control characters");
      if (text_[at_] == quote) {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != quote) {
          ++at_;
          return true;
        }
        ++at_;  // written twice: itself
      }
      out += text_[at_];
    }
    return fail_at(begin, "found a text that does not end", std::string{"a closing "} + quote);
  }

  bool field(path& out, std::size_t most) {
    do {
      auto& name = out.emplace_back();
      const auto begin = at_;
      if (is_quote(here())) {
        if (!quoted(name))
          return false;
        if (name.empty())
          return fail_at(begin, "found an empty name", "a name");
      } else {
        const auto w = word();
        if (w.empty() || (out.size() == 1 && !is_letter(w[0]) && w[0] != '_') ||
            (out.size() == 1 && is_keyword(w)))
          return fail(out.size() == 1 ? "the name of a field" : "a name behind the dot");
        name = w;
        at_ += w.size();
      }
      if (out.size() > most)
        return fail_at(begin, "found a longer path",
                       "at most " + std::to_string(most) + " names of a field");
    } while (take("."));
    return true;
  }

  bool value(literal& out) {
    if (is_quote(here()))
      return quoted(out.emplace<std::string>());
    if (const auto w = word(); same_word(w, "true") || same_word(w, "false")) {
      out = same_word(w, "true");
      at_ += w.size();
      return true;
    }
    return is_digit(here()) || here() == '-' || here() == '+' || here() == '.'
               ? number(out)
               : fail("a value: a text in quotes, a number, true or false");
  }

 private:
  bool number(literal& out) {
    auto end = at_;
    while (end < text_.size() &&
           (is_name_character(text_[end]) || text_[end] == '.' || text_[end] == '+'))
      ++end;
    auto digits = text_.substr(at_, end - at_);
    if (digits.starts_with('+') && !digits.starts_with("+-"))
      digits.remove_prefix(1);
    const auto* last = digits.data() + digits.size();
    auto whole = std::int64_t{0};
    if (const auto [stop, error] = std::from_chars(digits.data(), last, whole);
        error == std::errc{} && stop == last) {
      out = whole;
    } else {
      auto real = 0.0;
      const auto [stop_of_real, error_of_real] = std::from_chars(digits.data(), last, real);
      const auto is_plain = digits.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
      if (error_of_real != std::errc{} || stop_of_real != last || !is_plain)
        return fail("a number");
      out = real;
    }
    at_ = end;
    return true;
  }

  /// What stands here, for a person.
  std::string found() const {
    constexpr auto longest = std::size_t{20};
    if (at_end())
      return "the end";
    auto w = word();
    if (w.empty()) {
      auto end = at_ + 1;
      while (end < text_.size() && (static_cast<unsigned char>(text_[end]) & 0xc0U) == 0x80)
        ++end;
      w = text_.substr(at_, end - at_);
    }
    if (is_control(w[0]))
      return "a control character";
    return '`' + std::string{w.substr(0, longest)} + (w.size() > longest ? "...`" : "`");
  }

  std::string_view text_, reason_;
  std::size_t at_ = 0;
  std::optional<failure> error_;
};

class parser {
 public:
  parser(std::string_view text, const expression_limits& limits)
      : in_{text, "bad_filter"}, limits_{limits} {}

  result<expression> run() {
    auto whole = expression{};
    in_.skip_blanks();
    if (any(whole) && !in_.at_end())
      in_.fail("and, or or the end");
    if (in_.error())
      return *in_.error();
    return whole;
  }

 private:
  using kind = expression::kind;

  bool any(expression& out) { return joined(out, kind::any, "or"sv, &parser::all); }
  bool all(expression& out) { return joined(out, kind::all, "and"sv, &parser::one); }

  bool joined(expression& out, kind what, std::string_view word,
              bool (parser::*part)(expression&)) {
    auto parts = std::vector<expression>{};
    do {
      auto next = expression{};
      if (!(this->*part)(next))
        return false;
      if (next.what == what)  // parentheses that mean nothing leave no trace
        std::move(next.parts.begin(), next.parts.end(), std::back_inserter(parts));
      else
        parts.push_back(std::move(next));
    } while (in_.take_word(word));
    out = parts.size() == 1 ? std::move(parts.front()) : expression{what, {}, std::move(parts)};
    return true;
  }

  bool one(expression& out) {
    const auto begin = in_.place();
    const auto negated = in_.take_word("not");
    if (!negated && !in_.take("("))
      return condition_here(out);
    if (++depth_ > limits_.max_depth)
      return in_.fail_at(begin, "found more of them inside each other",
                         "a depth of at most " + std::to_string(limits_.max_depth));
    in_.skip_blanks();
    if (negated) {
      out = {kind::none, {}, std::vector<expression>(1)};
      if (!one(out.parts.front()))
        return false;
    } else if (!any(out) || !close("and, or or )")) {
      return false;
    }
    --depth_;
    return true;
  }

  bool close(std::string_view expected) {
    in_.skip_blanks();
    if (!in_.take(")"))
      return in_.fail(expected);
    in_.skip_blanks();
    return true;
  }

  bool condition_here(expression& out) {
    if (++conditions_ > limits_.max_conditions)
      return in_.fail_at(in_.place(), "found more conditions",
                         "at most " + std::to_string(limits_.max_conditions));
    auto& c = out.test;
    if (in_.take_word("exists")) {
      const auto bracket = in_.take("(");
      in_.skip_blanks();
      if (!in_.field(c.field, limits_.max_names))
        return false;
      in_.skip_blanks();
      return !bracket || close(")");
    }
    if (!in_.field(c.field, limits_.max_names))
      return false;
    in_.skip_blanks();
    const auto negated = in_.take_word("not");
    if (!compared(c, negated))
      return false;
    in_.skip_blanks();
    if (negated) {
      auto inner = std::move(out);
      out = {kind::none, {}, {}};
      out.parts.push_back(std::move(inner));
    }
    return true;
  }

  /// What stands behind the field.
  bool compared(condition& c, bool negated) {
    if (in_.take_word("exists"))
      return true;
    if (in_.take_word("in")) {
      c.how = comparison::in;
      return values(c.values);
    }
    if (in_.take_word("like")) {
      c.how = comparison::like;
      if (!is_quote(in_.here()))
        return in_.fail("a text in quotes");
      return in_.value(c.values.emplace_back());
    }
    if (negated)
      return in_.fail("in, like or exists");
    // The longer one first where one begins with another.
    constexpr comparison marks[] = {comparison::unequal, comparison::at_most, comparison::at_least,
                                    comparison::equal,   comparison::less,    comparison::more};
    for (const auto how : marks)
      if (in_.take(name_of(how))) {
        c.how = how;
        in_.skip_blanks();
        return in_.value(c.values.emplace_back());
      }
    return in_.fail("=, !=, <, <=, >, >=, in, like or exists");
  }

  bool values(std::vector<literal>& out) {
    if (!in_.take("("))
      return in_.fail("( and values with commas between them");
    do {
      in_.skip_blanks();
      if (out.size() == limits_.max_values)
        return in_.fail_at(in_.place(), "found more values",
                           "at most " + std::to_string(limits_.max_values));
      if (!in_.value(out.emplace_back()))
        return false;
      in_.skip_blanks();
    } while (in_.take(","));
    return close(", or )");
  }

  reader in_;
  const expression_limits& limits_;
  std::size_t depth_ = 0, conditions_ = 0;
};

void print_text(std::string_view text, std::string& out) {
  out += '"';
  for (const auto c : text) {
    if (c == '"')
      out += '"';
    out += c;
  }
  out += '"';
}

struct literal_printer {
  std::string& out;
  void operator()(bool b) const { out += b ? "true" : "false"; }
  void operator()(std::int64_t i) const { out += std::to_string(i); }
  void operator()(double d) const {
    char buffer[32];
    const auto [end, error] = std::to_chars(std::begin(buffer), std::end(buffer), d);
    const auto text = std::string_view{buffer, static_cast<std::size_t>(end - buffer)};
    out += text;
    if (text.find_first_of(".e") == std::string_view::npos)
      out += ".0";  // it stays a double
  }
  void operator()(const std::string& text) const { print_text(text, out); }
};

void print(const path& field, std::string& out) {
  for (std::size_t i = 0; i < field.size(); ++i) {
    const auto& name = field[i];
    if (i > 0)
      out += '.';
    const auto plain = !name.empty() && std::all_of(name.begin(), name.end(), is_name_character) &&
                       (i > 0 || ((is_letter(name[0]) || name[0] == '_') && !is_keyword(name)));
    if (plain)
      out += name;
    else
      print_text(name, out);
  }
}

void print(const condition& c, bool negated, std::string& out) {
  if (c.how == comparison::exists) {
    out += negated ? "not exists(" : "exists(";
    print(c.field, out);
    out += ')';
    return;
  }
  const auto behind = negated && (c.how == comparison::in || c.how == comparison::like);
  if (negated && !behind)
    out += "not ";
  print(c.field, out);
  out += behind ? " not " : " ";
  out += name_of(c.how);
  out += c.how == comparison::in ? " (" : " ";
  for (std::size_t i = 0; i < c.values.size(); ++i) {
    if (i > 0)
      out += ", ";
    std::visit(literal_printer{out}, c.values[i]);
  }
  if (c.how == comparison::in)
    out += ')';
}

void print(const expression& e, std::string& out) {
  using kind = expression::kind;
  if (e.what == kind::one)
    return print(e.test, false, out);
  if (e.what == kind::none && e.parts.front().what == kind::one)
    return print(e.parts.front().test, true, out);
  if (e.what == kind::none)
    out += "not ";
  for (std::size_t i = 0; i < e.parts.size(); ++i) {
    if (i > 0)
      out += e.what == kind::all ? " and " : " or ";
    const auto inside = e.parts[i].what;
    const auto loose = inside == kind::any || (inside == kind::all && e.what == kind::none);
    if (loose)
      out += '(';
    print(e.parts[i], out);
    if (loose)
      out += ')';
  }
}

}  // namespace

std::string_view name_of(comparison how) {
  return names[static_cast<std::size_t>(how)];
}

result<expression> parse(std::string_view text, const expression_limits& limits) {
  if (text.size() > limits.max_bytes)
    return failure{errc::invalid_argument, "bad_filter",
                   "found " + std::to_string(text.size()) + " bytes, expected at most " +
                       std::to_string(limits.max_bytes)};
  if (!simdjson::validate_utf8(text.data(), text.size()))
    return failure{errc::invalid_argument, "bad_filter", "found bytes that are no UTF-8"};
  return parser{text, limits}.run();
}

std::string print(const path& field) {
  auto out = std::string{};
  print(field, out);
  return out;
}

std::string print(const expression& e) {
  auto out = std::string{};
  print(e, out);
  return out;
}

result<std::vector<listed_path>> parse_paths(std::string_view text, std::size_t most,
                                             bool minus_allowed, std::string_view reason) {
  constexpr auto max_bytes = std::size_t{4096};
  if (text.size() > max_bytes || !simdjson::validate_utf8(text.data(), text.size()))
    return failure{errc::invalid_argument, reason,
                   "expected UTF-8 of at most " + std::to_string(max_bytes) + " bytes"};
  auto in = reader{text, reason};
  auto all = std::vector<listed_path>{};
  do {
    auto& next = all.emplace_back();
    const auto begin = in.place();
    next.minus = minus_allowed && in.take("-");
    if (in.field(next.names, expression_limits{}.max_names) && all.size() > most)
      in.fail_at(begin, "found more names", "at most " + std::to_string(most));
  } while (!in.error() && in.take(","));
  if (!in.error() && !in.at_end())
    in.fail("a comma or the end");
  if (in.error())
    return *in.error();
  return all;
}

}  // namespace orrery::model::filter
