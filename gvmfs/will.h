/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * will.h - what a supervisor leaves to the program that it executes in its own place, for an upgrade: the numbers of the
 * descriptors that stay open, and what else it knows. In a memfd, whose number the program is given as an option; and once
 * more, with `probe` set, to a child that only looks whether it could take over.
 */
#ifndef GVMFS_WILL_H
#define GVMFS_WILL_H

#include "gvm_upgrade.h"
#include "place.h"
#include "uffd/door.h"
#include "uffd/listener.h"

#include <stdbool.h>
#include <sys/types.h>

#define WILL_MAGIC 0x31306c6c69776d67ull /* changes with the layout, so that another version does not take it */
#define WILL_LEFT  16

struct will {
	uint64_t magic;
	bool probe;
	char folder[PATH_MAX]; /* in which the command line was read */
	int journal, fuse, keeper[2], ready; /* descriptors */
	struct listener listener;
	struct door door;
	struct place_mount own;
	pid_t worker; /* 0: there is none, and one is to be started */
	pid_t left[WILL_LEFT];
	int asker;    /* the connection of gvm upgrade; -1: none */
	int upgrades; /* the listening socket for those */
	int program;  /* the one of before, to go back to; -1: this is it again, since the other one failed: */
	char why[GVM_UPGRADE_TEXT];
};

/* Keeps the command line and the folder, first of all in main(). */
void will_begin(int argc, char **argv);
/* Whether that folder is this one, or below it. */
bool will_folder_is_in(const char *path);
/* Writes a memfd: its descriptor, or a negative errno. */
int will_make(struct will *w);
/* Reads one: 0 or a negative errno (-EPROTO: of another version). */
int will_read(int fd, struct will *w);
/* The will and its descriptors are not for what this program executes. */
void will_close_on_exec(const struct will *w, int fd);
/* Executes the program with the same command line, and the will in front. Its descriptors stay open. Returns only if it
 * cannot: a negative errno. */
int will_execute(int program, int fd, const struct will *w);
/* The program of the will cannot go on: back to the one of before, which says why. Returns if that cannot be, either. */
void will_return(int fd, const char *why);

#endif
