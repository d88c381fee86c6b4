#include "routed/dnsview.h"

static const char *const texts[] = {
#define TEXT(name, text) [name] = text,
	DNSVIEW_MAP(TEXT)
#undef TEXT
};

const char *dnsview_text(enum dnsview_difference d)
{
	size_t i = (size_t)d;

	return i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : "";
}

void dnsview_take(struct dnsview *v, const struct dnscheck_result *r)
{
	struct span target = span_head(r->target, sizeof(v->target) - 1);

	*v = (struct dnsview){r->verdict, r->exchanges, r->addresses, r->partial, ""};
	if (target.n != 0)
		memcpy(v->target, target.p, target.n);
}

static bool says_something(const struct dnsview *v)
{
	return v->verdict != DNSCHECK_NONE && v->verdict != DNSCHECK_NO_ANSWER;
}

enum dnsview_difference dnsview_compare(const struct dnsview *a, const struct dnsview *b)
{
	if (!says_something(a) || !says_something(b))
		return DNSVIEW_SAME;
	if (a->verdict != b->verdict)
		return DNSVIEW_VERDICT;
	if (a->exchanges != b->exchanges)
		return DNSVIEW_EXCHANGES;
	if (a->partial || b->partial)
		return DNSVIEW_SAME;
	return a->addresses != b->addresses ? DNSVIEW_ADDRESSES : DNSVIEW_SAME;
}
