"""What devices cost when nobody is connected: memory of an awake one with ten points, and the time a
node needs to start over the registered ones."""
import pathlib
import time

from connections import settle
from servers import Orrery, load, table

REGISTERED, AWAKE, MORE_AWAKE = 1_000_000, 9_000, 18_000


def run(options):
    rows = []
    with Orrery("os", devices=REGISTERED) as node:
        seconds = [node.restart() for _ in range(3)]
        rows.append([f"seconds to start with {REGISTERED:,} registered devices", sorted(seconds)[1]])
        size = sum(f.stat().st_size for f in pathlib.Path(node.folder / "data/db").iterdir())
        rows.append(["bytes of a registered device on disk", size / REGISTERED])
    with Orrery("os", "entities.idle_timeout=1h", "storage.checkpoint_interval=20s", "storage.write_buffer_bytes=16MiB") as node:
        fewer, more = memory_of(node, AWAKE), memory_of(node, MORE_AWAKE)
        rows.append(["bytes of an awake device, 10 points", (more - fewer) / (MORE_AWAKE - AWAKE)])
    table(["devices", "value"], rows)
    return {"rows": rows}


def memory_of(node, devices):
    """Bytes of a node that has woken so many devices from its journal, without RocksDB's caches: those
    have limits of their own. Nothing else was in that process, no connection and no message."""
    load(node, connections=devices, window=2, rate=devices, seconds=2, warm_up=1)
    node.process.kill()
    node.process.wait()
    node.run()
    time.sleep(26)  # a checkpoint: what the journal had is in rows
    settle(node)
    m = node.metrics()
    assert m["orrery_entities_awake"] >= devices, m["orrery_entities_awake"]
    return node.memory_kib() * 1024 - m["orrery_rocksdb_block_cache_bytes"] - m["orrery_rocksdb_memtable_bytes"]
