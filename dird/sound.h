/*
 * What sounds alike, for approximate matches (`~=`): Cologne phonetics, word by word.
 *
 * Every word of the folded text without accents (lib/text.h) becomes digits for groups of
 * consonants that are confused: Meyer, Maier and Mayr are 67, Schmidt and Smith are 862, Stephen
 * and Steven are 8236. It suits the names of most languages in Latin letters; letters of other
 * scripts stand for themselves. Pure.
 *
 * Source:  H. J. Postel, "Die Kölner Phonetik", IBM-Nachrichten 19 (1969).
 */
#pragma once

#include "lib/buf.h"

/**
 * Append the sound of a text: for each word its first letter, its code and a space. A word of one
 * letter has no code, it is an initial. What is neither letter, mark nor digit ends a word, but for
 * the apostrophe, which is dropped.
 * Errors   RC_INVALID: not UTF-8 or a prohibited code point. RC_NOMEM, RC_TOOBIG from `out`.
 */
int sound_code(struct span text, struct buf *out) WARN_UNUSED;

/**
 * Do the words of `want` occur in `have`, in that order, others between them or not? Both as
 * sound_code() makes them. An initial stands for every word that begins with it, on both sides.
 */
bool sound_match(struct span want, struct span have);
