// SPDX-License-Identifier: GPL-2.0-or-later
/* node_hostile.c - whatever arrives: that connection ends, with one line, and the node lives on. */
#include "node_daemon.h"

static struct node node;
static struct answer answer;
static unsigned lines; /* of closed connections, so far */

/* Something that must end the connection at once. */
static void check_closed(int fd, const char *why)
{
	char line[128];

	CHECK(link_ended(fd));
	close(fd);
	snprintf(line, sizeof(line), "closed: %s", why);
	node_log_wait(&node, line);
	node_answers(&node);
	CHECK_EQ(node_log_count(&node, "closed: "), ++lines);
	node.log_len = 0;
	node.log[0] = 0;
	lines = 0;
}

static uint8_t ping[GVM_HDR_BYTES + 8];

static void ping_pack(void)
{
	uint8_t cookie[8] = {1};

	frame_pack(ping, GVM_OP_PING, 1, cookie, 8, NULL, 0);
}

/* The header's own check is made right again after a byte was changed. */
static void ping_recheck(void)
{
	struct gvm_hdr h = {
		.op = ping[5],
		.flags = ping[6],
		.status = (uint16_t)gvm_load_le(ping + 8, 2),
		.meta_len = 8,
		.tag = 1,
	};
	uint8_t magic[8];

	memcpy(magic, ping, 8);
	gvm_hdr_pack(&h, ping + GVM_HDR_BYTES, ping);
	memcpy(ping, magic, 8);
}

static void broken_header_ends_the_connection(void)
{
	static const struct {
		unsigned at;
		uint8_t value;
		const char *why;
	} cases[] = {
		{0, 'X', "not a frame"},      {4, 1, "frame of protocol version 1, not 3"},
		{5, 0, "not a frame"},	      {5, 200, "not a frame"},
		{5, 40, "not a frame"},	      {6, 1, "not a request"},
		{6, 2, "not a request"},      {6, 4, "not a request"},
		{6, 8, "not a frame"},
		{7, 1, "not a frame"},	      {8, 1, "not a request"},
		{11, 8, "not a frame"},	      {14, 3, "not a frame"},
		{15, 0xff, "not a frame"},    {14, 1, "PING with 65536 bytes of data"},
		{16, 9, "PING with a wrong checksum"},
		{32, 9, "PING with a wrong checksum"},
		{GVM_HDR_BYTES + 7, 9, "PING with a wrong checksum"},
	};

	node_start(&node, "16M", NULL);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd = link_ready(&node, 1);

		ping_pack();
		ping[cases[i].at] = cases[i].value;
		link_write(fd, ping, sizeof(ping));
		check_closed(fd, cases[i].why);
		if (cases[i].at >= 10)
			continue;
		fd = link_ready(&node, 1); /* the same with a check that agrees */
		ping_recheck();
		link_write(fd, ping, sizeof(ping));
		check_closed(fd, cases[i].why);
	}
	node_stop(&node);
}

static void malformed_request_ends_the_connection(void)
{
	static const struct {
		uint8_t op;
		unsigned meta_len, data_len;
		const char *why;
	} cases[] = {
		{GVM_OP_PING, 7, 0, "PING with 7 bytes of fields"},
		{GVM_OP_PING, 9, 0, "PING with 9 bytes of fields"},
		{GVM_OP_PING, 8, 1, "PING with 1 bytes of data"},
		{GVM_OP_NODE_STAT, 1, 0, "NODE_STAT with 1 bytes of fields"},
		{GVM_OP_GET, 44, 0, "GET with 44 bytes of fields"},
		{GVM_OP_GET, 1024, 0, "GET with 1024 bytes of fields"},
		{GVM_OP_PUT, 10, 0, "PUT with 10 bytes of fields"},
		{GVM_OP_PUT, 48, 0, "PUT with a malformed chunk head"},
		{GVM_OP_PUT, 64, 4096, "PUT with 4096 bytes where its head says 0"},
		{GVM_OP_DISCARD, 55, 0, "DISCARD with 55 bytes of fields"},
		{GVM_OP_NAME_PUT, 48, 65537, "NAME_PUT with 65537 bytes of data"},
		{GVM_OP_REGION_HELD, 4, 4097, "REGION_HELD with 4097 bytes of data"},
		{GVM_OP_REGION_CREATE, 0, 0, "REGION_CREATE with 0 bytes of fields"},
		{GVM_OP_REGION_OPEN, 200, 0, "REGION_OPEN with 200 bytes of fields"},
		{GVM_OP_HELLO, 52, 0, "HELLO at the wrong time"},
		{GVM_OP_AUTH, 32, 0, "AUTH at the wrong time"},
	};
	static uint8_t buf[GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX], zeros[GVM_DATA_MAX];
	struct gvm_name_put_req name = {.key = {{1}}, .born = 1, .version = 1};
	uint8_t meta[GVM_META_MAX];
	size_t bytes;
	int fd;

	node_start(&node, "16M", NULL);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		fd = link_ready(&node, 1);
		frame_send(fd, cases[i].op, 1, zeros, cases[i].meta_len, zeros, cases[i].data_len);
		check_closed(fd, cases[i].why);
	}
	fd = link_ready(&node, 1);
	bytes = frame_pack(buf, GVM_OP_NAME_PUT, 1, meta, gvm_name_put_req_pack(&name, meta), "name", 4);
	buf[bytes - 1] ^= 1;
	link_write(fd, buf, bytes);
	check_closed(fd, "NAME_PUT with damaged data");
	node_stop(&node);
}

