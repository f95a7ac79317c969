#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking up a camera's host name without handing the thread over to a dead name server: getaddrinfo cannot be
 * interrupted, and libav calls it on the camera's thread.
 */
#include "decode/input.h"
#include "decode/reader_impl.h"

/* Returns when the host of @input (a URL) is known to have an address, at once for a literal one; libav asks again and
 * gets the answer that the resolver has just had. -EHOSTUNREACH with a line when there is none; the interrupt's code
 * without one when it fires. A lookup that was given up goes on by itself and ends when the resolver gives up. */
int pd_resolve(const struct pd_input *input, struct pd_interrupt *interrupt, struct pd_err *err);
