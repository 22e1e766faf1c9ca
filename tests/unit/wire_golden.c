// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * wire_golden.c - the protocol's frames, byte by byte, against golden/frames.hex in both
 * directions. `wire_golden print` writes such a file anew; a change to it is a change of protocol.
 */
#include "golden.h"
#include "memnode/auth.h"
#include "memnode/seal.h"
#include "wire_samples.h"

#include <openssl/evp.h>
#include <xxhash.h>

static const struct gvm_id region = REGION;
static const char key[] = "golden key of 18 b";

/* ---- the data that some frames carry ---- */

#define GOLDEN_LINE 16u
static const char record[] = "any bytes: opaque";

/* Page p of chunk 3 in the golden frames: a line of 16 bytes repeated. Page 31 is all 5a. */
static void page_text(unsigned p, uint8_t *page)
{
	char line[GOLDEN_LINE + 1];

	snprintf(line, sizeof(line), "page %02u, chunk 3", p);
	for (unsigned i = 0; i < GVM_PAGE_BYTES; i++)
		page[i] = p == 31 ? 0x5a : (uint8_t)line[i % GOLDEN_LINE];
}

/*
 * Compresses one page of text as lz4's format wants it, whatever lz4 would make of it: 16 literals,
 * a match 16 bytes back, 16 literals again.
 */
static uint8_t *page_text_pack(unsigned p, uint8_t *to)
{
	uint8_t page[GVM_PAGE_BYTES];
	unsigned match = GVM_PAGE_BYTES - 2 * GOLDEN_LINE - 4 - 15;

	page_text(p, page);
	*to++ = 0xff; /* 15 literals and more, a match of 4 + 15 bytes and more */
	*to++ = GOLDEN_LINE - 15;
	to = (uint8_t *)mempcpy(to, page, GOLDEN_LINE);
	gvm_store_le(to, GOLDEN_LINE, 2);
	to += 2;
	for (; match >= 255; match -= 255)
		*to++ = 255;
	*to++ = (uint8_t)match;
	*to++ = 0xf0;
	*to++ = GOLDEN_LINE - 15;
	return (uint8_t *)mempcpy(to, page, GOLDEN_LINE);
}

/* Adds block b, whose body is from..to, to a head of blocks of two pages; returns `to`. */
static uint8_t *block_add(struct chunk_head *h, unsigned b, const uint8_t *from, uint8_t *to,
			  bool raw)
{
	struct chunk_block *k = &h->block[b];
	uint8_t place[24];
	uint32_t shape = ~h->zero_map >> (2 * b) & 3;

	h->block_mask |= 1u << b;
	k->bytes = (uint32_t)(to - from);
	k->raw = raw;
	h->body_bytes += k->bytes;
	memcpy(place, region.b, 16);
	gvm_store_le(place + 16, CHUNK * 32 + 2 * b, 8);
	k->hash = XXH3_64bits_withSeed(from, k->bytes,
				       XXH3_64bits(place, 24) ^ (shape | (raw ? 256 : 0)));
	return to;
}

/* Before: pages 2, 4 and 31 are not zero. The answer to GET: block 1 first, then 2 and 15. */
static size_t data_get_first(struct chunk_head *h, uint8_t *data)
{
	h->zero_map = ~(1u << 2 | 1u << 4 | 1u << 31);
	h->block_shift = 1;
	return (size_t)(block_add(h, 1, data, page_text_pack(2, data), false) - data);
}

static size_t data_get_rest(struct chunk_head *h, uint8_t *data)
{
	uint8_t *to = page_text_pack(4, data);

	h->zero_map = ~(1u << 2 | 1u << 4 | 1u << 31);
	h->block_shift = 1;
	block_add(h, 2, data, to, false);
	memset(to, 0x5a, GVM_PAGE_BYTES);
	return (size_t)(block_add(h, 15, to, to + GVM_PAGE_BYTES, true) - data);
}

