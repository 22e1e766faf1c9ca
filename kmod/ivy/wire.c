// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Encodes, decodes and checks messages.
 *
 * A table has the fields and flags that each type may carry; ivy_msg_check() holds a message to
 * its row.
 */
#include "wire.h"

/* Fields that a type must have. */
#define NEEDS_LIST 0x01u /* at least one entry */
#define NEEDS_VER  0x02u
#define NEEDS_WHO  0x04u /* of a node of this cluster */
#define NEEDS_BODY 0x08u /* a page, or IVY_F_ZERO */
#define NO_PAGE_NR 0x10u /* `page` has no meaning, and is 0 */
#define FREE_WHO   0x20u /* `who` is a number of another kind */
#define HAS_TO	   0x40u /* a node in the place of `more` */

struct rule {
	const char *name;
	u8 entry; /* bytes of a list entry */
	u8 flags; /* that may be set */
	u8 needs;
};

static const struct rule rules[IVY_TYPES] = {
	[IVY_LEASE] = {"LEASE", 0, IVY_F_QUIT | IVY_F_LOSS, NO_PAGE_NR | FREE_WHO},
	[IVY_LEASED] = {"LEASED", 0, IVY_F_ANEW, NO_PAGE_NR | FREE_WHO},
	[IVY_FENCED] = {"FENCED", 0, 0, NO_PAGE_NR},
	[IVY_GETS] = {"GETS", 8, IVY_F_RETRY | IVY_F_FRESH | IVY_F_AHEAD, NEEDS_LIST},
	[IVY_GETX] = {"GETX", 0, IVY_F_RETRY, NEEDS_WHO},
	[IVY_SERVE] = {"SERVE", 8, 0, NEEDS_LIST | NEEDS_VER},
	[IVY_DATA] = {"DATA", 8, IVY_F_PAGE | IVY_F_ZERO, NEEDS_LIST | NEEDS_VER | NEEDS_BODY},
	[IVY_INV] = {"INV", 2, 0, NEEDS_LIST | NEEDS_VER | HAS_TO},
	[IVY_ACK] = {"ACK", 2, 0, NEEDS_LIST | NEEDS_VER},
	[IVY_GIVE] = {"GIVE", 0, IVY_F_NODATA, NEEDS_VER | NEEDS_WHO},
	[IVY_GRANT] = {"GRANT", 0, IVY_F_PAGE | IVY_F_ZERO | IVY_F_BACK | IVY_F_LOSS,
		       NEEDS_VER | NEEDS_WHO},
	[IVY_DONE] = {"DONE", 0, 0, NEEDS_VER},
	[IVY_NACK] = {"NACK", 0, 0, NEEDS_VER},
	[IVY_PUT] = {"PUT", 0, IVY_F_PAGE | IVY_F_ZERO, NEEDS_VER | NEEDS_BODY},
	[IVY_FREE] = {"FREE", 0, 0, NEEDS_VER},
	[IVY_ASK] = {"ASK", 0, 0, NEEDS_VER},
	[IVY_SEEK] = {"SEEK", 0, IVY_F_LOSS, NEEDS_VER | NEEDS_WHO},
	[IVY_HAVE] = {"HAVE", 0, 0, NEEDS_VER | NEEDS_WHO},
	[IVY_MISS] = {"MISS", 0, 0, NEEDS_VER | NEEDS_WHO},
	[IVY_LOST] = {"LOST", 0, 0, NEEDS_WHO},
	[IVY_BEAT] = {"BEAT", IVY_BEAT_BYTES, 0, NO_PAGE_NR | FREE_WHO | HAS_TO},
	[IVY_BEATEN] = {"BEATEN", IVY_BEAT_BYTES, IVY_F_OTHER, NO_PAGE_NR | FREE_WHO | HAS_TO},
	[IVY_NOT] = {"NOT", 0, 0, NEEDS_WHO},
};

