// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * run_cpus.c - a guest's vCPUs on several hosts: the list of hosts, and each host's command line. Command lines are
 * written with a space between words.
 */
#include "tools/run/args.h"
#include "tools/run/argv.h"
#include "tools/run/cpus.h"
#include "check.h"

#include <errno.h>

#define VCPUS(node)                                                                                                        \
	"-object secret,id=gvm-key,file=/k -object dsm-vcpus,id=gvm-vcpus,node=" node                                      \
	",cpus=0-1@0;2@1,hosts=10.0.0.1:9998;[fd00::2]:7,key=gvm-key"
#define OF_KVM "-machine smm=off,vmport=off,kernel-irqchip=split "

static struct qemu_facts silent;

static char **words(const char *line)
{
	char **argv = calloc(strlen(line) + 2, sizeof(*argv)), *copy = strdup(line), *save;
	int n = 0;

	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[n++] = strdup(w);
	free(copy);
	return argv;
}

static void read_as(struct run_args *a, const char *line)
{
	char **argv = words(line), err[RUN_ERR_TEXT];
	int rc = run_args_parse(a, argv, &silent, NULL, false, err);

	if (rc)
		fprintf(stderr, "%s: %s\n", line, err);
	CHECK_EQ(rc, 0);
	run_args_free_argv(argv);
}

static void parsed(struct run_cpus *c, const char *text)
{
	char err[RUN_ERR_TEXT];

	CHECK_EQ(run_cpus_parse(c, text, err), 0);
}

static void not_parsed(const char *text, const char *because)
{
	char err[RUN_ERR_TEXT] = "";
	struct run_cpus c;

	CHECK_EQ(run_cpus_parse(&c, text, err), -EINVAL);
	if (!strstr(err, because))
		fprintf(stderr, "%s: '%s', expected '%s'\n", text, err, because);
	CHECK(strstr(err, because));
}

static void list_of_hosts(void)
{
	static const char most[] = "254@a,1@b";
	struct run_cpus c;
	char of[32];

	parsed(&c, "2@host0,1@[fd00::2]:7,4@10.0.0.3:9998,1@7");
	CHECK_EQ(c.hosts, 4);
	CHECK_EQ(c.cpus, 8);
	CHECK(!strcmp(c.host[1].text, "[fd00::2]:7") && !strcmp(c.host[3].text, "7"));
	run_cpus_of(&c, 0, of);
	CHECK(!strcmp(of, "0-1"));
	run_cpus_of(&c, 1, of);
	CHECK(!strcmp(of, "2"));
	run_cpus_of(&c, 2, of);
	CHECK(!strcmp(of, "3-6"));
	parsed(&c, most);
	CHECK_EQ(c.cpus, 255);
}

static void lists_that_are_none(void)
{
	char long_name[2 * RUN_HOST_TEXT] = "1@";
	char many[RUN_CPUS_MAX * 8 + 64] = "";

	not_parsed("", "'' is not COUNT@HOST");
	not_parsed("4", "'4' is not COUNT@HOST");
	not_parsed("4@", "'4@' is not COUNT@HOST");
	not_parsed("@a", "'@a' is not COUNT@HOST");
	not_parsed("0@a", "'0@a' is not");
	not_parsed("-1@a", "'-1@a' is not");
	not_parsed("4x@a", "'4x@a' is not");
	not_parsed("4@a,", "'' is not");
	not_parsed("4@a,,4@b", "'' is not");
	not_parsed("4@a;4@b@c,x", "'x' is not");
	not_parsed("4", "'4' is not");
	not_parsed("255@a,1@b", "at most 255 vCPUs");
	not_parsed("99999999999999999999@a", "at most 255 vCPUs");
	memset(long_name + 2, 'a', sizeof(long_name) - 3);
	not_parsed(long_name, "is not COUNT@HOST");
	for (int i = 0; i < RUN_CPUS_MAX + 1; i++)
		strcat(many, i ? ",1@a" : "1@a");
	not_parsed(many, "at most 255 vCPUs");
}

