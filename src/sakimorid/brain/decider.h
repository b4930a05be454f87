/*
 * Joins the rooms api and decide: what the API asks for by name and JSON, decide answers.
 *
 *   what       in                                                          answer
 *   signal     {id, at_s, rule, level: word, stage: tag, entities}         {what, incident?, severity?, tell: [opened, call, impact], adopted: [ids], merged: [ids],
 *                                                                           given_up?, filter?}; what: filtered, waits, opened, joined, folded
 *   incident   {id}                                                        {id, first_s, last_s, score, severity: look|call, stage, stages: [tags], signals, entities,
 *                                                                           title: {ja, en}, steps: {ja, en: [{id, title, detail, link}]}}
 *   close      {id}                                                        {}
 *   dump       {id}                                                        what restore takes
 *   restore    a dump                                                      {}
 *   filter     {id, rule, entities}                                        {}
 *   unfilter   {id}                                                        {}
 *   suggest    {entities}                                                  {entities}: what a filter would hold at its most particular
 *   common     {entities}                                                  {}: these join nothing
 *   alias      {address, host, at_s}                                       {}
 *
 * entities: [[kind, text] …], kind one of host, account, address, process.  Errors are those of decide.h, and -SM_EINVAL for a name or
 * body that is not one of these.
 */
#ifndef SAKIMORID_BRAIN_DECIDER_H
#define SAKIMORID_BRAIN_DECIDER_H
#include <jansson.h>
#include "core/err.h"

/* arg: a struct decide.  *ret is the caller's. */
sm_must_use int decider_ask(void *arg, const char *what, const json_t *in, json_t **ret);
#endif
