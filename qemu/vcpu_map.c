// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_map.c - see vcpu_map.h. */
#include "vcpu_map.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NOWHERE	   VCPU_NODES_MAX /* a vCPU that no part has named yet */
#define NUMBER_MAX 9999u	  /* more digits than any that is right */

static_assert(NOWHERE <= UINT8_MAX, "a node's number has one byte");

struct parse {
	const char *text, *at;
	char *error;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct parse *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->error, VCPU_MAP_ERROR_BYTES, format, args);
	va_end(args);
	return -EINVAL;
}

static int expected(struct parse *p, const char *what)
{
	if (!*p->at)
		return wrong(p, "%s is missing at the end", what);
	if (*p->at < ' ' || *p->at > '~')
		return wrong(p, "%s is missing at character %zu", what, p->at - p->text + 1);
	return wrong(p, "%s is missing at character %zu, '%c'", what, p->at - p->text + 1, *p->at);
}

static int number(struct parse *p, const char *what, unsigned *out)
{
	unsigned n = 0;

	if (*p->at < '0' || *p->at > '9')
		return expected(p, what);
	for (; *p->at >= '0' && *p->at <= '9'; p->at++)
		n = n > NUMBER_MAX ? n : n * 10 + (unsigned)(*p->at - '0');
	*out = n;
	return 0;
}

/* "4" or "4-7": these vCPUs are taken for a part whose node is not known yet. */
static int range(struct parse *p, bool taken[VCPU_CPUS_MAX])
{
	unsigned first = 0, last;
	int err = number(p, "a vCPU's number", &first);

	if (err)
		return err;
	last = first;
	if (*p->at == '-') {
		p->at++;
		err = number(p, "a vCPU's number", &last);
		if (err)
			return err;
	}
	if (last >= VCPU_CPUS_MAX || first >= VCPU_CPUS_MAX)
		return wrong(p, "there can be no more than %u vCPUs, 0 to %u", VCPU_CPUS_MAX,
			     VCPU_CPUS_MAX - 1);
	if (last < first)
		return wrong(p, "%u-%u: the first is the higher one", first, last);
	for (unsigned cpu = first; cpu <= last; cpu++) {
		if (taken[cpu])
			return wrong(p, "vCPU %u is given twice", cpu);
		taken[cpu] = true;
	}
	return 0;
}

/* "0-3,8@0" */
static int part(struct parse *p, struct vcpu_map *map, bool taken[VCPU_CPUS_MAX])
{
	unsigned node = 0;
	int err = range(p, taken);

	while (!err && *p->at == ',') {
		p->at++;
		err = range(p, taken);
	}
	if (err)
		return err;
	if (*p->at != '@')
		return expected(p, "an '@' and a node's number");
	p->at++;
	err = number(p, "a node's number", &node);
	if (err)
		return err;
	if (node >= VCPU_NODES_MAX)
		return wrong(p, "there can be no more than %u nodes, 0 to %u", VCPU_NODES_MAX,
			     VCPU_NODES_MAX - 1);
	for (unsigned cpu = 0; cpu < VCPU_CPUS_MAX; cpu++) {
		if (!taken[cpu] || map->node[cpu] != NOWHERE)
			continue;
		map->node[cpu] = (uint8_t)node;
		if (cpu >= map->cpus)
			map->cpus = cpu + 1;
	}
	if (node >= map->nodes)
		map->nodes = node + 1;
	return 0;
}

static int complete(struct parse *p, const struct vcpu_map *map)
{
	for (unsigned cpu = 0; cpu < map->cpus; cpu++)
		if (map->node[cpu] == NOWHERE)
			return wrong(p, "vCPU %u has no node, and vCPU %u has one", cpu,
				     map->cpus - 1);
	for (unsigned node = 0; node < map->nodes; node++)
		if (!vcpu_map_count(map, node))
			return wrong(p, "node %u has no vCPU, and node %u has one", node,
				     map->nodes - 1);
	return 0;
}

int vcpu_map_parse(const char *text, struct vcpu_map *map, char error[VCPU_MAP_ERROR_BYTES])
{
	struct parse p = {text, text, error};
	bool taken[VCPU_CPUS_MAX] = {false};
	int err;

	memset(map, 0, sizeof(*map));
	memset(map->node, NOWHERE, sizeof(map->node));
	err = part(&p, map, taken);
	while (!err && *p.at == ';') {
		p.at++;
		err = part(&p, map, taken);
	}
	if (!err && *p.at)
		err = expected(&p, "a ';'");
	return err ? err : complete(&p, map);
}

/* The vCPU behind those that run on one node without a gap. */
static unsigned run_end(const struct vcpu_map *map, unsigned cpu)
{
	unsigned end = cpu + 1;

	while (end < map->cpus && map->node[end] == map->node[cpu])
		end++;
	return end;
}

void vcpu_map_text(const struct vcpu_map *map, char text[VCPU_MAP_TEXT_BYTES])
{
	char *at = text, *end = text + VCPU_MAP_TEXT_BYTES;

	*text = 0;
	for (unsigned node = 0; node < map->nodes; node++) {
		const char *before = node ? ";" : "";

		for (unsigned cpu = 0, next; cpu < map->cpus; cpu = next) {
			next = run_end(map, cpu);
			if (map->node[cpu] != node)
				continue;
			at += snprintf(at, (size_t)(end - at), "%s%u", before, cpu);
			if (next - cpu > 1)
				at += snprintf(at, (size_t)(end - at), "-%u", next - 1);
			assert(at < end);
			before = ",";
		}
		at += snprintf(at, (size_t)(end - at), "@%u", node);
		assert(at < end);
	}
}

uint64_t vcpu_map_digest(const struct vcpu_map *map)
{
	char text[VCPU_MAP_TEXT_BYTES];

	vcpu_map_text(map, text);
	return vcpu_digest(text, strlen(text));
}

bool vcpu_map_runs(const struct vcpu_map *map, unsigned node, unsigned cpu)
{
	return cpu < map->cpus && map->node[cpu] == node;
}

unsigned vcpu_map_count(const struct vcpu_map *map, unsigned node)
{
	unsigned count = 0;

	for (unsigned cpu = 0; cpu < map->cpus; cpu++)
		count += map->node[cpu] == node;
	return count;
}

bool vcpu_map_frame_fits(const struct vcpu_map *map, const struct vcpu_frame *frame, unsigned to)
{
	if (frame->from >= map->nodes || to >= map->nodes)
		return false;
	switch (frame->type) {
	case VCPU_IO_READ:
	case VCPU_IO_WRITE:
	case VCPU_APIC:
	case VCPU_EOI:
	case VCPU_ASK:
		return vcpu_map_runs(map, frame->from, frame->cpu);
	case VCPU_IO_DONE:
	case VCPU_IRQ:
	case VCPU_NMI:
	case VCPU_SMI:
	case VCPU_INIT:
	case VCPU_SIPI:
		return vcpu_map_runs(map, to, frame->cpu);
	default:
		return true;
	}
}
