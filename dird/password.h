/*
 * Hashes of userPassword values and of the administrator's password.
 *
 *   {PBKDF2-SHA512}100000$<salt>$<hash>      what is made here (adapted base64, no padding)
 *   {PBKDF2-SHA256} {PBKDF2-SHA512} {PBKDF2} {SSHA} {SSHA256} {SSHA512} {SHA}   also verified
 *
 * Making one, and verifying one of PBKDF2, takes tens of milliseconds on purpose: never on a loop's
 * thread. The others are a digest, work of a microsecond.
 */
#pragma once

#include "lib/rc.h"
#include "lib/span.h"

#define PASSWORD_HASH_BYTES 192

/** Does a stored value begin with one of the schemes above? Otherwise it is clear text. */
bool password_is_hash(struct span stored);

/** A new salted hash as text with NUL. RC_INVALID: empty or longer than 1024 bytes; RC_IO. */
int password_hash(struct span password, char out[static PASSWORD_HASH_BYTES]) WARN_UNUSED;

/**
 * Does the password fit the stored value? A malformed hash fits nothing. A value without a scheme
 * is compared as it is.
 */
bool password_verify(struct span stored, struct span password);

/** Is it verified by one digest or less? Clear text and what is malformed are, too. */
bool password_is_cheap(struct span stored);

/** As long as password_verify() of a hash made here: nobody learns that a name does not exist. */
void password_verify_nothing(struct span password);