static u64 load(const u8 *p, unsigned int bytes)
{
	u64 v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

static void store(u8 *p, u64 v, unsigned int bytes)
{
	for (; bytes--; v >>= 8)
		*p++ = (u8)v;
}

static const struct rule *rule_of(u8 type)
{
	return type < IVY_TYPES && rules[type].name ? &rules[type] : NULL;
}

const char *ivy_type_name(u8 type)
{
	const struct rule *r = rule_of(type);

	return r ? r->name : "?";
}

unsigned int ivy_entry_bytes(u8 type)
{
	const struct rule *r = rule_of(type);

	return r ? r->entry : 0;
}

int ivy_msg_bytes(const u8 *hdr)
{
	const struct rule *r = rule_of(hdr[0]);
	unsigned int count = (unsigned int)load(hdr + 6, 2);

	if (!r || (hdr[1] & ~r->flags) || count > IVY_LIST_MAX || (count && !r->entry) ||
	    count * r->entry > IVY_LIST_BYTES)
		return -EBADMSG;
	return (int)(IVY_HDR_BYTES + count * r->entry + (hdr[1] & IVY_F_PAGE ? IVY_PAGE_BYTES : 0));
}

static bool has_to(u8 type)
{
	const struct rule *r = rule_of(type);

	return r && (r->needs & HAS_TO);
}

static void header_unpack(const u8 *buf, struct ivy_msg *m)
{
	m->type = buf[0];
	m->flags = buf[1];
	m->src = (u16)load(buf + 2, 2);
	m->to = has_to(m->type) ? (u16)load(buf + 4, 2) : 0;
	m->more = has_to(m->type) ? 0 : (u16)load(buf + 4, 2);
	m->count = (u16)load(buf + 6, 2);
	m->page = load(buf + 8, 8);
	m->ver = load(buf + 16, 8);
	m->who = load(buf + 24, 8);
	m->inc = load(buf + 32, 8);
	m->list = m->count ? buf + IVY_HDR_BYTES : NULL;
}

/* With a list the header says nothing of its own, and what no field is has zeros. */
static bool beats_ok(const struct ivy_msg *m, const struct rule *r, u16 nodes)
{
	unsigned int i;

	if (m->count && (m->flags || m->ver || m->who || m->inc))
		return false;
	for (i = 0; i < m->count; i++) {
		const u8 *entry = m->list + i * IVY_BEAT_BYTES;

		if (load(entry, 2) >= nodes || entry[2] & ~r->flags || load(entry + 3, 5))
			return false;
	}
	return true;
}

static bool list_ok(const struct ivy_msg *m, const struct rule *r, u16 nodes)
{
	unsigned int i;

	if ((r->needs & NEEDS_LIST) && !m->count)
		return false;
	if (r->entry == IVY_BEAT_BYTES)
		return beats_ok(m, r, nodes);
	for (i = 0; i < m->count; i++) {
		u16 id = r->entry == 8 ? ivy_who_node(ivy_list_who(m, i)) : ivy_list_id(m, i);

		if (id >= nodes)
			return false;
	}
	return true;
}

/* All its pages are of a run and of the region, and there is a number for each. */
static bool more_ok(const struct ivy_msg *m, const struct rule *r, u64 pages)
{
	u64 who = m->count && r->entry == 8 ? ivy_list_who(m, 0) : m->who;

	if (!m->more)
		return true;
	return !(r->needs & NO_PAGE_NR) && !(m->flags & IVY_F_PAGE) && m->count <= 1 &&
	       m->page % IVY_RUN + m->more < IVY_RUN && m->more < pages - m->page &&
	       ivy_who_txn(who) <= IVY_TXN_MAX - m->more;
}

static bool fields_ok(const struct ivy_msg *m, const struct rule *r, u16 nodes, u64 pages)
{
	if (m->src >= nodes || m->to >= nodes)
		return false;
	if ((r->needs & NO_PAGE_NR) ? m->page != 0 : m->page >= pages)
		return false;
	if (!more_ok(m, r, pages))
		return false;
	/*
	 * IVY_VER_ANY and IVY_HAVE_READ are no versions; the margin is for versions counted up
	 * here.
	 */
	if ((r->needs & NEEDS_VER) && (!m->ver || m->ver >= IVY_VER_ANY - 8))
		return false;
	if ((r->needs & NEEDS_WHO) ? ivy_who_node(m->who) >= nodes
				   : m->who && !(r->needs & FREE_WHO))
		return false;
	return true;
}

int ivy_msg_check(const u8 *buf, size_t bytes, u16 nodes, u64 pages)
{
	const struct rule *r;
	struct ivy_msg m;
	int want;

	if (bytes < IVY_HDR_BYTES)
		return -EBADMSG;
	want = ivy_msg_bytes(buf);
	if (want < 0 || (size_t)want != bytes)
		return -EBADMSG;
	header_unpack(buf, &m);
	r = rule_of(m.type);
	if ((r->needs & NEEDS_BODY) && !(m.flags & (IVY_F_PAGE | IVY_F_ZERO)))
		return -EBADMSG;
	if ((m.flags & IVY_F_PAGE) && (m.flags & (IVY_F_ZERO | IVY_F_BACK)))
		return -EBADMSG;
	if ((m.flags & IVY_F_LOSS) && m.type != IVY_SEEK && !(m.flags & (IVY_F_QUIT | IVY_F_BACK)))
		return -EBADMSG;
	if ((m.flags & IVY_F_AHEAD) && m.type == IVY_GETS && !(m.flags & IVY_F_FRESH))
		return -EBADMSG;
	if (!fields_ok(&m, r, nodes, pages) || !list_ok(&m, r, nodes))
		return -EBADMSG;
	return 0;
}

const u8 *ivy_msg_unpack(const u8 *buf, struct ivy_msg *m)
{
	header_unpack(buf, m);
	if (!(m->flags & IVY_F_PAGE))
		return NULL;
	return buf + IVY_HDR_BYTES + m->count * ivy_entry_bytes(m->type);
}

size_t ivy_msg_pack(const struct ivy_msg *m, u8 *buf)
{
	size_t list = (size_t)m->count * ivy_entry_bytes(m->type);

	store(buf, m->type, 1);
	store(buf + 1, m->flags, 1);
	store(buf + 2, m->src, 2);
	store(buf + 4, has_to(m->type) ? m->to : m->more, 2);
	store(buf + 6, m->count, 2);
	store(buf + 8, m->page, 8);
	store(buf + 16, m->ver, 8);
	store(buf + 24, m->who, 8);
	store(buf + 32, m->inc, 8);
	if (list)
		__builtin_memcpy(buf + IVY_HDR_BYTES, m->list, list);
	return IVY_HDR_BYTES + list;
}

u16 ivy_list_id(const struct ivy_msg *m, unsigned int i)
{
	return (u16)load(m->list + 2 * i, 2);
}

u64 ivy_list_who(const struct ivy_msg *m, unsigned int i)
{
	return load(m->list + 8 * i, 8);
}

struct ivy_beat ivy_list_beat(const struct ivy_msg *m, unsigned int i)
{
	const u8 *entry = m->list + i * IVY_BEAT_BYTES;

	return (struct ivy_beat){.node = (u16)load(entry, 2),
				 .flags = entry[2],
				 .ver = load(entry + 8, 8),
				 .who = load(entry + 16, 8),
				 .inc = load(entry + 24, 8)};
}

void ivy_list_put_beat(u8 *list, unsigned int i, const struct ivy_beat *beat)
{
	u8 *entry = list + i * IVY_BEAT_BYTES;

	store(entry, beat->node, 2);
	store(entry + 2, beat->flags, 6);
	store(entry + 8, beat->ver, 8);
	store(entry + 16, beat->who, 8);
	store(entry + 24, beat->inc, 8);
}

void ivy_list_put_id(u8 *list, unsigned int i, u16 id)
{
	store(list + 2 * i, id, 2);
}

void ivy_list_put_who(u8 *list, unsigned int i, u64 who)
{
	store(list + 8 * i, who, 8);
}
