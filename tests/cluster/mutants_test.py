"""Plants bugs in the replication protocol, one at a time, and demands that the simulation finds each:
a simulation that finds nothing says something only if it would have found it."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
COMPILER = os.environ.get("CXX", "c++")
FLAGS = ["-std=c++20", "-O1", f"-I{SOURCE}"]
PARTS = ["cluster/log_outline.cpp", "tests/support/replication_sim.cpp", "tests/cluster/replication_sim_main.cpp"]

RECOVERIES = ["--recoveries", "--observer"]

# name: what stands in cluster/replica.cpp, what is to stand there, the schedules that find it
MUTANTS = {
    "a follower takes what an older epoch sends": (
        "if (m.epoch < epoch_) {\n    actions_", "if (false) {\n    actions_", []),
    "only the newest in-sync set counts": (
        "for (const auto& c : configs_)\n    all.insert(c.begin(), c.end());", "all = configs_.back();", []),
    "an acknowledgement counts in a follower's next life": (
        "f.incarnation = m.incarnation;\n    f.matched = m.index;", "f.incarnation = m.incarnation;", []),
    "a primary goes on alone without a sync": (
        "if (!alone)\n    return propose_now();", "return propose_now();", []),
    "alone, it syncs nothing": (
        "return syncs() ? synced_ : written_;", "return options_.sync ? synced_ : written_;", [],
        "std::move(entries), sync || syncs()}", "std::move(entries), sync || options_.sync}"),
    "an epoch goes on after a crash": (
        "if (led_ >= now.epoch) {", "if (false) {", []),
    "a node that lost its log's end stays in the in-sync set": (
        "if (!whole_ && now.in_sync", "if (false && now.in_sync", []),
    "a follower does not compare what stands before": (
        "if (log_.epoch_at(m.before.index) != m.before.epoch)", "if (false)", []),
    "a follower keeps a suffix that differs": (
        "log_.epoch_at(fresh->at.index) == fresh->at.epoch;", "true;", []),
    "an older epoch's entry is committed by itself": (
        "if (log_.epoch_at(reached) != epoch_)\n    return;", "", []),
    "an election leaves out who is silent": (
        "p.wanted.primary = self_;\n  ++p.wanted.epoch;\n  actions_.emplace_back(propose{std::move(p)});\n}",
        "p.wanted.primary = self_;\n  ++p.wanted.epoch;\n  p.wanted.in_sync = {self_};\n  actions_.emplace_back(propose{std::move(p)});\n}", []),
    "a learner is taken in before it has caught up": (
        "f->second.matched < commit_ ||\n      f->second.matched + options_.behind_max < log_.last().index)", "false)", []),
    "a checkpoint takes the place of a log that has all of it": (
        "if (log_.epoch_at(at.index) != at.epoch) {\n    // In", "if (true) {\n    // In", []),
    "while it loads a checkpoint a follower acknowledges": (
        "if (loading_)\n    return;", "", []),
    "a learner is taken in by an acknowledgement of an earlier life": (
        "{who, f->second.incarnation}}", "}", []),
    "a write is acknowledged with too few copies": (
        "commit_up_to{commit_, is_enough()}", "commit_up_to{commit_, true}", ["--min", "2"]),
    "after an operator's choice a copy keeps what the chosen one lacks": (
        "  if (!loading_ && (is_ours || log_.last().epoch >= epoch))\n    return;", "  return;", RECOVERIES),
    "a chosen copy goes on with what it was loading": (
        "if (!loading_ && (is_ours ||", "if ((is_ours ||", RECOVERIES),
    "a chosen copy leads before its log is on the disk": (
        "if (now.in_sync.size() == 1 && synced_ < log_.last().index)", "if (false)", RECOVERIES),
    "a node that was restored goes on where it was alone": (
        "(restored_ || now.in_sync.size() > 1)", "(now.in_sync.size() > 1)", RECOVERIES),
}


def compile_to(out, source):
    done = subprocess.run([COMPILER, *FLAGS, "-c", source, "-o", out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


class Mutants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.at = pathlib.Path(cls.folder.name)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            cls.parts = list(pool.map(lambda p: compile_to(cls.at / (pathlib.Path(p).stem + ".o"), SOURCE / p), PARTS))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def simulate(self, name, text, arguments, runs):
        source = self.at / f"{name}.cpp"
        source.write_text(text)
        replica = compile_to(self.at / f"{name}.o", source)
        program = self.at / name
        subprocess.run([COMPILER, "-o", program, replica, *self.parts], check=True)
        return subprocess.run([program, "--runs", str(runs), "--steps", "4000", "--first", *arguments], capture_output=True, text=True, timeout=300)

    def test_the_protocol_as_it_is_breaks_no_promise(self):
        done = self.simulate("as_it_is", (SOURCE / "cluster/replica.cpp").read_text(), [], 3000)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_planted_bug_is_found(self):
        whole = (SOURCE / "cluster/replica.cpp").read_text()

        def find(item):
            number, (name, (old, new, arguments, *more)) = item
            text = whole
            for place, instead in ((old, new), more) if more else ((old, new),):
                if text.count(place) != 1:
                    return f"{name}: its place is there {text.count(place)} times: mend this test"
                text = text.replace(place, instead)
            done = self.simulate(f"mutant{number}", text, arguments, 30000)
            return None if done.returncode == 1 else f"{name}: not found ({done.stdout.strip()} {done.stderr.strip()})"

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            missed = [why for why in pool.map(find, enumerate(MUTANTS.items())) if why]
        self.assertFalse(missed, "\n" + "\n".join(missed))


if __name__ == "__main__":
    unittest.main(verbosity=2)
