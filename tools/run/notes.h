/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notes.h - sentences for the user that are said once the guest starts. */
#ifndef TOOLS_RUN_NOTES_H
#define TOOLS_RUN_NOTES_H

struct run_notes {
	char **text;
	unsigned count;
};

/* 0 or -ENOMEM. */
int run_notes_add(struct run_notes *notes, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void run_notes_deinit(struct run_notes *notes);

#endif
