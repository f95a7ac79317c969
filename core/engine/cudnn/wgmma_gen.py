#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes one wrapper of wgmma.mma_async m64nNk16 (fp16 in, fp32 accumulated) for each N: inline assembly wants its
operand list spelled out, and the accumulator has N / 2 registers a thread."""
import sys

SIZES = (64, 128, 192, 224, 232, 248, 256)


def wrapper(n):
    regs = n // 2
    operands = ", ".join(f"%{i}" for i in range(regs))
    outputs = ", ".join(f'"+f"(d[{i}])' for i in range(regs))
    return f"""template <> struct wgmma<{n}> {{
    static __device__ __forceinline__ void run(float (&d)[{regs}], uint64_t a, uint64_t b, int accumulate)
    {{
        asm volatile("{{\\n.reg .pred p;\\nsetp.ne.b32 p, %{regs + 2}, 0;\\n"
            "wgmma.mma_async.sync.aligned.m64n{n}k16.f32.f16.f16 {{{operands}}}, "
            "%{regs}, %{regs + 1}, p, 1, 1, 0, 0;\\n}}\\n"
            : {outputs}
            : "l"(a), "l"(b), "r"(accumulate));
    }}
}};
"""


with open(sys.argv[1], "w", encoding="ascii") as out:
    out.write("template <int N> struct wgmma;\n")
    out.writelines(wrapper(n) for n in SIZES)
