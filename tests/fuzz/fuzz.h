/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz.h - what the harnesses share.
 *
 * Each harness is one libFuzzer target. Its line `fuzz-sources:` names what it is linked with, for
 * tests/fuzz/run. Built with replay.c instead of libFuzzer it runs the kept corpus under any
 * compiler.
 */
#ifndef GVM_FUZZ_H
#define GVM_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise broken by some input: ends the process, so that the input is kept. */
#define FUZZ_CHECK(cond)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* The input, taken from the front; zeros where it has ended. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

static inline uint64_t fuzz_take(struct fuzz_input *in, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes && in->left; i++, in->left--)
		v |= (uint64_t)*in->at++ << (8 * i);
	return v;
}

/* A copy of the next `bytes`, or of what there is, exactly as long, for the sanitizer to guard. */
static inline uint8_t *fuzz_take_copy(struct fuzz_input *in, size_t *bytes)
{
	uint8_t *copy;

	if (*bytes > in->left)
		*bytes = in->left;
	copy = malloc(*bytes + !*bytes);
	FUZZ_CHECK(copy);
	memcpy(copy, in->at, *bytes);
	in->at += *bytes;
	in->left -= *bytes;
	return copy;
}

#endif
