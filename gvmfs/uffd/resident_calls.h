/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resident_calls.h - the functions of one struct resident_env (resident_env.h): gvmfs has them in
 * resident_env.c, resident_client.c, resident_nodes.c and resident_open.c, a simulator in files of its own. */
#ifndef GVMFS_RESIDENT_CALLS_H
#define GVMFS_RESIDENT_CALLS_H

#include "state/journal.h"

#include <stdbool.h>
#include <stdint.h>

struct flush;
struct resident;
struct resident_fetch;

/* Around a call by which a client, or a stranger, can hold this thread up: others may have the front's role meanwhile. In the
 * region's turn. */
void resident_call_begin(struct resident *r);
void resident_call_end(struct resident *r);

int env_copy(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk, bool wake,
	     unsigned *done);
int env_copy_hidden(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk,
		    unsigned *done);
int env_map(struct resident *r, uint64_t c, unsigned first, unsigned n);
void env_wake(struct resident *r, uint64_t c, unsigned first, unsigned n);
void env_wake_all(struct resident *r);
int env_poison(struct resident *r, uint64_t c, unsigned page);
bool env_memory_alive(struct resident *r);
bool env_uffd_alive(struct resident *r); /* may wait for a lock that the client holds */
uint32_t env_pins(const struct resident *r, uint64_t c);
int env_punch(struct resident *r, uint64_t off, uint64_t bytes);
int env_write(struct resident *r, const void *data, uint64_t off, uint64_t bytes);
void env_read(struct resident *r, void *to, uint64_t off, uint64_t bytes);
bool env_data(struct resident *r, enum session_fd which, uint64_t *begin, uint64_t *end);
void env_mark32(struct resident *r, uint32_t *where, uint32_t value);
void env_mark64(struct resident *r, uint64_t *where, uint64_t value);
int env_zap(struct resident *r, uint64_t seq, uint64_t off, uint64_t bytes);
int env_give(struct resident *r);
void env_abort(struct resident *r, const char *why);
void env_unwatch(struct resident *r);
void env_get(struct resident *r, struct resident_fetch *f, unsigned want_page);
void env_hurry(struct resident *r, struct resident_fetch *f);
void env_gather(struct resident *r, bool on);
void env_get_cancel(struct resident *r, struct resident_fetch *f);
void env_send(struct resident *r, struct flush *f);
void env_index(struct resident *r, uint64_t c, uint64_t entry);
void env_seals_set(struct resident *r, const struct flush *f);
uint64_t env_deadline(const struct resident *r);
const char *env_name(const struct resident *r);
uint64_t env_epoch(const struct resident *r);
bool env_failed(const struct resident *r);
bool env_unwanted(const struct resident *r);
void env_changed(struct resident *r);
void env_report(struct resident *r, uint64_t c, const char *what, int error);
void env_fail(struct resident *r, uint64_t c, int error);
void env_close(struct resident *r);
uint64_t env_now(const struct resident *r);

/* Of a struct resident_env. */
#define RESIDENT_ENV \
	{ \
		.copy = env_copy, \
		.copy_hidden = env_copy_hidden, \
		.map = env_map, \
		.wake = env_wake, \
		.wake_all = env_wake_all, \
		.poison = env_poison, \
		.memory_alive = env_memory_alive, \
		.pins = env_pins, \
		.punch = env_punch, \
		.write = env_write, \
		.read = env_read, \
		.data = env_data, \
		.mark32 = env_mark32, \
		.mark64 = env_mark64, \
		.zap = env_zap, \
		.give = env_give, \
		.abort = env_abort, \
		.unwatch = env_unwatch, \
		.get = env_get, \
		.hurry = env_hurry, \
		.gather = env_gather, \
		.get_cancel = env_get_cancel, \
		.send = env_send, \
		.index = env_index, \
		.seals_set = env_seals_set, \
		.deadline = env_deadline, \
		.name = env_name, \
		.epoch = env_epoch, \
		.failed = env_failed, \
		.unwanted = env_unwanted, \
		.changed = env_changed, \
		.report = env_report, \
		.fail = env_fail, \
		.close = env_close, \
		.now = env_now, \
	}

#endif
