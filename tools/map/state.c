// SPDX-License-Identifier: GPL-2.0-or-later
/* state.c - see state.h. */
#include "state.h"

#include "gvmfs/gvm_mount.h"
#include "gvmfs/state/record.h"
#include "tools/fsstats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define HEAD_BYTES (64u << 10)
#define NOTHING_PART 8 /* a cell shows nothing only where less than one chunk in so many is something */

/* Newer than some distributions' headers; the value is the kernel's ABI. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

const struct map_look map_looks[MAP_KINDS] = {
	[MAP_GOING] = {"going", "being written back", 'w', 0xd62728, 160},
	[MAP_COMING] = {"coming", "being fetched", 'f', 0x9467bd, 98},
	[MAP_HOT] = {"hot", "here, and in use again and again", 'H', 0xff7f0e, 208},
	[MAP_HERE] = {"here", "here, in use", 'h', 0x2ca02c, 34},
	[MAP_ONLY] = {"only", "here only: new, or zero", 'd', 0xbcbd22, 142},
	[MAP_CACHED] = {"cached", "in the page cache", 'm', 0x17becf, 38},
	[MAP_COLD] = {"cold", "here, and goes next", 'c', 0x98df8a, 114},
	[MAP_NODES] = {"nodes", "on the nodes", 'n', 0x1f77b4, 25},
	[MAP_UNKNOWN] = {"unknown", "not open here for writing: not known", '?', 0x7f7f7f, 244},
	[MAP_NOTHING] = {"nothing", "zero, takes no room", '.', 0xe8e8e8, 236},
};

static enum map_kind kind_of(char letter)
{
	for (unsigned k = 0; k < MAP_KINDS; k++)
		if (map_looks[k].letter == letter)
			return (enum map_kind)k;
	return MAP_UNKNOWN;
}

/* ---- the head */

static int address_add(struct map_state *s, const char *address)
{
	char **more = reallocarray(s->nodes, s->node_count + 1, sizeof(*more)), *copy = more ? strdup(address) : NULL;

	if (more)
		s->nodes = more;
	if (!copy)
		return -ENOMEM;
	s->nodes[s->node_count++] = copy;
	return 0;
}

/* "0 1,2 0 ...": the nodes of each slot. */
static int slots_take(struct map_state *s, char *text)
{
	char *save, *inner, *slot = strtok_r(text, " ", &save);

	s->slots = calloc(RECORD_SLOTS, 2 * sizeof(*s->slots));
	if (!s->slots)
		return -ENOMEM;
	for (; slot && s->slot_count < RECORD_SLOTS; slot = strtok_r(NULL, " ", &save)) {
		uint64_t *bits = &s->slots[2 * s->slot_count++];

		for (char *n = strtok_r(slot, ",", &inner); n; n = strtok_r(NULL, ",", &inner)) {
			unsigned long node = strtoul(n, NULL, 10);

			if (node < RECORD_NODES_MAX)
				bits[node / 64] |= 1ull << node % 64;
		}
	}
	return 0;
}

static int head_take(const char *path, struct map_state *s)
{
	char *text = malloc(HEAD_BYTES), *save;
	ssize_t n = text ? getxattr(path, GVM_XATTR_MAP, text, HEAD_BYTES - 1) : -1;
	int rc = !text ? -ENOMEM : n < 0 ? -errno : 0;

	if (text)
		text[n < 0 ? 0 : n] = '\0';
	for (char *line = rc ? NULL : strtok_r(text, "\n", &save); line && !rc; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "chunks ", 7))
			s->chunks = strtoull(line + 7, NULL, 10);
		else if (!strncmp(line, "node ", 5))
			rc = address_add(s, line + 5);
		else if (!strncmp(line, "slots", 5))
			rc = slots_take(s, line + 5);
	}
	free(text);
	return rc;
}

/* ---- the chunks */

/* The region may change its size meanwhile: what it lacks then is nothing. */
static int windows_take(const char *path, struct map_state *s)
{
	char name[64], text[GVM_MAP_CHUNKS];

	memset(s->kind, MAP_NOTHING, s->chunks);
	for (uint64_t c = 0; c < s->chunks; c += GVM_MAP_CHUNKS) {
		ssize_t n;

		snprintf(name, sizeof(name), "%s.%llu", GVM_XATTR_MAP, (unsigned long long)(c / GVM_MAP_CHUNKS));
		n = getxattr(path, name, text, sizeof(text));
		if (n < 0 && errno != ENODATA)
			return -errno;
		for (ssize_t i = 0; i < n && c + (uint64_t)i < s->chunks; i++)
			s->kind[c + (uint64_t)i] = (uint8_t)kind_of(text[i]);
	}
	return 0;
}

