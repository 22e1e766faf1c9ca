/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu_ask.h - questions to a QEMU itself: it is run for a moment, without a guest. */
#ifndef TOOLS_QEMU_ASK_H
#define TOOLS_QEMU_ASK_H

#include "qemu_facts.h"

#include <limits.h>

/*
 * For struct qemu_facts. QEMU gets no terminal, its messages are thrown away, and one that does not
 * answer in time is killed: NULL.
 */
char *qemu_ask(const char *qemu, enum qemu_question question);

/* The file that this QEMU reads without being told, if there is one. */
bool qemu_user_config(const char *qemu, char path[PATH_MAX]);

#endif
