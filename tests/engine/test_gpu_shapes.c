/* SPDX-License-Identifier: Apache-2.0
 *
 * Which convolutions the kernel for Hopper takes: none whose padding the copy engine's boxes cannot express, behind the
 * image as before it. No device.
 */
#include "tests/core/test.h"

#include "core/engine/cudnn/conv_sm90.h"

/* A 3x3 convolution of 32x32 pixels with this much padding on each side. */
static bool takes(int top, int left, int bottom, int right)
{
    const struct pd_conv_shape s = {
        .n = 1, .h = 32, .w = 32, .ci = 64, .ho = 32 + top + bottom - 2, .wo = 32 + left + right - 2, .co = 64,
        .kh = 3, .kw = 3, .stride_y = 1, .stride_x = 1, .dilation_y = 1, .dilation_x = 1, .groups = 1,
        .pad_top = top, .pad_left = left,
    };
    return pd_sm90_supports(&s);
}

static void padding_is_bounded_on_all_sides(void **state)
{
    assert_true(takes(1, 1, 1, 1));
    assert_true(takes(0, 0, 0, 0));
    assert_true(takes(64, 64, 64, 64));
    assert_false(takes(200, 1, 1, 1));
    assert_false(takes(1, 200, 1, 1));
    assert_false(takes(1, 1, 200, 1));
    assert_false(takes(1, 1, 1, 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padding_is_bounded_on_all_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