static void hello_comes_first(void)
{
	static const uint8_t zeros[64];
	int fd;

	node_start(&node, "16M", NULL);
	for (unsigned op = GVM_OP_AUTH; op <= GVM_OP_DISCARD; op++) {
		char why[64];

		if (!gvm_op_name((uint8_t)op))
			continue;
		fd = link_open(&node);
		frame_send(fd, (uint8_t)op, 1, zeros, 8, NULL, 0);
		snprintf(why, sizeof(why), "%s before HELLO", gvm_op_name((uint8_t)op));
		check_closed(fd, why);
	}
	fd = link_open(&node);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_HELLO, hello, .version_min = GVM_VERSION + 1, .version_max = 9),
		 GVM_ERR_VERSION);
	CHECK_EQ(answer_detail(&answer), GVM_VERSION);
	CHECK(link_ended(fd));
	close(fd);
	node_log_wait(&node, "refused: no protocol version in common");
	node_stop(&node);
}

static void short_frame_ends_the_connection(void)
{
	static const unsigned lengths[] = {1, 39, 40, 47};
	int fd;

	node_start(&node, "16M", NULL);
	ping_pack();
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		fd = link_ready(&node, 1);
		link_write(fd, ping, lengths[i]);
		shutdown(fd, SHUT_WR);
		check_closed(fd, "ended in the middle of a frame");
	}
	fd = link_ready(&node, 1); /* a whole frame and an end: that is answered */
	link_write(fd, ping, sizeof(ping));
	shutdown(fd, SHUT_WR);
	CHECK(frame_receive(fd, &answer));
	CHECK(link_ended(fd));
	close(fd);
	node_stop(&node);
}

static void noise_is_survived(void)
{
	static uint8_t noise[40000];
	struct gvm_node_stat_rsp stat;
	int fd;

	node_start(&node, "16M", NULL);
	for (unsigned round = 0; round < 150; round++) {
		size_t len = 1 + check_random_below(sizeof(noise));

		for (unsigned i = 0; i < len; i++)
			noise[i] = (uint8_t)check_random();
		fd = round & 1 ? link_ready(&node, 1) : link_open(&node);
		if (round % 3 == 0) { /* something that looks right for a while */
			ping_pack();
			memcpy(noise, ping, len < sizeof(ping) ? len : sizeof(ping));
		}
		if (send(fd, noise, len, MSG_NOSIGNAL) < 0)
			CHECK(errno == EPIPE || errno == ECONNRESET);
		shutdown(fd, SHUT_WR);
		while (link_read(fd, noise, 1))
			;
		close(fd);
	}
	fd = link_ready(&node, 1);
	CHECK_EQ(frame_call(fd, GVM_OP_NODE_STAT, NULL, 0, NULL, 0, &answer), GVM_OK);
	CHECK(gvm_node_stat_rsp_unpack(&stat, answer.meta, answer.hdr.meta_len) > 0);
	CHECK(stat.bad_frames >= 150);
	/* Many lines, but not without end. */
	CHECK(node_log_count(&node, "closed: ") < 100);
	close(fd);
	node_stop(&node);
}

static void unfinished_greeting_is_ended(void)
{
	int silent, slow, ready;

	node_start(&node, "16M", NULL);
	silent = link_open(&node);
	slow = link_open(&node);
	ready = link_ready(&node, 1);
	ping_pack();
	link_write(slow, ping, 10);
	CHECK(link_ended(silent));
	CHECK(link_ended(slow));
	CHECK_EQ(node_log_count(&node, "closed: did not finish HELLO and AUTH in time"), 2);
	CHECK_EQ(link_call(ready, &answer, GVM_OP_PING, ping, 1), GVM_OK);
	close(silent);
	close(slow);
	close(ready);
	node_stop(&node);
}

static const struct check_test tests[] = {
	{"broken-header-ends-the-connection", broken_header_ends_the_connection},
	{"malformed-request-ends-the-connection", malformed_request_ends_the_connection},
	{"hello-comes-first", hello_comes_first},
	{"short-frame-ends-the-connection", short_frame_ends_the_connection},
	{"noise-is-survived", noise_is_survived},
	{"unfinished-greeting-is-ended", unfinished_greeting_is_ended},
};
CHECK_MAIN(tests)
