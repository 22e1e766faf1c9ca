/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rlimits.h - resource limits that a shell or a service manager starts gvmfs with.
 *
 * What gvmfs holds in memory (its journal, regions on the fast path) counts as files, which a limit of
 * their size (ulimit -f) is not meant for.
 */
#ifndef GVMFS_RLIMITS_H
#define GVMFS_RLIMITS_H

/* At the start: raises soft limits that are in the way, and has too large a file fail with EFBIG instead of
 * ending the process. */
void limits_lift(void);

/* Which limit may be behind an error, to be put behind its text: " (ulimit -n)", or "". */
const char *limits_hint(int err);

#endif
