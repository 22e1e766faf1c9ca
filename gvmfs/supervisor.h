/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * supervisor.h - the process that outlives workers: it mounts, keeps /dev/fuse and the journal, and
 * replaces a worker that died.
 */
#ifndef GVMFS_SUPERVISOR_H
#define GVMFS_SUPERVISOR_H

#include "options.h"

/*
 * Mounts and serves until the mount is gone. `parent_fd` (or -1) leads to the process that waits for
 * the start: it gets one byte once the mount answers; if it ends before that, the start ends, too.
 * Returns an exit status.
 */
int supervisor_run(const struct options *opts, int parent_fd);

struct will;
/* In the process of a supervisor that has executed this program: goes on in its place, as its will says, with a worker of this
 * program's. `fd` is the will's. */
int supervisor_succeed(const struct options *opts, const struct will *w, int fd);

#endif
