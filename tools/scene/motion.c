/* SPDX-License-Identifier: Apache-2.0 */
#include "motion.h"

#define STOPS_MAX 10
#define TURN_S 0.7f /* to turn on the spot */
#define RAMP_S 0.6f /* to start or to stop walking */
#define CORNER_M 0.55f

struct stop {
    float x, z;
    enum act act; /* ACT_PASS: a corner of the path, nobody stops there */
    float hold;   /* seconds, turning included */
    float yaw;    /* where to look meanwhile */
    enum side side;
};

struct actor {
    struct stop stops[STOPS_MAX]; /* closed; the first one is no ACT_PASS */
    int n_stops;
    enum item item; /* carried all the way */
    enum side item_side;
    uint32_t seed;
};

#define FACE_LEFT (-PI_F / 2) /* towards -x */
#define FACE_RIGHT (PI_F / 2)
#define FACE_BACK 0.0f /* towards the back wall, +z */
#define FACE_DOOR PI_F

static const struct actor actors[] = {
    {.seed = 21, .n_stops = 1, .stops = {{3.35f, 0.62f, ACT_SERVE, 24, FACE_BACK, RIGHT}}},
    {.seed = 8,
     .n_stops = 6,
     .stops =
         {/* comes in, takes something in the middle aisle, leaves */
          {-3.3f, -2.2f, ACT_STAND, 0.8f, FACE_BACK, RIGHT},
          {-3.2f, 1.5f, ACT_PASS},
          {-0.9f, 2.5f, ACT_PASS},
          {-1.08f, 5.0f, ACT_REACH, 4.2f, FACE_LEFT, LEFT},
          {-0.6f, 2.2f, ACT_PASS},
          {-3.5f, 1.3f, ACT_PASS}}},
    {.seed = 5,
     .n_stops = 6,
     .item = ITEM_BASKET,
     .item_side = LEFT,
     .stops =
         {/* round the right gondola */
          {1.08f, 6.3f, ACT_REACH, 4.0f, FACE_RIGHT, RIGHT},
          {1.25f, 9.2f, ACT_PASS},
          {3.7f, 9.9f, ACT_PASS},
          {3.9f, 5.0f, ACT_PASS},
          {3.4f, 2.5f, ACT_PASS},
          {0.8f, 2.3f, ACT_PASS}}},
    {.seed = 47,
     .n_stops = 4,
     .stops =
         {/* along the back wall */
          {-3.6f, 10.3f, ACT_STAND, 1.6f, FACE_DOOR, RIGHT},
          {-0.2f, 10.0f, ACT_PASS},
          {2.6f, 11.02f, ACT_REACH_HIGH, 4.6f, FACE_BACK, RIGHT},
          {0.2f, 9.6f, ACT_PASS}}},
    {.seed = 34,
     .n_stops = 2,
     .stops =
         {/* two who talk in the middle aisle */
          {-0.1f, 7.75f, ACT_TALK, 14.6f, 1.0f, RIGHT},
          {0.0f, 8.75f, ACT_STAND, 5.6f, FACE_BACK, LEFT}}},
    {.seed = 13,
     .n_stops = 2,
     .stops = {{0.6f, 8.2f, ACT_TALK, 12.6f, -2.14f, LEFT}, {1.05f, 6.85f, ACT_REACH_LOW, 7.2f, FACE_RIGHT, RIGHT}}},
    {.seed = 77,
     .n_stops = 4,
     .item = ITEM_BASKET,
     .item_side = RIGHT,
     .stops =
         {/* right aisle, then the till */
          {4.58f, 6.6f, ACT_REACH, 4.4f, FACE_RIGHT, LEFT},
          {4.1f, 4.2f, ACT_PASS},
          {3.3f, 2.35f, ACT_TALK, 5.6f, FACE_DOOR, LEFT},
          {3.6f, 4.6f, ACT_PASS}}},
    {.seed = 91,
     .n_stops = 8,
     .stops =
         {/* round the left gondola */
          {-4.55f, 6.0f, ACT_REACH_LOW, 4.6f, FACE_LEFT, RIGHT},
          {-3.8f, 2.7f, ACT_PASS},
          {-1.2f, 2.2f, ACT_PASS},
          {-0.35f, 3.4f, ACT_PASS},
          {-0.35f, 6.2f, ACT_PASS},
          {-0.95f, 9.1f, ACT_PASS},
          {-3.2f, 9.7f, ACT_PASS},
          {-3.9f, 8.0f, ACT_PASS}}},
    {.seed = 62,
     .n_stops = 2,
     .stops =
         {/* waits near the door, eyes on the phone */
          {-1.15f, 1.35f, ACT_PHONE, 13.0f, 0.9f, RIGHT},
          {0.9f, 1.7f, ACT_STAND, 6.0f, 0.3f, RIGHT}}},
    {.seed = 29,
     .n_stops = 4,
     .stops =
         {/* staff with a box */
          {3.9f, 8.6f, ACT_BOX, 4.0f, FACE_LEFT, RIGHT},
          {3.6f, 10.0f, ACT_PASS},
          {-2.6f, 9.4f, ACT_BOX, 3.0f, FACE_BACK, RIGHT},
          {3.2f, 9.6f, ACT_PASS}},
     .item = ITEM_BOX},
};

