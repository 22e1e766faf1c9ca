// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * node_persist.c - a node with --persist that is killed, ended and started again, and one whose disk fails.
 *
 * GVM_TEST_KILLS: how often it is killed in the first test (20).
 */
#include "node_chunk.h"

#include "memnode/daemon/keep_format.h"

#include <fcntl.h>
#include <sys/mman.h>

#define CHUNKS	48u
#define LINKS	2u
#define BATCH	12u

static struct node node;
static struct answer answer;
static char folder[64];
static char *wish; /* of the disk: see slow_disk.c */

static void folder_make(void)
{
	snprintf(folder, sizeof(folder), "%s/gvm-persist.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	CHECK(mkdtemp(folder));
}

static void folder_remove(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/chunks.gvm", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/wish", folder);
	unlink(path);
	CHECK(!rmdir(folder));
}

/* Until the horizon in the node's file says that the disk has lost something. */
static void suspect_wait(void)
{
	uint8_t horizon[5] = {0};
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/chunks.gvm", folder);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (!horizon[4]) {
		CHECK_EQ(pread(fd, horizon, sizeof(horizon), KEEP_HORIZON_AT), sizeof(horizon));
		usleep(1000);
	}
	close(fd);
}

static void kill_and_wait(void)
{
	CHECK(!kill(node.pid, SIGKILL));
	CHECK_EQ(node_wait(&node), 1000 + SIGKILL);
}

static struct gvm_id life(int fd, uint64_t client)
{
	struct gvm_hello_rsp rsp;

	link_hello(fd, client, &answer);
	CHECK(gvm_hello_rsp_unpack(&rsp, answer.meta, answer.hdr.meta_len) > 0);
	return rsp.incarnation;
}

static uint16_t attach(int fd, uint64_t epoch, uint32_t lease_ms)
{
	return link_call(fd, &answer, GVM_OP_REGION_OPEN, region_open, .region = chunk_region, .mode = 1,
			 .epoch = epoch, .lease_ms = lease_ms);
}

/* What a chunk holds in a version. */
static void content(uint8_t *data, uint64_t chunk, uint64_t seq)
{
	memset(data, 0, GVM_CHUNK_BYTES);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p += 1 + (seq + chunk) % 5)
		for (unsigned i = 0; i < GVM_PAGE_BYTES; i += 8)
			gvm_store_le(data + p * GVM_PAGE_BYTES + i,
				     p % 2 ? seq * 1000 + chunk : (seq * 31 + chunk + i) * 0x9e3779b97f4a7c15ull, 8);
}

