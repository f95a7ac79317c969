#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Who walks where: closed paths through the store with stops at which something is done. The state of the world repeats
 * every MOTION_PERIOD seconds without a jump, so that a clip of that length loops.
 */
#include "figure.h"

#define MOTION_PERIOD 24.0f

enum act {
    ACT_PASS,
    ACT_STAND,
    ACT_REACH,
    ACT_REACH_LOW,
    ACT_REACH_HIGH,
    ACT_PHONE,
    ACT_TALK,
    ACT_SERVE,
    ACT_BOX,
    N_ACTS
};

int motion_actors(void);
/* The look of actor @i of the demo, for people of the given seed. */
void motion_look(int i, uint32_t seed, struct look *look);
/* What actor @i of the given height does at @time; any time, the past included. */
void motion_pose(int i, const struct look *look, float time, struct pose *pose);

/* Lays an act over a standing pose: @u seconds into one that lasts @hold, with the given hand first. */
void motion_act(enum act act, float u, float hold, enum side side, float time, struct pose *pose);
/* Breathing, shifting weight, glancing about. @phase tells people apart, 0..1. */
void motion_idle(float phase, float time, struct pose *pose);
