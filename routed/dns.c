#include "routed/dns.h"

#ifdef HAVE_CARES

#include "lib/idna.h"
#include "lib/log.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

#define TIMEOUT_MS 2000
#define TRIES 2
#define CLASS_IN 1
#define HOST_MAX_BYTES 256

/* One check. Freed when its last handle is closed. */
struct check {
	struct dns *dns;
	ares_channel channel;
	bool has_channel, ending;
	uv_timer_t timer; /* c-ares's time-outs; 0 to end outside its callbacks */
	unsigned handles; /* open ones */
	unsigned waiting; /* questions without an answer */
	enum dns_view view;
	struct span domain;
	char name[IDNA_DOMAIN_MAX_BYTES + 1];
	struct dnscheck check;
	struct watch *watches;
	struct check *prev, *next;
};

struct watch {
	uv_poll_t poll;
	struct check *check;
	ares_socket_t fd;
	struct watch *next;
};

struct question {
	struct check *check;
	struct dnscheck_question q;
};

struct dns {
	uv_loop_t *loop;
	const struct dns_config *config;
	dns_handler *handler;
	void *arg;
	struct arena arena;
	struct span *names;
	unsigned nnames;
	uint8_t (*given)[16]; /* addresses of the configuration */
	unsigned ngiven;
	uint8_t (*addresses)[16]; /* and the machine's of now */
	struct dnscheck_self self;
	struct check *checks;
	unsigned running;
	bool closing;
};

unsigned dns_running(const struct dns *d)
{
	return d->running;
}

/* --- the own host --- */

static bool parse_address(const char *text, uint8_t out[16])
{
	memset(out, 0, 16);
	if (inet_pton(AF_INET6, text, out) == 1)
		return true;
	out[10] = out[11] = 0xff;
	return inet_pton(AF_INET, text, out + 12) == 1;
}

static int read_self(struct dns *d)
{
	const struct conf_list *list = d->config->self;
	char host[HOST_MAX_BYTES] = "";
	unsigned i;

	d->names = arena_zalloc(&d->arena, list->n + 1, sizeof(*d->names));
	d->given = arena_zalloc(&d->arena, list->n + 1, sizeof(*d->given));
	if (d->names == NULL || d->given == NULL)
		return RC_NOMEM;
	for (i = 0; i < list->n; i++) {
		if (parse_address(list->items[i], d->given[d->ngiven]))
			d->ngiven++;
		else
			d->names[d->nnames++] = span_of(list->items[i]);
	}
	if (gethostname(host, sizeof(host) - 1) == 0 && host[0] != '\0') {
		d->names[d->nnames] = arena_span(&d->arena, span_of(host));
		if (d->names[d->nnames++].p == NULL)
			return RC_NOMEM;
	}
	return RC_OK;
}

/* Interfaces come and go, so they are read for each check. */
static int refresh_self(struct dns *d)
{
	uv_interface_address_t *list = NULL;
	int n = 0, i;
	unsigned at = d->ngiven;

	if (uv_interface_addresses(&list, &n) != 0)
		n = 0;
	mem_free(d->addresses);
	d->addresses = mem_zalloc(d->ngiven + (unsigned)n + 1, sizeof(*d->addresses));
	if (d->addresses != NULL)
		memcpy(d->addresses, d->given, d->ngiven * sizeof(*d->given));
	for (i = 0; i < n && d->addresses != NULL; i++) {
		uint8_t *a = d->addresses[at];

		if (list[i].address.address4.sin_family == AF_INET) {
			a[10] = a[11] = 0xff;
			memcpy(a + 12, &list[i].address.address4.sin_addr, 4);
		} else {
			memcpy(a, &list[i].address.address6.sin6_addr, 16);
		}
		at++;
	}
	uv_free_interface_addresses(list, n);
	d->self =
		(struct dnscheck_self){d->names, d->nnames, (const uint8_t(*)[16])d->addresses, at};
	return d->addresses != NULL ? RC_OK : RC_NOMEM;
}

/* --- ends --- */

static void dns_free(struct dns *d)
{
	mem_free(d->addresses);
	arena_fini(&d->arena);
	mem_free(d);
}

static void handle_gone(struct check *k)
{
	struct dns *d = k->dns;

	if (--k->handles != 0)
		return;
	*(k->prev != NULL ? &k->prev->next : &d->checks) = k->next;
	if (k->next != NULL)
		k->next->prev = k->prev;
	dnscheck_fini(&k->check);
	mem_free((void *)(uintptr_t)k->domain.p);
	mem_free(k);
	if (d->closing && d->checks == NULL)
		dns_free(d);
}

