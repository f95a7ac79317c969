#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Targets, views, networks and checkpoints of training, on the CPU (TAP). Skipped without PyTorch and onnx."""
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)
import tap  # noqa: E402

try:
    import cv2
    import numpy as np
    import onnx  # noqa: F401
    import torch
except ImportError as missing:
    tap.skip(f"{missing.name} is not installed: pip install torch onnx opencv-python-headless")

from training import (architecture, checkpoint, export, follow, labels, onnx_file, skeleton, targets,  # noqa: E402
                      train, views)
from training.average import Average  # noqa: E402
from training.batches import Labelled  # noqa: E402
from training.graph import Network  # noqa: E402
from training.grow import grow  # noqa: E402
from training.loss import network_loss  # noqa: E402
from training.pictures import Pictures  # noqa: E402

POSED = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else None
BUNDLED = os.path.join(ROOT, "models", "posed-lite.onnx")
CPU = torch.device("cpu")
torch.set_num_threads(1)
SEED = int(os.environ.get("POSED_TEST_SEED", torch.seed() % 2 ** 31))
torch.manual_seed(SEED)
print(f"# seed {SEED}")


def small_network(norm=True):
    return Network(architecture.posed_lite(width=16, features=8, residuals=1, refinements=1), norm)


def one_person(n=1):
    """n people with every keypoint somewhere in 96 x 64."""
    points = torch.rand(1, n, skeleton.N_KEYPOINTS, 3) * torch.tensor([96., 64., 0.])
    points[..., 2] = 2
    return points


def targets_are_what_the_formulae_say():
    points = one_person(2)
    points[0, 1, 4, 2] = 0  # an absent keypoint
    fields, maps, _ = targets.make_targets(points, torch.zeros(1, 2, 4), torch.zeros(1, 2, dtype=torch.bool), 8, 12)
    p = points[0].numpy()
    for _ in range(60):
        j, y, x = np.random.randint(18), np.random.randint(8), np.random.randint(12)
        at = np.array([x, y]) * 8 + 3.5
        want = max(np.exp(-((at - q[j, :2]) ** 2).sum() / (2 * 7.0 ** 2)) * (q[j, 2] > 0) for q in p)
        assert abs(float(maps[0, j, y, x]) - (want if want >= .01 else 0)) < 1e-4
        a, b, channel = skeleton.LIMBS[np.random.randint(skeleton.N_LIMBS)]
        found = []
        for q in p:
            way = q[b, :2] - q[a, :2]
            unit = way / np.linalg.norm(way)
            off = at - q[a, :2]
            if q[a, 2] and q[b, 2] and abs(off[0] * unit[1] - off[1] * unit[0]) <= 8 and \
                    -8 <= off @ unit <= np.linalg.norm(way) + 8:
                found.append(unit)
        mean = np.mean(found, axis=0) if found else np.zeros(2)
        assert np.allclose(fields[0, channel:channel + 2, y, x].numpy(), mean, atol=1e-4)
    assert torch.allclose(maps[0, -1], 1 - maps[0, :-1].amax(0))


def ignored_regions_weigh_nothing_but_where_somebody_is():
    points, boxes = one_person(2), torch.tensor([[[0., 0., 1., 1.], [40., 0., 55., 63.]]])
    points[0, 0, :, :2] = torch.tensor([51.5, 27.5])
    fields, maps, weight = targets.make_targets(points, boxes, torch.tensor([[False, True]]), 8, 12)
    assert weight[0, 0, :, :5].min() == 1
    assert weight[0, 0, 7, 11] == 0
    assert weight[0, 0, 3, 6] > .99  # the other one's joints lie here
    assert fields[0, :, 7, 11].abs().max() == 0