int motion_actors(void)
{
    return (int)(sizeof(actors) / sizeof(actors[0]));
}

void motion_look(int i, uint32_t seed, struct look *look)
{
    look_random(look, actors[i].seed + seed * 1000003U);
}

/* ---- the path -----------------------------------------------------------------------------------------------------
 */

struct leg {      /* from one stop to the next through corners */
    int first, n; /* stops; n points, the ends included */
    float length;
};

struct way { /* where an actor is on his path */
    vec3 position;
    float heading, speed; /* speed: 0..1 of the walking speed */
    float walked;         /* metres since the start of the period */
    int turns;            /* finished turns on the spot since then */
    float turning;        /* 0..1 within one, 0 outside */
    int stop;             /* index while at a stop, else -1 */
    float since;          /* seconds at the stop */
};

static vec3 stop_point(const struct actor *a, int i)
{
    const struct stop *s = &a->stops[i % a->n_stops];
    return v3(s->x, 0, s->z);
}

static int split_legs(const struct actor *a, struct leg *legs)
{
    int n = 0;
    for (int i = 0; i < a->n_stops; i++) {
        if (a->stops[i].act != ACT_PASS)
            legs[n++] = (struct leg){.first = i, .n = 1};
        vec3 d = v_sub(stop_point(a, i + 1), stop_point(a, i));
        legs[n - 1].length += v_len(d);
        legs[n - 1].n++;
    }
    return n;
}

static vec3 polyline_at(const struct actor *a, const struct leg *leg, float s)
{
    for (int i = 0; i < leg->n - 1; i++) {
        vec3 p = stop_point(a, leg->first + i), q = stop_point(a, leg->first + i + 1);
        float length = v_len(v_sub(q, p));
        if (s <= length || i == leg->n - 2)
            return v_mix(p, q, length > 0 ? f_clamp(s / length, 0, 1) : 0);
        s -= length;
    }
    return stop_point(a, leg->first);
}

/* Corners are rounded by averaging the path over a window that closes at both ends of the leg. */
static vec3 path_at(const struct actor *a, const struct leg *leg, float s)
{
    enum { SAMPLES = 9 };
    float window = f_min(CORNER_M, f_min(s, leg->length - s));
    vec3 sum = v3(0, 0, 0);
    for (int i = 0; i < SAMPLES; i++)
        sum = v_add(sum, polyline_at(a, leg, s + window * ((float)i * 2 / (SAMPLES - 1) - 1)));
    return v_scale(sum, 1.0f / SAMPLES);
}

static float heading_at(const struct actor *a, const struct leg *leg, float s)
{
    s = f_clamp(s, 0.06f, f_max(leg->length - 0.06f, 0.06f));
    vec3 d = v_sub(path_at(a, leg, s + 0.05f), path_at(a, leg, s - 0.05f));
    return atan2f(d.x, d.z);
}

static float turn_between(float from, float to, float u)
{
    float d = to - from;
    while (d > PI_F)
        d -= TAU_F;
    while (d < -PI_F)
        d += TAU_F;
    return from + d * f_smooth(0, 1, u);
}

