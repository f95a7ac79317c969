#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every warning and error that the sources can log has its entry in posed(1), MESSAGES, and every entry there is still
a message. In both a place that is filled in (a conversion, a word in italics) counts as one `*`.

usage: test_messages.py SOURCE_ROOT"""
import pathlib
import re
import shlex
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop(1))
FOLDERS = ("core", "decode", "daemon", "postproc")
# Functions that log at these levels, and after how many arguments their format comes.
LOGGERS = {"pd_log_warn": 1, "pd_log_err": 1, "pd_server_complain": 1}
LITERALS = r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*'
CALL = re.compile(r"\b(" + "|".join(LOGGERS) + r")\(([\w>.-]+|" + LITERALS + r"), (" + LITERALS + ")")
# What a context that is no literal stands for, and so how the lines begin.
CONTEXTS = {"NULL": "", "context": "camera *: ", "s->log_context": "camera *: ", "decoder->name": "*: ",
            "server": "socket: "}
# Text from elsewhere, all of it: whom the line is about is what the entry is found by.
PASSED_ON = {"context": {"reload: *", "posed run: *"}, "PD_MANAGER_RUN": {"posed run: *"}}
CALLERS_TELL = ("server.c", '"socket"', "%s")  # pd_server_complain itself


def literal(text):
    """C literals side by side as one text."""
    return "".join(piece.replace('\\"', '"') for piece in re.findall(r'"((?:[^"\\]|\\.)*)"', text))


def one_star(text):
    """Places side by side are one: the manual need not tell a number from its unit."""
    return re.sub(r"\*(?:[ :]*\*)+", "*", text).strip()


def normal_format(text):
    return one_star(re.sub(r"%[-+ #0]*[\d.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]", "*", text))


def sources():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.c")):
            yield path, path.read_text()


def logged():
    """(file, context as written, format) of each call."""
    for path, text in sources():
        found = [(path.name, m[2], literal(m[3])) for m in CALL.finditer(text)]
        uses = len(re.findall(r"\b(?:" + "|".join(LOGGERS) + r")\((?!struct )", text))
        assert len(found) == uses, f"{path}: {uses} calls, {len(found)} of which this test can read"
        yield from (call for call in found if call != CALLERS_TELL)


def told_by(context, fmt):
    """The line as a tag of the manual."""
    begin = literal(context) + ": " if context.startswith('"') else CONTEXTS[context]
    return one_star(begin + normal_format(fmt))


def normal_tag(line):
    """A .TP tag in .B, .BI or .IB: bold stands for itself, italics for a place."""
    for code, char in (("\\(aq", "'"), ("\\(ga", "`"), ("\\(dq", '"'), ("\\-", "-"), ("\\&", "")):
        line = line.replace(code, char if char != "'" else "\0").replace("`", "\1")
    macro, rest = line.split(" ", 1)
    words = [word.replace("\0", "'").replace("\1", "`") for word in shlex.split(rest)]
    if macro == ".B":
        return " ".join(words)
    bold = 0 if macro == ".BI" else 1
    return one_star("".join(word if i % 2 == bold else "*" for i, word in enumerate(words)))


def manual():
    """Tags of the section MESSAGES by subsection."""
    page = (ROOT / "docs" / "posed.1.in").read_text()
    section = re.search(r"^\.SH MESSAGES\n(.*?)^\.SH ", page, re.M | re.S)[1]
    tags = {}
    for part in re.split(r"^\.SS ", section, flags=re.M)[1:]:
        name, text = part.split("\n", 1)
        tags[name] = [normal_tag(line) for line in re.findall(r"^\.TP\n(.*)$", text, re.M)]
    return tags


class Messages(unittest.TestCase):
    def setUp(self):
        self.reasons = "Why a camera is down"
        self.tags = manual()
        self.messages = [tag for name, tags in self.tags.items() if name != self.reasons for tag in tags]

    def entry_of(self, file, context, fmt):
        """Tags that the call is explained by."""
        if context == "PD_MANAGER_RUN" or not re.search(r"\w", normal_format(fmt)):
            return PASSED_ON.get(context, set()) & set(self.messages)
        return {told_by(context, fmt)} & set(self.messages)

    def test_the_sources_are_read(self):
        self.assertGreater(len(list(logged())), 20)
        self.assertEqual(normal_format("%s: a batch of %d failed, %llu so far"), "*: a batch of * failed, * so far")
        self.assertEqual(told_by('"watchdog"', "%s; left"), "watchdog: *; left")
        self.assertNotEqual(told_by('"engine"', "%s; left"), told_by('"watchdog"', "%s; left"))
        self.assertEqual(normal_tag('.BI "its " TIME " this machine\\(aqs"'), "its * this machine's")

    def test_each_warning_and_error_is_in_the_manual(self):
        for file, context, fmt in logged():
            self.assertTrue(self.entry_of(file, context, fmt), f"{file}: \"{fmt}\" of {context} has no entry in posed(1), "
                            "MESSAGES")

    def test_each_beginning_is_in_the_manual(self):
        page = (ROOT / "docs" / "posed.1.in").read_text()
        named = re.search(r"begins with whom it is about:\n(.*?)^\.B POSED_CAMERA", page, re.M | re.S)[1]
        literals = {literal(context) for _, text in sources()
                    for context in re.findall(r"\bpd_log_(?:err|warn|info|debug)\((" + LITERALS + ")", text)}
        self.assertIn("engine", literals)
        for context in literals:
            self.assertRegex(named, rf'[ "]{context}:', f"lines of \"{context}\" are not in posed(1), MESSAGES")

    def test_each_entry_is_still_a_message(self):
        used = set().union(*(self.entry_of(*call) for call in logged()))
        self.assertEqual(set(self.messages) - used, set(), "in posed(1), MESSAGES, and nobody logs it")

    def test_each_reason_is_still_one(self):
        literals = [normal_format(literal(text)) for path in (ROOT / "decode").glob("*.c")
                    for text in re.findall(LITERALS, path.read_text())]
        for tag in self.tags[self.reasons]:
            self.assertTrue(any(told.endswith(tag) for told in literals), f"no camera is down because of \"{tag}\"")


unittest.main()