/* False: the node is gone. */
static bool try_write(int fd, const uint8_t *p, size_t bytes)
{
	while (bytes) {
		ssize_t n = send(fd, p, bytes, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		bytes -= (size_t)n;
	}
	return true;
}

static struct truth {
	uint64_t sent, answered; /* sequence numbers */
} truth[CHUNKS];

static void check_truth(int fd)
{
	static uint8_t data[GVM_CHUNK_BYTES];

	for (uint64_t c = 0; c < CHUNKS; c++) {
		struct gvm_get_rsp rsp;
		uint64_t seq;

		get_send(fd, 7, c, 0, ~0u, GVM_NO_PAGE);
		if (!frame_receive(fd, &answer)) {
			node_log_read(&node, 2000);
			fprintf(stderr, "chunk %llu: the node ended the connection, and said:\n%s", (unsigned long long)c, node.log);
			fprintf(stderr, "status %d\n", node_wait(&node));
			exit(1);
		}
		CHECK_EQ(answer.hdr.status, GVM_OK);
		CHECK(gvm_get_rsp_unpack(&rsp, answer.meta, answer.hdr.meta_len) > 0);
		seq = rsp.version & ((1ull << GVM_SEQ_BITS) - 1);
		if (seq < truth[c].answered || seq > truth[c].sent) {
			fprintf(stderr, "chunk %llu is of version %llu: %llu was answered, %llu was sent\n",
				(unsigned long long)c, (unsigned long long)seq, (unsigned long long)truth[c].answered,
				(unsigned long long)truth[c].sent);
			exit(1);
		}
		truth[c].answered = seq;
		if (!seq)
			continue;
		content(data, c, seq);
		chunk_get(fd, data, c, rsp.version, ~0u, GVM_NO_PAGE);
	}
}

/* Until the node is gone. */
static void write_on(const int *links, uint64_t *seq)
{
	static uint8_t data[GVM_CHUNK_BYTES], frame[GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX];
	uint64_t of_tag[LINKS * BATCH + 1];

	for (;;) {
		bool gone = false;

		for (unsigned i = 0; i < BATCH * LINKS && !gone; i++) {
			uint64_t c = check_random_below(CHUNKS / LINKS) * LINKS + i % LINKS;
			size_t bytes;

			content(data, c, ++*seq);
			bytes = put_pack(frame, i + 1, data, c, gvm_version(1, *seq), 0, ~0u);
			truth[c].sent = *seq;
			of_tag[i + 1] = c << 40 | *seq;
			gone = !try_write(links[i % LINKS], frame, bytes);
		}
		for (unsigned i = 0; i < BATCH * LINKS; i++) {
			uint64_t c;

			if (!frame_receive(links[i % LINKS], &answer))
				return;
			CHECK_EQ(answer.hdr.status, GVM_OK);
			c = of_tag[answer.hdr.tag] >> 40;
			if ((of_tag[answer.hdr.tag] & ((1ull << 40) - 1)) > truth[c].answered)
				truth[c].answered = of_tag[answer.hdr.tag] & ((1ull << 40) - 1);
		}
		if (gone)
			return;
	}
}

static void storm(const char *option, unsigned kills)
{
	struct gvm_id first = {{0}};
	uint64_t seq = 0, answered = 0;

	memset(truth, 0, sizeof(truth));
	folder_make();
	for (unsigned k = 0; k <= kills; k++) {
		int links[LINKS];
		pid_t killer;

		node_start(&node, "32M", "--persist", folder, option, NULL);
		for (unsigned i = 0; i < LINKS; i++) {
			struct gvm_id now;

			links[i] = link_open(&node);
			now = life(links[i], 1);
			if (k || i)
				CHECK_MEM(now.b, first.b, sizeof(now.b)); /* it is the same node */
			first = now;
		}
		if (!k)
			region_make(links[0], CHUNKS);
		for (unsigned i = 0; i < LINKS; i++)
			CHECK_EQ(attach(links[i], 1, 10000), GVM_OK);
		check_truth(links[0]);
		killer = fork();
		if (!killer) {
			usleep(2000 + check_random_below(60000) * (k % 7 + 1) / 4);
			kill(node.pid, SIGKILL);
			_exit(0);
		}
		write_on(links, &seq);
		CHECK_EQ(node_wait(&node), 1000 + SIGKILL);
		CHECK_EQ(waitpid(killer, NULL, 0), killer);
		for (unsigned i = 0; i < LINKS; i++)
			close(links[i]);
		check_random();
	}
	for (unsigned c = 0; c < CHUNKS; c++)
		answered += truth[c].answered != 0;
	CHECK(answered > CHUNKS / 8);
	printf("  %u kills, %llu PUTs\n", kills, (unsigned long long)seq);
	folder_remove();
}

static void killed_node_has_all_that_it_answered(void)
{
	const char *kills = getenv("GVM_TEST_KILLS");

	storm(NULL, kills ? (unsigned)atoi(kills) : 20);
	storm("--persist-sync", 5);
}

/* One page that is not zero. */
static void page_text(uint8_t *data, uint64_t chunk)
{
	memset(data, 0, GVM_CHUNK_BYTES);
	for (unsigned i = 0; i < GVM_PAGE_BYTES; i += 8)
		gvm_store_le(data + i, chunk * 0x9e3779b97f4a7c15ull + i % 512, 8);
}

static void ended_node_has_thousands_of_chunks(void)
{
	enum { MANY = 3000 };
	static uint8_t data[GVM_CHUNK_BYTES];
	struct gvm_id first, second;
	int fd;

	folder_make();
	node_start(&node, "512M", "--persist", folder, NULL);
	fd = link_open(&node);
	first = life(fd, 1);
	region_make(fd, MANY);
	for (uint64_t c = 0; c < MANY; c++) {
		page_text(data, c);
		CHECK_EQ(chunk_put(fd, data, c, gvm_version(1, c + 1), 0, ~0u), GVM_OK);
	}
	close(fd);
	node_stop(&node);
	CHECK(strstr(node.log, "ends, and keeps 1 regions with 3000 chunks"));
	node_start(&node, "512M", "--persist", folder, NULL);
	CHECK(strstr(node.log, "has 1 regions with 3000 chunks"));
	fd = link_open(&node);
	second = life(fd, 1);
	CHECK_MEM(second.b, first.b, sizeof(first.b));
	CHECK_EQ(attach(fd, 1, 0), GVM_OK);
	for (uint64_t c = 0; c < MANY; c += 37) {
		page_text(data, c);
		chunk_get(fd, data, c, gvm_version(1, c + 1), 1, 0);
	}
	close(fd);
	node_stop(&node);
	/* Without the option it is a node that knows nothing. */
	node_start(&node, "512M", NULL);
	fd = link_open(&node);
	second = life(fd, 1);
	CHECK(!gvm_id_equal(&first, &second));
	CHECK_EQ(attach(fd, 1, 0), GVM_ERR_LOST);
	close(fd);
	node_stop(&node);
	folder_remove();
}

static void lease_and_watch_outlive_a_kill(void)
{
	int writer, other;

	folder_make();
	node_start(&node, "32M", "--persist", folder, NULL);
	writer = link_ready(&node, 1);
	region_make(writer, 4);
	CHECK_EQ(attach(writer, 1, 60000), GVM_OK);
	kill_and_wait();
	close(writer);
	node_start(&node, "32M", "--persist", folder, NULL);
	other = link_ready(&node, 2);
	writer = link_ready(&node, 1);
	CHECK_EQ(attach(other, 2, 0), GVM_ERR_BUSY);
	CHECK_EQ(attach(writer, 1, 60000), GVM_OK);
	CHECK_EQ(link_call(writer, &answer, GVM_OP_REGION_CLOSE, region_close, .region = chunk_region, .epoch = 1),
		 GVM_OK);
	kill_and_wait();
	close(writer);
	close(other);
	node_start(&node, "32M", "--persist", folder, NULL);
	other = link_ready(&node, 2);
	/* It was given up; but a reader may still rely on a watch that the node has forgotten. */
	CHECK_EQ(attach(other, 2, 0), GVM_ERR_WATCHED);
	while (attach(other, 2, 0) == GVM_ERR_WATCHED)
		usleep(5000);
	CHECK_EQ(answer.hdr.status, GVM_OK);
	close(other);
	node_stop(&node);
	folder_remove();
}

/* On the disk, too: what is read back after a kill is as small, and right. */
static void compressed_chunks_outlive_a_kill(void)
{
	static uint8_t data[4][GVM_CHUNK_BYTES];
	int fd;

	folder_make();
	node_start(&node, "32M", "--persist", folder, NULL);
	fd = link_ready(&node, 1);
	region_make(fd, 4);
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			page_fill(data[i] + p * GVM_PAGE_BYTES, PAGE_TEXT);
		CHECK_EQ(chunk_put_raw(fd, data[i], i, gvm_version(1, 1)), GVM_OK);
	}
	wait_for_stored(fd, sizeof(data) / 2);
	/* A further change is answered when all before it is written. */
	CHECK_EQ(chunk_put(fd, data[0], 0, gvm_version(1, 2), 0, ~0u), GVM_OK);
	kill_and_wait();
	close(fd);
	node_start(&node, "32M", "--persist", folder, NULL);
	fd = link_ready(&node, 1);
	CHECK_EQ(attach(fd, 1, 0), GVM_OK);
	for (unsigned i = 0; i < 4; i++)
		chunk_get(fd, data[i], i, gvm_version(1, i ? 1 : 2), ~0u, 7);
	wait_for_stored(fd, sizeof(data) / 2);
	close(fd);
	node_stop(&node);
	folder_remove();
}

