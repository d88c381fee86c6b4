#include "dird/peers.h"

#include "lib/arena.h"

#include <netinet/in.h>
#include <pthread.h>

#define BUCKETS 4096 /* a power of two */

struct row {
	struct peer from;
	unsigned n;
	struct row *next;
};

struct peers {
	struct peers_limits limits;
	pthread_mutex_t mutex; /* guards what follows */
	unsigned n;
	struct row *rows[BUCKETS];
};

int peers_new(const struct peers_limits *limits, struct peers **out)
{
	struct peers *p = mem_zalloc(1, sizeof(*p));

	*out = p;
	if (p == NULL)
		return RC_NOMEM;
	p->limits = *limits;
	must(pthread_mutex_init(&p->mutex, NULL) == 0);
	return RC_OK;
}

void peers_free(struct peers **pp)
{
	struct peers *p = *pp;
	struct row *r;
	unsigned i;

	*pp = NULL;
	if (p == NULL)
		return;
	for (i = 0; i < BUCKETS; i++) {
		while ((r = p->rows[i]) != NULL) {
			p->rows[i] = r->next;
			mem_free(r);
		}
	}
	pthread_mutex_destroy(&p->mutex);
	mem_free(p);
}

struct peer peer_of(const struct sockaddr *sa)
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;
	struct peer p = {.family = 0};

	if (sa->sa_family == AF_INET) {
		p.family = 4;
		memcpy(p.address, &in->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		p.family = 4;
		memcpy(p.address, &in6->sin6_addr.s6_addr[12], 4);
	} else if (sa->sa_family == AF_INET6) {
		p.family = 6;
		memcpy(p.address, &in6->sin6_addr, 8);
	}
	return p;
}

/* The link that points at the row, or at the end of its list. */
static struct row **find(struct peers *p, const struct peer *from)
{
	uint32_t h = from->family;
	struct row **at;
	unsigned i;

	for (i = 0; i < sizeof(from->address); i++)
		h = (h ^ from->address[i]) * 16777619u;
	for (at = &p->rows[(h ^ h >> 15) & (BUCKETS - 1)]; *at != NULL; at = &(*at)->next) {
		if (memcmp(&(*at)->from, from, sizeof(*from)) == 0)
			break;
	}
	return at;
}

static int enter(struct peers *p, const struct peer *from, unsigned *n_out)
{
	struct row **at = find(p, from);

	*n_out = p->n;
	if (p->limits.all != 0 && p->n >= p->limits.all)
		return RC_FULL;
	*n_out = *at != NULL ? (*at)->n : 0;
	if (p->limits.each != 0 && *n_out >= p->limits.each)
		return RC_BUSY;
	if (*at == NULL) {
		*at = mem_zalloc(1, sizeof(**at));
		if (*at == NULL)
			return RC_NOMEM;
		(*at)->from = *from;
	}
	*n_out = ++(*at)->n;
	p->n++;
	return RC_OK;
}

int peers_enter(struct peers *p, const struct peer *from, unsigned *n_out)
{
	int rc;

	*n_out = 0;
	if (from->family == 0)
		return RC_OK;
	pthread_mutex_lock(&p->mutex);
	rc = enter(p, from, n_out);
	pthread_mutex_unlock(&p->mutex);
	return rc;
}

void peers_leave(struct peers *p, const struct peer *from)
{
	struct row **at, *r;

	if (from->family == 0)
		return;
	pthread_mutex_lock(&p->mutex);
	at = find(p, from);
	r = *at;
	must(r != NULL && p->n != 0);
	p->n--;
	if (--r->n == 0) {
		*at = r->next;
		mem_free(r);
	}
	pthread_mutex_unlock(&p->mutex);
}

unsigned peers_count(struct peers *p)
{
	unsigned n;

	pthread_mutex_lock(&p->mutex);
	n = p->n;
	pthread_mutex_unlock(&p->mutex);
	return n;
}
