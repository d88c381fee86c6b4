#include "dird/twins.h"

#include "lib/arena.h"

#include <pthread.h>

#define RETIRED_MAX 8

struct known {
	struct uuid site, current;
	struct uuid retired[RETIRED_MAX]; /* the last ones */
	unsigned nretired;
	bool has_both, is_chosen;
	struct known *next;
};

struct twins {
	pthread_mutex_t mutex;
	struct known *first;
};

int twins_new(struct twins **out)
{
	struct twins *t = mem_zalloc(1, sizeof(*t));

	if (t == NULL)
		return RC_NOMEM;
	if (pthread_mutex_init(&t->mutex, NULL) != 0) {
		mem_free(t);
		return RC_NOMEM;
	}
	*out = t;
	return RC_OK;
}

void twins_free(struct twins **t)
{
	struct known *k, *next;

	if (*t == NULL)
		return;
	for (k = (*t)->first; k != NULL; k = next) {
		next = k->next;
		mem_free(k);
	}
	pthread_mutex_destroy(&(*t)->mutex);
	mem_free(*t);
	*t = NULL;
}

static struct known *find(struct twins *t, const struct uuid *site)
{
	struct known *k = t->first;

	while (k != NULL && !uuid_eq(&k->site, site))
		k = k->next;
	return k;
}

static struct known *add(struct twins *t, const struct uuid *site, const struct uuid *instance)
{
	struct known *k = mem_zalloc(1, sizeof(*k));

	if (k != NULL) {
		k->site = *site;
		k->current = *instance;
		k->next = t->first;
		t->first = k;
	}
	return k;
}

static bool is_retired(const struct known *k, const struct uuid *instance)
{
	unsigned i;

	for (i = 0; i < k->nretired && i < RETIRED_MAX; i++) {
		if (uuid_eq(&k->retired[i], instance))
			return true;
	}
	return false;
}

static void replace(struct known *k, const struct uuid *instance)
{
	k->retired[k->nretired++ % RETIRED_MAX] = k->current;
	k->current = *instance;
}

static enum twins_verdict judge(struct known *k, const struct uuid *instance, bool is_chosen)
{
	bool is_current = uuid_eq(&k->current, instance);

	if (is_chosen) {
		k->is_chosen = true;
		k->has_both = false;
		if (is_current)
			return TWINS_NONE;
		replace(k, instance);
		return TWINS_NEW;
	}
	if (k->has_both)
		return TWINS_BOTH;
	if (is_current)
		return TWINS_NONE;
	if (is_retired(k, instance)) {
		k->has_both = !k->is_chosen;
		return k->is_chosen ? TWINS_RETIRED : TWINS_BOTH;
	}
	k->is_chosen = false;
	replace(k, instance);
	return TWINS_NEW;
}

int twins_seen(struct twins *t, const struct uuid *site, const struct uuid *instance,
	       bool is_chosen, enum twins_verdict *out)
{
	struct known *k;
	int rc = RC_OK;

	pthread_mutex_lock(&t->mutex);
	k = find(t, site);
	*out = TWINS_NONE;
	if (k != NULL)
		*out = judge(k, instance, is_chosen);
	else if (add(t, site, instance) == NULL)
		rc = RC_NOMEM;
	pthread_mutex_unlock(&t->mutex);
	return rc;
}

bool twins_is_current(struct twins *t, const struct uuid *site, const struct uuid *instance)
{
	struct known *k;
	bool is;

	pthread_mutex_lock(&t->mutex);
	k = find(t, site);
	is = k == NULL || (uuid_eq(&k->current, instance) && !k->has_both);
	pthread_mutex_unlock(&t->mutex);
	return is;
}
