// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm_wire.c - packs and unpacks frames: pure, no allocation, no I/O. */
#include "gvm_wire.h"

#include <errno.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* The packer and unpacker of each field type: what the message tables are made of. */
#define WIRE_INT(type, bytes)                                                                      \
	static uint8_t *put_##type(uint8_t *p, const gvm_wire_##type *v)                           \
	{                                                                                          \
		gvm_store_le(p, *v, bytes);                                                        \
		return p + (bytes);                                                                \
	}                                                                                          \
	static const uint8_t *take_##type(const uint8_t *p, gvm_wire_##type *v)                    \
	{                                                                                          \
		*v = (gvm_wire_##type)gvm_load_le(p, bytes);                                       \
		return p + (bytes);                                                                \
	}
#define WIRE_BYTES(type, bytes)                                                                    \
	static uint8_t *put_##type(uint8_t *p, const gvm_wire_##type *v)                           \
	{                                                                                          \
		memcpy(p, v->b, bytes);                                                            \
		return p + (bytes);                                                                \
	}                                                                                          \
	static const uint8_t *take_##type(const uint8_t *p, gvm_wire_##type *v)                    \
	{                                                                                          \
		memcpy(v->b, p, bytes);                                                            \
		return p + (bytes);                                                                \
	}
WIRE_INT(u8, 1)
WIRE_INT(u16, 2)
WIRE_INT(u32, 4)
WIRE_INT(u64, 8)
WIRE_BYTES(id, 16)
WIRE_BYTES(bytes32, 32)

/* Every wire type is exactly as wide as its C type, so the wire size of a message is this sum. */
#define WIRE_SIZE(type, name) +sizeof(gvm_wire_##type)
#define WIRE_PUT(type, name)  p = put_##type(p, &m->name);
#define WIRE_TAKE(type, name) p = take_##type(p, &m->name);
#define WIRE_DEFINE(msg, TABLE)                                                                    \
	_Static_assert((0 TABLE(WIRE_SIZE)) <= GVM_META_MAX, #msg " fits the meta bytes");         \
	size_t gvm_##msg##_pack(const struct gvm_##msg *m, uint8_t *buf)                           \
	{                                                                                          \
		uint8_t *p = buf;                                                                  \
                                                                                                   \
		TABLE(WIRE_PUT)                                                                    \
		return (size_t)(p - buf);                                                          \
	}                                                                                          \
	int gvm_##msg##_unpack(struct gvm_##msg *m, const uint8_t *buf, size_t len)                \
	{                                                                                          \
		const uint8_t *p = buf;                                                            \
                                                                                                   \
		if (len < (0 TABLE(WIRE_SIZE)))                                                    \
			return -EBADMSG;                                                           \
		TABLE(WIRE_TAKE)                                                                   \
		return (int)(p - buf);                                                             \
	}
GVM_MESSAGES(WIRE_DEFINE)

#define HDR_CHECKED_BYTES (GVM_HDR_BYTES - 8)

static uint64_t meta_check(const uint8_t *hdr_bytes, const uint8_t *meta, size_t meta_len)
{
	uint8_t whole[HDR_CHECKED_BYTES + GVM_META_MAX];

	memcpy(whole, hdr_bytes, HDR_CHECKED_BYTES);
	if (meta_len)
		memcpy(whole + HDR_CHECKED_BYTES, meta, meta_len);
	return XXH3_64bits(whole, HDR_CHECKED_BYTES + meta_len);
}

void gvm_hdr_pack(struct gvm_hdr *h, const uint8_t *meta, uint8_t *buf)
{
	gvm_store_le(buf, GVM_MAGIC, 4);
	buf[4] = GVM_VERSION;
	buf[5] = h->op;
	buf[6] = h->flags;
	buf[7] = 0;
	gvm_store_le(buf + 8, h->status, 2);
	gvm_store_le(buf + 10, h->meta_len, 2);
	gvm_store_le(buf + 12, h->data_len, 4);
	gvm_store_le(buf + 16, h->tag, 8);
	gvm_store_le(buf + 24, h->data_check, 8);
	h->check = meta_check(buf, meta, h->meta_len);
	gvm_store_le(buf + 32, h->check, 8);
}

int gvm_hdr_unpack(struct gvm_hdr *h, const uint8_t *buf)
{
	if (gvm_load_le(buf, 4) != GVM_MAGIC)
		return -EBADMSG;
	if (buf[4] != GVM_VERSION)
		return -EPROTONOSUPPORT;
	h->op = buf[5];
	h->flags = buf[6];
	h->status = (uint16_t)gvm_load_le(buf + 8, 2);
	h->meta_len = (uint16_t)gvm_load_le(buf + 10, 2);
	h->data_len = (uint32_t)gvm_load_le(buf + 12, 4);
	h->tag = gvm_load_le(buf + 16, 8);
	h->data_check = gvm_load_le(buf + 24, 8);
	h->check = gvm_load_le(buf + 32, 8);
	if (buf[7] || !gvm_op_name(h->op) || h->flags & ~(GVM_FLAG_RESPONSE | GVM_FLAG_MORE | GVM_FLAG_PACK) ||
	    h->meta_len > GVM_META_MAX || h->data_len > GVM_DATA_MAX)
		return -EBADMSG;
	return 0;
}

bool gvm_meta_check(const struct gvm_hdr *h, const uint8_t *hdr_bytes, const uint8_t *meta)
{
	return h->check == meta_check(hdr_bytes, meta, h->meta_len);
}

uint64_t gvm_data_check(const void *data, size_t len)
{
	return len ? XXH3_64bits(data, len) : 0;
}

int gvm_status_errno(uint16_t status)
{
	switch (status) {
	case GVM_OK:
		return 0;
	case GVM_ERR_INVALID:
		return -EINVAL;
	case GVM_ERR_AUTH:
		return -EACCES;
	case GVM_ERR_VERSION:
		return -EPROTONOSUPPORT;
	case GVM_ERR_LOST:
		return -ENOMEDIUM;
	case GVM_ERR_STALE:
		return -ESTALE;
	case GVM_ERR_STALE_BASE:
		return -EREMCHG;
	case GVM_ERR_FENCED:
		return -EKEYREVOKED;
	case GVM_ERR_BUSY:
		return -EBUSY;
	case GVM_ERR_NOSPACE:
		return -ENOSPC;
	case GVM_ERR_EXISTS:
		return -EEXIST;
	case GVM_ERR_CORRUPT:
		return -EBADMSG;
	case GVM_ERR_GONE:
		return -EIDRM;
	case GVM_ERR_WATCHED:
		return -EINPROGRESS;
	}
	return -EPROTO;
}

const char *gvm_status_name(uint16_t status)
{
	static const char *const names[] = {
		[GVM_OK] = "OK",
		[GVM_ERR_INVALID] = "INVALID",
		[GVM_ERR_AUTH] = "AUTH",
		[GVM_ERR_VERSION] = "VERSION",
		[GVM_ERR_LOST] = "LOST",
		[GVM_ERR_STALE] = "STALE",
		[GVM_ERR_STALE_BASE] = "STALE_BASE",
		[GVM_ERR_FENCED] = "FENCED",
		[GVM_ERR_BUSY] = "BUSY",
		[GVM_ERR_NOSPACE] = "NOSPACE",
		[GVM_ERR_EXISTS] = "EXISTS",
		[GVM_ERR_CORRUPT] = "CORRUPT",
		[GVM_ERR_GONE] = "GONE",
		[GVM_ERR_WATCHED] = "WATCHED",
	};

	return status < sizeof(names) / sizeof(*names) ? names[status] : "UNKNOWN";
}

const char *gvm_op_name(uint8_t op)
{
	switch (op) {
	case GVM_OP_HELLO:
		return "HELLO";
	case GVM_OP_AUTH:
		return "AUTH";
	case GVM_OP_PING:
		return "PING";
	case GVM_OP_NODE_STAT:
		return "NODE_STAT";
	case GVM_OP_NODE_DRAIN:
		return "NODE_DRAIN";
	case GVM_OP_NODE_ROT:
		return "NODE_ROT";
	case GVM_OP_NAME_PUT:
		return "NAME_PUT";
	case GVM_OP_NAME_LIST:
		return "NAME_LIST";
	case GVM_OP_NAME_FENCE:
		return "NAME_FENCE";
	case GVM_OP_NAME_FORGET:
		return "NAME_FORGET";
	case GVM_OP_REGION_CREATE:
		return "REGION_CREATE";
	case GVM_OP_REGION_OPEN:
		return "REGION_OPEN";
	case GVM_OP_REGION_CLOSE:
		return "REGION_CLOSE";
	case GVM_OP_REGION_RESIZE:
		return "REGION_RESIZE";
	case GVM_OP_REGION_DELETE:
		return "REGION_DELETE";
	case GVM_OP_REGION_STAT:
		return "REGION_STAT";
	case GVM_OP_REGION_LIST:
		return "REGION_LIST";
	case GVM_OP_REGION_INDEX:
		return "REGION_INDEX";
	case GVM_OP_REGION_VIEW:
		return "REGION_VIEW";
	case GVM_OP_REGION_VIEWS:
		return "REGION_VIEWS";
	case GVM_OP_REGION_HELD:
		return "REGION_HELD";
	case GVM_OP_REGION_CHECK:
		return "REGION_CHECK";
	case GVM_OP_REGION_NOTE:
		return "REGION_NOTE";
	case GVM_OP_REGION_NOTED:
		return "REGION_NOTED";
	case GVM_OP_GET:
		return "GET";
	case GVM_OP_PUT:
		return "PUT";
	case GVM_OP_DISCARD:
		return "DISCARD";
	}
	return NULL;
}
