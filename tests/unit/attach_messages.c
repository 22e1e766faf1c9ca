// SPDX-License-Identifier: GPL-2.0-or-later
/* attach_messages.c - the messages of the fast path's handshake that either end takes, and no others. */
#include "check.h"
#include "gvm_attach.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const enum gvm_attach_end client = GVM_ATTACH_TO_CLIENT, gvmfs = GVM_ATTACH_TO_GVMFS;

static bool accepted(const struct gvm_attach_msg *msg, unsigned fds, enum gvm_attach_end to)
{
	struct gvm_attach_msg copy = *msg;

	return gvm_attach_accept(&copy, fds, to);
}

/* A message that is right, of each type. */
static struct gvm_attach_msg right(enum gvm_attach_type type)
{
	struct gvm_attach_msg msg = gvm_attach_message(type);

	if (type == GVM_ATTACH_REFUSE)
		msg.error = -EBUSY;
	return msg;
}

static const struct {
	enum gvm_attach_end to;
	unsigned fds_min, fds_max;
	bool seq, address, offset, bytes, page_bytes, error, text;
} types[] = {
	[GVM_ATTACH_HELLO] = {GVM_ATTACH_TO_GVMFS, 1, 1, .seq = true, .offset = true, .bytes = true},
	[GVM_ATTACH_WELCOME] = {GVM_ATTACH_TO_CLIENT, 2, 3, .bytes = true},
	[GVM_ATTACH_REFUSE] = {GVM_ATTACH_TO_CLIENT, 0, 0, .error = true, .text = true},
	[GVM_ATTACH_READY] = {GVM_ATTACH_TO_GVMFS, 1, 1, .address = true, .offset = true,
			      .bytes = true, .page_bytes = true},
	[GVM_ATTACH_GO] = {.to = GVM_ATTACH_TO_CLIENT},
	[GVM_ATTACH_ZAP] = {GVM_ATTACH_TO_CLIENT, 0, 0, .seq = true, .offset = true, .bytes = true},
	[GVM_ATTACH_ZAPPED] = {GVM_ATTACH_TO_GVMFS, 0, 0, .seq = true},
	[GVM_ATTACH_PIN_ALL] = {GVM_ATTACH_TO_GVMFS, 0, 0, .text = true},
	[GVM_ATTACH_ABORT] = {GVM_ATTACH_TO_CLIENT, 0, 0, .text = true},
	[GVM_ATTACH_DETACHED] = {.to = GVM_ATTACH_TO_GVMFS},
	[GVM_ATTACH_SETTLE] = {.to = GVM_ATTACH_TO_CLIENT, .fds_min = 1, .fds_max = 1},
	[GVM_ATTACH_SETTLED] = {.to = GVM_ATTACH_TO_GVMFS},
};

#define TYPES (sizeof(types) / sizeof(types[0]))

static void each_goes_one_way_with_its_descriptors(void)
{
	for (unsigned t = 1; t < TYPES; t++) {
		struct gvm_attach_msg msg = right(t);

		CHECK_EQ(msg.magic, 0x416d7647);
		CHECK_EQ(msg.version, 1);
		for (unsigned fds = 0; fds <= 8; fds++) {
			bool fits = fds >= types[t].fds_min && fds <= types[t].fds_max;

			CHECK_EQ(accepted(&msg, fds, client), fits && types[t].to == client);
			CHECK_EQ(accepted(&msg, fds, gvmfs), fits && types[t].to == gvmfs);
		}
	}
}

static void fields_that_a_type_does_not_name_are_0(void)
{
	for (unsigned t = 1; t < TYPES; t++) {
		struct gvm_attach_msg good = right(t), msg;

#define WITH(field, value)                                                                         \
	(msg = good, msg.field = (value), accepted(&msg, types[t].fds_min, types[t].to))
		CHECK(!WITH(magic, 0));
		CHECK(!WITH(version, 2));
		CHECK_EQ(WITH(seq, 1), types[t].seq);
		CHECK_EQ(WITH(address, 1), types[t].address);
		CHECK_EQ(WITH(offset, 1), types[t].offset);
		CHECK_EQ(WITH(bytes, 1), types[t].bytes);
		CHECK_EQ(WITH(page_bytes, 4096), types[t].page_bytes);
		CHECK_EQ(WITH(error, -EIO), types[t].error);
		CHECK(!WITH(error, 5));
		CHECK(!WITH(error, -4096));
		CHECK(!WITH(error, INT32_MIN));
		CHECK_EQ(WITH(text[0], 'x'), types[t].text);
#undef WITH
		memset(good.text, 'x', sizeof(good.text)); /* it has no end */
		CHECK(!accepted(&good, types[t].fds_min, types[t].to));
	}
}

static void a_refusal_has_an_error(void)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_REFUSE);

	CHECK(!accepted(&msg, 0, client));
}

static void unknown_types_are_not_taken(void)
{
	static const uint16_t unknown[] = {0, TYPES, 255, 65535};

	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct gvm_attach_msg msg = gvm_attach_message(unknown[i]);

		CHECK(!accepted(&msg, 0, client));
		CHECK(!accepted(&msg, 0, gvmfs));
	}
}

static void texts_can_be_shown(void)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_PIN_ALL);
	char longer[2 * GVM_ATTACH_TEXT];

	gvm_attach_explain(&msg, "VFIO\n\033[2J\177 it is");
	CHECK(gvm_attach_accept(&msg, 0, gvmfs));
	CHECK(!strcmp(msg.text, "VFIO??[2J? it is"));
	memset(longer, 'y', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	gvm_attach_explain(&msg, longer);
	CHECK(gvm_attach_accept(&msg, 0, gvmfs));
	CHECK_EQ(strlen(msg.text), GVM_ATTACH_TEXT - 1);
}

static const struct check_test tests[] = {
	{"each-goes-one-way-with-its-descriptors", each_goes_one_way_with_its_descriptors},
	{"fields-that-a-type-does-not-name-are-0", fields_that_a_type_does_not_name_are_0},
	{"a-refusal-has-an-error", a_refusal_has_an_error},
	{"unknown-types-are-not-taken", unknown_types_are_not_taken},
	{"texts-can-be-shown", texts_can_be_shown},
};

CHECK_MAIN(tests)
