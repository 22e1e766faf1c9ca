// SPDX-License-Identifier: GPL-2.0-or-later
/* judge.c - see judge.h. */
#include "judge.h"

#include "memnode/size.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DESCRIPTORS                                                                                \
	65536u /* a mount with thousands of regions (one for each, and some for each guest) */
#define BUFFER_BYTES	(4ull << 20)   /* ten Gbit/s over 3 ms */
#define AVAILABLE_BYTES (512ull << 20) /* gvmfs, and a small budget */
#define ROUND_NS	1000000ull
#define JUMBO		9000u

struct sheet {
	struct doctor_finding *all;
	unsigned count;
};

__attribute__((format(printf, 4, 5))) static struct doctor_finding *
found(struct sheet *b, const char *name, enum doctor_verdict verdict, const char *fmt, ...)
{
	struct doctor_finding *f = &b->all[b->count++];
	va_list ap;

	memset(f, 0, sizeof(*f));
	f->name = name;
	f->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(f->says, sizeof(f->says), fmt, ap);
	va_end(ap);
	return f;
}

static void explain(struct doctor_finding *f, const char *means, const char *mend)
{
	snprintf(f->means, sizeof(f->means), "%s", means);
	snprintf(f->mend, sizeof(f->mend), "%s", mend);
}

static void kernel(struct sheet *b, const struct doctor_facts *h)
{
	unsigned major = 0, minor = 0;
	bool known = sscanf(h->release, "%u.%u", &major, &minor) == 2;
	struct doctor_finding *f;

	if (!known || major < 6 || (major == 6 && minor < 1)) {
		f = found(b, "kernel", DOCTOR_WARN, "Linux %s",
			  known ? h->release : "of an unknown version");
		explain(f, "GVM is tested with Linux 6.1 and later.",
			"apt install linux-image-amd64");
	} else if (major == 6 && minor < 9) {
		f = found(b, "kernel", DOCTOR_NOTE, "Linux %s", h->release);
		explain(f,
			"Before Linux 6.9 a gvmfs that is killed cannot be replaced under its "
			"guests: the mount ends, and the "
			"regions stay on the nodes.",
			"apt install -t bookworm-backports linux-image-amd64");
	} else {
		found(b, "kernel", DOCTOR_OK, "Linux %s", h->release);
	}
}

static void fuse(struct sheet *b, const struct doctor_facts *h)
{
	struct doctor_finding *f;

	switch (h->fuse) {
	case HAVE_NO:
		f = found(b, "fuse", DOCTOR_FAIL, "there is no /dev/fuse");
		explain(f, "gvmfs cannot mount.", "modprobe fuse");
		f->module = "fuse";
		break;
	case HAVE_DENIED:
		f = found(b, "fuse", DOCTOR_FAIL, "/dev/fuse is not for this user");
		explain(f, "gvmfs cannot mount.", "chmod 666 /dev/fuse");
		break;
	case HAVE_YES:
		found(b, "fuse", DOCTOR_OK, "/dev/fuse can be used");
		break;
	default:
		break;
	}
	if (h->fuse_helper == HAVE_NO) {
		f = found(b, "fuse3", DOCTOR_WARN, "there is no fusermount3");
		explain(f, "Only root can mount, and mount -t fuse.gvmfs and fstab do not.",
			"apt install fuse3");
	} else if (h->fuse_helper == HAVE_YES) {
		found(b, "fuse3", DOCTOR_OK, "fusermount3 is installed");
	}
}

static void userfaultfd(struct sheet *b, const struct doctor_facts *h)
{
	struct doctor_finding *f;

	if (h->uffd == HAVE_YES) {
		found(b, "userfaultfd", DOCTOR_OK, "faults of the kernel can be handled, too");
	} else if (h->uffd != HAVE_UNKNOWN) {
		f = found(b, "userfaultfd", DOCTOR_WARN,
			  h->uffd == HAVE_NO ? "the kernel has none" : "not for this user");
		explain(f,
			"Guests cannot have the fast path: their regions are mapped as files, and "
			"a fault takes longer.",
			h->uffd == HAVE_NO ? "apt install linux-image-amd64"
					   : "run gvm run as root, or: setfacl -m u:$USER:rw "
					     "/dev/userfaultfd");
	}
}

