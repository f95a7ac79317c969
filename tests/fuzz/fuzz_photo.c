/* SPDX-License-Identifier: Apache-2.0
 *
 * The beginning of a JPEG, in which the index of a photo's parts is looked for. Promises: nothing beside the bytes is
 * read, and no more parts are counted than the cap.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "decode/photo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size + !size); /* so that a sanitizer sees a read behind it */
    FUZZ_CHECK(exact);
    if (size)
        memcpy(exact, data, size);
    const int parts = pd_photo_parts(exact, (int)size);
    FUZZ_CHECK(parts >= 0 && parts < 64);
    const bool video = pd_photo_has_video(exact, (int)size);
    FUZZ_CHECK(!video || memmem(exact, size, "ftyp", 4));
    free(exact);
    return 0;
}
