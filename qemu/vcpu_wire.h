/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_wire.h - the frames between the QEMUs of one guest: their bytes, and whether they may be.
 *
 * VCPU.md has the format, byte by byte. Nothing here sends, waits or allocates. A frame is a head,
 * a body and, once the handshake is complete, a seal (vcpu_seal.h).
 */
#ifndef VCPU_WIRE_H
#define VCPU_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VCPU_HEAD_BYTES	      24
#define VCPU_BODY_MAX	      4096
#define VCPU_SEAL_BYTES	      16 /* behind a sealed frame; its head does not count them */
#define VCPU_FRAME_MAX	      (VCPU_HEAD_BYTES + VCPU_BODY_MAX + VCPU_SEAL_BYTES)
#define VCPU_CLEAR_BYTES      2 /* of a sealed frame, its length: authenticated, not encrypted */
#define VCPU_HELLO_BYTES      64
#define VCPU_PROOF_BYTES      32
#define VCPU_REFUSE_MAX	      200
#define VCPU_NONCE_BYTES      16
#define VCPU_VERSION	      2
#define VCPU_VERSION_AT	      7 /* in the body of HELLO */
#define VCPU_VECTOR_MIN	      16
#define VCPU_IOAPIC_PINS      240
#define VCPU_PHYSICAL_BITS    52
#define VCPU_CPUS_MAX	      255
#define VCPU_NODES_MAX	      255
#define VCPU_PCI_CONFIG_BYTES 256

enum vcpu_type {
	/* of the handshake, and not sealed */
	VCPU_HELLO = 1,
	VCPU_PROOF = 2,
	VCPU_REFUSE = 3, /* the body says why; the sender closes the connection */
	/* all others are sealed */
	VCPU_ALIVE = 4, /* nothing else was to be said for a while */
	VCPU_IO_READ = 16,
	VCPU_IO_WRITE = 17,
	VCPU_IO_DONE = 18,
	VCPU_IRQ = 32,
	VCPU_NMI = 33,
	VCPU_SMI = 34,
	VCPU_INIT = 35,
	VCPU_SIPI = 36,
	VCPU_APIC = 37,
	VCPU_RTE = 38,
	VCPU_EOI = 39,
	VCPU_PCI_CONFIG = 40,
	VCPU_STOP = 48,
	VCPU_STOPPED = 49,
	VCPU_CONT = 50,
	VCPU_RESET = 51,
	VCPU_READY = 52,
	VCPU_ASK = 53,
	VCPU_END = 54,
	VCPU_CLOCK = 64,
	VCPU_CLOCK_IS = 65, /* nobody waits for it */
};

/* Flags of IO_READ and IO_WRITE; of PCI_CONFIG the size alone. */
#define VCPU_IO_SIZE   3u /* its logarithm: 1, 2, 4 or 8 bytes a time */
#define VCPU_IO_PORT   4u /* the I/O space, not memory */
#define VCPU_IO_POSTED 8u /* IO_WRITE: nobody waits for it, there is no IO_DONE */
/* Of IRQ. */
#define VCPU_IRQ_LEVEL 1u

/* value of IO_DONE */
enum vcpu_io_result { VCPU_IO_OK = 0, VCPU_IO_ERROR = 1, VCPU_IO_NO_DEVICE = 2 };

/* value of ASK and END: what a node asks of node 0, and why node 0 has ended the guest */
enum vcpu_cause {
	VCPU_CAUSE_SHUTDOWN = 1,
	VCPU_CAUSE_RESET = 2, /* ASK only */
	VCPU_CAUSE_TRIPLE_FAULT = 3,
	VCPU_CAUSE_PANIC = 4,
	VCPU_CAUSE_LOST = 5, /* END only: a node was lost */
};

struct vcpu_frame {
	uint16_t body_bytes;
	uint8_t type; /* enum vcpu_type */
	uint8_t flags;
	uint16_t from;
	uint16_t cpu;
	uint32_t era; /* how often the guest was reset */
	uint32_t seq; /* of a request, repeated by its answer; else 0 */
	uint64_t value;
	const uint8_t *body; /* where the caller has it; NULL: none */
};

#define VCPU_DIGESTS 4
/* What has to be the same on all nodes, in this order. */
enum vcpu_digest { VCPU_SAME_MACHINE, VCPU_SAME_CPU, VCPU_SAME_RAM, VCPU_SAME_MAP };

struct vcpu_hello {
	uint16_t from, to;
	uint8_t nonce[VCPU_NONCE_BYTES];
	uint64_t digest[VCPU_DIGESTS];
};

struct vcpu_apic {
	uint32_t id, ldr, dfr;
};

void vcpu_store_le(uint8_t *at, uint64_t value, unsigned bytes);
uint64_t vcpu_load_le(const uint8_t *at, unsigned bytes);

/* Writes head and body; returns how many bytes. The frame is one that vcpu_frame_valid() accepts.
 */
size_t vcpu_frame_encode(const struct vcpu_frame *frame, uint8_t *bytes);
/* Bytes of head and body of the frame whose first VCPU_CLEAR_BYTES these are; -EBADMSG: too many.
 */
int vcpu_frame_bytes(const uint8_t *clear);
/* Only splits it, for vcpu_frame_valid(); `bytes` are all that vcpu_frame_bytes() said. */
void vcpu_frame_decode(const uint8_t *bytes, struct vcpu_frame *frame);

/*
 * Whether a frame may be sent to node `to` at all: each field and the body are what its type has,
 * and node frame->from may send it there. Whether a vCPU is where the frame says is the map's
 * affair (vcpu_map_frame_fits()).
 */
bool vcpu_frame_valid(const struct vcpu_frame *frame, unsigned to);
/* Whether it is of the handshake. */
bool vcpu_type_is_clear(unsigned type);
/* Whether it answers a request: its seq is the request's. */
bool vcpu_type_is_answer(unsigned type);
/* Whether `answer`, of the same seq, is one to `request`: the type, and how much it brings. */
bool vcpu_answer_fits(const struct vcpu_frame *request, const struct vcpu_frame *answer);
/* "IO_READ"; NULL: there is no such type. */
const char *vcpu_type_name(unsigned type);

/* Bytes of each element of IO_READ, IO_WRITE and PCI_CONFIG. */
unsigned vcpu_frame_size(const struct vcpu_frame *frame);
/* IO_READ, IO_WRITE: how many elements. */
unsigned vcpu_frame_count(const struct vcpu_frame *frame);

void vcpu_hello_encode(const struct vcpu_hello *hello, uint8_t body[VCPU_HELLO_BYTES]);
/* 0, -EBADMSG, or -EPROTONOSUPPORT for another version. */
int vcpu_hello_decode(const uint8_t body[VCPU_HELLO_BYTES], struct vcpu_hello *hello);

#define VCPU_APIC_BYTES 12
void vcpu_apic_encode(const struct vcpu_apic *apic, uint8_t body[VCPU_APIC_BYTES]);
void vcpu_apic_decode(const uint8_t body[VCPU_APIC_BYTES], struct vcpu_apic *apic);

/* For a HELLO: two texts that differ have other digests, but for one case in 2^64 (FNV-1a). */
uint64_t vcpu_digest(const void *text, size_t bytes);

#endif
