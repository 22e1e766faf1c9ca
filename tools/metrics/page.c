// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * page.c - see page.h. The page itself (page/) is part of the program, and asks for nothing of others. It computes rates
 * and waits from two answers; each of these is one sample, taken by a process that ends with it.
 */
#include "page.h"

#include "page_parts.h"
#include "tools/json_out.h"
#include "tools/map/draw.h"
#include "tools/top/nodes.h"
#include "tools/utf8.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define NODES_WAIT_NS 1000000000ull /* for their answers: one that hangs holds up the page by that */

/* ---- the state */

static struct json_object *buckets_json(const struct waits *w)
{
	struct json_object *o = json_object_new_object();

	for (unsigned s = 0; s < LATENCY_STAGES; s++) {
		struct json_object *list = json_object_new_array();

		for (unsigned b = 0; b <= LATENCY_BOUNDS; b++)
			json_object_array_add(list, json_object_new_uint64(w->count[s][b]));
		json_member(o, waits_names[s], list);
	}
	return o;
}

static struct json_object *node_json(const struct top_node *n, const struct top_asked *a)
{
	struct json_object *o = json_object_new_object(), *figures = NULL;

	json_text(o, "address", n->address);
	json_flag(o, "connected", n->connected);
	if (a && a->stat_ns && !a->error) {
		figures = json_object_new_object();
#define NUMBER(name) json_number(figures, #name, a->stat.name)
		NUMBER(capacity_bytes);
		NUMBER(held_bytes);
		NUMBER(promisable_bytes);
		NUMBER(reserved_bytes);
		NUMBER(stored_bytes);
		NUMBER(nonzero_bytes);
		NUMBER(gets);
		NUMBER(puts);
#undef NUMBER
		json_number(figures, "round_trip_ns", a->round_ns);
	}
	json_member(o, "figures", figures);
	return o;
}

static struct json_object *mount_json(const struct top_mount *m, const struct top_nodes *nodes)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	json_text(o, "path", m->path);
	json_text(o, "error", m->error ? fsstats_error(m->error) : NULL);
	if (m->error) {
		json_object_put(list);
		return o;
	}
	json_number(o, "lent_bytes", m->lent_bytes);
	json_number(o, "free_bytes", m->free_bytes);
	json_member(o, "counters", json_lines(m->stats));
	for (unsigned i = 0; i < m->node_count; i++)
		json_object_array_add(list, node_json(&m->nodes[i], top_nodes_find(nodes, m->nodes[i].address)));
	json_member(o, "nodes", list);
	list = region_rows_json(m->rows, m->region_count);
	for (unsigned i = 0; i < m->region_count; i++) {
		struct json_object *region = json_object_array_get_idx(list, i);

		json_member(region, "counters", json_lines(m->rows[i].stats));
		json_member(region, "latency", buckets_json(&m->regions[i].waits));
	}
	json_member(o, "regions", list);
	return o;
}

static void state_print(FILE *f, const struct top_sample *s, const struct top_nodes *nodes)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	json_number(o, "at_ns", s->at_ns);
	for (unsigned b = 0; b < LATENCY_BOUNDS; b++)
		json_object_array_add(list, json_object_new_uint64(latency_bound_ns(b)));
	json_member(o, "bounds_ns", list);
	list = json_object_new_array();
	for (unsigned i = 0; i < s->count; i++)
		json_object_array_add(list, mount_json(&s->mounts[i], nodes));
	json_member(o, "mounts", list);
	fputs(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), f);
	json_object_put(o);
}

static int state_answer(const struct metrics_page *p, const struct top_sample *s, FILE *f)
{
	struct top_nodes nodes = {.opts = p->opts};

	top_nodes_wait(&nodes, s, NODES_WAIT_NS);
	state_print(f, s, &nodes);
	top_nodes_close(&nodes);
	return 0;
}

/* ---- the map */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* The value of `name` among "name=value&..." as it was before it was encoded; false: it is missing, or too long. */
static bool query_get(const char *query, const char *name, char value[PATH_MAX])
{
	size_t n = strlen(name), used = 0;

	while (query && (strncmp(query, name, n) || query[n] != '=')) {
		query = strchr(query, '&');
		query += query != NULL;
	}
	if (!query)
		return false;
	for (const char *c = query + n + 1; *c && *c != '&'; c++) {
		char plain = *c == '+' ? ' ' : *c;

		if (*c == '%') {
			if (digit(c[1]) < 0 || digit(c[2]) < 0)
				return false;
			plain = (char)(digit(c[1]) << 4 | digit(c[2]));
			c += 2;
		}
		if (!plain || used == PATH_MAX - 1)
			return false;
		value[used++] = plain;
	}
	value[used] = '\0';
	return used;
}

/* Of a region that the page lists, and of nothing else. The page has its name as JSON has it. */
static const char *region_named(const struct top_mount *m, const char *name)
{
	for (unsigned i = 0; m && !m->error && i < m->region_count; i++) {
		char *clean = utf8_clean(m->rows[i].name);
		bool same = clean && !strcmp(clean, name);

		free(clean);
		if (same)
			return m->rows[i].name;
	}
	return NULL;
}

static int map_answer(const struct top_sample *s, const char *query, FILE *f)
{
	char mount[PATH_MAX], name[PATH_MAX], path[2 * PATH_MAX];
	const char *region = NULL;
	struct map_state map;
	int rc;

	if (query_get(query, "mount", mount) && query_get(query, "region", name))
		region = region_named(top_mount_find(s, mount), name);
	if (!region)
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/%s", mount, region);
	rc = map_state_get(path, &map);
	if (rc)
		return rc;
	map_svg(f, region, &map);
	map_state_free(&map);
	return 0;
}

/* ---- all */

int metrics_page_answer(const struct metrics_page *p, const char *path, FILE *f, const char **type)
{
	static const struct {
		const char *path, *type, *text;
	} parts[] = {
		{"/", "text/html; charset=utf-8", page_html},
		{"/page.css", "text/css; charset=utf-8", page_css},
		{"/page.js", "text/javascript; charset=utf-8", page_js},
	};
	bool state = !strcmp(path, "/state.json");
	struct top_sample *s;
	int rc = -ENOMEM;

	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (strcmp(path, parts[i].path))
			continue;
		*type = parts[i].type;
		fputs(parts[i].text, f);
		return 0;
	}
	if (!state && strncmp(path, "/map.svg?", 9))
		return -ENOENT;
	*type = state ? "application/json" : "image/svg+xml";
	s = top_sample_take(p->mounts, p->mount_count);
	if (s)
		rc = state ? state_answer(p, s, f) : map_answer(s, path + 9, f);
	top_sample_free(s);
	return rc;
}
