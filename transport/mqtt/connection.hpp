// One MQTT peer: moves bytes between its stream, the engine, the mapping and the link.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "actors/catalogue.hpp"
#include "config/settings.hpp"
#include "net/byte_stream.hpp"
#include "observe/metrics.hpp"
#include "transport/certificate_holder.hpp"
#include "transport/device_quota.hpp"
#include "transport/fifo.hpp"
#include "transport/file_exchange.hpp"
#include "transport/issuance.hpp"
#include "transport/link.hpp"
#include "transport/login_guard.hpp"
#include "transport/mqtt/downlinks.hpp"
#include "transport/mqtt/engine.hpp"
#include "transport/mqtt/errors.hpp"
#include "transport/mqtt/general.hpp"
#include "transport/mqtt/login.hpp"
#include "transport/mqtt/operations.hpp"
#include "transport/mqtt/replies.hpp"
#include "transport/mqtt/requests.hpp"
#include "transport/mqtt/signpost.hpp"
#include "transport/refused_logins.hpp"
#include "transport/script.hpp"
#include "transport/tcp_listener.hpp"

namespace orrery::transport::mqtt {

/// What the connections of a listener share. The counters are those of the metrics page.
struct shared {
  link_parts link;
  std::shared_ptr<const actors::catalogue> known;
  std::shared_ptr<const model::keyring> keys;
  std::function<model::timestamp()> now;
  config::settings::mqtt_section limits;
  model::milliseconds login_timeout{5'000};
  std::function<observe::counter&(std::string_view operation, std::string_view result)> messages;
  std::function<observe::counter&(std::string_view reason)> closes, refused_logins;
  std::shared_ptr<login_guard> guard;
  std::shared_ptr<script_cache> scripts = std::make_shared<script_cache>();
  std::shared_ptr<issuance> certificates;
  std::shared_ptr<const certificate_holders> holders;
  std::shared_ptr<file_exchange> files;
  std::shared_ptr<device_quota> quota = {};
  std::shared_ptr<transport::refused_logins> refused = {};
  std::atomic<std::size_t> half_open{0};
  std::size_t max_half_open = 5'000;
  std::uint16_t shard_count = 64;
  std::shared_ptr<topic_statistics> topics;
  bool plain_activation = false;  // secrets may be handed out without TLS
  signpost away;
};

/// All members run on the thread of its stream.
class connection final : public std::enable_shared_from_this<connection>, public general_owner {
 public:
  connection(std::shared_ptr<shared> with, std::shared_ptr<net::byte_stream> bytes,
             connection_permit permit);
  ~connection();

  void start();
  /// Once a second or more often: timeouts, held commands, a socket that waited for the journal.
  void tick(model::timestamp now);
  /// Ends it; `reason` becomes the device's offline reason.
  /// `server_reference`: where the client is to go, with the reasons that send it there.
  void end(std::string_view reason, std::string_view server_reference = {});
  /// Nothing more comes of it.
  bool is_over() const { return ended_ && !goodbye_due_; }
  /// The list of bans is another one: it ends if it stands there now.
  void look_at_bans(model::timestamp now);
  /// Logged in, and not about to end.
  bool can_leave() const { return engine_.granted() && !ended_ && !leaving_; }
  /// Ends it as soon as what is under way is answered, on both sides, or some seconds later; the
  /// client is told where to go. If can_leave().
  void leave(signpost::direction where);

 private:
  struct open_request {
    std::uint64_t number;
    std::uint64_t ticket;
    operation what;
    std::string topic;
    std::string id;                // of the request
    std::vector<std::string> ids;  // that it asks for
    qos reply_level;
    model::timestamp since;
    bool settled = false;
    std::optional<model::device_name> sub = {};  // it is about
    bool raw = false;                            // answered in bytes, in the order of the requests
    std::string method = {};                     // of a raw one, as its script read it
    std::optional<std::string> raw_answer = {};  // waits for those before it
    std::uint64_t room = 0;                      // bytes taken for a file that it asks for
  };
  /// A request that concerns several devices, on its way.
  struct group_work {
    std::uint64_t number;  // of its open_request
    group_ptr request;
    std::vector<actors::answer> answers;
    std::size_t missing = 0;
    device_room room = {};  // for those that it registers
  };
  struct group_part {
    std::shared_ptr<group_work> work;
    std::size_t index;
  };
  struct held_command {
    outgoing what;
    std::uint64_t number;
    bool again;
    model::timestamp since;
  };

  void wait();
  void on_readable();
  void consume(std::string_view fresh);
  void run(action& todo);
  void log_in(const login_wanted& wanted);
  /// Neither user name nor password: who it is the certificate says that was shown.
  void log_in_by_certificate(const login_wanted& wanted, const net::certificate_facts& shown);
  void take_holder(const model::result<model::device_name>& found, model::device::connect how);
  /// A device's login, as far as it is known before what it proves itself by.
  model::device::connect login_of(const login_wanted& wanted,
                                  const std::optional<net::certificate_facts>& shown);
  void note_device();
  void open_link();
  void refuse_login(const model::failure& why);
  /// Who logs in, as far as that is known; applications are called "key:" and the key's id.
  login_attempt attempt() const;
  void note_who(const model::device_name& who, const std::string& organisation);
  model::milliseconds kept_for(std::uint32_t asked) const;
  void send_elsewhere(const signpost::direction& where);
  void open_channel();
  void open_virtual_gateway(model::device::connect how);
  /// A client of general topics alone: an application by its key, or anybody where that is allowed.
  void log_in_client(const login_wanted& wanted);
  void begin_general(general_user user);
  /// A device whose product has rules for general topics.
  bool attach_device();