static uint8_t drains(int fd, enum gvm_drain drain)
{
	struct gvm_node_drain_rsp rsp;

	CHECK_EQ(link_call(fd, &answer, GVM_OP_NODE_DRAIN, node_drain, .drain = drain), GVM_OK);
	CHECK_EQ(gvm_node_drain_rsp_unpack(&rsp, answer.meta, answer.hdr.meta_len), answer.hdr.meta_len);
	return rsp.drains;
}

static void drain_outlives_a_kill(void)
{
	int fd;

	folder_make();
	for (unsigned i = 0; i < 2; i++) {
		node_start(&node, "32M", "--persist", folder, NULL);
		fd = link_ready(&node, 1);
		CHECK_EQ(drains(fd, GVM_DRAIN_ASK), i);
		CHECK_EQ(drains(fd, i ? GVM_DRAIN_END : GVM_DRAIN_BEGIN), !i);
		kill_and_wait();
		close(fd);
	}
	node_start(&node, "32M", "--persist", folder, NULL);
	fd = link_ready(&node, 1);
	CHECK_EQ(drains(fd, GVM_DRAIN_ASK), 0);
	close(fd);
	node_stop(&node);
	folder_remove();
}

static void disk_start(const char *option)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/wish", folder);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0 && !ftruncate(fd, 4096));
	wish = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(wish != MAP_FAILED);
	close(fd);
	setenv("GVM_SLOW_DISK", path, 1);
	setenv("LD_PRELOAD", getenv("GVM_SLOW_DISK_LIBRARY"), 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
	node_start(&node, "32M", "--persist", folder, option, NULL);
	unsetenv("LD_PRELOAD");
	unsetenv("ASAN_OPTIONS");
}

