#include "dird/loop.h"

#include "lib/arena.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

struct call {
	void (*fn)(void *arg);
	void *arg;
	struct call *next;
};

struct loop {
	uv_loop_t uv;
	uv_async_t wake;
	uv_tcp_t spare; /* see take_spare() */
	pthread_t thread;
	char name[16]; /* what pthread_setname_np() takes */
	atomic_int listeners;

	pthread_mutex_t mutex; /* guards the mailbox */
	struct call *first, **last;
};

static _Thread_local struct loop *current;

static struct call *take_calls(struct loop *l)
{
	struct call *calls;

	pthread_mutex_lock(&l->mutex);
	calls = l->first;
	l->first = NULL;
	l->last = &l->first;
	pthread_mutex_unlock(&l->mutex);
	return calls;
}

static void on_wake(uv_async_t *async)
{
	struct loop *l = async->data;
	struct call *c = take_calls(l), *next;

	for (; c != NULL; c = next) {
		next = c->next;
		c->fn(c->arg);
		mem_free(c);
	}
}

static void *run(void *arg)
{
	struct loop *l = arg;

	current = l;
	pthread_setname_np(pthread_self(), l->name);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	return NULL;
}

/*
 * libuv opens a spare descriptor for a loop with its first stream, and again with each stream until
 * it has one. Taken now, it can not take the one that a full server gives up to turn a client away.
 */
static int take_spare(struct loop *l)
{
	int err = uv_tcp_init(&l->uv, &l->spare);

	if (err == 0)
		uv_close((uv_handle_t *)&l->spare, NULL);
	return err;
}

int loop_start(const char *name, struct loop **out)
{
	struct loop *l = mem_zalloc(1, sizeof(*l));
	int rc = RC_NOMEM;

	*out = NULL;
	if (l == NULL)
		return rc;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->last = &l->first;
	if (uv_loop_init(&l->uv) != 0)
		goto fail_loop;
	if (uv_async_init(&l->uv, &l->wake, on_wake) != 0)
		goto fail_async;
	l->wake.data = l;
	if (take_spare(l) != 0)
		goto fail_spare;
	must(pthread_mutex_init(&l->mutex, NULL) == 0);
	if (pthread_create(&l->thread, NULL, run, l) != 0)
		goto fail_thread;
	*out = l;
	return RC_OK;

fail_thread:
	pthread_mutex_destroy(&l->mutex);
fail_spare:
	uv_close((uv_handle_t *)&l->wake, NULL);
	uv_run(&l->uv, UV_RUN_DEFAULT);
fail_async:
	uv_loop_close(&l->uv);
fail_loop:
	mem_free(l);
	return rc;
}

uv_loop_t *loop_uv(struct loop *l)
{
	return &l->uv;
}

int loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct call *c = mem_alloc(sizeof(*c));

	if (c == NULL)
		return RC_NOMEM;
	*c = (struct call){fn, arg, NULL};
	pthread_mutex_lock(&l->mutex);
	*l->last = c;
	l->last = &c->next;
	pthread_mutex_unlock(&l->mutex);
	must(uv_async_send(&l->wake) == 0);
	return RC_OK;
}

bool loop_is_mine(const struct loop *l)
{
	return pthread_equal(pthread_self(), l->thread) != 0;
}

void loop_listen(int by)
{
	if (current != NULL)
		atomic_fetch_add(&current->listeners, by);
}

bool loop_listens(const struct loop *l)
{
	return atomic_load(&l->listeners) > 0;
}

static void close_wake(void *arg)
{
	struct loop *l = arg;

	uv_close((uv_handle_t *)&l->wake, NULL);
}

void loop_stop(struct loop **l)
{
	struct loop *lp = *l;

	if (lp == NULL)
		return;
	must(!loop_is_mine(lp));
	/* without memory for the message the thread can not be ended in order */
	must(loop_post(lp, close_wake, lp) == RC_OK);
	must(pthread_join(lp->thread, NULL) == 0);
	must(lp->first == NULL); /* nobody posts to a loop that is being stopped */
	must(uv_loop_close(&lp->uv) == 0);
	pthread_mutex_destroy(&lp->mutex);
	mem_free(lp);
	*l = NULL;
}
