"""What happens to a ticket after it was recorded.

| job                          | queue         | trigger                      | why it is safe to run twice           |
|------------------------------|---------------|------------------------------|---------------------------------------|
| `jobs.classify.classify_due` | `classify`    | delivery, sweep, itself      | a ticket is claimed under one lease   |
| `jobs.digest.send_due`       | `digest`      | timetable, send now, sweep   | a period is claimed by one unique row |
| `jobs.digest.alert`          | `digest`      | timetable, every minute      | each ticket is told of once           |
| `jobs.maintenance.sweep`     | `maintenance` | timetable, every few seconds | it only makes due what is due         |
| `jobs.retention.retain`      | `maintenance` | timetable, every hour        | what is dropped is gone               |
| `jobs.backup.backup_due`     | `training`    | timetable, 15 minutes        | a young backup is not made again      |
| `jobs.watch.verify_audit`    | `training`    | timetable, daily             | it reads; an alarm is up or it is not |
| `jobs.training.train`        | `training`    | timetable, daily             | without new examples it does nothing  |
| `jobs.outgoing.errands.run_due` | `outgoing` | sweep                        | an errand is taken under one lease    |
| `jobs.reconcile.reconcile_due`  | `outgoing` | timetable, every minute      | what it finds is known by its content |
"""
