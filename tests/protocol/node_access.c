// SPDX-License-Identifier: GPL-2.0-or-later
/* node_access.c - who may connect, and what the node itself may still do. */
#include "node_daemon.h"

#include <sys/stat.h>

static struct node node;
static struct answer answer;
static char key_path[] = "/tmp/gvm-key.XXXXXX";
static const char key[] = "sixteen bytes or more of a key";

static void key_write(mode_t mode)
{
	int fd = open(key_path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	CHECK(fd >= 0 && !fchmod(fd, mode));
	CHECK_EQ(write(fd, key, sizeof(key) - 1), sizeof(key) - 1);
	close(fd);
}

/* Starts with these arguments and expects a refusal that says `why`. */
static void check_refused(const char *why, const char *const *args)
{
	node_spawn(&node, args);
	CHECK(node_wait(&node) != 0);
	if (!strstr(node.log, why) || strstr(node.log, "listening")) {
		fprintf(stderr, "expected \"%s\", got:\n%s", why, node.log);
		exit(1);
	}
}

#define REFUSED(why, ...) check_refused(why, (const char *const[]){__VA_ARGS__, NULL})

static void wider_than_loopback_needs_key_or_open(void)
{
	static const char *const open_args[] = {"--listen", "0.0.0.0:0", "--memory", "16M", "--open", NULL};

	REFUSED("0.0.0.0:0 is not a loopback address", "--memory", "16M", "--listen", "0.0.0.0:0");
	REFUSED("is not a loopback address", "--memory", "16M", "--listen", "10.1.2.3:9");
	REFUSED("is not a loopback address", "--memory", "16M", "--listen", "[::]:0");
	REFUSED("is not a loopback address", "--memory", "16M", "--listen", "[fe80::1]:0");
	node_spawn(&node, open_args);
	node_log_wait(&node, "listening on 0.0.0.0:");
	node_stop(&node);
}

static void wrong_arguments_are_refused(void)
{
	REFUSED("--memory SIZE is needed", "--listen", "127.0.0.1:0");
	REFUSED("not a size", "--memory", "16Q");
	REFUSED("not a size", "--memory", "-1");
	REFUSED("not a size", "--memory", "99999999999999999G");
	REFUSED("out of range", "--memory", "100K");
	REFUSED("not an address", "--memory", "16M", "--listen", "local host:1");
	REFUSED("not an address", "--memory", "16M", "--listen", "127.0.0.1:65536");
	REFUSED("not an address", "--memory", "16M", "--listen", "127.0.0.1:");
	REFUSED("not a number", "--memory", "16M", "--overcommit", "0.5");
	REFUSED("not a number", "--memory", "16M", "--overcommit", "nan");
	REFUSED("unexpected argument", "--memory", "16M", "word");
	REFUSED("no-such-user-here", "--memory", "16M", "--listen", "127.0.0.1:0", "--user",
		"no-such-user-here");
	REFUSED("--key /nonexistent", "--memory", "16M", "--key", "/nonexistent");
	key_write(0644);
	REFUSED("others than its owner may read it", "--memory", "16M", "--key", key_path);
}

static void only_holders_of_the_key_are_served(void)
{
	static const struct gvm_auth_req wrong = {{{1, 2, 3}}};
	struct gvm_hello_req hello = {
		.version_min = GVM_VERSION, .version_max = GVM_VERSION, .client = 3, .nonce = {{5, 6, 7}}};
	struct gvm_hello_rsp welcome;
	struct gvm_auth_req auth;
	struct gvm_auth_rsp back;
	struct gvm_bytes32 expected;
	uint8_t meta[GVM_META_MAX];
	int fd;

	key_write(0600);
	node_start(&node, "16M", "--key", key_path, NULL);
	/* Right. */
	fd = link_open(&node);
	CHECK_EQ(frame_call(fd, GVM_OP_HELLO, meta, gvm_hello_req_pack(&hello, meta), NULL, 0, &answer),
		 GVM_OK);
	CHECK(gvm_hello_rsp_unpack(&welcome, answer.meta, answer.hdr.meta_len) > 0);
	CHECK_EQ(welcome.need_auth, 1);
	CHECK(!auth_mac(key, sizeof(key) - 1, false, &hello, &welcome, NULL, &auth.mac));
	CHECK_EQ(frame_call(fd, GVM_OP_AUTH, meta, gvm_auth_req_pack(&auth, meta), NULL, 0, &answer),
		 GVM_OK);
	CHECK(gvm_auth_rsp_unpack(&back, answer.meta, answer.hdr.meta_len) > 0);
	CHECK(!auth_mac(key, sizeof(key) - 1, true, &hello, &welcome, NULL, &expected));
	CHECK(auth_mac_equal(&back.mac, &expected)); /* the node holds it too */
	CHECK_EQ(link_call(fd, &answer, GVM_OP_PING, ping, 1), GVM_OK);
	close(fd);
	/* The same proof once more, on another connection: its nonce differs. */
	fd = link_open(&node);
	CHECK_EQ(frame_call(fd, GVM_OP_HELLO, meta, gvm_hello_req_pack(&hello, meta), NULL, 0, &answer),
		 GVM_OK);
	CHECK_EQ(frame_call(fd, GVM_OP_AUTH, meta, gvm_auth_req_pack(&auth, meta), NULL, 0, &answer),
		 GVM_ERR_AUTH);
	CHECK(link_ended(fd));
	close(fd);
	/* The node's own proof, sent back to it. */
	fd = link_open(&node);
	CHECK_EQ(frame_call(fd, GVM_OP_HELLO, meta, gvm_hello_req_pack(&hello, meta), NULL, 0, &answer),
		 GVM_OK);
	CHECK(gvm_hello_rsp_unpack(&welcome, answer.meta, answer.hdr.meta_len) > 0);
	CHECK(!auth_mac(key, sizeof(key) - 1, true, &hello, &welcome, NULL, &auth.mac));
	CHECK_EQ(frame_call(fd, GVM_OP_AUTH, meta, gvm_auth_req_pack(&auth, meta), NULL, 0, &answer),
		 GVM_ERR_AUTH);
	CHECK(link_ended(fd));
	close(fd);
	/* Wrong, and a second try on the same connection. */
	fd = link_open(&node);
	link_hello(fd, 3, &answer);
	frame_send(fd, GVM_OP_AUTH, 1, meta, gvm_auth_req_pack(&wrong, meta), NULL, 0);
	frame_send(fd, GVM_OP_AUTH, 2, meta, gvm_auth_req_pack(&wrong, meta), NULL, 0);
	CHECK(frame_receive(fd, &answer));
	CHECK_EQ(answer.hdr.status, GVM_ERR_AUTH);
	CHECK(link_ended(fd));
	close(fd);
	CHECK_EQ(node_log_count(&node, "refused: wrong key"), 3);
	/* Without a word about a key. */
	fd = link_open(&node);
	link_hello(fd, 3, &answer);
	frame_send(fd, GVM_OP_NODE_STAT, 1, NULL, 0, NULL, 0);
	CHECK(link_ended(fd));
	close(fd);
	node_log_wait(&node, "closed: NODE_STAT before AUTH");
	node_stop(&node);
}

static bool status_has(const char *status, const char *line)
{
	return strstr(status, line);
}

static void node_gives_up_what_it_does_not_need(void)
{
	static char status[8192];
	char path[64], root[256];
	ssize_t n;
	int fd;

	node_start(&node, "16M", NULL);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)node.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	n = read(fd, status, sizeof(status) - 1);
	CHECK(n > 0);
	close(fd);
	CHECK(status_has(status, "\nSeccomp:\t2\n"));
	CHECK(status_has(status, "\nNoNewPrivs:\t1\n"));
	if (!geteuid()) {
		CHECK(status_has(status, "\nUid:\t65534\t65534\t65534\t65534\n"));
		CHECK(status_has(status, "\nGid:\t65534\t65534\t65534\t65534\n"));
		CHECK(status_has(status, "\nGroups:\t \n"));
		CHECK(status_has(status, "\nCapEff:\t0000000000000000\n"));
		CHECK(status_has(status, "\nCapPrm:\t0000000000000000\n"));
		snprintf(path, sizeof(path), "/proc/%d/root", (int)node.pid);
		n = readlink(path, root, sizeof(root) - 1);
		CHECK(n > 0);
		root[n] = 0;
		CHECK(strstr(root, "(deleted)"));
	}
	node_answers(&node);
	node_stop(&node);
}

