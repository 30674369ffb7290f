"""Settings: every wrong one is named at once, and none is repeated."""

import socket
import traceback
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from receiver.db.database import Database
from receiver.lib import settings
from receiver.lib.settings import Settings, SettingsError, embedded_socket
from tests.properties import tries

NAMES = [field.name.upper() for field in fields(Settings)]
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_SECRET = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
MAIL = {"SMTP_HOST": "mail.example.com", "RECIPIENT_EMAIL": "it@example.com", "FROM_EMAIL": "desk@example.com"}


def _error(environ: dict[str, str]) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        settings.load(environ)
    return caught.value


def _named(environ: dict[str, str]) -> set[str]:
    return {line.split(":")[0].strip() for line in str(_error(environ)).splitlines()[1:]}


def test_every_wrong_setting_is_named_in_one_message() -> None:
    wrong = {
        "PORT": "http", "WEB_WORKERS": "0", "WORKERS": "-1", "PUBLIC_URL": "tickets.example.com",
        "LLM_TEMPERATURE": "nan", "LLM_TIMEOUT": "inf", "LLM_CONCURRENCY": "10000", "WEBHOOK_SECRET": "letmein",
        "API_TOKEN": "short",
        "SMTP_USE_TLS": "perhaps", "FROM_EMAIL": "nobody", "RECIPIENT_EMAIL": "a@example.com, nobody",
        "DIGEST_CRON": "every morning", "DIGEST_TIMEZONE": "Mars/Olympus", "DIGEST_AFTER_UNKNOWN": "pray",
        "BUSINESS_HOURS": "9 to 5", "BUSINESS_TIMEZONE": "Mars/Olympus", "HOLIDAYS": "tomorrow",
        "LOG_LEVEL": "chatty", "REVIEW_THRESHOLD": "1.5", "MAX_BODY_MB": "0", "MAX_BATCH": "many",
        "DATABASE_URL": "mysql://localhost/tickets", "REDIS_URL": "http://localhost:6379",
    }  # fmt: skip
    assert _named(wrong) == set(wrong)


def test_wrong_values_and_contradictions_are_told_together() -> None:
    wrong = {"PORT": "http", "SMTP_HOST": "mail.example.com", "SMTP_USERNAME": "ada", "REPORT_FILENAME": "a/b"}
    assert _named(wrong) == {"PORT", "RECIPIENT_EMAIL", "FROM_EMAIL", "SMTP_PASSWORD", "REPORT_FILENAME"}


def test_an_unusable_recipient_is_not_also_called_missing() -> None:
    message = str(_error(MAIL | {"RECIPIENT_EMAIL": "nobody"}))
    assert "Not a valid email address" in message
    assert "who receives" not in message


@pytest.mark.parametrize(
    "environ",
    [
        {"WEBHOOK_SECRET": "whsec_hunter2"},
        {"WEBHOOK_SECRET": f"{SECRET},hunter2"},
        {"API_TOKEN": "hunter2"},
        {"SMTP_PASSWORD": "hunter2"},
        {"DATABASE_URL": "postgresql+psycopg://ada:hunter2:hunter2@db:hunter2/tickets"},
        {"DATABASE_URL": "mysql://ada:hunter2@db/tickets"},
        {"DATABASE_URL": "postgresql+psycopg://ada:top/hunter2@x@db:hunter2"},
        {"REDIS_URL": "redis://:hunter2@redis:hunter2/0"},
        {"REDIS_URL": "amqp://:hunter2@redis"},
        {"OPENAI_BASE_URL": "ftp://ada:hunter2@models"},
        {"PUBLIC_URL": "hunter2"},
        {"HELPDESK_WEBHOOK_URL": "https://ada:hunter2 @helpdesk"},
        dict.fromkeys(NAMES, "hunter2"),
    ],
)
def test_no_value_is_repeated_in_an_error(environ: dict[str, str]) -> None:
    assert "hunter2" not in "".join(traceback.format_exception(_error(environ)))


@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
def test_an_empty_value_is_an_unset_one(blank: str) -> None:
    assert settings.load(dict.fromkeys(NAMES, blank)) == settings.load({})


def test_values_may_have_spaces_around_them() -> None:
    found = settings.load(
        {"PORT": " 9000 ", "LOG_LEVEL": " debug", "RECIPIENT_EMAIL": " a@example.com ,, b@example.com,"}
    )
    assert (found.port, found.log_level) == (9000, "DEBUG")
    assert found.recipient_email == ("a@example.com", "b@example.com")


