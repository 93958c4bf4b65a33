#include "observe/metrics.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace orrery::observe {
namespace {

std::string label_text(const labels& with) {
  auto out = std::string{};
  for (const auto& [key, v] : with) {
    out += out.empty() ? "" : ",";
    out += key + "=\"";
    for (const auto c : v)
      if (c == '\\' || c == '"')
        (out += '\\') += c;
      else if (c == '\n')
        out += "\\n";
      else
        out += c;
    out += '"';
  }
  return out;
}

std::string number(double v) {
  if (std::isnan(v))
    return "NaN";
  if (std::isinf(v))
    return v > 0 ? "+Inf" : "-Inf";
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

void line(std::string& out, const std::string& name, const std::string& with,
          const std::string& v) {
  out += name;
  if (!with.empty())
    out += "{" + with + "}";
  out += " " + v + "\n";
}

}  // namespace

histogram::histogram(std::vector<double> bounds) : bounds_{std::move(bounds)} {
  for (std::size_t i = 0; i <= bounds_.size(); ++i)
    counts_.emplace_back(0);
}

void histogram::observe(double v) {
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin();
  counts_[static_cast<std::size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(v, std::memory_order_relaxed);
}

void histogram::write(const std::string& name, const std::string& with, std::string& out) const {
  auto total = std::uint64_t{0};
  const auto prefix = with.empty() ? std::string{} : with + ",";
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    total += counts_[i].load(std::memory_order_relaxed);
    line(out, name + "_bucket",
         prefix + "le=\"" + (i < bounds_.size() ? number(bounds_[i]) : "+Inf") + "\"",
         std::to_string(total));
  }
  line(out, name + "_sum", with, number(sum_.load(std::memory_order_relaxed)));
  line(out, name + "_count", with, std::to_string(total));
}

counter& metrics::count(const std::string& name, const std::string& help, const labels& with) {
  const auto hold = std::lock_guard{mutex_};
  auto& f = families_[name];
  f.help = help;
  f.type = "counter";
  return f.counters[label_text(with)];
}

histogram& metrics::distribution(const std::string& name, const std::string& help,
                                 std::vector<double> bounds, const labels& with) {
  const auto hold = std::lock_guard{mutex_};
  auto& f = families_[name];
  f.help = help;
  f.type = "histogram";
  return f.histograms.try_emplace(label_text(with), std::move(bounds)).first->second;
}

void metrics::gauge(const std::string& name, const std::string& help, std::function<double()> read,
                    const labels& with) {
  read_from(name, help, "gauge", std::move(read), with);
}

void metrics::count(const std::string& name, const std::string& help, std::function<double()> read,
                    const labels& with) {
  read_from(name, help, "counter", std::move(read), with);
}

void metrics::read_from(const std::string& name, const std::string& help, const char* type,
                        std::function<double()> read, const labels& with) {
  const auto hold = std::lock_guard{mutex_};
  auto& f = families_[name];
  f.help = help;
  f.type = type;
  f.readings[label_text(with)] = std::move(read);
}

void metrics::gauges(const std::string& prefix,
                     std::function<std::vector<std::pair<std::string, double>>()> read) {
  const auto hold = std::lock_guard{mutex_};
  groups_[prefix] = std::move(read);
}

std::string metrics::text() const {
  const auto hold = std::lock_guard{mutex_};
  auto out = std::string{};
  for (const auto& [name, f] : families_) {
    out += "# HELP " + name + " " + f.help + "\n# TYPE " + name + " " + f.type + "\n";
    for (const auto& [with, c] : f.counters)
      line(out, name, with, std::to_string(c.value()));
    for (const auto& [with, read] : f.readings)
      line(out, name, with, number(read()));
    for (const auto& [with, h] : f.histograms)
      h.write(name, with, out);
  }
  for (const auto& [prefix, read] : groups_)
    for (const auto& [name, v] : read()) {
      out += "# HELP " + prefix + name + " Figure " + name + " of its source\n# TYPE " + prefix +
             name + " gauge\n";
      line(out, prefix + name, {}, number(v));
    }
  return out;
}

}  // namespace orrery::observe
