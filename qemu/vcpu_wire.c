// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_wire.c - see vcpu_wire.h. */
#include "vcpu_wire.h"

#include <errno.h>
#include <string.h>

static const char hello_magic[] = "GVM-VCP";

/* Which way a type goes. */
enum way { NO_WAY, ANY, TO_0, FROM_0 };

/* `valid` sees fields that no rule of the table settles; NULL: the table has said all. */
struct type {
	const char *name;
	bool (*valid)(const struct vcpu_frame *frame);
	uint16_t body_min, body_max;
	uint8_t way;		/* enum way */
	uint8_t flags;		/* those that it may have */
	bool clear, cpu, value; /* may be other than 0 */
	bool request, answer;	/* must have a seq; else it has none, or see `valid` */
	bool maybe_request;
};

static unsigned size_of(const struct vcpu_frame *f)
{
	return 1u << (f->flags & VCPU_IO_SIZE);
}

unsigned vcpu_frame_size(const struct vcpu_frame *frame)
{
	return size_of(frame);
}

unsigned vcpu_frame_count(const struct vcpu_frame *frame)
{
	return frame->type == VCPU_IO_READ ? (unsigned)vcpu_load_le(frame->body, 2)
					   : frame->body_bytes / size_of(frame);
}

/* A string instruction uses one port, so `count` is no part of where it ends. */
static bool io_range_valid(const struct vcpu_frame *f, unsigned count)
{
	uint64_t end = f->flags & VCPU_IO_PORT ? 1ull << 16 : 1ull << VCPU_PHYSICAL_BITS;
	unsigned size = size_of(f);

	if (!count || count > VCPU_BODY_MAX / size || f->value > end - size)
		return false;
	return f->flags & VCPU_IO_PORT ? size <= 4 : count == 1;
}

static bool io_read_valid(const struct vcpu_frame *f)
{
	return io_range_valid(f, vcpu_frame_count(f));
}

static bool io_write_valid(const struct vcpu_frame *f)
{
	bool posted = f->flags & VCPU_IO_POSTED;

	if (f->body_bytes % size_of(f) || posted == !!f->seq || (posted && f->flags & VCPU_IO_PORT))
		return false;
	return io_range_valid(f, vcpu_frame_count(f));
}

static bool io_done_valid(const struct vcpu_frame *f)
{
	return f->value <= VCPU_IO_NO_DEVICE;
}

/* Of 256 vectors the first 16 are no interrupt's. */
static bool vector_valid(const struct vcpu_frame *f)
{
	return f->value >= VCPU_VECTOR_MIN && f->value <= 255;
}

static bool sipi_valid(const struct vcpu_frame *f)
{
	return f->value <= 255;
}

static bool rte_valid(const struct vcpu_frame *f)
{
	return vcpu_load_le(f->body, 4) < VCPU_IOAPIC_PINS;
}

static bool pci_config_valid(const struct vcpu_frame *f)
{
	unsigned size = size_of(f), at = (unsigned)vcpu_load_le(f->body, 2);

	return size <= 4 && at <= VCPU_PCI_CONFIG_BYTES - size && f->value >> (8 * size) == 0;
}

static bool ask_valid(const struct vcpu_frame *f)
{
	return f->value >= VCPU_CAUSE_SHUTDOWN && f->value <= VCPU_CAUSE_PANIC;
}

static bool end_valid(const struct vcpu_frame *f)
{
	return f->value >= VCPU_CAUSE_SHUTDOWN && f->value <= VCPU_CAUSE_LOST &&
	       f->value != VCPU_CAUSE_RESET;
}

static bool reset_valid(const struct vcpu_frame *f)
{
	return f->era > 0;
}

/* It is shown to a user of the other node: nothing that a terminal obeys. */
static bool refuse_valid(const struct vcpu_frame *f)
{
	for (unsigned i = 0; i < f->body_bytes; i++)
		if (f->body[i] < ' ' || f->body[i] > '~')
			return false;
	return true;
}

static bool hello_valid(const struct vcpu_frame *f)
{
	struct vcpu_hello hello;

	return vcpu_hello_decode(f->body, &hello) != -EBADMSG;
}

