/* SPDX-License-Identifier: Apache-2.0 */
#include "look.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const unsigned skins[] = {0xe8b998, 0xd9a47e, 0xc48a62, 0x9c6a48, 0x6e4830, 0xf0c8ac, 0xb57f58, 0x85583a};
static const unsigned shirts[] = {0x2b4a7a, 0xb02a30, 0xe8e6e0, 0x2d6a44, 0x30343a, 0xd8b23a, 0x7aa0c8, 0x8a3a6a,
                                  0xc86a3a, 0x50707a, 0x9aa0a0, 0x3a2a50, 0xc9b79a, 0x1d5d63, 0xe0a8b4, 0x6f7d3c};
static const unsigned trouser_colours[] = {0x2a3448, 0x1e1e22, 0x5a5044, 0x39506e,
                                           0x7a7264, 0x44484c, 0x8d8064, 0x27344f};
static const unsigned hairs[] = {0x1c1410, 0x3a2616, 0x6a4626, 0xa88450, 0x55504c, 0x7a3c20, 0x9a958e};
static const unsigned shoes[] = {0x2a2420, 0xc8c4be, 0x4a3626, 0x303a50, 0x8c2c2c};

static enum hair choose_hair(struct rng *rng, bool female)
{
    static const enum hair women[] = {HAIR_LONG, HAIR_LONG, HAIR_BUN, HAIR_BOB, HAIR_PONYTAIL, HAIR_BOB, HAIR_CURLY};
    static const enum hair men[] = {HAIR_SHORT, HAIR_SHORT, HAIR_SHORT, HAIR_CAP, HAIR_CURLY, HAIR_BALD, HAIR_SHORT};
    return female ? women[rng_pick(rng, COUNT(women))] : men[rng_pick(rng, COUNT(men))];
}

static void choose_clothes(struct look *look, struct rng *rng, bool female)
{
    look->pattern = (enum pattern)rng_pick(rng, N_PATTERNS);
    if (look->pattern == PATTERN_APRON && rng_unit(rng) < 0.6f)
        look->pattern = PATTERN_PLAIN;
    look->sleeve = (enum sleeve)rng_pick(rng, N_SLEEVES);
    look->hem = (enum hem)rng_pick(rng, HEM_COAT);
    look->collar = (enum collar)rng_pick(rng, N_COLLARS);
    if (rng_unit(rng) < 0.14f) {
        look->hem = HEM_COAT;
        look->sleeve = SLEEVE_LONG;
        look->collar = COLLAR_THICK;
    }
    look->legwear = LEGS_TROUSERS;
    if (rng_unit(rng) < 0.12f)
        look->legwear = LEGS_SHORTS;
    if (female && rng_unit(rng) < 0.18f)
        look->legwear = LEGS_SKIRT;
    int first = rng_pick(rng, COUNT(shirts)), second = rng_pick(rng, COUNT(shirts));
    if (first == second)
        second = (second + 3) % COUNT(shirts);
    look->shirt = rgb(shirts[first]);
    look->shirt2 = rgb(shirts[second]);
    look->trousers = rgb(trouser_colours[rng_pick(rng, COUNT(trouser_colours))]);
    look->shoe = rgb(shoes[rng_pick(rng, COUNT(shoes))]);
    look->sole = rgb(rng_unit(rng) < 0.5f ? 0x222222 : 0xd8d8d4);
    look->backpack = rng_unit(rng) < 0.12f;
}

void look_random(struct look *look, uint32_t seed)
{
    struct rng rng = {hash32(seed * 2654435761U + 17)};
    bool female = rng_unit(&rng) < 0.5f;

    *look = (struct look){.seed = (int)(seed & 0xffff)};
    look->female = female ? 1.0f : 0.0f;
    look->height = female ? rng_range(&rng, 1.55f, 1.74f) : rng_range(&rng, 1.67f, 1.90f);
    look->girth = rng_range(&rng, 0.92f, 1.16f) + (rng_unit(&rng) < 0.12f ? 0.14f : 0.0f);
    look->hair_style = choose_hair(&rng, female);
    look->beard = female ? BEARD_NONE : (enum beard)rng_pick(&rng, 3);
    look->glasses = rng_unit(&rng) < 0.2f;
    look->skin = rgb(skins[rng_pick(&rng, COUNT(skins))]);
    look->hair = rgb(hairs[rng_pick(&rng, COUNT(hairs))]);
    choose_clothes(look, &rng, female);
}