static void on_timer_closed(uv_handle_t *handle)
{
	handle_gone(handle->data);
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	handle_gone(w->check);
	mem_free(w);
}

/* Never from a callback of c-ares: the channel goes. */
static void finish(struct check *k)
{
	if (uv_is_closing((uv_handle_t *)&k->timer))
		return;
	k->ending = true;
	k->dns->running--;
	if (k->has_channel)
		ares_destroy(k->channel);
	k->has_channel = false;
	uv_close((uv_handle_t *)&k->timer, on_timer_closed);
}

/* --- c-ares on the loop --- */

static void arm(struct check *k);

static void on_timer(uv_timer_t *timer)
{
	struct check *k = timer->data;
	struct dnscheck_result r;

	if (k->waiting != 0) {
		ares_process_fd(k->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		arm(k);
		return;
	}
	dnscheck_result(&k->check, &r);
	k->dns->handler(k->dns->arg, k->domain, k->view, &r);
	finish(k);
}

static void arm(struct check *k)
{
	struct timeval limit = {TIMEOUT_MS / 1000, 0}, wait;
	uint64_t ms = 0;

	if (k->ending)
		return;
	if (k->waiting != 0) {
		struct timeval *tv = ares_timeout(k->channel, &limit, &wait);

		ms = (uint64_t)tv->tv_sec * 1000 + (uint64_t)tv->tv_usec / 1000 + 1;
	}
	(void)uv_timer_start(&k->timer, on_timer, ms, 0);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct check *k = w->check;
	ares_socket_t in = status < 0 || (events & UV_READABLE) != 0 ? w->fd : ARES_SOCKET_BAD;
	ares_socket_t out = status < 0 || (events & UV_WRITABLE) != 0 ? w->fd : ARES_SOCKET_BAD;

	if (!k->has_channel)
		return;
	ares_process_fd(k->channel, in, out);
	arm(k);
}

static struct watch **find_watch(struct check *k, ares_socket_t fd)
{
	struct watch **at = &k->watches;

	while (*at != NULL && (*at)->fd != fd)
		at = &(*at)->next;
	return at;
}

static struct watch *add_watch(struct check *k, ares_socket_t fd)
{
	struct watch *w = mem_zalloc(1, sizeof(*w));

	if (w == NULL || uv_poll_init(k->dns->loop, &w->poll, fd) != 0) {
		mem_free(w);
		return NULL; /* the question times out */
	}
	w->poll.data = w;
	w->check = k;
	w->fd = fd;
	w->next = k->watches;
	k->watches = w;
	k->handles++;
	return w;
}

static void on_socket(void *data, ares_socket_t fd, int readable, int writable)
{
	struct check *k = data;
	struct watch **at = find_watch(k, fd), *w = *at;

	if (readable == 0 && writable == 0) {
		if (w != NULL) {
			*at = w->next;
			uv_close((uv_handle_t *)&w->poll, on_watch_closed);
		}
		return;
	}
	if (w == NULL)
		w = add_watch(k, fd);
	if (w != NULL)
		(void)uv_poll_start(&w->poll,
				    (readable != 0 ? UV_READABLE : 0) |
					    (writable != 0 ? UV_WRITABLE : 0),
				    on_ready);
}

/* --- questions and answers --- */

static void ask_all(struct check *k);

static const struct dnsmsg *read_answer(const struct question *q, int status, struct span message,
					struct arena *a, struct dnsmsg *out)
{
	if (message.p == NULL || (status != ARES_SUCCESS && status != ARES_ENODATA &&
				  status != ARES_ENOTFOUND && status != ARES_EBADRESP))
		return NULL;
	if (dnsmsg_read(message, q->q.name, q->q.type, a, out) != RC_OK || out->truncated)
		return NULL;
	return out->rcode == DNSMSG_NOERROR || out->rcode == DNSMSG_NXDOMAIN ? out : NULL;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int n)
{
	struct question *q = arg;
	struct check *k = q->check;
	struct dnsmsg answer;
	struct arena a;

	(void)timeouts;
	k->waiting--;
	if (!k->ending) {
		arena_init(&a);
		if (dnscheck_answer(&k->check, &q->q,
				    read_answer(q, status, span_make(bytes, n > 0 ? (size_t)n : 0),
						&a, &answer)) != RC_OK)
			k->check.early = DNSCHECK_NO_ANSWER;
		ask_all(k);
		arena_fini(&a);
		arm(k);
	}
	mem_free(q);
}

static void ask_all(struct check *k)
{
	struct dnscheck_question next;
	char name[DNSMSG_NAME_MAX_BYTES + 1];

	while (dnscheck_ask(&k->check, &next)) {
		struct question *q = mem_zalloc(1, sizeof(*q));

		if (q == NULL || next.name.n >= sizeof(name)) {
			k->check.early = DNSCHECK_NO_ANSWER;
			mem_free(q);
			return;
		}
		*q = (struct question){k, next};
		memcpy(name, next.name.p, next.name.n);
		name[next.name.n] = '\0';
		k->waiting++;
		ares_query(k->channel, name, CLASS_IN, (int)next.type, on_answer, q);
	}
}

/* --- a check --- */

static int set_servers(const struct conf_list *list, ares_channel channel)
{
	struct buf b;
	unsigned i;
	int rc;

	if (list->n == 0)
		return RC_OK;
	buf_init(&b, 64 * 1024);
	for (i = 0; i < list->n; i++)
		buf_printf(&b, "%s%s", i != 0 ? "," : "", list->items[i]);
	rc = ares_set_servers_ports_csv(channel, buf_cstr(&b)) == ARES_SUCCESS ? RC_OK : RC_INVALID;
	buf_fini(&b);
	return rc;
}

static int open_channel(struct check *k)
{
	struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
				       .timeout = TIMEOUT_MS,
				       .tries = TRIES,
				       .sock_state_cb = on_socket,
				       .sock_state_cb_data = k};
	int rc;

	if (ares_init_options(&k->channel, &options,
			      ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
				      ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		return RC_IO;
	k->has_channel = true;
	rc = set_servers(k->dns->config->servers[k->view], k->channel);
	return rc;
}

static int make_names(struct check *k, struct span domain)
{
	struct buf b;
	uint8_t *copy = mem_alloc(domain.n);
	int rc;

	if (copy == NULL)
		return RC_NOMEM;
	memcpy(copy, domain.p, domain.n);
	k->domain = span_make(copy, domain.n);
	buf_init(&b, sizeof(k->name) - 1);
	rc = idna_to_ascii(domain, &b);
	if (rc == RC_OK)
		rc = buf_rc(&b);
	if (rc == RC_OK)
		memcpy(k->name, b.p, b.n);
	dnscheck_init(&k->check, span_make(k->name, rc == RC_OK ? b.n : 0), &k->dns->self);
	buf_fini(&b);
	return rc;
}

int dns_check(struct dns *d, struct span domain, enum dns_view view)
{
	struct check *k = mem_zalloc(1, sizeof(*k));
	int rc = k != NULL ? refresh_self(d) : RC_NOMEM;

	if (rc != RC_OK) {
		mem_free(k);
		return rc;
	}
	k->dns = d;
	k->view = view;
	must(uv_timer_init(d->loop, &k->timer) == 0);
	k->timer.data = k;
	k->handles = 1;
	k->next = d->checks;
	if (k->next != NULL)
		k->next->prev = k;
	d->checks = k;
	d->running++;
	rc = make_names(k, domain);
	if (rc == RC_OK)
		rc = open_channel(k);
	if (rc != RC_OK) {
		finish(k);
		return rc;
	}
	ask_all(k);
	arm(k);
	return RC_OK;
}

int dns_new(uv_loop_t *loop, const struct dns_config *config, dns_handler *handler, void *arg,
	    struct dns **out)
{
	struct dns *d;
	int rc;

	*out = NULL;
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return RC_IO;
	d = mem_zalloc(1, sizeof(*d));
	if (d == NULL)
		return RC_NOMEM;
	d->loop = loop;
	d->config = config;
	d->handler = handler;
	d->arg = arg;
	rc = read_self(d);
	if (rc != RC_OK)
		dns_free(d);
	else
		*out = d;
	return rc;
}

void dns_close(struct dns **pd)
{
	struct dns *d = *pd;
	struct check *k;

	*pd = NULL;
	if (d == NULL)
		return;
	d->closing = true;
	for (k = d->checks; k != NULL; k = k->next) {
		k->ending = true;
		finish(k);
	}
	if (d->checks == NULL)
		dns_free(d);
}

#else

unsigned dns_running(const struct dns *d)
{
	(void)d;
	return 0;
}

int dns_new(uv_loop_t *loop, const struct dns_config *config, dns_handler *handler, void *arg,
	    struct dns **out)
{
	(void)loop;
	(void)config;
	(void)handler;
	(void)arg;
	*out = NULL;
	return RC_UNSUPPORTED;
}

void dns_close(struct dns **d)
{
	*d = NULL;
}

int dns_check(struct dns *d, struct span domain, enum dns_view view)
{
	(void)d;
	(void)domain;
	(void)view;
	return RC_UNSUPPORTED;
}

#endif
