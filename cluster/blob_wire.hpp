// What nodes say to each other about the bytes of files, as bytes.
//
//   version u8 (1) | kind u8 | number varint | owner | sha256 | offset varint | size varint | bytes
//   version u8 (1) | 255 u8  | number varint | outcome u8 | size varint | bytes
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "model/result.hpp"
#include "storage/blobs.hpp"

namespace orrery::cluster {

struct blob_question {
  enum class kind : std::uint8_t {
    look = 0,  // is it there? It is counted as new then
    get = 1,   // at most `size` bytes from `offset` on
    put = 2    // some bytes from `offset` on of `size` altogether
  };
  kind what = kind::look;
  std::uint64_t number = 0;
  storage::blob_name name;
  std::uint64_t offset = 0, size = 0;
  std::string bytes;
  bool operator==(const blob_question&) const = default;
};
struct blob_answer {
  enum class kind : std::uint8_t { done = 0, unknown = 1, failed = 2 };
  std::uint64_t number = 0;
  kind outcome = kind::done;
  std::uint64_t size = 0;  // of the whole
  std::string bytes;
  bool operator==(const blob_answer&) const = default;
};
using blob_message = std::variant<blob_question, blob_answer>;

std::string encode(const blob_question& q);
std::string encode(const blob_answer& a);
/// Fails: `invalid_argument` if it is malformed, or names what can be no blob.
model::result<blob_message> decode_blob_message(std::string_view bytes);

}  // namespace orrery::cluster
