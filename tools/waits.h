/* SPDX-License-Identifier: GPL-2.0-or-later */
/* waits.h - how long the users of a mount, or of a region, waited: the extended attribute user.gvm.latency. */
#ifndef TOOLS_WAITS_H
#define TOOLS_WAITS_H

#include "state/latency.h"

#include <json-c/json.h>

struct waits {
	uint64_t count[LATENCY_STAGES][LATENCY_BOUNDS + 1], sum_ns[LATENCY_STAGES];
};

/* Of each stage the name that gvmfs and programs use, and a description for people. */
extern const char *const waits_names[LATENCY_STAGES], *const waits_about[LATENCY_STAGES];

/* Reads those of the mount or region at `path`. 0 or a negative errno; then all are 0. */
int waits_read(const char *path, struct waits *waits);
/* The waits of the same mount or region that ended after `before` was read. */
void waits_since(const struct waits *now, const struct waits *before, struct waits *since);
/* How many there were. */
uint64_t waits_count(const struct waits *waits, enum latency_stage stage);
/* So many percent of the waits took no longer than this; UINT64_MAX: longer than any bound. 0: there were no waits. */
uint64_t waits_quantile_ns(const struct waits *waits, enum latency_stage stage, unsigned percent);

/* "180 us", "4.5 ms": for people; "-" for 0. Returns buf. */
#define WAITS_TEXT 24
char *waits_text(uint64_t ns, char buf[WAITS_TEXT]);
/* The member "latency" of gvm-stat(1). */
struct json_object *waits_json(const struct waits *waits);

#endif
