/* SPDX-License-Identifier: GPL-2.0-or-later */
/* relay.h - what a program says goes to our standard error, each line with the name of the host
 * that it runs on. */
#ifndef TOOLS_RUN_RELAY_H
#define TOOLS_RUN_RELAY_H

#include <stddef.h>

#define RUN_RELAY_LINE 1024 /* a longer one becomes several */

struct run_relay {
	int fd; /* -1: there is none, or no more */
	const char *name;
	size_t bytes; /* of a line that has not ended */
	char line[RUN_RELAY_LINE];
};

/* The end that the program writes to, or a negative errno. */
int run_relay_open(struct run_relay *r, const char *name);
/* Takes what is there, and does not wait for more. */
void run_relay_take(struct run_relay *r);
/* The program has ended: what it said last. */
void run_relay_close(struct run_relay *r);

#endif