static void each_start_is_another_incarnation(void)
{
	struct gvm_hello_rsp first, second;
	int fd;

	node_start(&node, "16M", NULL);
	fd = link_open(&node);
	link_hello(fd, 1, &answer);
	CHECK(gvm_hello_rsp_unpack(&first, answer.meta, answer.hdr.meta_len) > 0);
	close(fd);
	fd = link_open(&node);
	link_hello(fd, 1, &answer);
	CHECK(gvm_hello_rsp_unpack(&second, answer.meta, answer.hdr.meta_len) > 0);
	close(fd);
	CHECK(gvm_id_equal(&first.incarnation, &second.incarnation));
	CHECK(memcmp(&first.nonce, &second.nonce, sizeof(first.nonce)));
	node_stop(&node);
	node_start(&node, "16M", NULL);
	fd = link_open(&node);
	link_hello(fd, 1, &answer);
	CHECK(gvm_hello_rsp_unpack(&second, answer.meta, answer.hdr.meta_len) > 0);
	CHECK(!gvm_id_equal(&first.incarnation, &second.incarnation));
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_OPEN, region_open, .region = {{1}}), GVM_ERR_LOST);
	close(fd);
	node_stop(&node);
}

static const struct check_test tests[] = {
	{"wider-than-loopback-needs-key-or-open", wider_than_loopback_needs_key_or_open},
	{"wrong-arguments-are-refused", wrong_arguments_are_refused},
	{"only-holders-of-the-key-are-served", only_holders_of_the_key_are_served},
	{"node-gives-up-what-it-does-not-need", node_gives_up_what_it_does_not_need},
	{"each-start-is-another-incarnation", each_start_is_another_incarnation},
};

int main(int argc, char **argv)
{
	int fd = mkstemp(key_path), status;

	CHECK(fd >= 0);
	close(fd);
	status = check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
	unlink(key_path);
	return status;
}
