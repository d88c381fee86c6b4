/* The verbs of routectl, one file each. Exit status: 0 fine, 1 done but with complaints, 2 failed.
 */
#pragma once

/* argv[0] is the verb. */
int routectl_compute(int argc, char **argv);
