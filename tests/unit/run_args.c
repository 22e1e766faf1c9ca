// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * run_args.c - QEMU command lines whose RAM moves into regions. Command lines are written with a
 * space between words; "~" stands for a space inside a word.
 */
#include "tools/run/argv.h"
#include "tools/run/qemu_opts.h"
#include "tools/run/args.h"
#include "memnode/size.h"
#include "check.h"

#include <errno.h>
#include <unistd.h>

static const char *const paths[RUN_REGIONS_MAX] = {"/mnt/a", "/mnt/b", "/mnt/c"};

#define CANONICAL "x-use-canonical-path-for-ramblock-id"
/* The backend that is added for a PC's RAM. */
#define ADDED(size)                                                                                \
	"memory-backend-file,id=pc.ram,size=" size ",mem-path=/mnt/a,share=on," CANONICAL "=off"

/* Of a QEMU that answers nothing, and files that QEMU reads as they are. */
static struct qemu_facts silent;
static const char *const no_configs[RUN_CONFIGS_MAX];

static char **words(const char *line)
{
	char **argv = calloc(strlen(line) + 2, sizeof(*argv)), *copy = strdup(line), *save;
	int n = 0;

	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		argv[n] = strdup(w);
		for (char *c = argv[n++]; *c; c++)
			if (*c == '~')
				*c = ' ';
	}
	free(copy);
	return argv;
}

static char *line_of(char **argv)
{
	char *line = calloc(1, 65536);

	for (; *argv; argv++)
		strcat(strcat(line, *line ? " " : ""), *argv);
	for (char *c = line; *c; c++)
		*c = *c == '~' ? '!' : *c;
	return line;
}

static void rewrite(const char *from, const char *want)
{
	char **argv = words(from), **out, **want_argv = words(want), *got, *wanted;
	char err[RUN_ERR_TEXT];
	struct run_args a;
	int rc = run_args_parse(&a, argv, &silent, NULL, false, err);

	if (rc)
		fprintf(stderr, "%s: %s\n", from, err);
	CHECK_EQ(rc, 0);
	CHECK_EQ(run_args_build(&a, paths, no_configs, &out), 0);
	got = line_of(out);
	wanted = line_of(want_argv);
	if (strcmp(got, wanted)) {
		fprintf(stderr, "from  %s\ngot   %s\nwant  %s\n", from, got, wanted);
		exit(1);
	}
	free(got);
	free(wanted);
	run_args_free_argv(out);
	run_args_free_argv(argv);
	run_args_free_argv(want_argv);
	run_args_deinit(&a);
}

static void refused(const char *from, int want_rc, const char *because)
{
	char **argv = words(from), err[RUN_ERR_TEXT];
	struct run_args a;
	int rc = run_args_parse(&a, argv, &silent, NULL, false, err);

	if (rc != want_rc || !strstr(err, because))
		fprintf(stderr, "%s: %d '%s', expected '%s'\n", from, rc, err, because);
	CHECK_EQ(rc, want_rc);
	CHECK(strstr(err, because));
	run_args_deinit(&a);
	run_args_free_argv(argv);
}

static uint64_t ram_of(const char *from, unsigned i)
{
	char **argv = words(from), err[RUN_ERR_TEXT];
	struct run_args a;
	uint64_t bytes;

	CHECK_EQ(run_args_parse(&a, argv, &silent, NULL, false, err), 0);
	CHECK(i < a.rams);
	bytes = a.ram[i].bytes;
	run_args_deinit(&a);
	run_args_free_argv(argv);
	return bytes;
}

static enum run_accel accel_of(const char *from)
{
	char **argv = words(from), err[RUN_ERR_TEXT];
	enum run_accel accel;
	struct run_args a;

	CHECK_EQ(run_args_parse(&a, argv, &silent, NULL, false, err), 0);
	accel = a.accel;
	run_args_deinit(&a);
	run_args_free_argv(argv);
	return accel;
}

static unsigned notes_of(const char *from, const char *about)
{
	char **argv = words(from), err[RUN_ERR_TEXT];
	struct run_args a;
	unsigned found = 0;

	CHECK_EQ(run_args_parse(&a, argv, &silent, NULL, false, err), 0);
	for (unsigned i = 0; i < a.notes.count; i++)
		found += strstr(a.notes.text[i], about) != NULL;
	run_args_deinit(&a);
	run_args_free_argv(argv);
	return found;
}

