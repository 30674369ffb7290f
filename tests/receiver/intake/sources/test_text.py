"""Texts as a person reads them, out of HTML, Markdown, ADF and mails with a history."""

import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from receiver.intake.sources.text import readable
from receiver.lib.text_limits import MOST_TEXT
from tests.properties import tries

REQUEST = "The VPN client says no route since this morning."


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>One</p><p>Two<br>Three</p>", "One\n\nTwo\nThree"),
        ("<div>One</div><div><div>Two</div></div>", "One\nTwo"),
        ("a <b>bold</b>\n  word&nbsp;and&#160;more", "a bold word and more"),
        ("<ul><li>a<li>b<ol><li>x</li><li>y</li></ol></ul>", "- a\n- b\n  1. x\n  2. y"),
        ("<ul><li><p>a</p></li><li><p>b</p></li></ul>", "- a\n- b"),
        (
            "<table><tr><th>Host</th><th>State</th></tr><tr><td>srv1</td><td><p>down</p></td></tr></table>",
            "Host | State\nsrv1 | down",
        ),
        ('see <a href="https://x.org/a?b=1&amp;c=2">the log</a>', "see the log (https://x.org/a?b=1&c=2)"),
        ('<a href="https://x.org/">https://x.org</a>, <a href="http://y.org">y.org</a>', "https://x.org, y.org"),
        ('<a href="mailto:a@b.org?subject=x">Ada</a> <a href="mailto:a@b.org">a@b.org</a>', "Ada (a@b.org) a@b.org"),
        ('<a href="javascript:alert(1)">click</a> <a href="#top">up</a> <a>bare</a>', "click up bare"),
        ('<a href="https://x.org"><img src="x.png"></a> word', "https://x.org word"),
        ("<pre>a\n  b\tc</pre>", "a\n  b\tc"),
        ("<h1>Title</h1>text<hr>more", "Title\n\ntext\nmore"),
        (
            '<img src="x" alt="a chart" width="600"><img src="t" alt="track" width="1" height="1"> shown',
            "a chart shown",
        ),
        ("<style>p{}</style><script>x('<p>')</script><title>t</title>shown<!-- not -->", "shown"),
        ('<div style="display: none">pre</div><span hidden>x</span><p style="mso-hide:all">y</p>shown', "shown"),
        ("&lt;p&gt;L&#39;imprimante&lt;/p&gt;&lt;p&gt;R&amp;amp;D&amp;nbsp;!&lt;/p&gt;", "L'imprimante\n\nR&D !"),
        ("&amp;lt;p&amp;gt;Bonjour&amp;lt;/p&amp;gt;", "Bonjour"),
        ("&#60;p&#62;Bonjour&#60;/p&#62;", "Bonjour"),
        ("no tags\nat all &amp; 1 < 2", "no tags\nat all & 1 < 2"),
        ("Ada <ada@example.com>\nsee <https://a.example>", "Ada <ada@example.com>\nsee <https://a.example>"),
        ("<p>x &lt;b&gt; y &amp; z</p>", "x <b> y & z"),
        ("<!-- never closed", "never closed"),
        ("<div style='display:none'>all is hidden</div>", "all is hidden"),
        ("", ""),
        ("<p></p><br>", ""),
        (
            "zero\u200bwidth, \u202ebidi\u202c, bell\x07, nul\x00, \ud800half, 😀",
            "zerowidth, bidi, bell, nul, half, 😀",
        ),
        (f'<p>x</p><img src="data:image/png;base64,{"QUJD" * 200_000}">{REQUEST}', f"x\n\n{REQUEST}"),
    ],
)
def test_html_is_read_as_it_is_seen(source: str, text: str) -> None:
    assert readable(source, "html") == text


