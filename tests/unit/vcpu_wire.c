// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_wire.c - the frames between QEMUs are what VCPU.md says, byte by byte, and nothing else is
 * one. */
#include "golden.h"
#include "vcpu_link.h"

#include <errno.h>
#include <stdbool.h>

static const uint8_t elements[512];
static const uint8_t word_256[2] = {0, 1}, outl_body[4] = {0, 0, 0, 0x80};
static const uint8_t posted_body[4] = {0x78, 0x56, 0x34, 0x12}, byte_body[1] = {0x5a};
static const uint8_t apic_body[12] = {4, 0, 0, 0, 0, 0, 0, 0x10, 0xff, 0xff, 0xff, 0xff};
static const uint8_t pin_body[4] = {10}, pam_body[2] = {0x59};
static const uint8_t sent_body[8] = {0x40, 0x1f};
static const uint8_t clock_body[24] = {0x40, 0x1f, 0, 0, 0, 0, 0, 0, 0x88, 0x13, 0, 0, 0, 0, 0, 0, 0xec, 0x13};

#define BODY(b) .body = (b), .body_bytes = sizeof(b)

/* As VCPU.md has them, after the handshake's. */
static const struct sample {
	const char *name;
	unsigned to;
	struct vcpu_frame f;
} samples[] = {
	{"alive", 0, {.type = VCPU_ALIVE, .from = 1, .era = 3}},
	{"io-read",
	 0,
	 {.type = VCPU_IO_READ,
	  .flags = 1 | VCPU_IO_PORT,
	  .from = 1,
	  .cpu = 4,
	  .era = 3,
	  .seq = 7,
	  .value = 0x1f0,
	  BODY(word_256)}},
	{"io-write",
	 0,
	 {.type = VCPU_IO_WRITE,
	  .flags = 2 | VCPU_IO_PORT,
	  .from = 1,
	  .cpu = 4,
	  .era = 3,
	  .seq = 8,
	  .value = 0xcf8,
	  BODY(outl_body)}},
	{"io-write-posted",
	 0,
	 {.type = VCPU_IO_WRITE,
	  .flags = 2 | VCPU_IO_POSTED,
	  .from = 1,
	  .cpu = 5,
	  .era = 3,
	  .value = 0xfebc0010,
	  BODY(posted_body)}},
	{"io-done", 1, {.type = VCPU_IO_DONE, .cpu = 4, .era = 3, .seq = 9, BODY(byte_body)}},
	{"irq", 1, {.type = VCPU_IRQ, .flags = VCPU_IRQ_LEVEL, .cpu = 5, .era = 3, .value = 0x31}},
	{"nmi", 0, {.type = VCPU_NMI, .from = 1, .era = 3}},
	{"smi", 1, {.type = VCPU_SMI, .cpu = 4, .era = 3}},
	{"init", 1, {.type = VCPU_INIT, .cpu = 4, .era = 3}},
	{"sipi", 1, {.type = VCPU_SIPI, .cpu = 4, .era = 3, .value = 0x9a}},
	{"apic",
	 0,
	 {.type = VCPU_APIC, .from = 1, .cpu = 4, .era = 3, .value = 0xfee00800, BODY(apic_body)}},
	{"rte", 1, {.type = VCPU_RTE, .era = 3, .value = 0x0400000000008031, BODY(pin_body)}},
	{"eoi", 0, {.type = VCPU_EOI, .from = 1, .cpu = 4, .era = 3, .value = 0x31}},
	{"pci-config", 1, {.type = VCPU_PCI_CONFIG, .era = 3, .value = 0x33, BODY(pam_body)}},
	{"stop", 1, {.type = VCPU_STOP, .era = 3}},
	{"stopped", 0, {.type = VCPU_STOPPED, .from = 1, .era = 3}},
	{"cont", 1, {.type = VCPU_CONT, .era = 3, .value = 123456789}},
	{"reset", 1, {.type = VCPU_RESET, .era = 4}},
	{"ready", 0, {.type = VCPU_READY, .from = 1, .era = 4}},
	{"ask",
	 0,
	 {.type = VCPU_ASK, .from = 1, .cpu = 4, .era = 3, .value = VCPU_CAUSE_TRIPLE_FAULT}},
	{"end", 1, {.type = VCPU_END, .era = 3, .value = VCPU_CAUSE_LOST}},
	{"clock", 0, {.type = VCPU_CLOCK, .from = 1, .era = 3, .value = 1000, BODY(sent_body)}},
	{"clock-is",
	 1,
	 {.type = VCPU_CLOCK_IS, .era = 3, .value = 1000, BODY(clock_body)}},
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static struct golden doc[GOLDEN_FRAMES_MAX];
static size_t docs;

/* The indented lines behind "## Golden frames". */
static void doc_load(void)
{
	char line[1024];
	bool there = false;
	FILE *f;

	if (docs)
		return;
	f = golden_open("qemu/VCPU.md");
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "## ", 3))
			there = !strcmp(line, "## Golden frames\n");
		if (!there || strncmp(line, "    ", 4))
			continue;
		if (line[4] != '=') {
			CHECK(docs);
			golden_line(&doc[docs - 1], line + 4);
			continue;
		}
		CHECK(docs < GOLDEN_FRAMES_MAX);
		CHECK(sscanf(line + 4, "= %31s", doc[docs++].name) == 1);
	}
	fclose(f);
}

