/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listen.h - GET /metrics over HTTP. */
#ifndef TOOLS_METRICS_LISTEN_H
#define TOOLS_METRICS_LISTEN_H

#include <stdio.h>

/*
 * Answers at `where` ("unix:PATH", or an address of the loopback with a port) with what `make` writes to f, until SIGINT,
 * SIGTERM or SIGHUP; what `make` returns does not matter. A Unix socket is for its owner and group (mode 0660), and gone
 * at the end. Each scraper is served by a process of its own, and has some seconds. Returns an exit status; what fails is
 * said.
 */
int metrics_listen(const char *where, int (*make)(FILE *f, void *arg), void *arg);

#endif
