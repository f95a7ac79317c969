#pragma once
/* SPDX-License-Identifier: Apache-2.0 - `posed model import`. Main thread. */

/* argv[0] is "import". Returns the exit status; what went wrong was said on stderr. */
int pd_model_import(int argc, char **argv);

/* Its options, for the help text of `posed model`. */
extern const char pd_model_import_help[];
