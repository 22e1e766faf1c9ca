// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm-fill - fills memory with pages whose every byte is known, and checks each of them.
 *
 * What a page holds follows from (seed, page number, generation) alone: a quarter of the pages are
 * zero, a quarter random, and half are made of records that lz4 shrinks to about 1/2.5, like the
 * heap of an ordinary program. So a page that is lost, stale, swapped with another or torn is seen,
 * and none has to be remembered but its generation.
 *
 * A round writes every page, checks every page, then writes one page in four again (in an order
 * that jumps about) and checks all once more. The last line is the verdict; the status is 0 only
 * for "pass".
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { PAGE_BYTES = 4096, RECORD_BYTES = 64, REPORTED_MAX = 8 };

enum page_kind { PAGE_ZERO, PAGE_PACKED, PAGE_RANDOM };

struct fill {
	uint8_t *memory;
	uint32_t *generation; /* of each page */
	uint64_t pages;
	uint64_t seed;
	uint64_t bad;
	uint64_t kinds[3]; /* pages of each kind, at the end */
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static enum page_kind page_make(uint64_t *page, uint64_t seed, uint64_t number, uint32_t generation)
{
	uint64_t state = mix(seed ^ mix(number ^ (uint64_t)generation << 40)) | 1;
	uint64_t choice = state >> 61;
	unsigned i, j;

	if (choice < 2) {
		memset(page, 0, PAGE_BYTES);
		return PAGE_ZERO;
	}
	if (choice < 4) {
		for (i = 0; i < PAGE_BYTES / 8; i++)
			page[i] = next(&state);
		return PAGE_RANDOM;
	}
	/* Records of 16 or 24 bytes of their own; the rest is the page's. */
	for (i = 0; i < PAGE_BYTES / 8; i += RECORD_BYTES / 8) {
		unsigned own = i / (RECORD_BYTES / 8) & 1 ? 3 : 2;

		for (j = 0; j < own; j++)
			page[i + j] = next(&state);
		for (; j < RECORD_BYTES / 8; j++)
			page[i + j] = number * 0x0101010101010101 + j;
	}
	return PAGE_PACKED;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void progress(const char *what, unsigned round, uint64_t done, uint64_t all)
{
	static double last;

	if (done == all || now() - last >= 1) {
		last = now();
		printf("gvm-fill: round %u %s %llu/%llu MiB\n", round, what,
		       (unsigned long long)(done * PAGE_BYTES >> 20),
		       (unsigned long long)(all * PAGE_BYTES >> 20));
	}
}

static void fill_write(struct fill *fill, unsigned round)
{
	uint64_t n;

	for (n = 0; n < fill->pages; n++) {
		page_make((uint64_t *)(fill->memory + n * PAGE_BYTES), fill->seed, n,
			  ++fill->generation[n]);
		if (n % 1024 == 1023 || n + 1 == fill->pages)
			progress("write", round, n + 1, fill->pages);
	}
}

static void fill_dirty(struct fill *fill, unsigned round)
{
	uint64_t some = fill->pages / 4, state = mix(fill->seed + round) | 1, i;

	for (i = 0; i < some; i++) {
		uint64_t n = next(&state) % fill->pages;

		page_make((uint64_t *)(fill->memory + n * PAGE_BYTES), fill->seed, n,
			  ++fill->generation[n]);
		if (i % 1024 == 1023 || i + 1 == some)
			progress("dirty", round, i + 1, some);
	}
}

static void fill_verify(struct fill *fill, unsigned round)
{
	uint64_t expected[PAGE_BYTES / 8], n;

	memset(fill->kinds, 0, sizeof(fill->kinds));
	for (n = 0; n < fill->pages; n++) {
		const uint8_t *page = fill->memory + n * PAGE_BYTES;

		fill->kinds[page_make(expected, fill->seed, n, fill->generation[n])]++;
		if (memcmp(page, expected, PAGE_BYTES)) {
			unsigned at = 0;

			while (page[at] == ((uint8_t *)expected)[at])
				at++;
			if (fill->bad++ < REPORTED_MAX)
				printf("gvm-fill: round %u BAD page %llu generation %u at byte %u: "
				       "%02x, not %02x\n",
				       round, (unsigned long long)n, fill->generation[n], at,
				       page[at], ((uint8_t *)expected)[at]);
		}
		if (n % 1024 == 1023 || n + 1 == fill->pages)
			progress("verify", round, n + 1, fill->pages);
	}
}

/* What the kernel would still give away without pressing anybody. */
static uint64_t memory_available(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib << 10;
}

static void usage(FILE *to)
{
	fputs("usage: gvm-fill [--percent N | --mib N] [--rounds N] [--seed N]\n"
	      "  --percent N  of the memory that is available (default 80)\n"
	      "  --mib N      so much instead\n"
	      "  --rounds N   times to fill and check all of it (default 1)\n"
	      "  --seed N     another content\n",
	      to);
}

static bool number(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return !errno && end != text && !*end && *value <= max;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"percent", required_argument, NULL, 'p'}, {"mib", required_argument, NULL, 'm'},
		{"rounds", required_argument, NULL, 'r'},  {"seed", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},	   {0},
	};
	uint64_t percent = 80, mib = 0, rounds = 1, bytes, available = memory_available();
	struct fill fill = {.seed = 1};
	unsigned round;
	double start;
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		bool ok = true;

		switch (c) {
		case 'p':
			ok = number(optarg, 100, &percent);
			break;
		case 'm':
			ok = number(optarg, 1 << 24, &mib);
			break;
		case 'r':
			ok = number(optarg, 1000000000, &rounds);
			break;
		case 's':
			ok = number(optarg, UINT64_MAX, &fill.seed);
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
		if (!ok) {
			fprintf(stderr, "gvm-fill: '%s' is no number that can be used\n", optarg);
			return 2;
		}
	}
	bytes = mib ? mib << 20 : available / 100 * percent;
	fill.pages = bytes / (PAGE_BYTES + sizeof(*fill.generation));
	if (!fill.pages) {
		fputs("gvm-fill: no memory to fill\n", stderr);
		return 2;
	}
	fill.memory = mmap(NULL, fill.pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill.generation = calloc(fill.pages, sizeof(*fill.generation));
	if (fill.memory == MAP_FAILED || !fill.generation) {
		perror("gvm-fill: memory");
		return 2;
	}
	printf("gvm-fill: %llu MiB of %llu MiB available, seed %llu\n",
	       (unsigned long long)(fill.pages * PAGE_BYTES >> 20),
	       (unsigned long long)(available >> 20), (unsigned long long)fill.seed);
	start = now();
	for (round = 1; round <= rounds; round++) {
		fill_write(&fill, round);
		fill_verify(&fill, round);
		fill_dirty(&fill, round);
		fill_verify(&fill, round);
	}
	printf("gvm-fill: verdict %s: %llu pages (%llu zero, %llu compressible, %llu random), "
	       "%llu bad, %.1f s\n",
	       fill.bad ? "FAIL" : "pass", (unsigned long long)fill.pages,
	       (unsigned long long)fill.kinds[PAGE_ZERO],
	       (unsigned long long)fill.kinds[PAGE_PACKED],
	       (unsigned long long)fill.kinds[PAGE_RANDOM], (unsigned long long)fill.bad,
	       now() - start);
	return fill.bad ? 1 : 0;
}