def test_the_base_url_has_an_alias_and_its_own_name_wins() -> None:
    alias = {"OPENAI_API_BASE": "http://old:1/v1"}
    assert settings.load(alias).openai_base_url == "http://old:1/v1"
    assert settings.load(alias | {"OPENAI_BASE_URL": ""}).openai_base_url == "http://old:1/v1"
    assert settings.load(alias | {"OPENAI_BASE_URL": "http://new:1/v1"}).openai_base_url == "http://new:1/v1"
    assert _named({"OPENAI_API_BASE": "nowhere"}) == {"OPENAI_BASE_URL"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, False), ({"OPENAI_API_KEY": "sk-1"}, True), ({"OPENAI_API_BASE": "http://localhost:11434/v1"}, True)],
)
def test_a_key_or_a_base_url_chooses_the_model(environ: dict[str, str], expected: bool) -> None:
    assert settings.load(environ).uses_llm is expected


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        (MAIL | {"RECIPIENT_EMAIL": " , "}, "RECIPIENT_EMAIL"),
        (MAIL | {"FROM_EMAIL": ""}, "FROM_EMAIL"),
        (MAIL | {"SMTP_USERNAME": "ada"}, "SMTP_PASSWORD"),
        (MAIL | {"SMTP_PASSWORD": "pw"}, "SMTP_PASSWORD"),
        ({"REPORT_FILENAME": "../report.xlsx"}, "REPORT_FILENAME"),
        ({"REPORT_FILENAME": ".."}, "REPORT_FILENAME"),
        ({"REPORT_FILENAME": "/etc/report.xlsx"}, "REPORT_FILENAME"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ: dict[str, str], named: str) -> None:
    assert _named(environ) == {named}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("PORT", ["1", "65535"], ["0", "65536", "80.5", "0x50"]),
        ("REVIEW_THRESHOLD", ["0", "1", "0.75"], ["-0.01", "1.01", "NaN"]),
        ("LLM_TEMPERATURE", ["0", "2"], ["-1", "2.1", "Infinity"]),
        ("MAX_BATCH", ["1", "100000"], ["0", "100001", "1e3"]),
        ("DIGEST_CRON", ["0 8 * * 1-5", "* * 29 2 *"], ["0 8 * *", "0 8 * * * *", "61 * * * *", "0 8 30 2 *"]),
        ("DIGEST_TIMEZONE", ["Europe/Berlin", "UTC"], ["Berlin", "Europe", "../../etc/passwd", "/etc/localtime"]),
        ("DATABASE_URL", ["sqlite:////srv/a.db", "postgresql+psycopg://h/d"], ["sqlite:///", "sqlite:///:memory:"]),
        ("REDIS_URL", ["redis://h:1/0", "rediss://h", "unix:///run/r.sock"], ["redis", "redis://h:port/0", "h:6379"]),
        ("RECIPIENT_EMAIL", ["a@example.com,b@localhost"], ["Ada <a@example.com>", "a@b.org\nBcc: b@b.org"]),
        ("OPENAI_BASE_URL", ["http://localhost:1/v1", "http://[::1]:1/v1"], ["localhost:1", "file:///etc/passwd"]),
        ("WEBHOOK_SECRET", [SECRET, SECRET[6:], f"{SECRET} , {OTHER_SECRET}"], [f"{SECRET},x", "é", "whsec_AAAA"]),
        ("DATA_DIR", ["here", "/srv/with space/ü"], ["~nobody-of-this-name/data"]),
    ],
)  # fmt: skip
def test_the_limits_of_each_setting_are_kept(name: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        assert getattr(settings.load({name: value}), name.lower()) is not None
    for value in bad:
        assert _named({name: value}) == {name}, value


def test_every_secret_of_a_rotation_is_kept_in_order() -> None:
    assert settings.load({"WEBHOOK_SECRET": f"{SECRET}, {OTHER_SECRET},"}).webhook_secret == (SECRET, OTHER_SECRET)


def test_what_is_not_set_follows_from_what_is(tmp_path: Path) -> None:
    found = settings.load(MAIL | {"DATA_DIR": str(tmp_path), "PORT": "9000"})
    assert found.database_url == f"sqlite:///{tmp_path}/tickets.db"
    assert found.embeds_redis
    assert found.url == "http://127.0.0.1:9000"
    assert (found.envelope.recipients, found.envelope.domain) == (("it@example.com",), "example.com")


def test_what_is_set_is_not_derived(tmp_path: Path) -> None:
    given = {
        "DATABASE_URL": "sqlite:////srv/t.db",
        "REDIS_URL": "redis://redis/1",
        "PUBLIC_URL": "https://t.example.com/",
    }
    found = settings.load(given | {"DATA_DIR": str(tmp_path)})
    assert (found.database_url, found.redis_url) == (given["DATABASE_URL"], given["REDIS_URL"])
    assert not found.embeds_redis
    assert found.url == "https://t.example.com"


def test_the_mail_comes_from_the_account_where_no_address_is_named() -> None:
    account = {"SMTP_USERNAME": "desk@example.org", "SMTP_PASSWORD": "pw"}
    assert settings.load(MAIL | account | {"FROM_EMAIL": ""}).from_email == "desk@example.org"


def test_the_data_folder_is_the_same_wherever_a_process_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = settings.load({"DATA_DIR": "my data"})
    monkeypatch.chdir("/")
    assert found.data_dir == tmp_path / "my data"
    assert Database(found.database_url).path == tmp_path / "my data" / "tickets.db"


@pytest.mark.parametrize("letter", ["x", "ü"])
def test_a_socket_stays_bindable_however_long_the_data_folder_is(letter: str, tmp_path: Path) -> None:
    places = {embedded_socket(tmp_path / (letter * 100) / name) for name in ("a", "b", "a")}
    assert len(places) == 2
    for place in places:
        place.parent.mkdir(mode=0o700)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
        place.unlink()
        place.parent.rmdir()


def test_the_socket_is_under_the_data_folder_up_to_the_last_byte_that_fits() -> None:
    longest = Path("/" + "x" * (107 - len("//redis/redis.sock")))
    assert embedded_socket(longest) == longest / "redis" / "redis.sock"
    for too_long in (Path(f"{longest}x"), Path("/" + "ü" * 50)):
        assert not embedded_socket(too_long).is_relative_to(too_long)


def test_the_environment_overrules_the_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('PORT=9001\nWORKERS=3\nSENDER_NAME="IT, Süd"  # ours\n', encoding="utf-8")
    for name in ("WORKERS", "SENDER_NAME"):
        environment.delenv(name)
    environment.setenv("PORT", "9002")
    found = settings.load()
    assert (found.port, found.workers, found.sender_name) == (9002, 3, "IT, Süd")


def test_unknown_and_lower_case_variables_are_ignored() -> None:
    assert settings.load({"port": "http", "PATH": "/bin", "PORTS": "x"}) == settings.load({})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        settings.load({}).port = 1  # type: ignore[misc]


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
_prefixed = st.tuples(
    st.sampled_from(["", "~", "sqlite:///", "postgresql+psycopg://", "redis://", "http://", "whsec_"]), _text
)


@given(st.dictionaries(st.sampled_from(NAMES), _prefixed.map("".join)))
@hypothesis_settings(deadline=None, max_examples=tries(200))
def test_any_values_give_settings_or_an_explanation(environ: dict[str, str]) -> None:
    try:
        found = settings.load(environ)
    except SettingsError as error:
        assert len(str(error).splitlines()) > 1
    else:
        assert found.data_dir.is_absolute()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"SMTP_TLS": "ssl"}, "starttls, implicit, none"),
        ({"SMTP_CA_FILE": "/no/such/file.pem"}, "No such file"),
        ({"SMTP_CA_FILE": __file__}, "no certificate"),
        ({"SMTP_HELO": "two words"}, "name of a host"),
        ({"SMTP_PASSWORD": "schlüssel", "SMTP_USERNAME": "desk"}, "ASCII"),
        ({"FROM_EMAIL": "jörg@example.com"}, "before the @"),
        ({"REPLY_TO": "desk@example.com, jörg@example.com"}, "before the @"),
        ({"RECIPIENT_EMAIL": "ada"}, "email"),
    ],
)
def test_a_mail_that_could_never_be_sent_is_refused_at_the_start(environ: dict[str, str], words: str) -> None:
    text = str(_error(environ))
    assert next(iter(environ)) in text
    assert words in text


