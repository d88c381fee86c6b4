/*
 * The routing table of a site: immutable rows, looked up, compared, saved, printed.
 *
 * compute fills one; after that nobody changes it, and any number of readers may use it. A newer
 * table replaces it as a whole.
 *
 * Rows are sorted by class, type, target, and for one target in the order in which candidates are
 * tried. Texts are numbered; equal tables have equal numbers, so tables compare as bytes. Paths
 * share their beginnings:
 *
 *   row.step ──► step {name "Hub/IMS Hub", parent} ──► step {name "Site1/IMS Site1", parent = none}
 *
 * On disk (table_write, little-endian): "WPRT", u32 version, u64 length, u64 CRC-64/XZ of what
 * follows, then the counts, rows, steps, domains, pins, text lengths, text bytes.
 */
#pragma once

#include "lib/arena.h"
#include "lib/buf.h"

#define TABLE_MAX_BYTES ((size_t)1 << 30)
#define TABLE_NONE UINT32_MAX

enum table_class { TABLE_SYSTEM, TABLE_USER };
#define TABLE_CLASSES 2

enum table_mode {
	TABLE_DIRECT,    /* one hop to the target site's own mail exchanger */
	TABLE_CONNECTED, /* to the first connected domain on the chain */
	TABLE_NO_ROUTE,
	TABLE_LOCAL_SPACE, /* an address space of this site's own connector */
};

/*   enum                      text, as printed. Of a site's user row: the first that applies. */
#define TABLE_REASON_MAP(X)                                                                        \
	X(TABLE_OK, "OK")                                                                          \
	X(TABLE_IS_SYSTEM, "SYSTEM")                                                               \
	X(TABLE_IS_SPACE, "SPACE")                                                                 \
	X(TABLE_NO_PATH, "NO_ROUTE")                                                               \
	X(TABLE_FIRST_HOP_NOT_IMS, "FIRST_HOP_NOT_IMS")                                            \
	X(TABLE_FLAG_OFF, "FLAG_OFF")                                                              \
	X(TABLE_SMART_HOST, "SMART_HOST")                                                          \
	X(TABLE_MIXED_PATH, "MIXED_PATH")                                                          \
	X(TABLE_SITE_NOT_LIVE, "SITE_NOT_LIVE")                                                    \
	X(TABLE_NO_INBOUND_IMS, "NO_INBOUND_IMS")                                                  \
	X(TABLE_NO_SITE_DOMAIN, "NO_SITE_DOMAIN")                                                  \
	X(TABLE_SHARED_DOMAIN, "SHARED_DOMAIN")                                                    \
	X(TABLE_DNS_UNCONFIRMED, "DNS_UNCONFIRMED")                                                \
	X(TABLE_DNS_UNHEALTHY, "DNS_UNHEALTHY")                                                    \
	X(TABLE_DAMPENED, "DAMPENED")

enum table_reason {
#define TABLE_REASON_ENUM(name, text) name,
	TABLE_REASON_MAP(TABLE_REASON_ENUM)
#undef TABLE_REASON_ENUM
};
#define TABLE_REASONS (TABLE_DAMPENED + 1)

enum table_hop {
	TABLE_HOP_NONE,
	TABLE_HOP_MX,   /* "mx:<domain>"; "mx:" is the recipient's own domain */
	TABLE_HOP_HOST, /* "host:<host>" or "host:[host]:port" */
	TABLE_HOP_TYPE, /* "<TYPE>:<routing address>" of a connector that is not SMTP */
};

/** Texts are numbers for table_text(); TABLE_NONE where there is none. */
struct table_row {
	uint32_t type;      /* "EX" of a site row, else the type of an address space */
	uint32_t target;    /* a site's name, or a pattern */
	uint32_t cost;      /* TABLE_NONE: no route */
	uint32_t hops;      /* sites crossed; 1 of a direct route; TABLE_NONE: no route */
	uint32_t nexthop;   /* as printed, with its prefix */
	uint32_t connector; /* RDN value of the first connector */
	uint32_t transport; /* the first connector's mtaTransport */
	uint32_t step;      /* last step of the path; TABLE_NONE: no edges */
	uint32_t next;      /* name of the site that gets the mail next; TABLE_NONE: none does */
	uint8_t cls;        /* enum table_class */
	uint8_t mode;       /* enum table_mode */
	uint8_t reason;     /* enum table_reason */
	uint8_t hop;        /* enum table_hop, the kind of nexthop */
};

struct table_step {
	uint32_t parent; /* the step before, TABLE_NONE for the first */
	uint32_t name;   /* "site/connector" */
};

enum table_owner {
	TABLE_OWNER_LOCAL, /* the domain of this site alone */
	TABLE_OWNER_SITE,  /* of one other site */
	TABLE_OWNER_MANY,  /* shared: the recipient's home has to be found in the directory */
};

/** A mail domain of the organisation, folded; sorted by domain. */
struct table_domain {
	uint32_t domain;
	uint32_t row[TABLE_CLASSES]; /* first row of the site; TABLE_NONE unless TABLE_OWNER_SITE */
	uint32_t owner;              /* enum table_owner */
	uint32_t tls; /* text, MODEL_TLS_UNKNOWN or Postfix's words; TABLE_NONE: nothing stated */
};

/** domainRoute of a local connector; sorted by connector, domain. */
struct table_pin {
	uint32_t connector;
	uint32_t domain; /* folded */
	uint32_t host;
};

struct table_index;

