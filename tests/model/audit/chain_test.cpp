#include "model/audit/chain.hpp"

#include <random>

#include <gmock/gmock.h>

#include "model/credentials.hpp"
#include "tests/model/audit/kit.hpp"

namespace orrery::model::audit {
namespace {

using testing::HasSubstr;

std::vector<record> records(std::size_t n) {
  auto log = log_in_memory{};
  for (std::size_t i = 0; i < n; ++i)
    EXPECT_TRUE(log.append("r" + std::to_string(i)));
  auto all = std::vector<record>{};
  for (const auto& [number, r] : log.rows)
    all.push_back(r);
  return all;
}

/// A file of several parts of `size` records each.
std::vector<std::string> lines_of(const std::vector<record>& all, std::size_t size) {
  auto lines = std::vector<std::string>{};
  auto anchor = std::string{no_hash()};
  for (std::size_t i = 0; i < all.size(); i += size) {
    const auto end = std::min(i + size, all.size());
    lines.push_back(
        line_of(part{"org", all[i].number, anchor, all[end - 1].number, all[end - 1].hash}));
    for (auto at = i; at < end; ++at)
      lines.push_back(line_of(all[at]));
    anchor = all[end - 1].hash;
  }
  return lines;
}

status verify(const std::vector<std::string>& lines) {
  auto v = verifier{};
  for (const auto& line : lines)
    if (auto ok = v.take(line); !ok)
      return ok;
  return v.finish();
}

std::string fault(const std::vector<std::string>& lines) {
  const auto ok = verify(lines);
  return ok ? "" : ok.error().detail;
}

TEST(AuditChain, AWholeOneVerifies) {
  const auto all = records(7);
  for (const auto size : {1, 3, 7})
    EXPECT_EQ(fault(lines_of(all, static_cast<std::size_t>(size))), "");
  auto v = verifier{};
  for (const auto& line : lines_of(all, 3))
    ASSERT_TRUE(v.take(line));
  EXPECT_EQ(v.records(), 7u);
  EXPECT_EQ(v.number(), 7u);
  EXPECT_EQ(v.hash(), all.back().hash);
  EXPECT_EQ(v.organisation(), "org");
  EXPECT_FALSE(verify({}));
}

TEST(AuditChain, OneWithoutRecordsVerifies) {
  EXPECT_EQ(fault({line_of(part{"org", 1, std::string{no_hash()}, 0, std::string{no_hash()}})}),
            "");
}

TEST(AuditChain, APartFromTheMiddleVerifies) {
  const auto all = records(6);
  const auto lines = std::vector<std::string>{line_of(part{"org", 4, all[2].hash, 5, all[4].hash}),
                                              line_of(all[3]), line_of(all[4])};
  EXPECT_EQ(fault(lines), "");
}

/// What anybody without this program would do.
TEST(AuditChain, IsWhatTheDescriptionSays) {
  const auto line = line_of(records(1)[0]);
  EXPECT_EQ(line.substr(0, 9), R"({"hash":")");
  const auto text = line.substr(84, line.size() - 85);
  EXPECT_EQ(text.front(), '{');
  EXPECT_EQ(sha256_hex(text), line.substr(9, 64));
}

TEST(AuditChain, SaysWhatIsWrong) {
  const auto all = records(6);
  const auto whole = lines_of(all, 6);
  auto lines = whole;
  lines[3].replace(lines[3].find("\"r2\""), 4, "\"rX\"");
  EXPECT_THAT(fault(lines), HasSubstr("line 4: record 3 was changed"));
  lines = whole;
  lines.erase(lines.begin() + 3);
  EXPECT_THAT(fault(lines), HasSubstr("record 3 is missing: record 4 stands there"));
  lines = whole;
  lines.insert(lines.begin() + 3, lines[3]);
  EXPECT_THAT(fault(lines), HasSubstr("record 3 comes a second time"));
  lines = whole;
  std::swap(lines[2], lines[4]);
  EXPECT_THAT(fault(lines), HasSubstr("record 2 is missing: record 4 stands there"));
  lines = whole;
  lines.pop_back();
  EXPECT_THAT(fault(lines), HasSubstr("record 6 is missing"));
  lines = whole;  // somebody makes a new hash for what he has changed
  auto forged = all[2];
  forged.text.replace(forged.text.find("\"r2\""), 4, "\"rX\"");
  forged.hash = sha256_hex(forged.text);
  lines[3] = line_of(forged);
  EXPECT_THAT(fault(lines), HasSubstr("record 4 does not carry the hash of the one before"));
  lines = lines_of(all, 3);
  lines.erase(lines.begin() + 4);
  EXPECT_NE(fault(lines), "");
}

TEST(AuditChain, AWitnessFindsALogThatWasMadeAnew) {
  const auto all = records(3);
  auto anew = std::vector<record>{};
  auto before = std::string{no_hash()};
  for (std::uint64_t n = 1; n <= 3; ++n) {
    anew.push_back(chained(n, "org", before, all[0].time, R"({"requestId":"other"})"));
    before = anew.back().hash;
  }
  EXPECT_EQ(fault(lines_of(anew, 3)), "") << "in itself it is whole";
  auto v = verifier{};
  v.expect(2, all[1].hash);
  auto said = std::string{};
  for (const auto& line : lines_of(anew, 3))
    if (auto ok = v.take(line); !ok) {
      said = ok.error().detail;
      break;
    }
  EXPECT_THAT(said, HasSubstr("record 2 is another one than the witness saw"));
  auto cut = verifier{};
  cut.expect(3, all[2].hash);
  for (const auto& line : lines_of({all[0], all[1]}, 2))
    ASSERT_TRUE(cut.take(line));
  ASSERT_FALSE(cut.finish());
  EXPECT_THAT(cut.finish().error().detail,
              HasSubstr("record 3, which the witness saw, is missing"));
}

TEST(AuditChain, AWitnessOfTheRecordBeforeIsComparedWithTheAnchor) {
  const auto all = records(4);
  const auto lines = std::vector<std::string>{line_of(part{"org", 3, all[1].hash, 4, all[3].hash}),
                                              line_of(all[2]), line_of(all[3])};
  const auto said = [&](std::uint64_t number, const std::string& hash) {
    auto v = verifier{};
    v.expect(number, hash);
    for (const auto& line : lines)
      if (auto ok = v.take(line); !ok)
        return ok.error().detail;
    const auto ok = v.finish();
    return ok ? std::string{} : ok.error().detail;
  };
  EXPECT_EQ(said(2, all[1].hash), "");
  EXPECT_EQ(said(3, all[2].hash), "");
  EXPECT_THAT(said(2, all[0].hash), HasSubstr("record 2, before the first one here, is another"));
  EXPECT_THAT(said(1, all[0].hash), HasSubstr("older than what is here"));
  EXPECT_THAT(said(5, all[3].hash), HasSubstr("record 5, which the witness saw, is missing"));
  // Nothing of the log is left but its end.
  auto v = verifier{};
  v.expect(4, all[3].hash);
  ASSERT_TRUE(v.take(line_of(part{"org", 5, all[3].hash, 4, all[3].hash})));
  EXPECT_TRUE(v.finish());
}

TEST(AuditChain, WhateverIsChangedIsFound) {
  auto random = std::mt19937{7};
  const auto any = [&](std::size_t below) {
    return std::uniform_int_distribution<std::size_t>{0, below - 1}(random);
  };
  for (int round = 0; round < 3000; ++round) {
    const auto whole = lines_of(records(2 + any(6)), 1 + any(6));
    auto lines = whole;
    switch (any(4)) {
      case 0: {
        auto& line = lines[any(lines.size())];
        const auto place = any(line.size());
        line[place] = static_cast<char>(line[place] ^ static_cast<char>(1 + any(255)));
        break;
      }
      case 1:
        lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(any(lines.size())));
        break;
      case 2: {
        const auto doubled = lines[any(lines.size())];
        lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(any(lines.size() + 1)), doubled);
        break;
      }
      default:
        std::swap(lines[any(lines.size())], lines[any(lines.size())]);
    }
    if (lines != whole) {
      ASSERT_NE(fault(lines), "") << testing::PrintToString(lines);
    }
  }
}

TEST(AuditChain, AnyLinesAreReadWithoutHarm) {
  const auto line = line_of(records(1)[0]);
  for (std::size_t size = 0; size < line.size(); ++size)
    EXPECT_FALSE(verify({line.substr(0, size)}));
  for (const auto* text :
       {"", "{", "{\"audit\":", "{\"audit\":1}", "{\"hash\":\"\",\"record\":{}}"})
    EXPECT_FALSE(verify({text}));
}

}  // namespace
}  // namespace orrery::model::audit