static void kvm(struct sheet *b, const struct doctor_facts *h)
{
	static const char slow[] = "Guests are run by TCG, which is many times slower.";
	struct doctor_finding *f;

	if (h->kvm == HAVE_YES) {
		found(b, "kvm", DOCTOR_OK, "/dev/kvm can be used");
	} else if (h->kvm == HAVE_DENIED) {
		f = found(b, "kvm", DOCTOR_WARN, "/dev/kvm is not for this user");
		explain(f, slow, "adduser $USER kvm");
	} else if (h->kvm == HAVE_NO && h->cpu == CPU_PLAIN) {
		f = found(b, "kvm", DOCTOR_WARN,
			  "there is no /dev/kvm, and the processor shows no VMX or SVM");
		explain(f, slow,
			h->in_guest ? "on the host of this virtual machine: modprobe kvm_intel "
				      "nested=1 (or kvm_amd), and -cpu host"
				    : "enable virtualisation in the firmware's settings");
	} else if (h->kvm == HAVE_NO) {
		f = found(b, "kvm", DOCTOR_WARN, "there is no /dev/kvm");
		f->module = h->cpu == CPU_INTEL ? "kvm_intel" : "kvm_amd";
		explain(f, slow, h->cpu == CPU_INTEL ? "modprobe kvm_intel" : "modprobe kvm_amd");
	}
	if (!*h->nested)
		return;
	if (*h->nested == 'Y' || *h->nested == '1') {
		found(b, "nested", DOCTOR_OK, "guests can run guests");
		return;
	}
	f = found(b, "nested", DOCTOR_NOTE, "guests cannot run guests");
	explain(f, "Needed only for virtual machines that are to be hosts of GVM.",
		h->cpu == CPU_INTEL ? "echo options kvm_intel nested=1 > /etc/modprobe.d/kvm.conf  "
				      "  # and load it anew"
				    : "echo options kvm_amd nested=1 > /etc/modprobe.d/kvm.conf    "
				      "# and load it anew");
}

static void module(struct sheet *b, const struct doctor_facts *h)
{
	struct doctor_finding *f;

	if (h->giantvm == HAVE_YES) {
		found(b, "giantvm_kvm", DOCTOR_OK, "the module is loaded");
	} else if (h->giantvm != HAVE_UNKNOWN) {
		f = found(b, "giantvm_kvm", DOCTOR_NOTE,
			  h->giantvm == HAVE_NO ? "the module is not loaded"
						: "/dev/giantvm is not for this user");
		explain(f, "Needed only for memory that several hosts share (gvm dsm).",
			h->giantvm == HAVE_NO ? "apt install giantvm-dkms && modprobe giantvm_kvm"
					      : "run gvm dsm as root");
	}
}

