/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor_judge.c - what gvm doctor makes of what it finds. */
#include "tools/doctor/judge.h"
#include "tools/doctor/mend.h"
#include "check.h"

#include <errno.h>

static struct doctor_finding all[DOCTOR_MAX];
static unsigned count;

/* A host that lacks nothing. */
static struct doctor_facts good_host(void)
{
	struct doctor_facts h = {
		.release = "6.12.1", .fuse = HAVE_YES, .fuse_helper = HAVE_YES, .uffd = HAVE_YES, .kvm = HAVE_YES,
		.giantvm = HAVE_YES, .cpu = CPU_AMD, .nested = "1", .thp = "madvise", .shmem_thp = "never",
		.clocksource = "tsc", .descriptors = 1 << 20, .locked_bytes = UINT64_MAX, .cgroup = 2,
		.receive_bytes = 6 << 20, .send_bytes = 4 << 20, .synchronised = 1, .memory_bytes = 8ull << 30,
		.available_bytes = 4ull << 30,
	};

	return h;
}

static const struct doctor_finding *the(const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(all[i].name, name))
			return &all[i];
	fprintf(stderr, "there is no finding '%s'\n", name);
	exit(1);
}

static void judge(const struct doctor_facts *h)
{
	count = doctor_judge(h, all);
	CHECK(count <= DOCTOR_MAX);
	for (unsigned i = 0; i < count; i++) {
		CHECK(*all[i].says);
		/* Whatever is not well is explained, and can be mended. */
		if (all[i].verdict != DOCTOR_OK && (!*all[i].means || !*all[i].mend)) {
			fprintf(stderr, "%s: %s\n", all[i].name, all[i].says);
			exit(1);
		}
		CHECK(all[i].verdict != DOCTOR_OK || (!*all[i].means && !all[i].module && !all[i].path));
	}
}

static void good_host_has_nothing_to_mend(void)
{
	struct doctor_facts h = good_host();

	judge(&h);
	CHECK(count > 12);
	for (unsigned i = 0; i < count; i++)
		CHECK_EQ(all[i].verdict, DOCTOR_OK);
}

static void each_lack_is_found_and_nothing_else(void)
{
	static const struct {
		const char *name;
		enum doctor_verdict verdict;
		struct doctor_facts lack; /* what differs from the good host, where it is not zero */
		int which;
	} lacks[] = {
		{"kernel", DOCTOR_NOTE, {.release = "6.1.0-57-amd64"}, 0},
		{"kernel", DOCTOR_WARN, {.release = "5.10.0"}, 0},
		{"fuse", DOCTOR_FAIL, {.fuse = HAVE_NO}, 1},
		{"fuse", DOCTOR_FAIL, {.fuse = HAVE_DENIED}, 1},
		{"fuse3", DOCTOR_WARN, {.fuse_helper = HAVE_NO}, 2},
		{"userfaultfd", DOCTOR_WARN, {.uffd = HAVE_DENIED}, 3},
		{"kvm", DOCTOR_WARN, {.kvm = HAVE_NO}, 4},
		{"kvm", DOCTOR_WARN, {.kvm = HAVE_DENIED}, 4},
		{"giantvm_kvm", DOCTOR_NOTE, {.giantvm = HAVE_NO}, 5},
		{"nested", DOCTOR_NOTE, {.nested = "N"}, 6},
		{"huge pages", DOCTOR_NOTE, {.thp = "never"}, 7},
		{"huge pages of shared memory", DOCTOR_WARN, {.shmem_thp = "always"}, 8},
		{"descriptors", DOCTOR_WARN, {.descriptors = 4096}, 9},
		{"locked memory", DOCTOR_NOTE, {.locked_bytes = 8192}, 10},
		{"receive buffers", DOCTOR_WARN, {.receive_bytes = 1 << 20}, 11},
		{"send buffers", DOCTOR_WARN, {.send_bytes = 1 << 20}, 12},
		{"memory", DOCTOR_WARN, {.available_bytes = 100 << 20}, 13},
		{"overcommit", DOCTOR_WARN, {.overcommit = 2}, 14},
		{"clock", DOCTOR_WARN, {.clocksource = "hpet"}, 15},
		{"time", DOCTOR_NOTE, {.synchronised = 0}, 16},
		{"cgroup", DOCTOR_WARN, {.cgroup = 0}, 17},
	};

	for (unsigned i = 0; i < sizeof(lacks) / sizeof(*lacks); i++) {
		const struct doctor_facts *l = &lacks[i].lack;
		struct doctor_facts h = good_host();
		unsigned wrong = 0;

		switch (lacks[i].which) {
		case 0: memcpy(h.release, l->release, sizeof(h.release)); break;
		case 1: h.fuse = l->fuse; break;
		case 2: h.fuse_helper = l->fuse_helper; break;
		case 3: h.uffd = l->uffd; break;
		case 4: h.kvm = l->kvm; break;
		case 5: h.giantvm = l->giantvm; break;
		case 6: memcpy(h.nested, l->nested, sizeof(h.nested)); break;
		case 7: memcpy(h.thp, l->thp, sizeof(h.thp)); break;
		case 8: memcpy(h.shmem_thp, l->shmem_thp, sizeof(h.shmem_thp)); break;
		case 9: h.descriptors = l->descriptors; break;
		case 10: h.locked_bytes = l->locked_bytes; break;
		case 11: h.receive_bytes = l->receive_bytes; break;
		case 12: h.send_bytes = l->send_bytes; break;
		case 13: h.available_bytes = l->available_bytes; break;
		case 14: h.overcommit = l->overcommit; break;
		case 15: memcpy(h.clocksource, l->clocksource, sizeof(h.clocksource)); break;
		case 16: h.synchronised = l->synchronised; break;
		default: h.cgroup = l->cgroup; break;
		}
		judge(&h);
		for (unsigned j = 0; j < count; j++)
			wrong += all[j].verdict != DOCTOR_OK;
		CHECK_EQ(the(lacks[i].name)->verdict, lacks[i].verdict);
		CHECK_EQ(wrong, 1);
	}
}

