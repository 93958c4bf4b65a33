#include "transport/certificate_claim.hpp"

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

const auto device = model::entity_id{.shard = 7, .ulid = {1, 2, 3}};
const auto text = to_string(device);

TEST(CertificateClaim, IsReadAsItIsWritten) {
  const auto written = claim_text("org-1", device);
  EXPECT_EQ(written, "urn:orrery:device:org-1:" + text);
  EXPECT_EQ(read_claim({written}, 64), (certificate_claim{"org-1", device}));
  EXPECT_EQ(read_claim({"https://elsewhere", written}, 64), (certificate_claim{"org-1", device}))
      << "among others";
}

TEST(CertificateClaim, WhatIsNoneSaysNothing) {
  const auto written = claim_text("o", device);
  EXPECT_FALSE(read_claim({}, 64));
  EXPECT_FALSE(read_claim({""}, 64));
  EXPECT_FALSE(read_claim({written}, 7)) << "there is no such shard";
  EXPECT_TRUE(read_claim({written}, 8));
  for (const auto& bad :
       {"urn:orrery:device:" + text, "urn:orrery:device::" + text,
        std::string{"urn:orrery:device:o:"}, "urn:orrery:device:o:" + text + "0",
        "urn:orrery:device:a/b:" + text, "urn:orrery:device:o:x:" + text,
        "URN:orrery:device:o:" + text, "urn:orrery:device:" + std::string(65, 'o') + ':' + text,
        std::string(1'000'000, ':')})
    EXPECT_FALSE(read_claim({bad}, 64)) << bad.substr(0, 100);
}

}  // namespace
}  // namespace orrery::transport
