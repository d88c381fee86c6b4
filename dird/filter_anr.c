/* Ambiguous name resolution: what a name a user typed may stand for. */
#include "dird/filter.h"

enum {
	TAG_AND = TLV_CONTEXT_CONS(0),
	TAG_OR = TLV_CONTEXT_CONS(1),
	TAG_EQUAL = TLV_CONTEXT_CONS(3),
	TAG_SUBSTR = TLV_CONTEXT_CONS(4),
};

static void put_anr_item(struct buf *b, const char *type, const char *before, struct span value,
			 bool exact)
{
	size_t item = tlv_open(b, exact ? TAG_EQUAL : TAG_SUBSTR), parts, text;

	tlv_put(b, TLV_OCTETS, span_of(type));
	parts = exact ? 0 : tlv_open(b, TLV_SEQUENCE);
	text = tlv_open(b, exact ? TLV_OCTETS : TLV_CONTEXT(0));
	buf_puts(b, before);
	buf_put(b, value);
	tlv_close(b, text);
	if (!exact)
		tlv_close(b, parts);
	tlv_close(b, item);
}

static void put_anr_pair(struct buf *b, struct span given, struct span surname, bool exact)
{
	size_t both = tlv_open(b, TAG_AND);

	put_anr_item(b, "givenName", "", given, exact);
	put_anr_item(b, "sn", "", surname, exact);
	tlv_close(b, both);
}

void filter_anr(struct span text, struct buf *b)
{
	static const char *const types[] = {"displayName",
					    "cn",
					    "sn",
					    "givenName",
					    "mail",
					    "mailNickname",
					    "uid",
					    "physicalDeliveryOfficeName",
					    "proxyAddresses",
					    "legacyExchangeDN"};
	bool exact = text.n != 0 && text.p[0] == '=';
	size_t either = tlv_open(b, TAG_OR), i;
	struct span given, surname;

	text = span_trim(exact ? span_from(text, 1) : text);
	for (i = 0; text.n != 0 && i < sizeof(types) / sizeof(types[0]); i++)
		put_anr_item(b, types[i], "", text, exact);
	if (text.n != 0)
		put_anr_item(b, "proxyAddresses", "smtp:", text, exact);
	surname = text;
	if (span_cut(&surname, ' ', &given)) {
		surname = span_trim(surname);
		put_anr_pair(b, given, surname, exact);
		put_anr_pair(b, surname, given, exact);
	}
	tlv_close(b, either);
}
