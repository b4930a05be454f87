/* The tables, version by version: append a step, never change one that was shipped. */
#include "state/schema.h"

static const char v1[] =
    "CREATE TABLE migrations(version INTEGER PRIMARY KEY, at_s INTEGER NOT NULL);"
    "CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE people(id TEXT PRIMARY KEY, account TEXT NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL"
    " CHECK(role IN ('director','manager','staff','vendor')), until_s INTEGER, pass TEXT NOT NULL,"
    " must_change INTEGER NOT NULL DEFAULT 0, totp_secret TEXT, totp_on INTEGER NOT NULL DEFAULT 0,"
    " totp_counter INTEGER NOT NULL DEFAULT 0, once TEXT, created_s INTEGER NOT NULL, last_s INTEGER,"
    " removed INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE sessions(hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL"
    " CHECK(kind IN ('person','token','setup','counter')), person TEXT REFERENCES people(id) ON DELETE CASCADE,"
    " csrf TEXT NOT NULL, created_s INTEGER NOT NULL, last_s INTEGER NOT NULL, ends_s INTEGER NOT NULL,"
    " remote TEXT, label TEXT);"
    "CREATE TABLE fails(key TEXT PRIMARY KEY, n INTEGER NOT NULL, until_s INTEGER NOT NULL, last_s INTEGER NOT NULL);"
    "CREATE TABLE join_codes(hash TEXT PRIMARY KEY, name TEXT NOT NULL, days INTEGER NOT NULL, until_s INTEGER NOT "
    "NULL,"
    " used_s INTEGER, made_by TEXT, created_s INTEGER NOT NULL);"
    "CREATE TABLE devices(id TEXT PRIMARY KEY, client TEXT NOT NULL UNIQUE, name TEXT NOT NULL, hostname TEXT,"
    " os TEXT, machine_id TEXT, agent_version TEXT, sign_pub TEXT NOT NULL, cert TEXT NOT NULL UNIQUE, cert_old TEXT,"
    " cert_until_s INTEGER NOT NULL, days INTEGER NOT NULL, state TEXT NOT NULL CHECK(state IN ('joined','revoked')),"
    " created_s INTEGER NOT NULL, last_seen_s INTEGER, confined TEXT, boot_id TEXT, features TEXT, last_error TEXT,"
    " reason TEXT);"
    "CREATE INDEX devices_cert_old ON devices(cert_old);"
    "CREATE TABLE sources(id TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES devices(id), name TEXT NOT NULL,"
    " grp TEXT NOT NULL, kind TEXT NOT NULL, paths TEXT NOT NULL, include TEXT NOT NULL, exclude TEXT NOT NULL,"
    " schedule TEXT NOT NULL, responsible TEXT, canaries INTEGER NOT NULL, bandwidth INTEGER NOT NULL,"
    " one_fs INTEGER NOT NULL, enabled INTEGER NOT NULL, removed INTEGER NOT NULL DEFAULT 0,"
    " created_s INTEGER NOT NULL, next_s INTEGER, last TEXT, clean TEXT, last_s INTEGER, last_ok_s INTEGER, fails "
    "INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE runs(id TEXT PRIMARY KEY, source TEXT NOT NULL REFERENCES sources(id),"
    " device TEXT NOT NULL REFERENCES devices(id), kind TEXT NOT NULL, state TEXT NOT NULL, by TEXT,"
    " created_s INTEGER NOT NULL, started_s INTEGER, finished_s INTEGER, progress TEXT, problems TEXT,"
    " problems_total INTEGER NOT NULL DEFAULT 0, manifest TEXT, counters TEXT, cancel INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX runs_source ON runs(source, created_s); CREATE INDEX runs_state ON runs(state);"
    "CREATE TABLE uploads(session TEXT PRIMARY KEY, run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,"
    " device TEXT NOT NULL, source TEXT NOT NULL, number INTEGER NOT NULL, made_s INTEGER NOT NULL, manifest TEXT);"
    "CREATE TABLE restores(id TEXT PRIMARY KEY, manifest TEXT NOT NULL, device TEXT NOT NULL REFERENCES devices(id),"
    " client TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL, by TEXT, created_s INTEGER NOT NULL,"
    " started_s INTEGER, finished_s INTEGER, progress TEXT, problems TEXT, set_aside INTEGER, skipped INTEGER,"
    " ms INTEGER, cancel INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE orders(id TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES devices(id), kind TEXT NOT NULL,"
    " ref TEXT NOT NULL, body TEXT NOT NULL, sig TEXT NOT NULL, issued_s INTEGER NOT NULL, not_after_s INTEGER NOT "
    "NULL,"
    " state TEXT NOT NULL, sent_s INTEGER, detail TEXT);"
    "CREATE INDEX orders_device ON orders(device, state);"
    "CREATE TABLE alarms(id TEXT PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL"
    " CHECK(state IN ('look','call')), opened_s INTEGER NOT NULL, closed_s INTEGER, seen_s INTEGER, source TEXT,"
    " device TEXT, manifest TEXT, facts TEXT NOT NULL, times INTEGER NOT NULL DEFAULT 1, told TEXT, note TEXT, by "
    "TEXT);"
    "CREATE UNIQUE INDEX alarms_open ON alarms(key) WHERE closed_s IS NULL;"
    "CREATE TABLE tasks(id TEXT PRIMARY KEY, kind TEXT NOT NULL, ref TEXT NOT NULL DEFAULT '', made_s INTEGER NOT NULL,"
    " done_s INTEGER, later_s INTEGER, by TEXT, UNIQUE(kind, ref, done_s));"
    "CREATE TABLE outbox(id TEXT PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, made_s INTEGER NOT NULL,"
    " tries INTEGER NOT NULL DEFAULT 0, next_s INTEGER NOT NULL, done_s INTEGER, detail TEXT);"
    "CREATE TABLE refusals(id INTEGER PRIMARY KEY, device TEXT NOT NULL, at_s INTEGER NOT NULL, what TEXT NOT NULL);"
    "CREATE INDEX refusals_device ON refusals(device, at_s);";

