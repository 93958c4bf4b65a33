"""deploy/install-packages asks apt for what is missing and for nothing else: with programs of the test's own in its PATH."""
import pathlib
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent


class InstallPackages(unittest.TestCase):
    def run_it(self, installed, wanted, user="0", programs=("apt-get", "sudo")):
        """Gives the exit code, what it said, and the calls it made."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            calls = root / "calls"
            calls.touch()

            def program(name, text):
                (root / name).write_text(f"#!/bin/sh\n{text}\n")
                (root / name).chmod(0o755)

            for name in ("sh", "sed", "tr", "env", "cat", "grep"):
                (root / name).symlink_to(f"/bin/{name}")
            known = "\n".join(f'*" {p} "*) echo "{p} {status}" ;; esac; case " $* " in' for p, status in installed.items())
            program("dpkg-query", f'case " $* " in {known} *) ;; esac')
            program("id", f"echo {user}")
            if "apt-get" in programs:
                program("apt-get", f'echo "apt-get $* [$DEBIAN_FRONTEND]" >>{calls}')
            if "sudo" in programs:  # as the real one: without the caller's environment
                program("sudo", f'echo sudo >>{calls}; exec env -u DEBIAN_FRONTEND "$@"')
            (root / "list").write_text("# comment\n" + "".join(f"{p}  # why\n" for p in wanted))
            done = subprocess.run([SOURCE / "deploy/install-packages", root / "list"], env={"PATH": folder}, capture_output=True, text=True,
                                  timeout=30)
            return done.returncode, done.stdout + done.stderr, calls.read_text().splitlines()

    def test_nothing_is_missing(self):
        code, said, calls = self.run_it({"a": "install ok installed", "b": "install ok installed"}, ["a", "b"])
        self.assertEqual((code, said, calls), (0, "", []))

    def test_what_is_missing_or_half_removed_is_installed(self):
        code, said, calls = self.run_it({"a": "install ok installed", "b": "deinstall ok config-files"}, ["a", "b", "c"])
        self.assertEqual(code, 0, said)
        self.assertEqual(said, "installing: b c\n")
        self.assertEqual(len(calls), 2, calls)
        self.assertIn("update", calls[0])
        self.assertRegex(calls[1], r"^apt-get install -y .* b c \[noninteractive\]$")

    def test_what_another_one_provides_is_there(self):
        code, said, calls = self.run_it({"a": "x, b, c-doc (= 1.0) install ok installed", "d": "e deinstall ok config-files"}, ["a", "b", "c-doc", "d", "e"])
        self.assertEqual(code, 0, said)
        self.assertEqual(said, "installing: d e\n")

    def test_others_than_root_go_by_sudo_and_are_asked_nothing(self):
        code, said, calls = self.run_it({}, ["a"], user="1000")
        self.assertEqual(code, 0, said)
        self.assertEqual(calls[0], "sudo")
        self.assertRegex(calls[-1], r" a \[noninteractive\]$")

    def test_without_root_and_sudo_it_says_what_to_do(self):
        code, said, calls = self.run_it({}, ["a"], user="1000", programs=("apt-get",))
        self.assertEqual((code, calls), (1, []))
        self.assertIn("apt-get install a", said)


if __name__ == "__main__":
    unittest.main()