/* The PUT: page 3 written instead of page 2, page 4 now zero. */
static size_t data_put(struct chunk_head *h, uint8_t *data)
{
	h->zero_map = ~(1u << 3 | 1u << 31);
	h->block_shift = 1;
	return (size_t)(block_add(h, 1, data, page_text_pack(3, data), false) - data);
}

static const char seal_key[] = "golden sealing key of 32 bytes !";
static const struct chunk_salt salts[] = {
	{ { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff } },
	{ { 0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2, 0xe1, 0xf0 } },
};

/* As block_add(), then seals it as SEAL.md says: written down apart from seal.c. */
static uint8_t *block_seal(struct chunk_head *h, unsigned b, uint8_t *from, uint8_t *to, bool raw,
			   unsigned salt, uint32_t number, uint64_t version)
{
	struct chunk_block *k = &h->block[b];
	uint8_t of_region[32], block_key[32], nonce[12] = { 0 }, about[20];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	block_add(h, b, from, to, raw);
	h->sealed = true;
	h->salt[salt] = salts[salt];
	k->salt = (uint8_t)salt;
	k->number = number;
	k->version = version;
	CHECK_EQ(seal_region_key(seal_key, sizeof(seal_key) - 1, &region, of_region), 0);
	CHECK_EQ(seal_block_key(of_region, &salts[salt], block_key), 0);
	gvm_store_le(nonce, number, 4);
	gvm_store_le(about, CHUNK, 8);
	gvm_store_le(about + 8, version, 8);
	about[16] = (uint8_t)b;
	about[17] = h->block_shift;
	about[18] = ~h->zero_map >> (2 * b) & 3;
	about[19] = raw;
	CHECK(ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, block_key, nonce) &&
	      EVP_EncryptUpdate(ctx, NULL, &n, about, sizeof(about)) &&
	      EVP_EncryptUpdate(ctx, from, &n, from, (int)k->bytes) &&
	      EVP_EncryptFinal_ex(ctx, about, &n) &&
	      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CHUNK_TAG_BYTES, k->tag));
	EVP_CIPHER_CTX_free(ctx);
	return to;
}

static size_t data_put_sealed(struct chunk_head *h, uint8_t *data)
{
	h->zero_map = ~(1u << 3 | 1u << 31);
	h->block_shift = 1;
	return (size_t)(block_seal(h, 1, data, page_text_pack(3, data), false, 0, 7, VERSION_B) - data);
}

/* What is there then: block 1 of that PUT, and block 15 of another sealer, sent before. */
static size_t data_get_sealed(struct chunk_head *h, uint8_t *data)
{
	uint8_t *to;

	h->zero_map = ~(1u << 3 | 1u << 31);
	h->block_shift = 1;
	to = block_seal(h, 1, data, page_text_pack(3, data), false, 0, 7, VERSION_B);
	memset(to, 0x5a, GVM_PAGE_BYTES);
	return (size_t)(block_seal(h, 15, to, to + GVM_PAGE_BYTES, true, 1, 12, VERSION_A) - data);
}

static size_t data_record(struct chunk_head *h, uint8_t *data)
{
	(void)h;
	memcpy(data, record, sizeof(record) - 1);
	return sizeof(record) - 1;
}

static uint8_t *name_entry_pack(uint8_t *p, const struct gvm_id *id, uint64_t born,
				uint64_t version, uint32_t bytes)
{
	memcpy(p, id->b, 16);
	gvm_store_le(p + 16, sample_name_put_req.table, 8);
	gvm_store_le(p + 24, born, 8);
	gvm_store_le(p + 32, version, 8);
	gvm_store_le(p + 40, bytes, 4);
	memcpy(p + GVM_NAME_ENTRY_BYTES, record, bytes);
	return p + GVM_NAME_ENTRY_BYTES + bytes;
}

/* A horizon, a record, a tombstone. */
static size_t data_name_list(struct chunk_head *h, uint8_t *data)
{
	struct gvm_id horizon = { { 0 } }, gone = sample_name_put_req.key;
	uint8_t *p;

	(void)h;
	gvm_store_le(horizon.b + 8, sample_name_put_req.table, 8);
	gone.b[15]++;
	p = name_entry_pack(data, &horizon, 10, 10, 0);
	p = name_entry_pack(p, &sample_name_put_req.key, sample_name_put_req.born,
			    sample_name_put_req.version, sizeof(record) - 1);
	p = name_entry_pack(p, &gone, 11, 13, 0);
	return (size_t)(p - data);
}

