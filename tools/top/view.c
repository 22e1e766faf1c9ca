// SPDX-License-Identifier: GPL-2.0-or-later
/* view.c - see view.h. */
#include "view.h"

#include "memnode/size.h"
#include "tools/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define SHORT_TEXT   16

const char *const top_sort_names[TOP_SORTS] = {[TOP_BY_NAME] = "name",
					       [TOP_BY_FAULTS] = "faults",
					       [TOP_BY_WAIT] = "wait",
					       [TOP_BY_HERE] = "here",
					       [TOP_BY_WRITTEN] = "write-back"};

/* ---- words */

/* "512M", "1.5G": in six columns. */
static const char *size_short(uint64_t bytes, char buf[SHORT_TEXT])
{
	static const char *const units[] = {"", "K", "M", "G", "T", "P", "E"};
	double n = (double)bytes;
	unsigned unit = 0;

	for (; n >= 1000 && unit < 6; unit++)
		n /= 1024;
	snprintf(buf, SHORT_TEXT, unit && n < 9.95 ? "%.1f%s" : "%.0f%s", n, units[unit]);
	return buf;
}

static const char *number_short(double n, char buf[SHORT_TEXT])
{
	if (n < 0)
		snprintf(buf, SHORT_TEXT, "-");
	else
		snprintf(buf, SHORT_TEXT, n >= 1e6 ? "%.1fM" : n >= 9950 ? "%.0fk" : "%.0f",
			 n >= 1e6 ? n / 1e6 : n >= 9950 ? n / 1e3 : n);
	return buf;
}

/* How many columns the character of n bytes takes; -1: it is none, or moves the cursor. */
static int character_columns(const char *text, unsigned n)
{
	wchar_t c = 0;

	if (n == 1)
		return *text < ' ' || *text == 0x7f ? -1 : 1;
	return n && mbrtowc(&c, text, n, &(mbstate_t){0}) == n ? wcwidth(c) : -1;
}

/* A name in exactly so many columns: what is no character, or moves the cursor, is a question mark. */
static void name_fit(const char *name, unsigned columns, char *to)
{
	unsigned used = 0;

	while (*name && used < columns) {
		unsigned n = utf8_bytes(name);
		int width = character_columns(name, n);

		if (width > 0 && used + (unsigned)width <= columns) {
			memcpy(to, name, n);
			to += n;
			used += (unsigned)width;
		} else {
			*to++ = '?';
			used++;
		}
		name += n ? n : 1;
	}
	memset(to, ' ', columns - used);
	to[columns - used] = '\0';
}

static struct top_line *line_new(struct top_lines *l, enum top_look look)
{
	struct top_line *more;

	if (l->count == l->room) {
		more = reallocarray(l->list, l->room + 64, sizeof(*more));
		if (!more)
			return NULL;
		l->list = more;
		l->room += 64;
	}
	l->list[l->count] = (struct top_line){.look = look};
	return &l->list[l->count++];
}

__attribute__((format(printf, 3, 4))) static struct top_line *line_add(struct top_lines *l, enum top_look look,
								       const char *fmt, ...)
{
	struct top_line *line = line_new(l, look);
	va_list ap;

	if (!line)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(line->text, sizeof(line->text), fmt, ap);
	va_end(ap);
	return line;
}

void top_lines_free(struct top_lines *l)
{
	free(l->list);
	*l = (struct top_lines){NULL, 0, 0};
}

/* ---- what happened in between */

static double seconds_between(const struct top_moment *at)
{
	return at->before && at->now->at_ns > at->before->at_ns ? (double)(at->now->at_ns - at->before->at_ns) / 1e9 : 0;
}

struct span {
	const char *now, *before; /* counters; before NULL: not known */
	double seconds;
};

/* How much a counter has grown in that time; -1: not known, or it began anew. */
static double grown(const struct span *s, const char *name)
{
	uint64_t now = fsstats_get(s->now, name), before = s->before ? fsstats_get(s->before, name) : 0;

	return s->before && s->seconds > 0 && now >= before ? (double)(now - before) : -1;
}

static double rate(const struct span *s, const char *name)
{
	double n = grown(s, name);

	return n < 0 ? -1 : n / s->seconds;
}

struct moved {
	struct span span;
	struct waits waits; /* of the time in between; of all before, if that is not known */
	double faults, written; /* a second; -1: not known */
};

