/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded before CUDA's libraries: what they say of driver, devices and cuDNN is what the environment says. For the
 * engine's answers to machines that are not as they should be; computing is not pretended.
 */
#include <stddef.h>
#include <stdlib.h>

static int said(const char *name, int otherwise)
{
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

int cudaDriverGetVersion(int *version);
int cudaGetDeviceCount(int *count);
size_t cudnnGetVersion(void);

int cudaDriverGetVersion(int *version)
{
    *version = said("WORLD_DRIVER", 13000);
    return 0;
}

int cudaGetDeviceCount(int *count)
{
    *count = said("WORLD_DEVICES", 1);
    return said("WORLD_COUNT_ERROR", 0);
}

size_t cudnnGetVersion(void)
{
    return (size_t)said("WORLD_CUDNN", 91900);
}