static void size_is_read_as_qemu_reads_it(void)
{
	CHECK_EQ(ram_of("q -m 512", 0), 512 * MIB);
	CHECK_EQ(ram_of("q -m 2G", 0), 2 * GIB);
	CHECK_EQ(ram_of("q -m 1.5g", 0), 1536 * MIB);
	CHECK_EQ(ram_of("q -m 65536k", 0), 64 * MIB);
	CHECK_EQ(ram_of("q -m 67108864b", 0), 64 * MIB);
	CHECK_EQ(ram_of("q -m size=3072", 0), 3 * GIB);
	CHECK_EQ(ram_of("q -m 2G,slots=4,maxmem=16G", 0), 2 * GIB);
	CHECK_EQ(ram_of("q -m size=2G,slots=4,maxmem=16G", 0), 2 * GIB);
	CHECK_EQ(ram_of("q -m 4097k", 0), 4104 * KIB); /* rounded to 8 KiB */
	CHECK_EQ(ram_of("q -m 1G -m 2G", 0), 2 * GIB); /* the last one holds */
	CHECK_EQ(ram_of("q -m slots=1,maxmem=2G -m 512", 0), 512 * MIB);
	CHECK_EQ(ram_of("q", 0), 128 * MIB);
	CHECK_EQ(ram_of("q --m 256", 0), 256 * MIB);
	CHECK_EQ(ram_of("q -M q35,memory.size=1G", 0), GIB);
	refused("q -m", -EINVAL, "missing");
	refused("q -m lots", -EINVAL, "not a size");
	refused("q -m 12Q", -EINVAL, "not a size");
	refused("q -m 1Gx", -EINVAL, "not a size");
	refused("q -m -1", -EINVAL, "not a size");
	/* hexadecimal, where a last digit counts MiB and a last letter bytes; fractions need a unit */
	CHECK_EQ(ram_of("q -m 0x40", 0), 64 * MIB);
	CHECK_EQ(ram_of("q -m 0x100000M", 0), 1ull << 40);
	CHECK_EQ(ram_of("q -m 0x400000A", 0), 64 * MIB + 8 * KIB);
	CHECK_EQ(ram_of("q -m 1T", 0), 1ull << 40);
	CHECK_EQ(ram_of("q -m 0", 0), 128 * MIB);
	CHECK_EQ(ram_of("q -M q35,memory-backend=a -object memory-backend-ram,id=a,size=0x4000000",
			0),
		 64 * MIB);
	refused("q -m 1.5", -EINVAL, "not a size");
	refused("q -m 0x1.5G", -EINVAL, "not a size");
	refused("q -m 0x", -EINVAL, "not a size");
	/* -m holds, wherever -machine says otherwise; several -m are one list */
	CHECK_EQ(ram_of("q -m 64 -M pc,memory.size=256M", 0), 64 * MIB);
	CHECK_EQ(ram_of("q -M pc,memory.size=256M -m slots=2,maxmem=1G", 0), 256 * MIB);
	CHECK_EQ(ram_of("q -m size=1G,size=2G", 0), 2 * GIB);
	refused("q -m 9999999999G", -ERANGE, "not a size");
	refused("q -m 99999999999999999999", -ERANGE, "not a size");
}

static uint64_t low_of(const char *from)
{
	char **argv = words(from), err[RUN_ERR_TEXT];
	struct run_args a;
	uint64_t low;

	CHECK_EQ(run_args_parse(&a, argv, &silent, NULL, false, err), 0);
	low = a.low_bytes;
	run_args_deinit(&a);
	run_args_free_argv(argv);
	return low;
}

/* Where the guest has its RAM i. */
static uint64_t gpa_of(const char *from, unsigned i)
{
	char **argv = words(from), err[RUN_ERR_TEXT];
	struct run_args a;
	uint64_t gpa;

	CHECK_EQ(run_args_parse(&a, argv, &silent, NULL, false, err), 0);
	CHECK_EQ(a.rams > i && a.ram[i].plugged, true);
	gpa = a.ram[i].gpa;
	run_args_deinit(&a);
	run_args_free_argv(argv);
	return gpa;
}

/* As file-shows-memory-as-the-manual-says sees it of a real QEMU. */
static void pci_hole_is_where_the_machine_has_it(void)
{
	CHECK_EQ(low_of("q -M q35 -m 512M"), 512 * MIB);
	CHECK_EQ(low_of("q -M q35 -m 2815M"), 2815 * MIB);
	CHECK_EQ(low_of("q -M q35 -m 2816M"), 2 * GIB);
	CHECK_EQ(low_of("q -M pc-q35-7.2,accel=kvm -m 64G"), 2 * GIB);
	CHECK_EQ(low_of("q -M pc -m 3583M"), 3583 * MIB);
	CHECK_EQ(low_of("q -machine pc-i440fx-7.2 -m 3584M"), 3 * GIB);
	CHECK_EQ(low_of("q -M microvm -m 3328M"), 3 * GIB);
	CHECK_EQ(low_of("qemu-system-x86_64 -m 8G"), 3 * GIB);
	CHECK_EQ(low_of("/usr/bin/kvm -m 8G"), 3 * GIB);
	CHECK_EQ(low_of("q -M q35,max-ram-below-4g=1G -m 2G"), GIB);
	CHECK_EQ(low_of("q -M pc,max-ram-below-4g=3500M -m 8G"), 3 * GIB);
	CHECK_EQ(low_of("q -M pc,max-ram-below-4g=2G -m 8G"), 2 * GIB);
	CHECK_EQ(low_of("q -M q35 -m 4G -object memory-backend-ram,id=a,size=2G -object memory-backend-ram,id=b,size=2G "
			"-numa node,memdev=a -numa node,memdev=b"),
		 2 * GIB);
	/* Not known: no guess is better than a wrong one. */
	CHECK_EQ(low_of("q -m 8G"), 0);
	CHECK_EQ(low_of("q -M virt -m 8G"), 0);
}

