// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A mapped file, touched as a guest touches its RAM: plain loads and stores, no advice given.
 *
 * Before a cold measurement the file's pages are written back and dropped; what is still resident
 * then (mincore) is not counted as cold.
 */
#include "touch.h"

#include "child.h"
#include "data.h"
#include "memnode/file.h"
#include "memnode/gvm_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILL_BYTES (1u << 20)

static double mb_per_s(uint64_t bytes, uint64_t ns)
{
	return ns ? (double)bytes * 1e3 / (double)ns : 0;
}

static int do_fill(struct touch *t)
{
	uint8_t *piece = malloc(FILL_BYTES);
	int rc = piece ? 0 : -ENOMEM;

	t->fd = open(t->file->path, O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		rc = -errno;
	for (uint64_t at = 0; !rc && at < t->file->bytes; at += FILL_BYTES) {
		bench_data_fill(piece, FILL_BYTES, t->seed + at);
		rc = file_pwrite(t->fd, piece, FILL_BYTES, at);
	}
	if (!rc && fsync(t->fd))
		rc = -errno;
	free(piece);
	return rc;
}

static int do_random(struct touch *t)
{
	struct answer *a = t->answer;

	a->count = faults_random(t->map, t->file->bytes, t->faults, t->seed, a->latency_ns);
	return a->count ? 0 : -ENODATA;
}

static int do_seq(struct touch *t)
{
	uint64_t sum = 0, from = gvm_now_ns();

	for (uint64_t at = 0; at < t->bytes; at += PAGE_BYTES)
		sum += *(const volatile uint64_t *)(t->map + at);
	t->answer->value = mb_per_s(t->bytes, gvm_now_ns() - from);
	t->answer->count = (unsigned)sum;
	return 0;
}

/* Every page is there and clean: what is measured is dirtying it and getting it out again. The fast
 * path's memory is no page of the file to the kernel: there fsync() is what sends it. */
static int do_write(struct touch *t)
{
	uint8_t *data = malloc(t->bytes);
	uint64_t from;

	if (!data)
		return -ENOMEM;
	bench_data_fill(data, t->bytes, t->seed);
	for (uint64_t at = 0; at < t->bytes; at += PAGE_BYTES)
		t->answer->count += t->map[at];
	from = gvm_now_ns();
	memcpy(t->map, data, t->bytes);
	if (t->file->fast ? fsync(t->fd) : msync(t->map, t->bytes, MS_SYNC))
		return -errno;
	t->answer->value = mb_per_s(t->bytes, gvm_now_ns() - from);
	free(data);
	return 0;
}

static int do_again(struct touch *t)
{
	uint64_t pages = t->bytes / PAGE_BYTES, state = t->seed, until, from, now, n = 0;

	for (uint64_t at = 0; at < t->bytes; at += PAGE_BYTES)
		t->answer->count += t->map[at];
	from = gvm_now_ns();
	until = from + t->ms * 1000000ull;
	do {
		for (unsigned i = 0; i < 16; i++, n++) {
			uint64_t r = bench_random(&state);
			volatile uint64_t *at = (void *)(t->map + (r >> 8) % pages * PAGE_BYTES);

			if (r & 3)
				t->answer->count += (unsigned)*at;
			else
				*at = r;
		}
		now = gvm_now_ns();
	} while (now < until);
	t->answer->value = (double)n * 1e9 / (double)(now - from);
	return 0;
}

/* A chunk that gvmfs has unmapped to see whether it is used looks just like one whose page-table
 * entries the process itself has dropped: the next touch finds its pages there. */
static int do_unmapped(struct touch *t)
{
	uint64_t state = t->seed, *latency = t->answer->latency_ns;
	uint32_t *order = order_make(t->faults, &state);

	if (!order)
		return -ENOMEM;
	for (uint64_t at = 0; at < t->bytes; at += PAGE_BYTES)
		t->answer->count += t->map[at];
	if (madvise(t->map, t->bytes, MADV_DONTNEED))
		return -errno;
	for (unsigned i = 0; i < t->faults; i++) {
		uint64_t page = order[i] * (uint64_t)GVM_CHUNK_PAGES +
				bench_random(&state) % GVM_CHUNK_PAGES;
		uint64_t from = gvm_now_ns();

		(void)*(const volatile uint64_t *)(t->map + page * PAGE_BYTES);
		latency[i] = gvm_now_ns() - from;
	}
	free(order);
	t->answer->value = (double)latency_rank(latency, t->faults, 500) / 1e3;
	return 0;
}

int bench_touch_fill(struct bench_file *f, uint64_t seed)
{
	struct touch t = {.file = f, .seed = seed};
	int rc = touch_run_bare(&t, do_fill);

	touch_end(&t);
	return rc;
}

int bench_touch_random(struct bench_file *f, unsigned faults, uint64_t seed, uint64_t *latency_ns,
		       unsigned *count)
{
	struct touch t = {.file = f, .faults = faults, .seed = seed};
	int rc = touch_cool(&t);

	if (!rc)
		rc = touch_run(&t, do_random);
	if (!rc) {
		*count = t.answer->count;
		memcpy(latency_ns, t.answer->latency_ns, *count * sizeof(*latency_ns));
	}
	touch_end(&t);
	return rc;
}

int bench_touch_seq(struct bench_file *f, uint64_t bytes, double *mb_s)
{
	struct touch t = {.file = f, .bytes = bytes};
	int rc = touch_cool(&t);

	return rc ? rc : touch_value(&t, do_seq, mb_s, NULL);
}

int bench_touch_write(struct bench_file *f, uint64_t bytes, uint64_t seed, double *mb_s)
{
	struct touch t = {.file = f, .bytes = bytes, .seed = seed};
	int rc = f->fast ? touch_cool(&t) : 0; /* for the budget */

	return rc ? rc : touch_value(&t, do_write, mb_s, NULL);
}

int bench_touch_again(struct bench_file *f, uint64_t bytes, unsigned ms, uint64_t seed,
		      struct memcg *cg, double *per_s)
{
	struct touch t = {.file = f,
			  .bytes = bytes,
			  .ms = ms,
			  .seed = seed,
			  .cg = f->fast ? NULL : cg,
			  .budget_bytes = bytes / 4};
	int rc = touch_cool(&t);

	return rc ? rc : touch_value(&t, do_again, per_s, NULL);
}

int bench_touch_unmapped(struct bench_file *f, unsigned chunks, uint64_t seed, double *us)
{
	struct touch t = {.file = f,
			  .bytes = (uint64_t)chunks * GVM_CHUNK_BYTES,
			  .faults = chunks,
			  .seed = seed};
	int rc = touch_cool(&t);

	return rc ? rc : touch_value(&t, do_unmapped, us, NULL);
}
