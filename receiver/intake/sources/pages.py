"""The set-up page of each helpdesk, made of its profile, so that it says what the code does."""

from collections.abc import Callable, Mapping

from receiver.intake.signatures.hmacs import Hmac
from receiver.intake.sources.api import CARRIERS, names_in, needs, numbers_fields, takes
from receiver.intake.sources.helpdesk_profile import FIELDS, Profile

_NOTICE = "<!-- Made by `python -m jobs sources docs`; change the profile, not this file. -->"


def all_pages(profiles: Mapping[str, Profile]) -> dict[str, str]:
    """The text of every page by its file name, the index included."""
    pages = {f"{name}.md": page(profile) for name, profile in profiles.items()}
    rows = []
    for name, profile in sorted(profiles.items()):
        first = next(iter(profile.signings.values()), None)
        proof = "Standard Webhooks" if profile.name == "standard" else "a fixed credential"
        proof = f"signature in `{first.header}`" if isinstance(first, Hmac) else proof
        rows.append(f"| [{profile.title}]({name}.md) | `{name}` | {proof} |")
    index = [
        "# Connect a helpdesk",
        _NOTICE,
        "| helpdesk | profile | proves itself by |\n|---|---|---|\n" + "\n".join(rows),
    ]
    return pages | {"README.md": "\n\n".join([*index, _MORE])}


def page(profile: Profile) -> str:
    """One helpdesk's page, in Markdown."""
    parts = [
        f"# {profile.title}",
        _NOTICE,
        "## In SOURCES_FILE",
        f"```yaml\nsources:\n  {profile.name}-desk:\n    profile: {profile.name}\n    {_credential_line(profile)}\n```",
        "Restart; `python -m jobs sources` prints the URL to paste. [What else can be said here](README.md).",
        "## In the helpdesk",
        in_the_helpdesk(profile),
        "## Try it",
        f"`python -m jobs sources test {profile.name}-desk` tries it with a sample, of which nothing is kept.",
    ]
    parts += ["## What is understood", _what_is_understood(profile)]
    if profile.fields:
        parts.append(_table_of_fields(profile))
    if profile.facts:
        parts.append("Sources: " + ", ".join(f"<{fact}>" for fact in profile.facts))
    return "\n\n".join(parts) + "\n"


def in_the_helpdesk(profile: Profile) -> str:
    """What a person does there, what to paste, and what to know, in Markdown."""
    parts = [profile.setup.strip()]
    if profile.template:
        parts.append(f"```\n{profile.template.strip()}\n```")
    return "\n\n".join(parts + ([profile.notes.strip()] if profile.notes else []))


def _proof_line(profile: Profile) -> str:
    first = next(iter(profile.signings.values()), None)
    if isinstance(first, Hmac):
        return 'secrets: ["..."]'
    return 'secrets: ["whsec_..."]' if profile.name == "standard" else 'token: {basic: "user:password"}'


def _credential_line(profile: Profile) -> str:
    """How its deliveries are proved, and where they lack something, how its API is asked."""
    if profile.api is None or not profile.completes:
        return _proof_line(profile)
    asked = {name for value in profile.api["auth"].values() for name in names_in(value)}
    given = "".join(f', {name}: "..."' for name in ("user", "token") if name in asked)
    return f'{_proof_line(profile)}\n    api: {{url: "https://..."{given}}}   # Asked for what a delivery leaves out.'


def _what_is_understood(profile: Profile) -> str:
    lines = []
    for name, signing in profile.signings.items():
        choice = f" (`signing: {name}`)" if len(profile.signings) > 1 else ""
        lines.append(f"Proof{choice}: {signing.describe()}")
    lines = lines or ["Proof: it cannot sign; a fixed header, compared in constant time."]
    known_by, path = "", profile.delivery.body or profile.delivery.item
    if profile.delivery.header:
        known_by = f"`{profile.delivery.header}`, and by "
    elif path:
        known_by = f"`{path.text}` in the body, and by "
    lines.append(f"A resend is known by {known_by}the body itself.")
    if profile.events:
        taken = ", ".join(f"`{event}`" for event in profile.events)
        lines.append(f"Events: {taken}; others are acknowledged, and nothing comes of them.")
    lines += [sentence for holds, sentence in _SENTENCES if holds(profile)]
    if profile.api:
        can = takes(profile.api)
        said = {
            "fields": "`fields`" + (", by their number" if numbers_fields(profile.api) else ""),
            "labels": "`labels`",
            "note": "`note`",
        }
        lines.append(f"`write_back` may say: {'; '.join(said[name] for name in CARRIERS if name in can)}.")
        needed = set(needs(profile.api, dict.fromkeys(can, True))) - set(profile.api.get("defaults", {}))
        if needed:
            lines[-1] += f" It needs `parameters`: {', '.join(sorted(needed))}."
    return "\n".join(f"- {line}" for line in lines)