/* The same of a real QEMU 7.2, by its `info memory-devices`. */
static void plugged_memory_is_where_qemu_puts_it(void)
{
#define RAMS(size) "-object memory-backend-ram,id=a,size=" size " -object memory-backend-ram,id=b,size=256M "
	CHECK_EQ(gpa_of("q -M q35 -m 512M,slots=4,maxmem=8G " RAMS("128M") "-device pc-dimm,memdev=a", 1), 4 * GIB);
	CHECK_EQ(gpa_of("q -M q35 -m 2561M,slots=4,maxmem=8G " RAMS("128M") "-device pc-dimm,memdev=a", 1), 4 * GIB);
	CHECK_EQ(gpa_of("q -M q35 -m 2944M,slots=4,maxmem=8G " RAMS("128M") "-device pc-dimm,memdev=a", 1), 5 * GIB);
	CHECK_EQ(gpa_of("q -M pc -m 8G,slots=4,maxmem=16G " RAMS("128M") "-device pc-dimm,memdev=a", 1), 9 * GIB);
	CHECK_EQ(gpa_of("q -M q35 -m 512M,slots=4,maxmem=8G " RAMS("126M") "-device pc-dimm,memdev=a -device pc-dimm,memdev=b", 2),
		 4 * GIB + 126 * MIB);
	CHECK_EQ(gpa_of("q -M q35 -m 512M,slots=4,maxmem=8G " RAMS("126M") "-device pc-dimm,memdev=a "
			"-device virtio-mem-pci,memdev=b,block-size=64M", 2),
		 4 * GIB + 128 * MIB);
	CHECK_EQ(gpa_of("q -M q35 -m 512M,slots=4,maxmem=8G " RAMS("128M") "-device pc-dimm,memdev=a,addr=0x110000000 "
			"-device pc-dimm,memdev=b", 2),
		 4 * GIB);
	CHECK_EQ(gpa_of("q -M q35 -m 512M,slots=4,maxmem=8G " RAMS("128M") "-device pc-dimm,memdev=a,addr=0x108000000 "
			"-device pc-dimm,memdev=b", 2),
		 4 * GIB + 256 * MIB);
	CHECK_EQ(gpa_of("q -M virt -m 512M,slots=4,maxmem=8G " RAMS("128M") "-device pc-dimm,memdev=a", 1), 0);
#undef RAMS
}

static void plain_ram_gets_a_backend(void)
{
	rewrite("qemu-system-x86_64 -m 512 -nographic disk.img",
		"qemu-system-x86_64 -m 512 -nographic disk.img -object "
		ADDED("536870912") " -machine memory-backend=pc.ram");
	rewrite("q -M q35,accel=kvm:tcg -m 1G",
		"q -M q35,accel=kvm:tcg,memory-backend=pc.ram -m 1G -object " ADDED("1073741824"));
	/* several -machine are merged by QEMU: the first takes it */
	rewrite("q -machine q35 -m 1G -machine usb=off",
		"q -machine q35,memory-backend=pc.ram -m 1G -machine usb=off -object " ADDED("1073741824"));
	rewrite("q -mem-path /dev/hugepages -m 1G",
		"q -m 1G -object " ADDED("1073741824") " -machine memory-backend=pc.ram");
}

static void backend_is_replaced_in_its_place(void)
{
	rewrite("q -object memory-backend-ram,id=m0,size=2G -machine q35,memory-backend=m0 -S",
		"q -object memory-backend-file,id=m0,size=2147483648,mem-path=/mnt/a,share=on," CANONICAL
		"=off -machine q35,memory-backend=m0 -S");
	rewrite("q -M memory-backend=m0 -object "
		"memory-backend-memfd,hugetlb=off,seal=on,size=64M,id=m0,share=off,dump=off",
		"q -M memory-backend=m0 -object "
		"memory-backend-file,size=67108864,id=m0,share=on,dump=off,mem-path=/mnt/a");
	rewrite("q -M memory-backend=m0 -object "
		"memory-backend-file,id=m0,mem-path=/dev/shm/"
		"x,,y,size=64M,discard-data=on,align=2M",
		"q -M memory-backend=m0 -object "
		"memory-backend-file,id=m0,mem-path=/mnt/a,size=67108864,discard-data=on,share=on");
	/* other objects and other backends stay as they are */
	rewrite("q -object rng-random,id=r,filename=/dev/urandom -object "
		"memory-backend-ram,id=dimm,size=1G -m 1G -M q35",
		"q -object rng-random,id=r,filename=/dev/urandom -object "
		"memory-backend-ram,id=dimm,size=1G -m 1G -M q35,memory-backend=pc.ram -object " ADDED("1073741824"));
	refused("q -M memory-backend=m1 -object memory-backend-ram,id=m0,size=1G", -EINVAL, "'m1'");
	refused("q -M memory-backend=m0 -object memory-backend-ram,id=m0", -EINVAL, "size");
	refused("q -M memory-backend=m0 -object memory-backend-ram,size=1G", -EINVAL, "no id");
	refused("q -M memory-backend=m0 -object memory-backend-epc,id=m0,size=1G", -EOPNOTSUPP,
		"cannot be");
}

