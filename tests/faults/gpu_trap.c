/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into a program that computes on a GPU: what ends a CUDA context comes when a test wants it. A thread waits
 * for the file POSED_TRAP_FILE and then does what is written in it, in the context that the program itself uses:
 *   illegal  a kernel writes to an address that is nobody's, as a broken kernel or broken memory would
 *   halt     a kernel ends by a trap, which is another of CUDA's errors
 * After either the context answers every call with the error, as when a device is lost, and what was made in it stays
 * there to be asked. Destroying the context (cuDevicePrimaryCtxReset) is nothing that comes to a program from outside,
 * and CUDA leaves it to the caller that no other thread uses the device then: one that waits for an event, decodes, or
 * looks at pinned memory finds it gone under its hands. What the engine does when told of that: test_gpu_lost.c.
 * The driver is loaded by hand: this builds and loads on machines without one.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char ptx[] = ".version 6.0\n.target sm_50\n.address_size 64\n"
                          ".visible .entry trap_store()\n{\n.reg .b64 %a;\n.reg .b32 %v;\n"
                          "mov.b64 %a, 64;\nmov.b32 %v, 1;\nst.global.b32 [%a], %v;\nret;\n}\n"
                          ".visible .entry trap_halt()\n{\ntrap;\nret;\n}\n";

static void *driver;

static int call_failed(const char *what, int result)
{
    if (result)
        fprintf(stderr, "gpu_trap: %s: %d\n", what, result);
    return result;
}

static void run_kernel(const char *name)
{
    int (*load)(void **, const void *) = (int (*)(void **, const void *))dlsym(driver, "cuModuleLoadData");
    int (*find)(void **, void *, const char *) =
        (int (*)(void **, void *, const char *))dlsym(driver, "cuModuleGetFunction");
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                  void **) = (int (*)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                      void *, void **, void **))dlsym(driver, "cuLaunchKernel");
    void *module = NULL, *kernel = NULL;
    if (load && find && launch && !call_failed("loading the kernel", load(&module, ptx)) &&
        !call_failed("finding the kernel", find(&kernel, module, name)))
        call_failed("launching the kernel", launch(kernel, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
}

static void spring(const char *kind)
{
    driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!driver)
        return;
    int (*retain)(void **, int) = (int (*)(void **, int))dlsym(driver, "cuDevicePrimaryCtxRetain");
    int (*enter)(void *) = (int (*)(void *))dlsym(driver, "cuCtxSetCurrent");
    void *context = NULL;
    if (retain && enter && !call_failed("taking the context", retain(&context, 0)) &&
        !call_failed("entering it", enter(context)))
        run_kernel(strncmp(kind, "halt", 4) ? "trap_store" : "trap_halt");
}

static void *wait_for_file(void *path)
{
    char kind[32] = "";
    for (;; usleep(20000)) {
        FILE *f = fopen(path, "re");
        if (!f)
            continue;
        char *line = fgets(kind, sizeof(kind), f);
        fclose(f);
        if (line)
            break;
    }
    fprintf(stderr, "gpu_trap: %s\n", kind);
    spring(kind);
    return NULL;
}

__attribute__((constructor)) static void set_trap(void)
{
    pthread_t thread;
    char *path = getenv("POSED_TRAP_FILE");
    if (path && pthread_create(&thread, NULL, wait_for_file, path) == 0)
        pthread_detach(thread);
}