static void region_moved(const struct top_moment *at, const struct top_mount *m, const struct top_region *r, struct moved *to)
{
	const struct top_region *before = top_region_find(top_mount_find(at->before, m->path), r->row->name);
	double faults, reads;

	to->span = (struct span){r->row->stats, before ? before->row->stats : NULL, seconds_between(at)};
	faults = rate(&to->span, "faults");
	reads = rate(&to->span, "reads");
	to->faults = faults < 0 || reads < 0 ? -1 : faults + reads;
	to->written = rate(&to->span, "put_bytes");
	if (before && to->faults >= 0)
		waits_since(&r->waits, &before->waits, &to->waits);
	else
		to->waits = r->waits;
}

static enum latency_stage stage_of(const struct top_region *r)
{
	return r->row->fast ? LATENCY_FAULT : LATENCY_READ;
}

/* ---- regions */

struct sortable {
	const struct top_region *region;
	double by;
};

static int by_more(const void *a, const void *b)
{
	const struct sortable *x = a, *y = b;

	return x->by != y->by ? (x->by < y->by ? 1 : -1) : strcmp(x->region->row->name, y->region->row->name);
}

static double sort_value(const struct top_moment *at, const struct top_mount *m, const struct top_region *r, enum top_sort sort)
{
	struct moved moved;

	if (sort == TOP_BY_NAME)
		return 0;
	if (sort == TOP_BY_HERE)
		return (double)r->row->here_bytes;
	region_moved(at, m, r, &moved);
	return sort == TOP_BY_FAULTS ? moved.faults : sort == TOP_BY_WRITTEN ? moved.written :
						      (double)waits_quantile_ns(&moved.waits, stage_of(r), 99);
}

/* How many percent of what was fetched ahead were used: in that time; ever, if nothing was fetched ahead then;
 * -1: nothing ever was. */
static int hits(const struct span *s)
{
	double ahead = grown(s, "prefetched") + grown(s, "replayed"), used = grown(s, "prefetch_used") + grown(s, "replay_used");

	if (ahead <= 0) {
		ahead = (double)(fsstats_get(s->now, "prefetched") + fsstats_get(s->now, "replayed"));
		used = (double)(fsstats_get(s->now, "prefetch_used") + fsstats_get(s->now, "replay_used"));
	}
	if (ahead <= 0)
		return -1;
	return used > ahead ? 100 : (int)(100 * used / ahead); /* one may be used a moment later */
}

static const char *state_short(const struct region_row *row)
{
	return row->settled	? "settled" :
	       row->failed	? "FAILED" :
	       row->nodes_away	? "away" :
	       row->degraded	? "degr." :
	       row->fast	? "fast" :
	       fsstats_get(row->stats, "opens") ? "open" :
				  "";
}

static void region_line(struct top_lines *l, const struct top_moment *at, const struct top_mount *m, const struct top_region *r)
{
	char name[4 * TOP_COLUMNS_MAX], size[SHORT_TEXT], here[SHORT_TEXT] = "-", local[SHORT_TEXT] = "-", faults[SHORT_TEXT];
	char half[WAITS_TEXT], most[WAITS_TEXT], written[SHORT_TEXT] = "-", hit[SHORT_TEXT] = "-";
	const struct region_row *row = r->row;
	struct top_line *line;
	struct moved moved;
	int percent;

	region_moved(at, m, r, &moved);
	percent = hits(&moved.span);
	name_fit(row->name, at->columns - TOP_REGION_COLUMNS, name);
	if (row->fast)
		size_short(row->here_bytes, here);
	if (row->local_bytes)
		size_short(row->local_bytes, local);
	if (moved.written >= 0)
		size_short((uint64_t)moved.written, written);
	if (percent >= 0)
		snprintf(hit, sizeof(hit), "%d", percent);
	line = line_add(l, row->settled ? TOP_PLAIN : row->failed ? TOP_BAD : row->nodes_away || row->degraded ? TOP_WARN : TOP_PLAIN,
			"%s %6s %6s %6s %7s %7s %7s %7s %4s %s", name, size_short(row->size_bytes, size), here, local,
			number_short(moved.faults, faults), waits_text(waits_quantile_ns(&moved.waits, stage_of(r), 50), half),
			waits_text(waits_quantile_ns(&moved.waits, stage_of(r), 99), most), written, hit, state_short(row));
	if (line) {
		line->mount = m;
		line->region = r;
	}
}

