"""What happens to a ticket after it was recorded.

| job                          | queue         | trigger                      | why it is safe to run twice           |
|------------------------------|---------------|------------------------------|---------------------------------------|
| `jobs.classify.classify_due` | `classify`    | delivery, sweep, itself      | a ticket is claimed under one lease   |
| `jobs.digest.send_due`       | `digest`      | timetable, send now, sweep   | a period is claimed by one unique row |
| `jobs.maintenance.sweep`     | `maintenance` | timetable, every few seconds | it only makes due what is due         |
| `jobs.maintenance.retain`    | `maintenance` | timetable, every hour        | what is dropped is gone               |
| `jobs.watch.watch`           | `maintenance` | timetable, every half minute | an alarm is up or it is not           |
"""