static const struct golden *doc_find(const char *name)
{
	doc_load();
	for (size_t i = 0; i < docs; i++)
		if (!strcmp(doc[i].name, name))
			return &doc[i];
	fprintf(stderr, "VCPU.md has no frame named %s\n", name);
	exit(1);
}

static const struct vcpu_frame *sample(const char *name, unsigned *to)
{
	for (size_t i = 0; i < SAMPLES; i++)
		if (!strcmp(samples[i].name, name)) {
			*to = samples[i].to;
			return &samples[i].f;
		}
	fprintf(stderr, "no sample named %s\n", name);
	exit(1);
}

static void frames_are_the_golden_ones(void)
{
	uint8_t bytes[VCPU_FRAME_MAX];

	for (size_t i = 0; i < SAMPLES; i++) {
		const struct golden *g = doc_find(samples[i].name);
		struct vcpu_frame f;

		CHECK_EQ(vcpu_frame_encode(&samples[i].f, bytes), g->bytes);
		CHECK_MEM(bytes, g->byte, g->bytes);
		CHECK_EQ(vcpu_frame_bytes(g->byte), g->bytes);
		vcpu_frame_decode(g->byte, &f);
		CHECK(vcpu_frame_valid(&f, samples[i].to));
		CHECK_EQ(f.type, samples[i].f.type);
		CHECK_EQ(f.flags, samples[i].f.flags);
		CHECK_EQ(f.from, samples[i].f.from);
		CHECK_EQ(f.cpu, samples[i].f.cpu);
		CHECK_EQ(f.era, samples[i].f.era);
		CHECK_EQ(f.seq, samples[i].f.seq);
		CHECK_EQ(f.value, samples[i].f.value);
		CHECK_EQ(f.body_bytes, samples[i].f.body_bytes);
	}
}

static void every_type_is_golden(void)
{
	bool seen[256] = {false};

	doc_load();
	for (size_t i = 0; i < docs; i++)
		if (strncmp(doc[i].name, "sealed", 6))
			seen[doc[i].byte[2]] = true;
	for (unsigned type = 0; type < 256; type++)
		CHECK_EQ(seen[type], vcpu_type_name(type) != NULL);
}

static struct vcpu_self self_of(unsigned node, const struct vcpu_map *map)
{
	static const char key[] = "a key that all the tests know";
	struct vcpu_self self = {.node = (uint16_t)node, .map = map};

	for (unsigned i = 0; i < VCPU_DIGESTS; i++)
		self.digest[i] = 0x1111111111111111u * (i + 1);
	CHECK(!vcpu_key_extract(key, sizeof(key) - 1, self.prk));
	return self;
}

/* The random bytes that the golden HELLOs have. */
static void nonce_set(struct vcpu_link *link, uint8_t byte)
{
	memset(link->hello_sent + 16, byte, VCPU_NONCE_BYTES);
}