static void regions_lines(struct top_lines *l, const struct top_moment *at, const struct top_mount *m, enum top_sort sort)
{
	struct sortable *all = calloc(m->region_count + 1, sizeof(*all));
	char name[4 * TOP_COLUMNS_MAX];

	name_fit("REGION", at->columns - TOP_REGION_COLUMNS, name);
	line_add(l, TOP_HEAD, "%s %6s %6s %6s %7s %7s %7s %7s %4s %s", name, "SIZE", "HERE", "BUDGET", "FAULT/s", "50 %", "99 %",
		 "WRITE/s", "HIT%", "STATE");
	for (unsigned i = 0; all && i < m->region_count; i++)
		all[i] = (struct sortable){&m->regions[i], sort_value(at, m, &m->regions[i], sort)};
	if (all)
		qsort(all, m->region_count, sizeof(*all), by_more);
	for (unsigned i = 0; all && i < m->region_count; i++)
		region_line(l, at, m, all[i].region);
	free(all);
}

/* ---- nodes */

static double node_rate(const struct top_asked *a, uint64_t now, uint64_t before)
{
	return a->before_ns && now >= before ? (double)(now - before) * 1e9 / (double)(a->stat_ns - a->before_ns) : -1;
}

static void node_line(struct top_lines *l, const struct top_moment *at, const struct top_node *n)
{
	const struct top_asked *a = top_nodes_find(at->nodes, n->address);
	char name[4 * TOP_COLUMNS_MAX], lent[SHORT_TEXT] = "-", held[SHORT_TEXT] = "-", free_text[SHORT_TEXT] = "-";
	char ratio[SHORT_TEXT] = "-", round[WAITS_TEXT] = "-", gets[SHORT_TEXT] = "-", puts_text[SHORT_TEXT] = "-";
	const char *state = n->connected ? "connected" : "away";

	name_fit(n->address, at->columns - TOP_NODE_COLUMNS, name);
	if (a && a->error && a->error != -EACCES && n->connected) /* (that is an answer) */
		state = "no answer";
	if (a && a->stat_ns) {
		const struct gvm_node_stat_rsp *s = &a->stat;

		size_short(s->capacity_bytes, lent);
		size_short(s->held_bytes, held);
		size_short(s->promisable_bytes > s->reserved_bytes ? s->promisable_bytes - s->reserved_bytes : 0, free_text);
		if (s->stored_bytes)
			snprintf(ratio, sizeof(ratio), "%.2f", (double)s->nonzero_bytes / (double)s->stored_bytes);
		if (!a->error)
			waits_text(a->round_ns, round);
		number_short(node_rate(a, s->gets, a->before.gets), gets);
		number_short(node_rate(a, s->puts, a->before.puts), puts_text);
	}
	line_add(l, n->connected ? TOP_PLAIN : TOP_WARN, "%s %-9s %6s %6s %6s %6s %7s %6s %6s", name, state, lent, held,
		 free_text, ratio, round, gets, puts_text);
}

static void nodes_lines(struct top_lines *l, const struct top_moment *at, const struct top_mount *m)
{
	const char *why = NULL;
	char name[4 * TOP_COLUMNS_MAX];

	name_fit("NODE", at->columns - TOP_NODE_COLUMNS, name);
	line_add(l, TOP_HEAD, "%s %-9s %6s %6s %6s %6s %7s %6s %6s", name, "STATE", "LENT", "HELD", "FREE", "COMPR.", "ROUND",
		 "GET/s", "PUT/s");
	for (unsigned i = 0; i < m->node_count; i++) {
		const struct top_asked *a = top_nodes_find(at->nodes, m->nodes[i].address);

		node_line(l, at, &m->nodes[i]);
		if (a && a->error && m->nodes[i].connected)
			why = node_reason_text(a->error, &a->reason);
	}
	if (why)
		line_add(l, TOP_WARN, "  figures of nodes: %s", why);
}

/* ---- all */

static void mount_lines(struct top_lines *l, const struct top_moment *at, const struct top_mount *m, enum top_sort sort)
{
	char path[4 * TOP_COLUMNS_MAX + 1], lent[SIZE_TEXT], room[SIZE_TEXT];
	unsigned columns = strlen(m->path) < at->columns ? (unsigned)strlen(m->path) : at->columns;

	name_fit(m->path, columns, path);
	if (m->error) {
		line_add(l, TOP_BAD, "%s: %s", path, fsstats_error(m->error));
		return;
	}
	line_add(l, TOP_TITLE, "%s: %s lent, %s free; %llu errors", path, size_text(m->lent_bytes, lent),
		 size_text(m->free_bytes, room), (unsigned long long)fsstats_get(m->stats, "io_errors"));
	if (m->region_count)
		regions_lines(l, at, m, sort);
	nodes_lines(l, at, m);
}