def test_domains_in_other_letters_are_taken() -> None:
    found = settings.load({"FROM_EMAIL": "desk@exämple.com", "RECIPIENT_EMAIL": "jörg@straße.de", "SMTP_TLS": "NONE"})
    assert found.envelope.domain == "xn--exmple-cua.com"
    assert found.recipient_email == ("jörg@straße.de",)
    assert found.smtp_tls == "none"


@pytest.mark.parametrize("written", ["sk-x1", '"sk-x1"', "'sk-x1'", "Bearer sk-x1", "\u200bsk-x1", "sk-x1\n"])
def test_a_key_is_understood_as_it_was_copied(written: str) -> None:
    assert settings.load({"OPENAI_API_KEY": written}).openai_api_key == "sk-x1"


@pytest.mark.parametrize("written", ["sk-“x”", "sk-a\nb", "sk x", "sk-x\u00a0y", "the key"])
def test_what_is_no_key_is_refused_without_repeating_it(written: str) -> None:
    error = _error({"OPENAI_API_KEY": written})
    assert _named({"OPENAI_API_KEY": written}) == {"OPENAI_API_KEY"}
    assert written not in str(error)


@pytest.mark.parametrize(
    "written",
    [
        "http://127.0.0.1:99999/v1",
        "http://[::1/v1",
        "http://:8080/v1",
        "localhost:11434/v1",
        "https://x.openai.azure.com/openai/deployments/gpt-4o",
        "https://x.openai.azure.com/openai/deployments/gpt-4o/chat/completions",
    ],
)
def test_an_address_that_cannot_work_is_refused_at_the_start(written: str) -> None:
    assert _named({"OPENAI_BASE_URL": written}) == {"OPENAI_BASE_URL"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("postgres://u:p%40ss@db/tickets", "postgresql+psycopg://u:p%40ss@db/tickets"),
        ("postgresql://u@db:6432/t?prepare_threshold=5", "postgresql+psycopg://u@db:6432/t?prepare_threshold=5"),
        ("postgresql+psycopg://db/t", "postgresql+psycopg://db/t"),
        ("sqlite:///data/own.db", "sqlite:///data/own.db"),
        ("sqlite:////data/own.db", "sqlite:////data/own.db"),
    ],
)
def test_the_databases_url_is_taken_as_people_write_it(written: str, read: str) -> None:
    assert settings.load({"DATABASE_URL": written}).database_url == read


