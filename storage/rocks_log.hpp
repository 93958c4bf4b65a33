// What RocksDB has to say, in the node's own log.
#pragma once

#include <memory>

namespace rocksdb {
class Logger;
}

namespace orrery::storage {

/// RocksDB's warnings and errors as entries of the unit "storage.rocksdb". A log file of its own in
/// the database's folder would end the process when the disk is full: Debian's build asserts that
/// no file is written to after a failed write, and its log is one.
std::shared_ptr<rocksdb::Logger> rocks_log();

}  // namespace orrery::storage