def labels_move_with_the_picture():
    picture = np.zeros((120, 160, 3), np.uint8)
    points = np.zeros((1, 18, 3), np.float32)
    points[0, 2] = [70, 50, 2]  # right shoulder
    cv2.circle(picture, (70, 50), 4, (255, 255, 255), -1)
    people = labels.People(points, np.array([[60, 40, 30, 60]], np.float32), np.zeros(1, bool))
    data = labels.Dataset([cv2.imencode(".png", picture)[1].tobytes()], [people])
    pictures, look, sides = Pictures(data, 160, CPU), views.Look((.8, 1.4), .3, 1.0), set()
    for _ in range(12):
        view, index, place = views.take(pictures, 1, look, (96, 128))
        moved, _, _ = views.move_people(pictures.points[index], pictures.boxes[index], pictures.ignore[index], place,
                                        (96, 128))
        side = 5 if place.mirrored[0] else 2
        x, y, there = moved[0, 0, side].tolist()
        if not there or not (8 < x < 120 and 8 < y < 88):
            continue
        sides.add(side)
        bright = (view[0].amin(0) > 250).nonzero().float().mean(0)
        # brighter than what is laid around a picture, whose colour is random
        assert abs(bright[1] - x) < 1 and abs(bright[0] - y) < 1, (bright, x, y)
    assert sides, "no view showed the dot"


def exported_files_answer_as_the_network():
    network = small_network()
    for norm in network.norms.values():
        norm.running_mean.normal_()
        norm.running_var.uniform_(.5, 2)
        norm.weight.data.uniform_(.5, 2)
        norm.bias.data.normal_()
    network.eval()
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        export.export(network, file.name, "small", "Our own")
        with torch.no_grad():
            size = max(float(answer.abs().max()) for answer in network(torch.rand(1, 3, 64, 96) * 255)[-1])
        # random norms answer with up to a hundred, and float has seven digits
        assert export.largest_difference(network, file.name) < export.SAME * max(1, size)
        if POSED:
            command = [POSED, "model", "info", file.name]
            text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            assert "coco18" in text and "Our own" in text and text.startswith("small"), text
        net = cv2.dnn.readNetFromONNX(file.name)
        picture = torch.rand(1, 3, 64, 96) * 255
        net.setInput(picture.numpy())
        with torch.no_grad():
            ours = network(picture)[-1]
        for name, answer in zip(("paf", "heatmap"), ours):
            assert np.abs(net.forward(name) - answer.numpy()).max() < 1e-3


def calibrated_norms_keep_what_a_file_means():
    plain, normed = Network(onnx_file.read_onnx(BUNDLED)).eval(), Network(onnx_file.read_onnx(BUNDLED), norm=True)
    picture = torch.rand(2, 3, 64, 96) * 255
    normed.calibrate(picture)
    with torch.no_grad():
        want, evaluated, train = plain(picture), normed.eval()(picture), normed.train()(picture)
    for got in (train, evaluated):
        assert all((a - b).abs().max() < 1e-4 for a, b in zip(want[-1], got[-1]))


def bundled_network_has_the_shape_we_build():
    def shape(graph):
        return [(o.kind, o.attributes.get("channels"), o.attributes.get("dilation")) for o in graph.ops]
    assert shape(onnx_file.read_onnx(BUNDLED)) == shape(architecture.posed_lite())


def a_grown_network_answers_nearly_as_before():
    small = dict(width=16, features=8)
    graph = architecture.posed_lite(residuals=2, refinements=1, **small)
    first = Network(graph).eval()
    graph.weights = {f"{op.output}.{part}": value for op in graph.ops if op.kind == "conv"
                     for part, value in (("weight", first.convs[f"t_{op.output}"].weight.detach()),
                                         ("bias", first.convs[f"t_{op.output}"].bias.detach()))}
    grown = Network(grow(graph, [3, 2])).eval()
    kinds = [(o.kind, o.attributes.get("channels")) for o in grown.ops]
    assert kinds == [(o.kind, o.attributes.get("channels"))
                     for o in architecture.posed_lite(residuals=5, refinements=3, **small).ops]
    assert len({o.output for o in grown.ops}) == len(grown.ops)
    picture = torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():
        for want, got in zip(first(picture)[-1], grown(picture)[-1]):
            assert 0 < (want - got).norm() < .3 * want.norm(), (want.norm(), (want - got).norm())
    try:
        grow(graph, [1])
    except ValueError as error:
        assert "2 widths" in str(error)
    else:
        raise AssertionError("one number for two widths was taken")


