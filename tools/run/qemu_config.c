// SPDX-License-Identifier: GPL-2.0-or-later
#include "qemu_config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 1024 /* QEMU's buffer: a longer line is several to it */

static int group_add(struct qemu_config *c, const char *name, const char *id)
{
	struct qemu_group *grown = realloc(c->group, (c->count + 1) * sizeof(*grown)), *g;

	if (!grown)
		return -ENOMEM;
	c->group = grown;
	g = &grown[c->count];
	memset(g, 0, sizeof(*g));
	g->name = strdup(name);
	if (!g->name)
		return -ENOMEM;
	c->count++;
	return id ? qemu_opts_set(&g->o, "id", id, false) : 0;
}

static int line_parse(struct qemu_config *c, const char *line)
{
	char name[64], value[LINE_BYTES], id[64];

	if (*line == '\n' || *line == '#')
		return 0;
	if (*line == '[') {
		if (sscanf(line, "[%63s \"%63[^\"]\"]", name, id) == 2)
			return group_add(c, name, id);
		if (sscanf(line, "[%63[^]]]", name) == 1)
			return group_add(c, name, NULL);
	}
	*value = 0;
	if (sscanf(line, " %63s = \"%1023[^\"]\"", name, value) == 2 ||
	    sscanf(line, " %63s = \"\"", name) == 1)
		return c->count ? qemu_opts_set(&c->group[c->count - 1].o, name, value, false)
				: -EINVAL;
	return -EINVAL;
}

int qemu_config_parse(struct qemu_config *c, const char *text, unsigned *line)
{
	int rc = 0;

	memset(c, 0, sizeof(*c));
	for (*line = 1; *text && !rc; ++*line) {
		size_t n = strcspn(text, "\n") + (strchr(text, '\n') != NULL);
		char one[LINE_BYTES];

		if (n > sizeof(one) - 1)
			n = sizeof(one) - 1;
		memcpy(one, text, n);
		one[n] = 0;
		text += n;
		rc = line_parse(c, one);
		if (rc)
			break;
	}
	return rc;
}

char *qemu_config_text(const struct qemu_config *c)
{
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return NULL;
	for (unsigned i = 0; i < c->count; i++) {
		const struct qemu_group *g = &c->group[i];
		const char *id = qemu_opts_get(&g->o, "id");

		fprintf(f, id ? "[%s \"%s\"]\n" : "[%s]\n", g->name, id);
		for (unsigned k = 0; k < g->o.count; k++)
			if (strcmp(g->o.opt[k].key, "id"))
				fprintf(f, "  %s = \"%s\"\n", g->o.opt[k].key, g->o.opt[k].value);
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

void qemu_config_deinit(struct qemu_config *c)
{
	for (unsigned i = 0; i < c->count; i++) {
		free(c->group[i].name);
		qemu_opts_deinit(&c->group[i].o);
	}
	free(c->group);
	memset(c, 0, sizeof(*c));
}
