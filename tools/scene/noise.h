#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Repeatable chance: everything random is a hash of integers, so a picture depends on its seed alone and not on the
 * order in which threads reach its pixels.
 */
#include <stdint.h>

#include "vec.h"

static inline uint32_t hash32(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    return x ^ x >> 16;
}

/* 0 <= result < 1, the same for the same three numbers. */
static inline float hash_unit(int a, int b, int c)
{
    uint32_t h = hash32((uint32_t)a * 73856093U ^ hash32((uint32_t)b * 19349663U ^ hash32((uint32_t)c * 83492791U)));
    return (float)(h >> 8) * (1 / 16777216.0f);
}

struct rng {
    uint32_t state;
};

static inline float rng_unit(struct rng *rng)
{
    rng->state = hash32(rng->state + 0x9e3779b9U);
    return (float)(rng->state >> 8) * (1 / 16777216.0f);
}

static inline float rng_range(struct rng *rng, float lo, float hi)
{
    return lo + (hi - lo) * rng_unit(rng);
}

/* 0 <= result < n */
static inline int rng_pick(struct rng *rng, int n)
{
    return (int)(rng_unit(rng) * (float)n);
}

/* Value noise, 0..1, one feature a unit. */
static inline float noise3(vec3 p)
{
    int ix = f_floor(p.x), iy = f_floor(p.y), iz = f_floor(p.z);
    float x = p.x - (float)ix, y = p.y - (float)iy, z = p.z - (float)iz, sum = 0;
    x = x * x * (3 - 2 * x);
    y = y * y * (3 - 2 * y);
    z = z * z * (3 - 2 * z);
    for (int i = 0; i < 8; i++) {
        int dx = i & 1, dy = i >> 1 & 1, dz = i >> 2;
        sum += hash_unit(ix + dx, iy + dy, iz + dz) * (dx ? x : 1 - x) * (dy ? y : 1 - y) * (dz ? z : 1 - z);
    }
    return sum;
}
