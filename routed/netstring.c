#include "routed/netstring.h"

/* "100000" is the longest length that any of our limits allows. */
#define MAX_DIGITS 6

static int read_length(struct span in, size_t *length, size_t *used)
{
	size_t i;
	size_t n = 0;

	for (i = 0; i < in.n && in.p[i] >= '0' && in.p[i] <= '9'; i++) {
		if (i == MAX_DIGITS)
			return RC_TOOBIG;
		if (i != 0 && in.p[0] == '0')
			return RC_INVALID;
		n = n * 10 + (size_t)(in.p[i] - '0');
	}
	if (i == in.n) {
		*length = n;
		*used = i;
		return RC_MORE;
	}
	if (i == 0 || in.p[i] != ':')
		return RC_INVALID;
	*length = n;
	*used = i + 1;
	return RC_OK;
}

int netstring_read(struct span in, size_t max_bytes, struct span *payload, size_t *used)
{
	size_t length;
	size_t head;
	int rc = read_length(in, &length, &head);

	if ((rc == RC_OK || rc == RC_MORE) && length > max_bytes)
		return RC_TOOBIG;
	if (rc != RC_OK)
		return rc;
	if (in.n - head <= length)
		return RC_MORE;
	if (in.p[head + length] != ',')
		return RC_INVALID;
	*payload = span_make(in.p + head, length);
	*used = head + length + 1;
	return RC_OK;
}

void netstring_write(struct buf *out, struct span payload)
{
	buf_printf(out, "%zu:", payload.n);
	buf_put(out, payload);
	buf_putc(out, ',');
}
