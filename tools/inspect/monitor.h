/* SPDX-License-Identifier: GPL-2.0-or-later */
/* monitor.h - what a QEMU says of its guest's CPU, over a socket of its -qmp. */
#ifndef TOOLS_INSPECT_MONITOR_H
#define TOOLS_INSPECT_MONITOR_H

#include <stdint.h>

#define MONITOR_ERR 200

/* Asks the QEMU whose QMP socket is at `path`, for at most 5 s. 0 with CR3 of that CPU, and the levels of page
 * tables that its CR4 says (4 or 5); or a negative errno, with a sentence in err. */
int monitor_page_tables(const char *path, unsigned cpu, uint64_t *cr3, unsigned *levels, char err[MONITOR_ERR]);

#endif
