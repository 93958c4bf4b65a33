"""What is in deploy/ for a cluster fits together: names of settings, files that parse, certificates, the service's paths."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
DEPLOY = SOURCE / "deploy"
CHART = DEPLOY / "helm/orrery"
BIN = pathlib.Path(os.environ.get("ORRERY_BIN") or SOURCE / "build/release/bin")


def flat(tree, path=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, path + key + ".")
        else:
            yield path + key


def settings():
    """Names, from the sample file: tests/e2e/docs_test.py holds it to what the program prints."""
    return set(flat(yaml.safe_load((SOURCE / "config/orrery.yaml").read_text())))


def run(*command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60, **options)


class Names(unittest.TestCase):
    def test_every_variable_is_a_setting(self):
        known, seen = settings(), 0
        files = [p for p in DEPLOY.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
        for path in [*files, SOURCE / "README.md", SOURCE / "docs/operations.md", SOURCE / "docs/cluster.md"]:
            for variable in re.findall(r"\bORRERY_[A-Z]+__[A-Z_]+\b", path.read_text()):
                name = variable.removeprefix("ORRERY_").replace("__", ".").lower()
                if name != "section.key":
                    self.assertIn(name, known, f"{path.relative_to(SOURCE)}: {variable}")
                    seen += 1
        self.assertGreater(seen, 30)

    def test_settings_of_the_chart_and_of_deploy_cluster_exist(self):
        known = settings()
        self.assertEqual(set(yaml.safe_load((CHART / "values.yaml").read_text())["settings"]) - known, set())
        names = re.findall(r'"((?:node|cluster|tls)\.[a-z_]+)"', (DEPLOY / "cluster").read_text())
        self.assertGreater(len(names), 8)
        self.assertEqual(set(names) - known, set())

    def test_versions_are_the_projects(self):
        version = re.search(r"project\(orrery VERSION (\S+)", (SOURCE / "CMakeLists.txt").read_text()).group(1)
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["version"], chart["appVersion"]), (version, version))
        for path in (DEPLOY / "docker/Dockerfile", DEPLOY / "docker/compose.yaml"):
            for found in re.findall(r"\borrery(?:-etcd)?:(\d[\d.]*)", path.read_text()):
                self.assertEqual(found, version, path.name)

    def test_etcd_has_the_same_times_everywhere(self):
        for path in ("systemd/etcd.env", "docker/compose.yaml", "cluster"):
            text = (DEPLOY / path).read_text()
            self.assertRegex(text, r'(?i)heartbeat.interval\W+50\b', path)
            self.assertRegex(text, r'(?i)election.timeout\W+500\b', path)


class Compose(unittest.TestCase):
    def test_it_parses_and_refers_to_what_is_there(self):
        compose = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())
        services = compose["services"]
        stages = set(re.findall(r"^FROM \S+ AS (\S+)$", (DEPLOY / "docker/Dockerfile").read_text(), re.M))
        for name, service in services.items():
            self.assertIn(service["build"]["target"], stages, name)
            self.assertTrue((DEPLOY / "docker" / service["build"]["context"] / service["build"]["dockerfile"]).exists(), name)
            self.assertEqual(set(service.get("depends_on", {})) - set(services), set(), name)
            self.assertEqual({v.split(":")[0] for v in service["volumes"]} - set(compose["volumes"]), set(), name)
        nodes = {name: s["environment"] for name, s in services.items() if name.startswith("node-")}
        self.assertEqual(len(nodes), 3)
        for name, environment in nodes.items():
            self.assertEqual(environment["ORRERY_NODE__NAME"], name)
            self.assertEqual(environment["ORRERY_CLUSTER__LINK_CERTIFICATE"], f"/etc/orrery/cluster/{name}.pem")
            self.assertIn(f" {name}=", services["certificates"]["command"][0])

    def test_files_that_the_image_copies_exist(self):
        for line in re.findall(r"^COPY (?!--from)(.*)$", (DEPLOY / "docker/Dockerfile").read_text(), re.M):
            for name in line.split()[:-1]:
                self.assertTrue((SOURCE / name).exists(), name)

    @unittest.skipUnless((BIN / "orreryd").exists() and shutil.which("dpkg-query"), "no build, or not Debian")
    def test_the_image_has_every_library(self):
        wanted = re.sub(r"#.*", "", (DEPLOY / "docker/packages.txt").read_text()).split()
        there = set()
        while wanted:
            name = wanted.pop()
            if name in there:
                continue
            there.add(name)
            needs = run("dpkg-query", "-W", "-f", "${Depends}, ${Pre-Depends}", name).stdout
            wanted += re.findall(r"(?:^|[,|]) *([a-z0-9][a-z0-9+.-]+)", needs)
        for program in ("orreryd", "orrery"):
            for library in re.findall(r"=> (/\S+)", run("ldd", BIN / program).stdout):
                path = os.path.realpath(library)
                owner = run("dpkg-query", "-S", path).stdout or run("dpkg-query", "-S", path.removeprefix("/usr")).stdout
                self.assertIn(owner.split(":")[0], there, f"{program}: {library}")


class Chart(unittest.TestCase):
    """Without Helm, which Debian does not have: what can be seen in the texts."""

    def setUp(self):
        self.values = yaml.safe_load((CHART / "values.yaml").read_text())
        self.templates = {p.name: p.read_text() for p in (CHART / "templates").iterdir()}

    def test_values_that_templates_use_exist_and_are_all_used(self):
        used = set()
        for name, text in self.templates.items():
            for path in re.findall(r"\.Values\.([A-Za-z.]+)", text):
                at = self.values
                for key in path.split("."):
                    self.assertIn(key, at, f"{name}: .Values.{path}")
                    at = at[key]
                used.add(path)
        for path in flat(self.values):
            self.assertTrue(any(path == u or path.startswith(u + ".") for u in used), f"values.yaml: {path} is not used")

    def test_blocks_are_closed_and_names_defined(self):
        defined = set(re.findall(r'define "([^"]+)"', self.templates["_helpers.tpl"]))
        for name, text in self.templates.items():
            opened = len(re.findall(r"\{\{-? *(?:if|range|with|define) ", text))
            self.assertEqual(opened, len(re.findall(r"\{\{-? *end *-?\}\}", text)), name)
            self.assertEqual(set(re.findall(r'include "([^"]+)"', text)) - defined, set(), name)

    def test_ports_that_probes_and_services_name_exist(self):
        ports = set(re.findall(r"\{name: (\w+), containerPort:", self.templates["nodes.yaml"]))
        named = re.findall(r"targetPort: (\w+)", self.templates["services.yaml"]) + re.findall(r"path: /\w+, port: (\w+)", self.templates["nodes.yaml"])
        self.assertEqual(set(named) - ports, set())
        mounts = set(re.findall(r"\{name: ([\w-]+), mountPath:", self.templates["nodes.yaml"]))
        self.assertEqual(mounts, set(re.findall(r"^ +- name: ([\w-]+)\n +(?:secret|emptyDir):", self.templates["nodes.yaml"], re.M)) | {"data"})

    @unittest.skipUnless(shutil.which("helm"), "no helm here")
    def test_helm_renders_it(self):
        for more in ([], ["--set", "plain=true,serviceMonitor.enabled=true,tls.secret=t,etcd.user=u,etcd.passwordSecret=p,etcd.caSecret=c"]):
            done = run("helm", "template", "t", CHART, "--set", "etcd.endpoints={http://e:2379}", *more)
            self.assertEqual(done.returncode, 0, done.stderr)
            kinds = [d["kind"] for d in yaml.safe_load_all(done.stdout) if d]
            self.assertEqual(kinds.count("Service"), 3)
            self.assertEqual(kinds.count("StatefulSet"), 1)


class Service(unittest.TestCase):
    UNIT = DEPLOY / "systemd/orreryd.service"

    def test_paths_are_those_of_the_page(self):
        text, page = self.UNIT.read_text(), (SOURCE / "docs/operations.md").read_text()
        for path in ("/etc/orrery/orrery.yaml", "/etc/orrery/orreryd.env", "/var/lib/orrery"):
            self.assertTrue(path in text and path in page, path)
        self.assertRegex(text, r"(?m)^EnvironmentFile=-/etc/orrery/orreryd\.env$")
        self.assertRegex(text, r"(?m)^ExecStart=/usr/local/bin/orreryd --config /etc/orrery/orrery\.yaml --data /var/lib/orrery$")

    def test_it_waits_for_the_end_and_does_not_repeat_what_cannot_work(self):
        text = self.UNIT.read_text()
        self.assertGreater(int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.M).group(1)), 10)
        self.assertRegex(text, r"(?m)^Restart=on-failure$")
        self.assertRegex(text, r"(?m)^RestartPreventExitStatus=2 3$")

    def test_the_environment_files_have_nothing_but_assignments(self):
        for path in (DEPLOY / "systemd").glob("*.env"):
            for line in path.read_text().splitlines():
                self.assertRegex(line, r"^(#.*|[A-Z_]+=\S*|)$", path.name)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd here")
    def test_systemd_takes_the_unit(self):
        with tempfile.TemporaryDirectory() as folder:
            unit = pathlib.Path(folder) / "orreryd.service"
            unit.write_text(self.UNIT.read_text().replace("/usr/local/bin/orreryd", "/bin/true"))
            done = run("systemd-analyze", "verify", "--man=no", unit)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


class Certificates(unittest.TestCase):
    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = pathlib.Path(made.name) / "pki"

    def make(self, *arguments, code=0):
        done = run(DEPLOY / "cluster-certificates", *arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout + done.stderr

    def names(self, file):
        text = run("openssl", "x509", "-in", file, "-noout", "-ext", "subjectAltName").stdout
        return {n.strip() for n in text.splitlines()[1].split(",")}

    def verify(self, file, *more, ca=None):
        return run("openssl", "verify", "-x509_strict", "-CAfile", ca or self.folder / "ca.pem", *more, file).returncode == 0

    def test_nodes_can_prove_their_names_at_either_end(self):
        self.make(self.folder, "node-1=192.0.2.1,mqtt.example.org,2001:db8::1", "node_2.a")
        for name in ("node-1", "node_2.a"):
            for purpose in ("sslserver", "sslclient"):
                self.assertTrue(self.verify(self.folder / f"{name}.pem", "-purpose", purpose), name)
        one = self.folder / "node-1.pem"
        self.assertTrue(self.verify(one, "-verify_hostname", "node-1"))
        self.assertTrue(self.verify(one, "-verify_ip", "192.0.2.1"))
        self.assertFalse(self.verify(one, "-verify_hostname", "node-2"))
        self.assertEqual(self.names(one), {"DNS:node-1", "DNS:mqtt.example.org", "IP Address:192.0.2.1", "IP Address:2001:DB8:0:0:0:0:0:1"})
        self.assertEqual(self.names(self.folder / "node_2.a.pem"), {"DNS:node_2.a"})
        self.assertIn("prime256v1", run("openssl", "x509", "-in", one, "-noout", "-text").stdout)

    def test_keys_are_the_owners_alone(self):
        self.make(self.folder, "n")
        modes = {p.name: p.stat().st_mode & 0o777 for p in self.folder.iterdir()}
        self.assertEqual(modes, {"ca.pem": 0o644, "ca.key": 0o600, "n.pem": 0o644, "n.key": 0o600})

    def test_what_is_there_stays_until_it_is_to_be_renewed(self):
        self.make(self.folder, "n")
        before = {p.name: p.read_bytes() for p in self.folder.iterdir()}
        self.assertIn("kept", self.make(self.folder, "n"))
        self.assertEqual(before, {p.name: p.read_bytes() for p in self.folder.iterdir()})
        self.make("--renew", self.folder, "n")
        after = {p.name: p.read_bytes() for p in self.folder.iterdir()}
        self.assertEqual(before["ca.pem"], after["ca.pem"])
        self.assertNotEqual(before["n.key"], after["n.key"])
        self.assertTrue(self.verify(self.folder / "n.pem"))

    def test_it_tells_what_ends_soon(self):
        self.make("--days", "10", self.folder, "n")
        self.assertIn("ends within 30 days", self.make(self.folder, "n"))

    def test_the_authority_can_be_elsewhere(self):
        authority = self.folder.parent / "authority"
        self.make(authority)
        self.make("--ca", authority, self.folder, "n")
        self.assertEqual({p.name for p in self.folder.iterdir()}, {"ca.pem", "n.pem", "n.key"})
        self.assertTrue(self.verify(self.folder / "n.pem", ca=authority / "ca.pem"))

    def test_of_two_authorities_at_once_both_count(self):
        old, new = self.folder / "old", self.folder / "new"
        self.make(old, "a")
        self.make(new, "b")
        both = self.folder / "both.pem"
        both.write_bytes((old / "ca.pem").read_bytes() + (new / "ca.pem").read_bytes())
        self.assertTrue(self.verify(old / "a.pem", ca=both))
        self.assertTrue(self.verify(new / "b.pem", ca=both))
        self.assertFalse(self.verify(old / "a.pem", ca=new / "ca.pem"))
        self.make("--ca", new, old, "a", code=1)  # it is of another authority, and is not passed off as kept

    def test_it_refuses_what_no_certificate_can_name_and_leaves_nothing(self):
        self.make(self.folder)
        for bad in ("ca", "-n", "n-", "a b", "", "n=a/b", "n=999.1.1.1"):
            self.make(self.folder, bad, code=1)
        self.assertEqual({p.name for p in self.folder.iterdir()}, {"ca.pem", "ca.key"})
        (self.folder / "ca.key").unlink()
        self.assertIn("ca.key is not there", self.make(self.folder, "n", code=1))

    def test_help_and_wrong_use(self):
        self.assertIn("--renew", self.make("--help"))
        self.make(code=2)
        self.make("--days", "0", self.folder, code=1)
        self.make("--none", self.folder, code=1)


class Cluster(unittest.TestCase):
    def test_help_and_errors(self):
        self.assertIn("SIGKILL", run(DEPLOY / "cluster", "--help").stdout)
        with tempfile.TemporaryDirectory() as folder:
            for wrong in (["status"], ["up", "--nodes", "0"], ["fly"]):
                done = run(DEPLOY / "cluster", *wrong, "--dir", folder)
                self.assertEqual(done.returncode, 2, wrong)
                self.assertEqual(os.listdir(folder), [])


if __name__ == "__main__":
    unittest.main()
