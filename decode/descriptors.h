/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whether n (at most 8) more file descriptors can be had right now: 0, else -EMFILE or -ENFILE. They are not kept:
 * another thread may take them.
 */
int pd_descriptors_left(int n);
