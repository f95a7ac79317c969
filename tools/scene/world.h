#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The store: a room with a door to the street, shelves full of goods, counters, lamps. It stands still, so a camera
 * that stands still sees it once. x runs along the front wall, z from the front wall (with the door) to the back.
 */
#include <stdbool.h>

#include "noise.h"

enum material {
    MAT_FLOOR,
    MAT_CEILING,
    MAT_LAMP,
    MAT_WALL,
    MAT_STREET,
    MAT_SKY,
    MAT_GOODS,
    MAT_BOARD,
    MAT_PRICE_STRIP,
    MAT_PANEL,
    MAT_STEEL,
    MAT_WOOD,
    MAT_SIGN,
    MAT_FRAME,
    MAT_CARTON
};

enum block_kind { BLOCK_SHELF_X, BLOCK_SHELF_Z, BLOCK_COUNTER, BLOCK_CARTON, BLOCK_SIGN, BLOCK_FRAME, BLOCK_STEEL };

struct block { /* shelves open towards +-x or +-z */
    vec3 lo, hi;
    enum block_kind kind;
};

struct strip { /* a row of lamps under the ceiling, along z */
    float x, z0, z1;
};

#define WORLD_BLOCKS_MAX 40
#define WORLD_STRIPS_MAX 4

struct world {
    float x0, x1, z0, z1, ceiling;
    float door0, door1, door_height; /* in the wall at z0; none when door0 == door1 */
    float window0, window1;          /* shop windows there; none when equal */
    struct block blocks[WORLD_BLOCKS_MAX];
    int n_blocks;
    struct strip strips[WORLD_STRIPS_MAX];
    int n_strips;
    vec3 floor_colour, wall_colour, band[2], key_colour;
    float brightness;
    int seed; /* of the goods on the shelves */
};

struct world_hit {
    float t;
    vec3 p, normal;
    enum material material;
    int block;   /* -1: the room itself */
    vec3 albedo; /* of goods, found while the ray looked for them */
    float shade; /* how much of the light gets between the shelves, 0..1 */
};

/* The store that the cameras of the demo watch; motion.c knows its aisles. */
void world_demo(struct world *world);
/* Another store. */
void world_random(struct world *world, uint32_t seed);

/* The first thing that a ray meets. @hit is always filled: rays end at a wall, or outside at the sky. */
void world_trace(const struct world *world, vec3 origin, vec3 direction, struct world_hit *ret_hit);
/* Colour of a surface; @ret_glow is true for what shines by itself. */
vec3 world_albedo(const struct world *world, const struct world_hit *hit, bool *ret_glow);
/* Darkness in the corners between floor, walls and furniture. */
float world_occlusion(const struct world *world, const struct world_hit *hit);

/* shelf.c: follow a ray that has entered the open face of shelf @block at @hit until it meets goods, a board or the
 * back. */
void shelf_trace(const struct world *world, int block, vec3 direction, struct world_hit *hit);
