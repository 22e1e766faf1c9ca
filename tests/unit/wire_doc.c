// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * wire_doc.c - keeps memnode/PROTOCOL.md honest: its tables say what gvm_wire.h says, its examples
 * are the golden frames.
 */
#include "golden.h"
#include "memnode/codec.h"

#include <errno.h>

#define CELLS_MAX 5

static char doc[1 << 20];

static void doc_load(void)
{
	FILE *f = golden_open("memnode/PROTOCOL.md");
	size_t n = fread(doc, 1, sizeof(doc) - 1, f);

	CHECK(n > 0 && n < sizeof(doc) - 1);
	doc[n] = 0;
	fclose(f);
}

/* The line after the one at p, or NULL. */
static const char *line_next(const char *p)
{
	p = strchr(p, '\n');
	return p && p[1] ? p + 1 : NULL;
}

static bool line_is(const char *p, const char *text)
{
	size_t n = strlen(text);

	return !strncmp(p, text, n) && p[n] == '\n';
}

/* The first line of the section under this heading. */
static const char *section(const char *heading)
{
	for (const char *p = doc; p; p = line_next(p))
		if (line_is(p, heading))
			return line_next(p);
	fprintf(stderr, "PROTOCOL.md has no heading \"%s\"\n", heading);
	exit(1);
}

struct row {
	char cell[CELLS_MAX][256];
	unsigned cells;
};

/* Cuts a table's row at p into cells, without backquotes around them. False: it is none. */
static bool row_read(const char *p, struct row *row)
{
	memset(row, 0, sizeof(*row));
	if (*p != '|')
		return false;
	for (p++; *p && *p != '\n' && row->cells < CELLS_MAX; p++, row->cells++) {
		char *cell = row->cell[row->cells];
		size_t n = 0;

		for (; *p && *p != '|' && *p != '\n'; p++)
			if (n + 1 < sizeof(row->cell[0]) && *p != '`' && (n || *p != ' '))
				cell[n++] = *p;
		while (n && cell[n - 1] == ' ')
			cell[--n] = 0;
		if (*p != '|')
			break;
	}
	return true;
}

/* The rows of the section's first table that begin with a cell other than its heading. */
static const char *table(const char *heading)
{
	const char *p = section(heading);

	for (; p && *p != '|'; p = line_next(p))
		CHECK(*p != '#');
	CHECK(p);
	p = line_next(p);
	CHECK(p && !strncmp(p, "|---", 4));
	return line_next(p);
}

struct expected {
	unsigned offset;
	const char *type, *name;
};

static void fields_agree(const char *heading, const struct expected *want, size_t count)
{
	const char *p = table(heading);
	struct row row;

	for (size_t i = 0; i < count; i++, p = line_next(p)) {
		char offset[16];

		snprintf(offset, sizeof(offset), "%u", want[i].offset);
		if (!p || !row_read(p, &row) || row.cells < 4 || strcmp(row.cell[0], offset) ||
		    strcmp(row.cell[1], want[i].type) || strcmp(row.cell[2], want[i].name) ||
		    !row.cell[3][0]) {
			fprintf(stderr, "PROTOCOL.md, %s: no row | %s | %s | `%s` | meaning |\n",
				heading, offset, want[i].type, want[i].name);
			exit(1);
		}
	}
	CHECK(!p || !row_read(p, &row) || !row.cell[1][0]);
}

