#include "tests/bench/people.h"

#include "lib/base64.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static const char *const heads[] = {"al", "an",  "be", "bri", "ca", "chris", "da", "do",
				    "el", "fra", "ga", "gre", "ha", "hen",   "i",  "ja",
				    "jo", "ka",  "le", "lu",  "ma", "mi",    "na", "o",
				    "pa", "ra",  "ro", "sa",  "so", "the",   "vi", "wil"};
static const char *const middles[] = {"",    "ber", "cel", "di", "fi",  "ge",  "lan", "lis",
				      "mon", "na",  "nel", "ri", "ron", "sti", "ta",  "tri"};
static const char *const tails[] = {"a",    "an",  "ard", "as",   "da",  "el",   "er",   "ez",
				    "ia",   "ine", "ing", "ison", "ka",  "ke",   "lyn",  "man",
				    "mer",  "ner", "o",   "on",   "rd",  "s",    "ski",  "son",
				    "ster", "th",  "ton", "us",   "vic", "well", "wood", "y"};
static const char *const abroad_given[] = {"José",   "Zoë",  "Jürgen", "Åsa",
					   "Łukasz", "Иван", "Ελένη",  "Çiğdem"};
static const char *const abroad_family[] = {"Müller", "Núñez", "Dvořák",   "Ørsted",
					    "Żak",    "Мороз", "Γεωργίου", "Öztürk"};
static const char *const han_given[] = {"秀英", "丽华", "建国", "志强"};
static const char *const han_family[] = {"王", "李", "张", "刘"};

uint64_t people_mix(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15u + b * 0xc2b2ae3d27d4eb4fu + 1;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Small numbers are more frequent than large ones, as with names. */
static unsigned skewed(uint64_t bits, unsigned n)
{
	uint64_t a = bits & 0xffff, b = bits >> 16 & 0xffff;

	return (unsigned)((a < b ? a : b) * n >> 16);
}

static void name(uint64_t bits, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s", heads[skewed(bits, 32)], middles[skewed(bits >> 20, 16)],
		 tails[bits >> 56 & 31]);
	out[0] = (char)(out[0] - 'a' + 'A');
}

static void describe(uint64_t i, char *out, size_t size)
{
	size_t n = 0;
	unsigned k;
	char word[48];

	for (k = 0; k < 38 && n + sizeof(word) < size; k++) {
		name(people_mix(i, 100 + k), word, sizeof(word));
		n += (size_t)snprintf(out + n, size - n, "%s%s", k != 0 ? " " : "", word);
	}
}

void people_make(uint64_t i, struct person *p)
{
	static const char *const titles[] = {"Engineer",  "Accountant", "Director", "Consultant",
					     "Assistant", "Manager",    "Analyst",  "Clerk"};
	uint64_t kind = people_mix(i, 3);
	char latin[48];
	char *c;

	name(people_mix(i, 1), p->given, sizeof(p->given));
	name(people_mix(i, 2), p->family, sizeof(p->family));
	snprintf(latin, sizeof(latin), "%s", p->family);
	if (kind % 64 == 0) {
		snprintf(p->given, sizeof(p->given), "%s", han_given[kind >> 8 & 3]);
		snprintf(p->family, sizeof(p->family), "%s", han_family[kind >> 16 & 3]);
	} else if (kind % 32 == 1) {
		snprintf(p->given, sizeof(p->given), "%s", abroad_given[kind >> 8 & 7]);
		snprintf(p->family, sizeof(p->family), "%s", abroad_family[kind >> 16 & 7]);
	}
	snprintf(p->uid, sizeof(p->uid), "%.8s%llu", latin, (unsigned long long)i);
	snprintf(p->mail, sizeof(p->mail), "%s.%llu@site%llu.example.com", latin,
		 (unsigned long long)i, (unsigned long long)(i % 40));
	for (c = p->uid; *c != '\0'; c++)
		*c = (char)span_ascii_lower((uint8_t)*c);
	for (c = p->mail; *c != '\0'; c++)
		*c = (char)span_ascii_lower((uint8_t)*c);
	snprintf(p->title, sizeof(p->title), "%s", titles[kind >> 24 & 7]);
}

void people_cn(const struct person *p, char out[static 128])
{
	snprintf(out, 128, "%s %s", p->given, p->family);
}

/* {SSHA}: base64 of SHA-1 of password and salt, then the salt. */
static const char *password(void)
{
	static char text[64];
	uint8_t in[64], digest[20 + 8];
	size_t n = strlen(PEOPLE_PASSWORD);
	struct buf b;

	if (text[0] != '\0')
		return text;
	memcpy(in, PEOPLE_PASSWORD, n);
	memcpy(in + n, "saltsalt", 8);
	memcpy(digest + 20, "saltsalt", 8);
	must(EVP_Digest(in, n + 8, digest, NULL, EVP_sha1(), NULL) == 1);
	buf_init(&b, 256);
	base64_encode(span_make(digest, sizeof(digest)), &b);
	snprintf(text, sizeof(text), "{SSHA}%s", buf_cstr(&b));
	buf_fini(&b);
	return text;
}

unsigned people_attrs(uint64_t i, const struct person *p, char scratch[static PEOPLE_SCRATCH],
		      const char *out[static PEOPLE_ATTRS * 2])
{
	char *phone = scratch, *number = scratch + 64, *room = scratch + 128, *post = scratch + 256,
	     *cn = scratch + 512, *about = scratch + 1024;
	const char *all[] = {"objectClass",
			     "inetOrgPerson",
			     "cn",
			     cn,
			     "sn",
			     p->family,
			     "givenName",
			     p->given,
			     "displayName",
			     cn,
			     "mail",
			     p->mail,
			     "uid",
			     p->uid,
			     "title",
			     p->title,
			     "telephoneNumber",
			     phone,
			     "employeeNumber",
			     number,
			     "roomNumber",
			     room,
			     "postalAddress",
			     post,
			     "description",
			     about,
			     "userPassword",
			     password()};

	people_cn(p, cn);
	describe(i, about, 512);
	snprintf(phone, 64, "+49 30 %07llu", (unsigned long long)(people_mix(i, 4) % 10000000));
	snprintf(number, 64, "%llu", (unsigned long long)i);
	snprintf(room, 64, "B%llu-%03llu", (unsigned long long)(i % 7),
		 (unsigned long long)(i % 300));
	snprintf(post, 256, "Example$%llu Long Street$%05llu Sometown",
		 (unsigned long long)(i % 900), (unsigned long long)(people_mix(i, 5) % 100000));
	memcpy(out, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]) / 2;
}
