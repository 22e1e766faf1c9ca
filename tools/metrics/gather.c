// SPDX-License-Identifier: GPL-2.0-or-later
/* gather.c - see gather.h. */
#include "gather.h"

#include "tools/fsstats.h"
#include "tools/node_figures.h"
#include "tools/region_list.h"
#include "tools/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int region_add(struct metrics_sources *all, const char *mount, struct region_row *row)
{
	struct metrics_source *s = metrics_source_add(all, METRICS_REGION, "mount", mount, "region", row->name);

	if (!s)
		return -ENOMEM;
	s->up = true;
	s->held_bytes = row->held_bytes;
	s->has_waits = region_row_waits(mount, row, &s->waits) == 0;
	s->stats = row->stats;
	row->stats = NULL;
	return 0;
}

static int mount_ask(struct metrics_sources *all, struct metrics_source *s, const char *path)
{
	char text[FSSTATS_TEXT];
	struct region_row *rows = NULL;
	unsigned count = 0;
	int rc = fsstats_read(path, text);

	if (!rc)
		rc = fsstats_room(path, &s->lent_bytes, &s->free_bytes);
	if (!rc)
		rc = region_rows_get(path, &rows, &count);
	if (rc)
		return rc;
	s->stats = strdup(text);
	s->has_waits = waits_read(path, &s->waits) == 0;
	for (unsigned i = 0; i < count && !rc; i++)
		rc = region_add(all, path, &rows[i]);
	region_rows_free(rows, count);
	s->up = !rc;
	return rc;
}

int metrics_gather_mount(struct metrics_sources *all, const char *path)
{
	struct metrics_source *s = metrics_source_add(all, METRICS_MOUNT, "mount", path, NULL, NULL);
	int rc = s ? mount_ask(all, s, path) : -ENOMEM;

	if (rc)
		say("%s: %s", path, fsstats_error(rc));
	return rc != 0;
}

static int node_ask(struct metrics_source *s, struct gvm_conn *conn)
{
	struct gvm_node_stat_rsp stat;
	struct gvm_node_rot_rsp rot;
	bool knows = false;
	uint64_t from;
	int rc = node_stat_ask(conn, &stat); /* this one sets up the connection */

	if (!rc)
		rc = node_rot_ask(conn, &rot, &knows);
	from = gvm_now_ns();
	if (!rc)
		rc = node_stat_ask(conn, &stat);
	s->round_ns = gvm_now_ns() - from;
	if (rc)
		return rc;
	s->stats = node_figures_lines(&stat, knows ? &rot : NULL);
	return s->stats ? 0 : -ENOMEM;
}

int metrics_gather_node(struct metrics_sources *all, const char *address, const struct gvm_conn_opts *opts)
{
	struct metrics_source *s = metrics_source_add(all, METRICS_NODE, "node", address, NULL, NULL);
	struct node_reason reason = {""};
	struct gvm_conn_opts own = *opts;
	struct gvm_conn *conn;
	int rc;

	own.on_state = node_reason_note;
	own.arg = &reason;
	rc = s ? gvm_conn_create(address, &own, &conn) : -ENOMEM;
	if (!rc) {
		rc = node_ask(s, conn);
		gvm_conn_destroy(conn);
		s->up = !rc;
	}
	if (rc)
		say("%s: %s", address, node_reason_text(rc, &reason));
	return rc != 0;
}
