"""General topics: what a delivery to a subscriber costs, one publisher to many, many to one, and to sessions that are kept;
beside mosquitto in the same run, by the same load. At most is measured with a window of messages under way, each until
all have it; latencies at a pace that is far from that."""
import itertools
import os

from ingest import middle
from servers import BIN, Mosquitto, Orrery, measured, table, words

PACE = 5_000  # deliveries a second
LOADS = [(f"1 to {many:,}, QoS {qos}", {"subscribers": many, "qos": qos}) for many in (1, 10, 100, 1_000) for qos in (0, 1)] + \
        [(f"100 to 1, QoS {qos}", {"publishers": 100, "window": 1, "qos": qos}) for qos in (0, 1)]
KEPT = [(f"1 to {many:,} kept, QoS 1", {"subscribers": many, "qos": 1, "kept": True}) for many in (10, 100)]
SERIAL = itertools.count()


def run(options):
    wanted = [row for row in LOADS + KEPT if options.only in row[0]]
    got, paced = {}, {}
    for _ in range(options.repeat):
        for make in (Mosquitto, lambda: Orrery("os", "mqtt.open_broker=default", devices=0)):
            with make() as server:
                for name, how in wanted:
                    got.setdefault((name, server.name), []).append(fan(server, seconds=options.seconds, **how))
                    pace = PACE / how.get("subscribers", 1)
                    paced.setdefault((name, server.name), []).append(fan(server, seconds=options.seconds, rate=pace, **how))
    rows = []
    for name, _ in wanted:
        peer, calm_peer = (middle(runs[name, "mosquitto"], "cpu_per_million") for runs in (got, paced))
        for who in ("mosquitto", "orrery os"):
            most, calm = got[name, who], paced[name, who]
            cpu, calm_cpu = (middle(runs, "cpu_per_million") for runs in (most, calm))
            rows.append([f"{name}: {who}", middle(most, "rate"), cpu, cpu / peer, 100 * middle(most, "load_share"), middle(calm, "rate"),
                         calm_cpu, calm_cpu / calm_peer, middle(calm, "p50_us"), middle(calm, "p99_us")])
    head = ["fanout", "deliveries/s", "CPU us each", "ratio", "load's core %", "paced/s", "CPU us each", "ratio", "p50 us", "p99 us"]
    table(head, rows)
    lost = sum(int(r["lost"]) for runs in (*got.values(), *paced.values()) for r in runs)
    if lost:
        print(f"{lost} messages did not reach everybody")
    keys = ("name", "rate", "cpu_us", "ratio", "load_percent", "paced_rate", "paced_cpu_us", "paced_ratio", "p50_us", "p99_us")
    return {"rows": [dict(zip(keys, row)) for row in rows], "lost": lost}


def fan(server, kept=False, **how):
    """Each with a topic and clients of its own, so that nothing is left of the one before."""
    command = [BIN / "orrery-load", "fan", "--port", server.port, "--name", f"fan-{os.getpid()}-{next(SERIAL)}", *words(how)]
    return measured(server, command + (["--kept"] if kept else []))