static size_t data_region_list(struct chunk_head *h, uint8_t *data)
{
	static const struct gvm_id second = REGION_2;

	(void)h;
	memcpy(data, second.b, 16);
	gvm_store_le(data + 16, 128, 8);
	gvm_store_le(data + 24, 0x8000, 8);
	return 32;
}

static size_t data_region_index(struct chunk_head *h, uint8_t *data)
{
	(void)h;
	gvm_store_le(data, CHUNK, 8);
	gvm_store_le(data + 8, VERSION_A, 8);
	gvm_store_le(data + 16, 16, 8);
	gvm_store_le(data + 24, (5ull << 40 | 7) | GVM_VERSION_ZERO, 8);
	return 32;
}

static size_t data_region_views(struct chunk_head *h, uint8_t *data)
{
	const struct gvm_region_view_req *view = &sample_region_view_req;

	(void)h;
	gvm_store_le(data, view->slot, 4);
	gvm_store_le(data + 4, view->active, 1);
	gvm_store_le(data + 5, view->number, 8);
	memcpy(data + 13, view->member_0.b, 16);
	memcpy(data + 29, view->member_1.b, 16);
	memcpy(data + 45, view->member_2.b, 16);
	memcpy(data + 61, view->member_3.b, 16);
	return GVM_VIEW_ENTRY_BYTES;
}

static size_t data_region_ids(struct chunk_head *h, uint8_t *data)
{
	static const struct gvm_id second = REGION_2;

	(void)h;
	memcpy(data, region.b, 16);
	memcpy(data + 16, second.b, 16);
	return 32;
}

static size_t data_region_check(struct chunk_head *h, uint8_t *data)
{
	(void)h;
	gvm_store_le(data, CHUNK, 8);
	gvm_store_le(data + 8, VERSION_A, 8);
	gvm_store_le(data + 16, 8, 8);
	gvm_store_le(data + 24, VERSION_A, 8);
	return 2 * GVM_CHECK_ENTRY_BYTES;
}

static size_t data_note(struct chunk_head *h, uint8_t *data)
{
	(void)h;
	memcpy(data, "a start's", 9);
	return 9;
}

/* The second is not known. */
static size_t data_region_held(struct chunk_head *h, uint8_t *data)
{
	(void)h;
	memset(data, 0, 2 * GVM_HELD_ENTRY_BYTES);
	gvm_store_le(data, 1, 1);
	gvm_store_le(data + 1, 5, 8);
	gvm_store_le(data + 9, 128, 8);
	gvm_store_le(data + 17, 0x8000, 8);
	return 2 * GVM_HELD_ENTRY_BYTES;
}

/* ---- the frames ---- */

struct fields {
	const char *name;
	size_t (*pack)(uint8_t *buf);
	size_t (*check)(const uint8_t *buf, size_t len); /* against the sample; bytes taken */
	size_t (*print)(const uint8_t *buf);
};

static void bytes_print(const uint8_t *p, size_t bytes, const char *remark)
{
	size_t column = 0;

	for (size_t i = 0; i < bytes; i++) {
		column += (size_t)printf("%02x", p[i]);
		if (i % 32 == 31 && i + 1 < bytes) {
			printf("\n");
			column = 0;
		}
	}
	printf("%*s # %s\n", column < 32 ? (int)(32 - column) : 0, "", remark);
}

#define FIELD_CHECK(type, name)                                                                    \
	CHECK_MEM(&m.name, &want->name, sizeof(m.name));
