/* SPDX-License-Identifier: GPL-2.0-or-later */
/* judge.h - what the facts mean to a user of GVM, and what mends them. Pure. */
#ifndef TOOLS_DOCTOR_JUDGE_H
#define TOOLS_DOCTOR_JUDGE_H

#include "facts.h"

#define DOCTOR_TEXT 240
#define DOCTOR_MAX  32

enum doctor_verdict {
	DOCTOR_OK,
	DOCTOR_NOTE, /* something that not everybody needs is not there */
	DOCTOR_WARN, /* it works, slower or less far than it could */
	DOCTOR_FAIL, /* GVM does not work so */
};

struct doctor_finding {
	const char *name;
	enum doctor_verdict verdict;
	char says[DOCTOR_TEXT];	 /* what there is */
	char means[DOCTOR_TEXT]; /* "" if all is well */
	char mend[DOCTOR_TEXT];	 /* the command; "": there is none */
	/* What --fix may do: load a module, or write a value to a file of /proc/sys. Neither lasts
	 * over a boot, nor takes anything from another program. NULL: nothing is safe. */
	const char *module;
	const char *path;
	char value[DOCTOR_WORD];
};

/* Fills findings[DOCTOR_MAX], and returns how many there are. */
unsigned doctor_judge(const struct doctor_facts *facts, struct doctor_finding *findings);
unsigned doctor_judge_node(const struct doctor_node *node, struct doctor_finding *findings);

#endif
