#include "routed/dnscheck.h"

#include "routed/crc64.h"

#include <stdlib.h>

static const char *const texts[] = {
#define TEXT(name, text) [name] = text,
	DNSCHECK_MAP(TEXT)
#undef TEXT
};

const char *dnscheck_text(enum dnscheck_verdict v)
{
	size_t i = (size_t)v;

	return i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : "";
}

void dnscheck_init(struct dnscheck *c, struct span domain, const struct dnscheck_self *self)
{
	*c = (struct dnscheck){.self = self, .domain = domain, .ttl_s = UINT32_MAX};
}

void dnscheck_fini(struct dnscheck *c)
{
	arena_fini(&c->arena);
}

bool dnscheck_ask(struct dnscheck *c, struct dnscheck_question *out)
{
	unsigned i;

	if (!c->mx_asked) {
		c->mx_asked = true;
		*out = (struct dnscheck_question){0, c->domain, DNSMSG_MX};
		return true;
	}
	for (i = 0; i < c->ntargets; i++) {
		struct dnscheck_target *t = &c->targets[i];
		unsigned bit = (t->asked & 1) == 0 ? 1 : 2;

		if (t->asked == 3)
			continue;
		t->asked |= bit;
		*out = (struct dnscheck_question){i, t->name, bit == 1 ? DNSMSG_A : DNSMSG_AAAA};
		return true;
	}
	return false;
}

static void see_ttl(struct dnscheck *c, const struct dnsmsg *answer)
{
	if (answer->ttl_s < c->ttl_s)
		c->ttl_s = answer->ttl_s;
}

static int cmp_preference(const void *a, const void *b)
{
	const struct dnsmsg_record *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return span_cmp(x->exchange, y->exchange);
}

static bool is_own_name(const struct dnscheck *c, struct span name)
{
	unsigned i;

	for (i = 0; i < c->self->nnames; i++) {
		if (span_eq_nocase(c->self->names[i], name))
			return true;
	}
	return false;
}

static int add_target(struct dnscheck *c, struct span name, unsigned preference)
{
	struct span copy = arena_span(&c->arena, name);

	if (copy.p == NULL)
		return RC_NOMEM;
	c->targets[c->ntargets++] = (struct dnscheck_target){
		.name = copy, .preference = preference, .own = is_own_name(c, copy)};
	return RC_OK;
}

static int take_exchanges(struct dnscheck *c, const struct dnsmsg *answer)
{
	unsigned i;
	int rc = RC_OK;

	qsort(answer->records, answer->n, sizeof(*answer->records), cmp_preference);
	for (i = 0; i < answer->n && c->ntargets < DNSCHECK_TARGETS_MAX && rc == RC_OK; i++) {
		/* A root exchange beside others is no null MX, and no host (RFC 7505 §3). */
		if (answer->records[i].exchange.n != 0)
			rc = add_target(c, answer->records[i].exchange,
					answer->records[i].preference);
	}
	if (rc == RC_OK && c->ntargets == 0)
		c->early = DNSCHECK_NULL_MX;
	return rc;
}

static int on_mx(struct dnscheck *c, const struct dnsmsg *answer)
{
	if (answer == NULL) {
		c->early = DNSCHECK_NO_ANSWER;
		return RC_OK;
	}
	see_ttl(c, answer);
	if (answer->rcode == DNSMSG_NXDOMAIN) {
		c->early = DNSCHECK_NO_DOMAIN;
		return RC_OK;
	}
	if (answer->n != 0)
		return take_exchanges(c, answer);
	c->implicit = true;
	return add_target(c, c->domain, 0);
}

/* 16 bytes, IPv4 mapped. */
static bool is_unusable(const uint8_t a[16])
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const uint8_t zero[15] = {0};

	if (memcmp(a, mapped, sizeof(mapped)) == 0)
		return a[12] == 0 || a[12] == 127 || a[12] >= 224;
	return a[0] == 0xff || (memcmp(a, zero, sizeof(zero)) == 0 && a[15] <= 1);
}

static bool is_own_address(const struct dnscheck *c, const uint8_t a[16])
{
	unsigned i;

	for (i = 0; i < c->self->naddresses; i++) {
		if (memcmp(c->self->addresses[i], a, 16) == 0)
			return true;
	}
	return false;
}

/* Sums of it are compared, so that equal sets are equal in any order. */
static uint64_t digest(struct span name, struct span data)
{
	return crc64(name) * UINT64_C(0x9e3779b97f4a7c15) ^ crc64(data);
}

static void see_address(struct dnscheck *c, struct dnscheck_target *t, enum dnsmsg_type type,
			const struct dnsmsg_record *rec)
{
	uint8_t a[16] = {0};

	if (type == DNSMSG_A) {
		a[10] = a[11] = 0xff;
		memcpy(a + 12, rec->address, 4);
	} else {
		memcpy(a, rec->address, sizeof(a));
	}
	c->addresses += digest(t->name, span_make(a, sizeof(a)));
	t->address = true;
	t->unusable = t->unusable || is_unusable(a);
	t->own = t->own || is_own_address(c, a);
}

int dnscheck_answer(struct dnscheck *c, const struct dnscheck_question *q,
		    const struct dnsmsg *answer)
{
	struct dnscheck_target *t = &c->targets[q->target];
	unsigned i;

	if (q->type == DNSMSG_MX)
		return on_mx(c, answer);
	t->answered |= q->type == DNSMSG_A ? 1 : 2;
	if (answer == NULL) {
		t->doubtful = true;
		return RC_OK;
	}
	see_ttl(c, answer);
	t->alias = t->alias || answer->alias;
	for (i = 0; i < answer->n; i++)
		see_address(c, t, q->type, &answer->records[i]);
	return RC_OK;
}

/* The worst that can be said of a target decides; one address is enough to be good. */
void dnscheck_result(const struct dnscheck *c, struct dnscheck_result *out)
{
	bool address = false, doubtful = false;
	unsigned i;

	*out = (struct dnscheck_result){.verdict = c->early,
					.ttl_s = c->ttl_s != UINT32_MAX ? c->ttl_s : 0};
	for (i = 0; i < c->ntargets; i++) {
		const struct dnscheck_target *t = &c->targets[i];

		uint8_t preference[2] = {(uint8_t)(t->preference >> 8), (uint8_t)t->preference};

		out->exchanges += digest(t->name, span_make(preference, sizeof(preference)));
		address = address || t->address;
		doubtful = doubtful || t->doubtful;
		if (out->target.n == 0)
			out->target = t->name;
		if (out->alias.n == 0 && t->alias && !c->implicit)
			out->alias = t->name;
		if (out->verdict == DNSCHECK_NONE && (t->own || t->unusable)) {
			out->verdict = t->own ? DNSCHECK_OWN_HOST : DNSCHECK_BAD_ADDRESS;
			out->target = t->name;
		}
	}
	out->addresses = c->addresses;
	out->partial = doubtful;
	if (out->verdict == DNSCHECK_NONE)
		out->verdict = address    ? DNSCHECK_GOOD
			       : doubtful ? DNSCHECK_NO_ANSWER
					  : DNSCHECK_NO_ADDRESS;
}
