/* SPDX-License-Identifier: Apache-2.0
 *
 * The same for libraries: the addresses through which they call malloc() and its like are replaced in their tables of
 * relocations. A preloaded malloc() would do too, but not beside a sanitizer, which brings its own.
 */
#define _GNU_SOURCE 1
#include "tests/faults/failing.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static void *lib_malloc(size_t size)
{
    return failing_now(true) ? NULL : __real_malloc(size);
}

static void *lib_calloc(size_t n, size_t size)
{
    return failing_now(true) ? NULL : __real_calloc(n, size);
}

static void *lib_realloc(void *p, size_t size)
{
    return failing_now(true) ? NULL : __real_realloc(p, size);
}

static void *lib_aligned_alloc(size_t alignment, size_t size)
{
    return failing_now(true) ? NULL : __real_aligned_alloc(alignment, size);
}

static int lib_posix_memalign(void **p, size_t alignment, size_t size)
{
    return failing_now(true) ? ENOMEM : __real_posix_memalign(p, alignment, size);
}

static char *lib_strdup(const char *text)
{
    return failing_now(true) ? NULL : __real_strdup(text);
}

static char *lib_strndup(const char *text, size_t n)
{
    return failing_now(true) ? NULL : __real_strndup(text, n);
}

static const struct {
    const char *name;
    void (*function)(void);
} replaced[] = {
    {"malloc", (void (*)(void))lib_malloc},
    {"calloc", (void (*)(void))lib_calloc},
    {"realloc", (void (*)(void))lib_realloc},
    {"aligned_alloc", (void (*)(void))lib_aligned_alloc},
    {"posix_memalign", (void (*)(void))lib_posix_memalign},
    {"strdup", (void (*)(void))lib_strdup},
    {"strndup", (void (*)(void))lib_strndup},
};

struct search {
    const char *names;
    int found;
};

static void put(uintptr_t slot, void (*function)(void))
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = slot & ~(page - 1);
    if (mprotect((void *)start, page, PROT_READ | PROT_WRITE) == 0) /* the loader has locked it */
        memcpy((void *)slot, &function, sizeof(function));
}

static void replace(struct search *s, ElfW(Addr) base, const ElfW(Rela) *table, size_t n, const ElfW(Sym) *symbols,
                    const char *strings)
{
    for (size_t i = 0; i < n; i++) {
        size_t symbol = sizeof(void *) == 8 ? (size_t)(table[i].r_info >> 32) : (size_t)(table[i].r_info >> 8);
        const char *name = symbol ? strings + symbols[symbol].st_name : "";
        for (size_t k = 0; k < sizeof(replaced) / sizeof(replaced[0]); k++)
            if (!strcmp(name, replaced[k].name)) {
                put(base + table[i].r_offset, replaced[k].function);
                s->found++;
            }
    }
}

static bool is_named(const char *path, const char *names)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    for (const char *at = names; *at;) {
        size_t len = strcspn(at, " ");
        if (len && !strncmp(base, at, len) && (base[len] == '.' || base[len] == '-'))
            return true;
        at += len + (at[len] == ' ');
    }
    return false;
}

static int look(struct dl_phdr_info *info, size_t size, void *user)
{
    struct search *s = user;
    const ElfW(Dyn) *dyn = NULL;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            dyn = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    if (!dyn || !is_named(info->dlpi_name, s->names))
        return 0;
    uintptr_t at[DT_NUM] = {0};
    for (; dyn->d_tag != DT_NULL; dyn++)
        if (dyn->d_tag > 0 && dyn->d_tag < DT_NUM)
            at[dyn->d_tag] = dyn->d_un.d_ptr;
    const ElfW(Sym) *symbols = (const ElfW(Sym) *)at[DT_SYMTAB];
    const char *strings = (const char *)at[DT_STRTAB];
    replace(s, info->dlpi_addr, (const ElfW(Rela) *)at[DT_RELA], at[DT_RELASZ] / sizeof(ElfW(Rela)), symbols, strings);
    if (at[DT_PLTREL] == DT_RELA)
        replace(s, info->dlpi_addr, (const ElfW(Rela) *)at[DT_JMPREL], at[DT_PLTRELSZ] / sizeof(ElfW(Rela)), symbols,
                strings);
    return 0;
}

static const char *whose(void *at)
{
    Dl_info info;
    const char *path = dladdr(at, &info) ? info.dli_fname : "";
    return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

/* The C library, or a sanitizer that stands before it: TSan has an abort() of its own, and frames around a signal's. */
static bool is_runtime(const char *name)
{
    return !strncmp(name, "libc.", 5) || (!strncmp(name, "lib", 3) && strstr(name, "san.so"));
}

/* Who made the call that went wrong, of which nothing else is known; NULL: not on this processor. */
static void *called_from(const ucontext_t *context)
{
#ifdef __x86_64__
    return *(void **)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (void *)context->uc_mcontext.regs[30];
#else
    return NULL;
#endif
}

/* A library may itself read through a null pointer, or call abort(), when it got no memory: that is told apart from a
 * crash of ours. Where memcpy() and the like did it, whoever called them counts. */
static void on_crash(int number, siginfo_t *info, void *context)
{
    void *frames[32];
    int n = backtrace(frames, 32), i = 0;
    while (i < n && is_runtime(whose(frames[i]))) /* a sanitizer's backtrace() */
        i++;
    i++; /* this function */
    while (i < n && is_runtime(whose(frames[i])))
        i++;
    const char *name = i < n ? whose(frames[i]) : "";
    if (!*name) /* a pointer to a function out of freed memory led to where no program is */
        name = whose(called_from(context));
    if (!strncmp(name, "libav", 5) || !strncmp(name, "libsw", 5)) {
        (void)!write(STDERR_FILENO, name, strlen(name));
        syscall(SYS_exit_group, FAILING_LIBRARY_CRASHED); /* a sanitizer's _exit() would look for leaked threads */
    }
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    signal(number, SIG_DFL); /* and once more */
}

bool failing_catch(const char *names)
{
    struct search s = {names, 0};
    void *frame;
    backtrace(&frame, 1); /* loads what it needs */
    const struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGABRT, &action, NULL);
    dl_iterate_phdr(look, &s);
    return s.found > 0;
}
