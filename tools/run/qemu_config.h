/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu_config.h - a file of -readconfig: groups of options. Pure: text in, text out.
 *
 * Read line by line as QEMU does (util/qemu-config.c), including the lengths at which it cuts.
 */
#ifndef TOOLS_QEMU_CONFIG_H
#define TOOLS_QEMU_CONFIG_H

#include "qemu_opts.h"

struct qemu_group {
	char *name;	    /* machine, memory, object, ... */
	struct qemu_opts o; /* with the group's id, where it has one, as "id" */
};

struct qemu_config {
	unsigned count;
	struct qemu_group *group;
};

/* 0, -EINVAL (QEMU would not take it either; *line is where) or -ENOMEM. qemu_config_deinit() is
 * due in every case. */
int qemu_config_parse(struct qemu_config *c, const char *text, unsigned *line);
/* The file anew. The caller frees it. NULL: no memory. */
char *qemu_config_text(const struct qemu_config *c);
void qemu_config_deinit(struct qemu_config *c);

#endif
