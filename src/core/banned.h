/* Calls that must not appear in this tree.  Included by core/err.h, and so everywhere. */
#ifndef SM_CORE_BANNED_H
#define SM_CORE_BANNED_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strtok
#undef gets
#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets system popen atoi atol
#endif
