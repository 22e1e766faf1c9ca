/* SPDX-License-Identifier: GPL-2.0-or-later */
/* progress.h - how far something long is, on one line of the terminal that standard error is; if it is none,
 * nothing. */
#ifndef TOOLS_INSPECT_PROGRESS_H
#define TOOLS_INSPECT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *doing;
	uint64_t all, done, begun_ns, said_ns;
	bool shown, said;
};

/* `doing` stands at the line's beginning; `bytes`: how much is to be done. */
void progress_begin(struct progress *p, const char *doing, uint64_t bytes);
/* So much more is done. */
void progress_add(struct progress *p, uint64_t bytes);
/* Clears the line. */
void progress_end(struct progress *p);

#endif
