/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listen.h - GET /metrics over HTTP. */
#ifndef TOOLS_METRICS_LISTEN_H
#define TOOLS_METRICS_LISTEN_H

#include <stdio.h>

/*
 * Answers at `where` ("unix:PATH", or an address of the loopback with a port) with what `make` writes, until SIGINT, SIGTERM or
 * SIGHUP. A Unix socket is for its owner and group (mode 0660), and gone at the end. Each scraper has
 * a process and some seconds. An exit status; what fails is said.
 */
int metrics_listen(const char *where, int (*make)(FILE *f, void *arg), void *arg);

#endif
