#include "dird/csn.h"

#include <inttypes.h>
#include <string.h>

#define UNIT_BITS 24
#define UNIT_MASK ((UINT64_C(1) << UNIT_BITS) - 1)
#define SECOND 1000000u
#define UNITS_MAX (60 * SECOND)

int csn_write(const struct csn *c, struct buf *out)
{
	uint64_t units = c->usn >> UNIT_BITS;
	uint32_t minutes = c->epoch, hours = minutes / 60, days = hours / 24, months = days / 28;

	if (units >= UNITS_MAX)
		return RC_UNSUPPORTED;
	buf_printf(out, "%04u%02u%02u%02u%02u%02u.%06uZ#%06x#%03x#%06" PRIx32, months / 12,
		   1 + months % 12, 1 + days % 28, hours % 24, minutes % 60,
		   (unsigned)(units / SECOND), (unsigned)(units % SECOND),
		   (unsigned)(c->usn & UNIT_MASK), c->sid, c->check);
	return RC_OK;
}

/* Digits at a fixed place; false if there is anything else. */
static bool number_at(struct span text, size_t at, size_t n, unsigned base, uint64_t *out)
{
	uint64_t v = 0;
	unsigned digit;

	for (; n > 0; n--, at++) {
		uint8_t c = text.p[at];

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10u;
		else
			return false;
		if (digit >= base)
			return false;
		v = v * base + digit;
	}
	*out = v;
	return true;
}

static bool is_written_so(const struct csn *c, struct span text)
{
	struct buf b;
	bool same;

	buf_init(&b, CSN_BYTES + 1);
	same = csn_write(c, &b) == RC_OK && span_eq(buf_span(&b), text);
	buf_fini(&b);
	return same;
}

int csn_read(struct span text, struct csn *out)
{
	uint64_t year, month, day, hour, minute, second, micro, count, sid, check, epoch;

	if (text.n != CSN_BYTES || !number_at(text, 0, 4, 10, &year) ||
	    !number_at(text, 4, 2, 10, &month) || !number_at(text, 6, 2, 10, &day) ||
	    !number_at(text, 8, 2, 10, &hour) || !number_at(text, 10, 2, 10, &minute) ||
	    !number_at(text, 12, 2, 10, &second) || !number_at(text, 15, 6, 10, &micro) ||
	    !number_at(text, 23, 6, 16, &count) || !number_at(text, 30, 3, 16, &sid) ||
	    !number_at(text, 34, 6, 16, &check) || month == 0 || day == 0)
		return RC_INVALID;
	epoch = (((year * 12 + month - 1) * 28 + day - 1) * 24 + hour) * 60 + minute;
	if (epoch > UINT32_MAX)
		return RC_INVALID;
	out->epoch = (uint32_t)epoch;
	out->usn = (second * SECOND + micro) << UNIT_BITS | count;
	out->sid = (unsigned)sid;
	out->check = (uint32_t)check;
	return is_written_so(out, text) ? RC_OK : RC_INVALID;
}

static bool has_head(struct span s, struct span head)
{
	return span_eq(span_head(s, head.n), head);
}

bool csn_cookie_read(struct span cookie, struct span *rid_out, struct span *csns_out)
{
	struct span part;
	bool more = span_cut(&cookie, ',', rid_out);

	*csns_out = span_head(cookie, 0);
	if (!has_head(*rid_out, SPAN_LIT("rid=")) || rid_out->n > 7)
		return false;
	while (more) {
		more = span_cut(&cookie, ',', &part);
		if (has_head(part, SPAN_LIT("csn=")))
			*csns_out = span_from(part, 4);
	}
	return true;
}

bool csn_cookie_next(struct span *csns, struct csn *out, int *rc_out)
{
	struct span one;

	if (csns->n == 0)
		return false;
	if (!span_cut(csns, ';', &one))
		csns->n = 0;
	*rc_out = csn_read(one, out);
	return true;
}
