#include "cluster/blob_wire.hpp"

#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

const auto name = storage::blob_name{"owner-1", std::string(64, 'a')};

blob_message again(const blob_message& m) {
  const auto bytes = std::visit([](const auto& x) { return encode(x); }, m);
  auto got = decode_blob_message(bytes);
  EXPECT_TRUE(got);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    EXPECT_FALSE(decode_blob_message(std::string_view{bytes}.substr(0, i))) << i;
  EXPECT_FALSE(decode_blob_message(bytes + "x"));
  return got ? *got : blob_message{};
}

TEST(BlobWire, EverythingComesBack) {
  for (const auto& m : std::initializer_list<blob_message>{
           blob_question{blob_question::kind::look, 1, name, 0, 0, {}},
           blob_question{blob_question::kind::get, 2, name, 1u << 30, 4096, {}},
           blob_question{blob_question::kind::put, UINT64_MAX, name, 5, 8, "abc"},
           blob_answer{3, blob_answer::kind::done, 10, std::string("\0x", 2)},
           blob_answer{4, blob_answer::kind::unknown, 0, {}},
           blob_answer{5, blob_answer::kind::failed, 0, {}}})
    EXPECT_EQ(again(m), m);
}

TEST(BlobWire, WhatIsNoMessageIsRefused) {
  const auto refused = [](std::string bytes) {
    const auto got = decode_blob_message(bytes);
    return !got && got.error().code == model::errc::invalid_argument;
  };
  EXPECT_TRUE(refused(""));
  auto bytes = encode(blob_question{blob_question::kind::get, 2, name, 0, 1, {}});
  bytes[0] = 2;
  EXPECT_TRUE(refused(bytes));  // a version that is none
  bytes[0] = 1;
  bytes[1] = 3;
  EXPECT_TRUE(refused(bytes));  // a kind that is none
  EXPECT_TRUE(
      refused(encode(blob_question{blob_question::kind::get, 2, {"../x", name.sha256}, 0, 1, {}})));
  EXPECT_TRUE(refused(encode(blob_question{blob_question::kind::get, 2, {"a", "b"}, 0, 1, {}})));
  auto answer = encode(blob_answer{3, blob_answer::kind::failed, 0, {}});
  answer[3] = 3;
  EXPECT_TRUE(refused(answer));
}

}  // namespace
}  // namespace orrery::cluster
