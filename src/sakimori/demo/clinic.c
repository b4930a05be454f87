#include "sakimori/commands.h"
int cmd_demo_clinic(struct cli *c) { (void)c; return CLI_FAILED; }
