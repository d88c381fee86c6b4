#include "dird/trail.h"

#include "lib/arena.h"

#include <pthread.h>

#define BUCKETS 4096

struct step {
	struct step *later;  /* of all */
	struct step *before; /* in its bucket */
	struct uuid entry;
	uint64_t usn;
	bool was_hidden;
	size_t n;
	uint8_t dn[];
};

struct trail {
	pthread_mutex_t mutex;
	struct step *first, *last;
	size_t nsteps, nbytes;
	struct step *buckets[BUCKETS]; /* the latest one of each */
};

int trail_new(struct trail **out)
{
	struct trail *t = mem_zalloc(1, sizeof(*t));

	*out = t;
	if (t == NULL)
		return RC_NOMEM;
	must(pthread_mutex_init(&t->mutex, NULL) == 0);
	return RC_OK;
}

static struct step **bucket_of(struct trail *t, const struct uuid *entry)
{
	uint64_t n;

	memcpy(&n, entry->b, sizeof(n));
	return &t->buckets[(n * 0x9e3779b97f4a7c15u >> 32) % BUCKETS];
}

/* The first of all is the last of its bucket. */
static void forget_first(struct trail *t)
{
	struct step *s = t->first, **at = bucket_of(t, &s->entry);

	while (*at != s)
		at = &(*at)->before;
	*at = NULL;
	t->first = s->later;
	t->nsteps--;
	t->nbytes -= s->n;
	mem_free(s);
}

void trail_free(struct trail **tt)
{
	struct trail *t = *tt;

	*tt = NULL;
	if (t == NULL)
		return;
	while (t->first != NULL)
		forget_first(t);
	pthread_mutex_destroy(&t->mutex);
	mem_free(t);
}

static void append(struct trail *t, struct step *s)
{
	struct step **bucket = bucket_of(t, &s->entry);

	while (t->first != NULL &&
	       (t->nsteps == TRAIL_MAX_STEPS || t->nbytes + s->n > TRAIL_MAX_BYTES))
		forget_first(t);
	if (t->first == NULL)
		t->first = s;
	else
		t->last->later = s;
	t->last = s;
	s->before = *bucket;
	*bucket = s;
	t->nsteps++;
	t->nbytes += s->n;
}

void trail_add(struct trail *t, const struct uuid *entry, uint64_t usn, bool was_hidden,
	       struct span dn)
{
	struct step *s = mem_zalloc(1, sizeof(*s) + dn.n);

	if (s == NULL)
		return;
	s->entry = *entry;
	s->usn = usn;
	s->was_hidden = was_hidden;
	s->n = dn.n;
	if (dn.n != 0)
		memcpy(s->dn, dn.p, dn.n);
	pthread_mutex_lock(&t->mutex);
	append(t, s);
	pthread_mutex_unlock(&t->mutex);
}

/* Steps of an entry grow in usn; one that is not below the step behind it was never committed. */
static const struct step *oldest(struct trail *t, const struct uuid *entry, uint64_t after)
{
	const struct step *s, *found = NULL;
	uint64_t below = UINT64_MAX;

	for (s = *bucket_of(t, entry); s != NULL; s = s->before) {
		if (!uuid_eq(&s->entry, entry) || s->usn >= below)
			continue;
		if (s->usn <= after)
			break;
		below = s->usn;
		found = s;
	}
	return found;
}

bool trail_find(struct trail *t, const struct uuid *entry, uint64_t after, bool *was_hidden,
		struct buf *dn)
{
	const struct step *s;

	pthread_mutex_lock(&t->mutex);
	s = oldest(t, entry, after);
	if (s != NULL) {
		*was_hidden = s->was_hidden;
		buf_put(dn, span_make(s->dn, s->n));
	}
	pthread_mutex_unlock(&t->mutex);
	return s != NULL;
}
