/*
 * How many connections there are, in all and from one address (requirement S8).
 *
 * Local sockets are not counted: the administrator of the machine always comes in. IPv6 addresses
 * count by their first 64 bits, which is what one host has. From any thread.
 */
#pragma once

#include "lib/rc.h"
#include "lib/span.h"

#include <sys/socket.h>

struct peers;

/** Where a connection comes from: an IPv4 address or the first half of an IPv6 address, with its
 * family; all zero: not counted. */
struct peer {
	uint8_t family, address[8];
};

/** 0: no limit. */
struct peers_limits {
	unsigned all, each;
};

int peers_new(const struct peers_limits *limits, struct peers **out) WARN_UNUSED;
void peers_free(struct peers **p);

/** The counted part of a socket address. */
struct peer peer_of(const struct sockaddr *sa);

/**
 * One more connection. *n_out: how many there are by then.
 * Returns  RC_OK; RC_FULL: the limit of all is reached; RC_BUSY: that of its address; RC_NOMEM.
 */
int peers_enter(struct peers *p, const struct peer *from, unsigned *n_out) WARN_UNUSED;
/** One less; also for one that is not counted. */
void peers_leave(struct peers *p, const struct peer *from);
/** Connections from everywhere. */
unsigned peers_count(struct peers *p);