def a_shifted_depthwise_convolution_is_one():
    network, picture = small_network(), torch.rand(2, 3, 64, 96) * 255
    network.calibrate(picture)
    network.eval()
    with torch.no_grad():
        want = network(picture)[-1]
        network.shifted = True
        got = network(picture)[-1]
    assert all((a - b).abs().max() < 1e-5 for a, b in zip(want, got))


def the_newest_pictures_are_kept():
    def pictures(values, room=0):
        encoded = [cv2.imencode(".png", np.full((8, 8, 3), v, np.uint8))[1].tobytes() for v in values]
        return Pictures(labels.Dataset(encoded, [labels.People()] * len(values)), 64, CPU, room)
    kept, n = pictures([0], room=5), 1
    while n < 23:
        more = int(torch.randint(1, 5, ()))
        kept.append(pictures(range(n, n + more)))
        n += more
        there = sorted(int(v) for v in kept.pixels[:len(kept), 0, 0, 0])
        assert there == list(range(max(0, n - 5), n)), (there, n)


def write_chunk(folder, name, sizes):
    """Empty pictures of these sizes, w and h, as training.render would leave them."""
    with open(os.path.join(folder, name + ".bin"), "wb") as records:
        for w, h in sizes:
            data = cv2.imencode(".png", np.full((h, w, 3), 99, np.uint8))[1].tobytes()
            records.write(struct.pack("<I", len(data)) + data)
    truth = os.path.join(folder, name + ".jsonl")
    with open(truth + ".part", "w", encoding="utf-8") as lines:
        lines.write('{"people": []}\n' * len(sizes))
    os.replace(truth + ".part", truth)


def followed_pictures_join_larger_ones():
    portrait = cv2.imencode(".png", np.zeros((60, 40, 3), np.uint8))[1].tobytes()
    pictures = Pictures(labels.Dataset([portrait], [labels.People()]), 64, CPU, room=9)
    follow.POLL = .01
    with tempfile.TemporaryDirectory() as folder:
        follower = follow.Follower([folder], [], pictures, 64, train.Workers())
        for name, sizes in (("1-too-large", [(64, 36), (40, 24)]), ("2-fits", [(40, 24)] * 3)):
            write_chunk(folder, name, sizes)
        for _ in range(1000):
            follower.take()
            if len(pictures) > 1:
                break
            time.sleep(.01)
        follower.close()
        follower.take()
    assert len(pictures) == 4
    for i in (1, 2, 3):
        assert pictures.sizes[i].tolist() == [24, 40]
        assert pictures.pixels[i, :, :24].unique().tolist() == [99] and not pictures.pixels[i, :, 24:].any()


SHARED = """
import sys; sys.path.insert(0, sys.argv[1])
import torch
from training.workers import Workers
workers = Workers()
workers.device("cpu")
torch.manual_seed(workers.rank)
layer = torch.nn.Linear(3, 2)
workers.alike(layer)
layer(torch.full((1, 3), 1. + workers.rank)).sum().backward()
workers.average_gradients(layer.parameters())
assert torch.allclose(layer.weight.grad, torch.full((2, 3), 1.5)), layer.weight.grad
assert workers.mine(range(5)) == ([0, 2, 4], [1, 3])[workers.rank]
assert workers.mean(torch.tensor([float(workers.rank), 4.])) == [.5, 4.]
print(layer.weight.tolist())
workers.close()
"""


def processes_share_weights_and_gradients():
    with socket.socket() as s:  # kept while they run: nobody else is given the port, and who reuses addresses may listen
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        both = [subprocess.Popen([sys.executable, "-c", SHARED, ROOT], text=True, stdout=subprocess.PIPE,
                                 env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                                      "MASTER_PORT": str(s.getsockname()[1])}) for rank in (0, 1)]
        try:
            said = [process.communicate(timeout=120)[0] for process in both]
        finally:
            for process in both:
                process.kill()
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1] != ""