static const char v2[] =
    /* Sessions may also be those of a monitoring system: the list of kinds moves out of the table, into the program. */
    "CREATE TABLE sessions_2(hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
    " person TEXT REFERENCES people(id) ON DELETE CASCADE, csrf TEXT NOT NULL, created_s INTEGER NOT NULL,"
    " last_s INTEGER NOT NULL, ends_s INTEGER NOT NULL, remote TEXT, label TEXT);"
    "INSERT INTO sessions_2 SELECT hash, id, kind, person, csrf, created_s, last_s, ends_s, remote, label FROM sessions;"
    "DROP TABLE sessions; ALTER TABLE sessions_2 RENAME TO sessions;"
    /* What belongs to the kind of a source (src/api/source_kinds.c). */
    "ALTER TABLE sources ADD COLUMN options TEXT NOT NULL DEFAULT '{}';"
    "CREATE TABLE drills(id TEXT PRIMARY KEY REFERENCES restores(id), manifest TEXT NOT NULL, source TEXT NOT NULL,"
    " device TEXT NOT NULL, plan TEXT NOT NULL, by TEXT NOT NULL, created_s INTEGER NOT NULL, finished_s INTEGER,"
    " ok INTEGER NOT NULL DEFAULT 0, report TEXT, hash TEXT);"
    "CREATE INDEX drills_manifest ON drills(manifest);"
    /* Copies of the vault; place: a path or the UUID of a disk; hour: -1 after each backup; state: facts as JSON. */
    "CREATE TABLE copies(id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, place TEXT NOT NULL,"
    " elsewhere INTEGER NOT NULL DEFAULT 0, hour INTEGER NOT NULL DEFAULT -1, max_days INTEGER NOT NULL,"
    " enabled INTEGER NOT NULL DEFAULT 1, created_s INTEGER NOT NULL, removed INTEGER NOT NULL DEFAULT 0,"
    " state TEXT NOT NULL DEFAULT '{}');"
    "CREATE UNIQUE INDEX copies_place ON copies(kind, place) WHERE removed=0;"
    "CREATE TABLE copy_runs(id TEXT PRIMARY KEY, copy TEXT NOT NULL REFERENCES copies(id), what TEXT NOT NULL,"
    " by TEXT, state TEXT NOT NULL, started_s INTEGER NOT NULL, finished_s INTEGER, facts TEXT);"
    "CREATE INDEX copy_runs_copy ON copy_runs(copy, started_s);";

