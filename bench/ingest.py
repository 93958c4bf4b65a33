"""The whole post (200 bytes of JSON by MQTT QoS 1: authorised, checked against its model, journaled,
latest value and history kept, acknowledged and answered) against mosquitto that takes the same
messages and has no subscriber."""
import statistics

from servers import Mosquitto, Orrery, load, table

LOADS = [("1,000 connections, window 1", {"connections": 1000, "window": 1}),
         ("100 connections, window 50", {"connections": 100, "window": 50})]
PACED = ("20,000 posts/s, 1,000 connections", {"connections": 1000, "window": 20, "rate": 20_000})
FLEET = ("15,000 devices, a post each 10 s", {"connections": 15_000, "window": 4, "rate": 1_500})


def run(options):
    wanted = [row for row in LOADS + [PACED, FLEET] if options.only in row[0]]
    got = {}
    for turn in range(options.repeat):
        for make in (Mosquitto, lambda: Orrery("os"), lambda: Orrery("sync")):
            with make() as server:
                for name, how in wanted:
                    seconds = max(options.seconds, 60) if name == FLEET[0] else options.seconds
                    if name == FLEET[0] and turn > 0:
                        continue
                    got.setdefault((name, server.name), []).append(load(server, seconds=seconds, **how))
    rows = []
    for name, _ in wanted:
        peer = middle(got[name, "mosquitto"], "cpu_per_million")
        for who in ("mosquitto", "orrery os", "orrery sync"):
            runs = got[name, who]
            cpu = middle(runs, "cpu_per_million")
            rows.append([f"{name}: {who}", middle(runs, "rate"), cpu, cpu / peer, middle(runs, "p50_us"), middle(runs, "p99_us")])
    table(["ingest", "posts/s", "CPU s/million", "ratio", "p50 us", "p99 us"], rows)
    return {"rows": [dict(zip(("name", "rate", "cpu_per_million", "ratio", "p50_us", "p99_us"), row)) for row in rows]}


def middle(runs, key):
    return statistics.median(float(r[key]) for r in runs)
