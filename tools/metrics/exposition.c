// SPDX-License-Identifier: GPL-2.0-or-later
/* exposition.c - see exposition.h. All samples of a family stand together, below its HELP and TYPE. */
#include "exposition.h"

#include "memnode/file.h"
#include "tools/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A backslash, a quotation mark and a newline are escaped; what is no UTF-8 would make all of the text void. */
static void value_print(FILE *f, const char *value)
{
	for (unsigned n; *value; value += n ? n : 1) {
		n = utf8_bytes(value);
		if (*value == '\\' || *value == '"')
			fputc('\\', f);
		if (*value == '\n')
			fputs("\\n", f);
		else
			fwrite(n ? value : UTF8_REPLACEMENT, 1, n ? n : strlen(UTF8_REPLACEMENT), f);
	}
}

struct metrics_source *metrics_source_add(struct metrics_sources *all, enum metrics_kind kind, const char *label,
					  const char *value, const char *second, const char *second_value)
{
	struct metrics_source *s = calloc(1, sizeof(*s));
	size_t bytes;
	FILE *f = s ? open_memstream(&s->labels, &bytes) : NULL;

	if (!f) {
		free(s);
		return NULL;
	}
	fprintf(f, "%s=\"", label);
	value_print(f, value);
	if (second) {
		fprintf(f, "\",%s=\"", second);
		value_print(f, second_value);
	}
	fputc('"', f);
	if (fclose(f)) {
		free(s->labels);
		free(s);
		return NULL;
	}
	s->kind = kind;
	STAILQ_INSERT_TAIL(all, s, entry);
	return s;
}

void metrics_sources_free(struct metrics_sources *all)
{
	struct metrics_source *s;

	while ((s = STAILQ_FIRST(all))) {
		STAILQ_REMOVE_HEAD(all, entry);
		free(s->labels);
		free(s->stats);
		free(s);
	}
}

static void head_print(FILE *f, enum metrics_kind kind, const char *name, const char *type, const char *help)
{
	const char *of = metrics_kind_names[kind];

	fprintf(f, "# HELP gvm_%s_%s %s.\n# TYPE gvm_%s_%s %s\n", of, name, help, of, name, type);
}

static void sample_print(FILE *f, const struct metrics_source *s, const char *name, double value)
{
	fprintf(f, "gvm_%s_%s{%s} %.17g\n", metrics_kind_names[s->kind], name, s->labels, value);
}

static bool is_counter(enum metrics_type type)
{
	return type == METRICS_COUNTER || type == METRICS_NS_COUNTER;
}

static void family_print(FILE *f, const struct metrics_sources *all, enum metrics_kind kind,
			 const struct metrics_family *family)
{
	const struct metrics_source *s;
	bool begun = false;

	STAILQ_FOREACH(s, all, entry) {
		const char *field = s->kind == kind && s->stats ? text_field(s->stats, family->stat) : NULL;

		if (!field)
			continue;
		if (!begun)
			head_print(f, kind, family->name, is_counter(family->type) ? "counter" : "gauge",
				   family->help);
		begun = true;
		if (family->type == METRICS_NS || family->type == METRICS_NS_COUNTER)
			sample_print(f, s, family->name, (double)strtoull(field, NULL, 10) / 1e9);
		else
			fprintf(f, "gvm_%s_%s{%s} %" PRIu64 "\n", metrics_kind_names[kind], family->name, s->labels,
				(uint64_t)strtoull(field, NULL, 10));
	}
}

/* What gvm metrics itself knows: no line of the counters has it. */
enum own { OWN_UP, OWN_ROUND, OWN_HELD, OWN_LENT, OWN_FREE };