static const char v3[] =
    /* Other boxes whose copies are kept here, and the codes that let one in (peer: of one that is known). */
    "CREATE TABLE peers(id TEXT PRIMARY KEY, name TEXT NOT NULL, vault TEXT NOT NULL, head_pub TEXT NOT NULL,"
    " cert TEXT NOT NULL UNIQUE, cert_until_s INTEGER NOT NULL, quota INTEGER NOT NULL,"
    " accepting INTEGER NOT NULL DEFAULT 1, institution TEXT NOT NULL, created_s INTEGER NOT NULL, last_s INTEGER,"
    " remote TEXT, made_by TEXT, state TEXT NOT NULL DEFAULT '{}');"
    "CREATE TABLE peer_codes(hash TEXT PRIMARY KEY, name TEXT NOT NULL, quota INTEGER NOT NULL, until_s INTEGER NOT NULL,"
    " used_s INTEGER, made_by TEXT, created_s INTEGER NOT NULL, peer TEXT);";

static const char v4[] =
    /* Signals of rules (what: filtered, waits, opened, joined, folded, booked) and what became of them; title, text: {ja, en}. */
    "CREATE TABLE signals(id INTEGER PRIMARY KEY, at_s INTEGER NOT NULL, seen_s INTEGER NOT NULL, rule TEXT NOT NULL,"
    " level TEXT NOT NULL, stage TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL, entities TEXT NOT NULL,"
    " facts TEXT NOT NULL, what TEXT NOT NULL, incident INTEGER, filter INTEGER, booked TEXT, times INTEGER NOT NULL DEFAULT 1,"
    " last_s INTEGER NOT NULL);"
    "CREATE INDEX signals_incident ON signals(incident, at_s); CREATE INDEX signals_seen ON signals(seen_s);"
    /* dump: what decide needs to go on after a start; facts: title, steps and entities as they were last; into_id: merged. */
    "CREATE TABLE incidents(id INTEGER PRIMARY KEY, state TEXT NOT NULL, severity TEXT NOT NULL, opened_s INTEGER NOT NULL,"
    " first_s INTEGER NOT NULL, last_s INTEGER NOT NULL, closed_s INTEGER, verdict TEXT, by TEXT, note TEXT, into_id INTEGER,"
    " own_alarm INTEGER NOT NULL DEFAULT 0, dump TEXT NOT NULL, facts TEXT NOT NULL);"
    "CREATE INDEX incidents_state ON incidents(state, last_s);"
    /* False alarms that were learnt; taken back: gone_s.  hits, last_s: what they kept quiet. */
    "CREATE TABLE signal_filters(id INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT NOT NULL, title TEXT NOT NULL,"
    " entities TEXT NOT NULL, why TEXT NOT NULL, by TEXT NOT NULL, made_s INTEGER NOT NULL, hits INTEGER NOT NULL DEFAULT 0,"
    " last_s INTEGER, gone_s INTEGER, gone_by TEXT);"
    /* Booked remote maintenance; sessions: those that came within it. */
    "CREATE TABLE maintenance(id TEXT PRIMARY KEY, vendor TEXT NOT NULL, purpose TEXT NOT NULL, account TEXT, address TEXT,"
    " from_s INTEGER NOT NULL, until_s INTEGER NOT NULL, made_by TEXT NOT NULL, made_s INTEGER NOT NULL, gone_s INTEGER,"
    " gone_by TEXT, sessions TEXT NOT NULL DEFAULT '[]');"
    "CREATE INDEX maintenance_time ON maintenance(until_s);"
    /* What is done about an incident: playbooks (when, steps as JSON), and their steps as they came about (state: offered, todo, done,
     * failed, skipped, undone). */
    "CREATE TABLE playbooks(id TEXT PRIMARY KEY, name TEXT NOT NULL, enabled INTEGER NOT NULL DEFAULT 1, when_j TEXT NOT NULL,"
    " steps TEXT NOT NULL, made_by TEXT NOT NULL, made_s INTEGER NOT NULL, removed INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE responses(id INTEGER PRIMARY KEY AUTOINCREMENT, incident INTEGER NOT NULL, playbook TEXT NOT NULL, n INTEGER NOT NULL,"
    " action TEXT NOT NULL, mode TEXT NOT NULL, plan TEXT NOT NULL, state TEXT NOT NULL, at_s INTEGER NOT NULL, until_s INTEGER NOT NULL,"
    " by TEXT, done_s INTEGER);"
    "CREATE INDEX responses_incident ON responses(incident, id);"
    /* Months that the director signed, as they were then. */
    "CREATE TABLE reviews(month TEXT PRIMARY KEY, facts TEXT NOT NULL, hash TEXT NOT NULL, by TEXT NOT NULL, at_s INTEGER NOT NULL, note TEXT);"
    /* Sources of logs as watch heard them (id: made of listener, address, host), and what people say of them. */
    "CREATE TABLE log_sources(id INTEGER PRIMARY KEY, listener TEXT NOT NULL, address TEXT NOT NULL, host TEXT NOT NULL,"
    " name TEXT NOT NULL DEFAULT '', state TEXT NOT NULL DEFAULT 'new', class INTEGER NOT NULL DEFAULT 0, format TEXT NOT NULL DEFAULT '',"
    " encoding TEXT NOT NULL DEFAULT '', zone_s INTEGER NOT NULL DEFAULT 32400, product TEXT NOT NULL DEFAULT '',"
    " category TEXT NOT NULL DEFAULT '', service TEXT NOT NULL DEFAULT '', silent_s INTEGER NOT NULL DEFAULT 0,"
    " read_as TEXT NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL, unparsed INTEGER NOT NULL, cut INTEGER NOT NULL,"
    " first_s INTEGER NOT NULL, last_s INTEGER NOT NULL, skew_s INTEGER NOT NULL, said INTEGER NOT NULL DEFAULT 0);"
    /* What is asked with every backup is found, however many there were. */
    "CREATE INDEX runs_created ON runs(created_s); CREATE INDEX runs_finished ON runs(finished_s);"
    "CREATE INDEX uploads_run ON uploads(run); CREATE INDEX orders_ref ON orders(ref, kind);"
    /* What a neighbour renewed: the certificate before goes on until its own end, for the answer may be lost. */
    "ALTER TABLE peers ADD COLUMN cert_old TEXT;";

