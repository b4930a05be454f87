/* For the commands that sign in: set-up, sign-in, the demo. */
#ifndef SAKIMORI_NET_H
#define SAKIMORI_NET_H
#include "sakimori/cli.h"
/* The session of the cookie that a call brought needs this with every change. */
void cli_use_csrf(struct cli *c, const char *csrf);
/* Drop token, cookie and csrf of this process (files stay). */
void cli_forget_session(struct cli *c);
#endif
