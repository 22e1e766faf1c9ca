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

#endif
