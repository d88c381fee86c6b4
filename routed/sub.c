#include "routed/sub.h"

#include "lib/log.h"
#include "routed/sub_private.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define BATCH_MAX_BYTES ((size_t)512 * 1024 * 1024)
#define DRAIN_MAX_MESSAGES 1024
#define BACKOFF_FLOOR_MS 100
#define BACKOFF_FIRST_MS 1000

/* No library call of a healthy session lasts longer than its timeouts; this is beyond all of them.
 */
#define HANG_FACTOR 2

/* A provider may search long before its first entry; so many heartbeats without any is too long. */
#define STALL_HEARTBEATS 30

void sub_set_state(struct sub *s, enum sub_state state)
{
	pthread_mutex_lock(&s->lock);
	s->status.state = state;
	if (state == SUB_CURRENT) {
		s->status.current_at_ms = sub_now_ms();
		s->status.error[0] = '\0';
	}
	s->status.entries = consumer_entries(s->consumer);
	pthread_mutex_unlock(&s->lock);
}

const char *sub_state_text(enum sub_state state)
{
	switch (state) {
	case SUB_CONNECTING:
		return "connecting";
	case SUB_REFRESHING:
		return "refreshing";
	case SUB_CURRENT:
		return "current";
	case SUB_WAITING:
		return "waiting";
	case SUB_ROLLED_BACK:
		return "rolled-back";
	}
	return "";
}

/* --- hand-over to the loop --- */

static void deliver(struct sub *s, struct batch *b)
{
	pthread_mutex_lock(&s->lock);
	if (s->last != NULL)
		s->last->next = b;
	else
		s->first = b;
	s->last = b;
	pthread_mutex_unlock(&s->lock);
	(void)uv_async_send(&s->async);
}

static void on_async(uv_async_t *async)
{
	struct sub *s = async->data;
	struct batch *b;

	pthread_mutex_lock(&s->lock);
	b = s->first;
	s->first = s->last = NULL;
	pthread_mutex_unlock(&s->lock);
	while (b != NULL) {
		struct batch *next = b->next;

		b->next = NULL;
		s->on_batch(s->arg, b);
		b = next;
	}
}

int sub_take_batch(struct sub *s)
{
	struct batch *b;
	int rc = consumer_take(s->consumer, &b);

	if (rc != RC_OK || b == NULL)
		return rc;
	log_info(NULL, "sub.batch", "full=%d entries=%u held=%zu", b->full, b->n,
		 consumer_entries(s->consumer));
	deliver(s, b);
	if (consumer_is_persist(s->consumer)) {
		backoff_reset(&s->backoff);
		sub_set_state(s, SUB_CURRENT);
	}
	return RC_OK;
}

/* --- a session --- */

/*
 * All messages that have arrived. One TLS record may hold many, so the descriptor need not be
 * readable again: ask until libldap says that there is none.
 */
static int drain(struct sub *s, char *why)
{
	struct timeval zero = {0, 0};
	int code = LDAP_OTHER;
	unsigned n = 0;
	int rc = RC_OK;

	while (rc == RC_OK) {
		LDAPMessage *msg = NULL;
		int type;

		session_enter(&s->session);
		type = ldap_result(s->session.ld, LDAP_RES_ANY, LDAP_MSG_ONE, &zero, &msg);
		session_leave(&s->session);
		if (type == 0)
			break;
		if (type < 0) {
			ldap_get_option(s->session.ld, LDAP_OPT_RESULT_CODE, &code);
			return session_rc(&s->session, code, NULL, why);
		}
		rc = sub_on_message(s, type, msg, why);
		ldap_msgfree(msg);
		if (rc == RC_OK && ++n % DRAIN_MAX_MESSAGES == 0)
			rc = sub_take_batch(s);
	}
	if (rc == RC_OK)
		rc = sub_take_batch(s);
	return rc;
}

