/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connection.h - the worker's connection to the kernel, /dev/fuse: requests are read from it, and libfuse decodes
 * and answers them. Front thread. */
#ifndef GVMFS_CONNECTION_H
#define GVMFS_CONNECTION_H

struct worker;

/* 0 or a negative errno. */
int connection_init(struct worker *w);
/* Takes the connection over from a predecessor. */
void connection_take_over(struct worker *w);
/* Reads and serves one request: 1; 0 when there is none; -ENODEV when the mount is gone. */
int connection_serve(struct worker *w);

#endif
