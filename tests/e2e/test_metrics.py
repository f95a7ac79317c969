#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a monitoring system sees of posed: GET /metrics, and the alert rules and the dashboard that read it.

usage: test_metrics.py POSED HAVE_HTTP"""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import unittest

from daemon import PATIENCE, POSED, ROOT, Case, finite, live, wait_for

HAVE_HTTP = sys.argv[2] == "1"
MONITORING = ROOT / "docs" / "monitoring"
SAMPLE = re.compile(r'([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)')


def promtool(case, *args, text=""):
    tool = os.environ.get("POSED_PROMTOOL") or shutil.which("promtool")
    if not tool:
        case.skipTest("promtool is not installed (Debian: prometheus)")
    done = subprocess.run([tool, *args], input=text, capture_output=True, text=True, timeout=PATIENCE)
    case.assertEqual((done.returncode, done.stderr.replace("SUCCESS", "")), (0, ""), done.stdout)


class Metrics(Case):
    def setUp(self):
        if not HAVE_HTTP:
            self.skipTest("built without libmicrohttpd")
        super().setUp()

    def serving(self, cameras=None):
        daemon = self.daemon(cameras or {"a": live(), "b": finite(5), "nowhere": {"url": "/no/such.mp4"}},
                             config={"metrics_listen": "127.0.0.1:0"})
        self.port = int(wait_for("the address", lambda: re.search(
            r"metrics at http://127\.0\.0\.1:(\d+)/metrics", daemon.log.read_text())).group(1))
        return daemon

    def request(self, method="GET", path="/metrics", **more):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, **more)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text

    def read(self, text):
        """{name: {labels: value}}, with the format checked line by line."""
        samples, types = {}, {}
        for line in text.splitlines():
            if line.startswith("# HELP "):
                self.assertRegex(line, r"^# HELP [a-z_]+ [A-Z1].*\.$")
            elif line.startswith("# TYPE "):
                name, kind = line.split()[2:]
                self.assertNotIn(name, types)
                types[name] = kind
            else:
                name, labels, value = SAMPLE.fullmatch(line).groups()
                base = re.sub("_(bucket|sum|count)$", "", name)
                kind = types.get(name) or types[base]
                self.assertEqual(name.endswith("_total"), kind == "counter", line)
                self.assertNotIn(labels, samples.setdefault(name, {}), line)
                samples[name][labels] = float(value)
        return samples

    def test_the_page_says_what_the_socket_says(self):
        daemon = self.serving()
        client = self.client(daemon)
        client.subscribe()
        client.read_until("status", camera="b", state="ended")
        client.read_until("status", camera="nowhere", state="down")
        client.read_until("pose", camera="a")
        time.sleep(1.1)  # a page is good for a second
        answer, text = self.request()
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        page = self.read(text)
        client.send({"request": "metrics"})
        told = ""
        while True:
            line = client.read_until("metrics")
            told += line["text"]
            if line["part"] == line["parts"]:
                break
        told = self.read(told)
        self.assertEqual({n: set(s) for n, s in page.items()}, {n: set(s) for n, s in told.items()})
        self.assertEqual(page["posed_camera_decoded_total"]['camera="b"'], 5)
        self.assertEqual(page["posed_camera_published_total"]['camera="b"'], 5)
        self.assertEqual(page["posed_camera_state"]['camera="nowhere",state="up"'], 0)
        self.assertEqual(page["posed_camera_state"]['camera="b",state="ended"'], 1)
        self.assertEqual(page["posed_camera_up"]['camera="a"'], 1)
        self.assertEqual(page["posed_subscribers"][None], 1)
        self.assertLess(abs(page["process_start_time_seconds"][None] - time.time()), 600)
        self.assertGreater(page["process_resident_memory_bytes"][None], 1e6)
        frames = page["posed_batch_frames_bucket"]
        self.assertEqual(frames['le="+Inf"'], page["posed_batch_frames_count"][None])
        self.assertLessEqual(frames['le="1"'], frames['le="+Inf"'])

    def test_promtool_finds_nothing_wrong(self):
        self.serving()
        promtool(self, "check", "metrics", text=self.request()[1])

    def test_only_get_and_head_and_only_this_page(self):
        self.serving()
        self.assertEqual(self.request("HEAD")[1], "")
        self.assertEqual(self.request("HEAD")[0].status, 200)
        answer, _ = self.request("POST", body=b"x" * 100_000)
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(self.request(path="/")[0].status, 404)
        self.assertEqual(self.request(path="/metrics?x=1")[0].status, 200)

    def test_nuisances_cost_the_daemon_little(self):
        daemon = self.serving()
        client = self.client(daemon)
        client.subscribe()
        client.read_until("pose")
        idle = [socket.create_connection(("127.0.0.1", self.port), PATIENCE) for _ in range(40)]
        for s in idle:
            self.addCleanup(s.close)
        idle[0].send(b"\x16\x03\x01" + bytes(range(256)) * 40)
        idle[1].send(b"GET /metrics HTTP/1.1\r\n" + b"x: " + b"y" * 100_000)
        for s in idle[2:10]:
            s.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        count = 0
        end = time.monotonic() + 1
        while time.monotonic() < end:
            client.read_until("pose")
            count += 1
        self.assertGreater(count, 5)
        for s in idle:
            s.close()
        self.assertEqual(self.request()[0].status, 200)
        cameras, _ = client.status()
        self.assertLessEqual(client.lost.get("a", 0), cameras["a"]["numbers"]["dropped"])

    def test_it_ends_with_connections_open(self):
        daemon = self.serving()
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as s:
            s.send(b"GET /met")
            self.assertEqual(daemon.stop()[0], 0)

    def test_a_port_that_is_taken(self):
        daemon = self.serving()
        again = dict(daemon.config, metrics_listen=f"127.0.0.1:{self.port}", socket=str(daemon.dir / "other"))
        (daemon.dir / "again.json").write_text(json.dumps(again))
        done = subprocess.run([POSED, "run", "--config", daemon.dir / "again.json"], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"metrics_listen 127.0.0.1:{self.port}: Address already in use", done.stderr)

    def test_rules_and_dashboard_ask_for_what_there_is(self):
        self.serving()
        known = set(self.read(self.request()[1])) | {"up"}
        for file in ("posed.rules.yml", "posed.grafana.json"):
            text = (MONITORING / file).read_text()
            asked = set(re.findall(r"\b(?:posed|process)_[a-z_]+", text))
            self.assertGreater(len(asked), 5)
            self.assertEqual(asked - known, set(), file)
        board = json.loads((MONITORING / "posed.grafana.json").read_text())
        self.assertEqual(len({p["id"] for p in board["panels"]}), len(board["panels"]))


class Rules(Case):
    def test_promtool_finds_nothing_wrong_with_the_rules(self):
        promtool(self, "check", "rules", str(MONITORING / "posed.rules.yml"))


class Without(Case):
    def test_a_build_without_it_says_so(self):
        if HAVE_HTTP:
            self.skipTest("built with libmicrohttpd")
        daemon = self.daemon({"a": live()}, config={"metrics_listen": "127.0.0.1:0"})
        self.assertEqual(daemon.wait(), 78)
        self.assertIn("built without libmicrohttpd", daemon.log.read_text())


if __name__ == "__main__":
    del sys.argv[1:3]
    unittest.main(verbosity=2)