@pytest.mark.parametrize(
    "written",
    ["sqlite://data/own.db", "postgresql+asyncpg://db/t", "postgres://db/t?prepare_threshold=many", "data.db"],
)
def test_what_is_no_url_of_ours_is_told(written: str) -> None:
    assert _named({"DATABASE_URL": written}) == {"DATABASE_URL"}


@pytest.mark.parametrize(
    ("written", "host", "url"),
    [
        ("::", "::", "http://localhost:8000"),
        ("[::]", "::", "http://localhost:8000"),
        ("0.0.0.0", "0.0.0.0", "http://localhost:8000"),
        ("::1", "::1", "http://[::1]:8000"),
        ("[::1]", "::1", "http://[::1]:8000"),
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8000"),
        ("tickets.internal", "tickets.internal", "http://tickets.internal:8000"),
    ],
)
def test_the_address_that_is_printed_can_be_opened(written: str, host: str, url: str) -> None:
    found = settings.load({"HOST": written})
    assert (found.host, found.url) == (host, url)
    assert bool(settings.addressed(found)) == (url == "http://localhost:8000")
    assert not settings.addressed(settings.load({"HOST": written, "PUBLIC_URL": "https://tickets.example.com"}))


@pytest.mark.parametrize("written", ["127.0.0.1:8000", "http://localhost", "a b", "::g"])
def test_what_is_no_host_is_told(written: str) -> None:
    assert _named({"HOST": written}) == {"HOST"}


def test_what_a_command_needs_and_lacks_stands_beside_what_is_wrong() -> None:
    with pytest.raises(SettingsError) as refused:
        settings.load({"PORT": "x"}, required={"HELPDESK_API_KEY": "Unset."})
    assert [line.split(":")[0].strip() for line in str(refused.value).splitlines()[1:]] == ["HELPDESK_API_KEY", "PORT"]
