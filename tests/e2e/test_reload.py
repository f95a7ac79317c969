#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: cameras come, change and go while the others go on.

usage: test_reload.py POSED"""
import signal
import sys
import time
import unittest

from daemon import NETWORK, Case, live, wait_for


class Reload(Case):
    def lost_nothing_else(self, client, numbers):
        """Of camera a, but what the queue dropped. That is told behind a later line, and what was dropped before the
        first line never: until then the count is ahead."""
        self.assertEqual(numbers["failed"], 0)
        self.assertLessEqual(client.lost.get("a", 0), numbers["dropped"])
        client.read_while(lambda: client.next["a"] <= numbers["decoded"])
        self.assertGreaterEqual(client.first["a"] - 1 + client.lost.get("a", 0), numbers["dropped"])

    def test_cameras_come_change_and_go_and_the_others_lose_nothing(self):
        daemon = self.daemon({"a": live(), "b": live(), "c": live()})
        client = self.client(daemon)
        client.subscribe()
        for camera in "abc":
            client.read_until("pose", camera=camera)
        daemon.remove_camera("b")
        daemon.write_camera("c", live(track=True))
        daemon.write_camera("d", live())
        daemon.signal(signal.SIGHUP)
        client.read_until("status", camera="b", state="removed")
        client.read_until("pose", camera="d")
        client.read_while(lambda: client.state.get("c") != "up")
        while "id" not in client.read_until("pose", camera="c")["people"][0]:
            pass  # lines of before; that their numbers go on is checked with every line
        cameras, _ = client.status()
        self.assertEqual(set(cameras), {"a", "c", "d"})
        self.lost_nothing_else(client, cameras["a"]["numbers"])
        numbers = cameras["c"]["numbers"]
        # One on its way to the queue, one there, and one in each of a device's four batches.
        under_way = numbers["decoded"] - numbers["published"] - numbers["dropped"] - numbers["failed"]
        self.assertLessEqual(under_way, 6)

    def test_counts_go_on_through_it(self):
        daemon = self.daemon({"a": live(max_fps=5)})
        client = self.client(daemon)
        numbers = wait_for("frames above max_fps", lambda: self.enough(client.status()[0]["a"]["numbers"]))
        daemon.write_camera("a", live(max_fps=5, track=True))
        daemon.signal(signal.SIGHUP)
        wait_for("the reload", lambda: "1 restarted" in daemon.log.read_text())
        while client.status()[0]["a"]["state"] != "up":
            pass
        after = client.status()[0]["a"]["numbers"]
        for name in ("decoded", "published", "dropped", "failed", "corrupt", "skipped", "reconnects"):
            self.assertGreaterEqual(after[name], numbers[name], name)

    def enough(self, numbers):
        return numbers if numbers["skipped"] > 30 else None

    def test_what_the_command_line_says_has_not_changed(self):
        daemon = self.daemon({}, config={"socket": "/nowhere/s", "engine": "auto", "network": "/nowhere/network.onnx"},
                             start=False)
        daemon.args = ["--socket", daemon.path, "--engine", "null", "--network", NETWORK]
        daemon.start()
        self.client(daemon)
        daemon.signal(signal.SIGHUP)
        wait_for("the reload", lambda: "0 removed" in daemon.log.read_text())
        self.assertNotIn("has changed", daemon.log.read_text())

    def test_what_waits_for_a_restart_is_told_until_it_is_taken_back(self):
        daemon = self.daemon({})
        self.client(daemon)
        for n, (width, told) in enumerate(((64, 1), (64, 2), (456, 2))):
            daemon.config["width"] = width
            daemon.write_config()
            daemon.signal(signal.SIGHUP)
            wait_for("the reload", lambda: daemon.log.read_text().count("0 removed") == n + 1)
            self.assertEqual(daemon.log.read_text().count("width has changed"), told)

    def test_one_that_is_asked_for_while_the_engine_starts_is_not_forgotten(self):
        daemon = self.daemon({"a": live()}, env={"POSED_NULL_BATCH_MS": "1500"})  # the start waits for a batch
        wait_for("the socket, which comes after the configuration", daemon.path.exists)
        daemon.write_camera("b", live())
        daemon.signal(signal.SIGHUP)
        client = self.client(daemon)
        wait_for("the camera", lambda: "b" in client.status()[0])

    def test_a_bad_file_leaves_everything(self):
        daemon = self.daemon({"a": live()})
        client = self.client(daemon)
        client.subscribe()
        client.read_until("pose")
        daemon.remove_camera("a")
        daemon.write_camera("b", live())
        (daemon.cameras_dir / "c.json").write_text("{")
        daemon.signal(signal.SIGHUP)
        wait_for("the complaint", lambda: "nothing was changed" in daemon.log.read_text())
        self.assertEqual(set(client.status()[0]), {"a"})
        client.read_until("pose", camera="a")
        (daemon.cameras_dir / "c.json").unlink()
        daemon.signal(signal.SIGHUP)
        client.read_until("pose", camera="b")

    def test_a_folder_that_is_gone_is_told(self):
        daemon = self.daemon({"a": live()})
        client = self.client(daemon)
        client.subscribe()
        client.read_until("pose")
        self.assertNotIn("no camera", daemon.log.read_text())
        aside = daemon.dir / "aside"
        daemon.cameras_dir.rename(aside)
        daemon.signal(signal.SIGHUP)
        client.read_until("status", camera="a", state="removed")
        wait_for("the line", lambda: f"warning: reload: no camera in {daemon.cameras_dir}; " in daemon.log.read_text())
        aside.rename(daemon.cameras_dir)
        daemon.signal(signal.SIGHUP)
        fresh = self.client(daemon)  # to whom the numbers begin anew
        wait_for("the camera", lambda: "a" in fresh.status()[0])
        self.assertEqual(daemon.log.read_text().count("no camera"), 1)

    def test_a_start_without_cameras_is_told(self):
        daemon = self.daemon({})
        self.client(daemon)
        wait_for("the line", lambda: f"warning: no camera in {daemon.cameras_dir}; waiting" in daemon.log.read_text())

    def test_the_end_may_come_while_removed_cameras_are_on_their_way_out(self):
        daemon = self.daemon({f"c{i}": live() for i in range(24)})
        client = self.client(daemon)
        client.subscribe(["c0"])
        client.read_until("pose")
        for i in range(1, 24):
            daemon.remove_camera(f"c{i}")
        daemon.signal(signal.SIGHUP)
        wait_for("the reload", lambda: "23 removed" in daemon.log.read_text())
        code, _ = daemon.stop()
        self.assertEqual(code, 0)
        client.read_to_end()
        self.assertIsNotNone(client.bye)

    def test_a_storm_of_reloads(self):
        daemon = self.daemon({"a": live(), "b": live()})
        client = self.client(daemon)
        client.subscribe(["a"])
        client.read_until("pose")
        for i in range(40):
            daemon.write_camera("b", live(max_fps=5 + i))
            daemon.signal(signal.SIGHUP)
            time.sleep(0.01)
        wait_for("a quiet camera", lambda: client.status()[0].get("b", {}).get("state") == "up")
        self.lost_nothing_else(client, client.status()[0]["a"]["numbers"])
        self.assertEqual(daemon.stop()[0], 0)


if __name__ == "__main__":
    sys.argv.pop(1)
    unittest.main(verbosity=2)
