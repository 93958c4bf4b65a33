// The threads that serve sockets: each runs one io_context, so whatever belongs to one context is
// touched by one thread alone and needs no lock.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>

namespace orrery::net {

class io_threads {
 public:
  explicit io_threads(std::size_t count);
  ~io_threads();  // stops and joins

  std::size_t size() const;
  boost::asio::io_context& context(std::size_t index);
  /// The next context in turn. Any thread.
  boost::asio::io_context& next();
  void stop();

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace orrery::net
