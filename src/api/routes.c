#include "api/routes.h"
#include <stdio.h>
#include <string.h>
#include "api/handlers.h"

#define K(n) ((size_t)(n) << 10)
#define ANYBODY (API_NOBODY | API_SETUP | API_COUNTER | PEOPLE)
#define PEOPLE (API_STAFF | API_VENDOR | API_MANAGER | API_DIRECTOR)
#define UP (API_STAFF | API_MANAGER | API_DIRECTOR)
#define CHIEFS (API_MANAGER | API_DIRECTOR)
#define V1 "/api/v1"
#define A1 "/agent/v1"

const struct api_route api_routes[] = {
    /* method, path, who, body, most bytes, flags, act, handler */
    { "GET", "/healthz", ANYBODY | API_STRANGER | API_DEVICE | API_PEER, API_NO_BODY, 0, API_FIRST_PASSWORD, "healthz",
        h_healthz },
    { "GET", "/metrics", API_MONITOR | CHIEFS, API_NO_BODY, 0, 0, "metrics", h_metrics },
    { "GET", V1 "/status", ANYBODY, API_NO_BODY, 0, API_FIRST_PASSWORD, "status", h_status },

    { "GET", V1 "/setup", ANYBODY, API_NO_BODY, 0, API_FIRST_PASSWORD, "setup", h_setup_get },
    { "POST", V1 "/setup/start", API_NOBODY | API_SETUP, API_JSON, K(1), API_NO_CSRF | API_AUDIT, "setup.start",
        h_setup_start },
    { "POST", V1 "/setup/institution", API_SETUP, API_JSON, K(16), API_AUDIT, "setup.institution",
        h_setup_institution },
    { "POST", V1 "/setup/director", API_SETUP, API_JSON, K(4), API_AUDIT, "setup.director", h_setup_director },
    { "POST", V1 "/setup/director/totp", API_SETUP, API_JSON, K(1), API_AUDIT, "setup.totp", h_setup_totp },
    { "POST", V1 "/setup/sheet", API_SETUP, API_JSON, K(4), API_AUDIT, "setup.sheet", h_setup_sheet },
    { "POST", V1 "/setup/confirm", API_SETUP, API_JSON, K(8), API_AUDIT, "setup.confirm", h_setup_confirm },

    { "POST", V1 "/session", ANYBODY, API_JSON, K(4), API_NO_CSRF | API_AUDIT | API_FIRST_PASSWORD, "sign-in",
        h_session_post },
    { "GET", V1 "/session", ANYBODY, API_NO_BODY, 0, API_FIRST_PASSWORD, "session", h_session_get },
    { "DELETE", V1 "/session", PEOPLE | API_SETUP, API_NO_BODY, 0, API_AUDIT | API_FIRST_PASSWORD, "sign-out",
        h_session_delete },
    { "POST", V1 "/session/password", PEOPLE, API_JSON, K(4), API_AUDIT | API_FIRST_PASSWORD, "password",
        h_session_password },

    { "POST", V1 "/sheet/challenge", API_NOBODY | API_COUNTER | PEOPLE, API_JSON, K(1),
        API_NO_CSRF | API_FIRST_PASSWORD, "sheet.challenge", h_sheet_challenge },
    { "POST", V1 "/recovery", API_NOBODY | API_COUNTER | PEOPLE, API_JSON, K(8),
        API_NO_CSRF | API_AUDIT | API_FIRST_PASSWORD, "recovery", h_recovery },
    { "GET", V1 "/restore-card", API_DIRECTOR, API_NO_BODY, 0, 0, "restore-card", h_restore_card_get },
    { "POST", V1 "/restore-card", API_DIRECTOR, API_JSON, K(4), API_AUDIT, "restore-card.new", h_restore_card_post },

    { "GET", V1 "/today", PEOPLE | API_COUNTER, API_NO_BODY, 0, 0, "today", h_today },
    { "POST", V1 "/today/tasks/{id}", UP, API_JSON, K(1), API_AUDIT, "task", h_task },
    { "GET", V1 "/alarms", UP, API_NO_BODY, 0, 0, "alarms", h_alarms },
    { "GET", V1 "/alarms/{id}", UP, API_NO_BODY, 0, 0, "alarm", h_alarm },
    { "POST", V1 "/alarms/{id}", CHIEFS, API_JSON, K(4), API_AUDIT, "alarm.act", h_alarm_act },
    { "GET", V1 "/incidents", UP | API_VENDOR, API_NO_BODY, 0, 0, "incidents", h_incidents },
    { "GET", V1 "/incidents/{id}", UP | API_VENDOR, API_NO_BODY, 0, 0, "incident", h_incident },
    { "POST", V1 "/incidents/{id}/close", CHIEFS, API_JSON, K(4), API_AUDIT, "incident.close", h_incident_close },
    { "GET", V1 "/signals", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "signals", h_signals },
    { "POST", V1 "/signals/{id}/false-alarm", CHIEFS, API_JSON, K(4), API_AUDIT, "signal.false-alarm", h_signal_false },
    { "GET", V1 "/signal-filters", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "signal-filters", h_filters },
    { "DELETE", V1 "/signal-filters/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "signal-filter.end", h_filter_delete },
    { "GET", V1 "/playbooks", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "playbooks", h_playbooks },
    { "POST", V1 "/playbooks", CHIEFS, API_JSON, K(32), API_AUDIT, "playbook.make", h_playbook_post },
    { "PATCH", V1 "/playbooks/{id}", CHIEFS, API_JSON, K(1), API_AUDIT, "playbook.change", h_playbook_patch },
    { "DELETE", V1 "/playbooks/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "playbook.remove", h_playbook_delete },
    { "POST", V1 "/playbooks/{id}/try", CHIEFS | API_VENDOR, API_JSON, K(1), 0, "playbook.try", h_playbook_try },
    { "POST", V1 "/responses/{id}", CHIEFS, API_JSON, K(1), API_AUDIT, "response", h_response_act },
    { "GET", V1 "/reviews", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "reviews", h_reviews },
    { "GET", V1 "/reviews/{month}", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "review", h_review },
    { "POST", V1 "/reviews/{month}/sign", API_DIRECTOR, API_JSON, K(4), API_AUDIT, "review.sign", h_review_sign },
    { "GET", V1 "/maintenance", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "maintenance", h_maintenance },
    { "POST", V1 "/maintenance", CHIEFS, API_JSON, K(4), API_AUDIT, "maintenance.book", h_maintenance_post },
    { "DELETE", V1 "/maintenance/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "maintenance.end", h_maintenance_delete },
    { "GET", V1 "/logs", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "logs", h_logs },
    { "GET", V1 "/logs/sources", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "log-sources", h_log_sources },
    { "PATCH", V1 "/logs/sources/{id}", CHIEFS, API_JSON, K(4), API_AUDIT, "log-source.change", h_log_source_patch },
    { "PUT", V1 "/logs/classes", CHIEFS, API_JSON, K(8), API_AUDIT, "log-classes.change", h_log_classes_put },
    { "POST", V1 "/logs/classes/{class}/hold", CHIEFS, API_JSON, K(2), API_AUDIT, "log-class.hold", h_log_hold },
    { "POST", V1 "/logs/classes/{class}/release", API_DIRECTOR, API_JSON, K(2), API_AUDIT, "log-class.release", h_log_release },
    { "PATCH", V1 "/logs/doors/{listener}", CHIEFS, API_JSON, K(1), API_AUDIT, "log-door.switch", h_log_door_patch },
    { "GET", V1 "/logs/saved", CHIEFS, API_NO_BODY, 0, 0, "log-searches", h_logs_saved },
    { "POST", V1 "/logs/saved", CHIEFS, API_JSON, K(12), API_AUDIT, "log-search.keep", h_logs_saved_post },
    { "DELETE", V1 "/logs/saved/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "log-search.remove", h_logs_saved_delete },
    { "POST", V1 "/logs/backup", CHIEFS | API_VENDOR, API_JSON, K(1), API_AUDIT, "log.backup", h_logs_backup },
    { "GET", V1 "/logs/store", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "log-store", h_log_store },
    { "PUT", V1 "/logs/store", CHIEFS, API_JSON, K(8), API_AUDIT, "log-store.change", h_log_store_put },
    { "POST", V1 "/logs/store/init", CHIEFS, API_JSON, K(1), API_AUDIT, "log-store.init", h_log_store_init },
    { "GET", V1 "/logs/search", CHIEFS, API_NO_BODY, 0, API_AUDIT, "log.search", h_logs_search },
    { "GET", V1 "/logs/histogram", CHIEFS, API_NO_BODY, 0, 0, "log.histogram", h_logs_histogram },
    { "GET", V1 "/logs/events/{id}", CHIEFS, API_NO_BODY, 0, 0, "log.event", h_logs_event },
    { "GET", V1 "/logs/export", CHIEFS, API_NO_BODY, 0, API_AUDIT, "log.export", h_logs_export },
    { "POST", V1 "/logs/verify", CHIEFS | API_VENDOR, API_JSON, K(1), API_AUDIT, "log.verify", h_logs_verify_post },
    { "GET", V1 "/logs/verify", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "log.verify.read", h_logs_verify },
    { "GET", V1 "/rules", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "rules", h_rules },
    { "GET", V1 "/rules/{id}", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "rule", h_rule },
    { "PATCH", V1 "/rules/{id}", CHIEFS, API_JSON, K(4), API_AUDIT, "rule.switch", h_rule_patch },
    { "POST", V1 "/rules/reload", CHIEFS | API_VENDOR, API_JSON, K(1), API_AUDIT, "rules.reload", h_rules_reload },
    { "POST", V1 "/rules/test", CHIEFS | API_VENDOR, API_JSON, K(384), 0, "rules.test", h_rule_test },
    { "POST", V1 "/rules/{id}/filters", CHIEFS, API_JSON, K(64), API_AUDIT, "rule.filter", h_rule_filter_post },
    { "GET", V1 "/rule-filters", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "rule-filters", h_rule_filters },
    { "DELETE", V1 "/rule-filters/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "rule.filter-end", h_rule_filter_delete },
    { "GET", V1 "/own-rules", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "own-rules", h_own_rules },
    { "POST", V1 "/own-rules", CHIEFS, API_JSON, K(192), API_AUDIT, "rule.own", h_own_rule_post },
    { "DELETE", V1 "/own-rules/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "rule.own-remove", h_own_rule_delete },
    { "GET", V1 "/rule-bundle", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "rule-bundle", h_rule_bundle },
    { "POST", V1 "/rule-bundle/part", CHIEFS | API_VENDOR, API_JSON, K(192), 0, "rule-bundle.part", h_rule_bundle_part },
    { "POST", V1 "/rule-bundle", CHIEFS | API_VENDOR, API_JSON, K(1), API_AUDIT, "rules.bundle", h_rule_bundle_post },
    { "POST", V1 "/rule-bundle/back", CHIEFS, API_JSON, K(1), API_AUDIT, "rules.back", h_rule_bundle_back },
    { "POST", V1 "/rule-keys", CHIEFS, API_JSON, K(1), API_AUDIT, "rules.key", h_rule_key_post },
    { "DELETE", V1 "/rule-keys/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "rules.key-remove", h_rule_key_delete },
    { "GET", V1 "/events", PEOPLE | API_COUNTER, API_NO_BODY, 0, API_HELD, "events", h_events },

    { "GET", V1 "/devices", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "devices", h_devices },
    { "GET", V1 "/devices/{id}", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "device", h_device },
    { "GET", V1 "/devices/{id}/guide", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "device.guide", h_guide },
    { "GET", V1 "/devices/{id}/logs", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "device.logs", h_device_logs },
    { "PUT", V1 "/devices/{id}/logs", CHIEFS, API_JSON, K(64), API_AUDIT, "device.logs.change", h_device_logs_put },
    { "GET", V1 "/media", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "media", h_media },
    { "POST", V1 "/media/allow", CHIEFS, API_JSON, K(1), API_AUDIT, "media.allow", h_media_allow },
    { "POST", V1 "/media/deny", CHIEFS, API_JSON, K(1), API_AUDIT, "media.deny", h_media_deny },
    { "GET", V1 "/devices/{id}/media", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "device.media", h_device_media },
    { "GET", V1 "/devices/{id}/endpoint", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "device.endpoint", h_device_endpoint },
    { "GET", V1 "/devices/{id}/endpoint/policy", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "device.endpoint.policy", h_device_endpoint_policy },
    { "PUT", V1 "/devices/{id}/endpoint/policy", CHIEFS, API_JSON, K(64), API_AUDIT, "device.endpoint.change", h_device_endpoint_policy_put },
    { "GET", V1 "/devices/{id}/posture", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "device.posture", h_posture },
    { "GET", V1 "/posture", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "posture", h_postures },
    { "GET", V1 "/devices/{id}/actions", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "device.actions", h_device_actions },
    { "POST", V1 "/devices/{id}/actions", CHIEFS | API_VENDOR, API_JSON, K(32), API_AUDIT, "device.act", h_device_action_post },
    { "GET", V1 "/evidence-packs", CHIEFS, API_NO_BODY, 0, 0, "evidence-packs", h_evidence_packs },
    { "GET", V1 "/evidence-packs/{id}", CHIEFS, API_NO_BODY, 0, 0, "evidence-pack", h_evidence_pack },
    { "GET", V1 "/evidence-packs/{id}/file", CHIEFS, API_NO_BODY, 0, API_AUDIT, "evidence-pack.read", h_evidence_file },
    { "DELETE", V1 "/evidence-packs/{id}", API_DIRECTOR, API_NO_BODY, 0, API_AUDIT, "evidence-pack.remove", h_evidence_delete },
    { "POST", V1 "/findings/{id}/actions", CHIEFS, API_JSON, K(32), API_AUDIT, "finding.act", h_finding_action },
    { "GET", V1 "/endpoint/policy", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "endpoint.policy", h_endpoint_policy },
    { "PUT", V1 "/endpoint/policy", CHIEFS, API_JSON, K(64), API_AUDIT, "endpoint.change", h_endpoint_policy_put },
    { "GET", V1 "/quarantine", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "quarantine.list", h_quarantine },
    { "GET", V1 "/findings", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "findings", h_findings },
    { "GET", V1 "/findings/{id}", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "finding.read", h_finding },
    { "POST", V1 "/devices/codes", CHIEFS, API_JSON, K(2), API_AUDIT, "device.code", h_device_code },
    { "POST", V1 "/local/join-code", 0, API_JSON, K(1), API_AUDIT | API_LOCAL, "device.code.local", h_local_code },
    { "PATCH", V1 "/devices/{id}", CHIEFS, API_JSON, K(2), API_AUDIT, "device.change", h_device_patch },
    { "DELETE", V1 "/devices/{id}", CHIEFS, API_JSON, K(2), API_AUDIT, "device.revoke", h_device_delete },

    { "GET", V1 "/sources", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "sources", h_sources },
    { "POST", V1 "/sources", CHIEFS, API_JSON, K(64), API_AUDIT, "source.add", h_source_post },
    { "PATCH", V1 "/sources/{id}", CHIEFS, API_JSON, K(64), API_AUDIT, "source.change", h_source_patch },
    { "DELETE", V1 "/sources/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "source.stop", h_source_delete },
    { "POST", V1 "/sources/{id}/run", UP, API_JSON, K(1), API_AUDIT, "run", h_source_run },
    { "GET", V1 "/runs", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "runs", h_runs },
    { "GET", V1 "/runs/{id}", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "run.read", h_run },
    { "POST", V1 "/runs/{id}/cancel", UP, API_JSON, K(1), API_AUDIT, "run.cancel", h_run_cancel },

    { "GET", V1 "/generations", PEOPLE, API_NO_BODY, 0, 0, "generations", h_generations },
    { "GET", V1 "/generations/{id}", PEOPLE, API_NO_BODY, 0, 0, "generation", h_generation },
    { "POST", V1 "/unlock", API_DIRECTOR, API_JSON, K(2), API_AUDIT, "unlock", h_unlock },
    { "DELETE", V1 "/unlock", CHIEFS, API_NO_BODY, 0, API_AUDIT, "lock", h_lock },
    { "GET", V1 "/generations/{id}/files", CHIEFS, API_NO_BODY, 0, API_UNLOCKED | API_AUDIT, "list", h_files },
    { "GET", V1 "/generations/{id}/find", CHIEFS, API_NO_BODY, 0, API_UNLOCKED | API_AUDIT, "find", h_find },
    { "GET", V1 "/generations/{id}/diff", CHIEFS, API_NO_BODY, 0, API_UNLOCKED | API_AUDIT, "diff", h_diff },
    { "GET", V1 "/search", CHIEFS, API_NO_BODY, 0, API_UNLOCKED | API_AUDIT, "search", h_search },
    { "GET", V1 "/generations/{id}/file", CHIEFS, API_NO_BODY, 0, API_UNLOCKED | API_AUDIT, "download", h_file },
    { "POST", V1 "/restores", API_DIRECTOR, API_JSON, K(256), API_UNLOCKED | API_AUDIT, "restore", h_restore_post },
    { "GET", V1 "/restores", UP, API_NO_BODY, 0, 0, "restores", h_restores },
    { "GET", V1 "/restores/{id}", UP, API_NO_BODY, 0, 0, "restore.read", h_restore },
    { "POST", V1 "/restores/{id}/cancel", CHIEFS, API_JSON, K(1), API_AUDIT, "restore.cancel", h_restore_cancel },
    { "POST", V1 "/drills", API_DIRECTOR, API_JSON, K(4), API_UNLOCKED | API_AUDIT, "drill", h_drill_post },
    { "GET", V1 "/drills", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "drills", h_drills },
    { "GET", V1 "/drills/{id}", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "drill.read", h_drill },
    { "POST", V1 "/verify", CHIEFS | API_VENDOR, API_JSON, K(1), API_AUDIT, "verify", h_verify_post },
    { "GET", V1 "/verify", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "verify.read", h_verify_get },
    { "POST", V1 "/scrub", CHIEFS | API_VENDOR, API_JSON, K(1), API_AUDIT, "scrub", h_scrub_post },
    { "GET", V1 "/scrub", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "scrub.read", h_scrub_get },

    { "GET", V1 "/head", API_SETUP | PEOPLE, API_NO_BODY, 0, 0, "head", h_head_get },
    { "POST", V1 "/head/check", CHIEFS | API_VENDOR, API_JSON, K(256), API_AUDIT, "head.check", h_head_check },
    { "GET", V1 "/recipients", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "recipients", h_recipients_get },
    { "POST", V1 "/recipients", API_DIRECTOR, API_JSON, K(32), API_AUDIT, "recipients.change", h_recipients_post },
    { "GET", V1 "/retention", UP | API_VENDOR, API_NO_BODY, 0, 0, "retention", h_retention },
    { "POST", V1 "/retention/clean", CHIEFS | API_VENDOR, API_JSON, K(1), API_AUDIT, "clean", h_clean_post },
    { "GET", V1 "/retention/clean", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "clean.read", h_clean_get },
    { "POST", V1 "/retention/orders", CHIEFS, API_JSON, K(24), API_AUDIT, "vault-order", h_order_post },
    { "POST", V1 "/retention/orders/{id}/cancel", UP, API_JSON, K(2), API_AUDIT, "vault-order.cancel", h_order_cancel },
    { "POST", V1 "/retention/holds", CHIEFS, API_JSON, K(2), API_AUDIT, "hold", h_hold_post },
    { "POST", V1 "/retention/holds/{id}/release", API_DIRECTOR, API_JSON, K(2), API_AUDIT, "hold.release",
        h_hold_release },
    { "POST", V1 "/retention/date", UP, API_JSON, K(1), API_AUDIT, "date", h_date_post },
    { "PUT", V1 "/devices/{id}/quota", CHIEFS, API_JSON, K(1), API_AUDIT, "device.quota", h_quota_put },
    { "GET", V1 "/copies", PEOPLE, API_NO_BODY, 0, 0, "copies", h_copies },
    { "POST", V1 "/copies", CHIEFS, API_JSON, K(4), API_AUDIT, "copy.add", h_copy_post },
    { "GET", V1 "/copies/{id}", PEOPLE, API_NO_BODY, 0, 0, "copy.read", h_copy },
    { "PATCH", V1 "/copies/{id}", CHIEFS, API_JSON, K(4), API_AUDIT, "copy.change", h_copy_patch },
    { "DELETE", V1 "/copies/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "copy.forget", h_copy_delete },
    { "POST", V1 "/copies/{id}/keys", CHIEFS, API_JSON, K(4), API_AUDIT, "copy.keys", h_copy_keys },
    { "POST", V1 "/copies/{id}/run", UP, API_JSON, K(1), API_AUDIT, "copy", h_copy_run },
    { "POST", V1 "/copies/{id}/cancel", UP, API_JSON, K(1), API_AUDIT, "copy.cancel", h_copy_cancel },

    { "GET", V1 "/peers", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "peers", h_peers },
    { "POST", V1 "/peers/codes", CHIEFS, API_JSON, K(2), API_AUDIT, "peer.code", h_peer_code },
    { "GET", V1 "/peers/{id}", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "peer.read", h_peer },
    { "PATCH", V1 "/peers/{id}", CHIEFS, API_JSON, K(2), API_AUDIT, "peer.change", h_peer_patch },
    { "POST", V1 "/peers/{id}/check", CHIEFS, API_JSON, K(1), API_AUDIT, "peer.check", h_peer_check },
    { "GET", V1 "/self", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "self", h_self_get },
    { "POST", V1 "/self/run", CHIEFS | API_VENDOR, API_JSON, K(1), API_AUDIT, "self.run", h_self_run },

    { "GET", V1 "/people", CHIEFS, API_NO_BODY, 0, 0, "people", h_people },
    { "POST", V1 "/people", CHIEFS, API_JSON, K(4), API_AUDIT, "person.add", h_person_post },
    { "PATCH", V1 "/people/{id}", CHIEFS, API_JSON, K(4), API_AUDIT, "person.change", h_person_patch },
    { "DELETE", V1 "/people/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "person.remove", h_person_delete },
    { "POST", V1 "/people/{id}/reset", API_DIRECTOR, API_JSON, K(1), API_AUDIT, "person.reset", h_person_reset },
    { "GET", V1 "/access", CHIEFS, API_NO_BODY, 0, 0, "access", h_access },
    { "GET", V1 "/audit", API_DIRECTOR, API_NO_BODY, 0, 0, "audit", h_audit },
    { "GET", V1 "/audit/export", API_DIRECTOR, API_NO_BODY, 0, API_AUDIT, "audit.export", h_audit_export },
    { "POST", V1 "/audit/verify", API_DIRECTOR, API_JSON, K(1), API_AUDIT, "audit.verify", h_audit_verify },
    { "GET", V1 "/settings", CHIEFS, API_NO_BODY, 0, 0, "settings", h_settings_get },
    { "PATCH", V1 "/settings", CHIEFS, API_JSON, K(32), API_AUDIT, "settings.change", h_settings_patch },
    { "POST", V1 "/settings/test", CHIEFS, API_JSON, K(1), API_AUDIT, "settings.test", h_settings_test },
    { "GET", V1 "/contacts", PEOPLE | API_COUNTER, API_NO_BODY, 0, 0, "contacts", h_contacts_get },
    { "PUT", V1 "/contacts", CHIEFS, API_JSON, K(64), API_AUDIT, "contacts.change", h_contacts_put },
    { "GET", V1 "/card", PEOPLE | API_COUNTER, API_NO_BODY, 0, 0, "card", h_card },
    { "POST", V1 "/counter", CHIEFS, API_JSON, K(2), API_AUDIT, "counter.add", h_counter_post },
    { "GET", V1 "/counter", CHIEFS, API_NO_BODY, 0, 0, "counter", h_counter_get },
    { "DELETE", V1 "/counter/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "counter.end", h_counter_delete },
    { "POST", V1 "/monitors", CHIEFS, API_JSON, K(2), API_AUDIT, "monitor.add", h_monitor_post },
    { "GET", V1 "/monitors", CHIEFS, API_NO_BODY, 0, 0, "monitors", h_monitor_get },
    { "DELETE", V1 "/monitors/{id}", CHIEFS, API_NO_BODY, 0, API_AUDIT, "monitor.end", h_monitor_delete },
    { "GET", V1 "/box", CHIEFS | API_VENDOR, API_NO_BODY, 0, 0, "box", h_box },

    { "GET", A1 "/hello", API_STRANGER | API_DEVICE | API_PEER, API_NO_BODY, 0, 0, "hello", h_hello },
    { "POST", A1 "/join", API_STRANGER | API_DEVICE, API_JSON, K(64), API_AUDIT, "join", h_join },
    { "POST", A1 "/renew", API_DEVICE, API_JSON, K(64), API_AUDIT, "renew", h_renew },
    { "POST", A1 "/poll", API_DEVICE, API_JSON, K(128), API_HELD, "poll", h_poll },
    { "POST", A1 "/alive", API_DEVICE, API_JSON, K(16), 0, "alive", h_alive },
    { "POST", A1 "/bye", API_DEVICE, API_JSON, K(1), API_AUDIT, "bye", h_bye },
    { "POST", A1 "/orders/{id}/ack", API_DEVICE, API_JSON, K(8), API_AUDIT, "order.ack", h_order_ack },
    { "POST", A1 "/evidence/{id}/begin", API_DEVICE, API_JSON, K(96), API_AUDIT, "evidence.begin", h_evidence_begin },
    { "POST", A1 "/evidence/{id}/put", API_DEVICE, API_RAW, K(960), 0, "evidence.put", h_evidence_put },
    { "POST", A1 "/sessions", API_DEVICE, API_JSON, K(4), API_AUDIT, "upload", h_upload },
    { "POST", A1 "/recipients", API_DEVICE, API_JSON, K(1), 0, "recipients.read", h_agent_recipients },
    { "PUT", A1 "/sessions/{s}/packs/{pack}", API_DEVICE, API_STREAM, (size_t)32 << 20, 0, "pack", h_pack_put },
    { "GET", A1 "/sessions/{s}/packs/{pack}", API_DEVICE, API_NO_BODY, 0, 0, "pack.state", h_pack_get },
    { "POST", A1 "/sessions/{s}/have", API_DEVICE, API_RAW, K(256), 0, "have", h_have },
    { "POST", A1 "/sessions/{s}/manifest", API_DEVICE, API_RAW, K(256), API_AUDIT, "manifest", h_manifest },
    { "POST", A1 "/runs/{run}/progress", API_DEVICE, API_JSON, K(16), 0, "progress", h_progress },
    { "POST", A1 "/runs/{run}/end", API_DEVICE, API_JSON, K(512), API_AUDIT, "run.end", h_run_end },
    { "POST", A1 "/events", API_DEVICE, API_RAW, K(960), 0, "events.put", h_agent_events },
    { "POST", A1 "/quarantine", API_DEVICE, API_JSON, K(16), API_AUDIT, "quarantine", h_quarantine_post },
    { "POST", A1 "/findings", API_DEVICE, API_JSON, K(192), API_AUDIT, "finding", h_finding_post },
    { "POST", A1 "/caches/{source}/put", API_DEVICE, API_RAW, K(256), 0, "cache.put", h_cache_put },
    { "POST", A1 "/caches/{source}/get", API_DEVICE, API_JSON, K(1), 0, "cache.get", h_cache_get },
    { "POST", A1 "/ancestry", API_DEVICE, API_JSON, K(2), 0, "ancestry", h_ancestry },
    { "POST", A1 "/restores/{r}/key", API_DEVICE, API_JSON, K(4), API_AUDIT, "restore.key", h_restore_key },
    { "POST", A1 "/restores/{r}/objects", API_DEVICE, API_RAW, K(64), 0, "restore.objects", h_restore_objects },
    { "POST", A1 "/restores/{r}/progress", API_DEVICE, API_JSON, K(16), 0, "restore.progress", h_restore_progress },
    { "POST", A1 "/restores/{r}/end", API_DEVICE, API_JSON, K(512), API_AUDIT, "restore.end", h_restore_end },

    { "POST", A1 "/peer/join", API_STRANGER, API_JSON, K(16), API_AUDIT, "peer.join", h_far_join },
    { "GET", A1 "/peer", API_PEER, API_NO_BODY, 0, 0, "peer.state", h_far_state },
    { "GET", A1 "/peer/packs/{pack}", API_PEER, API_NO_BODY, 0, 0, "peer.pack.state", h_far_pack_get },
    { "PUT", A1 "/peer/packs/{pack}", API_PEER, API_STREAM, (size_t)64 << 20, 0, "peer.pack", h_far_pack_put },
    { "PUT", A1 "/peer/manifests/{id}", API_PEER, API_RAW, K(256), 0, "peer.manifest", h_far_manifest },
    { "PUT", A1 "/peer/journal/{n}", API_PEER, API_RAW, K(512), 0, "peer.journal", h_far_journal },
    { "PUT", A1 "/peer/format", API_PEER, API_RAW, K(1), 0, "peer.format", h_far_format },
    { "PUT", A1 "/peer/head", API_PEER, API_RAW, K(1), API_AUDIT, "peer.head", h_far_head },
    { "GET", A1 "/peer/file", API_PEER, API_NO_BODY, 0, 0, "peer.file", h_far_file },
    { "GET", A1 "/peer/list/{kind}/{digits}", API_PEER, API_NO_BODY, 0, 0, "peer.list", h_far_list },
    { "POST", A1 "/peer/renew", API_PEER, API_JSON, K(64), API_AUDIT, "peer.renew", h_far_renew },
    { "POST", A1 "/peer/forked", API_PEER, API_JSON, K(2), API_AUDIT, "peer.forked", h_far_forked },
    { "POST", A1 "/peer/check", API_PEER, API_JSON, K(1), 0, "peer.check", h_far_check },
};
const size_t api_routes_n = sizeof api_routes / sizeof *api_routes;

const char *api_caller_name(unsigned caller)
{
    static const char *const names[API_CALLERS] = { "nobody", "setup", "counter", "staff", "vendor", "manager",
        "director", "device", "stranger", "monitor", "peer" };
    for (unsigned i = 0; i < API_CALLERS; i++)
        if (caller == 1u << i)
            return names[i];
    return "?";
}

/* One part of the path, up to '/' or the end. */
static size_t part_of(const char *p)
{
    return strcspn(p, "/");
}

static bool path_fits(const char *pattern, const char *path, struct api_match *m)
{
    m->parts = 0;
    while (*pattern == '/' && *path == '/') {
        pattern++;
        path++;
        size_t want = part_of(pattern), have = part_of(path);
        if (*pattern == '{') {
            if (have == 0 || have > 128 || m->parts == API_PARAMS_MAX)
                return false;
            m->part[m->parts] = path;
            m->part_n[m->parts++] = have;
        } else if (want != have || memcmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return *pattern == 0 && *path == 0;
}

void api_match(const char *method, const char *path, struct api_match *ret)
{
    *ret = (struct api_match){ 0 };
    bool head = !strcmp(method, "HEAD");
    for (size_t i = 0; i < api_routes_n; i++) {
        struct api_match m = { .route = &api_routes[i] };
        if (!path_fits(api_routes[i].path, path, &m))
            continue;
        if (!strcmp(api_routes[i].method, head ? "GET" : method)) {
            *ret = m;
            return;
        }
        ret->other_method = true;
    }
}

void api_allowed(const char *path, char ret[API_ALLOWED_MAX])
{
    enum { METHODS = 5 };
    static const char methods[METHODS][8] = { { "GET" }, { "POST" }, { "PUT" }, { "PATCH" }, { "DELETE" } };
    size_t n = 0;
    ret[0] = 0;
    for (size_t k = 0; k < METHODS; k++) {
        struct api_match m;
        api_match(methods[k], path, &m);
        if (m.route)
            n += (size_t)snprintf(ret + n, API_ALLOWED_MAX - n, "%s%s%s", n ? ", " : "", methods[k], k ? "" : ", HEAD");
    }
}
