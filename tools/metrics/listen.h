/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listen.h - GET over HTTP: /metrics, and whatever else the caller has. */
#ifndef TOOLS_METRICS_LISTEN_H
#define TOOLS_METRICS_LISTEN_H

#include <stdio.h>

/* Writes to f what there is at `path`, as a browser or scraper asks for it, and says its type; that of metrics if it does
 * not. 0; -ENOENT: there is nothing; another negative errno: it cannot be had now. */
typedef int metrics_answer(void *arg, const char *path, FILE *f, const char **type);

/*
 * Answers at `where` ("unix:PATH", or an address of the loopback with a port) until SIGINT, SIGTERM or SIGHUP. A Unix socket
 * is for its owner and group (mode 0660), and gone at the end. Each client is served by a process of its own, and has some
 * seconds. On the loopback, what is not /metrics is for those only who ask for a host of the loopback: another's page that
 * has its own name point here gets nothing. Returns an exit status; what fails is said.
 */
int metrics_listen(const char *where, metrics_answer *answer, void *arg);

#endif
