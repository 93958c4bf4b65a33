"""scripts/check_layers finds what it is there for."""
import pathlib
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent


class CheckLayers(unittest.TestCase):
    def check(self, files):
        """Runs it on a tree of these files; gives what it found, by line."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                (pathlib.Path(root) / path).parent.mkdir(parents=True, exist_ok=True)
                (pathlib.Path(root) / path).write_text(text)
            done = subprocess.run([SOURCE / "scripts/check_layers", root], capture_output=True, text=True, timeout=60)
        found = [] if done.stdout == "layers: good\n" else done.stdout.splitlines()
        self.assertEqual(done.returncode, 1 if found else 0, done.stderr)
        return found

    def test_what_points_down_is_good(self):
        self.assertEqual(self.check({
            "model/device/rules.cpp": '#include <vector>\n#include "model/value.hpp"\n#include "model/device/device.hpp"\n',
            "storage/keys.cpp": '#include <rocksdb/db.h>\n#include "storage/keys.hpp"\n#include "model/ids.hpp"\n',
            "transport/mqtt/operations.cpp": '#include "transport/mqtt/codec.hpp"\n#include "actors/messages.hpp"\n',
            "transport/api/statistics.cpp": '#include "pages/reference.hpp"\n',
            "app/node.cpp": '#include "cluster/router.hpp"\n#include "transport/mqtt/listener.hpp"\n',
        }), [])

    def test_the_tree_itself_is_good(self):
        done = subprocess.run([SOURCE / "scripts/check_layers"], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, "layers: good\n"))

    def one(self, path, include, *words):
        found = self.check({path: f"#pragma once\n#include {include}\n"})
        self.assertEqual(len(found), 1, found)
        for word in (f"{path}:2", *words):
            self.assertIn(word, found[0])

    def test_an_include_that_points_up_is_found(self):
        self.one("model/ids.cpp", '"storage/keys.hpp"', "model must not include storage")
        self.one("storage/frame.cpp", '"actors/journal.hpp"', "storage must not include actors")
        self.one("actors/journal.cpp", '"cluster/router.hpp"', "actors must not include cluster")

    def test_layers_side_by_side_do_not_know_each_other(self):
        self.one("transport/link.cpp", '"cluster/router.hpp"', "transport must not include cluster")
        self.one("cluster/router.cpp", '"transport/link.hpp"', "cluster must not include transport")
        self.one("transport/api/points.cpp", '"storage/keys.hpp"', "transport must not include storage")
        self.one("observe/log.cpp", '"model/time.hpp"', "observe must not include model")

    def test_pages_are_for_those_who_show_them(self):
        self.one("app/node.cpp", '"pages/reference.hpp"', "names no layer")
        self.one("transport/api/routes.hpp", '"pages/reference.hpp"', "names no layer")

    def test_adapters_and_kinds_do_not_know_each_other(self):
        self.one("transport/mqtt/login.cpp", '"transport/api/routes.hpp"', "adapters do not know each other")
        self.one("transport/link.cpp", '"transport/mqtt/codec.hpp"', "adapters do not know each other")
        self.one("model/device/rules.cpp", '"model/product/product.hpp"', "kinds do not know each other")

    def test_the_model_knows_no_framework(self):
        self.one("model/value.cpp", "<caf/all.hpp>", "model knows no <caf/all.hpp>")
        self.one("model/value.cpp", "<boost/asio.hpp>", "model knows no")

    def test_heavy_headers_stay_in_sources(self):
        self.one("actors/journal.hpp", "<caf/all.hpp>", "is heavy")
        self.one("storage/keys.hpp", "<rocksdb/db.h>", "is heavy")
        self.assertEqual(self.check({"actors/journal.hpp": "#include <caf/fwd.hpp>\n"}), [])

    def test_a_name_that_is_no_layer_is_found(self):
        self.one("actors/journal.cpp", '"keys.hpp"', "names no layer")


if __name__ == "__main__":
    unittest.main()