#define FIELD_PRINT(type, name)                                                                    \
	bytes_print(buf + at, sizeof(gvm_wire_##type), #type " " #name);                           \
	at += sizeof(gvm_wire_##type);
#define FIELDS(msg, TABLE)                                                                         \
	static size_t pack_##msg(uint8_t *buf)                                                     \
	{                                                                                          \
		return gvm_##msg##_pack(&sample_##msg, buf);                                       \
	}                                                                                          \
	static size_t check_##msg(const uint8_t *buf, size_t len)                                  \
	{                                                                                          \
		const struct gvm_##msg *want = &sample_##msg;                                      \
		struct gvm_##msg m;                                                                \
		int took = gvm_##msg##_unpack(&m, buf, len);                                       \
                                                                                                   \
		CHECK(took > 0);                                                                   \
		TABLE(FIELD_CHECK)                                                                 \
		return (size_t)took;                                                               \
	}                                                                                          \
	static size_t print_##msg(const uint8_t *buf)                                              \
	{                                                                                          \
		size_t at = 0;                                                                     \
                                                                                                   \
		TABLE(FIELD_PRINT)                                                                 \
		return at;                                                                         \
	}                                                                                          \
	static const struct fields fields_##msg = { #msg, pack_##msg, check_##msg, print_##msg };
GVM_MESSAGES(FIELDS)

/* An answer that comes after the PUT. */
static const struct gvm_get_rsp get_rsp_of_put = { .version = VERSION_B };

static size_t pack_get_rsp_of_put(uint8_t *buf)
{
	return gvm_get_rsp_pack(&get_rsp_of_put, buf);
}

static size_t check_get_rsp_of_put(const uint8_t *buf, size_t len)
{
	struct gvm_get_rsp m;
	int took = gvm_get_rsp_unpack(&m, buf, len);

	CHECK_EQ(m.version, VERSION_B);
	return (size_t)took;
}

static const struct fields fields_get_rsp_of_put = { "get_rsp", pack_get_rsp_of_put,
	check_get_rsp_of_put, print_get_rsp };

static const struct frame {
	const char *name;
	uint8_t op;
	uint8_t flags;
	uint16_t status;
	const struct fields *fields;
	size_t (*data)(struct chunk_head *h, uint8_t *data);
	bool has_head;
} frames[] = {
#define FRAME(msg, OP, flags, fields, data) {#msg, GVM_OP_##OP, flags, GVM_OK, fields, data, false}
#define REQ(msg, OP)	     FRAME(msg, OP, 0, &fields_##msg, NULL)
#define REQ_BARE(msg, OP)    FRAME(msg, OP, 0, NULL, NULL)
#define REQ_DATA(msg, OP, d) FRAME(msg, OP, 0, &fields_##msg, d)
#define RSP(msg, OP)	     FRAME(msg, OP, GVM_FLAG_RESPONSE, &fields_##msg, NULL)
#define RSP_BARE(msg, OP)    FRAME(msg, OP, GVM_FLAG_RESPONSE, NULL, NULL)
#define RSP_DATA(msg, OP, d) FRAME(msg, OP, GVM_FLAG_RESPONSE, &fields_##msg, d)
	REQ(hello_req, HELLO),
	RSP(hello_rsp, HELLO),
	REQ(auth_req, AUTH),
	RSP(auth_rsp, AUTH),
	REQ(ping_req, PING),
	RSP(ping_rsp, PING),
	REQ_BARE(node_stat_req, NODE_STAT),
	RSP(node_stat_rsp, NODE_STAT),
	REQ(node_drain_req, NODE_DRAIN),
	RSP(node_drain_rsp, NODE_DRAIN),
	REQ_BARE(node_rot_req, NODE_ROT),
	RSP(node_rot_rsp, NODE_ROT),
	REQ_DATA(name_put_req, NAME_PUT, data_record),
	RSP_BARE(name_put_rsp, NAME_PUT),
	REQ(name_list_req, NAME_LIST),
	RSP_DATA(name_list_rsp, NAME_LIST, data_name_list),
	REQ(name_fence_req, NAME_FENCE),
	RSP_BARE(name_fence_rsp, NAME_FENCE),
	REQ(name_forget_req, NAME_FORGET),
	RSP_BARE(name_forget_rsp, NAME_FORGET),
	REQ(region_create_req, REGION_CREATE),
	RSP_BARE(region_create_rsp, REGION_CREATE),
	REQ(region_open_req, REGION_OPEN),
	RSP(region_open_rsp, REGION_OPEN),
	REQ(region_close_req, REGION_CLOSE),
	RSP_BARE(region_close_rsp, REGION_CLOSE),
	REQ(region_resize_req, REGION_RESIZE),
	RSP_BARE(region_resize_rsp, REGION_RESIZE),
	REQ(region_delete_req, REGION_DELETE),
	RSP_BARE(region_delete_rsp, REGION_DELETE),
	REQ(region_stat_req, REGION_STAT),
	RSP(region_stat_rsp, REGION_STAT),
	REQ(region_list_req, REGION_LIST),
	RSP_DATA(region_list_rsp, REGION_LIST, data_region_list),
	REQ(region_index_req, REGION_INDEX),
	RSP_DATA(region_index_rsp, REGION_INDEX, data_region_index),
	REQ(region_view_req, REGION_VIEW),
	RSP_BARE(region_view_rsp, REGION_VIEW),
	REQ(region_views_req, REGION_VIEWS),
	RSP_DATA(region_views_rsp, REGION_VIEWS, data_region_views),
	REQ_DATA(region_held_req, REGION_HELD, data_region_ids),
	RSP_DATA(region_held_rsp, REGION_HELD, data_region_held),
	REQ(region_check_req, REGION_CHECK),
	RSP_DATA(region_check_rsp, REGION_CHECK, data_region_check),
	REQ_DATA(region_note_req, REGION_NOTE, data_note),
	RSP_BARE(region_note_rsp, REGION_NOTE),
	REQ(region_noted_req, REGION_NOTED),
	RSP_DATA(region_noted_rsp, REGION_NOTED, data_note),
	REQ(get_req, GET),
	{ "get_rsp_first", GVM_OP_GET, GVM_FLAG_RESPONSE | GVM_FLAG_MORE, GVM_OK, &fields_get_rsp,
	  data_get_first, true },
	{ "get_rsp_rest", GVM_OP_GET, GVM_FLAG_RESPONSE, GVM_OK, &fields_get_rsp, data_get_rest,
	  true },
	{ "put_req", GVM_OP_PUT, 0, GVM_OK, &fields_put_req, data_put, true },
	{ "put_req_sealed", GVM_OP_PUT, 0, GVM_OK, &fields_put_req, data_put_sealed, true },
	{ "get_rsp_sealed", GVM_OP_GET, GVM_FLAG_RESPONSE, GVM_OK, &fields_get_rsp_of_put,
	  data_get_sealed, true },
	RSP_BARE(put_rsp, PUT),
	{ "error_rsp", GVM_OP_PUT, GVM_FLAG_RESPONSE, GVM_ERR_STALE_BASE, &fields_error_rsp, NULL,
	  false },
	REQ(discard_req, DISCARD),
	RSP_BARE(discard_rsp, DISCARD),
};
#define FRAMES (sizeof(frames) / sizeof(*frames))

static void macs_fill(void)
{
	CHECK_EQ(auth_mac(key, sizeof(key) - 1, false, &sample_hello_req, &sample_hello_rsp, NULL,
			  &sample_auth_req.mac), 0);
	CHECK_EQ(auth_mac(key, sizeof(key) - 1, true, &sample_hello_req, &sample_hello_rsp, NULL,
			  &sample_auth_rsp.mac), 0);
}

/* Answers carry the tag of their request: 0x100 + the op. */
static uint64_t frame_tag(const struct frame *f)
{
	return 0x100u + f->op;
}

static size_t frame_make(const struct frame *f, uint8_t *frame)
{
	struct chunk_head head = { 0 };
	uint8_t meta[GVM_META_MAX], data[GOLDEN_BYTES_MAX];
	struct gvm_hdr h = { .op = f->op, .flags = f->flags, .status = f->status,
			     .tag = frame_tag(f) };

	macs_fill();
	h.data_len = f->data ? (uint32_t)f->data(&head, data) : 0;
	h.meta_len = f->fields ? (uint16_t)f->fields->pack(meta) : 0;
	if (f->has_head)
		h.meta_len = (uint16_t)(h.meta_len + chunk_head_pack(&head, meta + h.meta_len));
	if (!f->has_head || (head.sealed && !f->flags))
		h.data_check = gvm_data_check(data, h.data_len);
	gvm_hdr_pack(&h, meta, frame);
	memcpy(frame + GVM_HDR_BYTES, meta, h.meta_len);
	memcpy(frame + GVM_HDR_BYTES + h.meta_len, data, h.data_len);
	return GVM_HDR_BYTES + h.meta_len + h.data_len;
}

static void packed_frames_are_golden(void)
{
	static uint8_t made[GOLDEN_BYTES_MAX];

	for (size_t i = 0; i < FRAMES; i++) {
		const struct golden *g = golden_find(frames[i].name);
		size_t bytes = frame_make(&frames[i], made);

		printf("  %s\n", frames[i].name);
		CHECK_MEM(made, g->byte, bytes < g->bytes ? bytes : g->bytes);
		CHECK_EQ(bytes, g->bytes);
	}
}

static void golden_frames_say_what_was_packed(void)
{
	macs_fill();
	for (size_t i = 0; i < FRAMES; i++) {
		const struct frame *f = &frames[i];
		const struct golden *g = golden_find(f->name);
		const uint8_t *meta = g->byte + GVM_HDR_BYTES;
		struct chunk_head head;
		size_t took = 0;
		struct gvm_hdr h;

		printf("  %s\n", f->name);
		CHECK(g->bytes >= GVM_HDR_BYTES);
		CHECK_EQ(gvm_hdr_unpack(&h, g->byte), 0);
		CHECK_EQ(g->bytes, GVM_HDR_BYTES + h.meta_len + h.data_len);
		CHECK(gvm_meta_check(&h, g->byte, meta));
		CHECK_EQ(h.op, f->op);
		CHECK_EQ(h.flags, f->flags);
		CHECK_EQ(h.status, f->status);
		CHECK_EQ(h.tag, frame_tag(f));
		if (f->fields)
			took = f->fields->check(meta, h.meta_len);
		if (!f->has_head) {
			CHECK_EQ(took, h.meta_len);
			CHECK_EQ(h.data_check, gvm_data_check(meta + h.meta_len, h.data_len));
			continue;
		}
		CHECK_EQ(chunk_head_unpack(&head, meta + took, h.meta_len - took), 0);
		CHECK_EQ(head.body_bytes, h.data_len);
		CHECK_EQ(h.data_check, head.sealed && !f->flags ?
					       gvm_data_check(meta + h.meta_len, h.data_len) :
					       0);
		if (!head.sealed)
			CHECK_EQ(chunk_verify(&head, meta + h.meta_len, &region, CHUNK), 0);
	}
}

static void golden_decode(const char *name, uint32_t zero_pages, uint32_t valid_pages,
			  uint8_t *chunk)
{
	const struct golden *g = golden_find(name);
	struct chunk_codec *codec = chunk_codec_create();
	struct chunk_head head;
	struct gvm_hdr h;
	uint32_t valid;
	size_t fields = strcmp(name, "put_req") ? 8 : 48; /* GET's answer has 8 bytes of fields */

	CHECK(codec);
	CHECK_EQ(gvm_hdr_unpack(&h, g->byte), 0);
	CHECK_EQ(chunk_head_unpack(&head, g->byte + GVM_HDR_BYTES + fields, h.meta_len - fields),
		 0);
	CHECK_EQ(chunk_decode(codec, &head, g->byte + GVM_HDR_BYTES + h.meta_len, &region, CHUNK,
			      zero_pages, chunk, &valid), 0);
	CHECK_EQ(valid, valid_pages);
	chunk_codec_destroy(codec);
}

static void golden_chunks_decode_to_their_pages(void)
{
	static uint8_t chunk[GVM_CHUNK_BYTES];
	uint8_t want[GVM_PAGE_BYTES];

	memset(chunk, 0xee, sizeof(chunk));
	golden_decode("get_rsp_first", 0, 3u << 2, chunk);
	golden_decode("get_rsp_rest", ~0u, ~(1u << 2), chunk);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		memset(want, 0, sizeof(want));
		if (p == 2 || p == 4 || p == 31)
			page_text(p, want);
		CHECK_MEM(chunk + p * GVM_PAGE_BYTES, want, sizeof(want));
	}
	golden_decode("put_req", ~0u, 0x7fffffff, chunk);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		memset(want, 0, sizeof(want));
		if (p == 3 || p == 31)
			page_text(p, want);
		CHECK_MEM(chunk + p * GVM_PAGE_BYTES, want, sizeof(want));
	}
}

/* seal.c opens what was sealed apart from it. */
static void golden_sealed_blocks_open(const char *name, size_t fields, uint64_t version, uint32_t pages)
{
	static uint8_t chunk[GVM_CHUNK_BYTES];
	const struct golden *g = golden_find(name);
	struct chunk_codec *codec = chunk_codec_create();
	const struct seal_known nothing = { { 0 } };
	uint8_t want[GVM_PAGE_BYTES];
	struct chunk_head head;
	struct sealer *s;
	struct gvm_hdr h;
	uint32_t valid;

	CHECK(codec && !sealer_create(seal_key, sizeof(seal_key) - 1, &s));
	CHECK_EQ(gvm_hdr_unpack(&h, g->byte), 0);
	CHECK_EQ(chunk_head_unpack(&head, g->byte + GVM_HDR_BYTES + fields, h.meta_len - fields), 0);
	CHECK_EQ(seal_decode(s, codec, &head, g->byte + GVM_HDR_BYTES + h.meta_len, &region, CHUNK, version,
			     &nothing, 0, chunk, &valid), 0);
	for (; pages; pages &= pages - 1) {
		unsigned p = (unsigned)__builtin_ctz(pages);

		page_text(p, want);
		CHECK_MEM(chunk + p * GVM_PAGE_BYTES, want, sizeof(want));
	}
	sealer_destroy(s);
	chunk_codec_destroy(codec);
}

static void golden_sealed_chunks_open(void)
{
	golden_sealed_blocks_open("put_req_sealed", 48, VERSION_B, 1u << 3);
	golden_sealed_blocks_open("get_rsp_sealed", 8, VERSION_B, 1u << 3 | 1u << 31);
}

/* The PUT builds on the GET's version: together they are the chunk's new version. */
static void golden_put_merges_with_golden_get(void)
{
	static uint8_t data[GOLDEN_BYTES_MAX];
	struct chunk_head base = { 0 }, first = { 0 }, delta = { 0 }, out;
	uint32_t from_base;

	data_get_rest(&base, data);
	data_get_first(&first, data);
	base.block_mask |= 2;
	base.block[1] = first.block[1];
	base.body_bytes += first.body_bytes;
	data_put(&delta, data);
	CHECK_EQ(chunk_head_merge(&base, &delta, &out, &from_base), 0);
	CHECK_EQ(from_base, 1u << 15);
	CHECK_EQ(out.block_mask, 1u << 1 | 1u << 15);
}

static void every_op_has_golden_frames(void)
{
	struct golden *all;
	size_t count = golden_load(&all);

	CHECK_EQ(count, FRAMES);
	for (unsigned op = 0; op < 256; op++) {
		unsigned requests = 0, answers = 0;

		for (size_t i = 0; i < FRAMES; i++)
			if (frames[i].op == op) {
				requests += !(frames[i].flags & GVM_FLAG_RESPONSE);
				answers += !!(frames[i].flags & GVM_FLAG_RESPONSE);
			}
		CHECK_EQ(!!requests, !!gvm_op_name((uint8_t)op));
		CHECK_EQ(!!answers, !!gvm_op_name((uint8_t)op));
	}
#define MESSAGE_SEEN(msg, TABLE)                                                                   \
	{                                                                                          \
		bool seen = false;                                                                 \
                                                                                                   \
		for (size_t i = 0; i < FRAMES; i++)                                                \
			seen |= frames[i].fields == &fields_##msg;                                 \
		CHECK(seen);                                                                       \
	}
	GVM_MESSAGES(MESSAGE_SEEN)
}

/* ---- writing the file ---- */

static void data_print(const uint8_t *p, size_t bytes)
{
	while (bytes) {
		size_t same = 1, line;

		while (same < bytes && p[same] == p[0])
			same++;
		if (same > 64) {
			printf("%02x*%zu\n", p[0], same);
			p += same;
			bytes -= same;
			continue;
		}
		line = bytes < 32 ? bytes : 32;
		for (size_t i = 0; i + 64 < bytes && i < line; i++)
			if (!memcmp(p + i, p + i + 1, 64))
				line = i ? i : 1;
		for (size_t i = 0; i < line; i++)
			printf("%02x", p[i]);
		printf("\n");
		p += line;
		bytes -= line;
	}
}

static void head_entries_print(const uint8_t *head, const uint8_t *p, const uint8_t *end)
{
	unsigned sealed = head[5], count = (unsigned)gvm_load_le(head + 6, 2);

	for (; count; count--, p += sealed ? 32 : 12) {
		bytes_print(p, 4, sealed ? "block: bytes (bits 16 to 20: salt, bit 31: raw)" :
					   "block: bytes (bit 31: raw)");
		bytes_print(p + 4, 8, sealed ? "version" : "hash");
		if (!sealed)
			continue;
		bytes_print(p + 12, 4, "number");
		bytes_print(p + 16, 16, "tag");
	}
	for (; p < end; p += 16)
		bytes_print(p, 16, "salt");
}

static void frame_print(const struct frame *f, const uint8_t *b)
{
	static const struct {
		const char *name;
		size_t bytes;
	} header[] = { { "magic", 4 },	 { "version", 1 },  { "op", 1 },
		       { "flags", 1 },	 { "0", 1 },	    { "status", 2 },
		       { "meta_len", 2 }, { "data_len", 4 }, { "tag", 8 },
		       { "data_check", 8 }, { "check", 8 } };
	size_t meta_len = (size_t)gvm_load_le(b + 10, 2), data_len = (size_t)gvm_load_le(b + 12, 4);
	size_t head = 0;

	printf("\n= %s\n", f->name);
	for (size_t i = 0; i < sizeof(header) / sizeof(*header); b += header[i++].bytes)
		bytes_print(b, header[i].bytes, header[i].name);
	if (f->fields)
		head = f->fields->print(b);
	if (f->has_head) {
		const uint8_t *p = b + head;

		bytes_print(p, 4, "head: zero_map");
		bytes_print(p + 4, 1, "block_shift");
		bytes_print(p + 5, 1, "form");
		bytes_print(p + 6, 2, "count");
		bytes_print(p + 8, 4, "block_mask");
		bytes_print(p + 12, 4, "body_bytes");
		head_entries_print(p, p + 16, b + meta_len);
	}
	if (data_len)
		printf("# data\n");
	data_print(b + meta_len, data_len);
}

static void print(void)
{
	static uint8_t made[GOLDEN_BYTES_MAX];

	printf("# SPDX-License-Identifier: GPL-2.0-or-later\n"
	       "# One frame of each kind; tests/unit/golden.h says how to read this, PROTOCOL.md\n"
	       "# what it means. Written by `wire_golden print`.\n");
	for (size_t i = 0; i < FRAMES; i++) {
		frame_make(&frames[i], made);
		frame_print(&frames[i], made);
	}
}

static const struct check_test tests[] = {
	{ "packed-frames-are-golden", packed_frames_are_golden },
	{ "golden-frames-say-what-was-packed", golden_frames_say_what_was_packed },
	{ "golden-chunks-decode-to-their-pages", golden_chunks_decode_to_their_pages },
	{ "golden-sealed-chunks-open", golden_sealed_chunks_open },
	{ "golden-put-merges-with-golden-get", golden_put_merges_with_golden_get },
	{ "every-op-has-golden-frames", every_op_has_golden_frames },
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "print")) {
		print();
		return 0;
	}
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
