#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What training reads: records, tools/scene's truth, COCO annotations (TAP)."""
import json
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
import tap  # noqa: E402

try:
    import cv2
    import numpy as np
except ImportError as missing:
    tap.skip(f"{missing.name} is not installed")

from training import labels, plot, skeleton  # noqa: E402

SCENE = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def mirrored_keypoints_pair_left_with_right():
    for i, j in enumerate(skeleton.MIRRORED):
        assert skeleton.MIRRORED[j] == i
        assert skeleton.KEYPOINTS[i][:2] in ("r_", "l_") or i == j, skeleton.KEYPOINTS[i]


def every_field_channel_belongs_to_one_limb():
    channels = sorted(c + i for _, _, c in skeleton.LIMBS for i in (0, 1))
    assert channels == list(range(skeleton.N_PAF))


def broken_records_are_refused():
    for data in (b"\x05\0\0\0abc", b"\x01\0", b"\0\0\0\0", b"\xff\xff\xff\xffabc"):
        with tempfile.NamedTemporaryFile(suffix=".bin") as file:
            file.write(data)
            file.flush()
            try:
                list(labels.read_records(file.name))
            except ValueError as error:
                assert file.name in str(error)
            else:
                raise AssertionError(f"{data!r} was taken")


def coco_people_get_a_neck_and_crowds_are_left_out():
    keypoints = [0] * 51
    keypoints[0:3] = [10, 20, 2]    # nose
    keypoints[15:18] = [14, 30, 2]  # left shoulder
    keypoints[18:21] = [6, 32, 1]   # right shoulder
    crowd = {"bbox": [50, 50, 10, 10], "iscrowd": 1, "keypoints": [0] * 51}
    people = labels.coco_people([{"bbox": [0, 10, 20, 60], "keypoints": keypoints}, crowd])
    assert people.points[0][skeleton.KEYPOINTS.index("l_shoulder")].tolist() == [14, 30, 2]
    assert people.points[0][skeleton.NECK].tolist() == [10, 31, 1]
    assert (people.points[0][:, 2] > 0).sum() == 4
    assert people.ignore.tolist() == [False, True]


def coco_files_are_read_with_their_pictures():
    with tempfile.TemporaryDirectory() as folder:
        cv2.imwrite(os.path.join(folder, "a.jpg"), np.zeros((8, 8, 3), np.uint8))
        file = os.path.join(folder, "a.json")
        with open(file, "w", encoding="utf-8") as out:
            json.dump({"images": [{"id": 3, "file_name": "a.jpg"}], "annotations": []}, out)
        dataset = labels.read_coco(file, folder)
    assert len(dataset.pictures) == len(dataset.people) == 1 and not len(dataset.people[0].points)


def render(folder, frames):
    command = [sys.executable, "-m", "training.render", "--scene", SCENE, "--out", folder,
               "--frames", str(frames), "--size", "64x48", "--jobs", "2"]
    subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)


def bulk_rendering_goes_on_where_it_was():
    with tempfile.TemporaryDirectory() as folder:
        render(folder, 16)
        before = os.stat(labels.scene_chunks([folder])[0]).st_mtime_ns
        render(folder, 18)
        chunks = labels.scene_chunks([folder])
        assert len(chunks) == 2 and os.stat(chunks[0]).st_mtime_ns == before
        dataset = labels.read_scenes(chunks)
        assert len(dataset.pictures) == len(dataset.people) == 18
        assert cv2.imdecode(np.frombuffer(dataset.pictures[17], np.uint8), 1).shape == (48, 64, 3)
        with open(chunks[0][:-5] + "bin", "ab") as file:
            file.write(struct.pack("<I", 1) + b"x")
        try:
            labels.read_scenes(chunks)
        except ValueError as error:
            assert "17 pictures" in str(error)
        else:
            raise AssertionError("a truth that does not fit its pictures was taken")


def a_longer_rendering_adds_what_a_shorter_one_lacks():
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        for folder, frames in ((one, (24, 40)), (two, (40,))):
            for n in frames:
                render(folder, n)
        apart, whole = (labels.read_scenes(labels.scene_chunks([folder])) for folder in (one, two))
        assert len(whole.pictures) == 40 and apart.pictures == whole.pictures
        os.unlink(labels.scene_chunks([one])[1])  # frames 16 to 23
        render(one, 20)
        render(one, 24)
        assert labels.read_scenes(labels.scene_chunks([one])).pictures == whole.pictures


def loss_plot_is_drawn():
    with tempfile.NamedTemporaryFile(suffix=".svg") as file:
        plot.loss_plot(["loss"], [[0, 3.0], [10, 2.0], [20, 1.5]], file.name)
        text = file.read().decode()
    assert text.startswith("<svg") and text.rstrip().endswith("</svg>") and text.count("polyline") == 1


tap.run([mirrored_keypoints_pair_left_with_right, every_field_channel_belongs_to_one_limb, broken_records_are_refused,
         coco_people_get_a_neck_and_crowds_are_left_out, coco_files_are_read_with_their_pictures,
         bulk_rendering_goes_on_where_it_was, a_longer_rendering_adds_what_a_shorter_one_lacks, loss_plot_is_drawn])
