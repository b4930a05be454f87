/* The steps from an empty file to the newest tables; step i brings version i to i + 1. */
#ifndef STATE_SCHEMA_H
#define STATE_SCHEMA_H
extern const char *const state_schema[];
extern const unsigned state_schema_n;
#endif
