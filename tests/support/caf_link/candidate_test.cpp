#include "tests/support/caf_link/candidate.hpp"

#include <fstream>

#include "tests/net/peer.hpp"
#include "tests/support/node_link_contract.hpp"

namespace orrery::tests {

struct caf_links {
  std::unique_ptr<cluster::node_links> make(cluster::link_options o, cluster::link_events e) {
    return make_caf_links(std::move(o), std::move(e));
  }
};
namespace {

std::size_t resident_mib() {
  auto pages = std::size_t{0}, resident = std::size_t{0};
  std::ifstream{"/proc/self/statm"} >> pages >> resident;
  return resident * 4096 >> 20;
}

}  // namespace

using CafLink = NodeLinkContract<caf_links>;

TEST_F(CafLink, AFrameOverTheMaximumTakesNoMemory) {
  b = start(options(2, 22));
  const auto before = resident_mib();
  auto p = net::peer::dial(b->links->port());
  ASSERT_TRUE(p.begin_tls(net::mutual_context(pki->at("ours/ca.pem"), pki->at("ours/node-c.pem"),
                                              pki->at("ours/node-c.key")),
                          "node-b"));
  // A header of BASP that announces a payload of 1 GiB, of which nothing comes.
  auto head = std::string(32, '\0');
  head[0] = 1;
  head[4] = 0x40;
  ASSERT_TRUE(p.send(head));
  p.receive(1);
  auto most = before;
  const auto end = std::chrono::steady_clock::now() + 3s;
  while (std::chrono::steady_clock::now() < end)
    most = std::max(most, resident_mib());
  EXPECT_LT(most - before, 64u);
}

INSTANTIATE_TYPED_TEST_SUITE_P(Caf, NodeLinkContract, caf_links);

}  // namespace orrery::tests