static void golden_is(const char *name, const uint8_t *bytes, size_t count)
{
	const struct golden *g = doc_find(name);

	CHECK_EQ(count, g->bytes);
	CHECK_MEM(bytes, g->byte, g->bytes);
}

/* Both ends of a connection, up, with the golden frames' keys. */
static void links_up(struct vcpu_link *out, struct vcpu_link *in, const struct vcpu_self *node_1,
		     const struct vcpu_self *node_0)
{
	uint8_t a[VCPU_FRAME_MAX], b[VCPU_FRAME_MAX];
	char why[VCPU_WHY_BYTES];
	size_t bytes;

	CHECK(!vcpu_link_init(out, node_1, true, 0) && !vcpu_link_init(in, node_0, false, 0));
	nonce_set(out, 0xc1);
	nonce_set(in, 0xa0);
	golden_is("hello-connecting", a, vcpu_link_hello(out, a));
	CHECK(!vcpu_link_greet(in, a, b, &bytes, why));
	golden_is("hello-accepting", b, bytes);
	CHECK(!vcpu_link_greet(out, b, a, &bytes, why));
	golden_is("proof-connecting", a, bytes);
	CHECK(!vcpu_link_greet(in, a, b, &bytes, why));
	golden_is("proof-accepting", b, bytes);
	CHECK(in->state == VCPU_UP && out->state == VCPU_PROVING);
	CHECK(!vcpu_link_greet(out, b, a, &bytes, why));
	CHECK(out->state == VCPU_UP && !bytes);
}

static struct vcpu_map map_of(const char *text)
{
	char error[VCPU_MAP_ERROR_BYTES];
	struct vcpu_map map;

	CHECK(!vcpu_map_parse(text, &map, error));
	return map;
}

static int sealed(struct vcpu_link *link, const char *name, uint8_t *out)
{
	const struct golden *g = doc_find(name);

	return vcpu_link_close(link, g->byte, g->bytes, out);
}

static void handshake_and_seals_are_the_golden_ones(void)
{
	struct vcpu_map map = map_of("0-3@0;4-7@1");
	struct vcpu_self node_0 = self_of(0, &map), node_1 = self_of(1, &map);
	uint8_t bytes[VCPU_FRAME_MAX];
	struct vcpu_link out, in;
	struct vcpu_frame f;
	int n;

	links_up(&out, &in, &node_1, &node_0);
	n = sealed(&out, "alive", bytes);
	golden_is("sealed-first", bytes, (size_t)n);
	CHECK_EQ(vcpu_link_bytes(&in, bytes), n);
	CHECK(!vcpu_link_open(&in, bytes, (size_t)n, &f) && f.type == VCPU_ALIVE);
	n = sealed(&out, "io-write", bytes);
	golden_is("sealed-second", bytes, (size_t)n);
	CHECK(!vcpu_link_open(&in, bytes, (size_t)n, &f) && f.type == VCPU_IO_WRITE);
	n = sealed(&in, "io-done", bytes);
	golden_is("sealed-back", bytes, (size_t)n);
	CHECK(!vcpu_link_open(&out, bytes, (size_t)n, &f) && f.type == VCPU_IO_DONE);
	vcpu_link_deinit(&out);
	vcpu_link_deinit(&in);
}

static void changed_repeated_and_left_out_frames_do_not_open(void)
{
	struct vcpu_map map = map_of("0-3@0;4-7@1");
	struct vcpu_self node_0 = self_of(0, &map), node_1 = self_of(1, &map);
	uint8_t first[VCPU_FRAME_MAX], second[VCPU_FRAME_MAX], copy[VCPU_FRAME_MAX];
	struct vcpu_link out, in;
	struct vcpu_frame f;
	int n, m;

	links_up(&out, &in, &node_1, &node_0);
	n = sealed(&out, "io-write", first);
	m = sealed(&out, "eoi", second);
	memcpy(copy, second, (size_t)m);
	CHECK_EQ(vcpu_link_open(&in, copy, (size_t)m, &f), -EILSEQ); /* the first was left out */
	for (int i = 0; i < n; i++) {
		memcpy(copy, first, (size_t)n);
		copy[i] ^= 0x10;
		if (i >= VCPU_CLEAR_BYTES) /* those say how long it is */
			CHECK_EQ(vcpu_link_open(&in, copy, (size_t)n, &f), -EILSEQ);
	}
	memcpy(copy, first, (size_t)n);
	CHECK(!vcpu_link_open(&in, copy, (size_t)n, &f));
	memcpy(copy, first, (size_t)n);
	CHECK_EQ(vcpu_link_open(&in, copy, (size_t)n, &f), -EILSEQ); /* repeated */
	memcpy(copy, second, (size_t)m);
	CHECK_EQ(vcpu_link_open(&out, copy, (size_t)m, &f), -EILSEQ); /* sent back */
	CHECK(!vcpu_link_open(&in, second, (size_t)m, &f));
	vcpu_link_deinit(&out);
	vcpu_link_deinit(&in);
}

