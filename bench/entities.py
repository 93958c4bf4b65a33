"""What devices cost when nobody is connected: memory of an awake one with ten points, and the time a
node needs to start over the registered ones."""
import pathlib

from connections import settle
from servers import Orrery, load, table

AWAKE, REGISTERED = 10_000, 100_000


def run(options):
    rows = []
    with Orrery("os", "entities.idle_timeout=1h", "storage.checkpoint_interval=5s", devices=REGISTERED) as node:
        seconds = [node.restart() for _ in range(3)]
        rows.append([f"seconds to start with {REGISTERED:,} registered devices", sorted(seconds)[1]])
        settle(node)
        before = node.memory_kib()
        load(node, connections=AWAKE, window=2, rate=AWAKE, seconds=3, warm_up=1)
        settle(node)
        awake = node.metrics()["orrery_entities_awake"]
        rows.append([f"bytes of an awake device, 10 points ({awake:,.0f} awake)", (node.memory_kib() - before) * 1024 / awake])
        size = sum(f.stat().st_size for f in pathlib.Path(node.folder / "data/db").iterdir())
        rows.append(["MiB of the database", size / 1024 / 1024])
    table(["devices", "value"], rows)
    return {"rows": rows}
