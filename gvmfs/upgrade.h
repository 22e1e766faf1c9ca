/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * upgrade.h - the supervisor's part of gvm upgrade (gvm_upgrade.h): takes one request at a time, and has a child try
 * whether the new program could take over. It never waits.
 */
#ifndef GVMFS_UPGRADE_H
#define GVMFS_UPGRADE_H

#include "gvm_upgrade.h"
#include "will.h"

#include <poll.h>

struct upgrade {
	int listener; /* -1: no requests can come */
	int asker;    /* -1: none is under way */
	int program;  /* the new one; -1: not received yet */
	pid_t probe;  /* 0: none runs */
	int output;   /* of the probe */
	pid_t left;   /* a probe that was killed and still exists: no request is taken meanwhile; 0: none */
	uint64_t until_ns;
	unsigned said_bytes;
	char said[GVM_UPGRADE_TEXT];
};

/* Listens for requests to the mount on this device. Without that the mount goes on. */
void upgrade_open(struct upgrade *u, dev_t dev);
/* Closes what a child of the supervisor has of it. */
void upgrade_leave(struct upgrade *u);
/* Removes the socket's name; also in a worker whose supervisor was killed. */
void upgrade_close(dev_t dev);
/* Whether the supervisor of the mount on this device, which listens for requests, has ended. (Its worker removes the name when
 * it has seen that.) */
bool upgrade_is_left(dev_t dev);
/* What to wait for, two descriptors; and until when, in milliseconds (-1: for ever). */
void upgrade_poll(const struct upgrade *u, struct pollfd p[2]);
int upgrade_look_ms(const struct upgrade *u);
/* Does what is due. `why_not`: why none can be now; NULL: one can. `will`: for the probe, which reads the journal. True: the
 * new program is fit, and is to be executed. */
bool upgrade_turn(struct upgrade *u, const char *why_not, struct will *will);
/* Tells the asker, and ends the request if that was DONE or FAILED. */
void upgrade_say(struct upgrade *u, enum gvm_upgrade_what what, const char *text);
/* In the probe: whether this program can take over. `seal_id`: of the key that it has read; 0: none. An exit status; why not
 * was said. */
int upgrade_probe(const struct will *w, uint64_t seal_id);

#endif
