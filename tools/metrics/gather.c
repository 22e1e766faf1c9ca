// SPDX-License-Identifier: GPL-2.0-or-later
/* gather.c - see gather.h. */
#include "gather.h"

#include "memnode/file.h"
#include "tools/fsstats.h"
#include "tools/giantvm.h"
#include "tools/node_figures.h"
#include "tools/region_list.h"
#include "tools/say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
		rc = fsstats_room(path, &s->lent_bytes, &s->free_bytes, NULL);
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

/* ---- the kernel mode */

#define DEBUG_TEXT 8192

/* What the module's interface tells, and behind it what debugfs has. */
static char *dsm_stats(const struct giantvm_stats *s)
{
	char path[128], more[DEBUG_TEXT], *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return NULL;
#define LINE(name) fprintf(f, #name " %" PRIu64 "\n", (uint64_t)s->name)
	LINE(size_bytes);
	fprintf(f, "resident_bytes %" PRIu64 "\n", (uint64_t)s->resident_pages * 4096);
	LINE(read_faults);
	LINE(write_faults);
	LINE(remote_faults);
	LINE(remote_wait_ns);
	LINE(revoked_pages);
	LINE(downgraded_pages);
	LINE(evicted_pages);
	LINE(pin_waits);
	LINE(given_up_waits);
	LINE(fenced_pins);
	LINE(lost_pages);
#undef LINE
	snprintf(path, sizeof(path), "/sys/kernel/debug/giantvm/%s/stats", s->name);
	if (!file_text(path, more, sizeof(more)))
		fputs(more, f);
	if (!fclose(f))
		return text;
	free(text);
	return NULL;
}

static int dsm_region_add(struct metrics_sources *all, int device, const char *name)
{
	struct metrics_source *s;
	struct giantvm_stats stats;

	if (giantvm_stats_get(device, name, &stats))
		return 0; /* left meanwhile */
	s = metrics_source_add(all, METRICS_DSM_REGION, "region", name, NULL, NULL);
	if (!s)
		return -ENOMEM;
	s->up = true;
	s->stats = dsm_stats(&stats);
	return s->stats ? 0 : -ENOMEM;
}

static int dsm_node_add(struct metrics_sources *all, const struct giantvm_node_info *n)
{
	char id[16], addr[GIANTVM_ADDR_TEXT], roles[32];
	struct metrics_source *s;

	snprintf(id, sizeof(id), "%u", n->node.id);
	s = metrics_source_add(all, METRICS_DSM_NODE, "node", id, "address", giantvm_node_addr(&n->node, addr));
	if (!s)
		return -ENOMEM;
	s->up = n->flags & (GIANTVM_NODE_SELF | GIANTVM_NODE_CONNECTED);
	snprintf(roles, sizeof(roles), "cpu %d\nmem %d\n", (n->node.roles & GIANTVM_ROLE_CPU) != 0,
		 (n->node.roles & GIANTVM_ROLE_MEM) != 0);
	s->stats = strdup(roles);
	return s->stats ? 0 : -ENOMEM;
}

int metrics_gather_dsm(struct metrics_sources *all, bool asked)
{
	struct giantvm_state state;
	int device, rc;

	if (!asked && access("/dev/giantvm", R_OK | W_OK))
		return 0;
	device = giantvm_open();
	if (device < 0)
		return 1;
	rc = giantvm_state_get(device, &state);
	if (!rc) {
		for (unsigned i = 0; i < state.info.nr_nodes && !rc; i++)
			rc = dsm_node_add(all, &state.nodes[i]);
		for (unsigned i = 0; i < state.info.nr_regions && !rc; i++)
			rc = dsm_region_add(all, device, state.regions[i]);
		giantvm_state_free(&state);
	}
	close(device);
	if (rc)
		say("the kernel module: %s", strerror(-rc));
	return rc != 0;
}