static void json_objects_stay_json(void)
{
	rewrite("q -object {\"qom-type\":\"memory-backend-file\",\"id\":\"pc.ram\",\"mem-path\":"
		"\"/var/lib/libvirt/qemu/ram/1-vm/pc.ram\",\"share\":true,"
		"\"x-use-canonical-path-for-ramblock-id\":false,\"size\":2147483648} "
		"-machine pc-q35-7.2,usb=off,memory-backend=pc.ram -m size=2097152k",
		"q -object {\"qom-type\":\"memory-backend-file\",\"id\":\"pc.ram\",\"mem-path\":"
		"\"/mnt/a\",\"share\":true,\"x-use-canonical-path-for-ramblock-id\":false,\"size\":"
		"2147483648} -machine pc-q35-7.2,usb=off,memory-backend=pc.ram -m size=2097152k");
	rewrite("q -object "
		"{~\"qom-type\"~:~\"memory-backend-ram\",~\"id\":\"a\\\"b\\u00e9\",\"size\":"
		"65536,\"host-nodes\":[0,~1],\"policy\":\"bind\"} -M memory-backend=a\"b\xc3\xa9",
		"q -object "
		"{\"qom-type\":\"memory-backend-file\",\"id\":\"a\\\"b\xc3\xa9\",\"size\":"
		"65536,\"host-nodes\":[0,1],\"policy\":\"bind\",\"mem-path\":\"/mnt/"
		"a\",\"share\":true,\"" CANONICAL "\":false} "
		"-M memory-backend=a\"b\xc3\xa9");
	refused("q -object {\"qom-type\":\"memory-backend-ram\",", -EINVAL, "not understood");
	refused("q -object {\"qom-type\"", -EINVAL, "not understood");
	refused("q -object {\"a\":[1}", -EINVAL, "not understood");
	refused("q -object {\"a\":\"\\u12\"}", -EINVAL, "not understood");
	refused("q -object {\"a\":\"b\\", -EINVAL, "not understood");
	refused("q -object {\"a\":1}x", -EINVAL, "not understood");
	refused("q -device {\"driver\":\"vfio-pci\",\"host\":\"0000:01:00.0\"}", -EOPNOTSUPP,
		"pins");
	refused("q -M memory-backend=m -object {\"qom-type\":\"memory-backend-ram\",\"id\":\"m\","
		"\"size\":65536,\"prealloc\":true}",
		-EOPNOTSUPP, "prealloc");
}

static void numa_nodes_get_a_region_each(void)
{
	rewrite("q -m 3G -object memory-backend-ram,id=n0,size=1G -numa node,nodeid=0,memdev=n0 "
		"-object memory-backend-memfd,id=n1,size=2G,policy=bind,host-nodes=1 -numa "
		"node,nodeid=1,memdev=n1 -smp 2",
		"q -m 3G -object "
		"memory-backend-file,id=n0,size=1073741824,mem-path=/mnt/a,share=on," CANONICAL
		"=off -numa node,nodeid=0,memdev=n0 -object "
		"memory-backend-file,id=n1,size=2147483648,policy=bind,host-nodes=1,mem-path=/mnt/"
		"b,"
		"share=on -numa node,nodeid=1,memdev=n1 -smp 2");
	/* a node without memory of its own, and the old form, change nothing */
	rewrite("q -m 1G -numa node,mem=512 -numa cpu,node-id=0,socket-id=0 -M pc-i440fx-5.0",
		"q -m 1G -numa node,mem=512 -numa cpu,node-id=0,socket-id=0 -M "
		"pc-i440fx-5.0,memory-backend=pc.ram -object " ADDED("1073741824"));
	refused("q -M memory-backend=a -object memory-backend-ram,id=a,size=1G -numa "
		"node,memdev=a",
		-EINVAL, "exclude");
	refused("q -numa node,memdev=nowhere", -EINVAL, "nowhere");
}

static void what_pins_memory_is_refused(void)
{
	refused("q -device vfio-pci,host=01:00.0", -EOPNOTSUPP, "pins");
	refused("q -device driver=vfio-pci-nohotplug,host=01:00.0", -EOPNOTSUPP, "pins");
	refused("q -netdev vhost-vdpa,vhostdev=/dev/vhost-vdpa-0,id=n", -EOPNOTSUPP, "pins");
	refused("q -overcommit mem-lock=on", -EOPNOTSUPP, "pins");
	refused("q -overcommit cpu-pm=on,mem-lock=yes", -EOPNOTSUPP, "pins");
	refused("q -overcommit mem-lock=on-fault", -EOPNOTSUPP, "pins");
	refused("q -realtime mlock=on", -EOPNOTSUPP, "pins");
	refused("q -mem-prealloc", -EOPNOTSUPP, "before it starts");
	refused("q -M memory-backend=m -object memory-backend-ram,id=m,size=1G,prealloc=on",
		-EOPNOTSUPP, "before it starts");
	refused("q -M memory-backend=m -object memory-backend-memfd,id=m,size=1G,hugetlb=on",
		-EOPNOTSUPP, "hugetlb");
	refused("q -M q35,memory-encryption=sev0", -EOPNOTSUPP, "encryption");
	refused("q -M q35,confidential-guest-support=sev0", -EOPNOTSUPP, "encryption");
	refused("q -daemonize", -EOPNOTSUPP, "-daemonize");
	CHECK_EQ(ram_of("q -overcommit mem-lock=off,cpu-pm=on -m 1G", 0), GIB);
}

static void words_that_only_look_like_options_are_left_alone(void)
{
	rewrite("q -m 1G -append -mem-prealloc~-m -name -m -fw_cfg -daemonize",
		"q -m 1G -append -mem-prealloc~-m -name -m -fw_cfg -daemonize -object " ADDED("1073741824") " -machine memory-backend=pc.ram");
	CHECK_EQ(ram_of("q -append -m -m 1G", 0), GIB);
	CHECK_EQ(ram_of("q -serial stdio -nographic -snapshot -S -m 1G", 0), GIB);
	CHECK_EQ(ram_of("q - -m 1G", 0), GIB); /* a lone dash is no option */
}