/* What a node with the key may not send, either. */
static int opened(const struct vcpu_frame *frame)
{
	struct vcpu_map map = map_of("0-3@0;4-7@1");
	struct vcpu_self node_0 = self_of(0, &map), node_1 = self_of(1, &map);
	uint8_t plain[VCPU_FRAME_MAX], bytes[VCPU_FRAME_MAX];
	struct vcpu_link out, in;
	struct vcpu_frame f;
	int n, err;

	links_up(&out, &in, &node_1, &node_0);
	n = vcpu_link_close(&out, plain, vcpu_frame_encode(frame, plain), bytes);
	err = vcpu_link_open(&in, bytes, (size_t)n, &f);
	vcpu_link_deinit(&out);
	vcpu_link_deinit(&in);
	return err;
}

static void a_peer_speaks_for_itself_alone(void)
{
	struct vcpu_frame irq = {.type = VCPU_IRQ, .from = 1, .cpu = 2, .value = 0x31};
	struct vcpu_frame eoi = {.type = VCPU_EOI, .from = 1, .cpu = 4, .value = 0x31};
	struct vcpu_frame hello = {.type = VCPU_PROOF, .from = 1, BODY(elements)};

	CHECK(!opened(&irq) && !opened(&eoi));
	irq.from = 2;
	CHECK_EQ(opened(&irq), -EBADMSG);
	irq.from = 1;
	irq.cpu = 4; /* its own */
	CHECK_EQ(opened(&irq), -EBADMSG);
	irq.cpu = 8; /* nobody's */
	CHECK_EQ(opened(&irq), -EBADMSG);
	eoi.cpu = 3; /* node 0's */
	CHECK_EQ(opened(&eoi), -EBADMSG);
	hello.body_bytes = VCPU_PROOF_BYTES;
	CHECK_EQ(opened(&hello), -EBADMSG);
}

/* Whether the sample is still valid with one thing changed. */
#define STILL(name, change)                                                                        \
	({                                                                                         \
		unsigned to_;                                                                      \
		struct vcpu_frame f = *sample(name, &to_);                                         \
		change;                                                                            \
		vcpu_frame_valid(&f, to_);                                                         \
	})

static void fields_that_a_type_does_not_have_are_refused(void)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		struct vcpu_frame f = samples[i].f;
		unsigned to = samples[i].to;

		CHECK(vcpu_frame_valid(&f, to));
		CHECK(!vcpu_frame_valid(&f, f.from)); /* to itself */
		f.flags |= 0x80;
		CHECK(!vcpu_frame_valid(&f, to));
		f = samples[i].f;
		f.seq = !f.seq; /* no request without a number, nothing else with one */
		CHECK(!vcpu_frame_valid(&f, to));
		f = samples[i].f;
		f.body_bytes = VCPU_BODY_MAX;
		f.body = NULL;
		if (f.type != VCPU_IO_WRITE && f.type != VCPU_IO_DONE)
			CHECK(!vcpu_frame_valid(&f, to));
		f = samples[i].f;
		f.cpu = VCPU_CPUS_MAX;
		CHECK(!vcpu_frame_valid(&f, to));
		f = samples[i].f;
		f.from = VCPU_NODES_MAX;
		CHECK(!vcpu_frame_valid(&f, to));
	}
	CHECK(!STILL("alive", f.value = 1));
	CHECK(!STILL("stop", f.cpu = 1));
	CHECK(!STILL("stop", (f.from = 1, to_ = 0)));
	CHECK(!STILL("stopped", (f.from = 0, to_ = 1)));
	CHECK(!STILL("alive", f.type = 255));
	CHECK(!STILL("alive", f.type = 0));
}

