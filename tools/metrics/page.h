/* SPDX-License-Identifier: GPL-2.0-or-later */
/* page.h - a status page for a browser: what gvm top and gvm map show, as it happens. */
#ifndef TOOLS_METRICS_PAGE_H
#define TOOLS_METRICS_PAGE_H

#include "listen.h"
#include "memnode/gvm_client.h"

struct metrics_page {
	char *const *mounts; /* none: all of this host */
	unsigned mount_count;
	const struct gvm_conn_opts *opts; /* to ask the mounts' nodes for their figures */
};

/* Writes what the page has at this path ("/", "/page.js", "/state.json", "/map.svg?..."). As a metrics_answer. */
int metrics_page_answer(const struct metrics_page *page, const char *path, FILE *f, const char **type);

#endif