static void only_what_is_safe_is_mended(void)
{
	struct doctor_facts h = good_host();

	h.overcommit = 2;
	h.fuse = h.kvm = HAVE_NO;
	h.receive_bytes = 1;
	judge(&h);
	CHECK(!strcmp(the("fuse")->module, "fuse"));
	CHECK(!strcmp(the("kvm")->module, "kvm_amd"));
	CHECK(!strcmp(the("receive buffers")->path, "/proc/sys/net/ipv4/tcp_rmem"));
	CHECK(!the("overcommit")->module && !the("overcommit")->path);
	CHECK_EQ(doctor_mend("", the("overcommit")), 1);
	h.cpu = CPU_PLAIN; /* no module would help */
	judge(&h);
	CHECK(!the("kvm")->module);
}

static void what_cannot_be_known_is_not_judged(void)
{
	struct doctor_facts h = {.synchronised = -1, .overcommit = -1, .locked_bytes = UINT64_MAX};

	judge(&h);
	for (unsigned i = 0; i < count; i++) {
		CHECK(strcmp(all[i].name, "fuse") && strcmp(all[i].name, "kvm") && strcmp(all[i].name, "memory"));
		CHECK(strcmp(all[i].name, "time") && strcmp(all[i].name, "clock") && strcmp(all[i].name, "giantvm_kvm"));
	}
}

static void nodes_are_judged_by_what_was_measured(void)
{
	struct doctor_node n = {.address = "10.0.0.2:9999", .interface = "eth0", .mtu = 1500, .round_ns = 50000,
				.put_mb_s = 900, .get_mb_s = 1000, .capacity_bytes = 1 << 30, .free_bytes = 1 << 20};

	count = doctor_judge_node(&n, all);
	CHECK_EQ(count, 4);
	CHECK_EQ(all[0].verdict, DOCTOR_OK);
	CHECK_EQ(all[1].verdict, DOCTOR_OK);
	CHECK_EQ(all[2].verdict, DOCTOR_OK);
	CHECK_EQ(all[3].verdict, DOCTOR_NOTE); /* the MTU */
	CHECK(!strcmp(all[3].mend, "ip link set eth0 mtu 9000") && !all[3].path);
	n.round_ns = 5000000;
	n.free_bytes = 0;
	n.mtu = 9000;
	CHECK_EQ(doctor_judge_node(&n, all), 4);
	CHECK_EQ(all[0].verdict, DOCTOR_WARN);
	CHECK_EQ(all[1].verdict, DOCTOR_WARN);
	CHECK(!strncmp(all[1].mend, "ping -c 5 10.0.0.2 ", 19));
	CHECK_EQ(all[3].verdict, DOCTOR_OK);
	n.error = -ETIMEDOUT;
	CHECK_EQ(doctor_judge_node(&n, all), 1);
	CHECK_EQ(all[0].verdict, DOCTOR_FAIL);
	CHECK(*all[0].mend);
}

static const struct check_test tests[] = {
	{"good-host-has-nothing-to-mend", good_host_has_nothing_to_mend},
	{"each-lack-is-found-and-nothing-else", each_lack_is_found_and_nothing_else},
	{"only-what-is-safe-is-mended", only_what_is_safe_is_mended},
	{"what-cannot-be-known-is-not-judged", what_cannot_be_known_is_not_judged},
	{"nodes-are-judged-by-what-was-measured", nodes_are_judged_by_what_was_measured},
};

CHECK_MAIN(tests)
