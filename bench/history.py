"""Bytes that a sample of history takes on disk and the CPU it costs, by kind of device; the budget is
4 bytes for a 10-point device at 1/s, the aim 2."""
import json
import subprocess

from servers import BIN, table

AIM = 2.0


def run(options):
    done = subprocess.run([BIN / "orrery-history"], check=True, capture_output=True, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    table(["history of 10 points", "samples", "B written", "B flushed", "B on disk", "of the aim", "CPU ns"],
          [[r["what"], r["samples"], r["written"], r["flushed"], r["compacted"], r["compacted"] / AIM, r["cpu_ns"]] for r in rows])
    return {"rows": rows}
