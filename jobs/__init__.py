"""What happens to a ticket after it was recorded.

| job                                         | queue         | started by                   | why it is safe to run twice           |
|---------------------------------------------|---------------|------------------------------|---------------------------------------|
| `classification.classify.classify_due`      | `classify`    | delivery, sweep, itself      | a ticket is claimed under one lease   |
| `classification.current_catalog.reload_catalog` | `maintenance` | timetable                | an unchanged catalog changes nothing  |
| `classification.training.train`             | `training`    | timetable, daily             | without new examples it does nothing  |
| `digests.send.send_due`                     | `digest`      | timetable, send now, sweep   | a period is claimed by one unique row |
| `digests.send.alert`                        | `digest`      | timetable, every minute      | each ticket is told of once           |
| `helpdesks.outbox.run_due`                  | `outgoing`    | sweep                        | each call is taken under one lease    |
| `helpdesks.reconcile.reconcile_due`         | `outgoing`    | timetable, every minute      | what it finds is known by its content |
| `operations.maintenance.sweep`              | `maintenance` | timetable, every few seconds | it only makes due what is due         |
| `operations.retention.retain`               | `maintenance` | timetable, every hour        | what is dropped is gone               |
| `operations.backup.backup_due`              | `training`    | timetable, 15 minutes        | a young backup is not made again      |
| `operations.audit_check.verify_audit`       | `training`    | timetable, daily             | it reads; an alarm is up or it is not |
"""  # noqa: E501 - a table.
