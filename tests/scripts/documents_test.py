"""What the documents say of the repository is true: links, names of files, packages, the signature, the table of topics."""
import hashlib
import json
import pathlib
import re
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENTS = [SOURCE / "README.md", SOURCE / "CONTRIBUTING.md", *sorted((SOURCE / "docs").rglob("*.md"))]


def prose(path):
    """Its text without blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.S | re.M)


def anchors(path):
    """Headings as the usual viewers turn them into anchors."""
    for heading in re.findall(r"^#+ (.*)$", prose(path), re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class Documents(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for path in DOCUMENTS:
            for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
                if link.startswith("https://"):
                    continue
                target, _, anchor = link.partition("#")
                to = (path.parent / target).resolve() if target else path
                self.assertTrue(to.exists(), f"{path.name}: {link}")
                if anchor:
                    self.assertIn(anchor, set(anchors(to)), f"{path.name}: {link}")

    def test_files_that_are_named_exist(self):
        folders = "model|storage|actors|cluster|config|observe|net|transport|app|tests|bench|scripts|deploy|cmake"
        for path in DOCUMENTS:
            for name in re.findall(rf"`((?:{folders})/[A-Za-z0-9_./-]+)`", prose(path)):
                there = (SOURCE / name).exists() or any((SOURCE / name).parent.glob((SOURCE / name).name + ".[ch]pp"))
                self.assertTrue(there or name.rstrip("/") == "config", f"{path.name}: {name}")

    def test_every_package_has_its_licence(self):
        text = (SOURCE / "docs/licences.md").read_text()
        wanted = {line for file in ("packages.txt", "packages-test.txt", "docker/packages.txt") for line in (SOURCE / "deploy" / file).read_text().splitlines()
                  if line and not line.startswith("#")}
        named = set()
        for row in re.findall(r"^\| .* \|$", text, re.M):
            named |= set(re.findall(r"`([a-z0-9.+-]+)`", row))
        self.assertEqual(wanted - named, set(), "packages without a licence")

    def test_every_package_of_npm_has_its_licence(self):
        text = (SOURCE / "docs/licences.md").read_text().split("## Packages of npm")[1]
        rows = {name: (set(versions.split(", ")), licence) for name, versions, licence in re.findall(r"^\| (\S+) \| ([\d., ]+) \| (\S+) \|$", text, re.M)}
        lock = json.loads((SOURCE / "tests/e2e/node/package-lock.json").read_text())
        found = {}
        for path, package in lock["packages"].items():
            if path:
                name = package.get("name", path.rpartition("node_modules/")[2])
                found.setdefault(name, (set(), package["license"]))[0].add(package["version"])
                self.assertTrue(package["resolved"].startswith("https://registry.npmjs.org/") and package["integrity"].startswith("sha512-"), path)
        self.assertEqual(rows, found)

    def test_the_signature_is_the_one_of_the_page(self):
        text = (SOURCE / "docs/protocol/mqtt.md").read_text()
        vector = {key: value.replace("\\|", "|") for key, value in re.findall(r"^\| ([a-z ]+) \| `(.*?)` \|$", text, re.M)}
        self.assertEqual(vector["signed text"], f"clientId{vector['client id'].split('|')[0]}deviceKey{vector['device key']}productKey"
                         f"{vector['product key']}timestamp1700000000123{vector['secret']}")
        self.assertEqual(hashlib.sha256(vector["signed text"].encode()).hexdigest(), vector["password"])

    def test_the_topics_are_those_of_the_mapping(self):
        source = (SOURCE / "transport/mqtt/operations.cpp").read_text()
        heads = {"device": "", "session": "E/", "channel": "/sys/{pk}/integration/", "clock": "/ext/ntp/{pk}/{dk}/"}
        known = {heads[tree] + rest: code
                 for tree, rest, code in re.findall(r'\{topic_tree::(\w+),\s+"([^"]+)",\s+operation::\w+,\s+(\d+)\}', source)}
        page = (SOURCE / "docs/protocol/mqtt.md").read_text()
        rows = {topic.removeprefix("P/"): code for topic, code in re.findall(r"^\| `([^` ]+/[^` ]+)` \|.*\| (\d+) \|$", page, re.M)}
        self.assertGreater(len(known), 20)
        self.assertEqual(rows.pop("thing/event/{event}/post"), "1200")
        self.assertEqual(rows, known)

    def test_the_tests_it_names_are_there(self):
        page = (SOURCE / "docs/protocol/mqtt.md").read_text()
        file, named = None, 0
        for found in re.findall(r"`(?:(\w+_test\.py): )?(test_\w+)`", page):
            file = found[0] or file
            self.assertIn(f"def {found[1]}(", (SOURCE / "tests/e2e" / file).read_text(), found)
            named += 1
        self.assertGreater(named, 25)

    def test_every_decision_is_in_the_list(self):
        pages = {p.name for p in (SOURCE / "docs/decisions").glob("[0-9]*.md")}
        listed = re.findall(r"\((\d{4}-[a-z-]+\.md)\)", (SOURCE / "docs/decisions/README.md").read_text())
        self.assertEqual(sorted(listed), sorted(pages))


if __name__ == "__main__":
    unittest.main()