_SENTENCES: list[tuple[Callable[[Profile], bool], str]] = [
    (lambda p: p.lenient, "Raw line breaks and quotes that a template lets through get a second, lenient reading."),
    (lambda p: p.name == "standard", "A broken body is answered with 422, and kept."),
    (
        lambda p: p.name != "standard",
        "A broken body is kept, and answered with 200 `quarantined`: a resend is no help.",
    ),
    (
        lambda p: bool(p.fields and p.template) and "updated" not in str(p.template),
        "The template has no time of change, so what arrives last counts as the newest; where the helpdesk offers a "
        "placeholder for one, add it at the path of `updated_at` below.",
    ),
    (lambda p: p.challenge, "The CRA challenge is answered for its one constant token only; any other gets 403."),
    (lambda p: p.completes, "What the payload leaves out is fetched where `api` is configured, else unknown."),
]


def _table_of_fields(profile: Profile) -> str:
    inner = profile.items and profile.items.text != "@" and profile.items.text.replace("|", "\\|")
    where = f" of each item in `{inner}`" if inner else ""
    rows = [f"| field | path{where} | written in |", "|---|---|---|"]
    for name in FIELDS:
        if name not in profile.fields:
            continue
        path = profile.fields[name]
        shown = path.path.text.replace("|", "\\|")  # In Markdown's tables even code ends at a bare bar.
        written = path.format or (f"times in {path.zone.key}" if path.zone else "")
        if path.format_from:
            written += f", or as `{path.format_from.text}` says"
        rows.append(f"| `{name}` | `{shown}` | {written} |")
    return "\n".join(rows)


_MORE = """\
[What is tested with each of them](tested.md), case by case.

`python -m jobs sources` lists the sources with their URLs and last deliveries. `python -m jobs sources test NAME` sends
one a signed sample, or with `--body FILE` a body of your own: it is verified, read and recorded, shown, and taken back,
so that nothing of it is left.

## What a source may say

```yaml
sources:
  NAME:                       # the address is /webhooks/NAME
    profile: zendesk          # one of those above
    secrets: ["...", {secret: "...", until: 2026-12-31}]   # each counts, until its day is over
    token: {basic: "user:password"}   # instead of secrets; or {bearer: ...}, or {header: X-Api-Key, value: ...}
    hmac: {header: X-Sign, algorithm: sha256, encoding: hex, prefix: "sha256=", signed: "{timestamp}.{body}",
           timestamp_header: X-Time, unit: s, window: 300}   # instead of the profile's own way of signing
    fields: {requester_email: ticket.contact.email, long_description: {path: ticket.text, format: html}}
    items: data.tickets       # JMESPath to the tickets in a body
    events: [created]         # the names that are taken, instead of the profile's
    event: {body: type}       # where the name stands: header, body or item
    delivery: {header: X-Id}  # what a resend is known by
    own_actor: "5b10ac8d82e05b22cc7d4ef5"   # the user as whom we write back; what it does is acknowledged and ignored
    actor: {body: user.id}    # where an event says who acted; known for jira (account id), github (login), linear (id)
    unsigned: true            # no proof at all; needs allow_from unless only this machine can reach us
    allow_from: [10.1.0.0/16]
    api: {url: ..., token: ...}   # the way back: completing, write_back, reconcile
```

[Write back, complete, reconcile](write-back.md) has a page of its own.

Fields are [JMESPath](https://jmespath.org) expressions; `format` is `text`, `html`, `markdown` or `adf`; `zone` is the
time zone of times that name none. `origin(url)` is the scheme and the host of an address. A wrong file is refused at
the start, with every mistake named.

`unsigned` compares the address of whoever connects. Behind a proxy that is the proxy, so what was forwarded is refused,
unless `TRUSTED_PROXIES` names the proxy: then the caller that it names is compared.
"""