static const struct {
	enum metrics_kind kind;
	const char *name, *help;
	enum own own;
} owns[] = {
	{METRICS_MOUNT, "up", "Whether the mount answers", OWN_UP},
	{METRICS_MOUNT, "lent_bytes", "What the mount's nodes lend", OWN_LENT},
	{METRICS_MOUNT, "free_bytes", "What the mount's nodes can still promise", OWN_FREE},
	{METRICS_REGION, "held_bytes", "What the nodes hold of the region", OWN_HELD},
	{METRICS_NODE, "up", "Whether the node answers", OWN_UP},
	{METRICS_DSM_NODE, "up", "Whether this host has a connection to the node, or is it", OWN_UP},
	{METRICS_NODE, "round_trip_seconds", "How long it took to ask the node for its figures", OWN_ROUND},
};

static double own_value(const struct metrics_source *s, enum own own)
{
	switch (own) {
	case OWN_UP:
		return s->up;
	case OWN_ROUND:
		return (double)s->round_ns / 1e9;
	case OWN_HELD:
		return (double)s->held_bytes;
	case OWN_LENT:
		return (double)s->lent_bytes;
	default:
		return (double)s->free_bytes;
	}
}

static void own_print(FILE *f, const struct metrics_sources *all, unsigned i)
{
	const struct metrics_source *s;
	bool begun = false;

	STAILQ_FOREACH(s, all, entry) {
		if (s->kind != owns[i].kind || (!s->up && owns[i].own != OWN_UP))
			continue;
		if (!begun)
			head_print(f, owns[i].kind, owns[i].name, "gauge", owns[i].help);
		begun = true;
		sample_print(f, s, owns[i].name, own_value(s, owns[i].own));
	}
}

static void histogram_print(FILE *f, const struct metrics_source *s, const char *name, enum latency_stage stage)
{
	const char *of = metrics_kind_names[s->kind];
	uint64_t below = 0;

	for (unsigned b = 0; b < LATENCY_BOUNDS; b++) {
		below += s->waits.count[stage][b];
		/* The half steps are for people: with powers of two a series has half as many samples. */
		if (b % 2 == 0)
			fprintf(f, "gvm_%s_%s_bucket{%s,le=\"%.9g\"} %" PRIu64 "\n", of, name, s->labels,
				(double)latency_bound_ns(b) / 1e9, below);
	}
	below += s->waits.count[stage][LATENCY_BOUNDS];
	fprintf(f, "gvm_%s_%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", of, name, s->labels, below);
	fprintf(f, "gvm_%s_%s_sum{%s} %.17g\n", of, name, s->labels, (double)s->waits.sum_ns[stage] / 1e9);
	fprintf(f, "gvm_%s_%s_count{%s} %" PRIu64 "\n", of, name, s->labels, below);
}

static void histograms_print(FILE *f, const struct metrics_sources *all, enum metrics_kind kind, enum latency_stage stage)
{
	static const char *const names[LATENCY_STAGES] = {[LATENCY_FAULT] = "fault_wait_seconds",
							  [LATENCY_READ] = "read_wait_seconds",
							  [LATENCY_PUT] = "write_back_seconds"};
	const struct metrics_source *s;
	char help[160];
	bool begun = false;

	STAILQ_FOREACH(s, all, entry) {
		if (s->kind != kind || !s->has_waits)
			continue;
		snprintf(help, sizeof(help), "Time of %s", waits_about[stage]);
		if (!begun)
			head_print(f, kind, names[stage], "histogram", help);
		begun = true;
		histogram_print(f, s, names[stage], stage);
	}
}

void metrics_print(FILE *f, const struct metrics_sources *all)
{
	for (unsigned i = 0; i < sizeof(owns) / sizeof(*owns); i++)
		own_print(f, all, i);
	for (unsigned kind = 0; kind < METRICS_KINDS; kind++)
		for (unsigned i = 0; i < metrics_family_count; i++)
			if (metrics_families[i].kinds & 1u << kind)
				family_print(f, all, kind, &metrics_families[i]);
	for (unsigned s = 0; s < LATENCY_STAGES; s++)
		for (unsigned kind = METRICS_MOUNT; kind <= METRICS_REGION; kind++)
			histograms_print(f, all, kind, s);
}
