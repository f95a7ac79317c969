# SPDX-License-Identifier: Apache-2.0
"""A network as a flat list of operations, and the torch module that runs it. Read from ONNX or built by hand alike."""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
import torch.nn.functional as F
from torch import nn

from .skeleton import N_HEAT, N_PAF

IMAGE = "image"


@dataclass
class Op:
    """kind: conv, scale, shift, add, concat, relu, elu, pool. Names are of tensors."""
    kind: str
    output: str
    inputs: List[str]
    attributes: Dict[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    ops: List[Op] = field(default_factory=list)
    weights: Dict[str, torch.Tensor] = field(default_factory=dict)  # OUTPUT.weight, OUTPUT.bias of a convolution
    meta: Dict[str, str] = field(default_factory=dict)              # posed.* of the file it came from


def stages_of(ops: List[Op]) -> List[Tuple[str, str]]:
    """Names of the fields and maps of every stage, the last one's last: convolutions with so many channels."""
    pafs = [o.output for o in ops if o.kind == "conv" and o.attributes["channels"][1] == N_PAF]
    maps = [o.output for o in ops if o.kind == "conv" and o.attributes["channels"][1] == N_HEAT]
    if not pafs or len(pafs) != len(maps):
        raise ValueError(f"no stages of {N_PAF} + {N_HEAT} channels: only COCO-18 networks can be trained")
    return list(zip(pafs, maps))


class Network(nn.Module):
    """norm: a batch norm behind every convolution but those that answer; export folds it away."""

    def __init__(self, graph: Graph, norm: bool = False) -> None:
        super().__init__()
        self.shifted = False  # depthwise() instead of the library's: for compiled training
        self.ops, self.meta = graph.ops, graph.meta
        self.stages = stages_of(graph.ops)
        self.convs = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        answers = {name for stage in self.stages for name in stage}
        adds = {i for o in graph.ops if o.kind == "add" for i in o.inputs}
        for op in graph.ops:
            if op.kind == "conv":
                self._add_conv(op, graph, norm and op.output not in answers, op.output in answers, op.output in adds)
            elif op.kind in ("scale", "shift"):
                self.register_buffer(key(op.output), op.attributes["value"].clone(), persistent=False)

    def _add_conv(self, op: Op, graph: Graph, norm: bool, answer: bool, added: bool) -> None:
        a = op.attributes
        conv = nn.Conv2d(*a["channels"], a["kernel"], a["stride"], a["padding"], a["dilation"], a["groups"])
        weight = graph.weights.get(op.output + ".weight")
        with torch.no_grad():
            conv.bias.zero_()
            if weight is not None:
                conv.weight.copy_(weight)
                bias = graph.weights.get(op.output + ".bias")
                conv.bias.copy_(bias if bias is not None else torch.zeros_like(conv.bias))
            elif answer:
                nn.init.normal_(conv.weight, std=0.01)
            else:
                nn.init.kaiming_normal_(conv.weight, mode="fan_out" if a["groups"] == 1 else "fan_in")
        self.convs[key(op.output)] = conv
        if norm:
            conv.bias = nn.Parameter(conv.bias, requires_grad=False)  # the norm takes it away again
            self.norms[key(op.output)] = nn.BatchNorm2d(a["channels"][1], momentum=0.03)
            if added and weight is None:  # a residual branch begins small
                nn.init.constant_(self.norms[key(op.output)].weight, 0.3)

    def forward(self, image: torch.Tensor) -> List[Tuple[torch.Tensor, torch.Tensor]]:
        """BGR 0..255, b x 3 x h x w -> (fields, maps) of every stage."""
        t = {IMAGE: image}
        for op in self.ops:
            x, name = t[op.inputs[0]], key(op.output)
            if op.kind == "conv":
                conv = self.convs[name]
                x = depthwise(conv, x) if self.shifted and is_depthwise(op) else conv(x)
                x = self.norms[name](x) if name in self.norms else x
            elif op.kind == "scale":
                x = x * getattr(self, name)
            elif op.kind == "shift":
                x = x + getattr(self, name)
            elif op.kind == "add":
                x = x + t[op.inputs[1]]
            elif op.kind == "concat":
                x = torch.cat([t[i] for i in op.inputs], 1)
            elif op.kind == "relu":
                x = F.relu(x)
            elif op.kind == "elu":
                x = F.elu(x, op.attributes["alpha"])
            else:
                x = F.max_pool2d(x, 2)
            t[op.output] = x
        return [(t[paf], t[maps]) for paf, maps in self.stages]

    @torch.no_grad()
    def calibrate(self, image: torch.Tensor) -> None:
        """Makes every norm the identity on these pictures, so that weights from a folded file keep their meaning while
        the norms go on with the statistics of the batch."""
        def measure(norm: nn.BatchNorm2d, inputs: Tuple[torch.Tensor]) -> None:
            variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3), correction=0)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)

        training = self.training
        hooks = [n.register_forward_pre_hook(measure) for n in self.norms.values()]
        self.eval()(image)
        for hook in hooks:
            hook.remove()
        self.train(training)

    @torch.no_grad()
    def folded(self) -> Dict[str, torch.Tensor]:
        """Weights and biases of the convolutions, the norms folded into them."""
        weights = {}
        for op in self.ops:
            if op.kind != "conv":
                continue
            conv, name = self.convs[key(op.output)], key(op.output)
            weight, bias = conv.weight.double(), conv.bias.double()
            if name in self.norms:
                norm = self.norms[name]
                gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
                weight = weight * gain[:, None, None, None]
                bias = (bias - norm.running_mean.double()) * gain + norm.bias.double()
            weights[op.output + ".weight"] = weight.float().cpu()
            weights[op.output + ".bias"] = bias.float().cpu()
        return weights


def is_depthwise(op: Op) -> bool:
    a = op.attributes
    return a["groups"] == a["channels"][0] == a["channels"][1] and a["kernel"] == (3, 3) and a["stride"] == (1, 1) and \
        a["padding"] == a["dilation"]


def depthwise(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """A depthwise 3x3 convolution as a sum of shifted products: a compiler makes one kernel of it, and of its
    derivatives, that reads memory about once. As a library's convolution it takes a multiple of that."""
    dy, dx = conv.dilation
    h, w = x.shape[2:]
    around = F.pad(x, (dx, dx, dy, dy))
    weight = conv.weight.to(x.dtype)
    taps = [around[:, :, i * dy:i * dy + h, j * dx:j * dx + w] * weight[:, 0, i, j, None, None]
            for i in range(3) for j in range(3)]
    return sum(taps[1:], taps[0]) if conv.bias is None else sum(taps, conv.bias.to(x.dtype)[:, None, None])


def key(name: str) -> str:
    """Torch allows no dots and no names of its own in names of modules."""
    return "t_" + name.replace(".", "_").replace("/", "_")
