/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fast.h - how gvm run gives a QEMU the fast path: by the library that is loaded before it
 * (qemu/preload.c), unless that QEMU has the backend built in; and by the budget that gvmfs is told.
 */
#ifndef TOOLS_RUN_FAST_H
#define TOOLS_RUN_FAST_H

#include <stdbool.h>
#include <stdint.h>

enum run_mode { RUN_MODE_AUTO, RUN_MODE_FUSE, RUN_MODE_UFFD, RUN_MODE_KERNEL };

/* -EINVAL: no mode is called that. */
int run_mode_parse(const char *text, enum run_mode *mode);

/*
 * Sets this process's environment for QEMU, argv[0] as execvp() finds it. With `templates` the
 * library is of use without the fast path, too. *why says why there is no
 * fast path, where that is known already; with RUN_MODE_UFFD that is an error, a negative errno.
 */
int run_fast_prepare(enum run_mode mode, const char *qemu, bool templates, const char **why);

/* Tells gvmfs how much of the region may be here. 0 or a negative errno (an older gvmfs). */
int run_fast_budget(const char *path, uint64_t bytes);
/* What was told last, by whomever; 0: nothing, so that all of it may be here. */
uint64_t run_fast_budget_get(const char *path);

#endif
