/* The functions of the table (table.c), by group. */
#ifndef SAKIMORI_COMMANDS_H
#define SAKIMORI_COMMANDS_H
#include "sakimori/cli.h"

int cmd_setup(struct cli *c);
int cmd_sign_in(struct cli *c);
int cmd_sign_out(struct cli *c);
int cmd_password(struct cli *c);
int cmd_status(struct cli *c);
int cmd_today(struct cli *c);
int cmd_healthz(struct cli *c);
int cmd_source_list(struct cli *c);
int cmd_source_add(struct cli *c);
int cmd_source_set(struct cli *c);
int cmd_source_remove(struct cli *c);
int cmd_backup_run(struct cli *c);
int cmd_backup_list(struct cli *c);
int cmd_backup_show(struct cli *c);
int cmd_backup_watch(struct cli *c);
int cmd_backup_cancel(struct cli *c);
int cmd_generations_list(struct cli *c);
int cmd_generations_show(struct cli *c);
int cmd_generations_ls(struct cli *c);
int cmd_generations_find(struct cli *c);
int cmd_generations_get(struct cli *c);
int cmd_unlock(struct cli *c);
int cmd_lock(struct cli *c);
int cmd_restore_start(struct cli *c);
int cmd_restore_list(struct cli *c);
int cmd_restore_watch(struct cli *c);
int cmd_restore_cancel(struct cli *c);
int cmd_verify(struct cli *c);
int cmd_audit_list(struct cli *c);
int cmd_audit_export(struct cli *c);
int cmd_audit_verify(struct cli *c);
int cmd_access(struct cli *c);
int cmd_devices_list(struct cli *c);
int cmd_devices_code(struct cli *c);
int cmd_devices_rename(struct cli *c);
int cmd_devices_revoke(struct cli *c);
int cmd_people_list(struct cli *c);
int cmd_people_add(struct cli *c);
int cmd_people_set(struct cli *c);
int cmd_people_reset(struct cli *c);
int cmd_people_remove(struct cli *c);
int cmd_alarms_list(struct cli *c);
int cmd_alarms_show(struct cli *c);
int cmd_alarms_act(struct cli *c);
int cmd_alarms_thaw(struct cli *c);
int cmd_settings_get(struct cli *c);
int cmd_settings_set(struct cli *c);
int cmd_settings_print(struct cli *c);
int cmd_contacts(struct cli *c);
int cmd_contacts_set(struct cli *c);
int cmd_card(struct cli *c);
int cmd_box(struct cli *c);
int cmd_recover(struct cli *c);
int cmd_vault_verify(struct cli *c);
int cmd_journal_show(struct cli *c);
int cmd_monitors_list(struct cli *c);
int cmd_monitors_add(struct cli *c);
int cmd_monitors_remove(struct cli *c);
int cmd_metrics(struct cli *c);
int cmd_completion(struct cli *c);
int cmd_demo_clinic(struct cli *c);
#endif
