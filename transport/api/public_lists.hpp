// Certificates and revocation lists of authorities for anybody: GET /pki/{organisation}/{id}.pem
// and .crl, in PEM form, beside the API on its ports.
#pragma once

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

bool is_public_list(const http_request& request);
/// Answers it; 404 if there is no such authority.
void send_public_list(const exchange_ptr& e);

}  // namespace orrery::transport::api
