/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rlimits.h - the resource limits under which a shell or a service manager starts gvmfs.
 *
 * The memory of gvmfs (its journal, regions on the fast path) counts as files, to which a limit on
 * file sizes (ulimit -f) is not meant to apply.
 */
#ifndef GVMFS_RLIMITS_H
#define GVMFS_RLIMITS_H

/* At the start: raises soft limits that are too low, and makes a file that is too large fail with EFBIG
 * instead of killing the process. */
void limits_lift(void);

/* The limit that may have caused an error, as a suffix for its message: " (ulimit -n)", or "". */
const char *limits_hint(int err);

#endif
