// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_vcpu.c - a connection between two QEMUs of one guest, of which one is hostile.
 *
 * Input: mode u8, then frames, each with how many bytes u16. 0: a stranger's, in a handshake with a
 * node that accepts (mode & 4: that connects). 1: those of a peer that has the key, sealed; the
 * first byte of each is a change (0: none) of what was sealed.
 *
 * fuzz-sources: qemu/vcpu_wire.c qemu/vcpu_map.c qemu/vcpu_seal.c qemu/vcpu_link.c memnode/hkdf.c
 * fuzz-libs: -lcrypto -Iqemu -Imemnode
 */
#include "fuzz.h"
#include "qemu/vcpu_link.h"

#include <errno.h>

static struct vcpu_map map;
static struct vcpu_self self[2];

static void world_init(void)
{
	char error[VCPU_MAP_ERROR_BYTES];

	FUZZ_CHECK(!vcpu_map_parse("0-3@0;4-7@1", &map, error));
	for (unsigned node = 0; node < 2; node++) {
		self[node].node = (uint16_t)node;
		self[node].map = &map;
		FUZZ_CHECK(!vcpu_key_extract("0123456789abcdef", 16, self[node].prk));
	}
}

/* There is one way to write a frame, and none but a valid one says how much it brings. */
static void check_frame(const uint8_t *bytes, const struct vcpu_frame *f, unsigned to)
{
	uint8_t again[VCPU_FRAME_MAX];
	size_t count = vcpu_frame_encode(f, again);

	FUZZ_CHECK(count == (size_t)vcpu_frame_bytes(bytes) && !memcmp(again, bytes, count));
	if (!vcpu_frame_valid(f, to))
		return;
	FUZZ_CHECK(vcpu_type_name(f->type) && f->from != to);
	if (f->type == VCPU_IO_READ || f->type == VCPU_IO_WRITE) {
		unsigned all = vcpu_frame_count(f) * vcpu_frame_size(f);

		FUZZ_CHECK(all && all <= VCPU_BODY_MAX);
		FUZZ_CHECK(f->type == VCPU_IO_READ || all == f->body_bytes);
	}
	if (vcpu_map_frame_fits(&map, f, to))
		FUZZ_CHECK(f->cpu < map.cpus);
}

static void stranger(struct fuzz_input *in, bool connecting)
{
	uint8_t out[VCPU_FRAME_MAX];
	char why[VCPU_WHY_BYTES];
	struct vcpu_link link;
	int err = vcpu_link_init(&link, &self[connecting], connecting, 0);

	FUZZ_CHECK(!err);
	memset(link.hello_sent + 16, 7, VCPU_NONCE_BYTES);
	while (!err && in->left) {
		size_t count = fuzz_take(in, 2), out_bytes;
		uint8_t *bytes = fuzz_take_copy(in, &count);
		struct vcpu_frame f;
		int whole;

		if (count >= VCPU_HEAD_BYTES) {
			vcpu_store_le(bytes, count - VCPU_HEAD_BYTES, 2);
			whole = vcpu_link_bytes(&link, bytes);
			FUZZ_CHECK(whole == -EBADMSG || (size_t)whole == count);
			if (whole > 0) {
				vcpu_frame_decode(bytes, &f);
				check_frame(bytes, &f, link.self->node);
				*why = 0;
				err = vcpu_link_greet(&link, bytes, out, &out_bytes, why);
				FUZZ_CHECK(!err || *why);
				FUZZ_CHECK(link.state != VCPU_UP); /* nobody guesses a proof */
			}
		}
		free(bytes);
	}
	vcpu_link_deinit(&link);
}

static void links_up(struct vcpu_link *out, struct vcpu_link *in)
{
	uint8_t a[VCPU_FRAME_MAX], b[VCPU_FRAME_MAX];
	char why[VCPU_WHY_BYTES];
	size_t bytes;

	FUZZ_CHECK(!vcpu_link_init(out, &self[1], true, 0) &&
		   !vcpu_link_init(in, &self[0], false, 0));
	vcpu_link_hello(out, a);
	FUZZ_CHECK(!vcpu_link_greet(in, a, b, &bytes, why) &&
		   !vcpu_link_greet(out, b, a, &bytes, why));
	FUZZ_CHECK(!vcpu_link_greet(in, a, b, &bytes, why) &&
		   !vcpu_link_greet(out, b, a, &bytes, why));
	FUZZ_CHECK(in->state == VCPU_UP && out->state == VCPU_UP);
}

static void liar(struct fuzz_input *input)
{
	struct vcpu_link out, in;
	int err = 0;

	links_up(&out, &in);
	while (!err && input->left) {
		unsigned change = (unsigned)fuzz_take(input, 1);
		size_t count = fuzz_take(input, 2);
		uint8_t *plain = fuzz_take_copy(input, &count), *sealed;
		struct vcpu_frame f, was;
		int whole;

		if (count < VCPU_HEAD_BYTES || count > VCPU_HEAD_BYTES + VCPU_BODY_MAX) {
			free(plain);
			continue;
		}
		vcpu_store_le(plain, count - VCPU_HEAD_BYTES, 2);
		sealed = malloc(VCPU_FRAME_MAX);
		FUZZ_CHECK(sealed);
		whole = vcpu_link_close(&out, plain, count, sealed);
		FUZZ_CHECK(whole == vcpu_link_bytes(&in, sealed));
		if (change)
			sealed[VCPU_CLEAR_BYTES +
			       change * 13u % ((unsigned)whole - VCPU_CLEAR_BYTES)] ^=
				(uint8_t)change;
		err = vcpu_link_open(&in, sealed, (size_t)whole, &f);
		vcpu_frame_decode(plain, &was);
		check_frame(plain, &was, 0);
		if (change)
			FUZZ_CHECK(err == -EILSEQ);
		else
			FUZZ_CHECK(err == (was.from == 1 && vcpu_frame_valid(&was, 0) &&
							   !vcpu_type_is_clear(was.type) &&
							   vcpu_map_frame_fits(&map, &was, 0)
						   ? 0
						   : -EBADMSG));
		free(sealed);
		free(plain);
	}
	vcpu_link_deinit(&out);
	vcpu_link_deinit(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned mode = (unsigned)fuzz_take(&in, 1);

	if (!map.cpus)
		world_init();
	if (mode & 1)
		liar(&in);
	else
		stranger(&in, mode & 4);
	return 0;
}