REPLIES = [
    "On Mon, Jan 5, 2026 at 10:00 AM Ada Lovelace <ada@example.com> wrote:\n> old\n>> older",
    "On Mon, Jan 5, 2026 at 10:00 AM Ada Lovelace\n<ada@example.com> wrote:\n\n> old",
    "Am 05.01.2026 um 10:00 schrieb Ada Lovelace:\n> alt",
    "Le lun. 5 janv. 2026 à 10:00, Ada Lovelace <ada@example.com> a écrit :\n> vieux",
    "El lun, 5 ene 2026 a las 10:00, Ada (<ada@example.com>) escribió:\n> viejo",
    "Em seg., 5 de jan. de 2026 às 10:00, Ada <ada@example.com> escreveu:\n> velho",
    "Il giorno lun 5 gen 2026 alle ore 10:00 Ada <ada@example.com> ha scritto:\n> vecchio",
    "Op ma 5 jan 2026 om 10:00 schreef Ada <ada@example.com>:\n> oud",
    "-----Original Message-----\nFrom: Ada\nSent: Monday\n\nold",
    "-----Ursprüngliche Nachricht-----\nVon: Ada\n\nalt",
    "From: Ada <ada@example.com>\nSent: Monday, January 5\nTo: Help\nSubject: RE: VPN\n\nold",
    "Von: Ada\nGesendet: Montag, 5. Januar\nAn: Hilfe\nBetreff: AW: VPN\n\nalt",
    "De : Ada\nEnvoyé : lundi 5 janvier\nÀ : Aide\nObjet : RE: VPN\n\nvieux",
    "De: Ada\nEnviado el: lunes\nPara: Ayuda\nAsunto: RE: VPN\n\nviejo",
    "Da: Ada\nInviato: lunedì\nA: Aiuto\nOggetto: R: VPN\n\nvecchio",
    "Van: Ada\nVerzonden: maandag\nAan: Hulp\nOnderwerp: RE: VPN\n\noud",
    "*From:* Ada\n*Sent:* Monday\n*To:* Help\n*Subject:* VPN\n\nold",
]
SIGNATURES = [
    "-- \nAda Lovelace\n+49 123",
    "Kind regards,\nAda Lovelace\nFinance",
    "Mit freundlichen Grüßen\n\nAda\nBuchhaltung",
    "Cordialement\nAda",
    "Saludos,\nAda",
    "Atenciosamente,\nAda",
    "Cordiali saluti\nAda",
    "Met vriendelijke groet,\nAda",
    "Sent from my iPhone",
    "Best,\nAda\n\nThis e-mail and its attachments are confidential. If it is not for you, delete it.\n\nLtd",
    "Viele Grüße\nAda\n\nDiese E-Mail enthält vertrauliche Informationen, die nur für den Empfänger bestimmt sind.",
    "Von meinem iPhone gesendet",
    "Get Outlook for Android",
    "Thanks,\nAda\n\nSent from my iPad",
    "Best regards\nAda\n\n-- \nExample Ltd\nwww.example.com",
]


@pytest.mark.parametrize("addition", REPLIES + SIGNATURES)
def test_what_a_mail_program_adds_is_trimmed(addition: str) -> None:
    assert readable(f"{REQUEST}\n\n{addition}", "text") == REQUEST
    html = "<br>".join(f"{REQUEST}\n\n{addition}".replace("<", "&lt;").split("\n"))
    assert readable(f"<div>{html}</div>", "html") == REQUEST


@pytest.mark.parametrize("addition", REPLIES + SIGNATURES)
def test_what_is_all_there_is_stays(addition: str) -> None:
    for above in ("", "Hi\n", "?\n\n"):
        kept = readable(above + addition, "text")
        assert len(kept) >= len(readable(addition, "text")) > 0


FORWARDED = [
    "---------- Forwarded message ---------\nFrom: Ada\nDate: Monday\nSubject: VPN\n\n",
    "Begin forwarded message:\n\nFrom: Ada\n\n",
    "-------- Weitergeleitete Nachricht --------\nBetreff: VPN\n\n",
    "---------- Message transféré ----------\nDe: Ada\n\n",
    "---------- Mensaje reenviado ----------\nDe: Ada\n\n",
    "---------- Messaggio inoltrato ----------\n",
    "---------- Doorgestuurd bericht ----------\n",
]


@pytest.mark.parametrize(
    "above", ["", "FYI\n\n", "Dear colleagues, this one should be handled by your team today.\n\n"]
)
@pytest.mark.parametrize("marker", FORWARDED)
def test_a_forwarded_request_is_kept(marker: str, above: str) -> None:
    assert REQUEST in readable(above + marker + REQUEST, "text")
    quoted = (marker + REQUEST).replace("\n", "<br>")
    assert REQUEST in readable(f'<p>{above}</p><div class="gmail_quote">{quoted}</div>', "html")