#define FIELD_ADD(type, name)                                                                      \
	want[count++] = (struct expected){offset, #type, #name};                                   \
	offset += (unsigned)sizeof(gvm_wire_##type);
#define MESSAGE_AGREES(msg, TABLE)                                                                 \
	{                                                                                          \
		struct expected want[32];                                                          \
		unsigned offset = 0, count = 0;                                                    \
                                                                                                   \
		TABLE(FIELD_ADD)                                                                   \
		fields_agree("### " #msg, want, count);                                            \
	}

static void every_message_is_described_field_by_field(void)
{
	doc_load();
	GVM_MESSAGES(MESSAGE_AGREES)
}

static void header_and_chunk_head_are_described(void)
{
	static const struct expected header[] = {
		{0, "u32", "magic"},	   {4, "u8", "version"},    {5, "u8", "op"},
		{6, "u8", "flags"},	   {7, "u8", "0"},	    {8, "u16", "status"},
		{10, "u16", "meta_len"},   {12, "u32", "data_len"}, {16, "u64", "tag"},
		{24, "u64", "data_check"}, {32, "u64", "check"},
	};
	static const struct expected head[] = {
		{0, "u32", "zero_map"}, {4, "u8", "block_shift"}, {5, "u8", "form"},
		{6, "u16", "count"},	{8, "u32", "block_mask"}, {12, "u32", "body_bytes"},
	};
	static const struct expected entry[] = {{0, "u32", "bytes"}, {4, "u64", "hash"}};
	static const struct expected sealed[] = {
		{0, "u32", "bytes"}, {4, "u64", "version"}, {12, "u32", "number"}, {16, "bytes16", "tag"}};
	struct gvm_hdr h = {.op = 0x11,
			    .flags = 2,
			    .status = 0x3344,
			    .meta_len = 0x155,
			    .data_len = 0x1ffff,
			    .tag = ~0ull,
			    .data_check = ~1ull};
	struct chunk_head c = {.zero_map = 0x80000000,
			       .block_shift = 1,
			       .block_mask = 0x8001,
			       .body_bytes = 70,
			       .block = {{.bytes = 20, .hash = 3}, [15] = {.bytes = 50, .hash = 4}}};
	uint8_t meta[GVM_META_MAX] = {0}, bytes[CHUNK_HEAD_MAX];

	doc_load();
	fields_agree("### header", header, sizeof(header) / sizeof(*header));
	gvm_hdr_pack(&h, meta, bytes);
	CHECK_EQ(gvm_load_le(bytes, 4), GVM_MAGIC);
	CHECK_EQ(bytes[4], GVM_VERSION);
	CHECK_EQ(bytes[5], h.op);
	CHECK_EQ(bytes[6], h.flags);
	CHECK_EQ(gvm_load_le(bytes + 8, 2), h.status);
	CHECK_EQ(gvm_load_le(bytes + 10, 2), h.meta_len);
	CHECK_EQ(gvm_load_le(bytes + 12, 4), h.data_len);
	CHECK_EQ(gvm_load_le(bytes + 16, 8), h.tag);
	CHECK_EQ(gvm_load_le(bytes + 24, 8), h.data_check);
	CHECK_EQ(gvm_load_le(bytes + 32, 8), h.check);

	fields_agree("### chunk head", head, sizeof(head) / sizeof(*head));
	fields_agree("### block entry", entry, sizeof(entry) / sizeof(*entry));
	CHECK_EQ(chunk_head_pack(&c, bytes), 16 + 2 * 12);
	CHECK_EQ(gvm_load_le(bytes, 4), c.zero_map);
	CHECK_EQ(bytes[4], c.block_shift);
	CHECK_EQ(gvm_load_le(bytes + 6, 2), 2);
	CHECK_EQ(gvm_load_le(bytes + 8, 4), c.block_mask);
	CHECK_EQ(gvm_load_le(bytes + 12, 4), c.body_bytes);
	CHECK_EQ(gvm_load_le(bytes + 28, 4), 50);
	CHECK_EQ(gvm_load_le(bytes + 32, 8), 4);

	fields_agree("### sealed block entry", sealed, sizeof(sealed) / sizeof(*sealed));
	c.sealed = true;
	c.block[15] = (struct chunk_block){
		.bytes = 50, .raw = true, .salt = 7, .version = 9, .number = 11, .tag = {13}};
	c.salt[7] = (struct chunk_salt){{15}};
	CHECK_EQ(chunk_head_pack(&c, bytes), 16 + 2 * 32 + 2 * 16);
	CHECK_EQ(bytes[5], 1);
	CHECK_EQ(gvm_load_le(bytes + 48, 4), 1u << 31 | 1u << 16 | 50);
	CHECK_EQ(gvm_load_le(bytes + 52, 8), 9);
	CHECK_EQ(gvm_load_le(bytes + 60, 4), 11);
	CHECK_EQ(bytes[64], 13);
	CHECK_EQ(bytes[16 + 64 + 16], 15);
}

/* Rows that name something with its number. Returns how many rows the table has. */
static size_t table_has(const char *heading, const char *name, unsigned long long number,
			const char *third)
{
	size_t rows = 0;
	bool found = false;
	struct row row;

	for (const char *p = table(heading); p && row_read(p, &row); p = line_next(p), rows++)
		found |= !strcmp(row.cell[0], name) && row.cell[1][0] &&
			 strtoull(row.cell[1], NULL, 10) == number &&
			 (!third || !strcmp(row.cell[2], third));
	if (!found) {
		fprintf(stderr, "PROTOCOL.md, %s: no row | `%s` | %llu | %s\n", heading, name,
			number, third ? third : "");
		exit(1);
	}
	return rows;
}

static void every_op_and_status_is_described(void)
{
	size_t ops = 0, statuses = 0, rows = 0;

	doc_load();
	for (unsigned op = 0; op < 256; op++)
		if (gvm_op_name((uint8_t)op)) {
			rows = table_has("## Operations", gvm_op_name((uint8_t)op), op, NULL);
			ops++;
		}
	CHECK_EQ(rows, ops);
	for (; strcmp(gvm_status_name((uint16_t)statuses), "UNKNOWN"); statuses++) {
		int error = -gvm_status_errno((uint16_t)statuses);

		rows = table_has("## Statuses", gvm_status_name((uint16_t)statuses), statuses,
				 error ? strerrorname_np(error) : "0");
	}
	CHECK_EQ(rows, statuses);
}

/* A row anywhere in the document. */
static void constant_is_described(const char *name, unsigned long long value)
{
	struct row row;

	for (const char *p = doc; p; p = line_next(p))
		if (row_read(p, &row) && !strcmp(row.cell[0], name)) {
			CHECK_EQ(strtoull(row.cell[1], NULL, 0), value);
			return;
		}
	fprintf(stderr, "PROTOCOL.md: no row | `%s` | %llu |\n", name, value);
	exit(1);
}

static void every_limit_is_described(void)
{
	doc_load();
#define CONSTANT(name) constant_is_described(#name, name)
	CONSTANT(GVM_PORT);
	CONSTANT(GVM_MAGIC);
	CONSTANT(GVM_VERSION);
	CONSTANT(GVM_PAGE_BYTES);
	CONSTANT(GVM_CHUNK_PAGES);
	CONSTANT(GVM_CHUNK_BYTES);
	CONSTANT(GVM_PROMISE_BYTES);
	CONSTANT(GVM_HDR_BYTES);
	CONSTANT(GVM_META_MAX);
	CONSTANT(GVM_DATA_MAX);
	CONSTANT(GVM_RECORD_MAX);
	CONSTANT(GVM_NONCE_BYTES);
	CONSTANT(GVM_MAC_BYTES);
	CONSTANT(GVM_SEQ_BITS);
	CONSTANT(GVM_EPOCH_MAX);
	CONSTANT(GVM_NO_PAGE);
	CONSTANT(GVM_FLAG_RESPONSE);
	CONSTANT(GVM_FLAG_MORE);
	CONSTANT(GVM_FEATURE_SEAL);
	CONSTANT(GVM_FEATURE_PACK);
	CONSTANT(GVM_FLAG_PACK);
}

static void examples_are_the_golden_frames(void)
{
	static struct golden example;
	unsigned examples = 0;

	doc_load();
	for (const char *p = doc; p; p = line_next(p)) {
		const struct golden *g;

		if (sscanf(p, "```hex %31s", example.name) != 1)
			continue;
		example.bytes = 0;
		for (p = line_next(p); p && strncmp(p, "```", 3); p = line_next(p)) {
			char line[1024];

			snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
			golden_line(&example, line);
		}
		CHECK(p);
		printf("  %s\n", example.name);
		g = golden_find(example.name);
		CHECK_EQ(example.bytes, g->bytes);
		CHECK_MEM(example.byte, g->byte, g->bytes);
		examples++;
	}
	CHECK(examples >= 8);
}

static const struct check_test tests[] = {
	{"every-message-is-described", every_message_is_described_field_by_field},
	{"header-and-chunk-head-are-described", header_and_chunk_head_are_described},
	{"every-op-and-status-is-described", every_op_and_status_is_described},
	{"every-limit-is-described", every_limit_is_described},
	{"examples-are-the-golden-frames", examples_are_the_golden_frames},
};
CHECK_MAIN(tests)
