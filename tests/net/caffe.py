# SPDX-License-Identifier: Apache-2.0
"""Caffe networks for tests: one description becomes a .caffemodel, in either generation of layer messages, and the
.prototxt that other readers want beside it. OpenPose's topologies are those of its published prototxt files."""
import numpy

# type: (field of the older generation's type, parameter's name, its field in the older and in the newer messages)
TYPES = {
    "BatchNorm": (None, "batch_norm_param", None, 139),
    "Concat": (3, "concat_param", 9, 104),
    "Convolution": (4, "convolution_param", 10, 106),
    "CPMData": (None, None, None, None),
    "Data": (5, None, None, None),
    "Deconvolution": (39, "convolution_param", 10, 106),
    "Dropout": (6, None, None, None),
    "ELU": (None, "elu_param", None, 140),
    "Eltwise": (25, "eltwise_param", 24, 110),
    "EuclideanLoss": (7, None, None, None),
    "InnerProduct": (14, "inner_product_param", 17, 117),
    "Input": (None, None, None, None),
    "LRN": (15, None, None, None),
    "PReLU": (None, "prelu_param", None, 131),
    "Pooling": (17, "pooling_param", 19, 121),
    "Power": (26, "power_param", 21, 122),
    "ReLU": (18, "relu_param", 30, 123),
    "Scale": (None, "scale_param", None, 142),
    "Sigmoid": (19, None, None, None),
    "Silence": (36, None, None, None),
    "Slice": (33, "slice_param", 31, 126),
    "Softmax": (20, None, None, None),
    "Split": (22, None, None, None),
    "TanH": (23, None, None, None),
}

# parameter fields: number, and "f" for a float
FIELDS = {
    "batch_norm_param": {"eps": (3, "f")},
    "concat_param": {"axis": (2, "")},
    "convolution_param": {"num_output": (1, ""), "bias_term": (2, ""), "pad": (3, ""), "kernel_size": (4, ""),
                          "group": (5, ""), "stride": (6, ""), "pad_h": (9, ""), "pad_w": (10, ""),
                          "kernel_h": (11, ""), "kernel_w": (12, ""), "stride_h": (13, ""), "stride_w": (14, ""),
                          "dilation": (18, "")},
    "elu_param": {"alpha": (1, "f")},
    "eltwise_param": {"operation": (1, "")},
    "inner_product_param": {"num_output": (1, ""), "bias_term": (2, "")},
    "pooling_param": {"pool": (1, ""), "kernel_size": (2, ""), "stride": (3, ""), "pad": (4, ""),
                      "global_pooling": (12, "")},
    "power_param": {"power": (1, "f"), "scale": (2, "f"), "shift": (3, "f")},
    "prelu_param": {"channel_shared": (2, "")},
    "relu_param": {"negative_slope": (1, "f")},
    "scale_param": {"bias_term": (4, "")},
    "slice_param": {"slice_point": (2, ""), "axis": (3, "")},
}
ENUMS = {"pool": ["MAX", "AVE"], "operation": ["PROD", "SUM", "MAX"]}


# ---- bytes ----

def varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def number(field, n):
    return varint(field << 3) + varint(int(n))


def real(field, x):
    return varint(field << 3 | 5) + numpy.float32(x).tobytes()


def data(field, payload):
    payload = payload.encode() if isinstance(payload, str) else payload
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def blob(values, legacy):
    if legacy:
        shape = (1,) * (4 - values.ndim) + values.shape
        head = b"".join(number(i + 1, n) for i, n in enumerate(shape))
    else:
        head = data(7, data(1, b"".join(varint(n) for n in values.shape)))
    return head + data(5, values.astype("<f4").tobytes())