static void huge_pages(struct sheet *b, const struct doctor_facts *h)
{
	struct doctor_finding *f;

	if (!strcmp(h->thp, "never")) {
		f = found(b, "huge pages", DOCTOR_NOTE, "never");
		explain(f,
			"A region is fetched by 4 KiB and has none in any case; what stays local, "
			"and memory nodes, are a little slower.",
			"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
	} else if (*h->thp) {
		found(b, "huge pages", DOCTOR_OK, "%s", h->thp);
	}
	if (!strcmp(h->shmem_thp, "always") || !strcmp(h->shmem_thp, "within_size") ||
	    !strcmp(h->shmem_thp, "force")) {
		f = found(b, "huge pages of shared memory", DOCTOR_WARN, "%s", h->shmem_thp);
		explain(f,
			"The fast path's memory is shared memory: one page that is needed may take "
			"2 MiB of the budget.",
			"echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled");
	} else if (*h->shmem_thp) {
		found(b, "huge pages of shared memory", DOCTOR_OK, "%s", h->shmem_thp);
	}
}

static void limits(struct sheet *b, const struct doctor_facts *h)
{
	char text[SIZE_TEXT];
	struct doctor_finding *f;

	if (h->descriptors && h->descriptors < DESCRIPTORS) {
		f = found(b, "descriptors", DOCTOR_WARN, "at most %llu for a process",
			  (unsigned long long)h->descriptors);
		explain(f,
			"gvmfs takes one for each node, each open region and some for each guest, "
			"and refuses more than it has.",
			"ulimit -Hn 524288    # LimitNOFILE=524288 in a unit");
	} else if (h->descriptors) {
		found(b, "descriptors", DOCTOR_OK, "at most %llu for a process",
		      (unsigned long long)h->descriptors);
	}
	if (h->locked_bytes == UINT64_MAX)
		found(b, "locked memory", DOCTOR_OK, "without limit");
	else if (h->root || h->locked_bytes >= 64 * KIB)
		found(b, "locked memory", DOCTOR_OK, "%s for a process%s",
		      size_text(h->locked_bytes, text), h->root ? ", more for root" : "");
	else
		explain(found(b, "locked memory", DOCTOR_NOTE, "%s for a process",
			      size_text(h->locked_bytes, text)),
			"The key that seals what leaves this host may be swapped out.",
			"ulimit -l 64");
	if (h->cgroup)
		found(b, "cgroup", DOCTOR_OK, "version %d has the memory controller", h->cgroup);
	else
		explain(found(b, "cgroup", DOCTOR_WARN, "none has the memory controller"),
			"gvm run cannot keep a budget for a region that is mapped as a file; on "
			"the fast path it can.",
			"add cgroup_enable=memory to the kernel's command line");
}

static void buffer(struct sheet *b, const char *name, const char *path, uint64_t bytes,
		   const char *mend, const char *value)
{
	char text[SIZE_TEXT];
	struct doctor_finding *f;

	if (!bytes)
		return;
	if (bytes >= BUFFER_BYTES) {
		found(b, name, DOCTOR_OK, "at most %s for a connection", size_text(bytes, text));
		return;
	}
	f = found(b, name, DOCTOR_WARN, "at most %s for a connection", size_text(bytes, text));
	explain(f, "A fast network with some way to go is not used in full.", mend);
	f->path = path;
	snprintf(f->value, sizeof(f->value), "%s", value);
}

static void memory(struct sheet *b, const struct doctor_facts *h)
{
	char total[SIZE_TEXT], available[SIZE_TEXT];
	struct doctor_finding *f;

	if (h->memory_bytes) {
		bool little = h->available_bytes < AVAILABLE_BYTES;

		f = found(b, "memory", little ? DOCTOR_WARN : DOCTOR_OK, "%s of %s available",
			  size_text(h->available_bytes, available),
			  size_text(h->memory_bytes, total));
		if (little)
			explain(f, "gvmfs and the smallest budgets need some hundred MiB.",
				"gvm region local REGION SIZE    # less of a guest here");
	}
	if (h->overcommit == 2) {
		f = found(b, "overcommit", DOCTOR_WARN, "vm.overcommit_memory is 2");
		explain(f,
			"Regions larger than this host's memory may be refused when they are "
			"mapped.",
			"sysctl vm.overcommit_memory=0");
	} else if (h->overcommit >= 0) {
		found(b, "overcommit", DOCTOR_OK, "vm.overcommit_memory is %d", h->overcommit);
	}
}

static void clocks(struct sheet *b, const struct doctor_facts *h)
{
	struct doctor_finding *f;

	if (!strcmp(h->clocksource, "hpet") || !strcmp(h->clocksource, "acpi_pm") ||
	    !strcmp(h->clocksource, "jiffies")) {
		f = found(b, "clock", DOCTOR_WARN, "the kernel's source is %s", h->clocksource);
		explain(f, "To look at the clock is slow there, which every fault does.",
			"dmesg | grep -i clocksource    # says why");
	} else if (*h->clocksource) {
		found(b, "clock", DOCTOR_OK, "the kernel's source is %s", h->clocksource);
	}
	if (h->synchronised > 0) {
		found(b, "time", DOCTOR_OK, "set by the network");
	} else if (h->synchronised == 0) {
		f = found(b, "time", DOCTOR_NOTE, "not set by the network");
		explain(f,
			"Times of files are the writing host's clock: where hosts differ, so do "
			"they.",
			"timedatectl set-ntp true");
	}
}

unsigned doctor_judge(const struct doctor_facts *facts, struct doctor_finding *findings)
{
	struct sheet b = {.all = findings};

	kernel(&b, facts);
	fuse(&b, facts);
	userfaultfd(&b, facts);
	kvm(&b, facts);
	module(&b, facts);
	huge_pages(&b, facts);
	limits(&b, facts);
	buffer(&b, "receive buffers", "/proc/sys/net/ipv4/tcp_rmem", facts->receive_bytes,
	       "sysctl net.ipv4.tcp_rmem='4096 131072 6291456'", "4096 131072 6291456");
	buffer(&b, "send buffers", "/proc/sys/net/ipv4/tcp_wmem", facts->send_bytes,
	       "sysctl net.ipv4.tcp_wmem='4096 16384 4194304'", "4096 16384 4194304");
	memory(&b, facts);
	clocks(&b, facts);
	return b.count;
}

/* Without the port. */
static size_t host_bytes(const char *address)
{
	const char *colon = strrchr(address, ':'), *bracket = strrchr(address, ']');

	return colon && (!bracket || bracket < colon) ? (size_t)(colon - address) : strlen(address);
}

unsigned doctor_judge_node(const struct doctor_node *n, struct doctor_finding *findings)
{
	struct sheet b = {.all = findings};
	char room[SIZE_TEXT], all[SIZE_TEXT];
	struct doctor_finding *f;

	if (n->error) {
		f = found(&b, n->address, DOCTOR_FAIL, "%s",
			  *n->reason.text ? n->reason.text : strerror(-n->error));
		explain(f, "Regions cannot be made there, and accesses to what it holds wait.",
			n->error == -EACCES ? "gvm doctor --key FILE (and --tls if the node has it)"
					    : "systemctl status gvm-memnode    # there");
		return b.count;
	}
	f = found(&b, n->address, n->free_bytes ? DOCTOR_OK : DOCTOR_WARN, "%s of %s free",
		  size_text(n->free_bytes, room), size_text(n->capacity_bytes, all));
	if (!n->free_bytes)
		explain(f, "It takes no new region.",
			"gvm node add MOUNT ADDRESS    # of one more node");
	f = found(&b, n->address, n->round_ns > ROUND_NS ? DOCTOR_WARN : DOCTOR_OK,
		  "round trip %.0f us", (double)n->round_ns / 1e3);
	if (n->round_ns > ROUND_NS) {
		snprintf(f->means, sizeof(f->means),
			 "Each page that a guest waits for takes at least that.");
		snprintf(f->mend, sizeof(f->mend),
			 "ping -c 5 %.*s    # less: the node is busy, else it is the network",
			 (int)host_bytes(n->address), n->address);
	}
	if (n->put_mb_s)
		found(&b, n->address, DOCTOR_OK, "%llu MB/s there, %llu MB/s back",
		      (unsigned long long)n->put_mb_s, (unsigned long long)n->get_mb_s);
	if (n->mtu && n->mtu < JUMBO) {
		f = found(&b, n->address, DOCTOR_NOTE, "MTU %u of %s", n->mtu, n->interface);
		snprintf(f->means, sizeof(f->means), "%s",
			 "With 9000, if all hosts and switches on the way have it, a page is one "
			 "packet, and less processor time.");
		snprintf(f->mend, sizeof(f->mend), "ip link set %s mtu 9000", n->interface);
	} else if (n->mtu) {
		found(&b, n->address, DOCTOR_OK, "MTU %u of %s", n->mtu, n->interface);
	}
	return b.count;
}