static void ports_and_addresses_have_their_bounds(void)
{
	CHECK(!STILL("io-read", f.flags |= VCPU_IO_POSTED));
	CHECK(!STILL("io-read", f.flags |= 3));	     /* 8 bytes from a port */
	CHECK(!STILL("io-read", f.flags = 1));	     /* several elements of memory */
	CHECK(!STILL("io-read", f.body = elements)); /* none */
	CHECK(!STILL("io-read", f.value = 0xffff));  /* 2 bytes */
	CHECK(STILL("io-read", f.value = 0xfffe));
	CHECK(!STILL("io-write", f.body_bytes = 3));
	CHECK(!STILL("io-write", f.body_bytes = 0));
	CHECK(STILL("io-write", (f.body = elements, f.body_bytes = 512)));
	CHECK(!STILL("io-write", (f.flags |= VCPU_IO_POSTED, f.seq = 0)));
	CHECK(!STILL("io-write-posted", f.seq = 1));
	CHECK(STILL("io-write-posted", f.value = (1ull << 52) - 4));
	CHECK(!STILL("io-write-posted", f.value = (1ull << 52) - 3));
	CHECK(!STILL("io-write-posted", f.value = UINT64_MAX));
	CHECK(!STILL("io-write-posted", (f.body = elements, f.body_bytes = 8)));
	CHECK(!STILL("io-done", f.value = 3));
}

static void vectors_pins_and_causes_have_their_bounds(void)
{
	static const uint8_t pin_240[4] = {240}, at_256[2] = {0, 1}, at_255[2] = {255, 0};

	CHECK(!STILL("irq", f.value = 15) && STILL("irq", f.value = 16));
	CHECK(STILL("irq", f.value = 255) && !STILL("irq", f.value = 256));
	CHECK(!STILL("eoi", f.value = 15) && !STILL("eoi", f.value = 256));
	CHECK(STILL("sipi", f.value = 0) && !STILL("sipi", f.value = 256));
	CHECK(!STILL("rte", f.body = pin_240));
	CHECK(STILL("pci-config", f.body = at_255) && !STILL("pci-config", f.body = at_256));
	CHECK(!STILL("pci-config", f.value = 256) &&
	      STILL("pci-config", (f.flags = 1, f.value = 256)));
	CHECK(!STILL("pci-config", (f.flags = 1, f.body = at_255)) &&
	      !STILL("pci-config", f.flags = 3));
	CHECK(!STILL("ask", f.value = 0) && !STILL("ask", f.value = VCPU_CAUSE_LOST));
	CHECK(!STILL("end", f.value = VCPU_CAUSE_RESET) && !STILL("end", f.value = 6));
	CHECK(!STILL("reset", f.era = 0));
}

static void answers_bring_what_was_asked_for(void)
{
	unsigned to;
	struct vcpu_frame read = *sample("io-read", &to), write = *sample("io-write", &to);
	struct vcpu_frame done = *sample("io-done", &to), is = *sample("clock-is", &to);

	CHECK(!vcpu_answer_fits(&read, &done));
	done.body_bytes = 512;
	CHECK(vcpu_answer_fits(&read, &done) && !vcpu_answer_fits(&write, &done));
	done.cpu = 5;
	CHECK(!vcpu_answer_fits(&read, &done));
	done.cpu = 4;
	done.body_bytes = 0;
	CHECK(vcpu_answer_fits(&write, &done) && !vcpu_answer_fits(&write, &is));
}

