// SPDX-License-Identifier: GPL-2.0-or-later
/* sample.c - see sample.h. */
#include "sample.h"

#include "gvmfs/gvm_mount.h"
#include "memnode/clock.h"
#include "tools/mounts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define NODES_BYTES (32u << 10)

static int regions_take(struct top_mount *m)
{
	int rc = region_rows_get(m->path, &m->rows, &m->region_count);

	if (rc)
		return rc;
	m->regions = calloc(m->region_count + 1, sizeof(*m->regions));
	if (!m->regions)
		return -ENOMEM;
	for (unsigned i = 0; i < m->region_count; i++) {
		m->regions[i].row = &m->rows[i];
		region_row_waits(m->path, &m->rows[i], &m->regions[i].waits);
	}
	return 0;
}

static void nodes_take(struct top_mount *m)
{
	char text[NODES_BYTES], *save;
	ssize_t n = getxattr(m->path, GVM_XATTR_NODES, text, sizeof(text) - 1);
	struct top_node *more;

	text[n < 0 ? 0 : n] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *state = strchr(line, ' ');

		more = state ? reallocarray(m->nodes, m->node_count + 1, sizeof(*more)) : NULL;
		if (!more)
			continue;
		*state++ = '\0';
		m->nodes = more;
		m->nodes[m->node_count].address = strdup(line);
		m->nodes[m->node_count].connected = !strcmp(state, "connected");
		m->node_count += m->nodes[m->node_count].address != NULL;
	}
}

static int mount_take(struct top_mount *m, const char *path)
{
	char text[FSSTATS_TEXT];
	int rc;

	m->path = strdup(path);
	if (!m->path)
		return -ENOMEM;
	rc = fsstats_read(path, text);
	if (rc)
		return rc;
	m->stats = strdup(text);
	if (!m->stats)
		return -ENOMEM;
	rc = fsstats_room(path, &m->lent_bytes, &m->free_bytes, NULL);
	if (rc)
		return rc;
	waits_read(path, &m->waits);
	nodes_take(m);
	return regions_take(m);
}

struct top_sample *top_sample_take(char *const *paths, unsigned count)
{
	struct top_sample *s = calloc(1, sizeof(*s));
	char **all = NULL;
	unsigned found = 0;

	if (!s)
		return NULL;
	if (!count) {
		s->error = mounts_all(NULL, &all, &found);
		paths = all;
		count = found;
	}
	s->at_ns = gvm_now_ns();
	s->mounts = calloc(count + 1, sizeof(*s->mounts));
	for (unsigned i = 0; s->mounts && !s->error && i < count; i++)
		if (paths[i]) {
			s->mounts[s->count].error = mount_take(&s->mounts[s->count], paths[i]);
			s->count += s->mounts[s->count].path != NULL;
		}
	if (all)
		mounts_free(all, found);
	return s;
}

void top_sample_free(struct top_sample *s)
{
	for (unsigned i = 0; s && i < s->count; i++) {
		struct top_mount *m = &s->mounts[i];

		for (unsigned n = 0; n < m->node_count; n++)
			free(m->nodes[n].address);
		region_rows_free(m->rows, m->region_count);
		free(m->regions);
		free(m->nodes);
		free(m->stats);
		free(m->path);
	}
	if (s)
		free(s->mounts);
	free(s);
}

const struct top_mount *top_mount_find(const struct top_sample *s, const char *path)
{
	for (unsigned i = 0; s && i < s->count; i++)
		if (!strcmp(s->mounts[i].path, path))
			return s->mounts[i].error ? NULL : &s->mounts[i];
	return NULL;
}

static int name_compare(const void *name, const void *region)
{
	return strcmp(name, ((const struct top_region *)region)->row->name);
}

const struct top_region *top_region_find(const struct top_mount *m, const char *name)
{
	return m && m->region_count ? bsearch(name, m->regions, m->region_count, sizeof(*m->regions), name_compare) : NULL;
}
