// SPDX-License-Identifier: GPL-2.0-or-later
/* region_list.c - see region_list.h. */
#include "region_list.h"

#include "fsstats.h"
#include "gvmfs/gvm_mount.h"
#include "json_out.h"
#include "memnode/size.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define FOLDERS 16 /* that nftw() keeps open */

static struct region_row *gathered;
static unsigned gathered_count;
static size_t folder_bytes; /* of the path that names are below */

static uint64_t budget_of(const char *path)
{
	char value[32] = "";

	return getxattr(path, GVM_XATTR_LOCAL, value, sizeof(value) - 1) < 0
		       ? 0
		       : strtoull(value, NULL, 10);
}

/* What is removed meanwhile, or is another filesystem's, is none. */
static int gather(const char *path, const struct stat *st, int type, struct FTW *place)
{
	static char text[FSSTATS_TEXT];
	struct region_row *more, *r;

	(void)place;
	if (type != FTW_F || fsstats_read(path, text))
		return 0;
	more = reallocarray(gathered, gathered_count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	gathered = more;
	r = &more[gathered_count];
	*r = (struct region_row){
		.name = strdup(path + folder_bytes + strspn(path + folder_bytes, "/")),
		.size_bytes = (uint64_t)st->st_size,
		.held_bytes = (uint64_t)st->st_blocks * 512,
		.fast = fsstats_get(text, "fast") != 0,
		.failed = fsstats_get(text, "failed") != 0,
		.settled = fsstats_get(text, "settled") != 0,
		.here_bytes = fsstats_get(text, "resident_bytes"),
		.local_bytes = budget_of(path),
		.nodes_away = fsstats_get(text, "nodes_away"),
		.degraded = fsstats_get(text, "slots_degraded"),
		.stats = strdup(text),
	};
	gathered_count++;
	return r->name && r->stats ? 0 : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct region_row *)a)->name, ((const struct region_row *)b)->name);
}

int region_rows_get(const char *folder, struct region_row **rows, unsigned *count)
{
	static char text[FSSTATS_TEXT];
	int rc = fsstats_read(folder, text);

	if (rc)
		return rc;
	gathered = NULL;
	gathered_count = 0;
	folder_bytes = strlen(folder);
	rc = nftw(folder, gather, FOLDERS, FTW_PHYS | FTW_MOUNT);
	if (rc) {
		region_rows_free(gathered, gathered_count);
		return rc == -1 ? -errno : rc;
	}
	if (gathered_count)
		qsort(gathered, gathered_count, sizeof(*gathered), by_name);
	*rows = gathered;
	*count = gathered_count;
	return 0;
}

int region_row_waits(const char *folder, const struct region_row *row, struct waits *waits)
{
	char path[PATH_MAX];

	memset(waits, 0, sizeof(*waits));
	if (!fsstats_get(row->stats, "opens"))
		return -ENODATA;
	if (snprintf(path, sizeof(path), "%s/%s", folder, row->name) >= PATH_MAX)
		return -ENAMETOOLONG;
	return waits_read(path, waits);
}

void region_rows_free(struct region_row *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		free(rows[i].name);
		free(rows[i].stats);
	}
	free(rows);
}

const char *region_row_state(const struct region_row *r)
{
	return r->settled      ? "settled"
	       : r->failed     ? "FAILED"
	       : r->nodes_away ? "node away"
	       : r->degraded   ? "degraded"
	       : r->fast       ? "fast path"
			       : "";
}

void region_rows_print(const struct region_row *rows, unsigned count)
{
	char size[SIZE_TEXT], held[SIZE_TEXT], here[SIZE_TEXT], local[SIZE_TEXT];

	printf("%10s  %10s  %10s  %10s  %-9s  %s\n", "SIZE", "ON NODES", "HERE", "BUDGET", "STATE",
	       "REGION");
	for (unsigned i = 0; i < count; i++) {
		const struct region_row *r = &rows[i];

		printf("%10s  %10s  %10s  %10s  %-9s  %s\n", size_text(r->size_bytes, size),
		       size_text(r->held_bytes, held),
		       r->fast ? size_text(r->here_bytes, here) : "-",
		       r->local_bytes ? size_text(r->local_bytes, local) : "-", region_row_state(r),
		       r->name);
	}
}

struct json_object *region_rows_json(const struct region_row *rows, unsigned count)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < count; i++) {
		const struct region_row *r = &rows[i];
		struct json_object *o = json_object_new_object();

		json_text(o, "name", r->name);
		json_text(o, "state", region_row_state(r));
		json_number(o, "size_bytes", r->size_bytes);
		json_number(o, "held_bytes", r->held_bytes);
		json_flag(o, "fast_path", r->fast);
		json_flag(o, "failed", r->failed);
		json_flag(o, "settled", r->settled);
		json_number(o, "here_bytes", r->here_bytes);
		json_member(o, "budget_bytes", r->local_bytes ? json_object_new_uint64(r->local_bytes) : NULL);
		json_number(o, "nodes_away", r->nodes_away);
		json_number(o, "slots_degraded", r->degraded);
		json_object_array_add(list, o);
	}
	return list;
}
