// What stands in an audit log of a request of the API.
#pragma once

#include "model/value.hpp"
#include "transport/api/exchange.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {

/// How much of a call is noted, whoever makes it. Refusals are noted in any case.
enum class noted_as : std::uint8_t {
  nothing,  // it reads
  counted,  // it brings data, as devices do: how often, by whom
  each      // it changes something, or hands out what opens something
};
noted_as noted_of(const route& r, const http_request& asked);

/// True if the answer says that the caller may not: he proved nothing, has no right, or asked for
/// what is not in his reach.
bool is_refusal(const exchange& e, const http_response& r);

/// True if nobody knows who asked: he has not proved it.
bool is_stranger(const exchange& e, const http_response& r);

/// A record's members but number, previous and time: who, from where, what, and what came of it.
/// Without secrets, all texts UTF-8, of strangers no more than where they knocked. At most
/// model::audit::max_entry_bytes.
model::object audit_entry(const exchange& e, const http_response& r);

}  // namespace orrery::transport::api
