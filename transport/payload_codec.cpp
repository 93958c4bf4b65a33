#include "transport/payload_codec.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <lz4.h>
#include <new>
#include <zlib.h>

#include <xxhash.h>

#include "transport/lzo.hpp"

namespace orrery::transport {
namespace {

using model::errc;
using model::failure;

constexpr std::size_t block_bytes = 64 * 1024;  // of plain payload, in lz4 and lzo

model::result<std::string> invalid(const char* what) {
  return failure{errc::invalid_argument, "payload_invalid", what};
}

model::result<std::string> beyond(std::size_t max_bytes) {
  return failure{errc::too_large, "payload_too_large",
                 "the payload has more than " + std::to_string(max_bytes) + " bytes when unpacked"};
}

// ---- gzip

constexpr int gzip_window = 15 + 16;  // the greatest one; 16: a gzip header

Bytef* bytes_of(std::string_view text) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(text.data()));
}

std::string gzip(std::string_view plain) {
  auto z = z_stream{};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    throw std::bad_alloc{};
  auto out = std::string(deflateBound(&z, plain.size()), '\0');
  z.next_in = bytes_of(plain);
  z.avail_in = static_cast<uInt>(plain.size());
  z.next_out = bytes_of(out);
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);  // ends at once: the bound is room enough
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

model::result<std::string> gunzip(std::string_view packed, std::size_t max_bytes) {
  struct inflating {
    z_stream z{};
    bool begun = inflateInit2(&z, gzip_window) == Z_OK;
    ~inflating() {
      if (begun)
        inflateEnd(&z);
    }
  } in;
  if (!in.begun)
    throw std::bad_alloc{};
  in.z.next_in = bytes_of(packed);
  in.z.avail_in = static_cast<uInt>(packed.size());
  auto out = std::string{};
  auto buffer = std::array<char, 16 * 1024>{};
  for (;;) {
    in.z.next_out = reinterpret_cast<Bytef*>(buffer.data());
    in.z.avail_out = buffer.size();
    const auto did = inflate(&in.z, Z_NO_FLUSH);
    if (did != Z_OK && did != Z_STREAM_END)
      return invalid("not gzip, or damaged or cut short");
    const auto got = buffer.size() - in.z.avail_out;
    if (got > max_bytes - out.size())
      return beyond(max_bytes);
    out.append(buffer.data(), got);
    if (did == Z_STREAM_END)
      break;
  }
  if (in.z.avail_in != 0)
    return invalid("gzip: more bytes behind its end");
  return out;
}

// ---- lz4

constexpr std::string_view lz4_magic = "LZ4Block";
constexpr unsigned stored = 0x10, compressed = 0x20;  // methods
constexpr unsigned size_class = 6;                    // of what we send: 1 KiB << 6
constexpr std::size_t lz4_header = 8 + 1 + 3 * 4;

std::uint32_t lz4_checksum(std::string_view plain) {
  return XXH32(plain.data(), plain.size(), 0x9747b28c) & 0x0fffffff;
}

void put_little_32(std::string& out, std::uint32_t v) {
  for (auto shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<char>(v >> shift));
}

std::uint32_t little_32(std::string_view in) {
  auto v = std::uint32_t{0};
  for (std::size_t i = 4; i-- > 0;)
    v = v << 8 | static_cast<unsigned char>(in[i]);
  return v;
}

void put_lz4_block(std::string& out, unsigned method, std::string_view data,
                   std::string_view plain) {
  out.append(lz4_magic);
  out.push_back(static_cast<char>(method | size_class));
  put_little_32(out, static_cast<std::uint32_t>(data.size()));
  put_little_32(out, static_cast<std::uint32_t>(plain.size()));
  put_little_32(out, plain.empty() ? 0 : lz4_checksum(plain));
  out.append(data);
}

std::string lz4(std::string_view plain) {
  auto out = std::string{};
  auto packed = std::string{};
  for (; !plain.empty(); plain.remove_prefix(std::min(block_bytes, plain.size()))) {
    const auto part = plain.substr(0, block_bytes);
    packed.resize(part.size());  // what does not become shorter is stored
    const auto size =
        LZ4_compress_default(part.data(), packed.data(), static_cast<int>(part.size()),
                             static_cast<int>(packed.size() - 1));
    if (size > 0)
      put_lz4_block(out, compressed, std::string_view{packed}.substr(0, size), part);
    else
      put_lz4_block(out, stored, part, part);
  }
  put_lz4_block(out, stored, {}, {});
  return out;
}

