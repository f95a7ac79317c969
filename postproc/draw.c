/* SPDX-License-Identifier: Apache-2.0 */
#include "postproc/draw.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "postproc/post_internal.h"
#include "postproc/raster.h"

#define CANVAS_SIDE_MAX 65536

/* A colour of full saturation, @hue in turns; brighter where the eye sees less, so that blue is not lost on a floor. */
static struct pd_colour hue_colour(float hue)
{
    float h = 6.0f * (hue - floorf(hue)), rgb[3];
    rgb[0] = PD_CLAMP(fabsf(h - 3.0f) - 1.0f, 0.0f, 1.0f);
    rgb[1] = PD_CLAMP(2.0f - fabsf(h - 2.0f), 0.0f, 1.0f);
    rgb[2] = PD_CLAMP(2.0f - fabsf(h - 4.0f), 0.0f, 1.0f);
    float luma = 0.3f * rgb[0] + 0.59f * rgb[1] + 0.11f * rgb[2], lift = PD_MAX(0.0f, 0.45f - luma);
    for (int i = 0; i < 3; i++)
        rgb[i] = 255.0f * (rgb[i] + lift * (1.0f - rgb[i]));
    return (struct pd_colour){(uint8_t)rgb[0], (uint8_t)rgb[1], (uint8_t)rgb[2]};
}

static struct pd_colour limb_colour(const struct pd_skeleton *skeleton, int l)
{
    return hue_colour((float)l / (float)skeleton->n_limbs);
}

static bool visible(const struct pd_keypoint *kp)
{
    return kp->score > 0.0f && isfinite(kp->x) && isfinite(kp->y);
}

struct look {
    float radius;         /* half a limb's width */
    int dot;              /* pixels of a dot of the labels' letters */
    bool bridge[PD_LIMBS_MAX]; /* limbs that only help assembly, like shoulder to ear: they would clutter the face */
};

static struct look choose_look(const struct pd_canvas *canvas, const struct pd_skeleton *skeleton,
                               const struct pd_draw_params *params)
{
    struct look look;
    float width = params->line_width, side = (float)PD_MIN(canvas->width, canvas->height);
    if (!(width > 0.0f))
        width = PD_MAX(2.0f, side / 130.0f);
    look.radius = 0.5f * PD_MIN(width, side);
    look.dot = PD_MAX(1, (int)(side / 360.0f + 0.5f));
    pd_post_mark_bridges(skeleton->limbs, skeleton->n_limbs, look.bridge);
    return look;
}

static void draw_person(const struct pd_canvas *canvas, const struct pd_skeleton *skeleton,
                        const struct pd_person *person, const struct look *look)
{
    static const struct pd_colour black = {0, 0, 0}, white = {255, 255, 255};
    const struct pd_keypoint *kp = person->keypoints;
    for (int pass = 0; pass < 2; pass++) { /* all rims first, so that no rim crosses a limb */
        for (int l = 0; l < skeleton->n_limbs; l++) {
            const struct pd_keypoint *a = &kp[skeleton->limbs[l].a], *b = &kp[skeleton->limbs[l].b];
            if (look->bridge[l] || !visible(a) || !visible(b))
                continue;
            if (pass == 0)
                pd_raster_capsule(canvas, a->x, a->y, b->x, b->y, look->radius + 1.0f, black, 0.45f);
            else
                pd_raster_capsule(canvas, a->x, a->y, b->x, b->y, look->radius, limb_colour(skeleton, l), 0.9f);
        }
    }
    for (int k = 0; k < skeleton->n_keypoints; k++) {
        if (!visible(&kp[k]))
            continue;
        pd_raster_capsule(canvas, kp[k].x, kp[k].y, kp[k].x, kp[k].y, look->radius * 1.35f + 1.0f, black, 0.6f);
        pd_raster_capsule(canvas, kp[k].x, kp[k].y, kp[k].x, kp[k].y, look->radius * 1.35f, white, 1.0f);
        pd_raster_capsule(canvas, kp[k].x, kp[k].y, kp[k].x, kp[k].y, look->radius * 0.9f,
                          hue_colour((float)k / (float)skeleton->n_keypoints), 1.0f);
    }
}

/* Id and score above the highest joint, moved into the picture where that is outside. */
static void draw_label(const struct pd_canvas *canvas, const struct pd_skeleton *skeleton,
                       const struct pd_person *person, const struct look *look)
{
    const struct pd_keypoint *top = NULL;
    bool inside = false;
    for (int k = 0; k < skeleton->n_keypoints; k++) {
        const struct pd_keypoint *kp = &person->keypoints[k];
        if (!visible(kp))
            continue;
        inside |= kp->x >= 0.0f && kp->y >= 0.0f && kp->x < (float)canvas->width && kp->y < (float)canvas->height;
        if (!top || kp->y < top->y)
            top = kp;
    }
    if (!inside)
        return;
    char text[48];
    int percent = person->score > 0.0f ? (int)(100.0f * PD_MIN(person->score, 1.0f) + 0.5f) : 0;
    if (person->id > 0)
        snprintf(text, sizeof(text), "#%" PRId64 " %d%%", person->id, percent);
    else
        snprintf(text, sizeof(text), "%d%%", percent);
    int dot = look->dot, pad = 2 * dot;
    int w = ((int)strlen(text) * PD_GLYPH_W - 1) * dot + 2 * pad, h = PD_GLYPH_H * dot + 2 * pad;
    float x = PD_CLAMP(top->x, 0.0f, (float)canvas->width) - 0.5f * (float)w;
    float y = PD_CLAMP(top->y, 0.0f, (float)canvas->height) - 3.0f * look->radius - (float)(h + dot);
    int left = (int)PD_MAX(0.0f, PD_MIN(x, (float)(canvas->width - w)));
    int above = (int)PD_MAX(0.0f, PD_MIN(y, (float)(canvas->height - h)));
    static const struct pd_colour ground = {20, 20, 24}, ink = {255, 255, 255};
    pd_raster_box(canvas, left, above, w, h, ground, 0.75f);
    if (person->id > 0) /* the golden ratio spreads the colours of neighbouring ids */
        pd_raster_box(canvas, left, above + h - dot, w, dot,
                      hue_colour((float)fmod((double)person->id * 0.6180339887498949, 1.0)), 1.0f);
    pd_raster_text(canvas, left + pad, above + pad, dot, text, ink);
}

void pd_draw_people(const struct pd_canvas *canvas, const struct pd_skeleton *skeleton, const struct pd_people *people,
                    const struct pd_draw_params *params)
{
    if (!canvas->rgb || canvas->width < 1 || canvas->height < 1 || canvas->width > CANVAS_SIDE_MAX ||
        canvas->height > CANVAS_SIDE_MAX)
        return;
    struct look look = choose_look(canvas, skeleton, params);
    for (int i = people->n - 1; i >= 0; i--) /* the surest on top */
        draw_person(canvas, skeleton, &people->person[i], &look);
    for (int i = people->n - 1; i >= 0 && params->labels; i--)
        draw_label(canvas, skeleton, &people->person[i], &look);
}
