/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * succession.h - the upgrade of a supervisor: another program takes its process over, with what its will says (will.h), and
 * goes back to the one of before if its worker does not serve.
 */
#ifndef GVMFS_SUCCESSION_H
#define GVMFS_SUCCESSION_H

#include <stdint.h>

struct supervisor;
struct will;

/* Hears those who ask for an upgrade; does not return where one begins. While the new program's first worker has yet to
 * serve: ends it when its time is over. */
void succession_look(struct supervisor *s);
/* The first worker of the new program has ended (`how`: its status), or does not serve: back to the old one. Does not return,
 * but where the old one is gone. */
void succession_failed(struct supervisor *s, int how);
/* The new program's worker serves. (Any worker: nothing happens if no upgrade is under way.) */
void succession_done(struct supervisor *s);
/* Back to the program of before, which starts a worker. Does not return, but where there is none, or it is gone. */
void succession_return(struct supervisor *s, const char *why);

/* ---- the new program */

/* Takes over the journal, if that can be. 0 or a negative errno: nothing has happened. */
int succession_begin(struct supervisor *s, const struct will *w);
/* The descriptors of the will are this program's own, again; `will`: its own one, which is closed. */
void succession_take(struct supervisor *s, const struct will *w, int will);

#endif