/* At a stop: arrive looking along the path, turn to the goods, turn again to leave. */
static void wait_at_stop(const struct actor *a, const struct leg *before, const struct leg *after, float u,
                         struct way *way)
{
    const struct stop *stop = &a->stops[after->first];
    float hold = stop->hold, leave = hold - TURN_S;
    way->position = stop_point(a, after->first);
    way->stop = after->first;
    way->since = u;
    way->heading = stop->yaw;
    if (after->length < 0.1f)
        return;
    if (u < TURN_S) {
        way->heading = turn_between(heading_at(a, before, before->length), stop->yaw, u / TURN_S);
        way->turning = u / TURN_S;
    } else if (u > leave) {
        way->heading = turn_between(stop->yaw, heading_at(a, after, 0), (u - leave) / TURN_S);
        way->turning = (u - leave) / TURN_S;
        way->turns++;
    } else {
        way->turns++;
    }
}

static void walk_leg(const struct actor *a, const struct leg *leg, float u, float speed, struct way *way)
{
    float duration = leg->length / speed + RAMP_S, done;
    if (u < RAMP_S) {
        done = speed * u * u / (2 * RAMP_S);
        way->speed = u / RAMP_S;
    } else if (u > duration - RAMP_S) {
        float rest = duration - u;
        done = leg->length - speed * rest * rest / (2 * RAMP_S);
        way->speed = rest / RAMP_S;
    } else {
        done = speed * (u - RAMP_S / 2);
        way->speed = 1;
    }
    way->position = path_at(a, leg, done);
    way->heading = heading_at(a, leg, done);
    way->walked += done;
    way->stop = -1;
}

/* Stops last as long as the script says; the walking speed fills what is left of the period. */
static float find_way(const struct actor *a, float t, struct way *way)
{
    struct leg legs[STOPS_MAX];
    int n = split_legs(a, legs);
    float length = 0, idle = 0;
    for (int i = 0; i < n; i++) {
        length += legs[i].length;
        idle += a->stops[legs[i].first].hold + (legs[i].length > 0.1f ? RAMP_S : 0);
    }
    float speed = length > 0.1f ? length / (MOTION_PERIOD - idle) : 1;
    *way = (struct way){0};
    for (int i = 0; i < n; i++) {
        float hold = a->stops[legs[i].first].hold;
        if (t < hold || length < 0.1f) {
            wait_at_stop(a, &legs[(i + n - 1) % n], &legs[i], t, way);
            return length;
        }
        way->turns += 2;
        t -= hold;
        float duration = legs[i].length / speed + RAMP_S;
        if (t < duration || i == n - 1) {
            walk_leg(a, &legs[i], f_min(t, duration), speed, way);
            return length;
        }
        t -= duration;
        way->walked += legs[i].length;
    }
    return length;
}

/* ---- what hands and head do -----------------------------------------------------------------------------------------
 */

static void grip(struct pose *pose, int side, vec3 at, float weight)
{
    pose->hand[side] = at;
    pose->hand_grip[side] = weight;
}

/* Take something from the shelf, look at it, put it away. */
static void act_reach(enum act act, float u, float hold, int side, struct pose *pose)
{
    float sign = side_sign(side);
    float out = f_smooth(0.5f, 1.4f, u) * (1 - f_smooth(1.7f, 2.5f, u));
    float look = f_smooth(1.7f, 2.5f, u) * (1 - f_smooth(hold - 1.3f, hold - 0.5f, u));
    vec3 shelf = v3(sign * 0.10f, 1.28f, 0.60f), chest = v3(sign * 0.06f, 1.20f, 0.32f);
    if (act == ACT_REACH_HIGH) {
        shelf = v3(sign * 0.14f, 1.68f, 0.50f);
    } else if (act == ACT_REACH_LOW) {
        shelf = v3(sign * 0.10f, 0.66f, 0.62f);
        pose->lean += 0.78f * out;
        pose->crouch += 0.07f * out;
        grip(pose, 1 - side, v3(-sign * 0.17f, 0.78f, 0.26f), out);
    } else {
        pose->lean += 0.08f * out;
    }
    float sum = out + look;
    if (sum > 0.001f)
        grip(pose, side, v_scale(v_add(v_scale(shelf, out), v_scale(chest, look)), 1 / sum), f_min(sum, 1));
    pose->head_pitch +=
        0.32f * look - (act == ACT_REACH_HIGH ? 0.25f * out : 0) + (act == ACT_REACH_LOW ? 0.15f * out : 0);
    pose->head_yaw *= 1 - f_min(sum, 1);
    if (u > 1.5f && u < hold - 0.6f && pose->item == ITEM_NONE) {
        pose->item = ITEM_PRODUCT;
        pose->item_side = side;
    }
}