@pytest.mark.parametrize(
    "above",
    [
        "Please see the mail below, who can help?",
        "Bitte kümmert euch um das unten stehende, danke. Siehe unten.",
        "Merci de traiter la demande ci-dessous rapidement.",
        "Can you help with the issue I am forwarding here?",
    ],
)
@pytest.mark.parametrize("header", [REPLIES[8], REPLIES[10], REPLIES[11]])
def test_what_a_message_points_at_is_kept(above: str, header: str) -> None:
    assert REQUEST in readable(f"{above}\n\n{header}\n{REQUEST}", "text")


def test_answers_between_quoted_lines_are_kept() -> None:
    text = "On Monday 5, Ada wrote:\n> Is it on?\nYes, it has been on all the time.\n> And plugged in?\nThat too."
    assert readable(text, "text") == "Yes, it has been on all the time.\n> And plugged in?\nThat too."


@pytest.mark.parametrize(
    "quote",
    [
        '<div class="gmail_quote"><div class="gmail_attr">On Mon, Ada &lt;a@b.org&gt; wrote:</div>'
        "<blockquote>old</blockquote></div>",
        '<div class="moz-cite-prefix">On 05.01.26 10:00, Ada wrote:<br></div>'
        '<blockquote type="cite"><p>old</p></blockquote>',
        "<blockquote><p>old</p><blockquote>older<blockquote>oldest</blockquote></blockquote></blockquote>",
        '<div class="yahoo_quoted">old</div>',
        '<span class="js-signatureMarker"></span>Ada<br>Finance',
        '<div class="gmail_signature">Ada<br>Finance</div>',
        '<div style="border-top:solid #E1E1E1 1.0pt"><p><b>From:</b> Ada<br><b>Sent:</b> Monday<br>'
        "<b>To:</b> x</p></div><p>old</p>",
    ],
)
def test_quotes_are_known_by_their_markup(quote: str) -> None:
    assert readable(f"<p>{REQUEST}</p>{quote}", "html") == REQUEST
    assert readable(quote, "html") != ""


@pytest.mark.parametrize(
    "text",
    [
        "On Monday the vendor wrote:\nreinstall the client\nWe did so, and it still does not work at all.",
        "The job says this when it is started by hand:\n> ping srv1\n> no answer from the server",
        "On Monday I wrote: nothing works.\nThe printer is on fire and the VPN too.",
        "From: the printer\nTo: nobody\nit prints garbage every single morning",
        "Thanks,\nbut the problem that we talked about last week on the phone is"
        " still there, and now it happens to all of us",
        "Best regards is what the template prints, please change the template of the mail.",
        "The file begins with\n--\nand then nothing else follows in it, so that"
        " the import fails with an error that says nothing about the line.",
        "Ada asked me this. Can you restore my mailbox?\nRegards\nPS: the mailbox is ada@example.com, it is urgent",
    ],
)
def test_a_request_that_looks_a_little_like_mail_stays_whole(text: str) -> None:
    assert readable(text, "text") == text.strip()


def test_markdown_loses_only_what_a_browser_would_hide() -> None:
    source = "### Bug\n<!-- fill in\nthis -->\n![shot](https://x.org/a.png) see [docs](https://d.org)<br>\n"
    source += "- `a<b`\n\n```\nx\n```"
    assert readable(source, "markdown") == "### Bug\n\nshot see docs (https://d.org)\n- `a<b`\n\n```\nx\n```"


def _text(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text} | more


def _node(kind: str, *content: Any, **attributes: Any) -> dict[str, Any]:
    return {"type": kind, "content": list(content), "attrs": attributes}


