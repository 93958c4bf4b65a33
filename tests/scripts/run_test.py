"""tests/run counts right: on a small tree of its own, with ctest's real reports."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent

TREE = """cmake_minimum_required(VERSION 3.25)
project(tree NONE)
enable_testing()
function(one name label command)
  add_test(NAME ${name} COMMAND sh -c ${command})
  set_tests_properties(${name} PROPERTIES LABELS "${label}" SKIP_RETURN_CODE 77 TIMEOUT 20)
endfunction()
"""
PRESETS = """{"version": 6, "configurePresets": [
  {"name": "base", "hidden": true, "generator": "Ninja", "binaryDir": "${sourceDir}/build/${presetName}"},
  {"name": "dev", "inherits": "base"}, {"name": "release", "inherits": "base"}]}"""


class Run(unittest.TestCase):
    def tree(self, *tests):
        root = pathlib.Path(tempfile.mkdtemp(prefix="orrery-run-"))
        self.addCleanup(shutil.rmtree, root)
        (root / "tests").mkdir()
        (root / "deploy").mkdir()
        shutil.copy(SOURCE / "tests/run", root / "tests/run")
        (root / "deploy/install-packages").write_text("#!/bin/sh\n")
        (root / "deploy/install-packages").chmod(0o755)
        (root / "CMakePresets.json").write_text(PRESETS)
        (root / "CMakeLists.txt").write_text(TREE + "".join(f'one({name} {label} "{command}")\n' for name, label, command in tests))
        return root

    def run_it(self, root, *names):
        """Gives the last line and the exit code."""
        done = subprocess.run([root / "tests/run", *names], capture_output=True, text=True, timeout=100, env=dict(os.environ, CI="true"))
        return done.stdout.splitlines()[-1], done.returncode

    def test_all_passed(self):
        root = self.tree(("a", "unit", "true"), ("b", "e2e", "true"), ("c", "e2e", "true"))
        self.assertEqual(self.run_it(root), ("3 passed, 0 failed", 0))

    def test_what_did_not_pass_has_failed(self):
        root = self.tree(("a", "unit", "true"), ("b", "unit", "false"), ("c", "e2e", "exit 77"), ("d", "e2e", "kill -SEGV $$"),
                         ("e", "e2e", "printf '1/1 Test #1: x ...   Passed'"))
        self.assertEqual(self.run_it(root), ("2 passed, 3 failed", 1))

    def test_names_narrow_by_label_and_by_part_of_a_name(self):
        root = self.tree(("model", "unit", "true"), ("e2e_light", "e2e", "true"), ("e2e_kill", "e2e", "false"))
        self.assertEqual(self.run_it(root, "unit"), ("1 passed, 0 failed", 0))
        self.assertEqual(self.run_it(root, "e2e"), ("1 passed, 1 failed", 1))
        self.assertEqual(self.run_it(root, "light", "model"), ("2 passed, 0 failed", 0))

    def test_a_name_that_is_none_fails(self):
        root = self.tree(("a", "unit", "true"))
        self.assertEqual(self.run_it(root, "nothing"), ("0 passed, 1 failed", 1))

    def test_a_build_that_fails_is_no_success(self):
        root = self.tree(("a", "unit", "true"))
        with open(root / "CMakeLists.txt", "a") as lists:
            lists.write('add_custom_target(broken ALL COMMAND false)\n')
        self.assertNotEqual(self.run_it(root)[1], 0)

    def test_list_names_the_tests_of_both_builds(self):
        root = self.tree(("model", "unit", "true"), ("e2e_light", "e2e", "true"))
        done = subprocess.run([root / "tests/run", "--list"], capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0)
        self.assertIn("model", done.stdout)
        self.assertIn("e2e_light", done.stdout)


if __name__ == "__main__":
    unittest.main()
