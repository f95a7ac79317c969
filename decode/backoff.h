#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a camera that failed is left alone. Pure; any thread.
 */
#include <stdint.h>

#include "core/clock.h"

#define PD_BACKOFF_FIRST_NS (1 * PD_NS_PER_S)
/* Low on purpose: nobody should look at a dead picture a minute after the camera is back. */
#define PD_BACKOFF_MAX_NS (8 * PD_NS_PER_S)
/* A refused password or a full camera: trying often locks accounts. */
#define PD_BACKOFF_REFUSED_NS (30 * PD_NS_PER_S)

/* The wait after failure number @failures (1, 2, ...) in a row with @error (negative errno): 1 s doubling to 8 s, or
 * 30 s after a refusal, changed by up to a fifth either way so that 32 cameras do not come back in one instant.
 * @scale: of all these, 1 but in tests. @random: any 32 random bits. */
int64_t pd_backoff_ns(unsigned failures, int error, double scale, uint32_t random);
