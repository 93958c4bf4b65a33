"""Where the server's processor time goes, by part: perf samples of the whole post and of general topics, each counted for
the first part that its call stack names, from the innermost call outwards. Needs perf."""
import re
import shutil
import subprocess
import threading
import time

from fanout import fan
from servers import Orrery, load, table

LOADS = [("1,000 connections, window 1", load, {"connections": 1000, "window": 1}),
         ("100 connections, window 50", load, {"connections": 100, "window": 50}),
         ("topic: 1 to 1,000", fan, {"subscribers": 1000, "qos": 1}),
         ("topic: 1 to 100 kept", fan, {"subscribers": 100, "qos": 1, "kept": True}),
         ("topic: 100 to 1", fan, {"publishers": 100, "window": 1, "qos": 1})]
# What a frame belongs to: the first that fits. Frames that fit nothing (the allocator, memory, strings)
# count for whoever called them.
PARTS = [("RocksDB", r"rocksdb"),
         ("JSON read", r"simdjson|model::parse_json|model::\(anonymous namespace\)::builder"),
         ("replies written", r"mqtt::write_reply|mqtt::reply_data|mqtt::connection::reply"),
         ("topics and payloads", r"mqtt::classify|mqtt::read_request|mqtt::\(anonymous namespace\)::read_"),
         ("model check and rules", r"thing_model|model::check_value|device::decide|decide_on|device::apply"),
         ("events and rows encoded", r"encode_events|encode_latest|checkpoint_rows|byte_writer|rows_of|storage::bucket"),
         ("journal writer", r"actors::\(anonymous namespace\)::writer|storage::"),
         ("MQTT packets and session", r"mqtt::|transport::link|actors::answer_port"),
         ("sockets and their thread", r"net::|asio"),
         ("sessions", r"actors::.*session"),
         ("entities", r"actors::.*(entity|_kind|answer_all|settle)|model::(client|topic|device)::"),
         ("hosts of shards", r"cluster::"),
         ("actors and their scheduling", r"actors::|caf")]
MATCH = [(name, re.compile(pattern)) for name, pattern in PARTS]
SECONDS = 6


def run(options):
    if not shutil.which("perf"):
        print("profile: perf is not installed (linux-perf); left out")
        return {"rows": []}
    rows = {name: [name] for name in [name for name, _ in PARTS] + ["kernel: network", "kernel: waking, switching, the rest", "other"]}
    for name, what, how in LOADS:
        if options.only not in name:
            continue
        for part, share in shares(what, how).items():
            rows[part].append(100 * share)
    rows = sorted((r for r in rows.values() if len(r) > 1), key=lambda r: -r[1])
    table(["% of the server's time"] + [name for name, _, _ in LOADS if options.only in name], rows)
    return {"rows": rows}


def shares(what, how):
    with Orrery("os", *(("mqtt.open_broker=default",) if what is fan else ())) as node:
        samples = node.folder / "perf.data"

        def watch():
            time.sleep(3)  # logins are over
            subprocess.run(["perf", "record", "--quiet", "-e", "cpu-clock", "-F", "1999", "-g", "-p", str(node.process.pid), "-o", samples,
                            "--", "sleep", str(SECONDS - 2)], check=True)
        watcher = threading.Thread(target=watch)
        watcher.start()
        what(node, seconds=SECONDS + 2, **how)
        watcher.join()
        text = subprocess.run(["perf", "script", "-i", samples, "-F", "comm,ip,sym,dso"], check=True, capture_output=True, text=True).stdout
    counts = {}
    for sample in text.split("\n\n"):
        frames = [line.strip() for line in sample.splitlines()[1:] if line.strip()]
        if frames:
            part = part_of(frames)
            counts[part] = counts.get(part, 0) + 1
    total = sum(counts.values())
    return {name: counts.get(name, 0) / total for name in [name for name, _ in PARTS] + ["kernel: network", "kernel: waking, switching, the rest", "other"]}


def part_of(frames):
    if "kernel" in frames[0] or "unknown" in frames[0].rsplit("(", 1)[-1]:
        network = any(re.search(r"sys_(sendto|recvfrom|sendmsg|recvmsg|writev|readv)|tcp_|net_rx", f) for f in frames)
        return "kernel: network" if network else "kernel: waking, switching, the rest"
    for frame in frames:
        for name, pattern in MATCH:
            if pattern.search(frame):
                return name
    return "other"
