#include "routed/model_read.h"

/* Copying into one block: the first pass counts, the second one copies. */
struct packer {
	uint8_t *p;
	size_t n;
};

static void *pack(struct packer *to, const void *p, size_t n)
{
	void *at = NULL;

	to->n = (to->n + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (to->p != NULL && n != 0)
		at = memcpy(to->p + to->n, p, n);
	to->n += n;
	return at;
}

static void pack_span(struct packer *to, struct span *s)
{
	if (to->p != NULL && s->n != 0)
		s->p = memcpy(to->p + to->n, s->p, s->n);
	to->n += s->n;
}

static void *pack_ignored(struct packer *to, const struct model_ignored *from, unsigned n,
			  struct span dn)
{
	struct model_ignored *copy = pack(to, from, n * sizeof(*from));
	unsigned i;

	for (i = 0; i < n; i++) {
		struct model_ignored one = from[i];

		one.dn = dn;
		pack_span(to, &one.value);
		if (copy != NULL)
			copy[i] = one;
	}
	return copy;
}

static void *pack_spans(struct packer *to, const struct span *from, unsigned n)
{
	struct span *copy = pack(to, from, n * sizeof(*from));
	unsigned i;

	for (i = 0; i < n; i++) {
		struct span one = from[i];

		pack_span(to, &one);
		if (copy != NULL)
			copy[i] = one;
	}
	return copy;
}

static void pack_site(struct packer *to, struct span raw, struct model_site *s)
{
	pack_span(to, &raw);
	pack_span(to, &s->key);
	pack_span(to, &s->dn);
	pack_span(to, &s->dn_normal);
	pack_span(to, &s->name);
	pack_span(to, &s->name_folded);
	pack_span(to, &s->domain);
	pack_span(to, &s->domain_folded);
	pack_span(to, &s->tls);
	s->shared_folded = pack_spans(to, s->shared_folded, s->nshared);
	s->system_folded = pack_spans(to, s->system_folded, s->nsystem);
	s->ignored = pack_ignored(to, s->ignored, s->nignored, s->dn);
}

static void *pack_cds(struct packer *to, const struct model_cd *from, unsigned n)
{
	struct model_cd *copy = pack(to, from, n * sizeof(*from));
	unsigned i;

	for (i = 0; i < n; i++) {
		struct model_cd one = from[i];

		pack_span(to, &one.folded);
		pack_span(to, &one.written);
		pack_span(to, &one.type);
		pack_span(to, &one.address);
		if (copy != NULL)
			copy[i] = one;
	}
	return copy;
}

static void *pack_spaces(struct packer *to, const struct model_space *from, unsigned n)
{
	struct model_space *copy = pack(to, from, n * sizeof(*from));
	unsigned i;

	for (i = 0; i < n; i++) {
		struct model_space one = from[i];

		pack_span(to, &one.type);
		pack_span(to, &one.pattern);
		pack_span(to, &one.folded);
		if (copy != NULL)
			copy[i] = one;
	}
	return copy;
}

static void *pack_pins(struct packer *to, const struct model_pin *from, unsigned n)
{
	struct model_pin *copy = pack(to, from, n * sizeof(*from));
	unsigned i;

	for (i = 0; i < n; i++) {
		struct model_pin one = from[i];

		pack_span(to, &one.folded);
		pack_span(to, &one.host);
		if (copy != NULL)
			copy[i] = one;
	}
	return copy;
}

static void pack_connector(struct packer *to, struct span raw, struct model_connector *c)
{
	pack_span(to, &raw);
	pack_span(to, &c->key);
	pack_span(to, &c->dn);
	pack_span(to, &c->dn_normal);
	pack_span(to, &c->name);
	pack_span(to, &c->name_folded);
	pack_span(to, &c->smart_host);
	pack_span(to, &c->transport);
	c->cds = pack_cds(to, c->cds, c->ncds);
	c->spaces = pack_spaces(to, c->spaces, c->nspaces);
	c->pins = pack_pins(to, c->pins, c->npins);
	c->ignored = pack_ignored(to, c->ignored, c->nignored, c->dn);
}

int model_pack_site(struct span raw, const struct model_site *from, struct model_site *out)
{
	struct model_site counted = *from;
	struct packer to = {0};

	pack_site(&to, raw, &counted);
	*out = *from;
	to = (struct packer){.p = mem_alloc(to.n)};
	if (to.p == NULL)
		return RC_NOMEM;
	pack_site(&to, raw, out);
	out->block = to.p;
	out->nraw = raw.n;
	return RC_OK;
}

int model_pack_connector(struct span raw, const struct model_connector *from,
			 struct model_connector *out)
{
	struct model_connector counted = *from;
	struct packer to = {0};

	pack_connector(&to, raw, &counted);
	*out = *from;
	to = (struct packer){.p = mem_alloc(to.n)};
	if (to.p == NULL)
		return RC_NOMEM;
	pack_connector(&to, raw, out);
	out->block = to.p;
	out->nraw = raw.n;
	return RC_OK;
}

int model_read_moved(const struct model_connector *c, struct span dn, struct span dn_normal,
		     struct model_connector *out)
{
	struct model_connector moved = *c;

	moved.dn = dn;
	moved.dn_normal = dn_normal;
	return model_pack_connector(span_make(c->block, c->nraw), &moved, out);
}
