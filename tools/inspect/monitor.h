/* SPDX-License-Identifier: GPL-2.0-or-later */
/* monitor.h - what a QEMU says of its guest's CPU, over a socket of its -qmp. */
#ifndef TOOLS_INSPECT_MONITOR_H
#define TOOLS_INSPECT_MONITOR_H

#include <stdint.h>

#define MONITOR_ERR 200

/* 0 with CR3, and the levels of page tables that CR4 says; or a negative errno, with a sentence in err. */
int monitor_page_tables(const char *path, unsigned cpu, uint64_t *cr3, unsigned *levels, char err[MONITOR_ERR]);

#endif