static void act_talk(float u, float hold, int side, float time, struct pose *pose)
{
    float sign = side_sign(side), ease = f_smooth(0.4f, 1.2f, u) * (1 - f_smooth(hold - 1.2f, hold - 0.5f, u));
    float beat = sinf(TAU_F * time / 2.4f), slow = 0.5f + 0.5f * sinf(TAU_F * time / 8);
    grip(pose, side, v3(sign * (0.20f + 0.04f * beat), 1.08f + 0.07f * beat, 0.30f + 0.04f * slow),
         ease * (0.35f + 0.65f * slow));
    pose->head_pitch += 0.05f * sinf(TAU_F * time / 3) * ease;
}

static void act_serve(float time, struct pose *pose)
{
    float swipe = sinf(TAU_F * time / 4), other = sinf(TAU_F * time / 6 + 1);
    grip(pose, RIGHT, v3(-0.12f - 0.16f * swipe, 1.04f + 0.05f * fabsf(swipe), 0.42f), 1);
    grip(pose, LEFT, v3(0.20f + 0.08f * other, 1.03f, 0.38f), 1);
    pose->lean += 0.08f;
    pose->head_pitch += 0.12f + 0.08f * other;
}

void motion_act(enum act act, float u, float hold, enum side side, float time, struct pose *pose)
{
    float ease = f_smooth(0.2f, 1.1f, u) * (1 - f_smooth(hold - 1.1f, hold - 0.2f, u));
    switch (act) {
    case ACT_REACH:
    case ACT_REACH_LOW:
    case ACT_REACH_HIGH:
        act_reach(act, u, hold, side, pose);
        break;
    case ACT_PHONE:
        grip(pose, side, v3(side_sign(side) * 0.07f, 1.28f, 0.28f), ease);
        pose->head_pitch += 0.34f * ease;
        pose->head_yaw *= 1 - ease;
        if (ease > 0.5f)
            pose->item = ITEM_PHONE;
        pose->item_side = side;
        break;
    case ACT_TALK:
        act_talk(u, hold, side, time, pose);
        break;
    case ACT_SERVE:
        act_serve(time, pose);
        break;
    case ACT_BOX:
    case ACT_STAND:
    case ACT_PASS:
    case N_ACTS:
        break;
    }
}

void motion_idle(float phase, float time, struct pose *pose)
{
    float t = time / MOTION_PERIOD;
    pose->breath = sinf(TAU_F * (6 * t + phase));
    pose->sway = 0.024f * sinf(TAU_F * (2 * t + phase));
    pose->head_yaw = 0.22f * sinf(TAU_F * (3 * t + phase)) + 0.10f * sinf(TAU_F * (5 * t + 2 * phase));
    pose->head_pitch = 0.08f + 0.05f * sinf(TAU_F * (4 * t + phase));
    pose->lean = 0.03f;
}

static void carry(enum item item, enum side side, struct pose *pose)
{
    pose->item = item;
    pose->item_side = side;
    if (item == ITEM_BASKET)
        grip(pose, side, v3(side_sign(side) * 0.29f, 0.87f, 0.05f), 1);
    if (item == ITEM_BOX) {
        grip(pose, RIGHT, v3(-0.15f, 1.06f, 0.30f), 1);
        grip(pose, LEFT, v3(0.15f, 1.06f, 0.30f), 1);
    }
}

void motion_pose(int i, const struct look *look, float time, struct pose *pose)
{
    const struct actor *a = &actors[i];
    float t = time - MOTION_PERIOD * floorf(time / MOTION_PERIOD);
    struct way way;
    float length = find_way(a, t, &way);

    *pose = (struct pose){.ground = way.position, .yaw = way.heading};
    motion_idle((float)i * 0.37f, t, pose);
    /* a whole number of double steps a period, so that the feet loop too; a turn shuffles through one more */
    float steps = floorf(length * 1.75f / look->height + 0.5f);
    pose->gait = f_fract(length > 0.1f ? steps * way.walked / length + way.turning : 0);
    pose->walk = f_max(f_smooth(0, 1, way.speed), 0.35f * sinf(PI_F * way.turning));
    pose->head_yaw *= 1 - 0.4f * pose->walk;
    pose->lean += 0.02f * way.speed;
    carry(a->item, a->item_side, pose);
    if (way.stop >= 0) {
        const struct stop *stop = &a->stops[way.stop];
        motion_act(stop->act, way.since, stop->hold, stop->side, t, pose);
    }
}
