# SPDX-License-Identifier: Apache-2.0
"""The shapes of our networks, without weights."""
from typing import Callable, Dict

import torch

from .graph import IMAGE, Graph, Op
from .skeleton import N_HEAT, N_PAF


class Builder:
    """Appends operations; every method returns the name of what it made."""

    def __init__(self) -> None:
        self.graph, self.count = Graph(), 0

    def put(self, kind: str, *inputs: str, name: str = "", **attributes) -> str:
        self.count += 1
        name = name or f"t{self.count}"
        self.graph.ops.append(Op(kind, name, list(inputs), attributes))
        return name

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, dilation: int = 1,
             groups: int = 1, relu: bool = True, name: str = "") -> str:
        y = self.put("conv", x, name=name, channels=(inputs, outputs), kernel=(kernel, kernel), stride=(stride, stride),
                     padding=(dilation * (kernel // 2),) * 2, dilation=(dilation, dilation), groups=groups)
        return self.put("relu", y) if relu else y

    def separable(self, x: str, inputs: int, outputs: int, stride: int = 1, dilation: int = 1,
                  relu: bool = True) -> str:
        return self.conv(self.conv(x, inputs, inputs, 3, stride, dilation, inputs), inputs, outputs, relu=relu)

    def plus(self, a: str, b: str) -> str:
        return self.put("relu", self.put("add", a, b))

    def normalised(self, scale: float, shift: float) -> str:
        x = self.put("scale", IMAGE, value=torch.full((1, 3, 1, 1), scale))
        return self.put("shift", x, value=torch.full((1, 3, 1, 1), shift))


def posed_lite(width: int = 256, features: int = 112, residuals: int = 8, refinements: int = 3) -> Graph:
    """Separable convolutions to stride 8, dilated residual blocks, one stage of answers and one that refines them."""
    b, f = Builder(), features
    x = b.conv(b.normalised(1 / 128, -1.0), 3, 32, 3, stride=2)
    x = b.separable(b.separable(b.separable(x, 32, 64, 2), 64, 96), 96, width, 2)
    for i in range(residuals):
        first, second = [(1, 1), (1, 2), (1, 2), (1, 4), (1, 2), (1, 2), (1, 4), (1, 2)][i % 8]
        y = b.separable(x, width, width, dilation=first)
        x = b.plus(x, b.separable(y, width, width, dilation=second, relu=False))
    shared = b.conv(b.conv(x, width, f), f, f, 3)
    h = b.conv(b.conv(shared, f, f, 3), f, 2 * f)
    paf, maps = b.conv(h, 2 * f, N_PAF, relu=False, name="paf1"), b.conv(h, 2 * f, N_HEAT, relu=False, name="heat1")
    y = b.conv(b.put("concat", shared, paf, maps), f + N_PAF + N_HEAT, f)
    for _ in range(refinements):
        y = b.plus(y, b.conv(b.conv(y, f, f, 3), f, f, 3, dilation=2, relu=False))
    z = b.conv(y, f, f)
    b.conv(z, f, N_PAF, relu=False, name="paf")
    b.conv(z, f, N_HEAT, relu=False, name="heatmap")
    return b.graph


def openpose_vgg19() -> Graph:
    """The published COCO network: ten layers of VGG-19, then six stages of two branches."""
    b = Builder()
    x, inputs = b.normalised(1 / 256, -0.5), 3
    for block, (convs, channels) in enumerate([(2, 64), (2, 128), (4, 256), (2, 512)]):
        x = b.put("pool", x) if block else x
        for _ in range(convs):
            x, inputs = b.conv(x, inputs, channels, 3), channels
    shared = b.conv(b.conv(x, 512, 256, 3), 256, 128, 3)
    answers = []
    for stage in range(1, 7):
        come, channels = (shared, 128) if stage == 1 else (b.put("concat", *answers, shared), N_PAF + N_HEAT + 128)
        answers = [openpose_branch(b, come, channels, stage, outputs) for outputs in (N_PAF, N_HEAT)]
    return b.graph


def openpose_branch(b: Builder, x: str, inputs: int, stage: int, outputs: int) -> str:
    for _ in range(3 if stage == 1 else 5):
        x, inputs = b.conv(x, inputs, 128, 3 if stage == 1 else 7), 128
    last = 512 if stage == 1 else 128
    names = {N_PAF: "paf", N_HEAT: "heatmap"}
    return b.conv(b.conv(x, 128, last), last, outputs, relu=False, name=names[outputs] if stage == 6 else "")


ARCHITECTURES: Dict[str, Callable[[], Graph]] = {"posed-lite": posed_lite, "openpose-vgg19": openpose_vgg19}
