/* The inputs there are: one file and one row each. */
#include "sakimori-agent/logs/logs.h"

const struct log_input *const log_inputs[] = {&log_input_file, &log_input_audit, &log_input_journald, NULL};

const struct log_input *log_input_named(const char *name)
{
    for (size_t i = 0; log_inputs[i]; i++)
        if (strcmp(log_inputs[i]->name, name) == 0)
            return log_inputs[i];
    return NULL;
}
