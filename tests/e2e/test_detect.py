#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`posed detect` on every kind of input and output, and what it says of bad ones.

The null engine stands in for the network, so that people are where they are known to be and a run takes no time; one
test goes through the bundled network.

usage: test_detect.py POSED"""
import functools
import http.server
import json
import os
import pathlib
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

POSED = sys.argv.pop(1)
ROOT = pathlib.Path(os.environ["POSED_SOURCE_ROOT"])
NETWORK = ROOT / "models" / "posed-lite.onnx"
SHARED = pathlib.Path(os.environ.get("POSED_SHARED", ROOT.parent / "shared"))
FRAMES = 12
PATTERN = "test:people?size=320x180&rate=25&frames={}"


def posed(*args, engine="null", expect=0, **more):
    command = [POSED, "detect", "--network", str(NETWORK), "--engine", engine, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == expect, f"{command}: exit {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-500:]}"
    return done


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Scratch(unittest.TestCase):
    """Inputs made by the program itself, once."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="posed-detect-")
        cls.addClassCleanup(folder.cleanup)
        cls.dir = pathlib.Path(folder.name)
        cls.clip = cls.dir / "clip.mp4"
        cls.photo = cls.dir / "photo7.png"
        posed(PATTERN.format(FRAMES), "--draw", cls.clip, "--format", "none")
        posed(PATTERN.format(1), "--draw", cls.photo, "--format", "none")
        cls.folder = cls.dir / "pictures"
        cls.folder.mkdir()
        posed("test:people?size=320x180&frames=1", "--draw", cls.folder / "000000000002.jpg", "--format", "none")
        posed("test:people?size=200x300&frames=1", "--draw", cls.folder / "000000000010.png", "--format", "none")
        posed("test:people?size=320x180&frames=1", "--draw", cls.folder / "000000000001.png", "--format", "none")

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="posed-detect-out-")
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name)

    def serve(self, folder):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/"

    def assert_one_line(self, done, *words):
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("posed detect: "), done.stderr)
        for word in words:
            self.assertIn(str(word), done.stderr)


class Looks(Scratch):
    """--scales and --flip: several looks at a picture, averaged."""

    def looks(self, *args, **more):
        return posed(*args, "--height", 96, "--format", "coco", engine="onednn", **more)

    def test_one_look_of_scale_1_changes_nothing(self):
        self.assertEqual(self.looks(self.photo, "--scales", 1).stdout, self.looks(self.photo).stdout)
        self.assertNotEqual(self.looks(self.photo, "--flip").stdout, self.looks(self.photo).stdout)

    def test_a_mirrored_picture_gives_mirrored_people(self):
        """With --flip both pictures are looked at both ways, so what is found must be the same but for the sides."""
        try:
            import cv2
        except ImportError:
            self.skipTest("python3-opencv is not installed")
        video = cv2.VideoCapture(str(ROOT / "tests" / "data" / "store" / "entrance.mp4"))
        for _ in range(40):
            picture = video.read()[1]
        for name, pixels in (("1.png", picture), ("2.png", cv2.flip(picture, 1))):
            cv2.imwrite(str(self.out / name), pixels)
        one, two = ([p for p in json.loads(posed(self.out / name, "--format", "coco", "--flip", "--scales", "0.5,1",
                                                 "--height", 200, engine="onednn").stdout) if p["score"] > 0.1]
                    for name in ("1.png", "2.png"))
        self.assertEqual(len(one), len(two))
        self.assertGreater(len(one), 0)
        swap = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
        for a, b in zip(one, two):
            self.assertAlmostEqual(a["score"], b["score"], delta=0.02)
            for k in range(17):
                x, y, score = a["keypoints"][3 * k:3 * k + 3]
                mx, my, mscore = b["keypoints"][3 * swap[k]:3 * swap[k] + 3]
                self.assertEqual(score > 0, mscore > 0)
                if score:
                    self.assertAlmostEqual(x, picture.shape[1] - 1 - mx, delta=2)
                    self.assertAlmostEqual(y, my, delta=2)

    def test_a_video_can_be_looked_at_so(self):
        found = lines(posed(self.clip, "--scales", "0.5,1", "--flip", "--track", "--frames", 3, engine="onednn"))
        self.assertEqual([line["seq"] for line in found], [1, 2, 3])

    def test_wrong_scales_are_told(self):
        for bad in ("", "0", "1,", ",1", "x", "1,5", "1,1,1,1,1,1,1,1,1"):
            self.assert_one_line(posed(self.photo, "--scales", bad, expect=2), "--scales")


