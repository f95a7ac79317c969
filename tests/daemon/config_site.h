#pragma once
/* SPDX-License-Identifier: Apache-2.0 - a folder of configuration files for a test, and what loading it told. */
#include "tests/core/test.h"

#include "daemon/config.h"

struct site {
    char dir[64], main[96], cameras[96]; /* in /tmp; of posed.json and of cameras.d */
    int n_lines;
    char lines[256][1100];
};

/* A test with a site of its own: *state is it. */
#define SITE_TEST(f) cmocka_unit_test_setup_teardown(f, site_setup, site_teardown)
int site_setup(void **state);
int site_teardown(void **state);

void put_bytes(const char *path, const char *data, size_t size);
/* The file @name of the site, which nobody else may read. */
void put(struct site *s, const char *name, const char *text);
/* Load the site; what is told of it replaces s->lines. */
int load(struct site *s, struct pd_config **ret_config);
/* Line @i of the report is "@file:@line: @rest..."; @line 0: none is given. */
void assert_line(struct site *s, int i, const char *file, int line, const char *rest);