model::result<std::string> unlz4(std::string_view packed, std::size_t max_bytes) {
  auto out = std::string{};
  for (;;) {
    if (packed.size() < lz4_header || !packed.starts_with(lz4_magic))
      return invalid("lz4: no block where one must begin");
    const auto token = static_cast<unsigned char>(packed[8]);
    const auto method = token & 0xf0u;
    const std::size_t size = little_32(packed.substr(9));
    const std::size_t plain_size = little_32(packed.substr(13));
    const auto checksum = little_32(packed.substr(17));
    packed.remove_prefix(lz4_header);
    if ((method != stored && method != compressed) || size > packed.size() ||
        plain_size > std::size_t{1024} << (token & 0x0f) || (size == 0) != (plain_size == 0) ||
        (method == stored && size != plain_size))
      return invalid("lz4: a block's header is damaged");
    if (plain_size == 0) {
      if (checksum != 0 || !packed.empty())
        return invalid("lz4: more bytes behind its end");
      return out;
    }
    if (plain_size > max_bytes - out.size())
      return beyond(max_bytes);
    const auto start = out.size();
    if (method == stored) {
      out.append(packed, 0, size);
    } else {
      out.resize(start + plain_size);
      if (LZ4_decompress_safe(packed.data(), out.data() + start, static_cast<int>(size),
                              static_cast<int>(plain_size)) != static_cast<int>(plain_size))
        return invalid("lz4: a block is damaged");
    }
    if (lz4_checksum(std::string_view{out}.substr(start)) != checksum)
      return invalid("lz4: a block's checksum is wrong");
    packed.remove_prefix(size);
  }
}

// ---- lzo

void put_big_32(std::string& out, std::size_t v) {
  for (auto shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(v >> shift));
}

std::size_t big_32(std::string_view in) {
  auto v = std::size_t{0};
  for (std::size_t i = 0; i < 4; ++i)
    v = v << 8 | static_cast<unsigned char>(in[i]);
  return v;
}

std::string lzo(std::string_view plain) {
  auto out = std::string{};
  auto packed = std::string{};
  for (; !plain.empty(); plain.remove_prefix(std::min(block_bytes, plain.size()))) {
    const auto part = plain.substr(0, block_bytes);
    packed.clear();
    store_lzo1x(part, packed);
    put_big_32(out, part.size());
    put_big_32(out, packed.size());
    out.append(packed);
  }
  return out;
}

model::result<std::string> unlzo(std::string_view packed, std::size_t max_bytes) {
  auto out = std::string{};
  while (!packed.empty()) {
    if (packed.size() < 8)
      return invalid("lzo: ends inside a block's header");
    const auto plain_size = big_32(packed);
    const auto size = big_32(packed.substr(4));
    packed.remove_prefix(8);
    if (plain_size == 0 || plain_size > block_bytes || size > packed.size())
      return invalid("lzo: a block's header is damaged");
    if (plain_size > max_bytes - out.size())
      return beyond(max_bytes);
    if (!unpack_lzo1x(packed.substr(0, size), plain_size, out))
      return invalid("lzo: a block is damaged");
    packed.remove_prefix(size);
  }
  return out;
}

}  // namespace

std::string compress(compression form, std::string_view plain) {
  switch (form) {
    case compression::none:
      return std::string{plain};
    case compression::gzip:
      return gzip(plain);
    case compression::lz4:
      return lz4(plain);
    case compression::lzo:
      return lzo(plain);
  }
  return std::string{plain};
}

model::result<std::string> decompress(compression form, std::string_view packed,
                                      std::size_t max_bytes) {
  if (packed.empty())
    return std::string{};
  switch (form) {
    case compression::none:
      if (packed.size() > max_bytes)
        return beyond(max_bytes);
      return std::string{packed};
    case compression::gzip:
      return gunzip(packed, max_bytes);
    case compression::lz4:
      return unlz4(packed, max_bytes);
    case compression::lzo:
      return unlzo(packed, max_bytes);
  }
  return invalid("of no known form");
}

}  // namespace orrery::transport
