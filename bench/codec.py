"""MQTT's codec and engine alone, on one core: a publish with its acknowledgement and reply, and the reply's acknowledgement,
which the bench writes itself; and decoding the publish. Nanoseconds, the best of 20 times 100,000."""
import json
import subprocess

from servers import BIN, table


def run(options):
    rows = []
    for _ in range(options.repeat):
        done = subprocess.run(["taskset", "-c", "0", BIN / "orrery-codec"], check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout))
    table(["MQTT", "publish, reply and both acknowledgements, ns", "decode publish, ns"],
          [[version, r[version]["whole_ns"], r[version]["decode_publish_ns"]] for r in rows for version in r])
    return {"rows": rows}
