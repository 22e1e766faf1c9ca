// SPDX-License-Identifier: GPL-2.0-or-later
/* waits.c - see waits.h. */
#include "waits.h"

#include "gvmfs/gvm_mount.h"
#include "json_out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/xattr.h>

const char *const waits_names[LATENCY_STAGES] = {
	[LATENCY_FAULT] = "fault", [LATENCY_READ] = "read", [LATENCY_PUT] = "put"};
const char *const waits_about[LATENCY_STAGES] = {
	[LATENCY_FAULT] = "faults on the fast path whose page was asked of a node, until it was mapped",
	[LATENCY_READ] = "READs of the kernel that were not answered at once, until they were",
	[LATENCY_PUT] = "chunks given to a writer, until their nodes had acknowledged them"};

/* A line "STAGE BOUND COUNT", or "STAGE sum NS". */
static void line_take(const char *line, struct waits *w)
{
	char name[16], bound[24];
	unsigned long long n;
	unsigned s = 0;

	if (sscanf(line, "%15s %23s %llu", name, bound, &n) != 3)
		return;
	while (s < LATENCY_STAGES && strcmp(waits_names[s], name) != 0)
		s++;
	if (s == LATENCY_STAGES)
		return;
	if (!strcmp(bound, "sum"))
		w->sum_ns[s] = n;
	else
		w->count[s][strcmp(bound, "inf") ? latency_bucket(strtoull(bound, NULL, 10)) : LATENCY_BOUNDS] += n;
}

int waits_read(const char *path, struct waits *w)
{
	char text[LATENCY_TEXT + 1];
	ssize_t n = getxattr(path, GVM_XATTR_LATENCY, text, sizeof(text) - 1);

	memset(w, 0, sizeof(*w));
	if (n < 0)
		return -errno;
	text[n] = '\0';
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		line_take(line, w);
	return 0;
}

/* They began anew, or are not known any more: as of a region that was closed meanwhile. */
static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

void waits_since(const struct waits *now, const struct waits *before, struct waits *since)
{
	for (unsigned s = 0; s < LATENCY_STAGES; s++) {
		for (unsigned b = 0; b <= LATENCY_BOUNDS; b++)
			since->count[s][b] = grown(now->count[s][b], before->count[s][b]);
		since->sum_ns[s] = grown(now->sum_ns[s], before->sum_ns[s]);
	}
}

uint64_t waits_count(const struct waits *w, enum latency_stage stage)
{
	uint64_t all = 0;

	for (unsigned b = 0; b <= LATENCY_BOUNDS; b++)
		all += w->count[stage][b];
	return all;
}

uint64_t waits_quantile_ns(const struct waits *w, enum latency_stage stage, unsigned percent)
{
	uint64_t all = waits_count(w, stage), below = 0;

	for (unsigned b = 0; all && b < LATENCY_BOUNDS; b++) {
		below += w->count[stage][b];
		if (below * 100 >= all * percent)
			return latency_bound_ns(b);
	}
	return all ? UINT64_MAX : 0;
}

char *waits_text(uint64_t ns, char buf[WAITS_TEXT])
{
	double us = (double)ns / 1e3;

	if (!ns)
		snprintf(buf, WAITS_TEXT, "-");
	else if (ns == UINT64_MAX)
		snprintf(buf, WAITS_TEXT, "> 8 s");
	else if (us < 1000)
		snprintf(buf, WAITS_TEXT, "%.0f us", us);
	else if (us < 1e6)
		snprintf(buf, WAITS_TEXT, us < 1e4 ? "%.1f ms" : "%.0f ms", us / 1e3);
	else
		snprintf(buf, WAITS_TEXT, "%.1f s", us / 1e6);
	return buf;
}

struct json_object *waits_json(const struct waits *w)
{
	struct json_object *all = json_object_new_object();

	for (unsigned s = 0; s < LATENCY_STAGES; s++) {
		struct json_object *o = json_object_new_object();
		uint64_t p50 = waits_quantile_ns(w, s, 50), p99 = waits_quantile_ns(w, s, 99);

		json_number(o, "count", waits_count(w, s));
		json_number(o, "sum_ns", w->sum_ns[s]);
		json_member(o, "p50_ns", p50 && p50 != UINT64_MAX ? json_object_new_uint64(p50) : NULL);
		json_member(o, "p99_ns", p99 && p99 != UINT64_MAX ? json_object_new_uint64(p99) : NULL);
		json_member(all, waits_names[s], o);
	}
	return all;
}