/* clang-format off */
static const struct type types[] = {
	[VCPU_HELLO]	  = { "HELLO", hello_valid, VCPU_HELLO_BYTES, VCPU_HELLO_BYTES, ANY,
			      .clear = true },
	[VCPU_PROOF]	  = { "PROOF", NULL, VCPU_PROOF_BYTES, VCPU_PROOF_BYTES, ANY,
			      .clear = true },
	[VCPU_REFUSE]	  = { "REFUSE", refuse_valid, 1, VCPU_REFUSE_MAX, ANY, .clear = true },
	[VCPU_ALIVE]	  = { "ALIVE", NULL, 0, 0, .way = ANY },
	[VCPU_IO_READ]	  = { "IO_READ", io_read_valid, 2, 2, TO_0, VCPU_IO_SIZE | VCPU_IO_PORT,
			      .cpu = true, .value = true, .request = true },
	[VCPU_IO_WRITE]	  = { "IO_WRITE", io_write_valid, 1, VCPU_BODY_MAX, TO_0,
			      VCPU_IO_SIZE | VCPU_IO_PORT | VCPU_IO_POSTED,
			      .cpu = true, .value = true, .maybe_request = true },
	[VCPU_IO_DONE]	  = { "IO_DONE", io_done_valid, 0, VCPU_BODY_MAX, FROM_0,
			      .cpu = true, .value = true, .answer = true },
	[VCPU_IRQ]	  = { "IRQ", vector_valid, 0, 0, ANY, VCPU_IRQ_LEVEL,
			      .cpu = true, .value = true },
	[VCPU_NMI]	  = { "NMI", NULL, 0, 0, ANY, .cpu = true },
	[VCPU_SMI]	  = { "SMI", NULL, 0, 0, ANY, .cpu = true },
	[VCPU_INIT]	  = { "INIT", NULL, 0, 0, ANY, .cpu = true },
	[VCPU_SIPI]	  = { "SIPI", sipi_valid, 0, 0, ANY, .cpu = true, .value = true },
	[VCPU_APIC]	  = { "APIC", NULL, VCPU_APIC_BYTES, VCPU_APIC_BYTES, ANY,
			      .cpu = true, .value = true },
	[VCPU_RTE]	  = { "RTE", rte_valid, 4, 4, FROM_0, .value = true },
	[VCPU_EOI]	  = { "EOI", vector_valid, 0, 0, TO_0, .cpu = true, .value = true },
	[VCPU_PCI_CONFIG] = { "PCI_CONFIG", pci_config_valid, 2, 2, FROM_0, VCPU_IO_SIZE,
			      .value = true },
	[VCPU_STOP]	  = { "STOP", NULL, 0, 0, .way = FROM_0 },
	[VCPU_STOPPED]	  = { "STOPPED", NULL, 0, 0, .way = TO_0 },
	[VCPU_CONT]	  = { "CONT", NULL, 0, 0, FROM_0, .value = true },
	[VCPU_RESET]	  = { "RESET", reset_valid, 0, 0, .way = FROM_0 },
	[VCPU_READY]	  = { "READY", NULL, 0, 0, .way = TO_0 },
	[VCPU_ASK]	  = { "ASK", ask_valid, 0, 0, TO_0, .cpu = true, .value = true },
	[VCPU_END]	  = { "END", end_valid, 0, 0, ANY, .value = true },
	[VCPU_CLOCK]	  = { "CLOCK", NULL, 8, 8, TO_0, .value = true },
	[VCPU_CLOCK_IS]	  = { "CLOCK_IS", NULL, 24, 24, FROM_0, .value = true },
};
/* clang-format on */

#define TYPES (sizeof(types) / sizeof(types[0]))

static const struct type *type_of(unsigned type)
{
	return type < TYPES && types[type].name ? &types[type] : NULL;
}

const char *vcpu_type_name(unsigned type)
{
	const struct type *t = type_of(type);

	return t ? t->name : NULL;
}

bool vcpu_type_is_clear(unsigned type)
{
	const struct type *t = type_of(type);

	return t && t->clear;
}

bool vcpu_type_is_answer(unsigned type)
{
	const struct type *t = type_of(type);

	return t && t->answer;
}

