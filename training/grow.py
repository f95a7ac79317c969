# SPDX-License-Identifier: Apache-2.0
"""A trained network made deeper: further residual blocks that change nothing at first, so that what it knows is kept."""
import copy
from typing import List

import torch

from .graph import Graph, Op

SMALL = 0.02  # of the usual weights of a branch's last convolution: nearly nothing, and yet something to learn from


def residual_blocks(ops: List[Op]) -> List[int]:
    """Where the sums x + f(x) are: a sum, its activation behind it, and one of its inputs is what the branch begins
    with."""
    made = {o.output: o for o in ops}
    blocks = []
    for i, op in enumerate(ops[:-1]):
        if op.kind == "add" and ops[i + 1].inputs == [op.output]:
            start, name = op.inputs[0], op.inputs[1]
            while name in made and name != start and len(made[name].inputs) == 1:
                name = made[name].inputs[0]
            if name == start:
                blocks.append(i)
    return blocks


def branch_of(ops: List[Op], at: int) -> List[Op]:
    """The operations between the two inputs of the sum at ops[at], in order."""
    made, branch, name = {o.output: o for o in ops}, [], ops[at].inputs[1]
    while name != ops[at].inputs[0]:
        branch.insert(0, made[name])
        name = made[name].inputs[0]
    return branch


def width_of(ops: List[Op], at: int) -> int:
    return [o for o in branch_of(ops, at) if o.kind == "conv"][-1].attributes["channels"][1]


def new_weights(graph: Graph, branch: List[Op]) -> None:
    convs = [o for o in branch if o.kind == "conv"]
    for op in convs:
        a = op.attributes
        shape = (a["channels"][1], a["channels"][0] // a["groups"], *a["kernel"])
        weight = torch.empty(shape)
        torch.nn.init.kaiming_normal_(weight, mode="fan_out" if a["groups"] == 1 else "fan_in")
        graph.weights[op.output + ".weight"] = weight * (SMALL if op is convs[-1] else 1)
        graph.weights[op.output + ".bias"] = torch.zeros(shape[0])


def repeat_block(graph: Graph, at: int, behind: int, tag: str) -> None:
    """A block shaped as that at ops[at], behind the one at ops[behind]; everything later reads the new one's answer."""
    ops = graph.ops
    start, names = ops[behind + 1].output, {}
    names[ops[at].inputs[0]] = start
    block: List[Op] = []
    for op in [*branch_of(ops, at), ops[at], ops[at + 1]]:
        names[op.output] = f"{op.output}_{tag}"
        block.append(Op(op.kind, names[op.output], [names[i] for i in op.inputs], copy.deepcopy(op.attributes)))
    for op in ops[behind + 2:]:
        op.inputs = [block[-1].output if i == start else i for i in op.inputs]
    ops[behind + 2:behind + 2] = block
    new_weights(graph, block[:-2])


def grow(graph: Graph, more: List[int]) -> Graph:
    """more: how many further blocks for each width of residual blocks that the network has, in the order in which they
    come. They are shaped as the last ones there, in turn. The graph given is left as it is."""
    grown, tag = copy.deepcopy(graph), sum("_grown" in o.output for o in graph.ops)
    widths = list(dict.fromkeys(width_of(grown.ops, at) for at in residual_blocks(grown.ops)))
    if len(more) != len(widths):
        raise ValueError(f"the network has residual blocks of {len(widths)} widths ({widths}): "
                         f"expected {len(widths)} numbers, got {len(more)}")
    for width, count in zip(widths, more):
        shapes = [a for a in residual_blocks(grown.ops) if width_of(grown.ops, a) == width]
        for shape in (shapes * count)[-count:] if count else []:
            last = [a for a in residual_blocks(grown.ops) if width_of(grown.ops, a) == width][-1]
            tag += 1
            repeat_block(grown, shape, last, f"grown{tag}")
    return grown
