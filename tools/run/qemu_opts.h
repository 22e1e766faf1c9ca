/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu_opts.h - the argument of a QEMU option as a list of key and value. Pure.
 *
 * Both of QEMU's forms are read and written again in the form that they came in: key=value,...
 * (a doubled comma is a comma, the first item may stand without its key) and, as libvirt writes
 * them, a flat JSON object. Order is kept, and what is not touched comes out as it went in.
 */
#ifndef TOOLS_QEMU_OPTS_H
#define TOOLS_QEMU_OPTS_H

#include <stdbool.h>

struct json_object;

enum qemu_opt_form {
	QEMU_OPT_PLAIN,	  /* key=value; in JSON a string */
	QEMU_OPT_IMPLIED, /* the first item, written without its key */
	QEMU_OPT_ALONE,	  /* a key without a value */
	QEMU_OPT_RAW,	  /* JSON that is not a string: number, boolean, array, ... as written */
};

struct qemu_opt {
	char *key;
	char *value; /* decoded; NULL for QEMU_OPT_ALONE */
	enum qemu_opt_form form;
};

struct qemu_opts {
	bool json;
	unsigned count;
	struct qemu_opt *opt;
};

/* `implied` is the key of a first item without one, NULL if the option has none. 0, -EINVAL (it is
 * not such a list) or -ENOMEM. qemu_opts_deinit() is due in every case. */
int qemu_opts_parse(struct qemu_opts *o, const char *text, const char *implied);
void qemu_opts_deinit(struct qemu_opts *o);

/* The last value under `key`, as QEMU takes it; "on" for a key alone; NULL if it is not set. */
const char *qemu_opts_get(const struct qemu_opts *o, const char *key);
/* QEMU's booleans: on, yes, true, y. */
bool qemu_opts_is_on(const struct qemu_opts *o, const char *key);

/* Sets `key` at its first place or at the end, and drops its other occurrences. With `raw` a JSON
 * list gets `value` without quotes. 0 or -ENOMEM. */
int qemu_opts_set(struct qemu_opts *o, const char *key, const char *value, bool raw);
void qemu_opts_drop(struct qemu_opts *o, const char *key);

/* One JSON value that is all of the text (QEMU takes single quotes too); json_object_put() is due. NULL: it is
 * none, or no memory. */
struct json_object *qemu_json_parse(const char *text);

/* The list as an argument again; the caller frees it. NULL: no memory. */
char *qemu_opts_text(const struct qemu_opts *o);

#endif
