#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two parts of a demuxer share: demux_open.c opens and closes an input, demux.c reads packets and says what
 * the end of them means.
 */
#include "decode/demux.h"

/* ---- demux_open.c ---- */
/* After the interrupt has fired in @phase. Returns its code, with the line. */
int pd_demux_cancelled(const struct pd_demux *demux, struct pd_err *err, const char *phase);
/* One length for all that is in it; ASF's demuxer gives it to each stream. */
bool pd_demux_has_one_length(const struct pd_demux *demux);
