/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <string.h>

#include "core/frame.h"

static void planes_of_odd_sizes_round_chroma_up(void **state)
{
    struct pd_frame *f = pd_frame_alloc(PD_PIX_YUV, 5, 3, 1, 1);
    assert_non_null(f);
    assert_int_equal(pd_frame_plane_row_bytes(f, 1), 3);
    assert_int_equal(pd_frame_plane_rows(f, 1), 2);
    for (int i = 0; i < 3; i++)
        memset((uint8_t *)f->plane[i], 7, (size_t)f->stride[i] * (size_t)pd_frame_plane_rows(f, i));
    pd_frame_unref(&f);
    assert_null(f);
}

static void absurd_sizes_are_refused(void **state)
{
    assert_null(pd_frame_alloc(PD_PIX_RGB24, 0, 4, 0, 0));
    assert_null(pd_frame_alloc(PD_PIX_RGB24, PD_FRAME_SIDE_MAX + 1, 4, 0, 0));
    assert_null(pd_frame_alloc(PD_PIX_YUV, 4, 4, 3, 0));
}

static int released;
static void count_release(struct pd_frame *frame)
{
    released++;
}

static void last_reference_releases(void **state)
{
    struct pd_frame f = {.refs = 1, .release = count_release};
    struct pd_frame *a = &f, *b = pd_frame_ref(&f);
    pd_frame_unref(&a);
    assert_int_equal(released, 0);
    pd_frame_unref(&b);
    assert_int_equal(released, 1);
    pd_frame_unref(&b);
    assert_int_equal(released, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planes_of_odd_sizes_round_chroma_up),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(last_reference_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
