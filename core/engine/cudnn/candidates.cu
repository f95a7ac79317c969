// SPDX-License-Identifier: Apache-2.0
//
// Compiled without contraction (meson.build), so that it rounds as the CPU does.
#include "core/engine/cudnn/candidates_device.h"

int pd_cuda_find(const struct pd_finder *f, void *stream)
{
    const int items = f->n * f->n_limbs;
    find_peaks<<<dim3((unsigned)f->n_keypoints, (unsigned)f->n), 256, 0, (cudaStream_t)stream>>>(*f);
    const int r = cudaGetLastError();
    if (r != cudaSuccess)
        return r;
    match_limbs<<<(unsigned)PD_MIN(items, f->n_pair_blocks), 128, 0, (cudaStream_t)stream>>>(*f);
    return cudaGetLastError();
}
