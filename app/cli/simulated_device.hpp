// One device of `orrery simulate`: logs in, posts values that move as their points do, does what it
// is told, comes back when it is cut off.
#pragma once

#include <array>
#include <chrono>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include "transport/mqtt/codec.hpp"

namespace orrery::app::cli {

/// What all simulated devices share.
struct simulation {
  boost::asio::ip::tcp::endpoint where;
  std::string product;
  nlohmann::ordered_json points;  // the model's measure points
  std::chrono::nanoseconds interval{0};
  std::uint64_t posts_each = 0;  // 0: no end

  // Figures of all of them.
  std::uint64_t connected = 0, logins = 0;   // now; ever
  std::uint64_t sent = 0, acknowledged = 0;  // posts; of them taken (reply code 200)
  std::uint64_t failed = 0;                  // answered otherwise, or lost with a connection
  std::uint64_t commands = 0;                // answered
  std::uint64_t lost = 0, refused = 0;       // connections; logins
  std::string last_refusal, last_failure, last_error;  // words of the last one each
  std::uint64_t outstanding() const { return sent - acknowledged - failed; }
};

/// Everything on the thread of its context.
class simulated_device : public std::enable_shared_from_this<simulated_device> {
 public:
  simulated_device(boost::asio::io_context& io, simulation& all, std::string key,
                   std::string secret, unsigned seed);
  void start(std::chrono::nanoseconds after);
  /// Posts no more; what is under way may still be answered.
  void rest();
  /// Says good-bye.
  void stop();

 private:
  void connect();
  void log_in();
  void lose(const std::string& why);
  void send(const transport::mqtt::packet& p);
  void write();
  void read();
  void take(const transport::mqtt::packet& p);
  void take_post_reply(std::string_view payload);
  void answer_command(const transport::mqtt::publish& m);
  void schedule_post();
  void post();
  std::uint16_t next_id();
  std::string topic(const char* rest) const;

  boost::asio::io_context& io_;
  simulation& all_;
  std::string key_, secret_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  std::chrono::steady_clock::time_point due_{};
  std::mt19937 random_;
  std::array<char, 4096> buffer_{};
  std::string in_;
  std::deque<std::string> out_;
  std::uint64_t posts_ = 0, answered_ = 0;  // of this connection
  std::uint64_t made_ = 0;                  // of all
  std::uint16_t id_ = 0;
  bool online_ = false, resting_ = false, stopped_ = false;
};

}  // namespace orrery::app::cli
