#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What a person looks like: build, clothes, hair, colours. Chosen once, constant while he moves.
 */
#include <stdbool.h>
#include <stdint.h>

#include "noise.h"

enum pattern {
    PATTERN_PLAIN,
    PATTERN_STRIPES,
    PATTERN_CHECK,
    PATTERN_PRINT,
    PATTERN_OPEN_JACKET,
    PATTERN_BUTTONS,
    PATTERN_APRON,
    N_PATTERNS
};
enum sleeve { SLEEVE_SHORT, SLEEVE_LONG, SLEEVE_ROLLED, N_SLEEVES };
enum hair { HAIR_SHORT, HAIR_LONG, HAIR_BUN, HAIR_CAP, HAIR_BOB, HAIR_PONYTAIL, HAIR_CURLY, HAIR_BALD, N_HAIRS };
enum hem { HEM_TUCKED, HEM_OVER, HEM_LONG, HEM_COAT, N_HEMS };
enum collar { COLLAR_ROUND, COLLAR_SHIRT, COLLAR_THICK, N_COLLARS };
enum legwear { LEGS_TROUSERS, LEGS_SHORTS, LEGS_SKIRT };
enum beard { BEARD_NONE, BEARD_STUBBLE, BEARD_FULL };

struct look {
    float height; /* metres */
    float female; /* 0..1: shoulder and hip proportions, blended */
    float girth;  /* 1: average */
    enum pattern pattern;
    enum sleeve sleeve;
    enum hair hair_style;
    enum hem hem;
    enum collar collar;
    enum legwear legwear;
    enum beard beard;
    bool glasses;
    bool backpack;
    vec3 skin, shirt, shirt2, trousers, shoe, sole, hair; /* linear light */
    int seed;                                             /* of wrinkles, prints, strands */
};

/* A person of the given seed. */
void look_random(struct look *look, uint32_t seed);
