// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records of 64 bytes: a pointer into one heap, a counter, flags, a little text, and noise. The
 * share of noise sets what lz4 makes of them; a test holds it to about 2.5 : 1.
 */
#include "data.h"

#include <string.h>

#define RECORD_BYTES 64

uint64_t bench_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void bench_data_fill(void *to, uint64_t bytes, uint64_t seed)
{
	static const char words[8][16] = {"node-available-", "page-allocated-", "list-entry-next",
					  "hash-table-slot", "string-literal-", "object-vtable--",
					  "cached-inode---", "socket-buffer--"};
	uint64_t state = seed;
	uint8_t *p = to;

	for (uint64_t i = 0; i + RECORD_BYTES <= bytes; i += RECORD_BYTES, p += RECORD_BYTES) {
		uint64_t r = bench_random(&state), noise = bench_random(&state);
		uint64_t head[3] = {0x00007f3a10000000ull | (r & 0xfffff0), i / RECORD_BYTES,
				    r >> 60};

		memset(p, 0, RECORD_BYTES);
		memcpy(p, head, sizeof(head));
		memcpy(p + 24, words[r >> 32 & 7], 16);
		memcpy(p + 40, &noise, 4);
	}
}
