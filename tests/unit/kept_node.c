// SPDX-License-Identifier: GPL-2.0-or-later
/* kept_node.c - see kept_node.h. */
#include "kept_node.h"

#include "memnode/codec.h"
#include "memnode/daemon/keep_scan.h"
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

char folder[64], path[128];
struct node node;
struct journal journal;
bool sync_mode;
char why[600];
struct region_writer writer = {.client = 42};
static struct chunk_codec *codec;

void folder_make(void)
{
	/* Where a file is brought to the disk at once: there are thousands of starts. */
	snprintf(folder, sizeof(folder), "%s/gvm-journal.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/chunks.gvm", folder);
	codec = codec ? codec : chunk_codec_create();
}

void folder_remove(void)
{
	unlink(path);
	CHECK(!rmdir(folder));
}

int node_try(const char *owner, uint64_t bytes)
{
	struct keep_wish wish = {
		.dir = folder, .bytes = bytes, .memory_bytes = MEMORY, .sync = sync_mode, .owner = owner};

	CHECK(!node_init(&node, MEMORY, 1, NULL, 0));
	regions_clock(&node.regions, 1);
	return journal_open(&journal, &wish, &node.regions, &node.names, &node.incarnation, why, sizeof(why));
}

void node_up(void)
{
	int err = node_try(OWNER, FILE_BYTES);

	if (err)
		fprintf(stderr, "%s\n", why);
	CHECK_EQ(err, 0);
	node.journal = &journal;
}

void written(void)
{
	CHECK_EQ(keep_log_flush(&journal.log), 0);
	journal_look(&journal);
	while (journal_work(&journal))
		CHECK_EQ(keep_log_flush(&journal.log), 0);
	CHECK_EQ(keep_log_flush(&journal.log), 0);
	journal_look(&journal);
}

void node_killed(void)
{
	region_writer_gone(&writer);
	node_deinit(&node);
}

void node_ended(void)
{
	region_writer_gone(&writer);
	CHECK_EQ(journal_close(&journal), 0);
	node_deinit(&node);
}

uint16_t region_make_with(const struct gvm_id *id, uint64_t chunks, bool views)
{
	const struct gvm_region_create_req create = {
		.region = *id, .chunks = chunks, .reserve_chunks = chunks, .views = views};
	const struct gvm_region_open_req open = {
		.region = *id, .mode = 1, .epoch = 1, .lease_ms = 10000, .host = {{1}}, .process = {{2}}};
	struct gvm_region_open_rsp rsp;
	uint64_t detail;
	uint16_t status = regions_create(&node.regions, &create, &detail);

	if (!status)
		status = regions_open(&node.regions, &open, &writer, &rsp, &detail);
	if (!status)
		journal_region(&journal, id);
	return status;
}

uint16_t region_make(const struct gvm_id *id, uint64_t chunks)
{
	return region_make_with(id, chunks, false);
}

/* The bytes of a chunk in a version. */
static void content(uint8_t *data, uint64_t chunk, uint64_t seq)
{
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint8_t *page = data + p * GVM_PAGE_BYTES;

		memset(page, 0, GVM_PAGE_BYTES);
		if (p % 4 == 3)
			continue;
		for (unsigned i = 0; i < GVM_PAGE_BYTES; i += 8)
			gvm_store_le(page + i, p % 4 ? (chunk * 31 + seq) * 0x9e3779b97f4a7c15ull * (i + p + 1) : chunk ^ seq << 20,
				     8);
	}
}

uint16_t put(const struct gvm_id *id, uint64_t chunk, uint64_t seq)
{
	static uint8_t data[GVM_CHUNK_BYTES], body[GVM_CHUNK_BYTES];
	const struct gvm_put_req what = {.region = *id, .epoch = 1, .chunk = chunk, .version = gvm_version(1, seq)};
	struct chunk_head head;
	uint64_t detail;
	uint16_t status;

	content(data, chunk, seq);
	chunk_encode(codec, data, ~0u, 0, CHUNK_BLOCK_SHIFT, id, chunk, &head, body);
	status = regions_put(&node.regions, &what, &head, body, &detail);
	if (!status)
		journal_chunk(&journal, id, chunk);
	return status;
}