class Inputs(Scratch):
    def test_a_video_gives_every_frame_in_order(self):
        found = lines(posed(self.clip))
        self.assertEqual([line["seq"] for line in found], list(range(1, FRAMES + 1)))
        for number, line in enumerate(found):
            self.assertEqual((line["type"], line["file"]), ("pose", str(self.clip)))
            self.assertEqual((line["width"], line["height"]), (320, 180))
            self.assertAlmostEqual(line["pts"], number / 25, delta=0.001)
            self.assertNotIn("time", line)
            self.assertNotIn("latency_ms", line)
            self.assertGreater(len(line["people"]), 0)
            for person in line["people"]:
                self.assertEqual(len(person["keypoints"]), 18)
                self.assertNotIn("id", person)

    def test_batches_of_any_size_give_the_same_lines(self):
        one = posed(self.clip, "--batch", 1).stdout
        for batch in (2, 5, FRAMES, 32):
            self.assertEqual(posed(self.clip, "--batch", batch).stdout, one)

    def test_a_picture(self):
        found = lines(posed(self.photo))
        self.assertEqual(len(found), 1)
        self.assertEqual(found[0]["file"], str(self.photo))

    def test_a_folder_is_read_by_name_and_sizes_may_differ(self):
        found = lines(posed(self.folder))
        self.assertEqual([pathlib.Path(line["file"]).name for line in found],
                         ["000000000001.png", "000000000002.jpg", "000000000010.png"])
        self.assertEqual([(line["width"], line["height"]) for line in found], [(320, 180), (320, 180), (200, 300)])
        self.assertEqual(posed(self.folder, "--batch", 8).stdout, posed(self.folder).stdout)

    def test_several_inputs_follow_each_other(self):
        found = lines(posed(self.photo, self.clip, self.folder))
        self.assertEqual(len(found), 1 + FRAMES + 3)
        self.assertEqual(found[0]["file"], str(self.photo))
        self.assertEqual(found[-1]["file"], str(self.folder / "000000000010.png"))

    def test_a_pattern_and_a_limit(self):
        self.assertEqual(len(lines(posed(PATTERN.format(9), "--frames", 4))), 4)

    def test_a_url(self):
        url = self.serve(self.dir) + "clip.mp4"
        done = subprocess.run([POSED, "detect", "--network", str(NETWORK), "--engine", "null", url],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(len(lines(done)), FRAMES, done.stderr)

    def test_tracking_gives_ids_that_last_within_an_input(self):
        found = lines(posed(self.clip, self.clip, "--track"))
        ids = [{person["id"] for person in line["people"]} for line in found]
        self.assertTrue(all(ids))
        self.assertTrue(ids[0] & ids[FRAMES - 1])
        self.assertFalse(ids[0] & ids[FRAMES])

    def test_the_bundled_network_runs(self):
        self.assertEqual(len(lines(posed(self.photo, "--height", 128, engine="auto"))), 1)


class Outputs(Scratch):
    def test_jsonl_to_a_file(self):
        done = posed(self.clip, "--output", self.out / "poses.jsonl")
        self.assertEqual(done.stdout, "")
        self.assertEqual((self.out / "poses.jsonl").read_text(), posed(self.clip).stdout)

    def test_openpose_writes_a_file_a_frame(self):
        posed(self.clip, self.photo, "--format", "openpose", "--output", self.out / "json")
        names = sorted(path.name for path in (self.out / "json").iterdir())
        self.assertEqual(len(names), FRAMES + 1)
        self.assertEqual(names[0], "clip_000000000000_keypoints.json")
        self.assertEqual(names[-1], "photo7_keypoints.json")
        wire = lines(posed(self.clip))[0]["people"]
        frame = json.loads((self.out / "json" / names[0]).read_text())
        self.assertEqual(frame["version"], 1.3)
        self.assertEqual(len(frame["people"]), len(wire))
        for theirs, ours in zip(frame["people"], wire):
            self.assertEqual(theirs["person_id"], [-1])
            flat = [value for point in ours["keypoints"] for value in point or (0, 0, 0)]
            self.assertEqual(len(theirs["pose_keypoints_2d"]), 54)
            for a, b in zip(theirs["pose_keypoints_2d"], flat):
                self.assertAlmostEqual(a, b, delta=0.11)

    def test_what_would_be_overwritten_is_told_and_left_out(self):
        twins = self.dir / "twins"
        (twins / "more").mkdir(parents=True)
        for name in ("clip.mp4", "more/clip.mp4"):
            shutil.copy(self.clip, twins / name)
        for name in ("a.png", "b.png"):
            shutil.copy(self.photo, twins / name)
        shutil.copy(self.photo, twins / "more" / "a.png")
        videos = [twins / "clip.mp4", twins / "more" / "clip.mp4"]
        done = posed(*videos, twins / "a.png", twins / "more" / "a.png", twins / "b.png", "--format", "openpose",
                     "--output", self.out / "twins", expect=1)
        told = done.stderr.splitlines()
        self.assertEqual(len(told), 2, done.stderr)
        self.assertIn(str(videos[1]), told[0])
        self.assertIn(str(twins / "more" / "a.png"), told[1])
        self.assertEqual(len(list((self.out / "twins").iterdir())), FRAMES + 2)
        done = posed(*videos, "--format", "coco", expect=1)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(json.loads(done.stdout), json.loads(posed(videos[0], "--format", "coco").stdout))

    def test_coco_results(self):
        found = json.loads(posed(self.folder, "--format", "coco").stdout)
        self.assertEqual(sorted({result["image_id"] for result in found}), [1, 2, 10])
        for result in found:
            self.assertEqual(result["category_id"], 1)
            self.assertEqual(len(result["keypoints"]), 51)
            self.assertTrue(0 < result["score"] <= 1)
        self.assertEqual(json.loads(posed(self.folder, "--format", "coco", "--max-people", 1).stdout)[0], found[0])

    def test_coco_ids_from_annotations(self):
        names = {"000000000001.png": 77, "000000000002.jpg": 78}
        file = self.out / "annotations.json"
        file.write_text(json.dumps({"images": [{"file_name": k, "id": v} for k, v in names.items()]}))
        done = posed(self.folder, "--format", "coco", "--annotations", file, expect=1)
        self.assertEqual({result["image_id"] for result in json.loads(done.stdout)}, {77, 78})
        self.assert_one_line(done, "000000000010.png", "annotations")

    def test_coco_of_nothing_is_an_empty_array(self):
        self.assertEqual(json.loads(posed(self.photo, "--format", "coco", "--min-score", 1).stdout), [])

    def test_a_drawn_picture_has_the_pictures_size(self):
        posed(self.photo, "--draw", self.out / "drawn.png", "--format", "none")
        head = (self.out / "drawn.png").read_bytes()[:24]
        self.assertEqual(head[1:4], b"PNG")
        self.assertEqual(struct.unpack(">II", head[16:24]), (320, 180))

    def test_a_drawn_folder_keeps_names(self):
        posed(self.folder, "--draw", f"{self.out}/new/", "--format", "none")
        self.assertEqual(sorted(path.name for path in (self.out / "new").iterdir()),
                         ["000000000001.png", "000000000002.png", "000000000010.png"])

    def test_a_drawn_video_can_be_read_again(self):
        posed(self.clip, "--draw", self.out / "drawn.mp4", "--format", "none")
        self.assertEqual(len(lines(posed(self.out / "drawn.mp4"))), FRAMES)


class Originals(Scratch):
    """Nothing that is read is written over, and no drawing by another."""

    def kept(self, file, *args, words):
        before = file.read_bytes()
        self.assert_one_line(posed(*args, expect=1), *words)
        self.assertEqual(file.read_bytes(), before)

    def test_an_input_is_no_output(self):
        link = self.out / "link.mp4"
        link.symlink_to(self.clip)
        for args in ((self.clip, "--draw", self.clip), (self.clip, "--draw", link), (link, "--output", self.clip),
                     (f"file:{self.clip}", "--output", self.clip), (self.photo, self.clip, "--output", self.clip)):
            self.kept(self.clip, *args, words=["is what is read"])
        self.kept(self.photo, self.photo, "--draw", self.photo, words=["is what is read"])
        notes = self.out / "annotations.json"
        notes.write_text('{"images": []}')
        self.kept(notes, self.photo, "--format", "coco", "--annotations", notes, "--output", notes, words=["is what is"])

    def test_pictures_are_not_drawn_over(self):
        picture = self.folder / "000000000001.png"
        for args in ((self.folder, "--draw", self.folder), (picture, "--draw", f"{self.folder}/"),
                     (self.folder, "--draw", self.folder / "000000000010.png"),
                     (self.clip, picture, "--draw", self.folder)):
            self.kept(picture, *args, "--format", "none", words=["read", "draw into"])
        shutil.copy(self.folder / "000000000002.jpg", self.out)
        posed(self.out / "000000000002.jpg", "--draw", self.out, "--format", "none")  # a .png beside it
        self.assertEqual(len(list(self.out.iterdir())), 2)

    def test_of_two_drawings_of_one_name_the_first_stays(self):
        for folder, picture in (("a", self.photo), ("b", self.folder / "000000000010.png")):
            (self.out / folder).mkdir()
            shutil.copy(picture, self.out / folder / "same.png")
        done = posed(self.out / "a" / "same.png", self.out / "b" / "same.png", "--draw", f"{self.out}/c/", expect=1)
        self.assertEqual(len(lines(done)), 2)
        self.assert_one_line(done, self.out / "b" / "same.png", "not drawn", self.out / "a" / "same.png")
        self.assertEqual(struct.unpack(">II", (self.out / "c" / "same.png").read_bytes()[16:24]), (320, 180))

    def test_more_than_one_picture_for_one_name_is_told(self):
        for first, more in ((self.folder / "000000000001.png", [self.photo, self.photo]), (self.clip, [])):
            done = posed(first, *more, "--draw", self.out / "one.png", expect=1)
            self.assertEqual(len(lines(done)), 1 + len(more) if more else FRAMES)
            self.assert_one_line(done, "one.png: has the first picture alone")
        posed(self.clip, "--frames", 1, "--draw", self.out / "one.png")


class Terminal(Scratch):
    def run_on_terminal(self, *args):
        parent, child = pty.openpty()
        command = [POSED, "detect", "--network", str(NETWORK), "--engine", "null", *map(str, args)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=child)
        os.close(child)
        shown = b""
        while True:
            try:
                part = os.read(parent, 4096)
            except OSError:  # the terminal's other end is closed
                break
            shown += part
        os.close(parent)
        self.assertEqual(process.wait(timeout=60), 0)
        return shown.decode()

    def test_progress_is_shown_on_a_terminal_and_wiped(self):
        shown = self.run_on_terminal(PATTERN.format(400))
        self.assertIn("/400", shown)
        self.assertIn("/s", shown)
        self.assertTrue(shown.endswith("\r\x1b[K"), repr(shown[-40:]))

    def test_quiet_is_quiet(self):
        self.assertEqual(self.run_on_terminal(PATTERN.format(400), "--quiet"), "")

    def test_a_pipe_sees_nothing_on_stderr(self):
        self.assertEqual(posed(PATTERN.format(400)).stderr, "")

    def start_drawing(self, hangup=signal.SIG_DFL):
        """A run without end, and the video that it draws, once 20 frames are done. Whatever the tests inherited,
        @hangup is what it does."""
        drawn = self.out / "drawn.mp4"
        process = subprocess.Popen([POSED, "detect", "--network", str(NETWORK), "--engine", "null", "--draw", str(drawn),
                                    PATTERN.format(1000000)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGHUP, hangup))
        for _ in range(20):
            process.stdout.readline()
        return process, drawn

    def test_an_interrupt_leaves_a_whole_file(self):
        for number in (signal.SIGINT, signal.SIGHUP):
            with self.subTest(number.name):
                process, drawn = self.start_drawing()
                process.send_signal(number)
                frames = 20 + len(process.stdout.readlines())  # communicate() would leave out what was read ahead
                said = process.communicate(timeout=60)[1]
                self.assertEqual(process.returncode, 1)
                self.assertEqual(said, f"posed detect: interrupted after {frames} frames\n")
                self.assertEqual(len(lines(posed(drawn))), frames)

    def test_nohup_goes_on(self):
        process, _ = self.start_drawing(signal.SIG_IGN)
        process.send_signal(signal.SIGHUP)
        for _ in range(1000):
            self.assertNotEqual(process.stdout.readline(), "")
        process.kill()
        process.communicate()

    def test_a_reader_that_leaves_costs_the_drawing_no_end(self):
        process, drawn = self.start_drawing()
        process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(timeout=60), 1)
        self.assertEqual(said, "posed detect: standard output: Broken pipe\n")
        self.assertGreaterEqual(len(lines(posed(drawn))), 20)


