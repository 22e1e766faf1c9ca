// SPDX-License-Identifier: GPL-2.0-or-later
/* fiber.c - see fiber.h. */
#include "fiber.h"

#include "gvm_client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif

/* The address sanitizer has to be told of every switch of stacks. */
#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#define stack_leave(fake, base, bytes) __sanitizer_start_switch_fiber(fake, base, bytes)
#define stack_enter(fake, base, bytes) __sanitizer_finish_switch_fiber(fake, base, bytes)
#else
#define stack_leave(fake, base, bytes) ((void)(fake), (void)(base), (void)(bytes))
#define stack_enter(fake, base, bytes) ((void)(fake), (void)(base), (void)(bytes))
#endif

#define GUARD_BYTES 4096u

struct fiber {
	struct fiber *next;
	struct fibers *set;
	ucontext_t context;
	uint8_t *stack; /* GUARD_BYTES that fault, then FIBER_STACK_BYTES */
	void (*run)(void *arg);
	void *arg;
	const bool *flag;
	uint64_t until_ns; /* ~0: no limit */
	bool ended;
	void *fake;
};

static _Thread_local struct fiber *running;

void fibers_init(struct fibers *set)
{
	*set = (struct fibers){ 0 };
	set->all_tail = &set->all;
}

/* Switches back to fibers_run(). */
static void fiber_leave(struct fiber *f)
{
	struct fibers *set = f->set;

	stack_leave(f->ended ? NULL : &f->fake, set->home_stack, set->home_bytes);
	swapcontext(&f->context, &set->home);
	stack_enter(f->fake, &set->home_stack, &set->home_bytes);
}

static void fiber_main(void)
{
	struct fiber *f = running;

	stack_enter(NULL, &f->set->home_stack, &f->set->home_bytes);
	f->run(f->arg);
	f->ended = true;
	fiber_leave(f);
}

static void fiber_enter(struct fiber *f)
{
	struct fibers *set = f->set;

	assert(!running && !f->ended);
	running = f;
	stack_leave(&set->home_fake, f->stack + GUARD_BYTES, FIBER_STACK_BYTES);
	swapcontext(&set->home, &f->context);
	stack_enter(set->home_fake, NULL, NULL);
	running = NULL;
}

static struct fiber *fiber_make(struct fibers *set)
{
	struct fiber *f = set->spare;

	if (f) {
		set->spare = f->next;
		set->spares--;
		return f;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->stack = mmap(NULL, GUARD_BYTES + FIBER_STACK_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (f->stack == MAP_FAILED || mprotect(f->stack, GUARD_BYTES, PROT_NONE) < 0) {
		if (f->stack != MAP_FAILED)
			munmap(f->stack, GUARD_BYTES + FIBER_STACK_BYTES);
		free(f);
		return NULL;
	}
	return f;
}

static void fiber_end(struct fibers *set, struct fiber *f)
{
	if (set->spares < FIBER_SPARE_MAX) {
		f->next = set->spare;
		set->spare = f;
		set->spares++;
		return;
	}
	munmap(f->stack, GUARD_BYTES + FIBER_STACK_BYTES);
	free(f);
}

/* For all that the compiler knows, getcontext() may return twice: no variable that changes may be live across it. */
static __attribute__((noinline)) void context_make(ucontext_t *context, void *stack)
{
	getcontext(context);
	context->uc_stack.ss_sp = stack;
	context->uc_stack.ss_size = FIBER_STACK_BYTES;
	context->uc_link = NULL;
	makecontext(context, fiber_main, 0);
}

int fiber_start(struct fibers *set, void (*run)(void *arg), void *arg)
{
	struct fiber *f = fiber_make(set);

	if (!f)
		return -ENOMEM;
	f->set = set;
	f->run = run;
	f->arg = arg;
	f->flag = NULL;
	f->until_ns = 0; /* runs at once */
	f->ended = false;
	f->fake = NULL;
	context_make(&f->context, f->stack + GUARD_BYTES);
	f->next = NULL;
	*set->all_tail = f;
	set->all_tail = &f->next;
	return 0;
}

/* Looks at every fiber once; returns whether any has run. */
static bool fibers_turn(struct fibers *set, uint64_t *due_ns)
{
	struct fiber **link = &set->all, *f;
	uint64_t now = gvm_now_ns();
	bool ran = false;

	*due_ns = ~0ull;
	while ((f = *link)) {
		if ((f->flag && *f->flag) || f->until_ns <= now) {
			ran = true;
			fiber_enter(f);
		}
		if (f->ended) {
			*link = f->next;
			if (!*link)
				set->all_tail = link;
			fiber_end(set, f);
			continue;
		}
		if (f->until_ns < *due_ns)
			*due_ns = f->until_ns;
		link = &f->next;
	}
	return ran;
}

uint64_t fibers_run(struct fibers *set)
{
	uint64_t due_ns;

	/* A fiber that ran may have set the flag of one earlier in the list. */
	while (fibers_turn(set, &due_ns))
		;
	return due_ns;
}

void fiber_wait(const bool *flag, uint64_t until_ns)
{
	struct fiber *f = running;

	assert(f);
	f->flag = flag;
	f->until_ns = until_ns ? until_ns : ~0ull;
	fiber_leave(f);
}
