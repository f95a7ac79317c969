/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <string.h>

#include "daemon/camera.h"

static struct pd_camera_config config;
static struct pd_camera camera;

/* What is looked at of a picture of @w x @h. */
static struct pd_rect area(int w, int h, float x, float y, float width, float height)
{
    const float roi[4] = {x, y, width, height};
    memcpy(config.roi, roi, sizeof(roi));
    memset(&camera, 0, sizeof(camera));
    camera.config = &config;
    assert_int_equal(pd_camera_fit(&camera, w, h, 64, 64), 0);
    return camera.lb.roi;
}

static void assert_area(struct pd_rect r, int x, int y, int w, int h)
{
    assert_int_equal(r.x, x);
    assert_int_equal(r.y, y);
    assert_int_equal(r.w, w);
    assert_int_equal(r.h, h);
}

static void an_area_is_what_was_configured_to_the_pixel(void **state)
{
    assert_area(area(640, 480, 0, 0, 0, 0), 0, 0, 640, 480); /* not configured */
    assert_area(area(640, 480, 0, 0.5f, 1, 0.5f), 0, 240, 640, 240);
    assert_area(area(641, 481, 0.25f, 0.1f, 0.75f, 0.9f), 160, 48, 481, 433);
}

/* Never the whole picture instead: somebody wanted the rest of it not to be looked at. */
static void an_area_of_less_than_a_pixel_is_a_pixel(void **state)
{
    assert_area(area(320, 240, 0.5f, 0.5f, 0.001f, 0.25f), 160, 120, 1, 60);
    assert_area(area(320, 240, 0.25f, 0.25f, 0.5f, 0.001f), 80, 60, 160, 1);
    assert_area(area(320, 240, 0.999f, 0.999f, 0.001f, 0.001f), 319, 239, 1, 1);
    assert_area(area(1, 1, 0.4f, 0.4f, 0.2f, 0.2f), 0, 0, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_area_is_what_was_configured_to_the_pixel),
        cmocka_unit_test(an_area_of_less_than_a_pixel_is_a_pixel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
