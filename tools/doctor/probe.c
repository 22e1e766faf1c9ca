// SPDX-License-Identifier: GPL-2.0-or-later
/* probe.c - see probe.h. */
#include "probe.h"

#include "memnode/file.h"
#include "memnode/size.h"
#include "tools/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#define TEXT_BYTES (64u << 10)

/* A file below the root, as a text; "" where there is none. */
static char *text_of(const char *root, const char *path)
{
	static char text[TEXT_BYTES];
	char whole[PATH_MAX];

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	if (file_text(whole, text, sizeof(text)))
		*text = '\0';
	return text;
}

static void word_of(const char *root, const char *path, char word[DOCTOR_WORD])
{
	snprintf(word, DOCTOR_WORD, "%.*s", DOCTOR_WORD - 1, text_of(root, path));
	word[strcspn(word, "\n")] = '\0';
}

/* The one in brackets of "always [madvise] never". */
static void choice_of(const char *root, const char *path, char word[DOCTOR_WORD])
{
	char *begin = strchr(text_of(root, path), '[');

	*word = '\0';
	if (begin)
		snprintf(word, DOCTOR_WORD, "%.*s", (int)strcspn(begin + 1, "]"), begin + 1);
}

/* The third of three numbers. */
static uint64_t most_of(const char *root, const char *path)
{
	unsigned long long most = 0;

	return sscanf(text_of(root, path), "%*u %*u %llu", &most) == 1 ? most : 0;
}

static enum doctor_have device(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return HAVE_YES;
	}
	return errno == EACCES || errno == EPERM ? HAVE_DENIED : HAVE_NO;
}

/* One that gets the kernel's own faults: QEMU's RAM is read by system calls, and by KVM. */
static enum doctor_have userfaultfd_probe(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return HAVE_YES;
	}
	if (errno == ENOSYS)
		return HAVE_NO;
	return device("/dev/userfaultfd") == HAVE_YES ? HAVE_YES : HAVE_DENIED;
}

static void devices_probe(struct doctor_facts *h)
{
	struct rlimit limit;
	struct timex clock = {0};
	char path[PATH_MAX];
	int state = adjtimex(&clock);

	h->fuse = device("/dev/fuse");
	h->fuse_helper = program_find("fusermount3", path) ? HAVE_YES : HAVE_NO;
	h->uffd = userfaultfd_probe();
	h->kvm = device("/dev/kvm");
	h->giantvm = device("/dev/giantvm");
	h->root = geteuid() == 0;
	if (state >= 0)
		h->synchronised = state != TIME_ERROR && !(clock.status & STA_UNSYNC);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		h->descriptors = limit.rlim_max;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
		h->locked_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

static void processor_probe(const char *root, struct doctor_facts *h)
{
	char *flags = strstr(text_of(root, "/proc/cpuinfo"), "\nflags");

	if (flags) {
		flags[1 + strcspn(flags + 1, "\n")] = '\0';
		h->cpu = strstr(flags, " vmx")	 ? CPU_INTEL
			 : strstr(flags, " svm") ? CPU_AMD
						 : CPU_PLAIN;
		h->in_guest = strstr(flags, " hypervisor") != NULL;
	}
	word_of(root, "/sys/module/kvm_intel/parameters/nested", h->nested);
	if (!*h->nested)
		word_of(root, "/sys/module/kvm_amd/parameters/nested", h->nested);
}

/* /proc/cgroups tells of version 1's hierarchies, and in which the controller is. */
static int cgroup_probe(const char *root)
{
	const char *line;
	unsigned hierarchy, groups, enabled;

	line = text_field(text_of(root, "/proc/cgroups"), "memory");
	if (line && sscanf(line, "%u %u %u", &hierarchy, &groups, &enabled) == 3) {
		if (!enabled)
			return 0;
		if (hierarchy)
			return 1;
	}
	line = text_of(root, "/sys/fs/cgroup/cgroup.controllers");
	return strstr(line, "memory") ? 2 : 0;
}

void doctor_probe(const char *root, struct doctor_facts *h)
{
	const char *text;

	memset(h, 0, sizeof(*h));
	h->synchronised = h->overcommit = -1;
	h->locked_bytes = UINT64_MAX;
	text = text_of(root, "/proc/sys/kernel/osrelease");
	snprintf(h->release, sizeof(h->release), "%.*s", (int)strcspn(text, "\n"), text);
	if (!*root)
		devices_probe(h);
	processor_probe(root, h);
	choice_of(root, "/sys/kernel/mm/transparent_hugepage/enabled", h->thp);
	choice_of(root, "/sys/kernel/mm/transparent_hugepage/shmem_enabled", h->shmem_thp);
	word_of(root, "/sys/devices/system/clocksource/clocksource0/current_clocksource",
		h->clocksource);
	h->cgroup = cgroup_probe(root);
	h->receive_bytes = most_of(root, "/proc/sys/net/ipv4/tcp_rmem");
	h->send_bytes = most_of(root, "/proc/sys/net/ipv4/tcp_wmem");
	text = text_of(root, "/proc/meminfo");
	h->memory_bytes = text_number(text, "MemTotal:") * KIB;
	h->available_bytes = text_number(text, "MemAvailable:") * KIB;
	text = text_of(root, "/proc/sys/vm/overcommit_memory");
	if (*text >= '0' && *text <= '9')
		h->overcommit = atoi(text);
}
