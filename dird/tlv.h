/*
 * The BER subset LDAP uses (RFC 4511 §5.1): definite lengths of 1 to 4 length bytes, low tag
 * numbers.
 *
 * Reading borrows from the input; writing appends to a buf. A constructed value whose length is not
 * known beforehand is opened with tlv_open() and closed with tlv_close(), which patches the length.
 */
#pragma once

#include "lib/buf.h"

enum {
	TLV_BOOLEAN = 0x01,
	TLV_INTEGER = 0x02,
	TLV_OCTETS = 0x04,
	TLV_NULL = 0x05,
	TLV_ENUM = 0x0a,
	TLV_SEQUENCE = 0x30,
	TLV_SET = 0x31,
};
#define TLV_CONTEXT(n) (0x80 | (n))      /* primitive [n] */
#define TLV_CONTEXT_CONS(n) (0xa0 | (n)) /* constructed [n] */
#define TLV_APP(n) (0x40 | (n))          /* primitive [APPLICATION n] */
#define TLV_APP_CONS(n) (0x60 | (n))

struct tlv {
	uint8_t tag;
	struct span body;  /* contents octets */
	struct span whole; /* tag, length and contents */
};

/**
 * Length of the whole element that starts at `s`, from its first bytes only: for framing.
 * Returns  RC_OK and *total_out (may be larger than s.n); RC_MORE: the header is not complete yet;
 *          RC_INVALID: indefinite length, more than 4 length bytes, high tag number, or not
 * `want_tag`.
 */
int tlv_frame(struct span s, uint8_t want_tag, size_t *total_out) WARN_UNUSED;

/** Read the next element of *rest and move behind it. RC_DONE at the end, RC_INVALID if it does not
 * fit. */
int tlv_next(struct span *rest, struct tlv *out) WARN_UNUSED;

/** tlv_expect() where the length has more than one byte, or does not fit. */
int tlv_expect_long(struct span *rest, uint8_t tag, struct span *body_out) WARN_UNUSED;

/** As tlv_next(), but the tag must be `tag` (else RC_INVALID, *rest unmoved). */
static inline WARN_UNUSED int tlv_expect(struct span *rest, uint8_t tag, struct span *body_out)
{
	size_t n;

	if (rest->n < 2 || rest->p[0] != tag || rest->p[1] > 0x7f || rest->p[1] > rest->n - 2)
		return tlv_expect_long(rest, tag, body_out);
	n = rest->p[1];
	*body_out = (struct span){rest->p + 2, n};
	*rest = (struct span){rest->p + 2 + n, rest->n - 2 - n};
	return 0;
}

/** Is the next element tagged `tag`? */
static inline bool tlv_peek(struct span rest, uint8_t tag)
{
	return rest.n != 0 && rest.p[0] == tag;
}

/* Contents octets to values. Empty integers and integers that do not fit are RC_INVALID. */
int tlv_int(struct span body, int64_t *out) WARN_UNUSED;
int tlv_bool(struct span body, bool *out) WARN_UNUSED;

/* Read an element and its value in one call. */
int tlv_read_int(struct span *rest, uint8_t tag, int64_t *out) WARN_UNUSED;
int tlv_read_bool(struct span *rest, uint8_t tag, bool *out) WARN_UNUSED;

/* Writing, with minimal lengths. */
void tlv_put(struct buf *b, uint8_t tag, struct span body);
void tlv_put_int(struct buf *b, uint8_t tag, int64_t v);
void tlv_put_bool(struct buf *b, uint8_t tag, bool v);

/** Open a constructed element; give the mark to tlv_close(), innermost first. */
size_t tlv_open(struct buf *b, uint8_t tag);
/** The same where the contents will have about `expected` bytes. A guess of the right magnitude
 * (below 128, 256, 64 KiB ...) spares tlv_close() to move them; what is written does not depend on
 * it. */
size_t tlv_open_about(struct buf *b, uint8_t tag, size_t expected);
void tlv_close(struct buf *b, size_t mark);

/** Bytes of tag and length in front of `body_bytes` of contents. */
size_t tlv_header_bytes(size_t body_bytes);