void top_view_all(struct top_lines *l, const struct top_moment *at, enum top_sort sort)
{
	l->count = 0;
	if (at->now->error)
		line_add(l, TOP_BAD, "the list of mounts cannot be read: %s", strerror(-at->now->error));
	else if (!at->now->count)
		line_add(l, TOP_PLAIN, "gvmfs is not mounted: gvmfs --nodes ADDR:PORT,... DIR");
	for (unsigned i = 0; i < at->now->count; i++) {
		if (i)
			line_add(l, TOP_PLAIN, "%s", "");
		mount_lines(l, at, &at->now->mounts[i], sort);
	}
}

/* ---- one region */

static void rate_line(struct top_lines *l, const struct span *s, const char *what, const char *name, bool bytes)
{
	char now[SHORT_TEXT] = "-", all[SIZE_TEXT];
	double a_second = rate(s, name);

	if (a_second >= 0 && bytes)
		size_short((uint64_t)a_second, now);
	else if (a_second >= 0)
		number_short(a_second, now);
	if (bytes)
		size_text(fsstats_get(s->now, name), all);
	else
		snprintf(all, sizeof(all), "%llu", (unsigned long long)fsstats_get(s->now, name));
	line_add(l, TOP_PLAIN, "  %-40s %8s/s %16s", what, now, all);
}

void top_view_region(struct top_lines *l, const struct top_moment *at, const struct top_mount *m, const struct top_region *r)
{
	static const struct {
		const char *what, *name;
		bool bytes;
	} rates[] = {
		{"faults on the fast path", "faults", false},
		{"of pages that were not here", "page_misses", false},
		{"that had to wait for room", "room_waits", false},
		{"READ requests", "reads", false},
		{"chunks fetched", "chunks_fetched", false},
		{"fetched, as sent", "fetch_bytes", true},
		{"chunks written back", "chunks_written", false},
		{"written back, as sent", "put_bytes", true},
		{"chunks evicted", "evictions", false},
		{"errors", "io_errors", false},
	};
	char name[4 * TOP_COLUMNS_MAX], size[SIZE_TEXT], held[SIZE_TEXT], here[SIZE_TEXT], local[SIZE_TEXT], half[WAITS_TEXT],
		most[WAITS_TEXT], half_all[WAITS_TEXT], most_all[WAITS_TEXT];
	const struct region_row *row = r->row;
	struct moved moved;

	l->count = 0;
	region_moved(at, m, r, &moved);
	name_fit(row->name, at->columns - 2, name);
	line_add(l, TOP_TITLE, "%s", name);
	line_add(l, TOP_PLAIN, "  %s, %s of it held by the nodes; %s%s%s%s", size_text(row->size_bytes, size),
		 size_text(row->held_bytes, held), row->fast ? size_text(row->here_bytes, here) : "mapped as a file, or not at all",
		 row->fast ? " here" : "", row->local_bytes ? " of at most " : "",
		 row->local_bytes ? size_text(row->local_bytes, local) : "");
	line_add(l, row->failed ? TOP_BAD : TOP_PLAIN, "  %s%sopen %llu times", region_row_state(row),
		 *region_row_state(row) ? "; " : "", (unsigned long long)fsstats_get(row->stats, "opens"));
	line_add(l, TOP_HEAD, "  %-20s %8s %8s %8s   %10s %8s %8s", "WAITS", "NOW", "50 %", "99 %", "EVER", "50 %", "99 %");
	for (unsigned s = 0; s < LATENCY_STAGES; s++)
		line_add(l, TOP_PLAIN, "  %-20s %8llu %8s %8s   %10llu %8s %8s", waits_names[s],
			 (unsigned long long)waits_count(&moved.waits, s), waits_text(waits_quantile_ns(&moved.waits, s, 50), half),
			 waits_text(waits_quantile_ns(&moved.waits, s, 99), most), (unsigned long long)waits_count(&r->waits, s),
			 waits_text(waits_quantile_ns(&r->waits, s, 50), half_all),
			 waits_text(waits_quantile_ns(&r->waits, s, 99), most_all));
	line_add(l, TOP_HEAD, "  %-40s %10s %16s", "COUNTED", "NOW", "EVER");
	for (unsigned i = 0; i < sizeof(rates) / sizeof(*rates); i++)
		rate_line(l, &moved.span, rates[i].what, rates[i].name, rates[i].bytes);
}
