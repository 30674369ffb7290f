"""The audit: who changed what, and whether every entry is still as it was written."""

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

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
        state = _state(session)
    more: dict[str, Any] | None = {**chosen, "before": rows[_ROWS - 1].number} if len(rows) > _ROWS else None
    return render_template(
        "audit.html", rows=rows[:_ROWS], chosen=chosen, is_first=before is None, **state,
        older=url_for("audit_pages.audit_page", **more) if more else None,
    )  # fmt: skip


def _state(session: Session) -> dict[str, object]:
    """What a check finds: of the latest entries on every visit, of all of them where they were asked for."""
    size, everything = audit.size(session), "check" in request.args
    many = min(size, _MOST_CHECKED if everything else _CHECKED)
    return {
        "size": size,
        "checked": many,
        "most": _MOST_CHECKED,
        "wrong": audit.verify(session) if many == size else audit.verify_latest(session, many),
        "head": audit.head(session),
    }
