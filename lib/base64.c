#include "lib/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct span s, struct buf *out)
{
	size_t i;

	for (i = 0; i < s.n; i += 3) {
		size_t left = s.n - i;
		uint32_t group = (uint32_t)s.p[i] << 16;

		if (left > 1)
			group |= (uint32_t)s.p[i + 1] << 8;
		if (left > 2)
			group |= s.p[i + 2];
		buf_putc(out, (uint8_t)alphabet[group >> 18]);
		buf_putc(out, (uint8_t)alphabet[group >> 12 & 63]);
		buf_putc(out, left > 1 ? (uint8_t)alphabet[group >> 6 & 63] : '=');
		buf_putc(out, left > 2 ? (uint8_t)alphabet[group & 63] : '=');
	}
}

static int digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct span text, uint8_t *out, size_t *n)
{
	size_t pad = 0, to = 0, i, j;

	*n = 0;
	if (text.n % 4 != 0)
		return false;
	while (pad < 2 && pad < text.n && text.p[text.n - 1 - pad] == '=')
		pad++;
	for (i = 0; i < text.n; i += 4) {
		size_t digits = i + 4 == text.n ? 4 - pad : 4;
		uint32_t group = 0;

		for (j = 0; j < 4; j++) {
			int d = j < digits ? digit(text.p[i + j]) : 0;

			if (d < 0)
				return false;
			group = group << 6 | (uint32_t)d;
		}
		if (digits < 4 && (group & (digits == 2 ? 0xffffu : 0xffu)) != 0)
			return false;
		out[to++] = (uint8_t)(group >> 16);
		if (digits > 2)
			out[to++] = (uint8_t)(group >> 8);
		if (digits > 3)
			out[to++] = (uint8_t)group;
	}
	*n = to;
	return true;
}