static void builds(const char *from, unsigned node, const char *want)
{
	struct run_args a;
	struct run_cpus c;
	char **out, got[4096] = "", err[RUN_ERR_TEXT];

	parsed(&c, "2@host0,1@host1");
	strcpy(c.host[0].ip, "10.0.0.1");
	strcpy(c.host[1].ip, "[fd00::2]");
	c.host[0].port = 9998;
	c.host[1].port = 7;
	read_as(&a, from);
	if (run_cpus_check(&c, &a, err))
		fprintf(stderr, "%s: %s\n", from, err);
	CHECK_EQ(run_cpus_check(&c, &a, err), 0);
	CHECK_EQ(run_cpus_build(&c, &a, node, "/k", &out), 0);
	for (char **w = out; *w; w++)
		strcat(strcat(got, w == out ? "" : " "), *w);
	if (strcmp(got, want))
		fprintf(stderr, "from %s\ngot  %s\nwant %s\n", from, got, want);
	CHECK(!strcmp(got, want));
	run_args_free_argv(out);
	run_args_deinit(&a);
}

static void node_0_has_all_that_was_given(void)
{
	builds("q -smp 3 -m 1G -kernel v -append a disk.img", 0,
	       "q -smp 3 -m 1G -kernel v -append a disk.img -machine smm=off,vmport=off " VCPUS("0"));
	builds("q -smp 3 -m 1G -M q35 -accel kvm -cpu EPYC", 0,
	       "q -smp 3 -m 1G -M q35 -accel kvm -cpu EPYC " OF_KVM "-cpu EPYC,vmx=off,svm=off,x2apic=on " VCPUS("0"));
	builds("q -smp 3 -m 1G -enable-kvm -cpu host,svm=off,-x2apic", 0,
	       "q -smp 3 -m 1G -enable-kvm -cpu host,svm=off,-x2apic " OF_KVM "-cpu host,svm=off,-x2apic,vmx=off " VCPUS("0"));
}

static void others_have_what_makes_the_machine(void)
{
	builds("q -smp 3 -m 1G -kernel v -append a -nodefaults -serial stdio -device virtio-net-pci -qmp unix:/x -S "
	       "-object rng-builtin,id=r -bios /b -M pc -object memory-backend-file,id=m,size=1G,mem-path=/m,share=on "
	       "-machine memory-backend=m -pidfile /p disk.img", 1,
	       "q -smp 3 -m 1G -bios /b -M pc -object memory-backend-file,id=m,size=1G,mem-path=/m,share=on "
	       "-machine memory-backend=m -machine smm=off,vmport=off " VCPUS("1") " -nodefaults -display none");
	builds("q -accel kvm -smp sockets=1,cores=3 -m 1G -name win", 1,
	       "q -accel kvm -smp sockets=1,cores=3 -m 1G -name win " OF_KVM "-cpu host,vmx=off,svm=off,x2apic=on " VCPUS("1")
	       " -nodefaults -display none");
}

static void refused(const char *from, int want, const char *because)
{
	char err[RUN_ERR_TEXT] = "";
	struct run_args a;
	struct run_cpus c;
	int rc;

	parsed(&c, "2@host0,1@host1");
	read_as(&a, from);
	rc = run_cpus_check(&c, &a, err);
	if (rc != want || !strstr(err, because))
		fprintf(stderr, "%s: %d '%s', expected '%s'\n", from, rc, err, because);
	CHECK_EQ(rc, want);
	CHECK(strstr(err, because));
	run_args_deinit(&a);
}

