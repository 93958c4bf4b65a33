#!/usr/bin/python3
"""Every reason that the code gives stands in the table of model/static_text.cpp: another node would read it as "other".

A reason is found by where it stands: behind an errc, as the code of a problem, as the end of a session or connection."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = ("model", "storage", "actors", "cluster", "net", "transport")  # whatever may end up in an answer or a session
API = ROOT / "transport/api"  # its own refusals go to the client at once
TABLE = ROOT / "model/static_text.cpp"
WORDS = {ROOT / "model/units.cpp", ROOT / "model/enos_dialect.cpp", ROOT / "model/model_csv.cpp", ROOT / "model/wot.cpp", ROOT / "model/device/search.cpp", ROOT / "model/audit/search.cpp"}  # tables of other words; what these fail with is in the table
WORD = r'"([a-z][a-z0-9]*(?:_[a-z0-9]+)*)"'
TEXT = r'"(?:[^"\\\n]|\\.)*"'

# What is called, or made, with a reason: failures, problems, ends of sessions and connections.
GIVES = re.compile(r"\b(?:end|over|closed|close|close_session|session_end|session_closed|disconnect|leave|malformed)\s*[({]")
# The second argument of a failure, and both sides of a choice there.
FAILURE = re.compile(rf"\berrc::\w+\s*,\s*(?:[^,;{{}}\"]*\?\s*{WORD}\s*:\s*)?{WORD}")
# model: {where, code, detail} and what makes it; disconnected{session, reason, time}.
MIDDLE = re.compile(rf"(?:,|\?\s*{WORD}\s*:)\s*{WORD}\s*,")


def code_of(path):
    text = re.sub(r"//[^\n]*", "", path.read_text())
    text = re.sub(r'R"\(.*?\)"', '""', text, flags=re.DOTALL)
    text = re.sub(rf"\blog::\w+\(\s*{TEXT},\s*{TEXT}", "", text)
    # A problem has three texts: what lists more than that, and what names a member to set, gives no reason.
    text = re.sub(rf"\{{(?:\s*{TEXT}\s*,){{3,}}\s*{TEXT}\s*\}}", "{}", text)
    return re.sub(r"\bignore\(\{[^}]*\}\)|\bmismatch\(where, \"\w+\"|\bset_member\(\w+, \"\w+\"", "", text)


def arguments(text, start):
    """What stands from `start` to the bracket that closes."""
    depth = 1
    for end in range(start, len(text)):
        depth += (text[end] in "({") - (text[end] in ")}")
        if depth == 0:
            return text[start:end]
    return text[start:]


def reasons_in(text, layer):
    found = set()
    for pair in FAILURE.findall(text) + (MIDDLE.findall(text) if layer == "model" else []):
        found.update(pair)
    for call in GIVES.finditer(text):
        found.update(re.findall(WORD, arguments(text, call.end())))
    return found - {""}


def used():
    found = {}
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.[ch]pp")):
            if API in path.parents or path.name.startswith("encoding") or path == TABLE or path in WORDS:
                continue
            for word in reasons_in(code_of(path), layer):
                found.setdefault(word, path.relative_to(ROOT).as_posix())
    return found


def known():
    table = TABLE.read_text()
    return set(re.findall(WORD, table[table.index("texts[]"):table.index("};")]))


class StaticText(unittest.TestCase):
    def test_every_reason_is_known(self):
        missing = {f"{word} ({where})" for word, where in used().items() if word not in known()}
        self.assertFalse(missing, "add them to model/static_text.cpp, in order")

    def test_finds_each_form(self):
        for layer, text, expected in (
                ("actors", 'model::failure{model::errc::unavailable, "write_lost", "detail"}', {"write_lost"}),
                ("actors", 'failure{errc::internal, "in words"}', set()),
                ("model", 'refused(errc::unauthenticated, allowed ? "one" : "other_one",\n  "detail")', {"one", "other_one"}),
                ("model", 'note(problems, {id, "element_unknown", "no such"});', {"element_unknown"}),
                ("model", 'return wrong(where, *v > 0 ? "above_max" : "below_min",', {"above_max", "below_min"}),
                ("model", 'disconnected{s.connection.session, "taken_over", now}', {"taken_over"}),
                ("model", 'leave(s, "node_lost", now)', {"node_lost"}),
                ("transport", 'return end("socket");', {"socket"}),
                ("transport", 'return end(a.empty() ? "login_failed" : a);', {"login_failed"}),
                ("transport", 'return over{x == too_large ? "packet_too_large"\n : y}', {"packet_too_large"}),
                ("transport", 'malformed("malformed_ack", "ends inside")', {"malformed_ack"})):
            with self.subTest(text):
                self.assertEqual(reasons_in(text, layer), expected)


if __name__ == "__main__":
    unittest.main()
