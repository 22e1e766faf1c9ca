// SPDX-License-Identifier: GPL-2.0-or-later
/* client_addr.c - one address has one form however it is spelled, and a name is looked up unwaited for. */
#include "check.h"
#include "memnode/client/resolve.h"
#include "gvm_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

static struct addr parsed(const char *text)
{
	struct addr a;

	CHECK_EQ(addr_parse(text, &a), 0);
	return a;
}

static bool same(const char *one, const char *two)
{
	struct addr a = parsed(one), b = parsed(two);

	return memcmp(&a, &b, sizeof(a)) == 0;
}

static void spellings_of_one_address_are_equal(void)
{
	CHECK(same("10.0.0.2", "10.0.0.2:9999"));
	CHECK(same("[::1]", "[0:0:0:0:0:0:0:1]:9999"));
	CHECK(same("[fd00::A]:7", "[fd00:0::000a]:7"));
	CHECK(same("[::ffff:10.0.0.2]:7", "10.0.0.2:7"));
	CHECK(same("Node.Example.ORG:7", "node.example.org:7"));
	CHECK(!same("10.0.0.2", "10.0.0.3"));
	CHECK(!same("10.0.0.2:1", "10.0.0.2:2"));
	CHECK(!same("[fe80::1%eth0]", "[fe80::1%eth1]"));
	CHECK(!same("localhost", "127.0.0.1"));
}

static void what_can_change_its_meaning_is_not_numeric(void)
{
	CHECK(parsed("10.0.0.2").numeric);
	CHECK(parsed("[fd00::2]").numeric);
	CHECK(!parsed("localhost").numeric);
	CHECK(!parsed("[fe80::1%eth0]:9").numeric);
	CHECK_EQ(ntohs(parsed("[fe80::1%eth0]:9").port), 9);
	CHECK(!strcmp(parsed("[fe80::1%eth0]:9").host, "fe80::1%eth0"));
	CHECK(!strcmp(parsed("node_1.").host, "node_1."));
}

static void the_longest_name_is_taken_and_a_longer_one_refused(void)
{
	char text[400];
	struct addr a;

	memset(text, 'a', sizeof(text));
	for (unsigned i = 63; i < sizeof(text); i += 64)
		text[i] = '.';
	text[126] = 0;
	CHECK_EQ(addr_parse(text, &a), 0);
	text[126] = 'a';
	text[127] = 'a';
	text[128] = 0;
	CHECK_EQ(addr_parse(text, &a), -EINVAL);
	memset(text, 'a', 64);
	text[64] = 0;
	CHECK_EQ(addr_parse(text, &a), -EINVAL);
	text[63] = 0;
	CHECK_EQ(addr_parse(text, &a), 0);
}

/* What the caller sees: "not yet" for a while, then the addresses, with the caller's port. */
static void localhost_is_looked_up_without_waiting(void)
{
	struct addr a = parsed("localhost:77");
	uint64_t since = gvm_now_ns();
	struct resolved r;
	const char *why;
	int err;

	for (unsigned i = 0; (err = resolve(&a, since, &r, &why)) == -EAGAIN && i < 20000; i++)
		usleep(1000);
	CHECK_EQ(err, 0);
	CHECK(r.count >= 1);
	for (unsigned i = 0; i < r.count; i++)
		CHECK_EQ(ntohs(((struct sockaddr_in *)&r.sa[i])->sin_port), 77);
	/* Fresh enough: at once. What must be newer: again. */
	CHECK_EQ(resolve(&a, since, &r, &why), 0);
	CHECK_EQ(resolve(&a, gvm_now_ns(), &r, &why), -EAGAIN);
}

static void loopback_is_known_by_its_address(void)
{
	static const char *const local[] = { "127.0.0.1", "127.3.2.1:9", "[::1]:9", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST:7" };
	static const char *const others[] = { "10.0.0.1", "128.0.0.1", "0.0.0.0", "[::]:9", "[fe80::1%lo]:9", "[::ffff:10.0.0.1]",
					      "localhost.example.org", "node2" };
	struct addr a;

	for (unsigned i = 0; i < sizeof(local) / sizeof(*local); i++) {
		a = parsed(local[i]);
		CHECK(addr_is_local(&a));
	}
	for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++) {
		a = parsed(others[i]);
		CHECK(!addr_is_local(&a));
	}
}

static const struct check_test tests[] = {
	{"loopback-is-known-by-its-address", loopback_is_known_by_its_address},
	{"spellings-of-one-address-are-equal", spellings_of_one_address_are_equal},
	{"what-can-change-its-meaning-is-not-numeric", what_can_change_its_meaning_is_not_numeric},
	{"the-longest-name-is-taken-and-a-longer-one-refused",
	 the_longest_name_is_taken_and_a_longer_one_refused},
	{"localhost-is-looked-up-without-waiting", localhost_is_looked_up_without_waiting},
};
CHECK_MAIN(tests)