  engine& general_engine() override { return engine_; }
  link& general_link() override { return *link_; }
  std::uint64_t next_question() override { return ++numbers_; }
  void subscription_done(std::uint64_t ticket) override;
  void client_attached(model::result<model::client::attach_granted> granted) override;
  void general_ends(std::string_view reason) override;
  void general_later(model::milliseconds when, std::function<void()> what) override;
  void granted(std::optional<kept_session> resumed);
  void push_activation();
  void take_message(const message& packed);
  void take_plain(const message& m);
  void take_json(const message& m, const classified& topic);
  void take_raw(const message& m, const classified& topic);
  void take_raw_answer(const message& m, const classified& topic);
  void take_command_answer(const message& m, const classified& topic, std::string_view payload);
  void tell_time(const message& m, const classified& topic, const request& asked);
  void take_subscriptions(subscribed& s);
  void ask(const message& m, const classified& topic, request asked);
  void ask_certificate(std::uint64_t number, certificate_wish wish);
  /// Gives what asks for a new file the rest: its id, and how many there may be.
  model::status take_room(open_request& r, const model::device::order& what) const;
  model::device::order completed(model::device::order what) const;
  /// What a device is told of its file: where its bytes go, or come from.
  model::result<model::value> file_data(operation what,
                                        const model::device::file_status& file) const;
  void settle_certificate(std::uint64_t number, const model::result<issued_certificate>& made);
  void ask_group(std::uint64_t number, group_ptr request);
  void take_room(const std::shared_ptr<group_work>& work, const model::result<device_room>& room);
  void step_group(const std::shared_ptr<group_work>& work);
  void finish_group(const group_work& work);
  /// Whose topic it is, as far as this connection may speak for him; nothing: nobody's.
  enum class speaks_for { nobody, itself, sub_device, channel };
  speaks_for right_to(const classified& topic) const;
  group_world world() const;
  /// An order of the connection's own: no reply, at most an acknowledgement.
  void ask_quietly(std::uint64_t ticket, operation what, model::device::order order);
  void refuse(const message& m, const classified& topic, const request& asked,
              const model::failure& why);
  void reply(std::string_view topic, std::string_view id, int code, const model::value& data,
             std::string_view text, qos level);
  /// False: a reply there is nothing that the client waits for, and would only make it work.
  bool wants_replies_on(std::string_view topic) const;
  void send_plain(std::string_view topic, std::string payload, qos level);
  void answer(open_request& r, int code, const model::value& data, std::string_view text);
  void send_raw_answers();
  const actors::catalogue_product* product_of(const model::device_name& device);
  /// False: the message cannot be written in bytes; its command has failed.
  bool make_raw(const model::downlink& d, outgoing& message);
  void on_inbox();
  std::vector<open_request>::iterator find_open(std::uint64_t number);
  void settle(actors::settled& one);
  void settle_login(actors::settled& one);
  void settle_request(open_request& r, const model::result<model::value>& data,
                      const model::value& data_of_failure);
  bool settle_part(actors::settled& one);
  about who_is(const open_request& r) const;
  void deliver(const model::downlink& d);
  void send_command(const held_command& c);
  void release_held();
  void send_asks();
  void flush();
  void leave_if_settled();
  void finish_publishes();
  void say_goodbye();
  bool busy() const;

  std::shared_ptr<shared> with_;
  std::shared_ptr<net::byte_stream> stream_;
  connection_permit permit_;
  std::shared_ptr<link> link_;
  engine engine_;
  std::string in_;  // an unfinished packet
  mqtt::login who_;
  std::unique_ptr<general_topics> general_;  // null: it has none
  // What a login has until it is granted, in memory of its own: most connections are silent.
  struct login_work {
    std::optional<kept_session> resumed;           // of the device, until its client's is there
    std::optional<model::client::last_will> will;  // on a general topic
    std::optional<model::device::connect> virtual_login;  // follows its registration
    std::string assigned_id;
    std::string fresh_secret;                 // that the device gets if its login is an activation
    std::optional<std::uint16_t> keep_alive;  // another than the client asked for, seconds
  };
  std::unique_ptr<login_work> in_login_ = std::make_unique<login_work>();  // null: it is over
  std::unordered_map<std::uint64_t, unsigned> shared_tickets_;  // parts that are not done
  std::string fingerprint_;  // of the certificate that it has shown
  model::client::detach goodbye_;
  std::uint32_t expiry_ = 0;  // of the session, seconds
  bool resumes_ = false;
  std::uint64_t bans_ = 0;  // the version that it was held against
  group_self self_;
  std::uint64_t numbers_ = 0;
  std::uint64_t login_number_ = 0;
  fifo<open_request> open_;
  std::map<model::device_name, std::string> raw_commands_;  // under way, by the device they are for
  std::shared_ptr<const actors::catalogue_snapshot> looked_at_;
  std::unordered_map<std::uint64_t, group_part> parts_;  // by the question's number
  std::vector<actors::session_ask> asks_;
  std::vector<model::downlink> early_;  // came up before the login's answer: CONNACK goes first
  fifo<held_command> held_;
  model::timestamp opened_;
  struct departure {
    signpost::direction where;
    model::timestamp since;
  };
  std::unique_ptr<departure> leaving_;  // null: it stays
  // It has ended, and what its client published with QoS 2 is still under way: what became of it
  // must be known to the connection that comes next.
  std::optional<model::timestamp> goodbye_due_;
  std::string_view end_reason_;
  std::uint32_t asked_expiry_ = 0;  // of the session that is kept, seconds
  bool half_open_ = true, waiting_ = false, ended_ = false, keeps_session_ = false;
};

}  // namespace orrery::transport::mqtt
