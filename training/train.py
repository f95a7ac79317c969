#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a network and exports it.

    python3 -m training.train --scenes rendered --pictures photos.bin --teacher teacher.onnx --out run
    python3 -m training.train --init models/posed-lite.onnx --coco mine.json pictures/ --seconds 120 --out run

Pictures with exact labels (--scenes, --coco) and pictures that a teacher labels as they are seen (--pictures) share
every batch. The run leaves in --out: network.onnx, weights.pt and optimiser.pt to go on from (--resume), loss.csv,
loss.svg.
"""
import argparse
import math
import os
import sys
import time
from typing import List, Optional, Tuple

import torch

from . import checkpoint, views
from .architecture import ARCHITECTURES
from .average import Average
from .batches import Distilled, Labelled, Mixture, Teacher
from .export import LICENCE, export
from .follow import Follower
from .graph import Network
from .grow import grow
from .labels import Dataset, read_coco, read_pictures, read_scenes, scene_chunks
from .loss import network_loss
from .onnx_file import read_onnx
from .pictures import Pictures
from .plot import loss_plot
from .progress import Bar
from .skeleton import STRIDE
from .targets import Targets
from .workers import Workers

WARM_UP = 200      # steps
CLIP = 2.0         # norm of the gradient
LOOK_EVERY = 10    # steps between looks at the clock: each waits for the device
SAVE_EVERY = 120.0  # seconds


def parse_view(text: str) -> Tuple[int, int]:
    width, height = (int(v) for v in text.split("x"))
    if width % STRIDE or height % STRIDE or min(width, height) < 64:
        raise argparse.ArgumentTypeError(f"{text}: sides are multiples of {STRIDE}, 64 at least")
    return height, width


def parse_arguments(argv: Optional[List[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_argument_group("what to learn from")
    data.add_argument("--scenes", nargs="+", default=[], metavar="DIR", help="folders of training.render")
    data.add_argument("--follow", action="store_true", help="also take in what is rendered into --scenes meanwhile")
    data.add_argument("--keep", type=int, default=30000, help="of followed pictures, the newest so many (30000)")
    data.add_argument("--coco", nargs=2, default=[], metavar=("FILE", "DIR"), help="COCO annotations, their pictures")
    data.add_argument("--pictures", nargs="+", default=[], metavar="PATH", help="unlabelled: *.bin, pictures, folders")
    data.add_argument("--teacher", metavar="FILE", help="ONNX network that labels --pictures")
    data.add_argument("--share", type=float, default=.5, help="of labelled pictures in a batch with both (0.5)")
    data.add_argument("--longest", type=int, default=640, help="longer sides of pictures are scaled down to this (640)")
    run = parser.add_argument_group("the run")
    run.add_argument("--out", required=True, metavar="DIR", help="folder for what it makes")
    run.add_argument("--init", metavar="FILE", help="start with the weights of this ONNX network")
    run.add_argument("--grow", nargs="+", type=int, default=[], metavar="N", help="make the --init deeper: further "
                     "residual blocks of each width, which change nothing at first")
    run.add_argument("--architecture", choices=ARCHITECTURES, default="posed-lite", help="without --init (posed-lite)")
    run.add_argument("--resume", metavar="DIR", help="go on from this run's checkpoint")
    run.add_argument("--seconds", type=float, default=600, help="train so long (600)")
    run.add_argument("--schedule", type=float, help="seconds from the first to the last learning rate (--seconds)")
    run.add_argument("--batch", type=int, default=128, help="views a step and device (128)")
    run.add_argument("--view", type=parse_view, default=(288, 384), metavar="WxH", help="size of a view (384x288)")
    run.add_argument("--rate", type=float, help="highest learning rate (0.002; 0.001 with --init)")
    run.add_argument("--compile", action="store_true", help="compile the step: pays in runs of many minutes")
    run.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    run.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    run.add_argument("--name", default="", help="of the network (the --init's, else the architecture's)")
    run.add_argument("--licence", default=LICENCE, help=f"of the weights, for the file ({LICENCE})")
    args = parser.parse_args(argv)
    if bool(args.pictures) != bool(args.teacher):
        parser.error("--pictures and --teacher go together")
    if not (args.pictures or args.scenes or args.coco):
        parser.error("nothing to learn from: give --scenes, --coco or --pictures")
    if args.grow and not args.init:
        parser.error("--grow goes with --init: there is nothing to make deeper")
    args.rate = args.rate or (1e-3 if args.init else 2e-3)
    return args


def load_teacher(args: argparse.Namespace, device: torch.device) -> Teacher:
    network = Network(read_onnx(args.teacher)).to(device).eval().requires_grad_(False)
    kind = torch.half if device.type == "cuda" else torch.float
    network.to(kind, memory_format=torch.channels_last)
    see = torch.compile(network) if args.compile else network

    def teacher(picture: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        fields, maps = see(picture.to(kind, memory_format=torch.channels_last))[-1]
        return fields.float(), maps.float()
    return teacher


def load_data(args: argparse.Namespace, device: torch.device, workers: Workers) -> Tuple[Mixture, Optional[Follower]]:
    chunks, labelled, distilled, follower = scene_chunks(args.scenes), None, None, None
    scenes = read_scenes(workers.mine(chunks))
    if args.coco:
        more = read_coco(*args.coco)
        scenes = Dataset(scenes.pictures + workers.mine(more.pictures), scenes.people + workers.mine(more.people))
    if scenes.pictures:
        room = args.keep // workers.count if args.follow else 0
        labelled = Labelled(Pictures(scenes, args.longest, device, room), views.CAMERA)
        follower = Follower(args.scenes, chunks, labelled.pictures, args.longest, workers) if args.follow else None
    elif args.scenes or args.coco:
        raise SystemExit(f"train: no labelled pictures for process {workers.rank} of {workers.count}: "
                         f"{len(chunks)} chunks in --scenes so far")
    if args.pictures:
        pictures = Pictures(Dataset(workers.mine(read_pictures(args.pictures).pictures)), args.longest, device)
        distilled = Distilled(pictures, load_teacher(args, device), views.PHOTOGRAPH)
    print(f"train: {len(labelled.pictures) if labelled else 0} labelled pictures, "
          f"{len(distilled.pictures) if distilled else 0} for the teacher, on {device}", file=sys.stderr)
    return Mixture(labelled, distilled, args.share), follower


class Trainer:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.workers = args, Workers()
        self.device = self.workers.device(args.device)
        torch.manual_seed(args.seed + self.workers.rank)
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        self.data, self.follower = load_data(args, self.device, self.workers)
        self.network = self._build().to(self.device, memory_format=torch.channels_last)
        if args.init and not args.resume:
            self.network.calibrate(self.data.batch(args.batch, args.view)[0])
        self.workers.alike(self.network)
        self.network.train()
        self.average = Average(self.network)
        self.optimiser = self._make_optimiser()
        self.at = checkpoint.Progress()
        self.rows: List[List[float]] = []
        if args.resume:
            self.at = checkpoint.load(args.resume, self.network, self.average, self.optimiser, self.device)
            self.at.schedule = 0.0 if self.at.schedule >= 1 else self.at.schedule
            self.rows = checkpoint.load_losses(args.resume, self.at)
        self.network.shifted = args.compile
        self.loss = torch.compile(self._loss) if args.compile else self._loss

    def _build(self) -> Network:
        if self.args.resume:
            graph = checkpoint.read_graph(self.args.resume)
        else:
            graph = read_onnx(self.args.init) if self.args.init else ARCHITECTURES[self.args.architecture]()
            graph = grow(graph, self.args.grow) if self.args.grow else graph
        return Network(graph, norm=True)

    def _make_optimiser(self) -> torch.optim.Optimizer:
        weights = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": weights, "weight_decay": .02}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.args.rate, betas=(.9, .99), fused=self.device.type == "cuda")

    def _loss(self, pictures: torch.Tensor, targets: Targets) -> Tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            return network_loss(self.network(pictures), targets)

    def _step(self) -> torch.Tensor:
        pictures, targets = self.data.batch(self.args.batch, self.args.view)
        total, last = self.loss(pictures.contiguous(memory_format=torch.channels_last), targets)
        total.backward()
        self.workers.average_gradients(self.network.parameters())
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.at.step += 1
        self.average.update(self.at.step)
        return last

    def _set_rate(self, steps: int) -> float:
        """Up in the first steps of a run, then down along half a cosine."""
        rate = self.args.rate * min(1, (steps + 1) / WARM_UP) * (.5 + .5 * math.cos(math.pi * min(1, self.at.schedule)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate + 1e-6
        return rate

    def run(self) -> None:
        args, started, before = self.args, time.monotonic(), self.at
        first, seconds0, schedule0 = before.step, before.seconds, before.schedule
        schedule = args.schedule or args.seconds / max(1e-6, 1 - schedule0)
        bar, saved, past = Bar(args.seconds, "train, seconds", quiet=self.workers.rank > 0), 0.0, 0.0
        while past < args.seconds:
            rate = self._set_rate(self.at.step - first)
            losses = [self._step() for _ in range(LOOK_EVERY)]
            loss = float(torch.stack(losses).mean())  # waits for the device: the clock is right
            loss, now = self.workers.mean(torch.tensor([loss, time.monotonic() - started], device=self.device))
            if not math.isfinite(loss):
                raise SystemExit(f"train: the loss is {loss} at step {self.at.step}: lower --rate "
                                 f"(now {rate:.2g}) and go on from the last checkpoint")
            bar.step(now - past, f"step {self.at.step}, loss {loss:.4f}, "
                                 f"{(self.at.step - first) * args.batch * self.workers.count / now:.0f} views/s")
            past = now
            self.at.seconds, self.at.schedule = seconds0 + past, schedule0 + past / schedule
            self.rows.append([self.at.seconds, loss])
            if self.follower:
                self.follower.take()
            if past - saved > SAVE_EVERY:
                self.save()
                saved = past
        bar.close()
        if self.follower:
            self.follower.close()
            print(f"train: {len(self.follower.pictures)} labelled pictures in the end", file=sys.stderr)
        self.save()
        self.workers.close()

    def save(self) -> None:
        args = self.args
        if self.workers.rank:
            return
        os.makedirs(args.out, exist_ok=True)
        checkpoint.save(args.out, self.network, self.average, self.optimiser, self.at)
        name = args.name or self.network.meta.get("posed.name", args.architecture)
        export(self.average.network, os.path.join(args.out, "network.onnx"), name, args.licence)
        checkpoint.save_losses(args.out, self.rows)
        loss_plot(["loss of the last stage"], self.rows, os.path.join(args.out, "loss.svg"))


def main() -> None:
    Trainer(parse_arguments()).run()


if __name__ == "__main__":
    main()
