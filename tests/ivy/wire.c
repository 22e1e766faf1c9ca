// SPDX-License-Identifier: GPL-2.0-or-later
/* wire.c - a message's bytes are these, and nothing else is taken for one. */
#include "tests/unit/check.h"
#include "kmod/ivy/ivy.h"

#define NODES 300
#define PAGES 1000

static const u8 golden[] = {
	IVY_INV, 0,    0x02, 0x01, 0x03, 0x01, 2,    0,	   /* type, flags, src, to, count */
	0xe7,	 0x03, 0,    0,	   0,	 0,    0,    0,	   /* page 999 */
	0x08,	 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, /* ver */
	0,	 0,    0,    0,	   0,	 0,    0,    0,	   /* who */
	0x11,	 0,    0,    0,	   0,	 0,    0,    0,	   /* inc */
	0x2b,	 0x01, 0x05, 0x00,			   /* 299, 5 */
};

static const u8 golden_beat[] = {
	IVY_BEAT, 0,	0x02, 0x01, 0,	  0,	0,    0,    /* type, flags, src, to, count */
	0,	  0,	0,    0,    0,	  0,	0,    0,    /* page */
	0x08,	  0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, /* ver: the clock */
	0xff,	  0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8, /* who: the sum */
	0x11,	  0,	0,    0,    0,	  0,	0,    0x80, /* inc: the life */
};

static const u8 golden_run[] = {
	IVY_GETS, IVY_F_FRESH, 0x02, 0x01, 3, 0, 1,    0,    /* type, flags, src, more, count */
	0xc4,	  0x03,	       0,    0,	   0, 0, 0,    0,    /* page 964 */
	0,	  0,	       0,    0,	   0, 0, 0,    0,    /* ver */
	0,	  0,	       0,    0,	   0, 0, 0,    0,    /* who */
	0,	  0,	       0,    0,	   0, 0, 0,    0,    /* inc */
	0x77,	  0x06,	       0x05, 0x04, 3, 2, 0x2b, 0x01, /* number 0x020304050677 of node 299 */
};

static int checked(const u8 *buf, size_t bytes)
{
	return ivy_msg_check(buf, bytes, NODES, PAGES);
}

static void bytes_are_as_documented(void)
{
	u8 list[4], buf[64];
	struct ivy_msg m = {.type = IVY_INV,
			    .src = 258,
			    .to = 259,
			    .count = 2,
			    .page = 999,
			    .ver = 0x0102030405060708ull,
			    .inc = 17,
			    .list = list};

	ivy_list_put_id(list, 0, 299);
	ivy_list_put_id(list, 1, 5);
	CHECK_EQ(ivy_msg_pack(&m, buf), sizeof(golden));
	CHECK_MEM(buf, golden, sizeof(golden));
	CHECK_EQ(ivy_msg_bytes(golden), sizeof(golden));
	CHECK_EQ(checked(golden, sizeof(golden)), 0);
	memset(&m, 0, sizeof(m));
	CHECK(!ivy_msg_unpack(golden, &m));
	CHECK_EQ(m.ver, 0x0102030405060708ull);
	CHECK_EQ(ivy_list_id(&m, 0), 299);
}

static void a_beat_is_of_no_page(void)
{
	struct ivy_msg m = {.type = IVY_BEAT,
			    .src = 258,
			    .ver = 0x0102030405060708ull,
			    .who = 0xf8f9fafbfcfdfeffull,
			    .inc = 0x8000000000000011ull};
	u8 buf[64];

	CHECK_EQ(ivy_msg_pack(&m, buf), sizeof(golden_beat));
	CHECK_MEM(buf, golden_beat, sizeof(golden_beat));
	CHECK_EQ(checked(buf, sizeof(golden_beat)), 0);
	buf[8] = 1;
	CHECK_EQ(checked(buf, sizeof(golden_beat)), -EBADMSG);
	buf[8] = 0;
	buf[1] = IVY_F_OTHER;
	CHECK_EQ(checked(buf, sizeof(golden_beat)), -EBADMSG);
	buf[0] = IVY_BEATEN;
	CHECK_EQ(checked(buf, sizeof(golden_beat)), 0);
}

static const u8 golden_beats[] = {
	IVY_BEATEN, 0,	  0x02,	       0x01, 0x03, 0x01, 2,    0, /* type, flags, src, to, count */
	0,	    0,	  0,	       0,    0,	   0,	 0,    0, /* page */
	0,	    0,	  0,	       0,    0,	   0,	 0,    0, /* ver */
	0,	    0,	  0,	       0,    0,	   0,	 0,    0, /* who */
	0,	    0,	  0,	       0,    0,	   0,	 0,    0, /* inc */
	0x2b,	    0x01, 0,	       0,    0,	   0,	 0,    0, /* 299, flags */
	0x08,	    0x07, 0x06,	       0x05, 0x04, 0x03, 0x02, 0x01, /* ver: its clock */
	0x01,	    0x01, 0,	       0,    0,	   0,	 0,    0,    /* who: 257 carries the next */
	0x11,	    0,	  0,	       0,    0,	   0,	 0,    0x80, /* inc: its life */
	0x05,	    0,	  IVY_F_OTHER, 0,    0,	   0,	 0,    0,    /* 5, flags */
	0x09,	    0,	  0,	       0,    0,	   0,	 0,    0,    0xff, 0xff, 0, 0,
	0,	    0,	  0,	       0,    0x12, 0,	 0,    0,    0,	   0,	 0, 0,
};

