/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/photo.h"

#include <string.h>

#define APP2 0xe2
#define TAG_NUMBER_OF_IMAGES 0xb001
/* More is a mistake, and would hide what follows. */
#define PARTS_MAX 64

static uint32_t number(const uint8_t *p, int bytes, bool big)
{
    uint32_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[big ? i : bytes - 1 - i];
    return v;
}

/* The segment's index: a TIFF header and a directory of entries of 12 bytes. */
static int parts(const uint8_t *index, uint32_t size)
{
    if (size < 8 || (memcmp(index, "MM", 2) && memcmp(index, "II", 2)))
        return 0;
    const bool big = index[0] == 'M';
    uint32_t at = number(index + 4, 4, big);
    if (at > size - 2)
        return 0;
    uint32_t entries = number(index + at, 2, big);
    for (at += 2; entries && at <= size && size - at >= 12; at += 12, entries--) {
        const uint32_t count = number(index + at + 8, 4, big);
        if (number(index + at, 2, big) == TAG_NUMBER_OF_IMAGES)
            return count >= 2 && count <= PARTS_MAX ? (int)count - 1 : 0;
    }
    return 0;
}

int pd_photo_parts(const uint8_t *jpeg, int size)
{
    /* APP0 to APP15 and comments: the tables and the picture come behind them */
    for (int at = 2; size - at > 8 && jpeg[at] == 0xff && (jpeg[at + 1] >> 4 == 0xe || jpeg[at + 1] == 0xfe);) {
        const int length = (int)number(jpeg + at + 2, 2, true);
        if (length < 2 || length > size - at - 2)
            return 0;
        if (jpeg[at + 1] == APP2 && length >= 6 && !memcmp(jpeg + at + 4, "MPF", 4))
            return parts(jpeg + at + 8, (uint32_t)length - 6);
        at += 2 + length;
    }
    return 0;
}

bool pd_photo_has_video(const uint8_t *jpeg, int size)
{
    /* MP4's first box, which is short. By chance it would be in one photo of a thousand million. */
    const uint8_t *at = jpeg, *end = jpeg + size;
    while ((at = memmem(at, (size_t)(end - at), "ftyp", 4))) {
        if (at - jpeg >= 4 && !at[-4] && !at[-3] && !at[-2])
            return true;
        at += 4;
    }
    return false;
}