def _para(*content: Any) -> dict[str, Any]:
    return _node("paragraph", *content)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([_para(_text("One")), _para(_text("Two"), {"type": "hardBreak"}, _text("Three"))], "One\n\nTwo\nThree"),
        ([_node("heading", _text("Title"), level=1), _para(_text("x"))], "Title\n\nx"),
        ([_para(_text("log", marks=[{"type": "link", "attrs": {"href": "https://x.org"}}]))], "log (https://x.org)"),
        (
            [_para(_node("mention", text="@Ada", id="1"), _text(" hi "), _node("emoji", shortName=":+1:", text="👍"))],
            "@Ada hi 👍",
        ),
        (
            [
                _node(
                    "bulletList",
                    _node("listItem", _para(_text("a")), _node("orderedList", _node("listItem", _para(_text("b"))))),
                )
            ],
            "- a\n  1. b",
        ),
        (
            [
                _node(
                    "taskList", _node("taskItem", _text("a"), state="DONE"), _node("taskItem", _text("b"), state="TODO")
                )
            ],
            "[x] a\n[ ] b",
        ),
        (
            [
                _node(
                    "table",
                    _node("tableRow", _node("tableHeader", _para(_text("H"))), _node("tableCell", _para(_text("c")))),
                )
            ],
            "H | c",
        ),
        ([_node("codeBlock", _text("x = 1\n  y"), language="python")], "x = 1\n  y"),
        ([_para(_text("kept")), _node("blockquote", _para(_text("q"))), _para(_text("after"))], "kept\n\n> q\nafter"),
        (
            [_para(_node("inlineCard", url="https://x.org/1"), _node("date", timestamp="1767225600000"))],
            "https://x.org/12026-01-01",
        ),
        ([_node("newKind", _para(_text("inside")), text="said")], "saidinside"),
        ([_para(_text("a")), None, 7, "x", {"type": "paragraph", "content": "no list"}, {"no": "type"}], "a"),
    ],
)
def test_a_document_of_jira_is_read_as_it_is_seen(nodes: list[Any], text: str) -> None:
    assert readable({"type": "doc", "version": 1, "content": nodes}, "adf") == text