static void what_several_hosts_cannot_do_is_refused(void)
{
	refused("q -m 1G", -EINVAL, "--cpus has 3 vCPUs, and -smp has 1");
	refused("q -m 1G -smp 4", -EINVAL, "--cpus has 3 vCPUs, and -smp has 4");
	refused("q -m 1G -smp eight", -EINVAL, "-smp cpus=eight: 'eight' is not a number");
	refused("q -m 1G -smp 3,maxcpus=3x", -EINVAL, "-smp maxcpus=3x: '3x' is not a number");
	refused("q -m 1G -smp cores=-3", -EINVAL, "-smp cores=-3: '-3' is not a number");
	refused("q -m 1G -smp sockets=2,cores=2,threads=2", -EINVAL, "-smp has 8");
	refused("q -m 1G -smp 3,maxcpus=4", -EOPNOTSUPP, "maxcpus=4: vCPUs cannot be plugged in");
	refused("q -m 1G -smp 3 -device max-x86_64-cpu,socket-id=1", -EOPNOTSUPP, "vCPUs cannot be plugged in");
	refused("q -m 1G,maxmem=2G -smp 3", -EOPNOTSUPP, "memory cannot be plugged in");
	refused("q -m 1G,slots=2,maxmem=2G -smp 3", -EOPNOTSUPP, "memory cannot be plugged in");
	refused("q -m 1G -smp 3 -object memory-backend-ram,id=d,size=1G -device pc-dimm,memdev=d", -EOPNOTSUPP,
		"memory cannot be plugged in");
	refused("q -m 1G -smp 3 -loadvm x", -EOPNOTSUPP, "-loadvm: a guest whose vCPUs run on several hosts");
	refused("q -m 1G -smp 3 -incoming defer", -EOPNOTSUPP, "neither saved nor migrated");
	refused("q -m 1G -smp 3 -pflash f", -EOPNOTSUPP, "use -bios");
	refused("q -m 1G -smp 3 -drive if=pflash,file=f", -EOPNOTSUPP, "-drive if=pflash,file=f: firmware in flash");
	refused("q -m 1G -smp 3 -drive file=d -M q35,pflash0=f", -EOPNOTSUPP, "-machine q35,pflash0=f: firmware in flash");
	refused("q -m 1G -smp 3 -accel kvm -accel tcg", -EINVAL, "all hosts need the same one");
	refused("q -m 1G -smp 3 -accel xen", -EINVAL, "all hosts need the same one");
	refused("q -m 1G -smp 3 -M pc,smm=on", -EOPNOTSUPP, "-machine smm=on: system management mode");
	refused("q -m 1G -smp 3 -M pc -machine vmport=auto", -EOPNOTSUPP, "-machine vmport=auto: VMware's port");
	refused("q -m 1G -smp 3 -accel kvm -M pc,kernel-irqchip=on", -EOPNOTSUPP, "-machine kernel-irqchip=on: the APICs");
	refused("q -m 1G -smp 3 -accel kvm -cpu host,+vmx", -EOPNOTSUPP, "no guests of its own");
	refused("q -m 1G -smp 3 -accel kvm -cpu host,hv-relaxed", -EOPNOTSUPP, "hv-...");
}

static void devices_of_the_host_are_refused(void)
{
	char **argv = words("q -m 1G -smp 3 -device vfio-pci,host=0:0.0"), err[RUN_ERR_TEXT];
	struct run_args a;

	CHECK_EQ(run_args_parse(&a, argv, &silent, NULL, false, err), -EOPNOTSUPP);
	CHECK(strstr(err, "VFIO"));
	run_args_deinit(&a);
	run_args_free_argv(argv);
}

/* What a shell makes of it is what it was made of. */
static void shells_read_what_was_meant(void)
{
	static const char *const said[] = {"printf", "%s|", "plain", "a b", "it's", "$HOME `x` \"y\"", "", "a;b", "\\", "*",
					    "\n", "~", NULL};
	char *text = run_cpus_shell((char *const *)said), got[256] = "", *command;
	FILE *f;

	CHECK(asprintf(&command, "exec %s", text) > 0);
	f = popen(command, "r");
	CHECK(f);
	CHECK(fread(got, 1, sizeof(got) - 1, f) > 0);
	CHECK_EQ(pclose(f), 0);
	CHECK(!strcmp(got, "plain|a b|it's|$HOME `x` \"y\"||a;b|\\|*|\n|~|"));
	free(command);
	free(text);
}

static const struct check_test tests[] = {
	{"list-of-hosts", list_of_hosts},
	{"lists-that-are-none", lists_that_are_none},
	{"node-0-has-all-that-was-given", node_0_has_all_that_was_given},
	{"others-have-what-makes-the-machine", others_have_what_makes_the_machine},
	{"what-several-hosts-cannot-do-is-refused", what_several_hosts_cannot_do_is_refused},
	{"devices-of-the-host-are-refused", devices_of_the_host_are_refused},
	{"shells-read-what-was-meant", shells_read_what_was_meant},
};

CHECK_MAIN(tests)
