/* SPDX-License-Identifier: GPL-2.0-or-later */
/* waits.h - how long the users of a mount, or of a region, waited: the extended attribute user.gvm.latency. */
#ifndef TOOLS_WAITS_H
#define TOOLS_WAITS_H

#include "state/latency.h"

#include <json-c/json.h>

struct waits {
	uint64_t count[LATENCY_STAGES][LATENCY_BOUNDS + 1], sum_ns[LATENCY_STAGES];
};

/* Of each stage: as gvmfs names it, and as people are told. */
extern const char *const waits_names[LATENCY_STAGES], *const waits_about[LATENCY_STAGES];

/* 0 or a negative errno: then there are none. */
int waits_read(const char *path, struct waits *waits);
/* What came since `before`, of the same. */
void waits_since(const struct waits *now, const struct waits *before, struct waits *since);
uint64_t waits_count(const struct waits *waits, enum latency_stage stage);
/* So many percent took no longer; UINT64_MAX: than any bound. 0: there were none. */
uint64_t waits_quantile_ns(const struct waits *waits, enum latency_stage stage, unsigned percent);

/* "180 us", "4.5 ms": for people; "-" for 0. Returns buf. */
#define WAITS_TEXT 24
char *waits_text(uint64_t ns, char buf[WAITS_TEXT]);
struct json_object *waits_json(const struct waits *waits);

#endif