void vcpu_store_le(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

uint64_t vcpu_load_le(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

size_t vcpu_frame_encode(const struct vcpu_frame *frame, uint8_t *bytes)
{
	vcpu_store_le(bytes, frame->body_bytes, 2);
	bytes[2] = frame->type;
	bytes[3] = frame->flags;
	vcpu_store_le(bytes + 4, frame->from, 2);
	vcpu_store_le(bytes + 6, frame->cpu, 2);
	vcpu_store_le(bytes + 8, frame->era, 4);
	vcpu_store_le(bytes + 12, frame->seq, 4);
	vcpu_store_le(bytes + 16, frame->value, 8);
	if (frame->body_bytes)
		memcpy(bytes + VCPU_HEAD_BYTES, frame->body, frame->body_bytes);
	return VCPU_HEAD_BYTES + (size_t)frame->body_bytes;
}

int vcpu_frame_bytes(const uint8_t *clear)
{
	unsigned body = (unsigned)vcpu_load_le(clear, 2);

	return body > VCPU_BODY_MAX ? -EBADMSG : (int)(VCPU_HEAD_BYTES + body);
}

void vcpu_frame_decode(const uint8_t *bytes, struct vcpu_frame *frame)
{
	frame->body_bytes = (uint16_t)vcpu_load_le(bytes, 2);
	frame->type = bytes[2];
	frame->flags = bytes[3];
	frame->from = (uint16_t)vcpu_load_le(bytes + 4, 2);
	frame->cpu = (uint16_t)vcpu_load_le(bytes + 6, 2);
	frame->era = (uint32_t)vcpu_load_le(bytes + 8, 4);
	frame->seq = (uint32_t)vcpu_load_le(bytes + 12, 4);
	frame->value = vcpu_load_le(bytes + 16, 8);
	frame->body = frame->body_bytes ? bytes + VCPU_HEAD_BYTES : NULL;
}

static bool way_valid(const struct type *t, unsigned from, unsigned to)
{
	if (from == to || from >= VCPU_NODES_MAX || to >= VCPU_NODES_MAX)
		return false;
	switch (t->way) {
	case TO_0:
		return to == 0;
	case FROM_0:
		return from == 0;
	default:
		return true;
	}
}

bool vcpu_frame_valid(const struct vcpu_frame *f, unsigned to)
{
	const struct type *t = type_of(f->type);

	if (!t || f->body_bytes < t->body_min || f->body_bytes > t->body_max)
		return false;
	if (!way_valid(t, f->from, to) || f->flags & ~t->flags)
		return false;
	if (f->cpu >= VCPU_CPUS_MAX || (f->cpu && !t->cpu) || (f->value && !t->value))
		return false;
	if (!t->maybe_request && !!f->seq != (t->request || t->answer))
		return false;
	if (t->clear && f->era)
		return false;
	return !t->valid || t->valid(f);
}

bool vcpu_answer_fits(const struct vcpu_frame *request, const struct vcpu_frame *answer)
{
	unsigned bytes;

	if (answer->type != VCPU_IO_DONE || answer->cpu != request->cpu)
		return false;
	bytes = request->type == VCPU_IO_READ ? vcpu_frame_count(request) * size_of(request) : 0;
	return answer->body_bytes == bytes;
}

void vcpu_hello_encode(const struct vcpu_hello *hello, uint8_t body[VCPU_HELLO_BYTES])
{
	memcpy(body, hello_magic, sizeof(hello_magic) - 1);
	body[VCPU_VERSION_AT] = VCPU_VERSION;
	vcpu_store_le(body + 8, hello->from, 2);
	vcpu_store_le(body + 10, hello->to, 2);
	vcpu_store_le(body + 12, 0, 4);
	memcpy(body + 16, hello->nonce, sizeof(hello->nonce));
	for (unsigned i = 0; i < VCPU_DIGESTS; i++)
		vcpu_store_le(body + 32 + 8 * i, hello->digest[i], 8);
}

int vcpu_hello_decode(const uint8_t body[VCPU_HELLO_BYTES], struct vcpu_hello *hello)
{
	if (memcmp(body, hello_magic, sizeof(hello_magic) - 1))
		return -EBADMSG;
	if (body[VCPU_VERSION_AT] != VCPU_VERSION)
		return -EPROTONOSUPPORT;
	hello->from = (uint16_t)vcpu_load_le(body + 8, 2);
	hello->to = (uint16_t)vcpu_load_le(body + 10, 2);
	if (vcpu_load_le(body + 12, 4))
		return -EBADMSG;
	memcpy(hello->nonce, body + 16, sizeof(hello->nonce));
	for (unsigned i = 0; i < VCPU_DIGESTS; i++)
		hello->digest[i] = vcpu_load_le(body + 32 + 8 * i, 8);
	return 0;
}

void vcpu_apic_encode(const struct vcpu_apic *apic, uint8_t body[VCPU_APIC_BYTES])
{
	vcpu_store_le(body, apic->id, 4);
	vcpu_store_le(body + 4, apic->ldr, 4);
	vcpu_store_le(body + 8, apic->dfr, 4);
}

void vcpu_apic_decode(const uint8_t body[VCPU_APIC_BYTES], struct vcpu_apic *apic)
{
	apic->id = (uint32_t)vcpu_load_le(body, 4);
	apic->ldr = (uint32_t)vcpu_load_le(body + 4, 4);
	apic->dfr = (uint32_t)vcpu_load_le(body + 8, 4);
}

uint64_t vcpu_digest(const void *text, size_t bytes)
{
	const uint8_t *at = text;
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ull;
	return hash;
}
