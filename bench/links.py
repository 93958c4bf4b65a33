"""A link between two nodes: CPU of either side for each message of 220 bytes, in bulk, and a round trip
with one under way, from a thread that waits for it and between the links' own threads. All on one
core, so that no time of an idle core's awakening is in it."""
import json
import subprocess

from servers import BIN, table


def run(options):
    rows = []
    for _ in range(options.repeat):
        done = subprocess.run(["taskset", "-c", "0", BIN / "orrery-links", "--seconds", str(round(options.seconds / 3) or 1)],
                              check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        rows.append(json.loads(done.stdout))
    table(["node links", "M/s", "CPU us", "trip p50 us", "p99", "CPU us", "between links p50 us", "p99", "CPU us"],
          [[f"{r['bytes']} bytes", r["messages_per_s"] / 1e6, r["cpu_us"], r["trip_p50_us"], r["trip_p99_us"], r["trip_cpu_us"],
            r["inner_p50_us"], r["inner_p99_us"], r["inner_cpu_us"]] for r in rows])
    return {"rows": rows}