class BadInput(Scratch):
    def test_a_missing_file(self):
        self.assert_one_line(posed("/nonexistent.mp4", expect=1), "/nonexistent.mp4", "no such file")

    def test_the_other_inputs_are_done_all_the_same(self):
        done = posed("/nonexistent.mp4", self.photo, expect=1)
        self.assertEqual(len(lines(done)), 1)
        self.assert_one_line(done, "/nonexistent.mp4")

    def test_a_picture_that_is_text(self):
        (self.out / "text.jpg").write_text("this is not a picture\n" * 20)
        self.assert_one_line(posed(self.out / "text.jpg", expect=1), "text.jpg", "text")

    def test_a_bad_picture_among_good_ones(self):
        for name in ("a.png", "c.png"):
            (self.out / name).write_bytes(self.photo.read_bytes())
        (self.out / "b.png").write_text("this is not a picture\n" * 20)
        done = posed(self.out, expect=1)
        self.assertEqual([pathlib.Path(line["file"]).name for line in lines(done)], ["a.png", "c.png"])
        self.assert_one_line(done, "b.png")

    def jpeg_stream(self, n, bad=-1):
        """JPEGs one behind the other, one of them cut in half."""
        plain = (self.folder / "000000000002.jpg").read_bytes()
        one = plain[:2] + b"\xff\xe0\0\x10JFIF\0\1\2\0\0\1\0\1\0\0" + plain[2:]
        (self.out / "raw.mjpeg").write_bytes(b"".join(one[:len(one) // 2] if i == bad else one for i in range(n)))
        return self.out / "raw.mjpeg"

    def test_a_bad_picture_between_others_in_one_file(self):
        done = posed(self.jpeg_stream(12, bad=5), expect=1)
        self.assertEqual(len(lines(done)), 11)
        self.assert_one_line(done, "raw.mjpeg", "1 corrupt")

    def test_a_stream_of_jpegs_that_the_server_ends(self):
        self.jpeg_stream(12)
        done = posed(self.serve(self.out) + "raw.mjpeg", expect=1)
        self.assertEqual(len(lines(done)), 12)
        self.assert_one_line(done, "ended the stream")

    def test_an_empty_file_and_an_empty_folder(self):
        (self.out / "empty.mp4").touch()
        self.assert_one_line(posed(self.out / "empty.mp4", expect=1), "empty.mp4")
        (self.out / "none").mkdir()
        self.assert_one_line(posed(self.out / "none", expect=1), "none")

    def test_a_clip_cut_in_half_gives_what_is_there(self):
        whole = self.out / "whole.mp4"
        posed(PATTERN.format(200), "--draw", whole, "--format", "none")
        # Fragments can be cut anywhere; an MP4 has its index at one end.
        stream = self.out / "whole.mkv"
        if subprocess.run(["ffmpeg", "-v", "error", "-i", whole, "-c", "copy", stream]).returncode:
            self.skipTest("no ffmpeg")
        data = stream.read_bytes()
        cut = self.out / "cut.mkv"
        cut.write_bytes(data[:len(data) // 2])
        done = posed(cut, expect=1)
        self.assertTrue(20 < len(lines(done)) < 200, len(lines(done)))
        self.assert_one_line(done, "cut.mkv", "cut off")

    def test_networks_that_are_not_there_or_not_networks(self):
        (self.out / "lie.onnx").write_text("not a network")
        for network, words in ((self.out / "gone.onnx", "gone.onnx"), (self.out / "lie.onnx", "lie.onnx")):
            self.assert_one_line(posed(self.photo, "--network", network, expect=1), words)

    def test_a_truncated_network(self):
        (self.out / "half.onnx").write_bytes(NETWORK.read_bytes()[:1000000])
        self.assert_one_line(posed(self.photo, "--network", self.out / "half.onnx", expect=1), "half.onnx")

    def test_outputs_that_cannot_be_written(self):
        self.assert_one_line(posed(self.photo, "--output", "/nonexistent/x", expect=1), "/nonexistent/x")
        self.assert_one_line(posed(self.photo, "--output", "/dev/full", expect=1), "No space left")
        self.assert_one_line(posed(self.photo, "--draw", "/nonexistent/x.png", "--format", "none", expect=1), "/nonexistent")
        self.assert_one_line(posed(self.photo, "--draw", self.out / "x.doc", "--format", "none", expect=1), "x.doc")

    def test_wrong_usage(self):
        for args, word in (((), "no INPUT"), (("--hight", "3", "x"), "--hight"), (("x", "--height"), "--height"),
                           (("x", "--height", "0"), "--height is '0'"), (("x", "--batch", "33"), "1 to 32"),
                           (("x", "--format", "xml"), "'xml'"), (("x", "--format", "openpose"), "--output DIR"),
                           (("x", "--min-score", "2"), "--min-score"), (("x", "--engine", "abacus"), "abacus"),
                           (("x", "--precision", "int3"), "int3")):
            done = posed(*args, expect=2)
            self.assert_one_line(done, word, "--help")

    def test_help_has_an_example(self):
        done = subprocess.run([POSED, "detect", "--help"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("Example: posed detect", done.stdout)
        for option in ("--network", "--engine", "--height", "--format", "--draw", "--track", "--min-score"):
            self.assertIn(option, done.stdout)


class RealClips(unittest.TestCase):
    @unittest.skipUnless((SHARED / "media").is_dir(), f"no clips in {SHARED}")
    def test_half_of_a_real_clip(self):
        with tempfile.TemporaryDirectory(prefix="posed-detect-") as folder:
            for name, share in (("exercise.avi", 0.4), ("demo_skeleton.mp4", 0.5)):
                data = (SHARED / "media" / name).read_bytes()
                cut = pathlib.Path(folder, name)
                cut.write_bytes(data[:int(len(data) * share)])
                done = posed(cut, "--height", "64", expect=1)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn(name, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=1)