static void accelerator_is_recognised(void)
{
	CHECK_EQ(accel_of("qemu-system-x86_64"), RUN_ACCEL_TCG);
	CHECK_EQ(accel_of("/usr/bin/kvm"), RUN_ACCEL_KVM_OR_TCG);
	CHECK_EQ(accel_of("q -enable-kvm"), RUN_ACCEL_KVM);
	CHECK_EQ(accel_of("q -accel kvm"), RUN_ACCEL_KVM);
	CHECK_EQ(accel_of("q -accel kvm -accel tcg,thread=single"), RUN_ACCEL_KVM_OR_TCG);
	CHECK_EQ(accel_of("q -accel tcg"), RUN_ACCEL_TCG);
	CHECK_EQ(accel_of("q -M q35,accel=kvm:tcg"), RUN_ACCEL_KVM_OR_TCG);
	CHECK_EQ(accel_of("q -M accel=kvm"), RUN_ACCEL_KVM);
	CHECK_EQ(accel_of("q -accel xen"), RUN_ACCEL_OTHER);
}

static void plugged_memory_gets_regions_of_its_own(void)
{
	static const char *const suffixed[] = {
		"q -m 1G -object memory-backend-ram,id=d,size=1G -device pc-dimm,memdev=d",
		"q -m 1G -object memory-backend-ram,id=d,size=1G "
		"-device {\"driver\":\"virtio-mem-pci\",\"memdev\":\"d\"}"};

	for (unsigned i = 0; i < 2; i++) {
		char **argv = words(suffixed[i]), err[RUN_ERR_TEXT];
		struct run_args a;

		CHECK_EQ(run_args_parse(&a, argv, &silent, NULL, false, err), 0);
		CHECK_EQ(a.rams, 2);
		CHECK(!a.ram[0].plugged && a.ram[1].plugged);
		/* The machine's own region keeps the guest's name. */
		CHECK(!run_args_ram_has_suffix(&a, 0) && run_args_ram_has_suffix(&a, 1));
		run_args_deinit(&a);
		run_args_free_argv(argv);
	}
	rewrite("q -m 1G -object memory-backend-ram,id=d,size=2G,reserve=off -device pc-dimm,memdev=d",
		"q -m 1G -object memory-backend-file,id=d,size=2147483648,reserve=off,mem-path=/mnt/b,"
		"share=on," CANONICAL "=off -device pc-dimm,memdev=d -object " ADDED("1073741824")
		" -machine memory-backend=pc.ram");
	refused("q -m 1G -device pc-dimm,memdev=d", -EINVAL, "has the id 'd'");
	refused("q -m 1G -object memory-backend-ram,id=d,size=1G,prealloc=on -device pc-dimm,memdev=d",
		-EOPNOTSUPP, "prealloc=on");
}

static void what_stays_on_the_host_is_said(void)
{
	struct run_args a;
	char **argv = words("q -m 1G,slots=2,maxmem=4G -name guest=win10,debug-threads=on "
			    "-netdev bridge,id=n -device nvdimm,memdev=d"),
	     err[RUN_ERR_TEXT];

	CHECK_EQ(run_args_parse(&a, argv, &silent, NULL, false, err), 0);
	CHECK_EQ(strcmp(a.guest, "win10"), 0);
	CHECK(a.setuid_helper);
	CHECK_EQ(a.notes.count, 2);
	run_args_deinit(&a);
	run_args_free_argv(argv);
	CHECK_EQ(notes_of("q -m 1G,maxmem=2G,slots=1", "plugged in"), 1);
	CHECK_EQ(notes_of("q -m 1G -device virtio-net-pci", ""), 0);
}

/* ---- what one QEMU says of itself ---- */

static unsigned questions;

/* Of QEMU 7.2 and 8.1, the lines that show each way of writing one; and options of no QEMU. */
static char *talker_answer(const char *qemu, enum qemu_question question)
{
	CHECK_EQ(strcmp(qemu, "q"), 0);
	questions++;
	if (question == QEMU_ASK_MACHINES)
		return strdup("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0}}, \"capabilities\": [\"oob\"]}}\r\n"
			      "{\"return\": {}}\r\n{\"return\": {\"arch\": \"aarch64\"}}\r\n"
			      "{\"return\": [{\"name\": \"virt-7.2\", \"alias\": \"virt\", "
			      "\"default-ram-id\": \"mach-virt.ram\", \"cpu-max\": 512}, "
			      "{\"name\": \"netduino2\"}, {\"is-default\": true, \"name\": \"own-1\", "
			      "\"default-ram-id\": \"own,ram\"}]}\r\n");
	return strdup("QEMU emulator version 8.1.0\nusage: q [options] [disk_image]\n\n"
		      "Standard options:\n"
		      "-h or -help     display this help and exit\n"
		      "-new-flag       generate something\n"
		      "-new-arg file   use it\n"
		      "-nx     file    use 'file' as something\n"
		      "-newa/-newb file  use it\n"
		      "-a-longer-new-flag\n"
		      "                do something\n"
		      "-an-even-longer-flag     do something\n"
		      "-an-even-longer-arg word does something\n"
		      "-new-opt [a=b][,c=d]\n"
		      "-of-15-letters- enable something\n"
		      "-usb            enable on-board USB host controller\n"
		      "                -m is not an option here\n");
}

