// SPDX-License-Identifier: GPL-2.0-or-later
/* node_writers.c - one writer at a time, alive as long as one of its connections is. */
#include "node_chunk.h"

static struct node node;
static struct answer answer;

static uint16_t attach(int fd, uint64_t epoch, uint8_t force)
{
	return link_call(fd, &answer, GVM_OP_REGION_OPEN, region_open, .region = chunk_region,
			 .mode = 1, .force = force, .epoch = epoch);
}

static bool writer_alive(int fd)
{
	struct gvm_region_stat_rsp stat;

	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_STAT, region_stat, .region = chunk_region), GVM_OK);
	CHECK(gvm_region_stat_rsp_unpack(&stat, answer.meta, answer.hdr.meta_len) > 0);
	return stat.writer == GVM_WRITER_THERE;
}

/* The node notices the end of a connection a moment after close(). */
static void writer_dead_wait(int fd)
{
	uint64_t until = now_ms() + 20000;

	while (writer_alive(fd)) {
		CHECK(now_ms() < until);
		usleep(1000);
	}
}

static void second_writer_waits_for_the_first_ones_end(void)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	int first, again, second;

	node_start(&node, "64M", NULL);
	first = link_ready(&node, 1);
	again = link_ready(&node, 1);
	second = link_ready(&node, 2);
	region_make(first, 16);
	CHECK_EQ(attach(again, 1, 0), GVM_OK);
	CHECK_EQ(attach(second, 2, 0), GVM_ERR_BUSY);
	CHECK_EQ(answer_detail(&answer), 1);
	close(first);
	usleep(20000);
	CHECK_EQ(attach(second, 2, 0), GVM_ERR_BUSY);
	close(again);
	writer_dead_wait(second);
	CHECK_EQ(attach(second, 2, 0), GVM_OK);
	page_fill(data, PAGE_TEXT);
	CHECK_EQ(chunk_put(second, data, 0, gvm_version(2, 1), 0, ~0u), GVM_OK);
	close(second);
	node_stop(&node);
}

static void forced_attach_fences_the_old_writer(void)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	int first, second, reader;

	node_start(&node, "64M", NULL);
	first = link_ready(&node, 1);
	second = link_ready(&node, 2);
	reader = link_ready(&node, 3);
	region_make(first, 16);
	page_fill(data, PAGE_TEXT);
	CHECK_EQ(chunk_put(first, data, 0, gvm_version(1, 1), 0, ~0u), GVM_OK);
	CHECK_EQ(attach(second, 2, 1), GVM_OK);
	CHECK_EQ(chunk_put(first, data, 0, gvm_version(1, 2), 0, ~0u), GVM_ERR_FENCED);
	CHECK_EQ(answer_detail(&chunk_answer), 2);
	get_send(first, 5, 0, gvm_version(1, 1), ~0u, 0);
	CHECK(frame_receive(first, &answer));
	CHECK_EQ(answer.hdr.status, GVM_ERR_FENCED);
	CHECK_EQ(link_call(first, &answer, GVM_OP_REGION_DELETE, region_delete, .region = chunk_region,
			   .epoch = 1),
		 GVM_ERR_FENCED);
	CHECK_EQ(attach(first, 1, 1), GVM_ERR_FENCED);
	/* The old one's end does not end the new one's attachment. */
	close(first);
	usleep(20000);
	CHECK(writer_alive(reader));
	CHECK_EQ(link_call(second, &answer, GVM_OP_REGION_CLOSE, region_close, .region = chunk_region,
			   .epoch = 2),
		 GVM_OK);
	CHECK(!writer_alive(reader));
	close(second);
	close(reader);
	node_stop(&node);
}

static const struct check_test tests[] = {
	{"second-writer-waits-for-the-first-ones-end", second_writer_waits_for_the_first_ones_end},
	{"forced-attach-fences-the-old-writer", forced_attach_fences_the_old_writer},
};
CHECK_MAIN(tests)