def test_a_jira_text_may_be_a_document_in_a_string_or_plain() -> None:
    assert (
        readable(
            '{"type": "doc", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "x"}]}]}', "adf"
        )
        == "x"
    )
    assert readable("h1. plain {code}", "adf") == "h1. plain {code}"
    assert readable("{not a document", "adf") == "{not a document"


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["x", "text", "orderedList", "taskItem", "date"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries({"type": inner}, optional=dict.fromkeys(["content", "attrs", "text", "marks"], inner))
        | st.dictionaries(st.sampled_from(["order", "state", "timestamp", "href", "type", "text"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(st.lists(_anything, min_size=1, max_size=4))
@hypothesis_settings(deadline=None, max_examples=tries(150))
def test_no_document_is_an_error_whatever_stands_where_a_text_should(nodes: list[Any]) -> None:
    readable({"type": "doc", "content": [{"type": ["paragraph"], "content": nodes}, *nodes]}, "adf")


def test_a_document_nested_absurdly_deep_still_says_its_text() -> None:
    node: dict[str, Any] = _text("deep")
    for _ in range(5_000):
        node = _para(node)
    assert readable(node, "adf") == "deep"


HOSTILE = [
    "<div>x",
    "<b>",
    "<blockquote>a",
    "<ul><li>a",
    "<table><tr><td>a",
    '<a href="https://x.org">a',
    "<",
    "&amp;",
    "On \n",
    "From: x\n",
    ">\n",
    "> ",
    " ",
    "\n",
    "![",
    "<!-",
    "On xxxxxxx wrote ",
    "[a](",
    "data:a/b;base64,",
    "<pre>a",
    "-",
    "</",
    "<a ",
    "thanks\n",
    "-- \n",
    "\x00",
    "&#x41;",
    "<p hidden>",
    "<!--",
    "\ud800",
    "Thanks,\nSent from my iPhone\n",
]


@pytest.mark.full
@pytest.mark.parametrize("form", ["html", "text", "markdown", "adf"])
def test_a_long_text_of_anything_comes_to_an_end(form: str) -> None:
    for piece in HOSTILE:
        assert len(readable(piece * (200_000 // len(piece)), form)) <= MOST_TEXT


# What once took minutes or grows with the square of its length in a naive reader: a beginning and what follows it.
SLOW = [
    ("<a href=x><b>", "<br>"), ("<b>", "</i>"), ("<a href=https://x.org>", "a"), ("<a href=x><i>", "</i></a>"),
    ("<table><tr><td>a", "</td>"), ("<td>a</td>", ""), ("<p>x\n\nOn 5, a@b.org wrote:\n>", "\n> y\nz"),
    ("a line\nOn Monday 5, Ada wrote:\n> old\n", ""), ("x\n", "Sent from my iPhone\n"),
    ("<style>", "</script"), ("<!--", "<b>"), ("&amp;lt;p", "&gt;"),
]  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize(("first", "then"), SLOW)
def test_no_mail_of_400_kb_holds_up_what_comes_after_it(first: str, then: str) -> None:
    source = first * (200_000 // len(first)) + (then or first) * (200_000 // len(then or first))
    for form in ("html", "text", "markdown"):
        began = time.thread_time()
        readable(source, form)
        assert time.thread_time() - began < 5  # A tenth of it on an idle machine; minutes where the square grows.


def test_a_mail_nested_too_deeply_is_read_without_its_tags_and_says_so() -> None:
    found = readable(f"<style>p {{}}</style><p>{REQUEST}</p>" + "<div><span>" * 300 + "the rest<br>of it", "html")
    assert found.startswith(REQUEST)
    assert found.endswith("the rest\nof it\n[read without its formatting, which is nested too deeply]")
    assert readable("<div>" * 400 + REQUEST, "html") == REQUEST


def test_a_link_ends_where_another_begins() -> None:
    assert readable("<a href=https://a.org>a<a href=https://b.org>b</a>c</a>d", "html") == (
        "a (https://a.org)b (https://b.org)cd"
    )
    assert readable("<a href=https://a.org>one<br>two</a> three", "html") == "one\ntwo (https://a.org) three"


def test_five_megabytes_of_nested_tags_take_little_memory() -> None:
    tracemalloc.start()
    assert len(readable("<div>x" * 800_000, "html")) <= MOST_TEXT
    assert tracemalloc.get_traced_memory()[1] < 150_000_000
    tracemalloc.stop()


def test_a_text_that_is_cut_says_so() -> None:
    for length in (300_000, 3_000_000):
        found = readable("word " * (length // 5), "text")
        assert len(found) <= MOST_TEXT
        assert found.endswith("[cut off: the text is longer]")


def test_a_document_cannot_be_more_than_a_text() -> None:
    lines = _text("\n" * 1_000_000)
    for _ in range(40):
        lines = _node("blockquote", lines)
    began = time.thread_time()
    readable(lines, "adf")
    assert time.thread_time() - began < 5


def test_a_value_that_is_no_text_is_no_error() -> None:
    for value in (None, True, [], {}, 7, 1.5, 10**5_000, ["a", ["b"], None, {"type": "doc"}], b"x", object()):
        assert isinstance(readable(value, "html"), str)
    assert readable(["a", "b"], "text") == "a\nb"


_words = st.lists(
    st.sampled_from([*HOSTILE, *REPLIES, *SIGNATURES, *FORWARDED, REQUEST, "\n", "\n\n", "<br>", "</div>", "&lt;p&gt;"])
    | st.text(max_size=10),
    max_size=12,
).map("".join)


@given(_words, st.sampled_from(["html", "text", "markdown", "adf", "other"]))
@hypothesis_settings(deadline=None, max_examples=tries(300))
def test_no_text_is_an_error_or_leaves_controls_behind(source: str, form: str) -> None:
    found = readable(source, form)
    assert not [letter for letter in found if (letter < " " and letter not in "\n\t") or "\x7f" <= letter <= "\x9f"]
    found.encode()
    assert found == found.strip()


@given(_words)
@hypothesis_settings(deadline=None, max_examples=tries(200))
def test_there_is_something_wherever_there_was_something(source: str) -> None:
    assert (readable(source, "text") != "") == any(letter.isalnum() for letter in source) or not source.isalnum()


@pytest.mark.parametrize("marks", ["\u0301", "\u0301\U0001d165", "\U0001d165"])
def test_a_letter_keeps_thirty_marks_of_any_plane(marks: str) -> None:
    kept = readable("e" + marks * 100 + " in the VPN", "text")
    assert kept == "e" + (marks * 30)[:30] + " in the VPN"
