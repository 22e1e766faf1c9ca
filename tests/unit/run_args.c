// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * run_args.c - QEMU command lines whose RAM moves into regions. Command lines are written with a
 * space between words; "~" stands for a space inside a word.
 */
#include "tools/qemu_opts.h"
#include "tools/run_args.h"
#include "tools/size.h"
#include "check.h"

#include <errno.h>

static const char *const paths[RUN_REGIONS_MAX] = {"/mnt/a", "/mnt/b", "/mnt/c"};

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
	int rc = run_args_parse(&a, argv, false, err);

	if (rc)
		fprintf(stderr, "%s: %s\n", from, err);
	CHECK_EQ(rc, 0);
	CHECK_EQ(run_args_build(&a, paths, &out), 0);
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
	int rc = run_args_parse(&a, argv, false, err);

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

	CHECK_EQ(run_args_parse(&a, argv, false, err), 0);
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

	CHECK_EQ(run_args_parse(&a, argv, false, err), 0);
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

	CHECK_EQ(run_args_parse(&a, argv, false, err), 0);
	for (unsigned i = 0; i < a.note_count; i++)
		found += strstr(a.notes[i], about) != NULL;
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
	refused("q -m 9999999999G", -ERANGE, "not a size");
	refused("q -m 99999999999999999999", -ERANGE, "not a size");
}

static void plain_ram_gets_a_backend(void)
{
	rewrite("qemu-system-x86_64 -m 512 -nographic disk.img",
		"qemu-system-x86_64 -m 512 -nographic disk.img -object "
		"memory-backend-file,id=gvm-ram,size=536870912,mem-path=/mnt/a,share=on -machine "
		"memory-backend=gvm-ram");
	rewrite("q -M q35,accel=kvm:tcg -m 1G",
		"q -M q35,accel=kvm:tcg,memory-backend=gvm-ram -m 1G -object "
		"memory-backend-file,id=gvm-ram,size=1073741824,mem-path=/mnt/a,share=on");
	/* several -machine are merged by QEMU: the first takes it */
	rewrite("q -machine q35 -m 1G -machine usb=off",
		"q -machine q35,memory-backend=gvm-ram -m 1G -machine usb=off -object "
		"memory-backend-file,id=gvm-ram,size=1073741824,mem-path=/mnt/a,share=on");
	rewrite("q -mem-path /dev/hugepages -m 1G",
		"q -m 1G -object "
		"memory-backend-file,id=gvm-ram,size=1073741824,mem-path=/mnt/a,share=on -machine "
		"memory-backend=gvm-ram");
	CHECK_EQ(notes_of("q -mem-path /dev/hugepages -m 1G", "/dev/hugepages"), 1);
}

static void backend_is_replaced_in_its_place(void)
{
	rewrite("q -object memory-backend-ram,id=m0,size=2G -machine q35,memory-backend=m0 -S",
		"q -object memory-backend-file,id=m0,size=2147483648,mem-path=/mnt/a,share=on "
		"-machine q35,memory-backend=m0 -S");
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
		"memory-backend-ram,id=dimm,size=1G -m 1G -M q35,memory-backend=gvm-ram -object "
		"memory-backend-file,id=gvm-ram,size=1073741824,mem-path=/mnt/a,share=on");
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
		"65536,\"host-nodes\":[0,~1],\"policy\":\"bind\",\"mem-path\":\"/mnt/"
		"a\",\"share\":true} "
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
		"memory-backend-file,id=n0,size=1073741824,mem-path=/mnt/a,share=on "
		"-numa node,nodeid=0,memdev=n0 -object "
		"memory-backend-file,id=n1,size=2147483648,policy=bind,host-nodes=1,mem-path=/mnt/"
		"b,"
		"share=on -numa node,nodeid=1,memdev=n1 -smp 2");
	/* a node without memory of its own, and the old form, change nothing */
	rewrite("q -m 1G -numa node,mem=512 -numa cpu,node-id=0,socket-id=0 -M pc-i440fx-5.0",
		"q -m 1G -numa node,mem=512 -numa cpu,node-id=0,socket-id=0 -M "
		"pc-i440fx-5.0,memory-backend=gvm-ram -object "
		"memory-backend-file,id=gvm-ram,size=1073741824,mem-path=/mnt/a,share=on");
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
		"q -m 1G -append -mem-prealloc~-m -name -m -fw_cfg -daemonize -object "
		"memory-backend-file,id=gvm-ram,size=1073741824,mem-path=/mnt/a,share=on -machine "
		"memory-backend=gvm-ram");
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

static void what_stays_on_the_host_is_said(void)
{
	struct run_args a;
	char **argv = words("q -m 1G,slots=2,maxmem=4G -name guest=win10,debug-threads=on "
			    "-netdev bridge,id=n -device pc-dimm,memdev=d"),
	     err[RUN_ERR_TEXT];

	CHECK_EQ(run_args_parse(&a, argv, false, err), 0);
	CHECK_EQ(strcmp(a.guest, "win10"), 0);
	CHECK(a.setuid_helper);
	CHECK_EQ(a.note_count, 2);
	run_args_deinit(&a);
	run_args_free_argv(argv);
	CHECK_EQ(notes_of("q -m 1G,maxmem=2G,slots=1", "plugged in"), 1);
	CHECK_EQ(notes_of("q -m 1G -device virtio-net-pci", ""), 0);
}

static void config_file_needs_the_size(void)
{
	refused("q -readconfig vm.cfg", -EINVAL, "-m");
	CHECK_EQ(ram_of("q -readconfig vm.cfg -m 1G", 0), GIB);
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
		if (!run_args_parse(&a, argv, false, err)) {
			CHECK_EQ(run_args_build(&a, paths, &out), 0);
			run_args_free_argv(out);
		}
		run_args_deinit(&a);
	}
}

static const struct check_test tests[] = {
	{"size-is-read-as-qemu-reads-it", size_is_read_as_qemu_reads_it},
	{"plain-ram-gets-a-backend", plain_ram_gets_a_backend},
	{"backend-is-replaced-in-its-place", backend_is_replaced_in_its_place},
	{"json-objects-stay-json", json_objects_stay_json},
	{"numa-nodes-get-a-region-each", numa_nodes_get_a_region_each},
	{"what-pins-memory-is-refused", what_pins_memory_is_refused},
	{"words-that-only-look-like-options-are-left-alone",
	 words_that_only_look_like_options_are_left_alone},
	{"accelerator-is-recognised", accelerator_is_recognised},
	{"what-stays-on-the-host-is-said", what_stays_on_the_host_is_said},
	{"config-file-needs-the-size", config_file_needs_the_size},
	{"any-bytes-are-survived", any_bytes_are_survived},
};
CHECK_MAIN(tests)