/* One handshake of a node that is not as the other; what either user reads. */
static void refused(struct vcpu_self connects, struct vcpu_self accepts, const char *said_accepting,
		    const char *said_connecting)
{
	uint8_t a[VCPU_FRAME_MAX], b[VCPU_FRAME_MAX];
	char why[VCPU_WHY_BYTES], there[VCPU_WHY_BYTES];
	struct vcpu_link out, in;
	size_t bytes;
	int err;

	CHECK(!vcpu_link_init(&out, &connects, true, 0) &&
	      !vcpu_link_init(&in, &accepts, false, 0));
	vcpu_link_hello(&out, a);
	err = vcpu_link_greet(&in, a, b, &bytes, why);
	if (!err) { /* what is wrong shows with the proof */
		CHECK(!vcpu_link_greet(&out, b, a, &bytes, there));
		err = vcpu_link_greet(&in, a, b, &bytes, why);
	}
	CHECK_EQ(err, -EACCES);
	if (strcmp(why, said_accepting))
		fprintf(stderr, "%s\n", why);
	CHECK(!strcmp(why, said_accepting));
	CHECK_EQ(vcpu_link_greet(&out, b, a, &bytes, there), -ECONNREFUSED);
	if (strcmp(there, said_connecting))
		fprintf(stderr, "%s\n", there);
	CHECK(!strcmp(there, said_connecting) && !bytes);
	vcpu_link_deinit(&out);
	vcpu_link_deinit(&in);
}

static void a_node_that_is_not_as_the_others_is_told_why(void)
{
	struct vcpu_map map = map_of("0-3@0;4-7@1");
	struct vcpu_self node_0 = self_of(0, &map), node_1 = self_of(1, &map), other;

	other = node_1;
	other.digest[VCPU_SAME_MACHINE]++;
	refused(other, node_0, "node 1 has another machine than node 0",
		"node 0 refuses: node 1 has another machine than node 0");
	other = node_1;
	other.digest[VCPU_SAME_CPU]++;
	refused(other, node_0, "node 1 has another CPU model than node 0",
		"node 0 refuses: node 1 has another CPU model than node 0");
	other = node_1;
	other.digest[VCPU_SAME_RAM]++;
	refused(other, node_0, "node 1 has other RAM than node 0",
		"node 0 refuses: node 1 has other RAM than node 0");
	other = node_1;
	other.digest[VCPU_SAME_MAP]++;
	refused(other, node_0, "node 1 has another map of vCPUs than node 0",
		"node 0 refuses: node 1 has another map of vCPUs than node 0");
	other = node_1;
	other.prk[0]++;
	refused(other, node_0, "node 1 has another key than node 0",
		"node 0 refuses: node 1 has another key than node 0");
	other = node_1;
	other.node = 2;
	refused(other, node_0, "node 2 is not one that node 0 waits for",
		"node 0 refuses: node 2 is not one that node 0 waits for");
}

static void refusals_show_no_control_characters(void)
{
	struct vcpu_frame f = {.type = VCPU_REFUSE,
			       .from = 1,
			       .body = (const uint8_t *)"no\033[2J",
			       .body_bytes = 2};

	CHECK(vcpu_frame_valid(&f, 0));
	f.body_bytes = 6;
	CHECK(!vcpu_frame_valid(&f, 0));
}

static const struct check_test tests[] = {
	{"frames-are-the-golden-ones", frames_are_the_golden_ones},
	{"every-type-is-golden", every_type_is_golden},
	{"handshake-and-seals-are-the-golden-ones", handshake_and_seals_are_the_golden_ones},
	{"changed-repeated-and-left-out-frames-do-not-open",
	 changed_repeated_and_left_out_frames_do_not_open},
	{"a-peer-speaks-for-itself-alone", a_peer_speaks_for_itself_alone},
	{"fields-that-a-type-does-not-have-are-refused",
	 fields_that_a_type_does_not_have_are_refused},
	{"ports-and-addresses-have-their-bounds", ports_and_addresses_have_their_bounds},
	{"vectors-pins-and-causes-have-their-bounds", vectors_pins_and_causes_have_their_bounds},
	{"answers-bring-what-was-asked-for", answers_bring_what_was_asked_for},
	{"a-node-that-is-not-as-the-others-is-told-why",
	 a_node_that_is_not_as_the_others_is_told_why},
	{"refusals-show-no-control-characters", refusals_show_no_control_characters},
};

CHECK_MAIN(tests)