static void beats_are_carried_as_documented(void)
{
	/* Offset and value: the header's own fields, a node, a flag, what is no field. */
	static const u8 wrong[][2] = {{1, IVY_F_OTHER}, {5, 2},	 {8, 1},       {16, 1}, {24, 1},
				      {32, 1},		{41, 2}, {42, 1},      {43, 1}, {47, 1},
				      {6, 1},		{7, 1},	 {0, IVY_BEAT}};
	const struct ivy_beat beats[2] = {
		{299, 0, 0x0102030405060708ull, 257, 0x8000000000000011ull},
		{5, IVY_F_OTHER, 9, IVY_NONE, 0x12},
	};
	u8 list[2 * IVY_BEAT_BYTES], buf[sizeof(golden_beats)];
	struct ivy_msg m = {.type = IVY_BEATEN, .src = 258, .to = 259, .count = 2, .list = list};
	struct ivy_beat b;

	for (unsigned int i = 0; i < 2; i++)
		ivy_list_put_beat(list, i, &beats[i]);
	CHECK_EQ(ivy_msg_pack(&m, buf), sizeof(golden_beats));
	CHECK_MEM(buf, golden_beats, sizeof(golden_beats));
	CHECK_EQ(checked(buf, sizeof(buf)), 0);
	memset(&m, 0, sizeof(m));
	CHECK(!ivy_msg_unpack(golden_beats, &m));
	CHECK_EQ(m.to, 259);
	b = ivy_list_beat(&m, 1);
	CHECK(b.node == 5 && b.flags == IVY_F_OTHER && b.ver == 9 && b.who == IVY_NONE &&
	      b.inc == 0x12);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		memcpy(buf, golden_beats, sizeof(buf));
		buf[wrong[i][0]] = wrong[i][1];
		CHECK_EQ(checked(buf, sizeof(buf)), -EBADMSG);
	}
	/* As many as there is room for. */
	buf[0] = IVY_BEAT;
	buf[6] = IVY_BEATS_MAX;
	buf[7] = 0;
	CHECK_EQ(ivy_msg_bytes(buf), IVY_HDR_BYTES + IVY_LIST_BYTES);
	buf[6]++;
	CHECK_EQ(ivy_msg_bytes(buf), -EBADMSG);
}

/* Four pages, each as in a message of its own, and asked for under the next number. */
static void runs_are_as_documented(void)
{
	u8 list[8], buf[64];
	struct ivy_msg m = {.type = IVY_GETS,
			    .flags = IVY_F_FRESH,
			    .src = 258,
			    .more = 3,
			    .count = 1,
			    .page = 964,
			    .list = list};

	ivy_list_put_who(list, 0, ivy_who(299, 0x020304050677ull));
	CHECK_EQ(ivy_msg_pack(&m, buf), sizeof(golden_run));
	CHECK_MEM(buf, golden_run, sizeof(golden_run));
	CHECK_EQ(checked(golden_run, sizeof(golden_run)), 0);
	memset(&m, 0, sizeof(m));
	CHECK(!ivy_msg_unpack(golden_run, &m));
	CHECK_EQ(m.more, 3);
	CHECK_EQ(m.to, 0);
}

static int checked_run(u64 page, u16 more, u64 who, u8 type, u8 flags, u16 count)
{
	u8 buf[IVY_MSG_MAX] = {0}, list[16];
	struct ivy_msg m = {.type = type,
			    .flags = flags,
			    .more = more,
			    .count = count,
			    .page = page,
			    .list = list};

	m.ver = ivy_entry_bytes(type) ? 0 : 1;
	m.who = type == IVY_GRANT ? who : 0;
	ivy_list_put_who(list, 0, who);
	ivy_list_put_who(list, 1, who);
	ivy_msg_pack(&m, buf);
	return checked(buf, (size_t)ivy_msg_bytes(buf));
}