/* Arrays on the heap, of a computed table; of a table that was read they lie in its arena. */
enum table_block {
	TABLE_BLOCK_ROWS,
	TABLE_BLOCK_STEPS,
	TABLE_BLOCK_DOMAINS,
	TABLE_BLOCK_PINS,
	TABLE_BLOCK_SYSTEMS,
	TABLE_BLOCK_TEXTS,
};
#define TABLE_BLOCKS 6

struct table {
	struct arena arena;         /* owns all of it, but for: */
	void *blocks[TABLE_BLOCKS]; /* private: enum table_block, or NULL */
	uint32_t site;              /* text: name of the site whose table it is */
	struct table_row *rows;
	uint32_t nrows;
	struct table_step *steps;
	uint32_t nsteps;
	struct table_domain *domains;
	uint32_t ndomains;
	struct table_pin *pins;
	uint32_t npins;
	uint32_t *systems; /* texts: folded systemAddress values of all sites, sorted */
	uint32_t nsystems;
	struct span *texts;
	uint32_t ntexts;
	struct table_index *index; /* private, of table_lookup.c */
};

enum table_status {
	TABLE_FOUND,  /* row is the first candidate */
	TABLE_LOCAL,  /* a recipient of this site */
	TABLE_SHARED, /* the domain is of several sites: find the recipient in the directory */
	TABLE_ABSENT, /* this table is complete and has no answer */
};

struct table_result {
	enum table_status status;
	const struct table_row *row; /* of TABLE_FOUND; mode TABLE_NO_ROUTE is possible */
	uint32_t nrows;              /* equal candidates, row[0..nrows) */
	enum table_hop hop;  /* row's, but for a domainRoute of the recipient's own domain */
	struct span nexthop; /* without its prefix: domain, host, or routing address */
};

/** Free it and clear the pointer; NULL is fine. */
void table_free(struct table **t);

/** The text of this number, borrowed from the table; empty for TABLE_NONE. */
static inline struct span table_text(const struct table *t, uint32_t text)
{
	return text != TABLE_NONE ? t->texts[text] : (struct span){NULL, 0};
}

/** "user", "system"; "direct", …; "OK", … . Never NULL. */
const char *table_class_name(enum table_class cls);
const char *table_mode_name(enum table_mode mode);
const char *table_reason_name(enum table_reason reason);

/** Equal in everything that is printed, saved or answered? */
bool table_equal(const struct table *a, const struct table *b);

/** Rows that lead somewhere. A new table with far fewer of them deserves an operator's look. */
uint32_t table_routes(const struct table *t);

/**
 * Route a mail address for one message class (R7): an exact address space; the domain of a site;
 * the wildcard address space with most literal characters; the blank space. Only type SMTP.
 * A site without a route is looked up among the wildcard spaces, too (R12, class user only).
 *
 * Costs    no allocation for an ASCII address of usual length. Any thread.
 * Returns  RC_OK with *out (spans belong to the table). RC_INVALID: not UTF-8, or not of the form
 *          local@domain. RC_NOMEM.
 */
int table_lookup(const struct table *t, struct span address, enum table_class cls,
		 struct table_result *out) WARN_UNUSED;

/** What `row`, one of several candidates, answers for mail to `domain` (folded); nrows is 1. */
void table_candidate(const struct table *t, const struct table_row *row, struct span domain,
		     struct table_result *out);

/** The rows of a site, by name in any case. TABLE_FOUND, TABLE_LOCAL or TABLE_ABSENT. Reads the
 * whole table: for people, not for mail. */
int table_lookup_site(const struct table *t, struct span site, enum table_class cls,
		      struct table_result *out) WARN_UNUSED;

/**
 * What the site of this folded domain states about TLS for mail to it, in the words of Postfix's
 * policy table; "?" if its minimum cannot be kept; empty if it states none.
 * Returns  false: the domain is of no site.
 */
bool table_tls(const struct table *t, struct span domain, struct span *out);

/** The class of a message to or from this address: system if a site lists it as systemAddress. */
enum table_class table_classify(const struct table *t, struct span address);

/**
 * Append what Postfix's transport(5) wants for a TABLE_FOUND result:
 *   mx:hub.example.com -> smtp:hub.example.com      mx: -> smtp:
 *   host:relay         -> smtp:[relay]              host:[relay]:2525 -> smtp:[relay]:2525
 *   X400:c=us          -> <mtaTransport>:c=us, or x400:c=us
 * Nothing is appended for a row without a route.
 */
void table_transport(const struct table *t, const struct table_result *r, struct buf *out);

/** One row as a JSON object with the keys that docs/routing.md lists, in order; no line end. */
void table_row_json(const struct table *t, const struct table_row *row, struct buf *out);

/** All rows, one object a line. */
void table_json(const struct table *t, struct buf *out);

/** Append s as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD. */
void table_json_string(struct span s, struct buf *out);

/** Append the saved form. */
void table_write(const struct table *t, struct buf *out);

/**
 * Read a saved form. RC_CORRUPT: damaged, cut short or inconsistent. RC_UNSUPPORTED: written by
 * another version. RC_NOMEM.
 */
int table_read(struct span saved, struct table **out) WARN_UNUSED;

/**
 * table_write() to a file, atomically; table_read() from it. Errors also of file_replace() and
 * file_read().
 */
int table_save(const struct table *t, const char *path) WARN_UNUSED;
int table_load(const char *path, struct table **out) WARN_UNUSED;

struct map;

/**
 * Fill t->index from the rest; compute and table_read call it. `domains` may hold the domains as
 * keys (t's own texts) and their places as values: it is taken over then, and is empty afterwards.
 */
int table_index(struct table *t, struct map *domains) WARN_UNUSED;
