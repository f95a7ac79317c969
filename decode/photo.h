#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What phones and cameras put into a JPEG file behind the photo, and no viewer shows: how bright HDR is, the photo in
 * small or the other eye's, as JPEGs that the photo's index counts (Multi-Picture Format, CIPA DC-007); and a video of
 * the moment. Any thread.
 */
#include <stdbool.h>
#include <stdint.h>

/* How many of the JPEGs behind this one belong to it; 0 for most. */
int pd_photo_parts(const uint8_t *jpeg, int size);
/* Behind this one begins a video, so that what looks like a JPEG there is none. */
bool pd_photo_has_video(const uint8_t *jpeg, int size);
