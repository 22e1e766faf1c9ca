/* SPDX-License-Identifier: GPL-2.0-or-later */
/* screen.h - gvm top on a terminal: keys and drawing, by ncurses. */
#ifndef TOOLS_TOP_SCREEN_H
#define TOOLS_TOP_SCREEN_H

#include "sampler.h"
#include "view.h"

#include "memnode/gvm_client.h"

/* Until a key or a signal ends it; the terminal is then as it was. An exit status; what fails is said. */
int top_screen_run(struct top_sampler *sampler, enum top_sort sort, const struct gvm_conn_opts *opts);

#endif
