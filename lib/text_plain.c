#include "lib/text_plain.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf16.h>

#include <stddef.h>

/* Letters that people type without their stroke, dot or ligature; from folded to plain text. */
static const struct plain_letter {
	UChar from;
	char to[3]; /* ASCII, or "" for `letter` */
	UChar letter;
} plain_letters[] = {
	/* in code point order */
	{0x00e6, "ae", 0},    /* æ */
	{0x00f0, "d", 0},     /* ð */
	{0x00f8, "o", 0},     /* ø */
	{0x00fe, "th", 0},    /* þ */
	{0x0111, "d", 0},     /* đ */
	{0x0127, "h", 0},     /* ħ */
	{0x0131, "i", 0},     /* ı */
	{0x0138, "q", 0},     /* ĸ */
	{0x0142, "l", 0},     /* ł */
	{0x014b, "n", 0},     /* ŋ */
	{0x0153, "oe", 0},    /* œ */
	{0x0167, "t", 0},     /* ŧ */
	{0x0180, "b", 0},     /* ƀ */
	{0x0199, "k", 0},     /* ƙ */
	{0x01b4, "y", 0},     /* ƴ */
	{0x01dd, "e", 0},     /* ǝ */
	{0x01e5, "g", 0},     /* ǥ */
	{0x0253, "b", 0},     /* ɓ */
	{0x0254, "o", 0},     /* ɔ */
	{0x0256, "d", 0},     /* ɖ */
	{0x0257, "d", 0},     /* ɗ */
	{0x0259, "e", 0},     /* ə */
	{0x025b, "e", 0},     /* ɛ */
	{0x0268, "i", 0},     /* ɨ */
	{0x02bb, "'", 0},     /* ʻ */
	{0x02bc, "'", 0},     /* ʼ */
	{0x05da, "", 0x05db}, /* Hebrew letters in their form at the end of a word */
	{0x05dd, "", 0x05de}, {0x05df, "", 0x05e0}, {0x05e3, "", 0x05e4},
	{0x05e5, "", 0x05e6}, {0x0629, "", 0x0647}, /* ta marbuta as ha */
	{0x0640, "", 0},                            /* tatweel only stretches */
	{0x0649, "", 0x064a},                       /* alef maksura as ya */
	{0x0671, "", 0x0627},                       /* alef wasla */
	{0x06a9, "", 0x0643},                       /* Persian keheh and yeh */
	{0x06cc, "", 0x064a}, {0x2010, "-", 0},     {0x2011, "-", 0},
	{0x2012, "-", 0},     {0x2013, "-", 0},     {0x2014, "-", 0},
	{0x2018, "'", 0},     {0x2019, "'", 0},     {0x2212, "-", 0},
};

static const struct plain_letter *plain_letter(UChar32 c)
{
	size_t low = 0, high = sizeof(plain_letters) / sizeof(plain_letters[0]);

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (plain_letters[mid].from == c)
			return &plain_letters[mid];
		if (plain_letters[mid].from < c)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static bool is_accent(UChar32 c)
{
	UErrorCode err = U_ZERO_ERROR;

	if (u_charType(c) != U_NON_SPACING_MARK)
		return false;
	switch ((int)uscript_getScript(c, &err)) {
	case USCRIPT_INHERITED:
		return c != 0x3099 && c != 0x309a;
	case USCRIPT_LATIN:
	case USCRIPT_GREEK:
	case USCRIPT_CYRILLIC:
	case USCRIPT_HEBREW:
	case USCRIPT_ARABIC:
	case USCRIPT_SYRIAC:
		return true;
	default:
		return false;
	}
}

int32_t text_plain(UChar32 c, UChar out[static 2])
{
	const struct plain_letter *plain;
	int32_t n = 0, digit;
	const char *to;

	if (is_accent(c))
		return 0;
	plain = plain_letter(c);
	digit = u_charDigitValue(c);
	if (plain != NULL) {
		for (to = plain->to; *to != '\0'; to++)
			out[n++] = (UChar)*to;
		if (plain->letter != 0)
			out[n++] = plain->letter;
	} else if (digit >= 0 && u_charType(c) == U_DECIMAL_DIGIT_NUMBER) {
		out[n++] = (UChar)('0' + digit);
	} else {
		U16_APPEND_UNSAFE(out, n, c);
	}
	return n;
}
