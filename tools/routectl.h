/* The verbs of routectl, one file each. Exit status: 0 fine, 1 done but with complaints, 2 failed.
 */
#pragma once

/* argv[0] is the verb. */
int routectl_compute(int argc, char **argv);
int routectl_diff(int argc, char **argv);
int routectl_trace(int argc, char **argv);
int routectl_simulate(int argc, char **argv);
int routectl_import_reg(int argc, char **argv);
int routectl_check(int argc, char **argv);
int routectl_show(int argc, char **argv);
int routectl_explain(int argc, char **argv);
int routectl_status(int argc, char **argv);
int routectl_history(int argc, char **argv);
int routectl_recalc(int argc, char **argv);
int routectl_resync(int argc, char **argv);
int routectl_accept(int argc, char **argv);
