// SPDX-License-Identifier: GPL-2.0-or-later
/* wire_messages.c - headers and messages: what is packed comes back, what is malformed does not. */
#include "check.h"
#include "memnode/gvm_wire.h"

#include <errno.h>

#define SIZE_OF(type, name) +sizeof(gvm_wire_##type)
#define FIELD_FILL(type, name)                                                                     \
	for (size_t i = 0; i < sizeof(m->name); i++)                                               \
		((uint8_t *)&m->name)[i] = (uint8_t)check_random();
#define FIELD_CHECK(type, name) CHECK_MEM(&back->name, &m->name, sizeof(m->name));

/* Every message: packed to its exact size, unpacked from it and from no less. */
#define MESSAGE_TEST(msg, TABLE)                                                                   \
	static void msg##_round_trip(void)                                                         \
	{                                                                                          \
		const size_t size = 0 TABLE(SIZE_OF);                                              \
		struct gvm_##msg *m = calloc(1, sizeof(*m)), *back = calloc(1, sizeof(*back));     \
		uint8_t *bytes = malloc(size), *again = malloc(size);                              \
                                                                                                   \
		CHECK(m && back && bytes && again);                                                \
		TABLE(FIELD_FILL)                                                                  \
		CHECK_EQ(gvm_##msg##_pack(m, bytes), size);                                        \
		CHECK_EQ(gvm_##msg##_unpack(back, bytes, size), size);                             \
		TABLE(FIELD_CHECK)                                                                 \
		CHECK_EQ(gvm_##msg##_pack(back, again), size);                                     \
		CHECK_MEM(again, bytes, size);                                                     \
		for (size_t len = 0; len < size; len++) {                                          \
			uint8_t *cut = malloc(len + !len);                                         \
                                                                                                   \
			CHECK(cut);                                                                \
			memcpy(cut, bytes, len);                                                   \
			CHECK_EQ(gvm_##msg##_unpack(back, cut, len), -EBADMSG);                    \
			free(cut);                                                                 \
		}                                                                                  \
		free(m);                                                                           \
		free(back);                                                                        \
		free(bytes);                                                                       \
		free(again);                                                                       \
	}
GVM_MESSAGES(MESSAGE_TEST)

#define MESSAGE_RUN(msg, TABLE) msg##_round_trip();
static void every_message_comes_back_and_no_cut_one_does(void)
{
	for (unsigned i = 0; i < 20; i++) {
		GVM_MESSAGES(MESSAGE_RUN)
	}
}

static void integers_are_little_endian(void)
{
	struct gvm_get_rsp m = { .version = 0x0807060504030201ull };
	static const uint8_t want[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint8_t buf[8];

	CHECK_EQ(gvm_get_rsp_pack(&m, buf), 8);
	CHECK_MEM(buf, want, 8);
}

static struct gvm_hdr sample(void)
{
	return (struct gvm_hdr){ .op = GVM_OP_PUT,
				 .flags = GVM_FLAG_RESPONSE,
				 .status = 0x1234,
				 .meta_len = 77,
				 .data_len = 131072,
				 .tag = check_random(),
				 .data_check = check_random() };
}

static void header_comes_back(void)
{
	for (unsigned i = 0; i < 200; i++) {
		struct gvm_hdr h = sample(), back;
		uint8_t meta[GVM_META_MAX], bytes[GVM_HDR_BYTES];

		h.meta_len = (uint16_t)check_random_below(GVM_META_MAX + 1);
		for (unsigned k = 0; k < h.meta_len; k++)
			meta[k] = (uint8_t)check_random();
		gvm_hdr_pack(&h, meta, bytes);
		CHECK_EQ(gvm_hdr_unpack(&back, bytes), 0);
		CHECK_EQ(back.op, h.op);
		CHECK_EQ(back.flags, h.flags);
		CHECK_EQ(back.status, h.status);
		CHECK_EQ(back.meta_len, h.meta_len);
		CHECK_EQ(back.data_len, h.data_len);
		CHECK_EQ(back.tag, h.tag);
		CHECK_EQ(back.data_check, h.data_check);
		CHECK_EQ(back.check, h.check);
		CHECK(gvm_meta_check(&back, bytes, meta));
	}
}

/* No bit of the header or of the meta bytes can change unseen. */
static void each_flipped_bit_is_seen(void)
{
	struct gvm_hdr h = sample(), back;
	uint8_t frame[GVM_HDR_BYTES + 77];

	for (unsigned i = 0; i < 77; i++)
		frame[GVM_HDR_BYTES + i] = (uint8_t)check_random();
	gvm_hdr_pack(&h, frame + GVM_HDR_BYTES, frame);
	for (unsigned bit = 0; bit < sizeof(frame) * 8; bit++) {
		uint8_t meta[GVM_META_MAX] = { 0 };

		frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
		memcpy(meta, frame + GVM_HDR_BYTES, 77);
		CHECK(gvm_hdr_unpack(&back, frame) || !gvm_meta_check(&back, frame, meta));
		frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	CHECK(!gvm_hdr_unpack(&back, frame) && gvm_meta_check(&back, frame, frame + GVM_HDR_BYTES));
}

static void byte_refused(uint8_t *bytes, unsigned at, unsigned width, uint64_t value, int error)
{
	uint64_t was = gvm_load_le(bytes + at, width);
	struct gvm_hdr h;

	CHECK(was != value);
	gvm_store_le(bytes + at, value, width);
	CHECK_EQ(gvm_hdr_unpack(&h, bytes), error);
	gvm_store_le(bytes + at, was, width);
}

static void header_that_cannot_be_is_refused(void)
{
	struct gvm_hdr h = sample();
	uint8_t meta[GVM_META_MAX] = { 0 }, bytes[GVM_HDR_BYTES];

	gvm_hdr_pack(&h, meta, bytes);
	byte_refused(bytes, 0, 4, 0x314d5646, -EBADMSG);
	byte_refused(bytes, 0, 4, 0x47564d31, -EBADMSG); /* the other byte order */
	byte_refused(bytes, 0, 4, 0, -EBADMSG);
	byte_refused(bytes, 4, 1, 0, -EPROTONOSUPPORT);
	byte_refused(bytes, 4, 1, GVM_VERSION + 1, -EPROTONOSUPPORT);
	for (unsigned op = 0; op < 256; op++)
		if (!gvm_op_name((uint8_t)op))
			byte_refused(bytes, 5, 1, op, -EBADMSG);
	for (unsigned bit = 3; bit < 8; bit++)
		byte_refused(bytes, 6, 1, 1u << bit, -EBADMSG);
	byte_refused(bytes, 7, 1, 1, -EBADMSG);
	byte_refused(bytes, 10, 2, GVM_META_MAX + 1, -EBADMSG);
	byte_refused(bytes, 10, 2, 0xffff, -EBADMSG);
	byte_refused(bytes, 12, 4, GVM_DATA_MAX + 1, -EBADMSG);
	byte_refused(bytes, 12, 4, 0xffffffff, -EBADMSG);
}

static void statuses_have_a_name_and_an_errno(void)
{
	static const struct {
		uint16_t status;
		int error;
	} table[] = {
		{ GVM_OK, 0 },
		{ GVM_ERR_INVALID, -EINVAL },
		{ GVM_ERR_AUTH, -EACCES },
		{ GVM_ERR_VERSION, -EPROTONOSUPPORT },
		{ GVM_ERR_LOST, -ENOMEDIUM },
		{ GVM_ERR_STALE, -ESTALE },
		{ GVM_ERR_STALE_BASE, -EREMCHG },
		{ GVM_ERR_FENCED, -EKEYREVOKED },
		{ GVM_ERR_BUSY, -EBUSY },
		{ GVM_ERR_NOSPACE, -ENOSPC },
		{ GVM_ERR_EXISTS, -EEXIST },
		{ GVM_ERR_CORRUPT, -EBADMSG },
		{ GVM_ERR_GONE, -EIDRM },
		{ GVM_ERR_WATCHED, -EINPROGRESS },
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++) {
		CHECK_EQ(table[i].status, i);
		CHECK_EQ(gvm_status_errno(table[i].status), table[i].error);
		CHECK(strcmp(gvm_status_name(table[i].status), "UNKNOWN"));
	}
	for (unsigned s = sizeof(table) / sizeof(*table); s < 65536; s++) {
		CHECK_EQ(gvm_status_errno((uint16_t)s), -EPROTO);
		CHECK(!strcmp(gvm_status_name((uint16_t)s), "UNKNOWN"));
	}
}

static void versions_order_by_epoch_then_sequence(void)
{
	CHECK(gvm_version(1, 0) > gvm_version(0, (1ull << GVM_SEQ_BITS) - 1));
	CHECK(gvm_version(5, 7) > gvm_version(5, 6));
	CHECK_EQ(gvm_version(1, 2), 0x10000000002ll);
	CHECK_EQ(gvm_version_epoch(gvm_version(GVM_EPOCH_MAX, 9)), GVM_EPOCH_MAX);
	CHECK_EQ(gvm_version_epoch(gvm_version(77, 9) | GVM_VERSION_ZERO), 77);
	CHECK_EQ(gvm_version(GVM_EPOCH_MAX, (1ull << GVM_SEQ_BITS) - 1), GVM_VERSION_MASK);
}

static const struct check_test tests[] = {
	{ "every-message-comes-back", every_message_comes_back_and_no_cut_one_does },
	{ "integers-are-little-endian", integers_are_little_endian },
	{ "header-comes-back", header_comes_back },
	{ "each-flipped-bit-is-seen", each_flipped_bit_is_seen },
	{ "header-that-cannot-be-is-refused", header_that_cannot_be_is_refused },
	{ "statuses-have-a-name-and-an-errno", statuses_have_a_name_and_an_errno },
	{ "versions-order-by-epoch", versions_order_by_epoch_then_sequence },
};
CHECK_MAIN(tests)
