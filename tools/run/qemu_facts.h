/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu_facts.h - what differs from one QEMU to the next: which options take an argument, and how
 * its machines call their RAM. Pure: answers of a QEMU in, facts out.
 *
 * What every version has in common stands in tables here. Only where those do not suffice the QEMU
 * that is to be run is asked, by a function that the caller provides (qemu_ask.c), each question
 * once.
 */
#ifndef TOOLS_QEMU_FACTS_H
#define TOOLS_QEMU_FACTS_H

#include <stdbool.h>

enum qemu_arity {
	QEMU_ARITY_UNKNOWN, /* QEMU does not say whether there is such an option, or what it takes */
	QEMU_ARITY_NONE,    /* no such option */
	QEMU_ARITY_FLAG,
	QEMU_ARITY_ARGUMENT,
};

enum qemu_question { QEMU_ASK_HELP, QEMU_ASK_MACHINES, QEMU_QUESTIONS };

struct qemu_facts {
	/* Gives the text that answers the question, to be freed here; NULL: there is no answer. */
	char *(*ask)(const char *qemu, enum qemu_question question);
	const char *qemu; /* as execvp() finds it; the caller's */
	/* private */
	bool asked[QEMU_QUESTIONS], answered[QEMU_QUESTIONS];
	unsigned options;
	struct qemu_option {
		char *name;
		enum qemu_arity arity;
	} * option;
	unsigned machines;
	struct qemu_machine {
		char *name, *alias, *ram_id;
		bool is_default;
	} * machine;
	char arch[32];
};

/* `name` without dashes. */
enum qemu_arity qemu_facts_arity(struct qemu_facts *f, const char *name);
/*
 * The RAM block that this machine (NULL: the default one) makes by itself: what saved states and
 * migration streams call the RAM. NULL: it is not known.
 */
const char *qemu_facts_ram_id(struct qemu_facts *f, const char *machine);
/* False: 128 MiB is not this QEMU's default for all machines, or that is not known. */
bool qemu_facts_ram_is_128m(struct qemu_facts *f);
void qemu_facts_deinit(struct qemu_facts *f);

#endif
