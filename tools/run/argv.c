// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line that args.c has read, written anew with the regions in it.
 */
#include "argv.h"

#include "qemu_opts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANONICAL    "x-use-canonical-path-for-ramblock-id"
#define CONFIG_VALUE 1023 /* QEMU reads no more of a value */

/* Turns a backend's properties into those of a file in `path`: with another type and place, and the
 * RAM block named as before. */
static int backend_set(struct qemu_opts *o, const struct run_ram *r, const char *path)
{
	static const char *const dropped[] = {"hugetlb",
					      "hugetlbsize",
					      "seal",
					      "prealloc",
					      "prealloc-threads",
					      "prealloc-context",
					      "align",
					      "offset",
					      "readonly",
					      "pmem",
					      "rom"};
	const char *type = qemu_opts_get(o, "qom-type");
	/* with old machine types these two would call the block /objects/ID, others never do */
	bool canonical =
		type && r->at.index >= 0 &&
		(!strcmp(type, "memory-backend-file") || !strcmp(type, "memory-backend-memfd"));
	char size[24];
	int rc;

	snprintf(size, sizeof(size), "%llu", (unsigned long long)r->bytes);
	for (unsigned i = 0; r->at.index >= 0 && i < sizeof(dropped) / sizeof(dropped[0]); i++)
		qemu_opts_drop(o, dropped[i]);
	rc = qemu_opts_set(o, "qom-type", "memory-backend-file", false);
	if (!rc)
		rc = qemu_opts_set(o, "id", r->id, false);
	if (!rc)
		rc = qemu_opts_set(o, "size", size, true);
	if (!rc)
		rc = qemu_opts_set(o, "mem-path", path, false);
	if (!rc)
		rc = qemu_opts_set(o, "share", o->json ? "true" : "on", true);
	if (!rc && !canonical && !qemu_opts_get(o, CANONICAL))
		rc = qemu_opts_set(o, CANONICAL, o->json ? "false" : "off", true);
	return rc;
}

/* The -object's value for ram `r`: made anew, or out of what stood there. */
static char *backend_text(const struct run_args *a, const struct run_ram *r, const char *path)
{
	struct qemu_opts o;
	char *text = NULL;
	int rc = qemu_opts_parse(&o, r->at.index < 0 ? "memory-backend-file" : a->args[r->at.index],
				 "qom-type");

	if (!rc)
		rc = backend_set(&o, r, path);
	if (!rc)
		text = qemu_opts_text(&o);
	qemu_opts_deinit(&o);
	return text;
}

static char *machine_text(const struct run_args *a, const char *before)
{
	struct qemu_opts o;
	char *text = NULL;

	if (!qemu_opts_parse(&o, before, "type") &&
	    !qemu_opts_set(&o, "memory-backend", a->ram[0].id, false))
		text = qemu_opts_text(&o);
	qemu_opts_deinit(&o);
	return text;
}

/* A backend is added, and the machine told of it. */
static bool backend_added(const struct run_args *a)
{
	return a->ram[0].at.index < 0 && !a->ram[0].kept;
}

/* The new text of argument i, or a copy of the old one. */
static char *arg_text(const struct run_args *a, const char *const path[],
		      const char *const configs[], int i)
{
	if (backend_added(a) && i == a->machine)
		return machine_text(a, a->args[i]);
	for (unsigned r = 0; r < a->rams; r++)
		if (!a->ram[r].kept && a->ram[r].at.config < 0 && a->ram[r].at.index == i)
			return backend_text(a, &a->ram[r], path[r]);
	for (unsigned c = 0; c < a->configs; c++)
		if (a->config[c].arg == i && configs[c])
			return strdup(configs[c]);
	return strdup(a->args[i]);
}

/* QEMU's own -mem-path, which it does not take beside a backend. */
static bool arg_dropped(const struct run_args *a, int i)
{
	return backend_added(a) && a->mem_path >= 0 && (i == a->mem_path || i == a->mem_path - 1);
}

int run_args_build(const struct run_args *a, const char *const path[], const char *const configs[],
		   char ***argv)
{
	/* at most four words more: -object X -machine Y */
	char **out = calloc((size_t)a->count + 5, sizeof(*out));
	bool ok = out;
	int n = 0;

	for (int i = 0; ok && i < a->count; i++) {
		if (arg_dropped(a, i))
			continue;
		out[n] = arg_text(a, path, configs, i);
		ok = out[n++];
	}
	if (ok && backend_added(a)) {
		out[n++] = strdup("-object");
		out[n++] = backend_text(a, &a->ram[0], path[0]);
		if (a->machine < 0) {
			out[n++] = strdup("-machine");
			out[n++] = machine_text(a, "");
		}
		for (int i = 0; i < n; i++)
			ok = ok && out[i];
	}
	if (!ok) {
		for (int i = 0; out && i < a->count + 4; i++)
			free(out[i]);
		free(out);
		return -ENOMEM;
	}
	*argv = out;
	return 0;
}

void run_args_free_argv(char **argv)
{
	for (char **p = argv; p && *p; p++)
		free(*p);
	free(argv);
}

/* ---- config files ---- */

static int group_set(struct qemu_config *c, const struct run_ram *r, const char *path)
{
	if (strchr(path, '"') || strchr(path, '\n') || strlen(path) > CONFIG_VALUE)
		return -EINVAL;
	return backend_set(&c->group[r->at.index].o, r, path);
}

int run_args_config(const struct run_args *a, unsigned i, const char *const path[], char **text)
{
	bool changed = a->config[i].consumed;
	char *before = qemu_config_text(&a->config[i].text);
	struct qemu_config copy;
	unsigned line;
	int rc;

	*text = NULL;
	if (!before)
		return -ENOMEM;
	rc = qemu_config_parse(&copy, before, &line);
	for (unsigned r = 0; r < a->rams && !rc; r++) {
		if (a->ram[r].kept || a->ram[r].at.config != (int)i)
			continue;
		changed = true;
		rc = group_set(&copy, &a->ram[r], path[r]);
	}
	if (!rc && changed) {
		*text = qemu_config_text(&copy);
		rc = *text ? 0 : -ENOMEM;
	}
	free(before);
	qemu_config_deinit(&copy);
	return rc;
}