static void talker_rewrite(const char *from, unsigned asked, uint64_t bytes, const char *id)
{
	struct qemu_facts talker = {.ask = talker_answer, .qemu = "q"};
	char **argv = words(from), err[RUN_ERR_TEXT];
	struct run_args a;
	int rc;

	questions = 0;
	rc = run_args_parse(&a, argv, &talker, NULL, false, err);
	if (rc || a.ram[0].bytes != bytes || strcmp(a.ram[0].id, id) || questions != asked)
		fprintf(stderr, "%s: %d %s, %s, %u questions\n", from, rc, err,
			a.rams ? a.ram[0].id : "-", questions);
	CHECK_EQ(rc, 0);
	CHECK_EQ(a.ram[0].bytes, bytes);
	CHECK_EQ(strcmp(a.ram[0].id, id), 0);
	CHECK_EQ(questions, asked);
	run_args_deinit(&a);
	run_args_free_argv(argv);
	qemu_facts_deinit(&talker);
}

static void unknown_option_swallows_nothing(void)
{
	/* what every QEMU has in common needs no question */
	talker_rewrite("q -perfmap -m 64M -M pc", 0, 64 * MIB, "pc.ram");
	talker_rewrite("q -M pc -async-teardown -m 64M -daemonized-not", 1, 64 * MIB, "pc.ram");
	talker_rewrite("q -M pc -new-flag -m 64M", 1, 64 * MIB, "pc.ram");
	talker_rewrite("q -M pc --new-flag --m 64M", 1, 64 * MIB, "pc.ram");
	talker_rewrite("q -M pc -a-longer-new-flag -m 64M", 1, 64 * MIB, "pc.ram");
	talker_rewrite("q -M pc -an-even-longer-flag -m 64M", 1, 64 * MIB, "pc.ram");
	talker_rewrite("q -M pc -m 64M -new-arg -m -nx -m -newa -m -newb -m -new-opt -m "
		       "-an-even-longer-arg -m disk",
		       1, 64 * MIB, "pc.ram");
	/* one that this QEMU does not have: it will say so */
	talker_rewrite("q -M pc -nothing-like-that -m 64M", 1, 64 * MIB, "pc.ram");
	/* either way of reading it gives the same */
	talker_rewrite("q -M pc -of-15-letters- disk -m 64M", 1, 64 * MIB, "pc.ram");
	talker_rewrite("q -M pc -m 64M -of-15-letters-", 1, 64 * MIB, "pc.ram");
	refused("q -what-is-that -m 64M", -EINVAL, "-help");
	CHECK_EQ(ram_of("q -what-is-that disk -m 64M -or-that", 0), 64 * MIB);
}

static void ram_is_called_what_the_machine_calls_it(void)
{
	talker_rewrite("q -M pc-i440fx-7.2 -m 64M", 0, 64 * MIB, "pc.ram");
	talker_rewrite("q -machine pc-q35-rhel9.2.0,usb=off -m 64M", 0, 64 * MIB, "pc.ram");
	talker_rewrite("q -M q35 -M microvm,acpi=off -m 64M", 0, 64 * MIB, "microvm.ram");
	talker_rewrite("q -M virt -m 64M", 1, 64 * MIB, "mach-virt.ram");
	talker_rewrite("q -M type=virt-7.2 -m 64M", 1, 64 * MIB, "mach-virt.ram");
	talker_rewrite("q -m 64M", 1, 64 * MIB, "own,ram");
	talker_rewrite("q -m 64M -M netduino2", 1, 64 * MIB, RUN_OBJECT_ID);
	rewrite("q -m 64M -M microvm",
		"q -m 64M -M microvm,memory-backend=microvm.ram -object "
		"memory-backend-file,id=microvm.ram,size=67108864,mem-path=/mnt/a,share=on," CANONICAL
		"=off");
	CHECK_EQ(notes_of("q -M something -m 64M", "saved states"), 1);
	CHECK_EQ(notes_of("q -M pc -m 64M", "saved states"), 0);
	/* what the command line itself says of a name stays */
	rewrite("q -M memory-backend=m0 -object memory-backend-ram,id=m0,size=64M," CANONICAL "=on",
		"q -M memory-backend=m0 -object memory-backend-file,id=m0,size=67108864," CANONICAL
		"=on,mem-path=/mnt/a,share=on");
}

static void commas_are_quoted(void)
{
	rewrite("q -name a,,b,process=c -M pc -m 64M -smbios type=1,serial=x,,y",
		"q -name a,,b,process=c -M pc,memory-backend=pc.ram -m 64M -smbios type=1,serial=x,,y "
		"-object " ADDED("67108864"));
	rewrite("q -M memory-backend=a,,b -object memory-backend-ram,id=a,,b,size=64M,x=,,m",
		"q -M memory-backend=a,,b -object memory-backend-file,id=a,,b,size=67108864,x=,,m,mem-path"
		"=/mnt/a,share=on," CANONICAL "=off");
	CHECK_EQ(ram_of("q -append a,-m,1G -m 64M", 0), 64 * MIB);
	/* single quotes, and characters beyond 16 bits */
	rewrite("q -M memory-backend=\xf0\x9f\x98\x80 -object "
		"{'qom-type':'memory-backend-file','id':'\\ud83d\\ude00','size':65536}",
		"q -M memory-backend=\xf0\x9f\x98\x80 -object "
		"{\"qom-type\":\"memory-backend-file\",\"id\":\"\xf0\x9f\x98\x80\",\"size\":65536,"
		"\"mem-path\":\"/mnt/a\",\"share\":true}");
	refused("q -object {\"a\":\"\\ud83d\"}", -EINVAL, "not understood");
	refused("q -object {\"a\":\"\\ude00\"}", -EINVAL, "not understood");
}

