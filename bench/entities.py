"""What devices cost when nobody is connected: memory of an awake one with ten points, and the time a
node needs to start over the registered ones."""
import pathlib
import time

from connections import settle
from servers import Orrery, load, table

REGISTERED = 1_000_000
AWAKE, MORE_AWAKE, AT_ONCE = 9_000, 99_000, 18_000
LOADING = ("entities.idle_timeout=1h", "storage.checkpoint_interval=24h", "storage.checkpoint_bytes=16GiB", "storage.journal_max_bytes=32GiB")
RESTING = ("entities.idle_timeout=1h", "storage.checkpoint_interval=5s", "storage.write_buffer_bytes=16MiB")


def run(options):
    rows = []
    with Orrery("os", devices=REGISTERED) as node:
        seconds = [node.restart() for _ in range(3)]
        rows.append([f"seconds to start with {REGISTERED:,} registered devices", sorted(seconds)[1]])
        size = sum(f.stat().st_size for f in pathlib.Path(node.folder / "data/db").iterdir())
        rows.append(["bytes of a registered device on disk", size / REGISTERED])
    rows += awake()
    table(["devices", "value"], rows)
    return {"rows": rows}


def awake():
    with Orrery("os", *LOADING, devices=MORE_AWAKE) as node:
        (few_held, few_used), (many_held, many_used) = (memory_of(node, count) for count in (AWAKE, MORE_AWAKE))
        each = MORE_AWAKE - AWAKE
        return [["bytes of an awake device, 10 points: resident", (many_held - few_held) / each],
                ["the same by the allocator: in use", (many_used - few_used) / each]]


def memory_of(node, devices):
    """Bytes of a node that has woken so many devices from its journal: resident, and in use by the
    allocator. RocksDB's caches, which have limits of their own, are left out. Nothing else was in
    that process, no connection and no message."""
    for first in range(0, devices, AT_ONCE):
        count = min(AT_ONCE, devices - first)
        load(node, skip=first, connections=count, window=2, rate=count, seconds=3.5, warm_up=0)
    node.process.kill()
    node.process.wait()
    node.settings = RESTING
    node.run()
    until = time.monotonic() + 120
    while (m := node.metrics())["orrery_journal_tail_bytes"] > 0:  # what the journal had is in rows
        assert time.monotonic() < until, "no checkpoint"
        time.sleep(0.5)
    settle(node)
    m = node.metrics()
    assert m["orrery_entities_awake"] >= devices, m["orrery_entities_awake"]
    caches = m["orrery_rocksdb_block_cache_bytes"] + m["orrery_rocksdb_memtable_bytes"]
    held, used = node.memory_kib() * 1024 - caches, m["orrery_memory_allocated_bytes"] - caches
    node.settings = LOADING
    node.restart()
    return held, used
