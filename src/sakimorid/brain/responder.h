/*
 * Joins the rooms api and respond.
 *
 *   what      in                              answer
 *   actions   {}                              {items: [{name, title: {ja, en}, undo, params: [{name, needed, one_of: [words] | null, title: {ja, en}}]}]}
 *   check     {action, params}                {}
 *   plan      {action, params, incident}      a plan (respond/respond.h)
 *
 * Errors are those of respond.h; ret_why has RESPOND_WHY bytes.
 */
#ifndef SAKIMORID_BRAIN_RESPONDER_H
#define SAKIMORID_BRAIN_RESPONDER_H
#include <jansson.h>
#include "core/err.h"

sm_must_use int responder_ask(const char *what, const json_t *in, json_t **ret, char *ret_why);
#endif