static void what_sets_ram_from_elsewhere_is_refused(void)
{
	refused("q -M memory-backend=a -object memory-backend-ram,id=a,size=1G -set object.a.size=2G",
		-EINVAL, "-set object.a");
	refused("q -set memory.x.size=2G", -EINVAL, "-set");
	CHECK_EQ(ram_of("q -m 64M -set device.d.x=y -set object.rng.filename=/dev/random", 0), 64 * MIB);
}

static void questions_to_qemu_start_no_guest(void)
{
	static const char *const probes[] = {
		"q -version", "q --help", "q -h", "q -daemonize -m 1G -version", "q -machine help",
		"q -M q35,help", "q -cpu ?", "q -device virtio-net-pci,help", "q -object help",
		"q -accel help", "q -mem-prealloc -netdev help",
		("q -S -no-user-config -nodefaults -nographic -machine none,accel=kvm:tcg -qmp "
		 "unix:/x,server=on,wait=off -pidfile /y -daemonize")};
	static const char *const guests[] = {"q -name help", "q -append help -kernel version",
					     "q -m 1G -machine none", "q -device x,id=help"};
	struct run_args a;
	char err[RUN_ERR_TEXT];

	for (unsigned i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
		char **argv = words(probes[i]);

		CHECK_EQ(run_args_parse(&a, argv, &silent, NULL, false, err), 0);
		CHECK(a.probe);
		run_args_deinit(&a);
		run_args_free_argv(argv);
	}
	for (unsigned i = 0; i < sizeof(guests) / sizeof(*guests); i++) {
		char **argv = words(guests[i]);

		CHECK_EQ(run_args_parse(&a, argv, &silent, NULL, false, err), 0);
		CHECK(!a.probe);
		CHECK_EQ(a.rams, 1);
		run_args_deinit(&a);
		run_args_free_argv(argv);
	}
}

/* ---- files of -readconfig ---- */

static char config_path[] = "/tmp/gvm-config.XXXXXX";

/* Writes the file, and gives its path in a word of its own. */
static const char *config(const char *text)
{
	int fd = mkstemp(strcpy(config_path, "/tmp/gvm-config.XXXXXX"));

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return config_path;
}

/* With "@" for the file's name. */
static int config_parse(struct run_args *a, const char *text, const char *line, bool by_itself)
{
	static char err[RUN_ERR_TEXT];
	const char *path = config(text);
	char **argv = words(line);
	int rc;

	for (char **p = argv; *p; p++)
		if (!strcmp(*p, "@")) {
			free(*p);
			*p = strdup(path);
		}
	rc = run_args_parse(a, argv, &silent, by_itself ? path : NULL, false, err);
	if (rc)
		fprintf(stderr, "%s: %d %s\n", line, rc, err);
	unlink(path);
	run_args_free_argv(argv);
	return rc;
}

static uint64_t config_ram(const char *text, const char *line, bool by_itself)
{
	struct run_args a;
	uint64_t bytes = 0;

	if (!config_parse(&a, text, line, by_itself))
		bytes = a.ram[0].bytes;
	run_args_deinit(&a);
	return bytes;
}

static void config_files_count(void)
{
	static const char memory[] = "# a comment\n\n[memory]\n  size = \"96\"\n[machine]\n"
				     "  type = \"q35\"\n",
			  device[] = "[device \"d\"]\n driver = \"vfio-pci\"\n";

	CHECK_EQ(config_ram(memory, "q -readconfig @", false), 96 * MIB);
	CHECK_EQ(config_ram(memory, "q -readconfig @ -m 64", false), 64 * MIB);
	CHECK_EQ(config_ram(memory, "q -m 64 -readconfig @", false), 96 * MIB);
	/* the one that QEMU reads by itself comes first, and not always */
	CHECK_EQ(config_ram(memory, "q", true), 96 * MIB);
	CHECK_EQ(config_ram(memory, "q -m 64", true), 64 * MIB);
	CHECK_EQ(config_ram(memory, "q -no-user-config", true), 128 * MIB);
	CHECK_EQ(config_ram(device, "q -readconfig @", false), 0);
	CHECK_EQ(config_ram("[memory]\nsize\n", "q -readconfig @", false), 0);
	CHECK_EQ(config_ram("size = \"1G\"\n", "q -readconfig @", false), 0);
	refused("q -readconfig /nowhere/at/all", -ENOENT, "/nowhere/at/all");
	/* beside a backend QEMU itself says that it takes no -mem-path */
	rewrite("q -mem-path /x -M memory-backend=a -object memory-backend-file,id=a,size=64M",
		"q -mem-path /x -M memory-backend=a -object memory-backend-file,id=a,size=67108864,"
		"mem-path=/mnt/a,share=on");
}

