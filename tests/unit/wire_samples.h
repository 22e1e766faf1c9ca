/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_samples.h - one message of each kind, with the values of the golden frames.
 *
 * They tell a story: writer 0x1111 attaches region 52..., reads chunk 3 of it and writes it back.
 */
#ifndef GVM_WIRE_SAMPLES_H
#define GVM_WIRE_SAMPLES_H

#include "memnode/codec.h"

#define REGION    { { 0x52, 0x45, 0x47, 0x49, 0x4f, 0x4e, 0x30, 0x31, 0, 0, 0, 0, 0, 0, 0, 0x01 } }
#define REGION_2  { { 0x52, 0x45, 0x47, 0x49, 0x4f, 0x4e, 0x30, 0x32, 0, 0, 0, 0, 0, 0, 0, 0x02 } }
#define RECORD_ID { { 0x4e, 0x41, 0x4d, 0x45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x03 } }
#define NODE_ID                                                                                    \
	{ { 0x4e, 0x4f, 0x44, 0x45, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9,    \
	    0xaa, 0xab } }
#define NONCE_C   { { 0xc0, 0xc1, 0xc2, 0xc3, [31] = 0xcf } }
#define NONCE_N   { { 0xd0, 0xd1, 0xd2, 0xd3, [31] = 0xdf } }
#define CLIENT    0x1111111111111111ull
#define VIEW      2
#define EPOCH     5
#define CHUNK     3
#define VERSION_A (5ull << 40 | 8) /* what the node holds of the chunk */
#define VERSION_B (5ull << 40 | 9) /* what is put on it */

static const struct gvm_error_rsp sample_error_rsp = { .detail = VERSION_A };
static const struct gvm_hello_req sample_hello_req = { .version_min = GVM_VERSION, .version_max = GVM_VERSION,
	.features = 0, .client = CLIENT, .nonce = NONCE_C };
static const struct gvm_hello_rsp sample_hello_rsp = { .version = GVM_VERSION, .need_auth = 1, .features = 0,
	.incarnation = NODE_ID, .nonce = NONCE_N };
/* the proofs are filled in from the key "golden key of 18 b" */
static struct gvm_auth_req sample_auth_req;
static struct gvm_auth_rsp sample_auth_rsp;
static const struct gvm_ping_req sample_ping_req = { .cookie = 0x0123456789abcdefull };
static const struct gvm_ping_rsp sample_ping_rsp = { .cookie = 0x0123456789abcdefull };
static const struct gvm_node_stat_rsp sample_node_stat_rsp = { .capacity_bytes = 1ull << 30,
	.promisable_bytes = 3ull << 29, .reserved_bytes = 1ull << 29, .held_bytes = 0x100000,
	.stored_bytes = 0xf8000, .nonzero_bytes = 0x240000, .regions = 2, .chunks = 19,
	.clients = 3, .gets = 1000, .puts = 500, .delta_puts = 400, .discards = 7, .bad_frames = 1,
	.rx_bytes = 0x123456, .tx_bytes = 0x654321, .uptime_ns = 60000000000ull,
	.names = 9, .tombstones = 2, .names_max = 65536 };
static const struct gvm_node_drain_req sample_node_drain_req = { .drain = GVM_DRAIN_BEGIN };
static const struct gvm_node_drain_rsp sample_node_drain_rsp = { .drains = 1 };
static const struct gvm_node_rot_rsp sample_node_rot_rsp = { .rotten_chunks = 3, .rotten_found = 21 };
static const struct gvm_name_put_req sample_name_put_req = { .key = RECORD_ID,
	.table = 0x3333333333333333ull, .born = 12, .version = 14, .round = 0 };
static const struct gvm_name_list_req sample_name_list_req = { .after = { { 0 } }, .round = 0,
	.since = 0x4444444444444444ull };
static const struct gvm_name_list_rsp sample_name_list_rsp = { .count = 3, .more = 0,
	.fence = 11, .stamp = 0x4444444444444447ull, .since = 0x4444444444444444ull };
static const struct gvm_name_fence_req sample_name_fence_req = { .round = 0x2222222222222222ull,
	.upto = 13 };
