#include "observe/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orrery::observe {
namespace {

TEST(Metrics, WriteTheExpositionFormat) {
  auto m = metrics{};
  m.count("orrery_things_total", "Things", {{"kind", "a"}}).add(3);
  m.count("orrery_things_total", "Things", {{"kind", "b"}}).add();
  m.count("orrery_things_total", "Things", {{"kind", "a"}}).add();
  m.gauge("orrery_level", "Level", [] { return 2.5; });
  m.count("orrery_lost_total", "Lost", [] { return 6.0; });
  auto& h = m.distribution("orrery_time_seconds", "Time", {0.1, 1});
  h.observe(0.05);
  h.observe(0.5);
  h.observe(5);
  m.gauges("orrery_db_", [] { return std::vector<std::pair<std::string, double>>{{"size", 7}}; });
  const auto text = m.text();
  for (const auto* line :
       {"# TYPE orrery_things_total counter\n", "orrery_things_total{kind=\"a\"} 4\n",
        "orrery_things_total{kind=\"b\"} 1\n", "# TYPE orrery_level gauge\n", "orrery_level 2.5\n",
        "# TYPE orrery_lost_total counter\n", "orrery_lost_total 6\n",
        "orrery_time_seconds_bucket{le=\"0.1\"} 1\n", "orrery_time_seconds_bucket{le=\"1\"} 2\n",
        "orrery_time_seconds_bucket{le=\"+Inf\"} 3\n", "orrery_time_seconds_count 3\n",
        "orrery_db_size 7\n"})
    EXPECT_THAT(text, testing::HasSubstr(line));
}

TEST(Metrics, LabelValuesAreEscaped) {
  auto m = metrics{};
  m.count("x_total", "x", {{"a", "q\"\\\n"}}).add();
  EXPECT_THAT(m.text(), testing::HasSubstr(R"(a="q\"\\\n")"));
}

}  // namespace
}  // namespace orrery::observe