def unknown_layers_are_named():
    node = onnx.helper.make_node("Softmax", ["image"], ["out"], "last_layer")
    try:
        onnx_file.operation(node, {}, None)
    except ValueError as error:
        assert "last_layer" in str(error) and "Softmax" in str(error)
    else:
        raise AssertionError("a softmax was taken")


def learning_a_picture_lowers_the_loss():
    picture = (np.random.rand(96, 128, 3) * 255).astype(np.uint8)
    points = np.concatenate([np.random.rand(1, 18, 2) * [128, 96], np.full((1, 18, 1), 2)], 2).astype(np.float32)
    people = labels.People(points, np.array([[0, 0, 128, 96]], np.float32), np.zeros(1, bool))
    data = labels.Dataset([cv2.imencode(".png", picture)[1].tobytes()], [people])
    batch = Labelled(Pictures(data, 128, CPU), views.CAMERA).batch(2, (64, 96))
    network, losses = small_network().train(), []
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(40):
        total, _ = network_loss(network(batch[0]), batch[1])
        total.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(total.detach()))
    assert losses[-1] < .6 * losses[0], losses


def need_checkpoints():
    if int(torch.__version__.split(".")[0]) < 2:
        raise tap.Skip("PyTorch 1 reads no checkpoint without running what is in it")


def checkpoints_go_on_where_they_were():
    need_checkpoints()
    network = small_network()
    average, optimiser = Average(network), torch.optim.AdamW(network.parameters())
    network(torch.rand(2, 3, 64, 64))[-1][0].mean().backward()
    optimiser.step()
    average.update(1)
    other = small_network()
    average2, optimiser2 = Average(other), torch.optim.AdamW(other.parameters())
    with tempfile.TemporaryDirectory() as folder:
        at = checkpoint.Progress(7, 3.5, .25)
        checkpoint.save(folder, network, average, optimiser, at)
        assert checkpoint.load(folder, other, average2, optimiser2, CPU) == at
        exported = export.read_run(folder)
    assert torch.equal(exported.folded()["paf.weight"], average.network.folded()["paf.weight"])
    for a, b in ((network, other), (average.network, average2.network)):
        assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))
    assert len(optimiser2.state) == len(optimiser.state) > 0


def a_resumed_run_keeps_its_losses():
    need_checkpoints()
    with tempfile.TemporaryDirectory() as folder:
        scenes, out = os.path.join(folder, "scenes"), os.path.join(folder, "run")
        os.mkdir(scenes)
        write_chunk(scenes, "1-000000-000002", [(64, 64)] * 2)
        common = ["--scenes", scenes, "--seconds", ".1", "--batch", "2", "--view", "64x64", "--device", "cpu",
                  "--out", out]
        runs = []
        for more in ([], ["--resume", out]):
            train.Trainer(train.parse_arguments(common + more)).run()
            with open(os.path.join(out, "loss.csv"), encoding="utf-8") as file:
                runs.append(file.read().splitlines())
        assert runs[0][0] == "seconds,loss" and len(runs[0]) > 1
        assert runs[1][:len(runs[0])] == runs[0] and len(runs[1]) > len(runs[0])
        with open(os.path.join(out, "loss.csv"), "a", encoding="utf-8") as file:
            file.write("1e9,1\n")  # of a run that was killed between its checkpoints
        at = checkpoint.Progress(**checkpoint.read(out, CPU)["progress"])
        assert len(checkpoint.load_losses(out, at)) == len(runs[1]) - 1


tap.run([targets_are_what_the_formulae_say, ignored_regions_weigh_nothing_but_where_somebody_is,
         labels_move_with_the_picture, exported_files_answer_as_the_network, calibrated_norms_keep_what_a_file_means,
         bundled_network_has_the_shape_we_build, a_grown_network_answers_nearly_as_before,
         a_shifted_depthwise_convolution_is_one, the_newest_pictures_are_kept, followed_pictures_join_larger_ones,
         processes_share_weights_and_gradients, unknown_layers_are_named, learning_a_picture_lowers_the_loss,
         checkpoints_go_on_where_they_were, a_resumed_run_keeps_its_losses])
