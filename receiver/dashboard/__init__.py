"""The pages: one module and one blueprint each, named after the page, behind the guard that app.py sets above them."""

from receiver.dashboard import account, deliveries, jobs, overview, people, quality

BLUEPRINTS = (overview.blueprint, jobs.blueprint, deliveries.blueprint, people.blueprint, account.blueprint, quality.blueprint)