static const char v5[] =
    /* Searches in the logs that people gave a name; from_s, until_s: of the span "fixed". */
    "CREATE TABLE log_searches(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, q TEXT NOT NULL, span TEXT NOT NULL, from_s INTEGER,"
    " until_s INTEGER, by TEXT NOT NULL, made_s INTEGER NOT NULL);"
    /* Rules: filters of people (conditions as JSON; taken back: gone_s), the box's own rules, and how often each matched on a day (of UTC). */
    "CREATE TABLE rule_filters(id INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT NOT NULL, conditions TEXT NOT NULL, why TEXT NOT NULL,"
    " by TEXT NOT NULL, made_s INTEGER NOT NULL, gone_s INTEGER, gone_by TEXT);"
    "CREATE INDEX rule_filters_rule ON rule_filters(rule);"
    "CREATE TABLE own_rules(id TEXT PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL, by TEXT NOT NULL, changed_s INTEGER NOT NULL);"
    "CREATE TABLE rule_hits(rule TEXT NOT NULL, day INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(rule, day)) WITHOUT ROWID;"
    "CREATE INDEX rule_hits_day ON rule_hits(day);"
    /* Which logs a machine sends (NULL: the usual ones), and what it said of them last. */
    "ALTER TABLE devices ADD COLUMN logs TEXT; ALTER TABLE devices ADD COLUMN logs_state TEXT;";