class Net:
    """Layers in order. Channels are kept beside the names, so that weights fit by themselves."""

    def __init__(self, name, seed, width=1.0):
        self.name, self.width, self.layers = name, width, []
        self.random = numpy.random.RandomState(seed)
        self.channels = {"image": 3}
        self.inputs = ["image"]

    def wide(self, n):
        return max(2, int(n * self.width))

    def add(self, kind, name, bottom, top=None, blobs=(), **param):
        bottom = [bottom] if isinstance(bottom, str) else list(bottom)
        top = [top or name] if not isinstance(top, list) else top
        self.layers.append((name, kind, bottom, top, list(blobs), param))
        if bottom and top:
            self.channels[top[0]] = self.channels.get(bottom[0])
        return top[0] if top else None

    def conv(self, name, bottom, co, k, kind="Convolution", bias=True, **param):
        ci, group = self.channels[bottom], param.get("group", 1)
        kh, kw = param.get("kernel_h", k), param.get("kernel_w", k)
        shape = (co, ci // group, kh, kw) if kind == "Convolution" else (ci, co // group, kh, kw)
        scale = numpy.sqrt(6 / (ci // group * kh * kw))
        blobs = [self.random.uniform(-scale, scale, shape)]
        if bias:
            blobs.append(self.random.uniform(-.05, .05, co))
        else:
            param["bias_term"] = 0
        if "kernel_h" not in param:
            param["kernel_size"] = k
        self.add(kind, name, bottom, blobs=blobs, num_output=co, **param)
        self.channels[name] = co
        return name

    def act(self, name, blob_name, kind):
        slopes = [self.random.uniform(.15, .35, self.channels[blob_name])] if kind == "PReLU" else []
        return self.add(kind, name, blob_name, blob_name, slopes)

    def pool(self, name, bottom, k=2, stride=2, kind=0, **param):
        return self.add("Pooling", name, bottom, pool=kind, kernel_size=k, stride=stride, **param)

    def concat(self, name, bottoms, top=None):
        top = self.add("Concat", name, bottoms, top, axis=1)
        self.channels[top] = sum(self.channels[b] for b in bottoms)
        return top

    def dense(self, name, bottom, ci, co):
        blobs = [self.random.uniform(-1, 1, (co, ci)) * numpy.sqrt(6 / ci), self.random.uniform(-.05, .05, co)]
        self.add("InnerProduct", name, bottom, blobs=blobs, num_output=co)
        self.channels[name] = co
        return name

    # ---- files ----

    def caffemodel(self, old=False):
        out = [data(1, self.name)]
        out += [data(3, name) for name in self.inputs]
        for name, kind, bottom, top, blobs, param in self.layers:
            enum, param_name, old_field, new_field = TYPES[kind]
            body = b"".join(number(FIELDS[param_name][key][0], v) if FIELDS[param_name][key][1] != "f"
                            else real(FIELDS[param_name][key][0], v)
                            for key, value in param.items() for v in (value if isinstance(value, list) else [value]))
            names = [data(2 if old else 3, b) for b in bottom] + [data(3 if old else 4, t) for t in top]
            head = [data(4, name), number(5, enum)] if old else [data(1, name), data(2, kind)]
            weights = [data(6 if old else 7, blob(b, old)) for b in blobs]
            tail = [data(old_field if old else new_field, body)] if param else []
            out.append(data(2 if old else 100, b"".join(head + names + weights + tail)))
        return b"".join(out)

    def prototxt(self, height, width):
        lines = [f'name: "{self.name}"']
        lines += [f'input: "{n}" input_dim: 1 input_dim: 3 input_dim: {height} input_dim: {width}' for n in self.inputs]
        for name, kind, bottom, top, _, param in self.layers:
            names = "".join(f' bottom: "{b}"' for b in bottom) + "".join(f' top: "{t}"' for t in top)
            fields = " ".join(f"{key}: {ENUMS[key][v] if key in ENUMS else self.word(key, v)}"
                              for key, value in param.items() for v in (value if isinstance(value, list) else [value]))
            lines.append(f'layer {{ name: "{name}" type: "{kind}"{names}' +
                         (f" {TYPES[kind][1]} {{ {fields} }}" if param else "") + " }")
        return "\n".join(lines) + "\n"

    @staticmethod
    def word(key, value):
        return str(bool(value)).lower() if key in ("bias_term", "channel_shared", "global_pooling") else value


# ---- published topologies ----

def vgg(net, n, last="ReLU"):
    x, done = "image", 0
    for block, (convs, channels) in enumerate([(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)], 1):
        for i in range(1, convs + 1):
            if done == n:
                return x
            done += 1
            x = net.conv(f"conv{block}_{i}", x, net.wide(channels), 3, pad=1)
            kind = last if done == n else "ReLU"
            net.act(f"{kind.lower()}{block}_{i}", x, kind)
        if done < n:
            x = net.pool(f"pool{block}_stage1", x)
    return x


def features(net, act):
    x = vgg(net, 10, act)
    for name, channels in (("conv4_3_CPM", 256), ("conv4_4_CPM", 128)):
        x = net.conv(name, x, net.wide(channels), 3, pad=1)
        net.act(f"{act.lower()}_{name}", x, act)
    return x


def two_branches(net, heat, paf, stages=6):
    """COCO and MPI: two branches refine fields (L1) and maps (L2) side by side."""
    shared = features(net, "ReLU")
    ends = {}
    for branch, maps in ((1, paf), (2, heat)):
        x = shared
        for i, (channels, k) in enumerate([(128, 3), (128, 3), (128, 3), (512, 1)], 1):
            x = net.conv(f"conv5_{i}_CPM_L{branch}", x, net.wide(channels), k, pad=k // 2)
            net.act(f"relu5_{i}_CPM_L{branch}", x, "ReLU")
        ends[branch] = net.conv(f"conv5_5_CPM_L{branch}", x, maps, 1)
    for stage in range(2, stages + 1):
        start = net.concat(f"concat_stage{stage}", [ends[1], ends[2], shared])
        for branch, maps in ((1, paf), (2, heat)):
            x = start
            for i in range(1, 7):
                k = 7 if i < 6 else 1
                x = net.conv(f"Mconv{i}_stage{stage}_L{branch}", x, net.wide(128), k, pad=k // 2)
                net.act(f"Mrelu{i}_stage{stage}_L{branch}", x, "ReLU")
            ends[branch] = net.conv(f"Mconv7_stage{stage}_L{branch}", x, maps, 1)
    return ends


def two_branch_net(name, heat, paf, width, seed, stages=6):
    net = Net(name, seed, width)
    ends = two_branches(net, heat, paf, stages)
    net.concat(f"concat_stage{stages + 1}", [ends[2], ends[1]], "net_output")
    return net


def coco(width=1.0, seed=1):
    return two_branch_net("pose_iter_440000", 19, 38, width, seed)


def mpi(width=1.0, seed=2, stages=4):
    return two_branch_net("pose_iter_160000", 16, 28, width, seed, stages)


def body25(width=1.0, seed=3):
    """Fields first (L2), in four stages, then maps (L1) in two; each block's three convolutions all go on."""
    net = Net("OpenPose - BODY_25", seed, width)
    shared = features(net, "PReLU")

    def stage(number_, branch, x, maps):
        n, inner = (net.wide(96), net.wide(256)) if number_ == 0 else (net.wide(128), net.wide(512))
        for i in range(1, 6):
            parts = []
            for part in range(3):
                x = net.conv(f"Mconv{i}_stage{number_}_L{branch}_{part}", x, n, 3, pad=1)
                net.act(f"Mprelu{i}_stage{number_}_L{branch}_{part}", x, "PReLU")
                parts.append(x)
            x = net.concat(f"Mconv{i}_stage{number_}_L{branch}_concat", parts)
        x = net.conv(f"Mconv6_stage{number_}_L{branch}", x, inner, 1)
        net.act(f"Mprelu6_stage{number_}_L{branch}", x, "PReLU")
        return net.conv(f"Mconv7_stage{number_}_L{branch}", x, maps, 1)

    fields = stage(0, 2, shared, 52)
    for i in range(1, 4):
        fields = stage(i, 2, net.concat(f"concat_stage{i}_L2", [shared, fields]), 52)
    maps = stage(0, 1, net.concat("concat_stage0_L1", [shared, fields]), 26)
    maps = stage(1, 1, net.concat("concat_stage1_L1", [shared, maps, fields]), 26)
    net.concat("net_output", [maps, fields])
    return net


def vgg19(width=1.0, side=224, dense=4096, seed=4):
    net = Net("VGG_ILSVRC_19_layers", seed, width)
    x = net.pool("pool5", vgg(net, 16))
    ci = net.channels[x] * (side // 32) ** 2
    for i in (6, 7):
        x = net.dense(f"fc{i}", x, ci, dense)
        net.act(f"relu{i}", x, "ReLU")
        net.add("Dropout", f"drop{i}", x, x)
        ci = dense
    net.dense("fc8", x, ci, 1000)
    net.add("Softmax", "prob", "fc8")
    return net


def medley(seed=5, width=1.0, heat=19, paf=38):
    """One of everything else, as a pose network."""
    net = Net("medley", seed, width)
    n = net.wide(8)
    x = net.conv("stem", "image", n, 3, stride=2, pad=1, bias=False)
    blobs = [net.random.uniform(-1, 1, n), net.random.uniform(1, 2, n), numpy.array([.5])]
    x = net.add("BatchNorm", "norm", x, x, blobs, eps=1e-3)
    x = net.add("Scale", "scale", x, x, [net.random.uniform(.5, 2, n), net.random.uniform(-1, 1, n)], bias_term=1)
    x = net.add("ReLU", "leaky", x, "leaky", negative_slope=.1)
    x = net.pool("ceil", x, k=3, stride=2)
    y = net.conv("depthwise", x, n, 3, pad=1, group=n)
    x = net.add("Eltwise", "sum", [x, y], operation=1)
    y = net.conv("oblong", x, n, 3, kernel_h=1, kernel_w=5, pad_h=0, pad_w=2, stride_h=1, stride_w=1)
    z = net.pool("mean", x, k=3, stride=1, kind=1, pad=1)
    x = net.add("Eltwise", "product", [y, z], operation=0)
    x = net.act("elu", x, "ELU")
    x = net.conv("dilated", x, n, 3, pad=2, dilation=2)
    x = net.act("sigmoid", x, "Sigmoid")
    x = net.conv("up", x, n, 2, kind="Deconvolution", stride=2)
    x = net.pool("down", x)
    x = net.act("tanh", x, "TanH")
    x = net.add("Power", "power", x, scale=2.5, shift=-.5)
    low = n // 2 - 1 or 1
    net.add("Slice", "slice", x, ["low", "high"], slice_point=[low], axis=1)
    net.channels.update(low=low, high=n - low)
    x = net.concat("back", ["high", "low"])
    net.concat("net_output", [net.conv("maps", x, heat, 1), net.conv("fields", x, paf, 1)])
    return net