static void backend_in_a_config_file_is_replaced(void)
{
	static const char text[] =
		"[object \"ram0\"]\n  qom-type = \"memory-backend-ram\"\n  size = \"96M\"\n"
		"[object \"r\"]\n  qom-type = \"rng-random\"\n"
		"[machine]\n  memory-backend = \"ram0\"\n[netdev \"n\"]\n  type = \"user\"\n";
	static const char *const configs[RUN_CONFIGS_MAX] = {"/proc/self/fd/9"};
	static const char *const quoted[] = {"/mnt/\"a"};
	struct run_args a;
	char **out, *got;

	CHECK_EQ(config_parse(&a, text, "q -readconfig @ -S", false), 0);
	CHECK_EQ(a.ram[0].bytes, 96 * MIB);
	CHECK_EQ(run_args_build(&a, paths, configs, &out), 0);
	got = line_of(out);
	CHECK_EQ(strcmp(got, "q -readconfig /proc/self/fd/9 -S"), 0);
	free(got);
	run_args_free_argv(out);
	CHECK_EQ(run_args_config(&a, 0, paths, &got), 0);
	CHECK_EQ(strcmp(got,
			"[object \"ram0\"]\n  qom-type = \"memory-backend-file\"\n"
			"  size = \"100663296\"\n  mem-path = \"/mnt/a\"\n  share = \"on\"\n"
			"  " CANONICAL " = \"off\"\n"
			"[object \"r\"]\n  qom-type = \"rng-random\"\n"
			"[machine]\n  memory-backend = \"ram0\"\n[netdev \"n\"]\n  type = \"user\"\n"),
		 0);
	free(got);
	CHECK_EQ(run_args_config(&a, 0, quoted, &got), -EINVAL);
	run_args_deinit(&a);
	/* one with nothing to replace stays */
	CHECK_EQ(config_parse(&a, "[machine]\n  type = \"q35\"\n", "q -readconfig @", false), 0);
	CHECK_EQ(run_args_config(&a, 0, paths, &got), 0);
	CHECK(!got);
	run_args_deinit(&a);
	/* not where QEMU itself finds it */
	CHECK_EQ(config_parse(&a, text, "q", true), -EOPNOTSUPP);
	run_args_deinit(&a);
}

static void any_bytes_are_survived(void)
{
	static const char *const piece[] = {"-m",
					    "-object",
					    "-M",
					    "-numa",
					    "-device",
					    "{",
					    "}",
					    "\"",
					    ",",
					    "=",
					    "memory-backend-ram",
					    "memory-backend-file,id=a,size=1",
					    "node,memdev=a",
					    "memory-backend=a",
					    "[",
					    "]",
					    ":",
					    "\\",
					    "\\u00",
					    "1",
					    "G",
					    ".",
					    "id",
					    "-",
					    "--",
					    "on",
					    "\"qom-type\":",
					    "\"a\"",
					    "prealloc=off"};
	const unsigned pieces = sizeof(piece) / sizeof(*piece);

	for (unsigned round = 0; round < 20000; round++) {
		char *argv[10], text[9][128], err[RUN_ERR_TEXT], **out;
		unsigned n = 1 + check_random_below(9);
		struct run_args a;

		for (unsigned i = 0; i < n; i++) {
			*text[i] = 0;
			for (unsigned k = 1 + check_random_below(3); k--;)
				strcat(text[i], piece[check_random_below(pieces)]);
			argv[i] = text[i];
		}
		argv[n] = NULL;
		if (!run_args_parse(&a, argv, &silent, NULL, false, err)) {
			CHECK_EQ(run_args_build(&a, paths, no_configs, &out), 0);
			run_args_free_argv(out);
		}
		run_args_deinit(&a);
	}
}

static const struct check_test tests[] = {
	{"size-is-read-as-qemu-reads-it", size_is_read_as_qemu_reads_it},
	{"pci-hole-is-where-the-machine-has-it", pci_hole_is_where_the_machine_has_it},
	{"plugged-memory-is-where-qemu-puts-it", plugged_memory_is_where_qemu_puts_it},
	{"plain-ram-gets-a-backend", plain_ram_gets_a_backend},
	{"backend-is-replaced-in-its-place", backend_is_replaced_in_its_place},
	{"json-objects-stay-json", json_objects_stay_json},
	{"numa-nodes-get-a-region-each", numa_nodes_get_a_region_each},
	{"plugged-memory-gets-regions-of-its-own", plugged_memory_gets_regions_of_its_own},
	{"what-pins-memory-is-refused", what_pins_memory_is_refused},
	{"words-that-only-look-like-options-are-left-alone",
	 words_that_only_look_like_options_are_left_alone},
	{"accelerator-is-recognised", accelerator_is_recognised},
	{"what-stays-on-the-host-is-said", what_stays_on_the_host_is_said},
	{"unknown-option-swallows-nothing", unknown_option_swallows_nothing},
	{"ram-is-called-what-the-machine-calls-it", ram_is_called_what_the_machine_calls_it},
	{"commas-are-quoted", commas_are_quoted},
	{"what-sets-ram-from-elsewhere-is-refused", what_sets_ram_from_elsewhere_is_refused},
	{"questions-to-qemu-start-no-guest", questions_to_qemu_start_no_guest},
	{"config-files-count", config_files_count},
	{"backend-in-a-config-file-is-replaced", backend_in_a_config_file_is_replaced},
	{"any-bytes-are-survived", any_bytes_are_survived},
};
CHECK_MAIN(tests)