static void runs_have_an_end(void)
{
	const u64 last = ivy_who(1, IVY_TXN_MAX);

	CHECK_EQ(checked_run(0, IVY_RUN - 1, 9, IVY_GETS, 0, 1), 0);
	CHECK_EQ(checked_run(0, IVY_RUN, 9, IVY_GETS, 0, 1), -EBADMSG);
	CHECK_EQ(checked_run(IVY_RUN - 1, 0, 9, IVY_GETS, 0, 1), 0);
	CHECK_EQ(checked_run(IVY_RUN - 1, 1, 9, IVY_GETS, 0, 1), -EBADMSG);
	CHECK_EQ(checked_run(PAGES - 2, 1, 9, IVY_GETS, 0, 1), 0);
	CHECK_EQ(checked_run(PAGES - 2, 2, 9, IVY_GETS, 0, 1), -EBADMSG);
	/* There is a number for each page, and one request. */
	CHECK_EQ(checked_run(0, 1, last - 1, IVY_GETS, 0, 1), 0);
	CHECK_EQ(checked_run(0, 2, last - 1, IVY_GETS, 0, 1), -EBADMSG);
	CHECK_EQ(checked_run(0, 1, last, IVY_GRANT, IVY_F_ZERO, 0), -EBADMSG);
	CHECK_EQ(checked_run(0, 0, 9, IVY_GETS, 0, 2), 0);
	CHECK_EQ(checked_run(0, 1, 9, IVY_GETS, 0, 2), -EBADMSG);
	/* Bytes are those of a single page; a lease is of no page. */
	CHECK_EQ(checked_run(0, 1, 9, IVY_GRANT, IVY_F_ZERO, 0), 0);
	CHECK_EQ(checked_run(0, 1, 9, IVY_GRANT, IVY_F_PAGE, 0), -EBADMSG);
	CHECK_EQ(checked_run(0, 0, 9, IVY_LEASE, 0, 0), 0);
	CHECK_EQ(checked_run(0, 1, 9, IVY_LEASE, 0, 0), -EBADMSG);
	/* Only zeros are asked for with no more than a hope. */
	CHECK_EQ(checked_run(0, 1, 9, IVY_GETS, IVY_F_AHEAD | IVY_F_FRESH, 1), 0);
	CHECK_EQ(checked_run(0, 1, 9, IVY_GETS, IVY_F_AHEAD, 1), -EBADMSG);
}

static void one_wrong_byte_is_refused(void)
{
	/* Offset and value: unknown type, flag, source, target, length, page, entry. */
	static const u8 wrong[][2] = {{0, 0}, {0, IVY_TYPES}, {1, 1}, {3, 2},  {5, 2},
				      {6, 1}, {7, 3},	      {9, 4}, {30, 1}, {41, 2}};
	u8 buf[sizeof(golden)];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		memcpy(buf, golden, sizeof(buf));
		buf[wrong[i][0]] = wrong[i][1];
		CHECK_EQ(checked(buf, sizeof(buf)), -EBADMSG);
	}
	for (size_t cut = 0; cut < sizeof(golden); cut++)
		CHECK_EQ(checked(golden, cut), -EBADMSG);
}

static void versions_leave_room(void)
{
	u8 buf[IVY_HDR_BYTES] = {IVY_FREE};

	CHECK_EQ(checked(buf, sizeof(buf)), -EBADMSG); /* version 0 */
	memset(buf + 16, 0xff, 8);
	CHECK_EQ(checked(buf, sizeof(buf)), -EBADMSG);
	buf[16] = 0;
	CHECK_EQ(checked(buf, sizeof(buf)), 0);
	/* GETX has "any". */
	buf[0] = IVY_GETX;
	buf[16] = 0xff;
	CHECK_EQ(checked(buf, sizeof(buf)), 0);
}

static void pages_travel_only_where_they_may(void)
{
	u8 buf[IVY_MSG_MAX] = {IVY_DATA};

	buf[6] = 1;
	buf[16] = 1;
	CHECK_EQ(checked(buf, IVY_HDR_BYTES + 8), -EBADMSG); /* neither bytes nor zeros */
	buf[1] = IVY_F_ZERO;
	CHECK_EQ(checked(buf, IVY_HDR_BYTES + 8), 0);
	buf[1] = IVY_F_PAGE;
	CHECK_EQ(ivy_msg_bytes(buf), IVY_HDR_BYTES + 8 + IVY_PAGE_BYTES);
	CHECK_EQ(checked(buf, IVY_HDR_BYTES + 8 + IVY_PAGE_BYTES), 0);
	buf[1] = IVY_F_PAGE | IVY_F_ZERO;
	CHECK_EQ(checked(buf, IVY_HDR_BYTES + 8 + IVY_PAGE_BYTES), -EBADMSG);
	buf[0] = IVY_FREE;
	buf[1] = IVY_F_PAGE;
	CHECK_EQ(ivy_msg_bytes(buf), -EBADMSG);
}

static const struct check_test tests[] = {
	{"bytes-are-as-documented", bytes_are_as_documented},
	{"a-beat-is-of-no-page", a_beat_is_of_no_page},
	{"beats-are-carried-as-documented", beats_are_carried_as_documented},
	{"runs-are-as-documented", runs_are_as_documented},
	{"runs-have-an-end", runs_have_an_end},
	{"one-wrong-byte-is-refused", one_wrong_byte_is_refused},
	{"versions-leave-room", versions_leave_room},
	{"pages-travel-only-where-they-may", pages_travel_only_where_they_may},
};

CHECK_MAIN(tests)
