# SPDX-License-Identifier: Apache-2.0
"""ONNX files of the OpenPose family to graphs and back."""
from typing import Any, Dict, List

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from .graph import IMAGE, Graph, Network, Op
from .skeleton import N_HEAT, N_PAF

OPSET, IR_VERSION = 11, 6
META = "posed."


def convolution(node: onnx.NodeProto, at: Dict[str, Any], constants: Dict[str, torch.Tensor], graph: Graph) -> Op:
    weight, output = constants[node.input[1]], node.output[0]
    pads, groups = at.get("pads", [0, 0, 0, 0]), at.get("group", 1)
    if list(pads[:2]) != list(pads[2:]):
        raise ValueError(f"{node.name}: padding {pads} is not the same on both sides")
    graph.weights[output + ".weight"] = weight
    if len(node.input) > 2:
        graph.weights[output + ".bias"] = constants[node.input[2]]
    return Op("conv", output, [node.input[0]], {
        "channels": (weight.shape[1] * groups, weight.shape[0]), "kernel": tuple(weight.shape[2:]), "groups": groups,
        "stride": tuple(at.get("strides", (1, 1))), "padding": tuple(pads[:2]),
        "dilation": tuple(at.get("dilations", (1, 1)))})


def operation(node: onnx.NodeProto, constants: Dict[str, torch.Tensor], graph: Graph) -> Op:
    at = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    inputs: List[str] = list(node.input)
    if node.op_type == "Conv":
        return convolution(node, at, constants, graph)
    if node.op_type in ("Mul", "Add") and inputs[1] in constants:
        kind = "scale" if node.op_type == "Mul" else "shift"
        return Op(kind, node.output[0], inputs[:1], {"value": constants[inputs[1]]})
    if node.op_type in ("Add", "Concat", "Relu"):
        return Op(node.op_type.lower(), node.output[0], inputs)
    if node.op_type == "Elu":
        return Op("elu", node.output[0], inputs, {"alpha": at.get("alpha", 1.0)})
    if node.op_type == "MaxPool" and list(at["kernel_shape"]) == [2, 2] and list(at.get("strides", [])) == [2, 2]:
        return Op("pool", node.output[0], inputs)
    raise ValueError(f"{node.name}: {node.op_type} is not trained here; known are Conv, Relu, Elu, Add, "
                     "Mul by a constant, Concat and 2x2 MaxPool")


def read_onnx(path: str) -> Graph:
    model = onnx.load(path)
    graph = Graph(meta={p.key: p.value for p in model.metadata_props if p.key.startswith(META)})
    constants = {i.name: torch.from_numpy(numpy_helper.to_array(i).astype(np.float32)) for i in model.graph.initializer}
    given = [i.name for i in model.graph.input if i.name not in constants]
    if len(given) != 1:
        raise ValueError(f"{path}: {len(given)} inputs; expected one picture")
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = IMAGE if name == given[0] else name
        graph.ops.append(operation(node, constants, graph))
    return graph


def nodes_of(op: Op, weights: Dict[str, torch.Tensor], initializers: List[TensorProto]) -> onnx.NodeProto:
    def constant(name: str, value: torch.Tensor) -> str:
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(value.cpu().numpy(), np.float32), name))
        return name

    a, name = op.attributes, op.output
    if op.kind == "conv":
        parts = [constant(f"{name}.{p}", weights[f"{name}.{p}"]) for p in ("weight", "bias")]
        return helper.make_node("Conv", op.inputs + parts, [name], "conv_" + name, kernel_shape=a["kernel"],
                                strides=a["stride"], pads=list(a["padding"]) * 2, dilations=a["dilation"],
                                group=a["groups"])
    if op.kind in ("scale", "shift"):
        value = constant(name + ".value", a["value"])
        kind = "Mul" if op.kind == "scale" else "Add"
        return helper.make_node(kind, op.inputs + [value], [name], f"{op.kind}_{name}")
    more: Dict[str, Any] = {"concat": {"axis": 1}, "elu": {"alpha": a.get("alpha")},
                            "pool": {"kernel_shape": [2, 2], "strides": [2, 2]}}.get(op.kind, {})
    kind = "MaxPool" if op.kind == "pool" else op.kind.capitalize()
    return helper.make_node(kind, op.inputs, [name], f"{op.kind}_{name}", **more)


def write_onnx(network: Network, path: str, meta: Dict[str, str]) -> None:
    """Folds the norms away and writes what posed loads; meta: keys without the prefix."""
    weights, initializers = network.folded(), []
    nodes = [nodes_of(op, weights, initializers) for op in network.ops]
    paf, maps = network.stages[-1]
    image = helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, ["n", 3, "h", "w"])
    answers = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", c, "h8", "w8"])
               for n, c in ((paf, N_PAF), (maps, N_HEAT))]
    model = helper.make_model(helper.make_graph(nodes, meta.get("name", "network"), [image], answers, initializers),
                              opset_imports=[helper.make_opsetid("", OPSET)], producer_name="posed training")
    model.ir_version = IR_VERSION
    kept = {**network.meta, **{META + k: v for k, v in meta.items()}}
    helper.set_model_props(model, kept)
    onnx.checker.check_model(model)
    onnx.save(model, path)
