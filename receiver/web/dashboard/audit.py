"""The audit: who changed what, and whether every entry is unchanged since it was written."""

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from receiver.db import audit
from receiver.web import auth
from receiver.web.dashboard import query_args
from receiver.web.state import context

blueprint = Blueprint("audit_pages", __name__, url_prefix="/audit")

_ROWS = 50
_CHECKED, _MOST_CHECKED = 250, 20_000
_FILTERS = ("who", "action", "subject")


@blueprint.get("")
@auth.require_role(auth.OPERATOR)
def audit_page() -> ResponseReturnValue:
    """Entries, newest first, by the filters in the URL."""
    chosen, before = query_args.texts(*_FILTERS), query_args.place("before")
    with context().db.read() as session:
        rows = audit.page(session, _ROWS + 1, before, chosen)
        # Every visit checks the latest entries; all of them take seconds, so a person asks for that.
        size = audit.size(session)
        checked = min(size, _MOST_CHECKED if "check" in request.args else _CHECKED)
        wrong = audit.verify(session) if checked == size else audit.verify_latest(session, checked)
        head = audit.head(session)
    older = None
    if len(rows) > _ROWS:
        filters: dict[str, Any] = {**chosen, "before": rows[_ROWS - 1].number}
        older = url_for("audit_pages.audit_page", **filters)
    return render_template(
        "audit.html",
        rows=rows[:_ROWS],
        chosen=chosen,
        is_first=before is None,
        older=older,
        size=size,
        checked=checked,
        most=_MOST_CHECKED,
        wrong=wrong,
        head=head,
    )