/* Sleep until the descriptor is readable (fd -1: none), somebody wakes us, or time is up. */
static void wait_for(struct sub *s, int fd, uint64_t timeout_ms)
{
	struct pollfd fds[2] = {{.fd = s->wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	int timeout = timeout_ms > 60000 ? 60000 : (int)timeout_ms;
	uint64_t count;

	if (poll(fds, 2, timeout) > 0 && fds[0].revents != 0 &&
	    read(s->wake_fd, &count, sizeof(count)) < 0)
		log_debug(NULL, "sub.wake", "nothing to read");
}

static int heartbeat(struct sub *s, char *why)
{
	int rc;

	if (sub_now_ms() < s->deadline_ms)
		return RC_OK;
	if (s->probe_msgid >= 0)
		return sub_fail(why, RC_TIMEOUT, "no answer to the heartbeat");
	if (!consumer_is_persist(s->consumer) &&
	    sub_now_ms() - s->progress_ms > (uint64_t)s->config.heartbeat_ms * STALL_HEARTBEATS)
		return sub_fail(why, RC_TIMEOUT, "the refresh stalled");
	rc = ldap_whoami(s->session.ld, NULL, NULL, &s->probe_msgid);
	s->deadline_ms = sub_now_ms() + s->config.session.timeout_ms;
	return session_rc(&s->session, rc, NULL, why);
}

static int follow(struct sub *s, char *why)
{
	int rc;

	for (;;) {
		uint64_t now;

		rc = drain(s, why);
		if (rc == RC_OK)
			rc = heartbeat(s, why);
		if (rc != RC_OK)
			return rc;
		now = sub_now_ms();
		wait_for(s, s->session.fd, s->deadline_ms > now ? s->deadline_ms - now : 0);
		if (atomic_load(&s->stop))
			return sub_fail(why, RC_DONE, "stopped");
		if (atomic_exchange(&s->resync, false)) {
			consumer_forget(s->consumer);
			return sub_fail(why, RC_DONE, "full reload asked for");
		}
	}
}

/* RC_DONE when it ended without anything being broken. */
static int run_session(struct sub *s, char *why)
{
	int rc;

	sub_set_state(s, SUB_CONNECTING);
	rc = session_open(&s->session, &s->config.session, why);
	if (rc != RC_OK)
		return rc;
	rc = consumer_start(s->consumer);
	if (rc == RC_OK)
		rc = session_set_nonblocking(&s->session);
	if (rc != RC_OK)
		return sub_fail(why, rc, rc_text(rc));
	s->probe_msgid = -1;
	s->progress_ms = sub_now_ms();
	s->deadline_ms = s->progress_ms + s->config.heartbeat_ms;
	sub_set_state(s, SUB_REFRESHING);
	rc = sub_start_search(s, why);
	return rc == RC_OK ? follow(s, why) : rc;
}

static void note_end(struct sub *s, int rc, const char *why)
{
	bool rolled_back;
	uint64_t since;

	pthread_mutex_lock(&s->lock);
	if (s->status.state == SUB_CURRENT)
		s->status.current_at_ms = sub_now_ms();
	rolled_back = s->status.state == SUB_ROLLED_BACK;
	if (!rolled_back)
		s->status.state = SUB_WAITING;
	s->status.sessions++;
	s->status.failures += rc != RC_DONE;
	(void)snprintf(s->status.error, sizeof(s->status.error), "%s", why);
	since = s->status.current_at_ms;
	pthread_mutex_unlock(&s->lock);
	if (rc == RC_DONE)
		log_info(NULL, "sub.end", "why=\"%s\"", why);
	else if (since == 0)
		log_warn(NULL, "sub.down", "why=\"%s\" age=never", why);
	else
		log_warn(NULL, "sub.down", "why=\"%s\" age_s=%llu", why,
			 (unsigned long long)((sub_now_ms() - since) / 1000));
}

static void sleep_before_retry(struct sub *s, int rc)
{
	uint32_t random = 0;
	uint64_t until;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		random = (uint32_t)sub_now_ms();
	until = sub_now_ms() + backoff_next_ms(&s->backoff, random);
	if (rc == RC_DONE && consumer_cookie(s->consumer).present == false)
		until = sub_now_ms() + BACKOFF_FLOOR_MS; /* a reload that was asked for */
	while (!atomic_load(&s->stop) && !atomic_load(&s->resync) && sub_now_ms() < until)
		wait_for(s, -1, until - sub_now_ms());
	if (atomic_exchange(&s->resync, false)) {
		consumer_forget(s->consumer);
		backoff_reset(&s->backoff);
	}
}

static void run(void *arg)
{
	struct sub *s = arg;
	char why[SESSION_WHY_BYTES];
	int rc;

	while (!atomic_load(&s->stop)) {
		why[0] = '\0';
		rc = run_session(s, why);
		session_close(&s->session);
		if (atomic_load(&s->stop))
			break;
		note_end(s, rc, why[0] != '\0' ? why : rc_text(rc));
		sleep_before_retry(s, rc);
	}
}

/* --- owner's side --- */

static void wake(struct sub *s)
{
	uint64_t one = 1;

	if (write(s->wake_fd, &one, sizeof(one)) < 0)
		log_debug(NULL, "sub.wake", "counter is full");
}

static void destroy(struct sub *s)
{
	while (s->first != NULL) {
		struct batch *b = s->first;

		s->first = b->next;
		batch_free(&b);
	}
	session_fini(&s->session);
	consumer_free(&s->consumer);
	pthread_mutex_destroy(&s->lock);
	if (s->wake_fd >= 0)
		(void)close(s->wake_fd);
	mem_free(s);
}

static void on_async_closed(uv_handle_t *handle)
{
	struct sub *s = handle->data;
	void (*on_closed)(void *arg) = s->on_closed;
	void *arg = s->closed_arg;

	destroy(s);
	if (on_closed != NULL)
		on_closed(arg);
}

int sub_new(uv_loop_t *loop, const struct sub_config *config,
	    void (*on_batch)(void *arg, struct batch *b), void *arg, struct sub **out)
{
	struct sub *s = mem_zalloc(1, sizeof(*s));
	int rc = RC_NOMEM;

	*out = NULL;
	if (s == NULL)
		return RC_NOMEM;
	s->config = *config;
	s->on_batch = on_batch;
	s->arg = arg;
	must(pthread_mutex_init(&s->lock, NULL) == 0);
	session_init(&s->session);
	backoff_init(&s->backoff, BACKOFF_FLOOR_MS, BACKOFF_FIRST_MS, config->backoff_cap_ms);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->consumer = consumer_new(BATCH_MAX_BYTES);
	if (s->wake_fd < 0 || s->consumer == NULL)
		goto fail;
	rc = RC_IO;
	if (uv_async_init(loop, &s->async, on_async) != 0)
		goto fail;
	s->async.data = s;
	if (uv_thread_create(&s->thread, run, s) != 0) {
		uv_close((uv_handle_t *)&s->async, on_async_closed);
		return RC_IO;
	}
	*out = s;
	return RC_OK;
fail:
	destroy(s);
	return rc;
}

void sub_close(struct sub **ps, void (*on_closed)(void *arg), void *arg)
{
	struct sub *s = *ps;

	*ps = NULL;
	s->on_closed = on_closed;
	s->closed_arg = arg;
	atomic_store(&s->stop, true);
	wake(s);
	session_interrupt(&s->session);
	(void)uv_thread_join(&s->thread);
	uv_close((uv_handle_t *)&s->async, on_async_closed);
}

void sub_get_status(struct sub *s, struct sub_status *out)
{
	pthread_mutex_lock(&s->lock);
	*out = s->status;
	if (out->state == SUB_CURRENT)
		out->current_at_ms = sub_now_ms();
	pthread_mutex_unlock(&s->lock);
}

void sub_resync(struct sub *s)
{
	atomic_store(&s->resync, true);
	wake(s);
}

void sub_watch(struct sub *s, uint64_t now)
{
	uint64_t busy = session_busy_ms(&s->session, now);

	if (busy > (uint64_t)s->config.session.timeout_ms * HANG_FACTOR) {
		log_warn(NULL, "sub.hang", "busy_ms=%llu connection=shut",
			 (unsigned long long)busy);
		session_interrupt(&s->session);
	}
}