static bool answered_within(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) > 0;
}

static void put_send(int fd, uint64_t chunk, uint64_t seq)
{
	static uint8_t data[GVM_CHUNK_BYTES];

	content(data, chunk, seq);
	link_write(fd, put_frame, put_pack(put_frame, 99, data, chunk, gvm_version(1, seq), 0, ~0u));
}

static uint16_t put_status(int fd)
{
	CHECK(frame_receive(fd, &answer));
	return answer.hdr.status;
}

static void get_check(int fd, uint64_t chunk, uint64_t seq)
{
	static uint8_t data[GVM_CHUNK_BYTES];

	content(data, chunk, seq);
	chunk_get(fd, data, chunk, gvm_version(1, seq), ~0u, 0);
}

static void reads_go_on_while_the_disk_stands_still(void)
{
	int writer, reader;

	folder_make();
	disk_start(NULL);
	writer = link_ready(&node, 1);
	reader = link_ready(&node, 1);
	region_make(writer, CHUNKS);
	CHECK_EQ(attach(reader, 1, 0), GVM_OK);
	for (unsigned c = 0; c < 8; c++) {
		put_send(writer, c, 1);
		CHECK_EQ(put_status(writer), GVM_OK);
	}
	*wish = 's';
	put_send(writer, 1, 2);
	for (unsigned i = 0; i < 100; i++)
		get_check(reader, i % 8 == 1 ? 2 : i % 8, 1);
	CHECK(!answered_within(writer, 200));
	get_check(reader, 1, 2);
	/* On the same connection, too. */
	get_check(writer, 3, 1);
	CHECK(!answered_within(writer, 50));
	*wish = 0;
	CHECK_EQ(put_status(writer), GVM_OK);
	/* It fails: a change is refused, and nothing is forgotten. */
	*wish = 'w';
	put_send(writer, 2, 2);
	CHECK_EQ(put_status(writer), GVM_ERR_NOSPACE);
	put_send(writer, 4, 2);
	CHECK_EQ(put_status(writer), GVM_ERR_NOSPACE);
	for (unsigned i = 3; i < 8; i++)
		get_check(reader, i, 1);
	node_log_wait(&node, "the disk takes no more (Input/output error)");
	*wish = 0;
	node_log_wait(&node, "the disk takes changes again");
	do {
		put_send(writer, 4, 3);
	} while (put_status(writer) == GVM_ERR_NOSPACE);
	CHECK_EQ(answer.hdr.status, GVM_OK);
	kill_and_wait();
	close(writer);
	close(reader);
	node_start(&node, "32M", "--persist", folder, NULL);
	reader = link_ready(&node, 1);
	CHECK_EQ(attach(reader, 1, 0), GVM_OK);
	get_check(reader, 1, 2);
	get_check(reader, 3, 1);
	get_check(reader, 4, 3);
	close(reader);
	node_stop(&node);
	folder_remove();
}

