#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `posed check` says of a good and of many a bad world.

usage: test_check.py POSED"""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

POSED = sys.argv.pop(1)
NETWORK = pathlib.Path(os.environ["POSED_SOURCE_ROOT"], "models", "posed-lite.onnx")


class Check(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="posed-check-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.config = {"network": str(NETWORK), "socket": "p.sock", "engine": "null", "cache_dir": "."}
        (self.dir / "cameras.d").mkdir()
        self.camera("entrance", url="test:people")

    def camera(self, name, **keys):
        (self.dir / "cameras.d" / f"{name}.json").write_text(json.dumps(keys))

    def check(self, *args):
        """Exit status and findings as {part: [(level, text)]}."""
        (self.dir / "posed.json").write_text(json.dumps(self.config))
        command = [POSED, "check", "--json", "--config", str(self.dir / "posed.json"), *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.output = done.stdout + done.stderr
        found = {}
        for finding in json.loads(done.stdout)["findings"]:
            found.setdefault(finding["part"], []).append((finding["level"], finding["text"]))
        return done.returncode, found

    def assert_finding(self, part, level, words, *args):
        status, found = self.check(*args)
        self.assertTrue(any(lv == level and words in text for lv, text in found.get(part, [])), found)
        self.assertEqual(status, 1 if any(lv == "fail" for ls in found.values() for lv, _ in ls) else 0)
        self.assertEqual(status == 1, level == "fail", found)

    def test_a_good_world_is_ok(self):
        self.camera("till", url="test:people?size=320x240&rate=10&frames=3", hwaccel="none")
        status, found = self.check("--cameras")
        self.assertEqual(status, 0, found)
        self.assertNotIn("fail", self.output)
        self.assertEqual([lv for lv, _ in found["config"]], ["ok"])
        self.assertIn("skeleton coco18", found["network"][0][1])
        self.assertNotIn(", ,", self.output)
        self.assertEqual([lv for lv, _ in found["camera"]], ["ok", "ok"])
        self.assertIn("till: 320x240", found["camera"][1][1])

    def test_no_camera_is_a_warning(self):
        (self.dir / "cameras.d" / "entrance.json").unlink()
        self.assert_finding("config", "warn", "no camera in")

    def test_wrong_files_are_told_and_nothing_else_is_looked_at(self):
        self.config["batch"] = -1
        self.camera("till", url="x", max_fps=-1)
        status, found = self.check()
        self.assertEqual((status, list(found), len(found["config"])), (1, ["config"], 2))

    def test_a_file_whose_name_is_no_utf8_is_told(self):
        (self.dir / "cameras.d" / os.fsdecode(b"k\xe4m.json")).write_text('{"url": "test:people"}')
        self.assert_finding("config", "fail", "/k?m.json: file name: found a camera name with other characters")

    def test_files_alone(self):
        self.config["network"] = "nowhere.onnx"
        status, found = self.check("--files")
        self.assertEqual((status, list(found)), (0, ["config"]))

    def test_a_living_daemon_is_noticed(self):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.dir / "p.sock"))
            server.listen()
            self.assert_finding("socket", "note", "a daemon answers there")
        self.assert_finding("socket", "ok", "left over from a daemon that is gone")

    def test_a_file_in_the_sockets_place_is_a_failure(self):
        (self.dir / "p.sock").write_text("")
        self.assert_finding("socket", "fail", "is no socket")

    def test_a_missing_socket_folder_is_a_warning(self):
        self.config["socket"] = "run/p.sock"
        self.assert_finding("socket", "warn", "is not there yet")

    def test_an_unknown_group_is_a_failure(self):
        self.config["socket_group"] = "no-such-group"
        self.assert_finding("group", "fail", "no such group")

    def test_a_taken_port_of_the_metrics_is_a_failure_unless_a_daemon_runs(self):
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket(socket.AF_UNIX) as server:
            self.config["metrics_listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
            status, found = self.check()
            self.assertEqual((status, found["metrics"][0][0]), (1, "fail"))
            if "libmicrohttpd" in self.output:
                self.skipTest("built without libmicrohttpd, which is told")
            self.assertIn("Address already in use", found["metrics"][0][1])
            server.bind(str(self.dir / "p.sock"))
            server.listen()
            self.assert_finding("metrics", "note", "taken, as it should be")
        self.config["metrics_listen"] = "127.0.0.1:0"
        self.assert_finding("metrics", "ok", "127.0.0.1:0")

    def test_too_many_threads_are_a_warning(self):
        self.config["threads"] = 256
        if len(os.sched_getaffinity(0)) >= 256:
            self.skipTest("this machine has as many cores")
        self.assert_finding("threads", "warn", "threads is 256")

    def test_a_missing_network_is_a_failure(self):
        self.config["network"] = "nowhere.onnx"
        self.assert_finding("network", "fail", "nowhere.onnx")

    def test_a_network_that_is_none_is_a_failure(self):
        (self.dir / "net.onnx").write_bytes(os.urandom(1000))
        self.config["network"] = "net.onnx"
        self.assert_finding("network", "fail", "net.onnx")

    def test_a_size_between_two_strides_is_rounded_up(self):
        self.config["width"] = 457
        self.assert_finding("network", "note", "its input will be 464x256")

    def test_an_engine_that_is_not_in_the_build_is_a_failure(self):
        self.config["engine"] = "cudnn"
        status, found = self.check()
        if any(lv == "ok" and "cudnn" in text for lv, text in found["engine"]):
            self.skipTest("this machine runs cudnn")
        self.assertEqual(status, 1)
        self.assertTrue(any(lv == "fail" and "cudnn" in text for lv, text in found["engine"]), found)

    def test_a_missing_clip_is_a_warning_and_a_failure_when_opened(self):
        self.camera("till", url="nowhere.mp4")
        self.assert_finding("camera", "warn", "nowhere.mp4")
        self.assert_finding("camera", "fail", "nowhere.mp4", "--cameras")

    def test_a_rate_that_is_not_known_is_not_told(self):
        picture = self.dir / "p.png"
        subprocess.run([POSED, "detect", "--network", NETWORK, "--engine", "null", "test:people?frames=1", "--draw",
                        picture, "--format", "none"], check=True)
        self.camera("entrance", url=str(picture))
        self.assert_finding("camera", "ok", "png, first frame after", "--cameras")

    def test_a_disabled_camera_is_not_opened(self):
        self.camera("till", url="nowhere.mp4", enabled=False)
        self.assert_finding("camera", "note", "till: not enabled", "--cameras")

    def test_a_mute_camera_ends_at_its_deadline_and_tells_no_password(self):
        (self.dir / "pw").write_text("correct horse\n")
        (self.dir / "pw").chmod(0o600)
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/x"
            for i in range(4):
                self.camera(f"c{i}", url=url, username="u", password_file=f"{self.dir}/pw", open_timeout_s=1)
            self.assert_finding("camera", "fail", "/x: timed out after ", "--cameras")
        for secret in ("correct horse", "correct%20horse", "dTpjb3JyZWN0IGhvcnNl"):
            self.assertNotIn(secret, self.output)

    def test_wrong_usage_is_status_2_and_one_line(self):
        for args in (["--what"], ["file"], ["--config"], ["--print", "x"], ["--print", "man", "--scope", "x"]):
            done = subprocess.run([POSED, "check", *args], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), args)


unittest.main()