uint16_t discard(const struct gvm_id *id, uint64_t first, uint64_t count, uint64_t seq)
{
	const struct gvm_discard_req what = {
		.region = *id, .epoch = 1, .first = first, .count = count, .version = seq ? gvm_version(1, seq) : 0};
	uint64_t detail;
	uint16_t status = regions_discard(&node.regions, &what, &detail);

	if (!status)
		journal_discard(&journal, id, first, count);
	return status;
}

uint16_t get(const struct gvm_id *id, uint64_t chunk, uint64_t *seq)
{
	static uint8_t data[GVM_CHUNK_BYTES], expected[GVM_CHUNK_BYTES], body[CHUNK_ENCODED_MAX];
	const struct gvm_get_req what = {.region = *id, .chunk = chunk, .page_mask = ~0u, .want_page = GVM_NO_PAGE};
	struct region_found found;
	uint64_t detail;
	uint32_t valid;
	uint16_t status = regions_get(&node.regions, &what, &found, &detail);

	*seq = 0;
	if (status)
		return status;
	*seq = found.version & ((1ull << GVM_SEQ_BITS) - 1);
	memset(data, 0, sizeof(data));
	memset(expected, 0, sizeof(expected));
	if (found.cell == STORE_NONE)
		return GVM_OK;
	store_copy(node.store, found.cell, found.head_bytes, body, found.bytes - found.head_bytes);
	if (chunk_decode(codec, &found.head, body, id, chunk, ~0u, data, &valid))
		return GVM_ERR_CORRUPT;
	content(expected, chunk, *seq);
	CHECK_MEM(data, expected, sizeof(data));
	return GVM_OK;
}

bool is_zero(const struct gvm_id *id, uint64_t chunk)
{
	const struct region *r = region_find_any(&node.regions, id);

	return !entry_has_body(&r->entries[chunk]);
}

void boot_change(void)
{
	int fd = open(path, O_RDWR);
	uint8_t buf[KEEP_SUPER_BYTES];
	struct keep_super s;

	CHECK(fd >= 0);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(pread(fd, buf, sizeof(buf), i * KEEP_SUPER_BYTES), sizeof(buf));
		CHECK_EQ(keep_super_unpack(&s, buf), 0);
		s.boot.b[3] ^= 1;
		keep_super_pack(&s, buf);
		CHECK_EQ(pwrite(fd, buf, sizeof(buf), i * KEEP_SUPER_BYTES), sizeof(buf));
	}
	close(fd);
}

uint8_t *file_read_all(size_t *bytes)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	uint8_t *p;

	CHECK(fd >= 0 && !fstat(fd, &st));
	*bytes = (size_t)st.st_size;
	p = malloc(*bytes);
	CHECK(p && pread(fd, p, *bytes, 0) == st.st_size);
	close(fd);
	return p;
}

void bytes_write(const void *p, size_t bytes, uint64_t at)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && pwrite(fd, p, bytes, (off_t)at) == (ssize_t)bytes);
	close(fd);
}

static void lives_write(const uint8_t lives[16])
{
	static const uint8_t none[16];

	CHECK(!memcmp(lives, none, 16) || !setxattr(path, KEEP_LIVES, lives, 16, 0));
}

void image_take(struct image *i)
{
	i->bytes = file_read_all(&i->count);
	if (getxattr(path, KEEP_LIVES, i->lives, sizeof(i->lives)) < 0)
		memset(i->lives, 0, sizeof(i->lives));
	i->next_seq = journal.log.next_seq;
	for (unsigned k = 0; k < KEEP_KINDS; k++) {
		CHECK(journal.log.head[k].open);
		i->from[k] = keep_log_offset(&journal.log, journal.log.head[k].segment);
		i->to[k] = i->from[k] + journal.log.head[k].off;
	}
}

void image_range(const struct image *i, uint64_t from, uint64_t to)
{
	bytes_write(i->bytes + from, to - from, from);
}

void image_restore(const struct image *i, uint64_t more)
{
	struct keep_log *l = &journal.log;

	CHECK_EQ(keep_log_flush(l), 0);
	for (uint32_t s = 0; s < l->segments; s++)
		if (l->segment[s].seq >= i->next_seq)
			image_range(i, keep_log_offset(l, s), keep_log_offset(l, s + 1));
	node_killed();
	image_range(i, 0, KEEP_BASE);
	lives_write(i->lives);
	for (unsigned k = 0; k < KEEP_KINDS; k++)
		image_range(i, i->to[k], i->to[k] + more + KEEP_UNIT);
}