struct cached {
	uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

static int cached_get(int fd, uint64_t first, uint64_t chunks, struct cached *cached)
{
	uint64_t range[] = {first * GVM_CHUNK_BYTES, chunks * GVM_CHUNK_BYTES};

	return syscall(SYS_cachestat, fd, range, cached, 0) ? -errno : 0;
}

/* Of a file that is mapped: gvmfs does not know what the page cache has. */
static void cache_take(int fd, struct map_state *s)
{
	struct cached cached;

	for (uint64_t c = 0; c < s->chunks; c += GVM_MAP_CHUNKS) {
		uint64_t end = c + GVM_MAP_CHUNKS < s->chunks ? c + GVM_MAP_CHUNKS : s->chunks;

		if (cached_get(fd, c, end - c, &cached)) {
			s->cache_unknown = true;
			return;
		}
		for (uint64_t i = c; cached.cache && i < end; i++) {
			struct cached one;

			if (cached_get(fd, i, 1, &one) || !one.cache || s->kind[i] == MAP_GOING)
				continue;
			s->kind[i] = one.dirty || one.writeback ? MAP_GOING : MAP_CACHED;
		}
	}
}

/* Chunk c lies in slot c % slot_count: once over all chunks, however many nodes there are. */
static int slots_count(struct map_state *s)
{
	s->slot_chunks = calloc(s->slot_count + 1, sizeof(*s->slot_chunks));
	if (!s->slot_chunks)
		return -ENOMEM;
	for (uint64_t c = 0, slot = 0; s->slot_count && c < s->chunks; c++) {
		s->slot_chunks[slot] += s->kind[c] != MAP_NOTHING && s->kind[c] != MAP_ONLY;
		slot = slot + 1 < s->slot_count ? slot + 1 : 0;
	}
	return 0;
}

int map_state_get(const char *path, struct map_state *s)
{
	char stats[FSSTATS_TEXT];
	struct stat st;
	int rc, fd;

	memset(s, 0, sizeof(*s));
	if (stat(path, &st))
		return -errno;
	rc = S_ISREG(st.st_mode) ? fsstats_read(path, stats) : -EOPNOTSUPP;
	if (!rc)
		rc = head_take(path, s);
	s->size_bytes = (uint64_t)st.st_size;
	if (!rc) {
		s->kind = malloc(s->chunks + 1);
		rc = s->kind ? windows_take(path, s) : -ENOMEM;
	}
	/* One more reader would keep a guest from the fast path, so that only a file that is in use otherwise is opened. */
	if (!rc && !fsstats_get(stats, "fast") && fsstats_get(stats, "opens")) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			cache_take(fd, s);
			close(fd);
		}
	}
	if (!rc)
		rc = slots_count(s);
	if (rc)
		map_state_free(s);
	return rc;
}

void map_state_free(struct map_state *s)
{
	for (unsigned i = 0; i < s->node_count; i++)
		free(s->nodes[i]);
	free(s->nodes);
	free(s->slots);
	free(s->slot_chunks);
	free(s->kind);
	memset(s, 0, sizeof(*s));
}

/* ---- sums */

void map_count(const struct map_state *s, uint64_t counts[MAP_KINDS])
{
	memset(counts, 0, MAP_KINDS * sizeof(*counts));
	for (uint64_t c = 0; c < s->chunks; c++)
		counts[s->kind[c]]++;
}

uint64_t map_node_chunks(const struct map_state *s, unsigned node)
{
	uint64_t chunks = 0;

	for (unsigned slot = 0; slot < s->slot_count; slot++)
		if (s->slots[2 * slot + node / 64] >> node % 64 & 1)
			chunks += s->slot_chunks[slot];
	return chunks;
}

enum map_kind map_cell(const struct map_state *s, uint64_t first, uint64_t end)
{
	uint64_t counts[MAP_KINDS] = {0}, some;
	enum map_kind best = MAP_NOTHING;

	for (uint64_t c = first; c < end; c++)
		counts[s->kind[c]]++;
	some = end - first - counts[MAP_NOTHING];
	if (some * NOTHING_PART < end - first || !some)
		return MAP_NOTHING;
	for (unsigned k = MAP_NOTHING; k-- > 0;)
		if (counts[k] && (best == MAP_NOTHING || counts[k] >= counts[best]))
			best = (enum map_kind)k;
	return best;
}
