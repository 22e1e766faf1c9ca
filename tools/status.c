// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm status - every mount of this host and its regions, on one screen, or for a program. */
#include "fsstats.h"
#include "gvm.h"
#include "json_out.h"
#include "memnode/size.h"
#include "mounts.h"
#include "region_list.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help_text[] =
	"usage: gvm status [--json] [MOUNT ...]\n"
	"\n"
	"Shows every gvmfs mount of this host, or those given: how much its nodes lend,\n"
	"and its regions. The status is 1 if one of them does not answer.\n"
	"\n"
	"  --json  the same for programs, with all counters of gvm stat\n"
	"  --help  show this text\n";

struct mount_state {
	const char *path;
	char stats[FSSTATS_TEXT];
	uint64_t lent_bytes, free_bytes, kept_bytes;
	struct region_row *rows;
	unsigned count;
};

static int state_get(const char *path, struct mount_state *m)
{
	int rc = fsstats_read(path, m->stats);

	m->path = path;
	m->rows = NULL;
	m->count = 0;
	if (rc)
		return rc;
	rc = fsstats_room(path, &m->lent_bytes, &m->free_bytes, &m->kept_bytes);
	if (rc)
		return rc;
	return region_rows_get(path, &m->rows, &m->count);
}

static void state_print(const struct mount_state *m)
{
	char lent[SIZE_TEXT], room[SIZE_TEXT], kept[SIZE_TEXT];

	printf("%s: %llu nodes (%llu connected) lend %s, %s free%s%s%s; %llu errors\n", m->path,
	       (unsigned long long)fsstats_get(m->stats, "nodes"),
	       (unsigned long long)fsstats_get(m->stats, "nodes_up"),
	       size_text(m->lent_bytes, lent), size_text(m->free_bytes, room), m->kept_bytes ? ", " : "",
	       m->kept_bytes ? size_text(m->kept_bytes, kept) : "", m->kept_bytes ? " kept for repairs" : "",
	       (unsigned long long)fsstats_get(m->stats, "io_errors"));
	if (m->count)
		region_rows_print(m->rows, m->count);
}

static struct json_object *state_json(const struct mount_state *m)
{
	struct json_object *o = json_object_new_object();

	json_text(o, "path", m->path);
	json_number(o, "lent_bytes", m->lent_bytes);
	json_number(o, "free_bytes", m->free_bytes);
	json_number(o, "kept_bytes", m->kept_bytes);
	json_member(o, "regions", region_rows_json(m->rows, m->count));
	json_member(o, "counters", json_lines(m->stats));
	return o;
}

static int mount_show(const char *path, struct json_object *list)
{
	static struct mount_state m;
	int rc = state_get(path, &m);

	if (rc)
		say("%s: %s", path, fsstats_error(rc));
	else if (list)
		json_object_array_add(list, state_json(&m));
	else
		state_print(&m);
	region_rows_free(m.rows, m.count);
	return rc != 0;
}

static int all_show(struct json_object *list)
{
	unsigned count;
	char **paths;
	int status = 0, rc = mounts_all(NULL, &paths, &count);

	if (rc) {
		say("the list of mounts cannot be read: %s", strerror(-rc));
		return 1;
	}
	for (unsigned i = 0; i < count; i++)
		status |= mount_show(paths[i], list);
	mounts_free(paths, count);
	if (!count && !list)
		puts("gvmfs is not mounted: gvmfs --nodes ADDR:PORT,... DIR");
	return status;
}

int cmd_status(int argc, char **argv)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct json_object *list = NULL;
	int c, status = 0;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(help_text, stdout);
			return 0;
		}
		if (c != 'j')
			return EXIT_USAGE;
		if (!list)
			list = json_object_new_array();
	}
	if (optind == argc)
		status = all_show(list);
	for (; optind < argc; optind++)
		status |= mount_show(argv[optind], list);
	if (list)
		json_show(list);
	return status;
}
