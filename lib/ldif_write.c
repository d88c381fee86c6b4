#include "lib/ldif.h"

#include "lib/base64.h"

#define FOLD_COLUMNS 76

/* SAFE-STRING of RFC 2849, and no blank at the end (note 8). */
static bool is_safe(struct span s)
{
	size_t i;

	if (s.n == 0)
		return true;
	if (s.p[0] == ' ' || s.p[0] == ':' || s.p[0] == '<' || s.p[s.n - 1] == ' ')
		return false;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '\0' || s.p[i] == '\n' || s.p[i] == '\r' || s.p[i] >= 0x80)
			return false;
	}
	return true;
}

/* Break the line that begins at `start` into pieces of FOLD_COLUMNS. */
static void fold(struct buf *out, size_t start)
{
	size_t n = out->n - start;
	size_t breaks, from, to;

	if (buf_rc(out) != RC_OK || n <= FOLD_COLUMNS)
		return;
	breaks = (n - FOLD_COLUMNS + FOLD_COLUMNS - 2) / (FOLD_COLUMNS - 1);
	if (buf_extend(out, breaks * 2) == NULL)
		return;
	from = start + n;
	to = out->n;
	while (breaks-- > 0) {
		size_t piece_start = start + FOLD_COLUMNS + breaks * (FOLD_COLUMNS - 1);
		size_t piece = from - piece_start;

		from -= piece;
		to -= piece;
		memmove(out->p + to, out->p + from, piece);
		out->p[--to] = ' ';
		out->p[--to] = '\n';
	}
}

void ldif_write_attr(struct buf *out, struct span type, struct span value)
{
	size_t start = out->n;

	buf_put(out, type);
	if (is_safe(value)) {
		buf_puts(out, value.n != 0 ? ": " : ":");
		buf_put(out, value);
	} else {
		buf_puts(out, ":: ");
		base64_encode(value, out);
	}
	fold(out, start);
	buf_putc(out, '\n');
}