static const char v6[] =
    /* The endpoint of machines: what people set for this one (NULL: as everywhere), the policy that was signed last and its number, what
     * the machine said last, when, and since when it says that something lacks. */
    "ALTER TABLE devices ADD COLUMN endpoint TEXT; ALTER TABLE devices ADD COLUMN endpoint_sent TEXT;"
    "ALTER TABLE devices ADD COLUMN endpoint_number INTEGER NOT NULL DEFAULT 0; ALTER TABLE devices ADD COLUMN endpoint_state TEXT;"
    "ALTER TABLE devices ADD COLUMN endpoint_said_s INTEGER; ALTER TABLE devices ADD COLUMN endpoint_less_s INTEGER;"
    /* Cases on one machine, as it told them last; body: all of it (docs/PROTOCOL-agent.md, "Endpoint"). */
    "CREATE TABLE findings(id TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES devices(id), rev INTEGER NOT NULL, kind TEXT NOT NULL,"
    " state TEXT NOT NULL, at_s INTEGER NOT NULL, seen_s INTEGER NOT NULL, last_s INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX findings_device ON findings(device, at_s); CREATE INDEX findings_at ON findings(at_s);"
    /* Does this machine's agent say that it is alive, and its last words ("" none): {on, left}. */
    "ALTER TABLE devices ADD COLUMN alive TEXT;"
    /* Removable media as the machines tell of them (name: vendor and model). */
    "CREATE TABLE media(device TEXT NOT NULL REFERENCES devices(id), serial TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,"
    " bytes INTEGER NOT NULL, mode TEXT NOT NULL, failed INTEGER NOT NULL, attached INTEGER NOT NULL, first_s INTEGER NOT NULL,"
    " last_s INTEGER NOT NULL, PRIMARY KEY(device, serial, name)) WITHOUT ROWID;"
    /* What machines were told to do (state: sent, taken, done, failed, ended, undone); about: what tells one from another of its kind. */
    "CREATE TABLE device_actions(id TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES devices(id), action TEXT NOT NULL, args TEXT NOT NULL,"
    " about TEXT NOT NULL, for_s INTEGER NOT NULL, finding TEXT, by TEXT, by_name TEXT, made_s INTEGER NOT NULL, take_until_s INTEGER NOT NULL,"
    " state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '', facts TEXT, told_s INTEGER, until_s INTEGER);"
    "CREATE INDEX device_actions_device ON device_actions(device, made_s); CREATE INDEX device_actions_state ON device_actions(state);"
    /* Evidence packs that machines sent: their bytes are DATA/state/evidence/ID. */
    "CREATE TABLE evidence_packs(id TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES devices(id), action TEXT, made_s INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, facts TEXT, done_s INTEGER, gone_s INTEGER);"
    "CREATE INDEX evidence_packs_device ON evidence_packs(device, made_s);"
    /* Files that machines set aside, as they told it last; path in base64. */
    "CREATE TABLE quarantine(device TEXT NOT NULL REFERENCES devices(id), id TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL,"
    " sha256 TEXT NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL, finding TEXT NOT NULL, at_s INTEGER NOT NULL, changed_s INTEGER NOT NULL,"
    " state TEXT NOT NULL, links INTEGER NOT NULL, PRIMARY KEY(device, id)) WITHOUT ROWID;"
    "CREATE INDEX quarantine_at ON quarantine(at_s);";

const char *const state_schema[] = { v1, v2, v3, v4, v5, v6 };
const unsigned state_schema_n = sizeof state_schema / sizeof *state_schema;