static const struct gvm_name_forget_req sample_name_forget_req = { .round = 0x2222222222222222ull,
	.table = 0x3333333333333333ull };
static const struct gvm_region_create_req sample_region_create_req = { .region = REGION,
	.chunks = 4096, .reserve_chunks = 2048, .view = VIEW, .views = 1, .epoch = EPOCH, .order = 77000000001 };
static const struct gvm_region_open_req sample_region_open_req = { .region = REGION, .mode = 1,
	.force = 0, .epoch = EPOCH, .view = VIEW, .lease_ms = 10000, .lapse = 0, .host = NONCE_C,
	.process = RECORD_ID };
static const struct gvm_region_open_rsp sample_region_open_rsp = { .epoch = EPOCH, .chunks = 4096,
	.reserve_chunks = 2048, .view = VIEW, .writer = GVM_WRITER_AWAY, .lease_ms = 7000,
	.host = NONCE_C, .process = RECORD_ID };
static const struct gvm_region_close_req sample_region_close_req = { .region = REGION,
	.epoch = EPOCH };
static const struct gvm_region_resize_req sample_region_resize_req = { .region = REGION,
	.epoch = EPOCH, .chunks = 8192, .reserve_chunks = 4096, .order = 77000000001 };
static const struct gvm_region_delete_req sample_region_delete_req = { .region = REGION,
	.epoch = EPOCH, .order = 77000000001 };
static const struct gvm_region_stat_req sample_region_stat_req = { .region = REGION };
static const struct gvm_region_stat_rsp sample_region_stat_rsp = { .chunks = 4096,
	.reserve_chunks = 2048, .epoch = EPOCH, .writer = GVM_WRITER_THERE,
	.host = NONCE_C, .process = RECORD_ID, .chunks_held = 17,
	.held_bytes = 0x90000, .stored_bytes = 0x8c000, .nonzero_bytes = 0x150000 };
static const struct gvm_region_list_req sample_region_list_req = { .after = REGION };
static const struct gvm_region_list_rsp sample_region_list_rsp = { .count = 1, .more = 0 };
static const struct gvm_region_index_req sample_region_index_req = { .region = REGION, .first = 0 };
static const struct gvm_region_index_rsp sample_region_index_rsp = { .count = 2, .next = ~0ull };
static const struct gvm_region_view_req sample_region_view_req = { .region = REGION, .epoch = EPOCH,
	.slot = 3, .active = 1, .number = (5ull << 33) + 1, .member_0 = NODE_ID, .member_1 = RECORD_ID,
	.member_2 = { { 3 } }, .member_3 = { { 4 } } };
static const struct gvm_region_views_req sample_region_views_req = { .region = REGION,
	.first = 3, .count = 1 };
static const struct gvm_region_views_rsp sample_region_views_rsp = { .count = 1 };
static const struct gvm_region_held_req sample_region_held_req = { .count = 2 };
static const struct gvm_region_held_rsp sample_region_held_rsp = { .count = 2 };
static const struct gvm_region_check_req sample_region_check_req = { .region = REGION, .first = 7 };
static const struct gvm_region_check_rsp sample_region_check_rsp = { .count = 2, .next = 9 };
static const struct gvm_region_note_req sample_region_note_req = { .region = REGION, .epoch = EPOCH };
static const struct gvm_region_noted_req sample_region_noted_req = { .region = REGION };
static const struct gvm_region_noted_rsp sample_region_noted_rsp = { .epoch = EPOCH };
static const struct gvm_get_req sample_get_req = { .region = REGION, .epoch = EPOCH,
	.chunk = CHUNK, .version = VERSION_A, .page_mask = 0xffffffff, .want_page = 2 };
static const struct gvm_get_rsp sample_get_rsp = { .version = VERSION_A };
static const struct gvm_put_req sample_put_req = { .region = REGION, .epoch = EPOCH,
	.chunk = CHUNK, .version = VERSION_B, .base = VERSION_A };
static const struct gvm_discard_req sample_discard_req = { .region = REGION, .epoch = EPOCH,
	.first = 16, .count = 8, .version = 5ull << 40 | 10, .order = 77000000001 };

#endif
