"""The description of the API: an independent linter (npm's @redocly/openapi-core) reads the document, a browser's view of the page."""
import json
import pathlib
import re
import subprocess
import tempfile

import requests

from node_mqtt_test import PACKAGES, PROGRAMS, install
from orrery import NodeTest


class Reference(NodeTest):
    def test_a_linter_finds_nothing(self):
        install()
        with tempfile.TemporaryDirectory(prefix="orrery-test-") as folder:
            document = pathlib.Path(folder) / "openapi.json"
            document.write_bytes(requests.get(self.api.base + "/openapi.json", timeout=30).content)

            def lint(text=None):
                if text is not None:
                    document.write_text(text)
                return subprocess.run(["node", PROGRAMS / "lint.js", document], capture_output=True, text=True, timeout=120,
                                      env={"NODE_PATH": str(PACKAGES / "node_modules"), "PATH": "/usr/local/bin:/usr/bin:/bin"})
            done = lint()
            self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
            # It is one that finds something.
            broken = json.loads(document.read_text())
            next(iter(broken["paths"].values()))["get"] = {"responses": {"200": {"content": {}}}}
            done = lint(json.dumps(broken))
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("description", done.stdout)

    def test_every_call_has_its_part(self):
        document = requests.get(self.api.base + "/openapi.json", timeout=30).json()
        used = {o["tags"][0] for path in document["paths"].values() for o in path.values()}
        self.assertEqual(used, {t["name"] for t in document["tags"]})

    def test_the_page(self):
        """It comes without a login, has its script and style in it, and names nothing from elsewhere."""
        reply = requests.get(self.api.base + "/reference", timeout=30)
        self.assertEqual(reply.status_code, 200)
        self.assertEqual(reply.headers["Content-Type"], "text/html; charset=utf-8")
        policy = reply.headers["Content-Security-Policy"]
        nonce = re.search(r"script-src 'nonce-([A-Za-z0-9]{24})'", policy)[1]
        self.assertIn("default-src 'none'", policy)
        self.assertEqual(re.findall(r"<(?:script|style)[^>]*>", reply.text), [f'<style nonce="{nonce}">', f'<script nonce="{nonce}">'])
        self.assertNotIn("NONCE", reply.text)
        self.assertEqual(re.findall(r"https?://", reply.text), [])
        again = requests.get(self.api.base + "/reference", timeout=30)
        self.assertNotIn(nonce, again.text)


if __name__ == "__main__":
    import unittest
    unittest.main()