static void disk_that_forgets(const char *option)
{
	struct gvm_id first, second;
	int fd;

	folder_make();
	disk_start(option);
	fd = link_open(&node);
	first = life(fd, 1);
	region_make(fd, CHUNKS);
	put_send(fd, 1, 1);
	CHECK_EQ(put_status(fd), GVM_OK);
	*wish = 'f';
	put_send(fd, 2, 1);
	if (option)
		CHECK_EQ(put_status(fd), GVM_ERR_NOSPACE);
	else
		CHECK_EQ(put_status(fd), GVM_OK);
	node_log_wait(&node, "the disk has lost what it took");
	*wish = 0;
	put_send(fd, 3, 1);
	CHECK_EQ(put_status(fd), GVM_ERR_NOSPACE);
	get_check(fd, 1, 1);
	suspect_wait();
	kill_and_wait();
	close(fd);
	node_start(&node, "32M", "--persist", folder, option, NULL);
	CHECK(strstr(node.log, "this node begins anew"));
	fd = link_open(&node);
	second = life(fd, 1);
	CHECK(!gvm_id_equal(&first, &second));
	CHECK_EQ(attach(fd, 2, 0), GVM_ERR_LOST);
	close(fd);
	/* What is left shows to those who ask for it, and can be removed. */
	fd = link_open(&node);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_HELLO, hello, .version_min = GVM_VERSION, .version_max = GVM_VERSION,
			   .features = GVM_FEATURE_REMAINS, .client = 3, .nonce = {{1}}),
		 GVM_OK);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_GET, get, .region = chunk_region, .chunk = 1, .page_mask = ~0u,
			   .want_page = GVM_NO_PAGE),
		 GVM_OK);
	CHECK(answer.hdr.data_len > 0);
	CHECK_EQ(attach(fd, 2, 0), GVM_ERR_LOST);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_DELETE, region_delete, .region = chunk_region, .epoch = 1),
		 GVM_OK);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_GET, get, .region = chunk_region, .chunk = 1, .page_mask = ~0u,
			   .want_page = GVM_NO_PAGE),
		 GVM_ERR_LOST);
	close(fd);
	node_stop(&node);
	folder_remove();
}

static void disk_that_forgets_makes_a_new_node(void)
{
	disk_that_forgets(NULL);
	disk_that_forgets("--persist-sync");
}

static const struct check_test tests[] = {
	{"compressed-chunks-outlive-a-kill", compressed_chunks_outlive_a_kill},
	{"killed-node-has-all-that-it-answered", killed_node_has_all_that_it_answered},
	{"ended-node-has-thousands-of-chunks", ended_node_has_thousands_of_chunks},
	{"lease-and-watch-outlive-a-kill", lease_and_watch_outlive_a_kill},
	{"drain-outlives-a-kill", drain_outlives_a_kill},
	{"reads-go-on-while-the-disk-stands-still", reads_go_on_while_the_disk_stands_still},
	{"disk-that-forgets-makes-a-new-node", disk_that_forgets_makes_a_new_node},
};
CHECK_MAIN(tests)
