#include "routed/consumer.h"

#include "lib/buf.h"
#include "routed/uuidset.h"

#define LDAP_RESULT_SUCCESS 0
#define LDAP_RESULT_UNWILLING 53

/* A provider that answers each cookie of its own with another one would keep us busy for ever. */
#define MAX_CONTINUES 3

struct cookie_store {
	bool present;
	struct buf value;
};

struct consumer {
	size_t max_bytes;
	bool persist;
	bool ended; /* a refresh ended since the last take */
	unsigned continues;
	struct cookie_store kept; /* belongs to what was taken */
	struct cookie_store seen; /* belongs to what is pending */
	struct uuidset known;     /* taken entries */
	struct uuidset fresh;     /* put in the pending batch */
	struct uuidset named;     /* named in this refresh */
	struct batch *pending;    /* NULL outside a session */
};

void batch_free(struct batch **b)
{
	if (*b == NULL)
		return;
	arena_fini(&(*b)->arena);
	mem_free(*b);
	*b = NULL;
}

static int batch_new(bool full, struct batch **out)
{
	*out = mem_zalloc(1, sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	arena_init(&(*out)->arena);
	(*out)->full = full;
	return RC_OK;
}

static void batch_append(struct batch *b, struct batch_item *item)
{
	if (b->last != NULL)
		b->last->next = item;
	else
		b->first = item;
	b->last = item;
	b->n++;
}

static void cookie_init(struct cookie_store *s)
{
	s->present = false;
	buf_init(&s->value, SYNCCTL_COOKIE_MAX_BYTES);
}

static int cookie_set(struct cookie_store *s, struct span value)
{
	buf_clear(&s->value);
	buf_put(&s->value, value);
	s->present = true;
	return buf_rc(&s->value);
}

struct consumer *consumer_new(size_t max_bytes)
{
	struct consumer *c = mem_zalloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->max_bytes = max_bytes;
	cookie_init(&c->kept);
	cookie_init(&c->seen);
	return c;
}

void consumer_free(struct consumer **pc)
{
	struct consumer *c = *pc;

	if (c == NULL)
		return;
	buf_fini(&c->kept.value);
	buf_fini(&c->seen.value);
	uuidset_clear(&c->known);
	uuidset_clear(&c->fresh);
	uuidset_clear(&c->named);
	batch_free(&c->pending);
	mem_free(c);
	*pc = NULL;
}

int consumer_start(struct consumer *c)
{
	batch_free(&c->pending);
	uuidset_clear(&c->fresh);
	uuidset_clear(&c->named);
	c->seen.present = false;
	c->persist = false;
	c->ended = false;
	c->continues = 0;
	return batch_new(!c->kept.present, &c->pending);
}

struct syncctl_cookie consumer_cookie(const struct consumer *c)
{
	const struct cookie_store *s = c->seen.present ? &c->seen : &c->kept;
	struct syncctl_cookie cookie = {.present = s->present};

	if (s->present)
		cookie.value = buf_span(&s->value);
	return cookie;
}

void consumer_forget(struct consumer *c)
{
	c->kept.present = false;
	c->seen.present = false;
}

bool consumer_is_persist(const struct consumer *c)
{
	return c->persist;
}

size_t consumer_entries(const struct consumer *c)
{
	return c->known.n;
}

static int breach(const char **why, const char *text)
{
	*why = text;
	return RC_INVALID;
}

static int out_of_step(struct consumer *c, const char **why, const char *text)
{
	consumer_forget(c);
	*why = text;
	return RC_CONFLICT;
}

static int note_cookie(struct consumer *c, const struct syncctl_cookie *cookie)
{
	return cookie->present ? cookie_set(&c->seen, cookie->value) : RC_OK;
}

/* Does the pending batch, or what it builds on, hold this entry? */
static bool is_held(const struct consumer *c, const struct syncctl_uuid *uuid)
{
	return uuidset_has(&c->fresh, uuid) || (!c->pending->full && uuidset_has(&c->known, uuid));
}

static int copy_values(struct arena *a, const struct batch_attr *from, struct batch_attr *to)
{
	unsigned i;

	to->type = arena_span(a, from->type);
	to->nvalues = from->nvalues;
	to->values = arena_zalloc(a, from->nvalues, sizeof(*to->values));
	if (to->type.p == NULL || to->values == NULL)
		return RC_NOMEM;
	for (i = 0; i < from->nvalues; i++) {
		to->values[i] = arena_span(a, from->values[i]);
		if (to->values[i].p == NULL)
			return RC_NOMEM;
	}
	return RC_OK;
}

static int copy_item(struct arena *a, const struct syncctl_uuid *uuid, const struct batch_item *e,
		     struct batch_item **out)
{
	struct batch_item *item = arena_zalloc(a, 1, sizeof(*item));
	unsigned i;
	int rc = RC_OK;

	if (item == NULL)
		return RC_NOMEM;
	item->uuid = *uuid;
	item->dn = arena_span(a, e->dn);
	item->nattrs = e->nattrs;
	item->attrs = arena_zalloc(a, e->nattrs, sizeof(*item->attrs));
	if (item->dn.p == NULL || item->attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < e->nattrs && rc == RC_OK; i++)
		rc = copy_values(a, &e->attrs[i], &item->attrs[i]);
	*out = item;
	return rc;
}

static int delete_entry(struct consumer *c, const struct syncctl_uuid *uuid)
{
	struct batch_item *item;

	if (!is_held(c, uuid))
		return RC_OK;
	item = arena_zalloc(&c->pending->arena, 1, sizeof(*item));
	if (item == NULL)
		return RC_NOMEM;
	item->deleted = true;
	item->uuid = *uuid;
	batch_append(c->pending, item);
	uuidset_del(&c->fresh, uuid);
	return RC_OK;
}

static int put_entry(struct consumer *c, const struct syncctl_uuid *uuid,
		     const struct batch_item *e)
{
	struct arena *a = &c->pending->arena;
	struct batch_item *item;
	int rc;

	rc = copy_item(a, uuid, e, &item);
	if (rc == RC_OK)
		rc = uuidset_put(&c->fresh, uuid);
	if (rc != RC_OK)
		return rc;
	batch_append(c->pending, item);
	return a->bytes > c->max_bytes ? RC_TOOBIG : RC_OK;
}

static int name(struct consumer *c, const struct syncctl_uuid *uuid)
{
	return c->persist ? RC_OK : uuidset_put(&c->named, uuid);
}

int consumer_on_entry(struct consumer *c, const struct syncctl_state *state,
		      const struct batch_item *e, const char **why)
{
	int rc = RC_OK;

	*why = "";
	if (c->ended && !c->persist)
		return breach(why, "entry behind the end of the search");
	switch (state->kind) {
	case SYNCCTL_PRESENT:
		if (c->persist)
			return breach(why, "state present outside a refresh");
		if (!is_held(c, &state->uuid))
			return out_of_step(c, why, "provider assumes an entry that is not here");
		rc = name(c, &state->uuid);
		break;
	case SYNCCTL_ADD:
	case SYNCCTL_MODIFY:
		rc = put_entry(c, &state->uuid, e);
		if (rc == RC_OK)
			rc = name(c, &state->uuid);
		break;
	case SYNCCTL_DELETE:
		rc = delete_entry(c, &state->uuid);
		break;
	}
	return rc == RC_OK ? note_cookie(c, &state->cookie) : rc;
}

static int delete_unnamed_of(struct consumer *c, const struct uuidset *m)
{
	const struct syncctl_uuid *uuid;
	size_t at = 0;

	while ((uuid = uuidset_next(m, &at)) != NULL) {
		struct batch_item *item;

		if (uuidset_has(&c->named, uuid))
			continue;
		item = arena_zalloc(&c->pending->arena, 1, sizeof(*item));
		if (item == NULL)
			return RC_NOMEM;
		item->deleted = true;
		item->uuid = *uuid;
		batch_append(c->pending, item);
	}
	return RC_OK;
}

/* Keep in `fresh` only what was named, so that it tells again what the batch puts. */
static int prune_fresh(struct consumer *c)
{
	struct uuidset kept = {0};
	const struct syncctl_uuid *uuid;
	size_t at = 0;
	int rc = RC_OK;

	while (rc == RC_OK && (uuid = uuidset_next(&c->fresh, &at)) != NULL) {
		if (uuidset_has(&c->named, uuid))
			rc = uuidset_put(&kept, uuid);
	}
	uuidset_clear(&c->fresh);
	c->fresh = kept;
	return rc;
}

/* The end of a present phase: what was not named is gone (RFC 4533 §1.3.1). */
static int end_present(struct consumer *c)
{
	int rc = delete_unnamed_of(c, &c->fresh);

	if (rc == RC_OK && !c->pending->full)
		rc = delete_unnamed_of(c, &c->known);
	return rc == RC_OK ? prune_fresh(c) : rc;
}

static int on_id_set(struct consumer *c, const struct syncctl_info *info, const char **why)
{
	unsigned i;
	int rc = RC_OK;

	if (c->persist && !info->refresh_deletes)
		return breach(why, "present set outside a refresh");
	for (i = 0; i < info->nuuids && rc == RC_OK; i++) {
		if (info->refresh_deletes)
			rc = delete_entry(c, &info->uuids[i]);
		else if (!is_held(c, &info->uuids[i]))
			return out_of_step(c, why, "provider assumes an entry that is not here");
		else
			rc = name(c, &info->uuids[i]);
	}
	if (rc == RC_OK && c->pending->arena.bytes > c->max_bytes)
		rc = RC_TOOBIG;
	return rc;
}

static int on_phase_end(struct consumer *c, const struct syncctl_info *info, const char **why)
{
	int rc = RC_OK;

	if (c->persist)
		return breach(why, "end of a refresh outside a refresh");
	if (info->kind == SYNCCTL_REFRESH_DELETE && !info->refresh_done)
		return breach(why, "delete phase that does not end the refresh");
	if (info->kind == SYNCCTL_REFRESH_PRESENT)
		rc = end_present(c);
	if (info->refresh_done) {
		c->persist = true;
		c->ended = true;
	}
	return rc;
}

int consumer_on_info(struct consumer *c, const struct syncctl_info *info, const char **why)
{
	int rc = RC_OK;

	*why = "";
	if (c->ended && !c->persist)
		return breach(why, "sync info behind the end of the search");
	switch (info->kind) {
	case SYNCCTL_NEW_COOKIE:
		break;
	case SYNCCTL_REFRESH_DELETE:
	case SYNCCTL_REFRESH_PRESENT:
		rc = on_phase_end(c, info, why);
		break;
	case SYNCCTL_ID_SET:
		rc = on_id_set(c, info, why);
		break;
	}
	return rc == RC_OK ? note_cookie(c, &info->cookie) : rc;
}

/* A provider that does not persist ends its refresh with the result (RFC 4533 §3.3.2). */
static int on_success(struct consumer *c, const struct syncctl_done *done, const char **why)
{
	int rc = RC_OK;

	if (c->persist)
		return done != NULL ? note_cookie(c, &done->cookie) : RC_OK;
	if (done == NULL)
		return breach(why, "end of a refresh without its sync done control");
	if (!done->refresh_deletes)
		rc = end_present(c);
	if (rc == RC_OK)
		rc = note_cookie(c, &done->cookie);
	c->ended = rc == RC_OK;
	return rc;
}

/* e-syncRefreshRequired: with a cookie go on from there, without one start over (§3.8). */
static int on_refresh_required(struct consumer *c, const struct syncctl_done *done,
			       enum consumer_next *next)
{
	if (done == NULL || !done->cookie.present || c->continues == MAX_CONTINUES) {
		consumer_forget(c);
		*next = CONSUMER_RELOAD;
		return RC_OK;
	}
	*next = CONSUMER_CONTINUE;
	c->continues++;
	c->persist = false;
	uuidset_clear(&c->named);
	return note_cookie(c, &done->cookie);
}

int consumer_on_done(struct consumer *c, int result, const struct syncctl_done *done,
		     enum consumer_next *next, const char **why)
{
	*why = "";
	*next = CONSUMER_FAILED;
	switch (result) {
	case LDAP_RESULT_SUCCESS:
		*next = CONSUMER_AGAIN;
		return on_success(c, done, why);
	case SYNCCTL_REFRESH_REQUIRED:
		return on_refresh_required(c, done, next);
	case LDAP_RESULT_UNWILLING:
		if (c->kept.present && !c->persist && c->pending->n == 0)
			*next = CONSUMER_ROLLBACK;
		return RC_OK;
	default: /* a code of the peer, not an enum of ours */
		return RC_OK;
	}
}

/* Book the pending batch as applied. */
static int book(struct consumer *c)
{
	const struct batch_item *item;
	const struct syncctl_uuid *uuid;
	size_t at = 0;
	int rc = RC_OK;

	if (c->pending->full)
		uuidset_clear(&c->known);
	for (item = c->pending->first; item != NULL; item = item->next) {
		if (item->deleted)
			uuidset_del(&c->known, &item->uuid);
	}
	while (rc == RC_OK && (uuid = uuidset_next(&c->fresh, &at)) != NULL)
		rc = uuidset_put(&c->known, uuid);
	if (rc == RC_OK && c->seen.present)
		rc = cookie_set(&c->kept, buf_span(&c->seen.value));
	if (rc == RC_OK && c->pending->full && !c->seen.present)
		c->kept.present = false;
	return rc;
}

int consumer_take(struct consumer *c, struct batch **out)
{
	struct batch *next;
	int rc;

	*out = NULL;
	if (c->pending == NULL || !(c->ended || c->persist))
		return RC_OK;
	if (!c->ended && c->pending->n == 0)
		return c->seen.present ? cookie_set(&c->kept, buf_span(&c->seen.value)) : RC_OK;
	rc = batch_new(false, &next);
	if (rc == RC_OK)
		rc = book(c);
	if (rc != RC_OK) {
		batch_free(&next);
		consumer_forget(c);
		return rc;
	}
	*out = c->pending;
	c->pending = next;
	c->ended = false;
	uuidset_clear(&c->fresh);
	uuidset_clear(&c->named);
	return RC_OK;
}
