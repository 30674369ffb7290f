SELECT pg_catalog.set_config('search_path', '', false);
CREATE FUNCTION public.audit_refusal() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the audit is only added to'; END $$;
CREATE FUNCTION public.deliveries_delete_old() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO tallies (name, value) VALUES ('delivery.' || OLD.status, -1) ON CONFLICT (name) DO UPDATE SET value = tallies.value - 1; RETURN NULL; END $$;
CREATE FUNCTION public.deliveries_insert_new() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO tallies (name, value) VALUES ('delivery.' || NEW.status, +1) ON CONFLICT (name) DO UPDATE SET value = tallies.value + 1; RETURN NULL; END $$;
CREATE FUNCTION public.deliveries_update_new() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO tallies (name, value) VALUES ('delivery.' || NEW.status, +1) ON CONFLICT (name) DO UPDATE SET value = tallies.value + 1; RETURN NULL; END $$;
CREATE FUNCTION public.deliveries_update_old() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO tallies (name, value) VALUES ('delivery.' || OLD.status, -1) ON CONFLICT (name) DO UPDATE SET value = tallies.value - 1; RETURN NULL; END $$;
CREATE FUNCTION public.ticket_words() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO ticket_words VALUES (NEW.id, words_of(coalesce(NEW.short_description, '')) || words_of(coalesce(NEW.long_description, '')) || words_of(coalesce(NEW.requester_email, '')) || words_of(coalesce(NEW.external_id, ''))) ON CONFLICT (rowid) DO UPDATE SET ticket_words = excluded.ticket_words; RETURN NULL; END $$;
CREATE FUNCTION public.tickets_delete_old() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO tallies (name, value) VALUES ('ticket.' || OLD.status, -1) ON CONFLICT (name) DO UPDATE SET value = tallies.value - 1; RETURN NULL; END $$;
CREATE FUNCTION public.tickets_entry_delete_old() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO entry_tallies (category, request_type, tickets) VALUES (OLD.category, OLD.request_type, -1) ON CONFLICT (category, request_type) DO UPDATE SET tickets = entry_tallies.tickets - 1; RETURN NULL; END $$;
CREATE FUNCTION public.tickets_entry_insert_new() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO entry_tallies (category, request_type, tickets) VALUES (NEW.category, NEW.request_type, +1) ON CONFLICT (category, request_type) DO UPDATE SET tickets = entry_tallies.tickets + 1; RETURN NULL; END $$;
CREATE FUNCTION public.tickets_entry_update_new() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO entry_tallies (category, request_type, tickets) VALUES (NEW.category, NEW.request_type, +1) ON CONFLICT (category, request_type) DO UPDATE SET tickets = entry_tallies.tickets + 1; RETURN NULL; END $$;
CREATE FUNCTION public.tickets_entry_update_old() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO entry_tallies (category, request_type, tickets) VALUES (OLD.category, OLD.request_type, -1) ON CONFLICT (category, request_type) DO UPDATE SET tickets = entry_tallies.tickets - 1; RETURN NULL; END $$;
CREATE FUNCTION public.tickets_insert_new() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO tallies (name, value) VALUES ('ticket.' || NEW.status, +1) ON CONFLICT (name) DO UPDATE SET value = tallies.value + 1; RETURN NULL; END $$;
CREATE FUNCTION public.tickets_update_new() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO tallies (name, value) VALUES ('ticket.' || NEW.status, +1) ON CONFLICT (name) DO UPDATE SET value = tallies.value + 1; RETURN NULL; END $$;
CREATE FUNCTION public.tickets_update_old() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO tallies (name, value) VALUES ('ticket.' || OLD.status, -1) ON CONFLICT (name) DO UPDATE SET value = tallies.value - 1; RETURN NULL; END $$;
CREATE FUNCTION public.words_of(text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE
    AS $_$ SELECT to_tsvector('simple', regexp_replace(regexp_replace(normalize(left($1, 100000), NFD), '[\u0300-\u036f]', '', 'g'), '[!-/:-@[-`{-~]', ' ', 'g')) $_$;
CREATE TABLE public.alarms (
    name text NOT NULL,
    message text NOT NULL,
    since timestamp with time zone NOT NULL
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.api_tokens (
    id bigint NOT NULL,
    token_sha256 text NOT NULL,
    person_id bigint NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    read_only boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone
);
CREATE SEQUENCE public.api_tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.api_tokens_id_seq OWNED BY public.api_tokens.id;
CREATE TABLE public.audit (
    number bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    who text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details json NOT NULL,
    hash text NOT NULL
);
CREATE TABLE public.browser_sessions (
    token_sha256 text NOT NULL,
    person_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL
);
CREATE TABLE public.catalogs (
    version text NOT NULL,
    text text NOT NULL,
    loaded_at timestamp with time zone NOT NULL,
    location text,
    etag text,
    modified text,
    since timestamp with time zone
);
CREATE TABLE public.classifications (
    id bigint NOT NULL,
    ticket_id bigint NOT NULL,
    current boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    category text NOT NULL,
    request_type text NOT NULL,
    sla_value double precision NOT NULL,
    sla_unit text NOT NULL,
    sla_is_default boolean NOT NULL,
    confidence double precision NOT NULL,
    reasoning text NOT NULL,
    alternatives json NOT NULL,
    review_reason text,
    engine text NOT NULL,
    model text NOT NULL,
    fallback boolean NOT NULL,
    mended boolean NOT NULL,
    catalog_version text NOT NULL,
    prompt_version text,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    latency_ms integer NOT NULL,
    second_opinion text,
    agreement boolean,
    steers boolean DEFAULT false NOT NULL,
    stood_in boolean DEFAULT false NOT NULL,
    repeated boolean DEFAULT false NOT NULL,
    answer_key text,
    cost_micros bigint DEFAULT '0'::bigint NOT NULL,
    reviewer text,
    example_ids json,
    before json,
    undone boolean DEFAULT false NOT NULL,
    stand_in_cause text
);
CREATE SEQUENCE public.classifications_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.classifications_id_seq OWNED BY public.classifications.id;
CREATE TABLE public.deliveries (
    id bigint NOT NULL,
    source text NOT NULL,
    key text NOT NULL,
    received_at timestamp with time zone NOT NULL,
    status text NOT NULL,
    headers json NOT NULL,
    body bytea,
    body_sha256 text NOT NULL,
    accepted integer NOT NULL,
    updated integer NOT NULL,
    duplicates integer NOT NULL,
    rejected json NOT NULL,
    error text,
    original_id bigint,
    conflict boolean NOT NULL
);
CREATE SEQUENCE public.deliveries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.deliveries_id_seq OWNED BY public.deliveries.id;
CREATE TABLE public.digest_recipients (
    digest_id bigint NOT NULL,
    address text NOT NULL,
    state text NOT NULL,
    error_code text,
    error text,
    attempts integer NOT NULL,
    resends integer NOT NULL,
    run_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone
);
CREATE TABLE public.digest_tickets (
    digest_id bigint NOT NULL,
    ticket_id bigint NOT NULL,
    classification_id bigint
);
CREATE TABLE public.digests (
    id bigint NOT NULL,
    name text NOT NULL,
    period text NOT NULL,
    status text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    settled_after bigint NOT NULL,
    settled_until bigint NOT NULL,
    tickets integer NOT NULL,
    recipients json NOT NULL,
    message_id text NOT NULL,
    attempts integer NOT NULL,
    claimable_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    error text,
    copy_of bigint,
    lease text,
    without_workbook boolean DEFAULT false NOT NULL
);
CREATE SEQUENCE public.digests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.digests_id_seq OWNED BY public.digests.id;
CREATE TABLE public.endpoints (
    name text NOT NULL,
    learned json NOT NULL,
    learned_at timestamp with time zone NOT NULL
);
CREATE TABLE public.entry_tallies (
    category text NOT NULL,
    request_type text NOT NULL,
    tickets bigint NOT NULL
);
CREATE TABLE public.errands (
    id bigint NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    ticket_id bigint NOT NULL,
    classification_id bigint,
    status text NOT NULL,
    steps integer NOT NULL,
    attempts integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    claimable_at timestamp with time zone NOT NULL,
    attempted_at timestamp with time zone,
    error text
);
CREATE SEQUENCE public.errands_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.errands_id_seq OWNED BY public.errands.id;
CREATE TABLE public.examples (
    id bigint NOT NULL,
    ticket_id bigint NOT NULL,
    category text NOT NULL,
    request_type text NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.examples_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.examples_id_seq OWNED BY public.examples.id;
CREATE TABLE public.latencies (
    at bigint NOT NULL,
    stage text NOT NULL,
    bucket integer NOT NULL,
    count bigint NOT NULL
);
CREATE TABLE public.linear_models (
    id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    examples integer NOT NULL,
    known_count integer NOT NULL,
    known_newest bigint NOT NULL,
    accuracy double precision NOT NULL,
    rival_accuracy double precision NOT NULL,
    in_force boolean NOT NULL,
    weights bytea
);
CREATE SEQUENCE public.linear_models_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.linear_models_id_seq OWNED BY public.linear_models.id;
CREATE TABLE public.people (
    id bigint NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    password_hash text,
    active boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone,
    oidc_issuer text,
    oidc_subject text
);
CREATE SEQUENCE public.people_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.people_id_seq OWNED BY public.people.id;
CREATE TABLE public.processes (
    id text NOT NULL,
    role text NOT NULL,
    place text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    heartbeat_at timestamp with time zone NOT NULL,
    died_at timestamp with time zone,
    last_words text
);
CREATE TABLE public.recovery_codes (
    code_sha256 text NOT NULL,
    person_id bigint NOT NULL
);
CREATE TABLE public.refusals (
    at bigint NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    count bigint NOT NULL,
    address text NOT NULL
);
CREATE TABLE public.second_factors (
    person_id bigint NOT NULL,
    secret text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    confirmed_at timestamp with time zone,
    last_step bigint NOT NULL
);
CREATE TABLE public.sign_in_links (
    token_sha256 text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    person_id bigint,
    sets_password boolean NOT NULL
);
CREATE TABLE public.sign_in_tries (
    key_sha256 text NOT NULL,
    tries integer NOT NULL,
    last_at timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL
);
CREATE TABLE public.source_days (
    source text NOT NULL,
    day text NOT NULL,
    deliveries bigint NOT NULL,
    tickets bigint NOT NULL,
    quarantined bigint NOT NULL
);
CREATE TABLE public.spending (
    day text NOT NULL,
    model text NOT NULL,
    calls bigint NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cost_micros bigint NOT NULL
);
CREATE TABLE public.tallies (
    name text NOT NULL,
    value bigint NOT NULL
);
CREATE TABLE public.ticket_words (
    rowid bigint NOT NULL,
    ticket_words tsvector NOT NULL
);
CREATE TABLE public.tickets (
    id bigint NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    delivery_id bigint NOT NULL,
    short_description text NOT NULL,
    long_description text NOT NULL,
    requester_email text,
    priority text,
    url text,
    source_created_at timestamp with time zone,
    source_updated_at timestamp with time zone,
    received_at timestamp with time zone NOT NULL,
    status text NOT NULL,
    category text,
    request_type text,
    due_at timestamp with time zone,
    claimable_at timestamp with time zone NOT NULL,
    lease text,
    attempts integer NOT NULL,
    crashes integer NOT NULL,
    error text,
    settled bigint,
    arrived_sha256 text,
    at_risk_at timestamp with time zone
);
CREATE SEQUENCE public.tickets_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tickets_id_seq OWNED BY public.tickets.id;
CREATE TABLE public.timed_jobs (
    name text NOT NULL,
    queue text NOT NULL,
    seconds integer NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    error text
);
CREATE TABLE public.timetable (
    name text NOT NULL,
    last_slot timestamp with time zone NOT NULL
);
CREATE TABLE public.tombstones (
    name_sha256 text NOT NULL
);
CREATE TABLE public.verdicts (
    judged_id bigint NOT NULL,
    ticket_id bigint NOT NULL,
    day text NOT NULL,
    source text NOT NULL,
    engine text NOT NULL,
    model text NOT NULL,
    prompt_version text,
    catalog_version text NOT NULL,
    confidence double precision NOT NULL,
    flagged boolean NOT NULL,
    found_category text NOT NULL,
    found_type text NOT NULL,
    chosen_category text NOT NULL,
    chosen_type text NOT NULL
);
ALTER TABLE ONLY public.api_tokens ALTER COLUMN id SET DEFAULT nextval('public.api_tokens_id_seq'::regclass);
ALTER TABLE ONLY public.classifications ALTER COLUMN id SET DEFAULT nextval('public.classifications_id_seq'::regclass);
ALTER TABLE ONLY public.deliveries ALTER COLUMN id SET DEFAULT nextval('public.deliveries_id_seq'::regclass);
ALTER TABLE ONLY public.digests ALTER COLUMN id SET DEFAULT nextval('public.digests_id_seq'::regclass);
ALTER TABLE ONLY public.errands ALTER COLUMN id SET DEFAULT nextval('public.errands_id_seq'::regclass);
ALTER TABLE ONLY public.examples ALTER COLUMN id SET DEFAULT nextval('public.examples_id_seq'::regclass);
ALTER TABLE ONLY public.linear_models ALTER COLUMN id SET DEFAULT nextval('public.linear_models_id_seq'::regclass);
ALTER TABLE ONLY public.people ALTER COLUMN id SET DEFAULT nextval('public.people_id_seq'::regclass);
ALTER TABLE ONLY public.tickets ALTER COLUMN id SET DEFAULT nextval('public.tickets_id_seq'::regclass);
INSERT INTO public.alarms VALUES ('outgoing:acme', 'the helpdesk of ticket 32 (acme) is not told its classification: it answered 422; it does not take what write_back says, so compare that with its fields', '2026-11-30 07:02:00+00');
INSERT INTO public.alarms VALUES ('outgoing:crm', 'crm: the webhook''s receiver answered 410 and wants no more; change its write_back, then redrive what failed', '2026-11-30 07:02:00+00');
INSERT INTO public.alarms VALUES ('digest', 'digest 6 is held: boss@example.com: the connection ended after the text was sent; the mail may have arrived', '2026-11-30 07:04:00+00');
INSERT INTO public.alarms VALUES ('engine', 'the endpoint refuses the key (401); check OPENAI_API_KEY', '2026-11-30 09:10:01+00');
INSERT INTO public.alarms VALUES ('paused', 'classification is paused by otto@example.com; tickets are accepted and wait in the record, until it is resumed on Jobs', '2026-11-30 09:10:06+00');
INSERT INTO public.alarms VALUES ('budget', 'the day''s budget of 5 is spent; the local engine answers until midnight UTC', '2026-11-30 09:10:06+00');
INSERT INTO public.alarms VALUES ('silent:door', 'the source door has sent nothing for 3 hours', '2026-11-30 09:10:06+00');
INSERT INTO public.alembic_version VALUES ('0026');
INSERT INTO public.api_tokens VALUES (1, 'ecbef18da9a359ee2de7bb9968feb06385af8b7fc70e51bac7f4ddd4d5f704ac', 2, 'my script', 'reviewer', false, '2026-11-30 07:00:00+00', '2027-11-30 07:00:00+00', NULL);
INSERT INTO public.audit VALUES (1, '2026-11-30 07:00:00+00', 'grace@example.com', 'invite', 'person 2', '{"role": "reviewer"}', '952176d6735b66af62dc9ef6d869203a7d6b98cec8d281bdf9a318390ebf620e');
INSERT INTO public.audit VALUES (2, '2026-11-30 07:00:00+00', 'grace@example.com', 'invite', 'person 3', '{"role": "operator"}', 'b33cf400f8fc40520dcbd986d525b77c314df4079427d1426b0ad9c1c6f7c475');
INSERT INTO public.audit VALUES (3, '2026-11-30 07:00:00+00', 'grace@example.com', 'invite', 'person 4', '{"role": "viewer"}', '8d663159bc577637ea6aab116c93d8e66a06f347884ec6335914128c40b14b41');
INSERT INTO public.audit VALUES (4, '2026-11-30 07:00:00+00', 'grace@example.com', 'invite', 'person 5', '{"role": "viewer"}', '6e1a9cef18101bed0731d15400c38db3193b09b3c5d31170ca0da26c80d73def');
INSERT INTO public.audit VALUES (5, '2026-11-30 07:00:00+00', 'grace@example.com', 'disable', 'person 5', '{}', '0378b57a92b2de4e395ede38984029f52292ec1587b5a34343b0a86ede1ef4fb');
INSERT INTO public.audit VALUES (6, '2026-11-30 07:00:00+00', 'ada@example.com', 'make token', 'token 1', '{"name": "my script"}', '09139fcdd6b2fdb244077f31c68167c271ed5b234413f6cf1994b7c72316199b');
INSERT INTO public.audit VALUES (7, '2026-11-30 07:00:00+00', 'otto@example.com', 'set up second factor', 'person 3', '{}', 'c2e9cce82eba715da8a294f90874a55c2650d2ddb93bf1f972b5694325b5a37f');
INSERT INTO public.audit VALUES (8, '2026-11-30 07:00:00+00', 'grace@example.com', 'sign in', 'person 1', '{"by": "password", "address": "127.0.0.1"}', 'f11bb6b3739d6ee6afa886f0be1e2f6a716f9963ef49649724e73cb79b4ad16c');
INSERT INTO public.audit VALUES (9, '2026-11-30 07:00:00+00', 'grace@example.com', 'reload', 'catalog 2d8af38ba8ad', '{}', 'd1f259bbcc4ce3bc07bfd6c1e24ed38e70929b1243a39847d79806284ab49115');
INSERT INTO public.audit VALUES (10, '2026-11-30 07:02:00+00', 'otto@example.com', 'dismiss', 'delivery 4', '{}', '57821ca5ddbb1078a459225fac51ec448a08582b5154ec34ddf5567b55a03e38');
INSERT INTO public.audit VALUES (11, '2026-11-30 07:02:00+00', 'otto@example.com', 'replay', 'delivery 9', '{"before": {"status": "quarantined", "accepted": 0, "updated": 0, "duplicates": 0, "rejected": 1}, "after": {"status": "replayed", "accepted": 1, "updated": 0, "duplicates": 0, "rejected": 0}}', '970f892a5803d72c4d65c885cc736095e8024c2fb9d442e21fe7534691dae847');
INSERT INTO public.audit VALUES (12, '2026-11-30 07:02:00+00', 'ada@example.com', 'correct', 'ticket 31', '{"to": "Network / Wi-Fi Issue", "from": "Network / VPN Issue"}', '4a78551d8d87a7a13bda1f409a3b314ee04d9ed7b7578487e3f7948bb5d55cfb');
INSERT INTO public.audit VALUES (13, '2026-11-30 07:02:00+00', 'ada@example.com', 'correct', 'ticket 34', '{"to": "Access / Password Reset", "from": "Network / VPN Issue"}', '23880d2f33500f523824d79ac351cccb3e95a2f4f9c8c00c95b578d98e391638');
INSERT INTO public.audit VALUES (14, '2026-11-30 07:02:00+00', 'ada@example.com', 'confirm', 'ticket 9', '{"to": "Access / Password Reset"}', '740e774b6b03246983d54301d308c5073e54648a967e074f94fc9f736f8ed8ec');
INSERT INTO public.audit VALUES (15, '2026-11-30 07:02:00+00', 'ada@example.com', 'correct', 'ticket 10', '{"to": "Access / Password Reset", "from": "Network / VPN Issue"}', '8bdcce03d8b93c4a092c5abc55c2dbabd8c6fb0a4f13d0f3341c6701c4d6157f');
INSERT INTO public.audit VALUES (16, '2026-11-30 07:02:00+00', 'ada@example.com', 'correct', 'ticket 11', '{"to": "Hardware / Printer Issue", "from": "Network / VPN Issue"}', 'ed30b6835500b814e27f716a6dcbb010d421ede1ada8548bbaf8f58c2a4c100f');
INSERT INTO public.audit VALUES (17, '2026-11-30 07:03:00+00', 'otto@example.com', 'correct', 'ticket 11', '{"to": "Access / Password Reset", "from": "Hardware / Printer Issue"}', '2c87068323d4198dec388c5275992d26b748f346183db82e41b3097237330d05');
INSERT INTO public.audit VALUES (18, '2026-11-30 07:03:00+00', 'ada@example.com', 'confirm', 'ticket 12', '{"to": "Access / Password Reset"}', '2d5d742e2b295deb0614e5ad79cff83b4f777bcb87186817b85dcea9e2b0f627');
INSERT INTO public.audit VALUES (19, '2026-11-30 07:03:00+00', 'ada@example.com', 'undo review', 'ticket 12', '{}', 'c7bfb0c4a24ef7985a12252120eeba46eeea7e6078d711f73bdf9703c6e2b595');
INSERT INTO public.audit VALUES (20, '2026-11-30 07:03:00+00', 'ada@example.com', 'correct', 'ticket 13', '{"to": "Access / New Account"}', 'e3c7731ad193a4bae8c70e9a2e68614da1caa3ed94572fa27025443ebca56b19');
INSERT INTO public.audit VALUES (21, '2026-11-30 07:03:00+00', 'otto@example.com', 'redrive', 'ticket 14', '{}', '7cf20f6b9ec9a65969f919491d9ac11d20c1e5f55c98f97966be3f9cd4bf6d2d');
INSERT INTO public.audit VALUES (22, '2026-11-30 07:03:00+00', 'grace@example.com', 'resend', 'digest 1', '{"copy": 2}', '1c71fa84f004916f89a3f58e260ecf29dd1de0b73f7fe04c2f596673a6838b64');
INSERT INTO public.audit VALUES (23, '2026-11-30 07:08:00+00', 'otto@example.com', 'redrive', 'digest 7', '{}', 'd5575919a208970d4b12854dc067a49cadfbf30a755a2ac8958a020fb24e8411');
INSERT INTO public.audit VALUES (24, '2026-11-30 07:09:00+00', 'otto@example.com', 'mark as sent', 'digest 8', '{}', '988fda8eea2fa31456ef2727fbc8cd033256686cf958e5168e22063855a23d01');
INSERT INTO public.audit VALUES (25, '2026-11-30 09:10:06+00', 'otto@example.com', 'pause', 'classification', '{}', 'c0691528fde966b33544f4d55d8ca1ee0921aa0e64e3570a46a92c79b46a2056');
INSERT INTO public.browser_sessions VALUES ('5d36232132b493c074e65e0d4c94674cedafd4a22a1211a6078b749c65ae77a9', 1, '2026-11-30 07:00:00+00', '2026-11-30 09:10:06+00');
INSERT INTO public.catalogs VALUES ('2d8af38ba8ad', 'service_catalog:
  catalog:
    categories:
      - name: Network
        requests:
          - name: VPN Issue
            description: The VPN client does not connect, or drops.
            sla: {unit: hours, value: 4}
          - name: Wi-Fi Issue
            description: The wireless network is slow or away.
            sla: {unit: hours, value: 8}
      - name: Access
        requests:
          - name: Password Reset
            description: Somebody has forgotten a password or is locked out.
            sla: {unit: hours, value: 2}
          - name: New Account
            description: A new colleague needs an account.
            sla: {unit: days, value: 2}
      - name: Hardware
        requests:
          - name: Printer Issue
            description: A printer does not print, or prints badly.
            sla: {unit: days, value: 1}
      - name: Other
        requests:
          - name: Other misc
            description: What is nothing else.
            sla: {unit: days, value: 3}
', '2026-11-30 09:10:06+00', '/tmp/tmpoy6qwzjb/catalog.yaml', NULL, NULL, '2026-11-30 07:00:00+00');
INSERT INTO public.classifications VALUES (2, 32, true, '2026-11-30 07:02:00+00', 'Access', 'New Account', 2, 'days', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (3, 33, true, '2026-11-30 07:02:00+00', 'Hardware', 'Printer Issue', 1, 'days', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (1, 31, false, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (4, 31, true, '2026-11-30 07:02:00+00', 'Network', 'Wi-Fi Issue', 8, 'hours', false, 1, 'chosen by ada@example.com, instead of Network / VPN Issue', '[]', NULL, 'person', '', false, false, '2d8af38ba8ad', NULL, 0, 0, 0, NULL, NULL, false, false, false, NULL, 0, 'ada@example.com', NULL, '{"status": "classified", "category": "Network", "request_type": "VPN Issue", "settled": 1, "crashes": 0, "error": null, "delivery_id": 14, "at_risk_at": "2026-11-30T10:02:00+00:00", "due_at": "2026-11-30T11:02:00+00:00", "classification_id": 1, "example": null, "answers": []}', false, NULL);
INSERT INTO public.classifications VALUES (5, 34, false, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (6, 34, true, '2026-11-30 07:02:00+00', 'Access', 'Password Reset', 2, 'hours', false, 1, 'chosen by ada@example.com, instead of Network / VPN Issue', '[]', NULL, 'person', '', false, false, '2d8af38ba8ad', NULL, 0, 0, 0, NULL, NULL, false, false, false, NULL, 0, 'ada@example.com', NULL, '{"status": "classified", "category": "Network", "request_type": "VPN Issue", "settled": 5, "crashes": 0, "error": null, "delivery_id": 17, "at_risk_at": "2026-11-30T10:02:00+00:00", "due_at": "2026-11-30T11:02:00+00:00", "classification_id": 5, "example": null, "answers": []}', false, NULL);
INSERT INTO public.classifications VALUES (7, 39, true, '2026-11-30 07:02:00+00', 'Hardware', 'Printer Issue', 1, 'days', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (8, 27, true, '2026-11-30 07:02:00+00', 'Other', 'Other misc', 3, 'days', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (9, 28, true, '2026-11-30 07:02:00+00', 'Other', 'Other misc', 3, 'days', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (10, 1, true, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (11, 2, true, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.93, 'it names it', '["Wi-Fi Issue", "Other misc"]', NULL, 'llm', 'gpt-4o-mini', false, true, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (12, 3, true, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.41, 'it names it', '["Wi-Fi Issue"]', 'confidence is below the threshold', 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (13, 4, true, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.7, 'it names it', '[]', 'the local engine says Wi-Fi Issue instead, and the model is not sure', 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, 'Wi-Fi Issue', false, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (14, 5, true, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.93, 'it names it', '[]', 'the ticket''s text seems to tell the engine what to answer', 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, true, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (15, 6, true, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.8, 'it names it', '[]', 'the local engine stood in: the model did not answer within 30 seconds', 'local', 'use-multilingual-v3', true, false, '2d8af38ba8ad', NULL, 0, 0, 850, NULL, NULL, false, true, false, NULL, 0, NULL, 'null', NULL, false, 'busy');
INSERT INTO public.classifications VALUES (16, 7, true, '2026-11-30 07:02:00+00', 'Other', 'Other misc', 3, 'days', false, 0, 'it names it', '[]', 'the engine''s answer is not in the catalog', 'llm', 'gpt-4o-mini', true, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (17, 8, true, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, true, 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk', 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (18, 9, false, '2026-11-30 07:02:00+00', 'Access', 'Password Reset', 2, 'hours', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, 'Password Reset', true, false, false, false, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (19, 9, true, '2026-11-30 07:02:00+00', 'Access', 'Password Reset', 2, 'hours', false, 1, 'confirmed by ada@example.com', '[]', NULL, 'person', '', false, false, '2d8af38ba8ad', NULL, 0, 0, 0, NULL, NULL, false, false, false, NULL, 0, 'ada@example.com', NULL, '{"status": "classified", "category": "Access", "request_type": "Password Reset", "settled": 18, "crashes": 0, "error": null, "delivery_id": 1, "at_risk_at": "2026-11-30T07:30:00+00:00", "due_at": "2026-11-30T08:00:00+00:00", "classification_id": 18, "example": null, "answers": []}', false, NULL);
INSERT INTO public.classifications VALUES (20, 10, false, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.5, 'it names it', '[]', 'confidence is below the threshold', 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (21, 10, true, '2026-11-30 07:02:00+00', 'Access', 'Password Reset', 2, 'hours', false, 1, 'chosen by ada@example.com, instead of Network / VPN Issue', '[]', NULL, 'person', '', false, false, '2d8af38ba8ad', NULL, 0, 0, 0, NULL, NULL, false, false, false, NULL, 0, 'ada@example.com', NULL, '{"status": "needs_review", "category": "Network", "request_type": "VPN Issue", "settled": 20, "crashes": 0, "error": null, "delivery_id": 1, "at_risk_at": "2026-11-30T09:00:00+00:00", "due_at": "2026-11-30T10:00:00+00:00", "classification_id": 20, "example": null, "answers": [[20, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]]}', false, NULL);
INSERT INTO public.classifications VALUES (22, 11, false, '2026-11-30 07:02:00+00', 'Network', 'VPN Issue', 4, 'hours', false, 0.5, 'it names it', '[]', 'confidence is below the threshold', 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (23, 11, false, '2026-11-30 07:02:00+00', 'Hardware', 'Printer Issue', 1, 'days', false, 1, 'chosen by ada@example.com, instead of Network / VPN Issue', '[]', NULL, 'person', '', false, false, '2d8af38ba8ad', NULL, 0, 0, 0, NULL, NULL, false, false, false, NULL, 0, 'ada@example.com', NULL, '{"status": "needs_review", "category": "Network", "request_type": "VPN Issue", "settled": 22, "crashes": 0, "error": null, "delivery_id": 1, "at_risk_at": "2026-11-30T09:00:00+00:00", "due_at": "2026-11-30T10:00:00+00:00", "classification_id": 22, "example": null, "answers": []}', false, NULL);
INSERT INTO public.classifications VALUES (27, 13, true, '2026-11-30 07:03:00+00', 'Access', 'New Account', 2, 'days', false, 1, 'chosen by ada@example.com', '[]', NULL, 'person', '', false, false, '2d8af38ba8ad', NULL, 0, 0, 0, NULL, NULL, false, false, false, NULL, 0, 'ada@example.com', NULL, '{"status": "received", "category": null, "request_type": null, "settled": null, "crashes": 0, "error": null, "delivery_id": 1, "classification_id": null, "example": null, "answers": []}', false, NULL);
INSERT INTO public.classifications VALUES (28, 14, true, '2026-11-30 07:03:00+00', 'Access', 'Password Reset', 2, 'hours', false, 0.93, 'it names it', '[]', NULL, 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.classifications VALUES (24, 11, true, '2026-11-30 07:03:00+00', 'Access', 'Password Reset', 2, 'hours', false, 1, 'chosen by otto@example.com, instead of Hardware / Printer Issue', '[]', NULL, 'person', '', false, false, '2d8af38ba8ad', NULL, 0, 0, 0, NULL, NULL, false, false, false, NULL, 0, 'otto@example.com', NULL, '{"status": "reviewed", "category": "Hardware", "request_type": "Printer Issue", "settled": 23, "crashes": 0, "error": null, "delivery_id": 1, "at_risk_at": "2026-12-01T00:00:00+00:00", "due_at": "2026-12-01T06:00:00+00:00", "classification_id": 23, "example": ["Hardware", "Printer Issue"], "answers": []}', false, NULL);
INSERT INTO public.classifications VALUES (25, 12, true, '2026-11-30 07:03:00+00', 'Access', 'Password Reset', 2, 'hours', false, 0.55, 'it names it', '[]', 'confidence is below the threshold', 'llm', 'gpt-4o-mini', false, false, '2d8af38ba8ad', 'p7', 900, 40, 850, NULL, NULL, false, false, false, NULL, 0, NULL, 'null', NULL, false, NULL);
INSERT INTO public.deliveries VALUES (1, 'standard', 'msg_accepted', '2026-11-30 07:00:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "webhook-id": "msg_accepted", "webhook-timestamp": "1796022000"}', '\x7b227469636b657473223a205b7b226964223a202256504e2d31222c202273686f72745f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e656374222c20226c6f6e675f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e6563742c2073696e63652031206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657231406578616d706c652e636f6d222c20227072696f72697479223a202268696768222c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f56504e2d31222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202256504e2d32222c202273686f72745f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e656374222c20226c6f6e675f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e6563742c2073696e63652032206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657232406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f56504e2d32222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202256504e2d33222c202273686f72745f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e656374222c20226c6f6e675f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e6563742c2073696e63652033206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657233406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f56504e2d33222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202256504e2d34222c202273686f72745f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e656374222c20226c6f6e675f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e6563742c2073696e63652034206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657234406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f56504e2d34222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202256504e2d35222c202273686f72745f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e656374222c20226c6f6e675f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e6563742c2073696e63652035206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657235406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f56504e2d35222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202256504e2d36222c202273686f72745f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e656374222c20226c6f6e675f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e6563742c2073696e63652036206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657236406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f56504e2d36222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202256504e2d37222c202273686f72745f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e656374222c20226c6f6e675f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e6563742c2073696e63652037206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657237406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f56504e2d37222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202256504e2d38222c202273686f72745f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e656374222c20226c6f6e675f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e6563742c2073696e63652038206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657238406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f56504e2d38222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250572d31222c202273686f72745f6465736372697074696f6e223a2022466f72676f74206d792070617373776f7264222c20226c6f6e675f6465736372697074696f6e223a2022466f72676f74206d792070617373776f72642c2073696e63652031206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657231406578616d706c652e636f6d222c20227072696f72697479223a202268696768222c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50572d31222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250572d32222c202273686f72745f6465736372697074696f6e223a2022466f72676f74206d792070617373776f7264222c20226c6f6e675f6465736372697074696f6e223a2022466f72676f74206d792070617373776f72642c2073696e63652032206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657232406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50572d32222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250572d33222c202273686f72745f6465736372697074696f6e223a2022466f72676f74206d792070617373776f7264222c20226c6f6e675f6465736372697074696f6e223a2022466f72676f74206d792070617373776f72642c2073696e63652033206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657233406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50572d33222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250572d34222c202273686f72745f6465736372697074696f6e223a2022466f72676f74206d792070617373776f7264222c20226c6f6e675f6465736372697074696f6e223a2022466f72676f74206d792070617373776f72642c2073696e63652034206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657234406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50572d34222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250572d35222c202273686f72745f6465736372697074696f6e223a2022466f72676f74206d792070617373776f7264222c20226c6f6e675f6465736372697074696f6e223a2022466f72676f74206d792070617373776f72642c2073696e63652035206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657235406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50572d35222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250572d36222c202273686f72745f6465736372697074696f6e223a2022466f72676f74206d792070617373776f7264222c20226c6f6e675f6465736372697074696f6e223a2022466f72676f74206d792070617373776f72642c2073696e63652036206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657236406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50572d36222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250572d37222c202273686f72745f6465736372697074696f6e223a2022466f72676f74206d792070617373776f7264222c20226c6f6e675f6465736372697074696f6e223a2022466f72676f74206d792070617373776f72642c2073696e63652037206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657237406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50572d37222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250572d38222c202273686f72745f6465736372697074696f6e223a2022466f72676f74206d792070617373776f7264222c20226c6f6e675f6465736372697074696f6e223a2022466f72676f74206d792070617373776f72642c2073696e63652038206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657238406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50572d38222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250522d31222c202273686f72745f6465736372697074696f6e223a20225072696e746572207072696e74732073747269706573222c20226c6f6e675f6465736372697074696f6e223a20225072696e746572207072696e747320737472697065732c2073696e63652031206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657231406578616d706c652e636f6d222c20227072696f72697479223a202268696768222c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50522d31222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250522d32222c202273686f72745f6465736372697074696f6e223a20225072696e746572207072696e74732073747269706573222c20226c6f6e675f6465736372697074696f6e223a20225072696e746572207072696e747320737472697065732c2073696e63652032206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657232406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50522d32222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250522d33222c202273686f72745f6465736372697074696f6e223a20225072696e746572207072696e74732073747269706573222c20226c6f6e675f6465736372697074696f6e223a20225072696e746572207072696e747320737472697065732c2073696e63652033206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657233406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50522d33222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250522d34222c202273686f72745f6465736372697074696f6e223a20225072696e746572207072696e74732073747269706573222c20226c6f6e675f6465736372697074696f6e223a20225072696e746572207072696e747320737472697065732c2073696e63652034206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657234406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50522d34222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250522d35222c202273686f72745f6465736372697074696f6e223a20225072696e746572207072696e74732073747269706573222c20226c6f6e675f6465736372697074696f6e223a20225072696e746572207072696e747320737472697065732c2073696e63652035206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657235406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50522d35222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250522d36222c202273686f72745f6465736372697074696f6e223a20225072696e746572207072696e74732073747269706573222c20226c6f6e675f6465736372697074696f6e223a20225072696e746572207072696e747320737472697065732c2073696e63652036206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657236406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50522d36222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250522d37222c202273686f72745f6465736372697074696f6e223a20225072696e746572207072696e74732073747269706573222c20226c6f6e675f6465736372697074696f6e223a20225072696e746572207072696e747320737472697065732c2073696e63652037206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657237406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50522d37222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d2c207b226964223a202250522d38222c202273686f72745f6465736372697074696f6e223a20225072696e746572207072696e74732073747269706573222c20226c6f6e675f6465736372697074696f6e223a20225072696e746572207072696e747320737472697065732c2073696e63652038206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657238406578616d706c652e636f6d222c20227072696f72697479223a206e756c6c2c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f50522d38222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d5d7d', 'aa602c372d95a28e15cb34867e5e5370f08e8a33e5c900729aad05a82881c3ce', 24, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (2, 'standard', 'msg_partial', '2026-11-30 07:01:00+00', 'partial', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "webhook-id": "msg_partial", "webhook-timestamp": "1796022060"}', '\x5b7b226964223a20224d2d31222c202273686f72745f6465736372697074696f6e223a202257692d466920697320736c6f77227d2c207b226964223a20224d2d32222c202273686f72745f6465736372697074696f6e223a2022227d5d', 'e28eb1752ebd254401eaa5723420c083bc4056abcf37620fe86462ddbf25ed27', 1, 0, 0, '[{"index": 1, "id": "M-2", "errors": {"short_description": ["Shorter than minimum length 1."]}}]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (3, 'standard', 'msg_quarantined', '2026-11-30 07:01:00+00', 'quarantined', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "webhook-id": "msg_quarantined", "webhook-timestamp": "1796022060"}', '\x7b226964223a2022512d31222c20', '4b6beb958b6568df66c9e2e0c710701b13521296993d1583578fb912eca1ba12', 0, 0, 0, '[]', 'the body is not JSON: Expecting property name enclosed in double quotes at line 1 column 15 (it ends there, so it may have been cut off on its way)', NULL, false);
INSERT INTO public.deliveries VALUES (5, 'standard', 'msg_accepted', '2026-11-30 07:01:00+00', 'duplicate', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "webhook-id": "msg_accepted", "webhook-timestamp": "1796022060"}', NULL, 'aa602c372d95a28e15cb34867e5e5370f08e8a33e5c900729aad05a82881c3ce', 0, 0, 24, '[]', NULL, 1, false);
INSERT INTO public.deliveries VALUES (6, 'standard', 'msg_accepted', '2026-11-30 07:01:00+00', 'duplicate', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "webhook-id": "msg_accepted", "webhook-timestamp": "1796022060"}', '\x7b226964223a202256504e2d31222c202273686f72745f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e656374222c20226c6f6e675f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e6563742c2073696e63652031206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657231406578616d706c652e636f6d222c20227072696f72697479223a202268696768222c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f56504e2d31222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d', '1bdafde938958cccf12d168bf151feaf84d68cac9584359e40dd5596e62f75c8', 0, 0, 24, '[]', NULL, 1, true);
INSERT INTO public.deliveries VALUES (7, 'standard', 'msg_same_ticket', '2026-11-30 07:02:00+00', 'duplicate', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "webhook-id": "msg_same_ticket", "webhook-timestamp": "1796022120"}', '\x7b226964223a202256504e2d31222c202273686f72745f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e656374222c20226c6f6e675f6465736372697074696f6e223a202256504e20646f6573206e6f7420636f6e6e6563742c2073696e63652031206f27636c6f636b2e222c20227265717565737465725f656d61696c223a20227573657231406578616d706c652e636f6d222c20227072696f72697479223a202268696768222c202275726c223a202268747470733a2f2f6465736b2e6578616d706c652e636f6d2f56504e2d31222c2022637265617465645f6174223a2022323032362d31312d33305430363a30303a30302b30303a3030227d', '1bdafde938958cccf12d168bf151feaf84d68cac9584359e40dd5596e62f75c8', 0, 0, 1, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (8, 'door', '5623048bfcc0b807caa3372f22c8a61c423b3e3f8063a8a684f8e98b206f581b', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "unsigned": "from 127.0.0.1"}', '\x7b226964223a2022442d31222c202273686f72745f6465736372697074696f6e223a2022446f6f7220646f6573206e6f74206f70656e222c20227265717565737465725f656d61696c223a20227573657231406578616d706c652e636f6d227d', '5623048bfcc0b807caa3372f22c8a61c423b3e3f8063a8a684f8e98b206f581b', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (10, 'crm', '0b6e9a3b66a3beeb6a4a3b192dffc8552c9af2a1f18292d8a2d42317a2154461', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9"}', '\x7b226b6579223a2022432d32222c20227469746c65223a2022436f6e74726163742032206973206d697373696e67227d', '0b6e9a3b66a3beeb6a4a3b192dffc8552c9af2a1f18292d8a2d42317a2154461', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (11, 'crm', '25f36a6677b061662903c2e65ff52ed45bdd277024564571c6ac5c1bce5020be', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9"}', '\x7b226b6579223a2022432d33222c20227469746c65223a2022436f6e74726163742033206973206d697373696e67227d', '25f36a6677b061662903c2e65ff52ed45bdd277024564571c6ac5c1bce5020be', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (12, 'crm', '96bff5556564e35f0bdfdb0e3e9109be629f7abdf0da1bbb1d277b70bb33b43f', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9"}', '\x7b226b6579223a2022432d34222c20227469746c65223a2022436f6e74726163742034206973206d697373696e67227d', '96bff5556564e35f0bdfdb0e3e9109be629f7abdf0da1bbb1d277b70bb33b43f', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (13, 'crm', '35457bebfcedd9a57e177b29d027a7a1e54ae331f1a0219bd1b8421f561065a4', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9"}', '\x7b226b6579223a2022432d35222c20227469746c65223a2022436f6e74726163742035206973206d697373696e67227d', '35457bebfcedd9a57e177b29d027a7a1e54ae331f1a0219bd1b8421f561065a4', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (14, 'acme', 'inv-1', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "x-zendesk-webhook-signature-timestamp": "2026-11-30T07:02:00Z", "x-zendesk-webhook-invocation-id": "inv-1"}', '\x7b227469636b6574223a207b226964223a20312c20227469746c65223a20224c6170746f70203120697320736c6f77222c2022726571756573746572223a207b22656d61696c223a2022657665406578616d706c652e636f6d227d7d7d', '3a9781c2c1ebf2de45efd3f2cf87d44410995b6c1c53a510f385e8a4fbc7e8b3', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (15, 'acme', 'inv-2', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "x-zendesk-webhook-signature-timestamp": "2026-11-30T07:02:00Z", "x-zendesk-webhook-invocation-id": "inv-2"}', '\x7b227469636b6574223a207b226964223a20322c20227469746c65223a20224c6170746f70203220697320736c6f77222c2022726571756573746572223a207b22656d61696c223a2022657665406578616d706c652e636f6d227d7d7d', 'ff0e84cdd4f267712bec9a93de902d8ec187d72b7878e2f4a9e40a0d91f0f281', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (16, 'acme', 'inv-3', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "x-zendesk-webhook-signature-timestamp": "2026-11-30T07:02:00Z", "x-zendesk-webhook-invocation-id": "inv-3"}', '\x7b227469636b6574223a207b226964223a20332c20227469746c65223a20224c6170746f70203320697320736c6f77222c2022726571756573746572223a207b22656d61696c223a2022657665406578616d706c652e636f6d227d7d7d', 'f0958a29dc3955997ab65c686f5ed998698ffea2bc3b377ff23ab9b5f97e2a27', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (17, 'acme', 'inv-4', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "x-zendesk-webhook-signature-timestamp": "2026-11-30T07:02:00Z", "x-zendesk-webhook-invocation-id": "inv-4"}', '\x7b227469636b6574223a207b226964223a20342c20227469746c65223a20224c6170746f70203420697320736c6f77222c2022726571756573746572223a207b22656d61696c223a2022657665406578616d706c652e636f6d227d7d7d', 'd62e6beab559c8975e10a8ab0d501b309ca6b4a8cd0720f1deaa1b36e3681050', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (4, 'standard', 'msg_dismissed', '2026-11-30 07:01:00+00', 'dismissed', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "webhook-id": "msg_dismissed", "webhook-timestamp": "1796022060"}', '\x5b5d', '4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945', 0, 0, 0, '[]', 'there are no tickets in the body', NULL, false);
INSERT INTO public.deliveries VALUES (9, 'crm', 'd2e2eb64e4628aeea517ff685849f21df486c18fff89c9ccbf72f25bcb62b768', '2026-11-30 07:02:00+00', 'replayed', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9"}', '\x7b226e756d626572223a2022432d31222c20227469746c65223a202243524d20697320736c6f77227d', 'd2e2eb64e4628aeea517ff685849f21df486c18fff89c9ccbf72f25bcb62b768', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (18, 'acme', 'inv-5', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "x-zendesk-webhook-signature-timestamp": "2026-11-30T07:02:00Z", "x-zendesk-webhook-invocation-id": "inv-5"}', '\x7b227469636b6574223a207b226964223a20352c20227469746c65223a20224c6170746f70203520697320736c6f77222c2022726571756573746572223a207b22656d61696c223a2022657665406578616d706c652e636f6d227d7d7d', '61cc63d9afd81e3f1b7dd9eec9b2a4931dec1122bad3c94cbe2e8884943390df', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (19, 'acme', 'inv-6', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "x-zendesk-webhook-signature-timestamp": "2026-11-30T07:02:00Z", "x-zendesk-webhook-invocation-id": "inv-6"}', '\x7b227469636b6574223a207b226964223a20362c20227469746c65223a20224c6170746f70203620697320736c6f77222c2022726571756573746572223a207b22656d61696c223a2022657665406578616d706c652e636f6d227d7d7d', '8dcfa36e8b0307cdd4b4ecc27cdc0958d74ff90e4dd484226db285f2f9b5e7fc', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (20, 'acme', 'inv-7', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "x-zendesk-webhook-signature-timestamp": "2026-11-30T07:02:00Z", "x-zendesk-webhook-invocation-id": "inv-7"}', '\x7b227469636b6574223a207b226964223a20372c20227469746c65223a20224c6170746f70203720697320736c6f77222c2022726571756573746572223a207b22656d61696c223a2022657665406578616d706c652e636f6d227d7d7d', '33bf0affaa75302f7ea686bbcd304464550a515a90f5aae573c3ab3ef6de4aa8', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (21, 'acme', 'inv-8', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "x-zendesk-webhook-signature-timestamp": "2026-11-30T07:02:00Z", "x-zendesk-webhook-invocation-id": "inv-8"}', '\x7b227469636b6574223a207b226964223a20382c20227469746c65223a202253637265656e2038206973206461726b227d7d', 'f56ae5b78feffa66ad58c981618dbdd4e79bc9092d287f296d0544cd0c2fbdb3', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (22, 'acme', 'inv-9', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "x-zendesk-webhook-signature-timestamp": "2026-11-30T07:02:00Z", "x-zendesk-webhook-invocation-id": "inv-9"}', '\x7b227469636b6574223a207b226964223a20392c20227469746c65223a202253637265656e2039206973206461726b227d7d', 'db14fb35e7b5e00e0a196eeb697badff74ad82a166e754ce43ae716d81ae4017', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (23, 'acme', 'inv-10', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "user-agent": "Werkzeug/3.1.9", "x-zendesk-webhook-signature-timestamp": "2026-11-30T07:02:00Z", "x-zendesk-webhook-invocation-id": "inv-10"}', '\x7b227469636b6574223a207b226964223a2031302c20227469746c65223a202253637265656e203130206973206461726b227d7d', '39f87f8a7ced32e82ff234e2fb4e64aa8572bfeec3e1fc0873cedf5033ddd361', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.deliveries VALUES (24, 'acme', 'reconcile-514b9d66ca063acbee6443ba8e45658517960c9ea490a3a6776388000443a504', '2026-11-30 07:02:00+00', 'accepted', '{"content-type": "application/json", "own shape": "by reconcile: fields"}', '\x5b7b226964223a2031312c202273686f72745f6465736372697074696f6e223a20224e6f626f647920746f6c64207573206f662074686973227d5d', '514b9d66ca063acbee6443ba8e45658517960c9ea490a3a6776388000443a504', 1, 0, 0, '[]', NULL, NULL, false);
INSERT INTO public.digest_recipients VALUES (15, 'duty@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 09:10:01+00', '2026-11-30 09:10:01+00');
INSERT INTO public.digest_recipients VALUES (1, 'boss@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 07:03:00+00', '2026-11-30 07:03:00+00');
INSERT INTO public.digest_recipients VALUES (1, 'deputy@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 07:03:00+00', '2026-11-30 07:03:00+00');
INSERT INTO public.digest_recipients VALUES (2, 'boss@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 07:03:00+00', '2026-11-30 07:03:00+00');
INSERT INTO public.digest_recipients VALUES (2, 'deputy@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 07:03:00+00', '2026-11-30 07:03:00+00');
INSERT INTO public.digest_recipients VALUES (3, 'boss@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 07:04:00+00', '2026-11-30 07:04:00+00');
INSERT INTO public.digest_recipients VALUES (3, 'deputy@example.com', 'refused', 'recipient', 'the mail server does not know deputy@example.com: 550 no such user', 1, 0, '2026-11-30 07:04:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (4, 'boss@example.com', 'failed', 'sign_in', 'the mail server wants a sign-in; set SMTP_USERNAME and SMTP_PASSWORD', 1, 0, '2026-11-30 07:05:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (4, 'deputy@example.com', 'failed', 'sign_in', 'the mail server wants a sign-in; set SMTP_USERNAME and SMTP_PASSWORD', 1, 0, '2026-11-30 07:05:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (5, 'boss@example.com', 'held', 'no_answer', 'the connection ended after the text was sent; the mail may have arrived', 1, 0, '2026-11-30 07:06:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (5, 'deputy@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 07:06:00+00', '2026-11-30 07:06:00+00');
INSERT INTO public.digest_recipients VALUES (6, 'deputy@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 07:07:00+00', '2026-11-30 07:07:00+00');
INSERT INTO public.digest_recipients VALUES (6, 'boss@example.com', 'held', 'no_answer', 'the connection ended after the text was sent; the mail may have arrived', 2, 1, '2026-11-30 07:07:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (7, 'boss@example.com', 'due', NULL, NULL, 1, 1, '2026-11-30 07:08:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (7, 'deputy@example.com', 'due', NULL, NULL, 1, 1, '2026-11-30 07:08:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (8, 'boss@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 07:09:00+00', '2026-11-30 07:09:00+00');
INSERT INTO public.digest_recipients VALUES (8, 'deputy@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 07:09:00+00', '2026-11-30 07:09:00+00');
INSERT INTO public.digest_recipients VALUES (9, 'boss@example.com', 'sent', NULL, NULL, 1, 0, '2026-11-30 07:10:00+00', '2026-11-30 07:10:00+00');
INSERT INTO public.digest_recipients VALUES (9, 'deputy@example.com', 'due', 'later', 'the mail server does not take it now: 451 try again', 1, 0, '2026-11-30 07:11:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (10, 'chief@example.com', 'sending', NULL, NULL, 0, 0, '2026-11-30 07:10:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (11, 'chief@example.com', 'due', NULL, NULL, 0, 0, '2026-11-30 07:10:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (12, 'boss@example.com', 'cancelled', NULL, NULL, 0, 0, '2026-11-30 07:10:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (12, 'deputy@example.com', 'cancelled', NULL, NULL, 0, 0, '2026-11-30 07:10:00+00', NULL);
INSERT INTO public.digest_recipients VALUES (13, 'boss@example.com', 'due', NULL, NULL, 0, 0, '2026-11-30 07:10:01+00', NULL);
INSERT INTO public.digest_recipients VALUES (13, 'deputy@example.com', 'due', NULL, NULL, 0, 0, '2026-11-30 07:10:01+00', NULL);
INSERT INTO public.digest_tickets VALUES (1, 32, 2);
INSERT INTO public.digest_tickets VALUES (1, 33, 3);
INSERT INTO public.digest_tickets VALUES (1, 31, 4);
INSERT INTO public.digest_tickets VALUES (1, 34, 6);
INSERT INTO public.digest_tickets VALUES (1, 39, 7);
INSERT INTO public.digest_tickets VALUES (1, 27, 8);
INSERT INTO public.digest_tickets VALUES (1, 28, 9);
INSERT INTO public.digest_tickets VALUES (1, 1, 10);
INSERT INTO public.digest_tickets VALUES (1, 2, 11);
INSERT INTO public.digest_tickets VALUES (1, 3, 12);
INSERT INTO public.digest_tickets VALUES (1, 4, 13);
INSERT INTO public.digest_tickets VALUES (1, 5, 14);
INSERT INTO public.digest_tickets VALUES (1, 6, 15);
INSERT INTO public.digest_tickets VALUES (1, 7, 16);
INSERT INTO public.digest_tickets VALUES (1, 8, 17);
INSERT INTO public.digest_tickets VALUES (1, 9, 19);
INSERT INTO public.digest_tickets VALUES (1, 10, 21);
INSERT INTO public.digest_tickets VALUES (1, 11, 24);
INSERT INTO public.digest_tickets VALUES (1, 12, 25);
INSERT INTO public.digest_tickets VALUES (1, 13, 27);
INSERT INTO public.digest_tickets VALUES (1, 17, NULL);
INSERT INTO public.digest_tickets VALUES (1, 18, NULL);
INSERT INTO public.digest_tickets VALUES (2, 32, 2);
INSERT INTO public.digest_tickets VALUES (2, 33, 3);
INSERT INTO public.digest_tickets VALUES (2, 31, 4);
INSERT INTO public.digest_tickets VALUES (2, 34, 6);
INSERT INTO public.digest_tickets VALUES (2, 39, 7);
INSERT INTO public.digest_tickets VALUES (2, 27, 8);
INSERT INTO public.digest_tickets VALUES (2, 28, 9);
INSERT INTO public.digest_tickets VALUES (2, 1, 10);
INSERT INTO public.digest_tickets VALUES (2, 2, 11);
INSERT INTO public.digest_tickets VALUES (2, 3, 12);
INSERT INTO public.digest_tickets VALUES (2, 4, 13);
INSERT INTO public.digest_tickets VALUES (2, 5, 14);
INSERT INTO public.digest_tickets VALUES (2, 6, 15);
INSERT INTO public.digest_tickets VALUES (2, 7, 16);
INSERT INTO public.digest_tickets VALUES (2, 8, 17);
INSERT INTO public.digest_tickets VALUES (2, 9, 19);
INSERT INTO public.digest_tickets VALUES (2, 10, 21);
INSERT INTO public.digest_tickets VALUES (2, 11, 24);
INSERT INTO public.digest_tickets VALUES (2, 12, 25);
INSERT INTO public.digest_tickets VALUES (2, 13, 27);
INSERT INTO public.digest_tickets VALUES (2, 17, NULL);
INSERT INTO public.digest_tickets VALUES (2, 18, NULL);
INSERT INTO public.digest_tickets VALUES (12, 9, 19);
INSERT INTO public.digest_tickets VALUES (12, 10, 21);
INSERT INTO public.digest_tickets VALUES (13, 9, 19);
INSERT INTO public.digest_tickets VALUES (15, 34, 6);
INSERT INTO public.digest_tickets VALUES (15, 1, 10);
INSERT INTO public.digest_tickets VALUES (15, 2, 11);
INSERT INTO public.digest_tickets VALUES (15, 3, 12);
INSERT INTO public.digest_tickets VALUES (15, 4, 13);
INSERT INTO public.digest_tickets VALUES (15, 5, 14);
INSERT INTO public.digest_tickets VALUES (15, 6, 15);
INSERT INTO public.digest_tickets VALUES (15, 8, 17);
INSERT INTO public.digests VALUES (6, 'digest', '2026-11-30T07:07:00+00:00', 'held', '2026-11-30 07:07:00+00', 30, 30, 0, '["boss@example.com", "deputy@example.com"]', '<179602242000.4711.5119352552216246391.digest@example.com>', 2, '2026-11-30 07:09:00+00', NULL, 'boss@example.com: the connection ended after the text was sent; the mail may have arrived', NULL, '547ba0671c973595', false);
INSERT INTO public.digests VALUES (1, 'digest', '2026-11-30T08:00:00+00:00', 'sent', '2026-11-30 07:03:00+00', 0, 30, 22, '["boss@example.com", "deputy@example.com"]', '<179602218000.4711.601088376405717203.digest@example.com>', 1, '2026-11-30 07:05:00+00', '2026-11-30 07:03:00+00', NULL, NULL, '45274239e23d4801', false);
INSERT INTO public.digests VALUES (2, 'digest', 'copy-1-2026-11-30T07:03:00+00:00', 'sent', '2026-11-30 07:03:00+00', 0, 0, 22, '["boss@example.com", "deputy@example.com"]', '<179602218000.4711.8901691684149767248.digest@example.com>', 1, '2026-11-30 07:05:00+00', '2026-11-30 07:03:00+00', NULL, 1, '78537b8b84326bb6', false);
INSERT INTO public.digests VALUES (3, 'digest', '2026-11-30T07:04:00+00:00', 'partly_sent', '2026-11-30 07:04:00+00', 30, 30, 0, '["boss@example.com", "deputy@example.com"]', '<179602224000.4711.273610340023782072.digest@example.com>', 1, '2026-11-30 07:06:00+00', '2026-11-30 07:04:00+00', 'deputy@example.com: the mail server does not know deputy@example.com: 550 no such user', NULL, '69262e0bdb7ce754', false);
INSERT INTO public.digests VALUES (4, 'digest', '2026-11-30T07:05:00+00:00', 'failed', '2026-11-30 07:05:00+00', 30, 30, 0, '["boss@example.com", "deputy@example.com"]', '<179602230000.4711.8533104165445098112.digest@example.com>', 1, '2026-11-30 07:07:00+00', NULL, 'the mail server wants a sign-in; set SMTP_USERNAME and SMTP_PASSWORD', NULL, '8ff79ce5b2b8c551', false);
INSERT INTO public.digests VALUES (7, 'digest', '2026-11-30T07:08:00+00:00', 'claimed', '2026-11-30 07:08:00+00', 30, 30, 0, '["boss@example.com", "deputy@example.com"]', '<179602248000.4711.14953277339340503493.digest@example.com>', 0, '2026-11-30 07:08:00+00', NULL, NULL, NULL, NULL, false);
INSERT INTO public.digests VALUES (5, 'digest', '2026-11-30T07:06:00+00:00', 'held', '2026-11-30 07:06:00+00', 30, 30, 0, '["boss@example.com", "deputy@example.com"]', '<179602236000.4711.9062819402544960089.digest@example.com>', 1, '2026-11-30 07:08:00+00', NULL, 'boss@example.com: the connection ended after the text was sent; the mail may have arrived', NULL, '21851c3e8df77514', false);
INSERT INTO public.digests VALUES (11, 'weekly', 'large', 'claimed', '2026-11-30 07:10:00+00', 30, 30, 0, '["chief@example.com"]', '<179602260000.4711.17568664768762333232.digest@example.com>', 0, '2026-11-30 07:10:00+00', NULL, NULL, NULL, NULL, true);
INSERT INTO public.digests VALUES (8, 'digest', '2026-11-30T07:09:00+00:00', 'sent', '2026-11-30 07:09:00+00', 30, 30, 0, '["boss@example.com", "deputy@example.com"]', '<179602254000.4711.634633959007112687.digest@example.com>', 1, '2026-11-30 07:11:00+00', '2026-11-30 07:09:00+00', NULL, NULL, '28c1adeb6f899ade', false);
INSERT INTO public.digests VALUES (9, 'digest', '2026-11-30T07:10:00+00:00', 'claimed', '2026-11-30 07:10:00+00', 30, 30, 0, '["boss@example.com", "deputy@example.com"]', '<179602260000.4711.9040483368030606935.digest@example.com>', 1, '2026-11-30 07:11:00+00', NULL, 'deputy@example.com: the mail server does not take it now: 451 try again', NULL, '3125ea7e56e060ac', false);
INSERT INTO public.digests VALUES (10, 'weekly', '2026-11-30T07:10:00+00:00', 'sending', '2026-11-30 07:10:00+00', 30, 30, 0, '["chief@example.com"]', '<179602260000.4711.1403600772644006723.digest@example.com>', 1, '2026-11-30 07:12:00+00', NULL, NULL, NULL, 'f6e7bae42aeecc3d', false);
INSERT INTO public.digests VALUES (12, 'run', '2026-11-30T07:10:00+00:00', 'cancelled', '2026-11-30 07:10:00+00', 0, 0, 2, '["boss@example.com", "deputy@example.com"]', '<179602260000.4711.13752909035947675410.digest@example.com>', 0, '2026-11-30 07:10:00+00', NULL, 'the mail was skipped by --skip-email', NULL, NULL, false);
INSERT INTO public.digests VALUES (13, 'run', 'unfinished-d3c1dd7fa4e33a55a3e56e906fe038ccbc2b7e5cf56b07d824e04b81505d60a0', 'claimed', '2026-11-30 07:10:01+00', 0, 0, 1, '["boss@example.com", "deputy@example.com"]', '<179602260100.4711.6662200845446044655.digest@example.com>', 0, '2026-11-30 07:12:01+00', NULL, NULL, NULL, NULL, false);
INSERT INTO public.digests VALUES (14, 'weekly', 'outbox', 'claimed', '2026-11-30 07:10:01+00', 30, 30, 0, '[]', '<179602260100.4711.7754941015104424988.digest@example.com>', 0, '2026-11-30 07:10:01+00', NULL, NULL, NULL, NULL, false);
INSERT INTO public.digests VALUES (15, 'alert', '2026-11-30T09:10:01+00:00', 'sent', '2026-11-30 09:10:01+00', 0, 0, 8, '["duty@example.com"]', '<179602980100.4711.2558365533471998851.digest@example.com>', 1, '2026-11-30 09:12:01+00', '2026-11-30 09:10:01+00', NULL, NULL, 'e2857fbce6967d86', false);
INSERT INTO public.endpoints VALUES ('http://127.0.0.1:9/v1 gpt-4o-mini', '{"schema": "json_object", "sure": true}', '2026-11-30 09:10:06+00');
INSERT INTO public.entry_tallies VALUES ('Network', 'Wi-Fi Issue', 1);
INSERT INTO public.entry_tallies VALUES ('Other', 'Other misc', 3);
INSERT INTO public.entry_tallies VALUES ('Network', 'VPN Issue', 7);
INSERT INTO public.entry_tallies VALUES ('Hardware', 'Printer Issue', 2);
INSERT INTO public.entry_tallies VALUES ('Access', 'New Account', 2);
INSERT INTO public.entry_tallies VALUES ('Access', 'Password Reset', 6);
INSERT INTO public.errands VALUES (1, 'complete', 'acme', 38, NULL, 'done', 0, 1, '2026-11-30 07:02:00+00', '2026-11-30 07:05:00+00', '2026-11-30 07:02:00+00', NULL);
INSERT INTO public.errands VALUES (2, 'complete', 'acme', 39, NULL, 'failed', 0, 1, '2026-11-30 07:02:00+00', '2026-11-30 07:05:00+00', '2026-11-30 07:02:00+00', 'it answered 404; it has no such ticket, or the url in api is another''s');
INSERT INTO public.errands VALUES (4, 'complete', 'acme', 41, NULL, 'pending', 0, 0, '2026-11-30 07:02:00+00', '2026-11-30 07:02:30+00', NULL, NULL);
INSERT INTO public.errands VALUES (5, 'write_back', 'acme', 31, 1, 'done', 1, 1, '2026-11-30 07:02:00+00', '2026-11-30 07:05:00+00', '2026-11-30 07:02:00+00', NULL);
INSERT INTO public.errands VALUES (6, 'write_back', 'acme', 32, 2, 'failed', 0, 1, '2026-11-30 07:02:00+00', '2026-11-30 07:05:00+00', '2026-11-30 07:02:00+00', 'it answered 422; it does not take what write_back says, so compare that with its fields');
INSERT INTO public.errands VALUES (7, 'write_back', 'acme', 33, 3, 'pending', 0, 1, '2026-11-30 07:02:00+00', '2026-11-30 07:02:30+00', '2026-11-30 07:02:00+00', 'it answered 500');
INSERT INTO public.errands VALUES (8, 'write_back', 'acme', 31, 4, 'done', 1, 1, '2026-11-30 07:02:00+00', '2026-11-30 07:05:00+00', '2026-11-30 07:02:00+00', NULL);
INSERT INTO public.errands VALUES (9, 'write_back', 'acme', 34, 5, 'superseded', 0, 0, '2026-11-30 07:02:00+00', '2026-11-30 07:02:00+00', NULL, NULL);
INSERT INTO public.errands VALUES (10, 'write_back', 'acme', 34, 6, 'pending', 0, 0, '2026-11-30 07:02:00+00', '2026-11-30 07:02:00+00', NULL, NULL);
INSERT INTO public.errands VALUES (11, 'write_back', 'acme', 39, 7, 'pending', 0, 0, '2026-11-30 07:02:00+00', '2026-11-30 07:02:00+00', NULL, NULL);
INSERT INTO public.errands VALUES (12, 'write_back', 'crm', 27, 8, 'failed', 0, 1, '2026-11-30 07:02:00+00', '2026-11-30 07:05:00+00', '2026-11-30 07:02:00+00', 'the webhook''s receiver answered 410 and wants no more; change its write_back, then redrive what failed');
INSERT INTO public.errands VALUES (13, 'write_back', 'crm', 28, 9, 'pending', 0, 0, '2026-11-30 07:02:00+00', '2026-11-30 07:02:00+00', NULL, NULL);
INSERT INTO public.errands VALUES (3, 'complete', 'acme', 40, NULL, 'pending', 0, 1, '2026-11-30 07:02:00+00', '2026-11-30 09:13:06+00', '2026-11-30 09:10:06+00', 'it answered 503 and wants to be left alone');
INSERT INTO public.examples VALUES (1, 31, 'Network', 'Wi-Fi Issue', '2026-11-30 07:02:00+00');
INSERT INTO public.examples VALUES (2, 34, 'Access', 'Password Reset', '2026-11-30 07:02:00+00');
INSERT INTO public.examples VALUES (3, 9, 'Access', 'Password Reset', '2026-11-30 07:02:00+00');
INSERT INTO public.examples VALUES (4, 10, 'Access', 'Password Reset', '2026-11-30 07:02:00+00');
INSERT INTO public.examples VALUES (6, 11, 'Access', 'Password Reset', '2026-11-30 07:03:00+00');
INSERT INTO public.examples VALUES (8, 13, 'Access', 'New Account', '2026-11-30 07:03:00+00');
INSERT INTO public.latencies VALUES (1796022120, 'accept', 45, 1);
INSERT INTO public.latencies VALUES (1796022120, 'wait', -25, 7);
INSERT INTO public.latencies VALUES (1796022120, 'whole', -25, 7);
INSERT INTO public.latencies VALUES (1796022000, 'accept', 42, 24);
INSERT INTO public.latencies VALUES (1796022060, 'accept', 28, 1);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 19, 1);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 24, 1);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 25, 1);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 26, 1);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 28, 1);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 30, 1);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 33, 2);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 35, 2);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 36, 1);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 37, 2);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 38, 1);
INSERT INTO public.latencies VALUES (1796022120, 'accept', 40, 1);
INSERT INTO public.latencies VALUES (1796022120, 'wait', 122, 11);
INSERT INTO public.latencies VALUES (1796022120, 'model', 70, 17);
INSERT INTO public.latencies VALUES (1796022120, 'whole', 122, 11);
INSERT INTO public.latencies VALUES (1796022180, 'model', 70, 2);
INSERT INTO public.latencies VALUES (1796022180, 'whole', 126, 2);
INSERT INTO public.latencies VALUES (1796022180, 'wait', -25, 2);
INSERT INTO public.latencies VALUES (1796022180, 'wait', 126, 6);
INSERT INTO public.latencies VALUES (1796029800, 'wait', 166, 3);
INSERT INTO public.linear_models VALUES (1, '2026-11-30 09:10:06+00', 4, 4, 4, 0.7, 0.8, false, NULL);
INSERT INTO public.people VALUES (2, 'ada@example.com', 'Ada Lovelace', 'reviewer', '$argon2id$v=19$m=8,t=1,p=1$03BHkrF+VwhQrMttbCmJew$8RJMMGEtQDQsKW0spfDk7aFoLskJEfLpfb/EXlGsXP8', true, '2026-11-30 07:00:00+00', NULL, NULL, NULL);
INSERT INTO public.people VALUES (3, 'otto@example.com', 'Otto Operator', 'operator', '$argon2id$v=19$m=8,t=1,p=1$03BHkrF+VwhQrMttbCmJew$8RJMMGEtQDQsKW0spfDk7aFoLskJEfLpfb/EXlGsXP8', true, '2026-11-30 07:00:00+00', NULL, NULL, NULL);
INSERT INTO public.people VALUES (4, 'vera@example.com', 'Vera Viewer', 'viewer', NULL, true, '2026-11-30 07:00:00+00', NULL, NULL, NULL);
INSERT INTO public.people VALUES (5, 'dan@example.com', 'Dan Gone', 'viewer', '$argon2id$v=19$m=8,t=1,p=1$03BHkrF+VwhQrMttbCmJew$8RJMMGEtQDQsKW0spfDk7aFoLskJEfLpfb/EXlGsXP8', false, '2026-11-30 07:00:00+00', NULL, NULL, NULL);
INSERT INTO public.people VALUES (1, 'grace@example.com', 'Grace Hopper', 'admin', '$argon2id$v=19$m=8,t=1,p=1$03BHkrF+VwhQrMttbCmJew$8RJMMGEtQDQsKW0spfDk7aFoLskJEfLpfb/EXlGsXP8', true, '2026-11-30 07:00:00+00', '2026-11-30 09:10:06+00', NULL, NULL);
INSERT INTO public.processes VALUES ('p-1', 'worker classify', 'host:4711', '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL, NULL);
INSERT INTO public.processes VALUES ('p-2', 'worker digest', 'host:4712', '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', 'killed by signal 9');
INSERT INTO public.processes VALUES ('8aa1a7b2969b4f75b8155e6c37601054', 'worker classify', 'desk 4711', '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL, NULL);
INSERT INTO public.processes VALUES ('d924bece74cf4a1db3f35cf6770ad94b', 'worker training', 'desk 4711', '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL, NULL);
INSERT INTO public.recovery_codes VALUES ('3c0a1cf4a0640b3453da6360a2e3fd273d86798d2e76cb88818dc312c54f40d7', 3);
INSERT INTO public.recovery_codes VALUES ('c576f1ecb44bbb4b8957ec9c573a6d6d88185476fa5c0841fd094218daba6352', 3);
INSERT INTO public.recovery_codes VALUES ('66814e185009bf8200cb968d7b6d0b2a620ed5ba717298dfb58654b9fc28ede2', 3);
INSERT INTO public.recovery_codes VALUES ('9a51eb0e6e2a42c922d55afee6ba82e442da2c174593b2e00a56ca8b98f8b59e', 3);
INSERT INTO public.recovery_codes VALUES ('11d8f53d7f506f597c7a0b5bcf413a17efbfb8cc42c34f5b6233d6e0b5961953', 3);
INSERT INTO public.recovery_codes VALUES ('439ebe370792c5e5c7c1fc389727c41e4f32e192c807ca1670879d1cbcd2c877', 3);
INSERT INTO public.recovery_codes VALUES ('43a040ec05bb856d835171093641fc362e056fd0f6b1bb351ccf375e6a094261', 3);
INSERT INTO public.recovery_codes VALUES ('409b55400e13c235bfdfe5ec3a6b11295f89c5152fbaadbca82b684f402f0121', 3);
INSERT INTO public.recovery_codes VALUES ('236d8e9e4577e002f1c44dfb20c1a623bbfa70297b0e441e8222c2cad6c2ac8b', 3);
INSERT INTO public.recovery_codes VALUES ('e61dbef11cc3615e23703c3077ce74651163fb145911b69812b2181b25f830be', 3);
INSERT INTO public.refusals VALUES (1796022120, 'signature', 'acme', 3, '192.0.2.7');
INSERT INTO public.refusals VALUES (1796022120, 'password', '', 1, '127.0.0.1');
INSERT INTO public.second_factors VALUES (3, 'gAAAAABrDR7wZowpp1fSpJVsxR5TddUU2IYXFo8SQ1OwB_z-7B35hkIJxoTcEpNrUSoXGGw02dt7LlQ6_w9X4DThEykiKHAfQQ1Yx6eyEQWqPqILktkJTv9KtNGcNjNgRaMEebKhhVvV', '2026-11-30 07:00:00+00', '2026-11-30 07:00:00+00', 59867400);
INSERT INTO public.sign_in_links VALUES ('25e5d6504d04ca0de4db940f8efac6126c7dcd2bc47183677c57a98c689604fa', '2026-11-30 07:00:00+00', '2026-12-01 07:00:00+00', NULL, 4, true);
INSERT INTO public.sign_in_tries VALUES ('a15c9f518da60f6e69e3d5c2f986dc42fec4073cccab1817934a5ca28f03753d', 1, '2026-11-30 07:00:00+00', '2026-11-30 07:00:00+00');
INSERT INTO public.source_days VALUES ('standard', '2026-11-30', 7, 25, 2);
INSERT INTO public.source_days VALUES ('door', '2026-11-30', 1, 1, 0);
INSERT INTO public.source_days VALUES ('crm', '2026-11-30', 5, 4, 1);
INSERT INTO public.source_days VALUES ('acme', '2026-11-30', 11, 11, 0);
INSERT INTO public.spending VALUES ('2026-11-30', 'gpt-4o-mini', 20, 18000, 800, 3180);
INSERT INTO public.tallies VALUES ('refused:password:', 1);
INSERT INTO public.tallies VALUES ('delivery.partial', 1);
INSERT INTO public.tallies VALUES ('delivery.duplicate', 3);
INSERT INTO public.tallies VALUES ('delivery.accepted', 17);
INSERT INTO public.tallies VALUES ('delivery.dismissed', 1);
INSERT INTO public.tallies VALUES ('delivery.replayed', 1);
INSERT INTO public.tallies VALUES ('delivery.quarantined', 1);
INSERT INTO public.tallies VALUES ('refused:signature:acme', 3);
INSERT INTO public.tallies VALUES ('ticket.needs_review', 6);
INSERT INTO public.tallies VALUES ('ticket.reviewed', 6);
INSERT INTO public.tallies VALUES ('tokens.prompt', 17100);
INSERT INTO public.tallies VALUES ('tokens.completion', 760);
INSERT INTO public.tallies VALUES ('ticket.classified', 8);
INSERT INTO public.tallies VALUES ('ticket.failed', 2);
INSERT INTO public.tallies VALUES ('ticket.received', 20);
INSERT INTO public.tallies VALUES ('settled', 30);
INSERT INTO public.tallies VALUES ('digest_until:digest', 30);
INSERT INTO public.tallies VALUES ('digest_until:weekly', 30);
INSERT INTO public.tallies VALUES ('engine.failures', 4);
INSERT INTO public.tallies VALUES ('audit', 25);
INSERT INTO public.tallies VALUES ('budget.2026-11-30', 1000);
INSERT INTO public.ticket_words VALUES (1, '''1'':10,17 ''clock'':12 ''com'':15 ''connect'':4,8 ''does'':2,6 ''example'':14 ''not'':3,7 ''o'':11 ''since'':9 ''user1'':13 ''vpn'':1,5,16');
INSERT INTO public.ticket_words VALUES (2, '''2'':10,17 ''clock'':12 ''com'':15 ''connect'':4,8 ''does'':2,6 ''example'':14 ''not'':3,7 ''o'':11 ''since'':9 ''user2'':13 ''vpn'':1,5,16');
INSERT INTO public.ticket_words VALUES (3, '''3'':10,17 ''clock'':12 ''com'':15 ''connect'':4,8 ''does'':2,6 ''example'':14 ''not'':3,7 ''o'':11 ''since'':9 ''user3'':13 ''vpn'':1,5,16');
INSERT INTO public.ticket_words VALUES (4, '''4'':10,17 ''clock'':12 ''com'':15 ''connect'':4,8 ''does'':2,6 ''example'':14 ''not'':3,7 ''o'':11 ''since'':9 ''user4'':13 ''vpn'':1,5,16');
INSERT INTO public.ticket_words VALUES (5, '''5'':10,17 ''clock'':12 ''com'':15 ''connect'':4,8 ''does'':2,6 ''example'':14 ''not'':3,7 ''o'':11 ''since'':9 ''user5'':13 ''vpn'':1,5,16');
INSERT INTO public.ticket_words VALUES (6, '''6'':10,17 ''clock'':12 ''com'':15 ''connect'':4,8 ''does'':2,6 ''example'':14 ''not'':3,7 ''o'':11 ''since'':9 ''user6'':13 ''vpn'':1,5,16');
INSERT INTO public.ticket_words VALUES (7, '''7'':10,17 ''clock'':12 ''com'':15 ''connect'':4,8 ''does'':2,6 ''example'':14 ''not'':3,7 ''o'':11 ''since'':9 ''user7'':13 ''vpn'':1,5,16');
INSERT INTO public.ticket_words VALUES (8, '''8'':10,17 ''clock'':12 ''com'':15 ''connect'':4,8 ''does'':2,6 ''example'':14 ''not'':3,7 ''o'':11 ''since'':9 ''user8'':13 ''vpn'':1,5,16');
INSERT INTO public.ticket_words VALUES (9, '''1'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''forgot'':1,4 ''my'':2,5 ''o'':9 ''password'':3,6 ''pw'':14 ''since'':7 ''user1'':11');
INSERT INTO public.ticket_words VALUES (10, '''2'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''forgot'':1,4 ''my'':2,5 ''o'':9 ''password'':3,6 ''pw'':14 ''since'':7 ''user2'':11');
INSERT INTO public.ticket_words VALUES (11, '''3'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''forgot'':1,4 ''my'':2,5 ''o'':9 ''password'':3,6 ''pw'':14 ''since'':7 ''user3'':11');
INSERT INTO public.ticket_words VALUES (12, '''4'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''forgot'':1,4 ''my'':2,5 ''o'':9 ''password'':3,6 ''pw'':14 ''since'':7 ''user4'':11');
INSERT INTO public.ticket_words VALUES (13, '''5'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''forgot'':1,4 ''my'':2,5 ''o'':9 ''password'':3,6 ''pw'':14 ''since'':7 ''user5'':11');
INSERT INTO public.ticket_words VALUES (14, '''6'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''forgot'':1,4 ''my'':2,5 ''o'':9 ''password'':3,6 ''pw'':14 ''since'':7 ''user6'':11');
INSERT INTO public.ticket_words VALUES (15, '''7'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''forgot'':1,4 ''my'':2,5 ''o'':9 ''password'':3,6 ''pw'':14 ''since'':7 ''user7'':11');
INSERT INTO public.ticket_words VALUES (16, '''8'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''forgot'':1,4 ''my'':2,5 ''o'':9 ''password'':3,6 ''pw'':14 ''since'':7 ''user8'':11');
INSERT INTO public.ticket_words VALUES (17, '''1'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''o'':9 ''pr'':14 ''printer'':1,4 ''prints'':2,5 ''since'':7 ''stripes'':3,6 ''user1'':11');
INSERT INTO public.ticket_words VALUES (18, '''2'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''o'':9 ''pr'':14 ''printer'':1,4 ''prints'':2,5 ''since'':7 ''stripes'':3,6 ''user2'':11');
INSERT INTO public.ticket_words VALUES (19, '''3'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''o'':9 ''pr'':14 ''printer'':1,4 ''prints'':2,5 ''since'':7 ''stripes'':3,6 ''user3'':11');
INSERT INTO public.ticket_words VALUES (20, '''4'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''o'':9 ''pr'':14 ''printer'':1,4 ''prints'':2,5 ''since'':7 ''stripes'':3,6 ''user4'':11');
INSERT INTO public.ticket_words VALUES (21, '''5'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''o'':9 ''pr'':14 ''printer'':1,4 ''prints'':2,5 ''since'':7 ''stripes'':3,6 ''user5'':11');
INSERT INTO public.ticket_words VALUES (22, '''6'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''o'':9 ''pr'':14 ''printer'':1,4 ''prints'':2,5 ''since'':7 ''stripes'':3,6 ''user6'':11');
INSERT INTO public.ticket_words VALUES (23, '''7'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''o'':9 ''pr'':14 ''printer'':1,4 ''prints'':2,5 ''since'':7 ''stripes'':3,6 ''user7'':11');
INSERT INTO public.ticket_words VALUES (24, '''8'':8,15 ''clock'':10 ''com'':13 ''example'':12 ''o'':9 ''pr'':14 ''printer'':1,4 ''prints'':2,5 ''since'':7 ''stripes'':3,6 ''user8'':11');
INSERT INTO public.ticket_words VALUES (25, '''1'':6 ''fi'':2 ''is'':3 ''m'':5 ''slow'':4 ''wi'':1');
INSERT INTO public.ticket_words VALUES (26, '''1'':9 ''com'':7 ''d'':8 ''does'':2 ''door'':1 ''example'':6 ''not'':3 ''open'':4 ''user1'':5');
INSERT INTO public.ticket_words VALUES (27, '''2'':2,6 ''c'':5 ''contract'':1 ''is'':3 ''missing'':4');
INSERT INTO public.ticket_words VALUES (28, '''3'':2,6 ''c'':5 ''contract'':1 ''is'':3 ''missing'':4');
INSERT INTO public.ticket_words VALUES (29, '''4'':2,6 ''c'':5 ''contract'':1 ''is'':3 ''missing'':4');
INSERT INTO public.ticket_words VALUES (30, '''5'':2,6 ''c'':5 ''contract'':1 ''is'':3 ''missing'':4');
INSERT INTO public.ticket_words VALUES (31, '''1'':2,8 ''com'':7 ''eve'':5 ''example'':6 ''is'':3 ''laptop'':1 ''slow'':4');
INSERT INTO public.ticket_words VALUES (32, '''2'':2,8 ''com'':7 ''eve'':5 ''example'':6 ''is'':3 ''laptop'':1 ''slow'':4');
INSERT INTO public.ticket_words VALUES (33, '''3'':2,8 ''com'':7 ''eve'':5 ''example'':6 ''is'':3 ''laptop'':1 ''slow'':4');
INSERT INTO public.ticket_words VALUES (34, '''4'':2,8 ''com'':7 ''eve'':5 ''example'':6 ''is'':3 ''laptop'':1 ''slow'':4');
INSERT INTO public.ticket_words VALUES (35, '''5'':2,8 ''com'':7 ''eve'':5 ''example'':6 ''is'':3 ''laptop'':1 ''slow'':4');
INSERT INTO public.ticket_words VALUES (36, '''6'':2,8 ''com'':7 ''eve'':5 ''example'':6 ''is'':3 ''laptop'':1 ''slow'':4');
INSERT INTO public.ticket_words VALUES (37, '''7'':2,8 ''com'':7 ''eve'':5 ''example'':6 ''is'':3 ''laptop'':1 ''slow'':4');
INSERT INTO public.ticket_words VALUES (39, '''9'':2,5 ''dark'':4 ''is'':3 ''screen'':1');
INSERT INTO public.ticket_words VALUES (40, '''10'':2,5 ''dark'':4 ''is'':3 ''screen'':1');
INSERT INTO public.ticket_words VALUES (41, '''11'':6 ''nobody'':1 ''of'':4 ''this'':5 ''told'':2 ''us'':3');
INSERT INTO public.ticket_words VALUES (42, '''1'':5 ''c'':4 ''crm'':1 ''is'':2 ''slow'':3');
INSERT INTO public.ticket_words VALUES (38, '''8'':2,9 ''black'':5 ''com'':8 ''dark'':4 ''example'':7 ''frida'':6 ''is'':3 ''screen'':1');
INSERT INTO public.tickets VALUES (15, 'standard', 'PW-7', 1, 'Forgot my password', 'Forgot my password, since 7 o''clock.', 'user7@example.com', NULL, 'https://desk.example.com/PW-7', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:00:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (16, 'standard', 'PW-8', 1, 'Forgot my password', 'Forgot my password, since 8 o''clock.', 'user8@example.com', NULL, 'https://desk.example.com/PW-8', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:00:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (24, 'standard', 'PR-8', 1, 'Printer prints stripes', 'Printer prints stripes, since 8 o''clock.', 'user8@example.com', NULL, 'https://desk.example.com/PR-8', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:00:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (25, 'standard', 'M-1', 2, 'Wi-Fi is slow', '', NULL, NULL, NULL, NULL, NULL, '2026-11-30 07:01:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:01:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (26, 'door', 'D-1', 8, 'Door does not open', '', 'user1@example.com', NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:02:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (29, 'crm', 'C-4', 12, 'Contract 4 is missing', '', NULL, NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:02:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (30, 'crm', 'C-5', 13, 'Contract 5 is missing', '', NULL, NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:02:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (35, 'acme', '5', 18, 'Laptop 5 is slow', '', 'eve@example.com', NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:02:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (36, 'acme', '6', 19, 'Laptop 6 is slow', '', 'eve@example.com', NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:02:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (37, 'acme', '7', 20, 'Laptop 7 is slow', '', 'eve@example.com', NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:02:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (40, 'acme', '10', 23, 'Screen 10 is dark', '', NULL, NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:32:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (41, 'acme', '11', 24, 'Nobody told us of this', '', NULL, NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:32:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (42, 'crm', 'C-1', 9, 'CRM is slow', '', NULL, NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:02:00+00', NULL, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (32, 'acme', '2', 15, 'Laptop 2 is slow', '', 'eve@example.com', NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'classified', 'Access', 'New Account', '2026-12-02 07:02:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 2, NULL, '2026-12-01 19:02:00+00');
INSERT INTO public.tickets VALUES (33, 'acme', '3', 16, 'Laptop 3 is slow', '', 'eve@example.com', NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'classified', 'Hardware', 'Printer Issue', '2026-12-01 07:02:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 3, NULL, '2026-12-01 01:02:00+00');
INSERT INTO public.tickets VALUES (31, 'acme', '1', 14, 'Laptop 1 is slow', '', 'eve@example.com', NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'reviewed', 'Network', 'Wi-Fi Issue', '2026-11-30 15:02:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 4, NULL, '2026-11-30 13:02:00+00');
INSERT INTO public.tickets VALUES (34, 'acme', '4', 17, 'Laptop 4 is slow', '', 'eve@example.com', NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'reviewed', 'Access', 'Password Reset', '2026-11-30 09:02:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 6, NULL, '2026-11-30 08:32:00+00');
INSERT INTO public.tickets VALUES (39, 'acme', '9', 22, 'Screen 9 is dark', '', NULL, NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'classified', 'Hardware', 'Printer Issue', '2026-12-01 07:02:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 7, NULL, '2026-12-01 01:02:00+00');
INSERT INTO public.tickets VALUES (27, 'crm', 'C-2', 10, 'Contract 2 is missing', '', NULL, NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'classified', 'Other', 'Other misc', '2026-12-03 07:02:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 8, NULL, '2026-12-02 13:02:00+00');
INSERT INTO public.tickets VALUES (2, 'standard', 'VPN-2', 1, 'VPN does not connect', 'VPN does not connect, since 2 o''clock.', 'user2@example.com', NULL, 'https://desk.example.com/VPN-2', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'classified', 'Network', 'VPN Issue', '2026-11-30 10:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 11, NULL, '2026-11-30 09:00:00+00');
INSERT INTO public.tickets VALUES (3, 'standard', 'VPN-3', 1, 'VPN does not connect', 'VPN does not connect, since 3 o''clock.', 'user3@example.com', NULL, 'https://desk.example.com/VPN-3', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'needs_review', 'Network', 'VPN Issue', '2026-11-30 10:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 12, NULL, '2026-11-30 09:00:00+00');
INSERT INTO public.tickets VALUES (4, 'standard', 'VPN-4', 1, 'VPN does not connect', 'VPN does not connect, since 4 o''clock.', 'user4@example.com', NULL, 'https://desk.example.com/VPN-4', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'needs_review', 'Network', 'VPN Issue', '2026-11-30 10:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 13, NULL, '2026-11-30 09:00:00+00');
INSERT INTO public.tickets VALUES (5, 'standard', 'VPN-5', 1, 'VPN does not connect', 'VPN does not connect, since 5 o''clock.', 'user5@example.com', NULL, 'https://desk.example.com/VPN-5', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'needs_review', 'Network', 'VPN Issue', '2026-11-30 10:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 14, NULL, '2026-11-30 09:00:00+00');
INSERT INTO public.tickets VALUES (6, 'standard', 'VPN-6', 1, 'VPN does not connect', 'VPN does not connect, since 6 o''clock.', 'user6@example.com', NULL, 'https://desk.example.com/VPN-6', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'needs_review', 'Network', 'VPN Issue', '2026-11-30 10:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 15, NULL, '2026-11-30 09:00:00+00');
INSERT INTO public.tickets VALUES (8, 'standard', 'VPN-8', 1, 'VPN does not connect', 'VPN does not connect, since 8 o''clock.', 'user8@example.com', NULL, 'https://desk.example.com/VPN-8', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'classified', 'Network', 'VPN Issue', '2026-11-30 10:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 17, NULL, '2026-11-30 09:00:00+00');
INSERT INTO public.tickets VALUES (9, 'standard', 'PW-1', 1, 'Forgot my password', 'Forgot my password, since 1 o''clock.', 'user1@example.com', 'high', 'https://desk.example.com/PW-1', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'reviewed', 'Access', 'Password Reset', '2026-11-30 08:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 18, NULL, '2026-11-30 07:30:00+00');
INSERT INTO public.tickets VALUES (10, 'standard', 'PW-2', 1, 'Forgot my password', 'Forgot my password, since 2 o''clock.', 'user2@example.com', NULL, 'https://desk.example.com/PW-2', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'reviewed', 'Access', 'Password Reset', '2026-11-30 08:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 21, NULL, '2026-11-30 07:30:00+00');
INSERT INTO public.tickets VALUES (11, 'standard', 'PW-3', 1, 'Forgot my password', 'Forgot my password, since 3 o''clock.', 'user3@example.com', NULL, 'https://desk.example.com/PW-3', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'reviewed', 'Access', 'Password Reset', '2026-11-30 08:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 24, NULL, '2026-11-30 07:30:00+00');
INSERT INTO public.tickets VALUES (13, 'standard', 'PW-5', 1, 'Forgot my password', 'Forgot my password, since 5 o''clock.', 'user5@example.com', NULL, 'https://desk.example.com/PW-5', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'reviewed', 'Access', 'New Account', '2026-12-02 06:00:00+00', '2026-11-30 07:00:00+00', NULL, 0, 0, NULL, 27, NULL, '2026-12-01 18:00:00+00');
INSERT INTO public.tickets VALUES (14, 'standard', 'PW-6', 1, 'Forgot my password', 'Forgot my password, since 6 o''clock.', 'user6@example.com', NULL, 'https://desk.example.com/PW-6', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'received', 'Access', 'Password Reset', '2026-11-30 08:00:00+00', '2026-11-30 07:03:00+00', NULL, 0, 0, NULL, NULL, NULL, '2026-11-30 07:30:00+00');
INSERT INTO public.tickets VALUES (17, 'standard', 'PR-1', 1, 'Printer prints stripes', 'Printer prints stripes, since 1 o''clock.', 'user1@example.com', 'high', 'https://desk.example.com/PR-1', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'failed', NULL, NULL, NULL, '2026-11-30 07:03:10+00', NULL, 1, 0, 'the model refuses this text (content filter); classify it by hand', 29, NULL, NULL);
INSERT INTO public.tickets VALUES (19, 'standard', 'PR-3', 1, 'Printer prints stripes', 'Printer prints stripes, since 3 o''clock.', 'user3@example.com', NULL, 'https://desk.example.com/PR-3', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:03:00+00', NULL, 1, 1, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (20, 'standard', 'PR-4', 1, 'Printer prints stripes', 'Printer prints stripes, since 4 o''clock.', 'user4@example.com', NULL, 'https://desk.example.com/PR-4', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:03:10+00', NULL, 1, 0, 'the model did not answer within 30 seconds', NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (21, 'standard', 'PR-5', 1, 'Printer prints stripes', 'Printer prints stripes, since 5 o''clock.', 'user5@example.com', NULL, 'https://desk.example.com/PR-5', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'received', NULL, NULL, NULL, '2026-11-30 09:10:11+00', NULL, 0, 0, 'the endpoint refuses the key (401); check OPENAI_API_KEY', NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (22, 'standard', 'PR-6', 1, 'Printer prints stripes', 'Printer prints stripes, since 6 o''clock.', 'user6@example.com', NULL, 'https://desk.example.com/PR-6', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'received', NULL, NULL, NULL, '2026-11-30 09:10:16+00', 'job-of-a-living-worker', 1, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (38, 'acme', '8', 21, 'Screen 8 is dark', 'Black.', 'frida@example.com', NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'received', NULL, NULL, NULL, '2026-11-30 07:02:00+00', NULL, 0, 0, NULL, NULL, 'b27b8771dd5d1d3fcd83fe54946a8df14cabf27aead37f0a708fa5eedcd1a5e4', NULL);
INSERT INTO public.tickets VALUES (28, 'crm', 'C-3', 11, 'Contract 3 is missing', '', NULL, NULL, NULL, NULL, NULL, '2026-11-30 07:02:00+00', 'classified', 'Other', 'Other misc', '2026-12-03 07:02:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 9, NULL, '2026-12-02 13:02:00+00');
INSERT INTO public.tickets VALUES (1, 'standard', 'VPN-1', 1, 'VPN does not connect', 'VPN does not connect, since 1 o''clock.', 'user1@example.com', 'high', 'https://desk.example.com/VPN-1', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'classified', 'Network', 'VPN Issue', '2026-11-30 10:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 10, NULL, '2026-11-30 09:00:00+00');
INSERT INTO public.tickets VALUES (7, 'standard', 'VPN-7', 1, 'VPN does not connect', 'VPN does not connect, since 7 o''clock.', 'user7@example.com', NULL, 'https://desk.example.com/VPN-7', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'needs_review', 'Other', 'Other misc', '2026-12-03 06:00:00+00', '2026-11-30 07:02:10+00', NULL, 1, 0, NULL, 16, NULL, '2026-12-02 12:00:00+00');
INSERT INTO public.tickets VALUES (12, 'standard', 'PW-4', 1, 'Forgot my password', 'Forgot my password, since 4 o''clock.', 'user4@example.com', NULL, 'https://desk.example.com/PW-4', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'needs_review', 'Access', 'Password Reset', '2026-11-30 08:00:00+00', '2026-11-30 07:03:10+00', NULL, 1, 0, NULL, 25, NULL, '2026-11-30 07:30:00+00');
INSERT INTO public.tickets VALUES (18, 'standard', 'PR-2', 1, 'Printer prints stripes', 'Printer prints stripes, since 2 o''clock.', 'user2@example.com', NULL, 'https://desk.example.com/PR-2', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'failed', NULL, NULL, NULL, '2026-11-30 07:03:00+00', NULL, 3, 3, 'the worker died 3 times while classifying this ticket; redrive it to try again', 30, NULL, NULL);
INSERT INTO public.tickets VALUES (23, 'standard', 'PR-7', 1, 'Printer prints stripes', 'Printer prints stripes, since 7 o''clock.', 'user7@example.com', NULL, 'https://desk.example.com/PR-7', '2026-11-30 06:00:00+00', NULL, '2026-11-30 07:00:00+00', 'received', NULL, NULL, NULL, '2026-11-30 09:10:16+00', 'job-of-a-living-worker', 1, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.timed_jobs VALUES ('jobs.maintenance.sweep', 'maintenance', 5, '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL);
INSERT INTO public.timed_jobs VALUES ('jobs.retention.retain', 'maintenance', 3600, '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL);
INSERT INTO public.timed_jobs VALUES ('jobs.reconcile.reconcile_due', 'outgoing', 60, '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL);
INSERT INTO public.timed_jobs VALUES ('jobs.digest.send_due', 'digest', 30, '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL);
INSERT INTO public.timed_jobs VALUES ('jobs.digest.alert', 'digest', 60, '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL);
INSERT INTO public.timed_jobs VALUES ('jobs.catalog_in_force.reload_catalog', 'digest', 300, '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL);
INSERT INTO public.timed_jobs VALUES ('jobs.training.train', 'training', 86400, '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', 'OperationalError');
INSERT INTO public.timed_jobs VALUES ('jobs.backup.backup_due', 'training', 900, '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL);
INSERT INTO public.timed_jobs VALUES ('jobs.watch.verify_audit', 'training', 86400, '2026-11-30 09:10:06+00', '2026-11-30 09:10:06+00', NULL);
INSERT INTO public.timetable VALUES ('engine.answered', '2026-11-30 07:03:00+00');
INSERT INTO public.timetable VALUES ('digest', '2026-11-30 08:00:00+00');
INSERT INTO public.timetable VALUES ('digest:weekly', '2026-11-30 09:00:00+00');
INSERT INTO public.timetable VALUES ('engine.probe', '2026-11-30 09:10:11+00');
INSERT INTO public.timetable VALUES ('reconcile:acme', '2026-11-30 09:10:06+00');
INSERT INTO public.timetable VALUES ('reconcile-pause:acme', '2026-11-30 09:15:06+00');
INSERT INTO public.timetable VALUES ('backup', '2026-11-30 09:10:06+00');
INSERT INTO public.tombstones VALUES ('fc0f4579bd4291d645ea34762d14ac5d8478ef54c7bf52596fa98c731d4c42a2');
INSERT INTO public.verdicts VALUES (1, 31, '2026-11-30', 'acme', 'llm', 'gpt-4o-mini', 'p7', '2d8af38ba8ad', 0.93, false, 'Network', 'VPN Issue', 'Network', 'Wi-Fi Issue');
INSERT INTO public.verdicts VALUES (5, 34, '2026-11-30', 'acme', 'llm', 'gpt-4o-mini', 'p7', '2d8af38ba8ad', 0.93, false, 'Network', 'VPN Issue', 'Access', 'Password Reset');
INSERT INTO public.verdicts VALUES (18, 9, '2026-11-30', 'standard', 'llm', 'gpt-4o-mini', 'p7', '2d8af38ba8ad', 0.93, false, 'Access', 'Password Reset', 'Access', 'Password Reset');
INSERT INTO public.verdicts VALUES (20, 10, '2026-11-30', 'standard', 'llm', 'gpt-4o-mini', 'p7', '2d8af38ba8ad', 0.5, true, 'Network', 'VPN Issue', 'Access', 'Password Reset');
INSERT INTO public.verdicts VALUES (22, 11, '2026-11-30', 'standard', 'llm', 'gpt-4o-mini', 'p7', '2d8af38ba8ad', 0.5, true, 'Network', 'VPN Issue', 'Access', 'Password Reset');
SELECT pg_catalog.setval('public.api_tokens_id_seq', 1, true);
SELECT pg_catalog.setval('public.classifications_id_seq', 28, true);
SELECT pg_catalog.setval('public.deliveries_id_seq', 24, true);
SELECT pg_catalog.setval('public.digests_id_seq', 15, true);
SELECT pg_catalog.setval('public.errands_id_seq', 13, true);
SELECT pg_catalog.setval('public.examples_id_seq', 8, true);
SELECT pg_catalog.setval('public.linear_models_id_seq', 1, true);
SELECT pg_catalog.setval('public.people_id_seq', 5, true);
SELECT pg_catalog.setval('public.tickets_id_seq', 42, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.alarms
    ADD CONSTRAINT pk_alarms PRIMARY KEY (name);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT pk_api_tokens PRIMARY KEY (id);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (number);
ALTER TABLE ONLY public.browser_sessions
    ADD CONSTRAINT pk_browser_sessions PRIMARY KEY (token_sha256);
ALTER TABLE ONLY public.catalogs
    ADD CONSTRAINT pk_catalogs PRIMARY KEY (version);
ALTER TABLE ONLY public.classifications
    ADD CONSTRAINT pk_classifications PRIMARY KEY (id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT pk_deliveries PRIMARY KEY (id);
ALTER TABLE ONLY public.digest_recipients
    ADD CONSTRAINT pk_digest_recipients PRIMARY KEY (digest_id, address);
ALTER TABLE ONLY public.digest_tickets
    ADD CONSTRAINT pk_digest_tickets PRIMARY KEY (digest_id, ticket_id);
ALTER TABLE ONLY public.digests
    ADD CONSTRAINT pk_digests PRIMARY KEY (id);
ALTER TABLE ONLY public.endpoints
    ADD CONSTRAINT pk_endpoints PRIMARY KEY (name);
ALTER TABLE ONLY public.entry_tallies
    ADD CONSTRAINT pk_entry_tallies PRIMARY KEY (category, request_type);
ALTER TABLE ONLY public.errands
    ADD CONSTRAINT pk_errands PRIMARY KEY (id);
ALTER TABLE ONLY public.examples
    ADD CONSTRAINT pk_examples PRIMARY KEY (id);
ALTER TABLE ONLY public.latencies
    ADD CONSTRAINT pk_latencies PRIMARY KEY (at, stage, bucket);
ALTER TABLE ONLY public.linear_models
    ADD CONSTRAINT pk_linear_models PRIMARY KEY (id);
ALTER TABLE ONLY public.people
    ADD CONSTRAINT pk_people PRIMARY KEY (id);
ALTER TABLE ONLY public.processes
    ADD CONSTRAINT pk_processes PRIMARY KEY (id);
ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT pk_recovery_codes PRIMARY KEY (code_sha256);
ALTER TABLE ONLY public.refusals
    ADD CONSTRAINT pk_refusals PRIMARY KEY (at, kind, source);
ALTER TABLE ONLY public.second_factors
    ADD CONSTRAINT pk_second_factors PRIMARY KEY (person_id);
ALTER TABLE ONLY public.sign_in_links
    ADD CONSTRAINT pk_sign_in_links PRIMARY KEY (token_sha256);
ALTER TABLE ONLY public.sign_in_tries
    ADD CONSTRAINT pk_sign_in_tries PRIMARY KEY (key_sha256);
ALTER TABLE ONLY public.source_days
    ADD CONSTRAINT pk_source_days PRIMARY KEY (source, day);
ALTER TABLE ONLY public.spending
    ADD CONSTRAINT pk_spending PRIMARY KEY (day, model);
ALTER TABLE ONLY public.tallies
    ADD CONSTRAINT pk_tallies PRIMARY KEY (name);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT pk_tickets PRIMARY KEY (id);
ALTER TABLE ONLY public.timed_jobs
    ADD CONSTRAINT pk_timed_jobs PRIMARY KEY (name);
ALTER TABLE ONLY public.timetable
    ADD CONSTRAINT pk_timetable PRIMARY KEY (name);
ALTER TABLE ONLY public.tombstones
    ADD CONSTRAINT pk_tombstones PRIMARY KEY (name_sha256);
ALTER TABLE ONLY public.verdicts
    ADD CONSTRAINT pk_verdicts PRIMARY KEY (judged_id);
ALTER TABLE ONLY public.ticket_words
    ADD CONSTRAINT ticket_words_pkey PRIMARY KEY (rowid);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT uq_api_tokens_token_sha256 UNIQUE (token_sha256);
ALTER TABLE ONLY public.people
    ADD CONSTRAINT uq_people_email UNIQUE (email);
CREATE INDEX ix_api_tokens_person_id ON public.api_tokens USING btree (person_id);
CREATE INDEX ix_audit_action ON public.audit USING btree (action);
CREATE INDEX ix_audit_action_who ON public.audit USING btree (action, who);
CREATE INDEX ix_audit_subject ON public.audit USING btree (subject);
CREATE INDEX ix_audit_who ON public.audit USING btree (who);
CREATE INDEX ix_browser_sessions_person_id ON public.browser_sessions USING btree (person_id);
CREATE INDEX ix_catalogs_loaded_at ON public.catalogs USING btree (loaded_at);
CREATE INDEX ix_classifications_answer_key ON public.classifications USING btree (answer_key) WHERE (answer_key IS NOT NULL);
CREATE INDEX ix_classifications_stood_in ON public.classifications USING btree (ticket_id) WHERE (current AND stood_in);
CREATE INDEX ix_classifications_ticket_id ON public.classifications USING btree (ticket_id);
CREATE INDEX ix_deliveries_conflict ON public.deliveries USING btree (id) WHERE conflict;
CREATE INDEX ix_deliveries_original_id ON public.deliveries USING btree (original_id) WHERE (original_id IS NOT NULL);
CREATE INDEX ix_deliveries_raw ON public.deliveries USING btree (received_at) WHERE (body IS NOT NULL);
CREATE INDEX ix_deliveries_source_body_sha256 ON public.deliveries USING btree (source, body_sha256) WHERE (original_id IS NULL);
CREATE INDEX ix_deliveries_source_id ON public.deliveries USING btree (source, id);
CREATE INDEX ix_deliveries_source_status_id ON public.deliveries USING btree (source, status, id);
CREATE INDEX ix_deliveries_status_id ON public.deliveries USING btree (status, id);
CREATE INDEX ix_digest_tickets_classification_id ON public.digest_tickets USING btree (classification_id);
CREATE INDEX ix_digest_tickets_ticket_id ON public.digest_tickets USING btree (ticket_id);
CREATE INDEX ix_digests_name_settled_until ON public.digests USING btree (name, settled_until);
CREATE INDEX ix_digests_status ON public.digests USING btree (status);
CREATE INDEX ix_errands_failed ON public.errands USING btree (id) WHERE (status = 'failed'::text);
CREATE INDEX ix_errands_pending ON public.errands USING btree (source, kind, claimable_at) WHERE (status = 'pending'::text);
CREATE INDEX ix_errands_source_attempted_at ON public.errands USING btree (source, attempted_at);
CREATE INDEX ix_errands_ticket_id ON public.errands USING btree (ticket_id);
CREATE INDEX ix_examples_category_request_type ON public.examples USING btree (category, request_type);
CREATE UNIQUE INDEX ix_people_oidc_issuer_oidc_subject ON public.people USING btree (oidc_issuer, oidc_subject);
CREATE INDEX ix_recovery_codes_person_id ON public.recovery_codes USING btree (person_id);
CREATE INDEX ix_sign_in_links_person_id ON public.sign_in_links USING btree (person_id);
CREATE INDEX ix_sign_in_tries_last_at ON public.sign_in_tries USING btree (last_at);
CREATE INDEX ix_ticket_words ON public.ticket_words USING gin (ticket_words);
CREATE INDEX ix_tickets_category_id ON public.tickets USING btree (category, id) WHERE (category IS NOT NULL);
CREATE INDEX ix_tickets_claimable ON public.tickets USING btree (status, claimable_at) WHERE (status = 'received'::text);
CREATE INDEX ix_tickets_delivery_id ON public.tickets USING btree (delivery_id);
CREATE INDEX ix_tickets_due_at ON public.tickets USING btree (due_at, at_risk_at) WHERE (due_at IS NOT NULL);
CREATE INDEX ix_tickets_lease ON public.tickets USING btree (lease) WHERE (lease IS NOT NULL);
CREATE INDEX ix_tickets_received_at ON public.tickets USING btree (received_at);
CREATE INDEX ix_tickets_request_type_id ON public.tickets USING btree (request_type, id) WHERE (request_type IS NOT NULL);
CREATE INDEX ix_tickets_requester_email_id ON public.tickets USING btree (requester_email, id) WHERE (requester_email IS NOT NULL);
CREATE INDEX ix_tickets_review ON public.tickets USING btree (status, due_at, id) WHERE (status = 'needs_review'::text);
CREATE INDEX ix_tickets_settled ON public.tickets USING btree (settled) WHERE (settled IS NOT NULL);
CREATE INDEX ix_tickets_source_id ON public.tickets USING btree (source, id);
CREATE INDEX ix_tickets_status_id ON public.tickets USING btree (status, id);
CREATE INDEX ix_tickets_suspects ON public.tickets USING btree (status, crashes) WHERE ((status = 'received'::text) AND (crashes > 0));
CREATE INDEX ix_verdicts_day ON public.verdicts USING btree (day);
CREATE INDEX ix_verdicts_source_day ON public.verdicts USING btree (source, day);
CREATE INDEX ix_verdicts_ticket_id ON public.verdicts USING btree (ticket_id);
CREATE UNIQUE INDEX uq_classifications_current ON public.classifications USING btree (ticket_id) WHERE current;
CREATE UNIQUE INDEX uq_deliveries_source_key ON public.deliveries USING btree (source, key) WHERE (original_id IS NULL);
CREATE UNIQUE INDEX uq_digests_name_period ON public.digests USING btree (name, period);
CREATE UNIQUE INDEX uq_errands_classification_id ON public.errands USING btree (classification_id) WHERE (classification_id IS NOT NULL);
CREATE UNIQUE INDEX uq_examples_ticket_id ON public.examples USING btree (ticket_id);
CREATE UNIQUE INDEX uq_tickets_source_external_id ON public.tickets USING btree (source, external_id);
CREATE TRIGGER audit_no_change BEFORE DELETE OR UPDATE ON public.audit FOR EACH ROW EXECUTE FUNCTION public.audit_refusal();
CREATE TRIGGER deliveries_delete_old AFTER DELETE ON public.deliveries FOR EACH ROW EXECUTE FUNCTION public.deliveries_delete_old();
CREATE TRIGGER deliveries_insert_new AFTER INSERT ON public.deliveries FOR EACH ROW EXECUTE FUNCTION public.deliveries_insert_new();
CREATE TRIGGER deliveries_update_new AFTER UPDATE OF status ON public.deliveries FOR EACH ROW EXECUTE FUNCTION public.deliveries_update_new();
CREATE TRIGGER deliveries_update_old AFTER UPDATE OF status ON public.deliveries FOR EACH ROW EXECUTE FUNCTION public.deliveries_update_old();
CREATE TRIGGER ticket_words AFTER INSERT OR UPDATE OF short_description, long_description, requester_email, external_id ON public.tickets FOR EACH ROW EXECUTE FUNCTION public.ticket_words();
CREATE TRIGGER tickets_delete_old AFTER DELETE ON public.tickets FOR EACH ROW EXECUTE FUNCTION public.tickets_delete_old();
CREATE TRIGGER tickets_entry_delete_old AFTER DELETE ON public.tickets FOR EACH ROW WHEN (((old.category IS NOT NULL) AND (old.request_type IS NOT NULL))) EXECUTE FUNCTION public.tickets_entry_delete_old();
CREATE TRIGGER tickets_entry_insert_new AFTER INSERT ON public.tickets FOR EACH ROW WHEN (((new.category IS NOT NULL) AND (new.request_type IS NOT NULL))) EXECUTE FUNCTION public.tickets_entry_insert_new();
CREATE TRIGGER tickets_entry_update_new AFTER UPDATE OF category, request_type ON public.tickets FOR EACH ROW WHEN (((new.category IS NOT NULL) AND (new.request_type IS NOT NULL))) EXECUTE FUNCTION public.tickets_entry_update_new();
CREATE TRIGGER tickets_entry_update_old AFTER UPDATE OF category, request_type ON public.tickets FOR EACH ROW WHEN (((old.category IS NOT NULL) AND (old.request_type IS NOT NULL))) EXECUTE FUNCTION public.tickets_entry_update_old();
CREATE TRIGGER tickets_insert_new AFTER INSERT ON public.tickets FOR EACH ROW EXECUTE FUNCTION public.tickets_insert_new();
CREATE TRIGGER tickets_update_new AFTER UPDATE OF status ON public.tickets FOR EACH ROW EXECUTE FUNCTION public.tickets_update_new();
CREATE TRIGGER tickets_update_old AFTER UPDATE OF status ON public.tickets FOR EACH ROW EXECUTE FUNCTION public.tickets_update_old();
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT fk_api_tokens_person_id_people FOREIGN KEY (person_id) REFERENCES public.people(id);
ALTER TABLE ONLY public.browser_sessions
    ADD CONSTRAINT fk_browser_sessions_person_id_people FOREIGN KEY (person_id) REFERENCES public.people(id);
ALTER TABLE ONLY public.classifications
    ADD CONSTRAINT fk_classifications_ticket_id_tickets FOREIGN KEY (ticket_id) REFERENCES public.tickets(id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT fk_deliveries_original_id_deliveries FOREIGN KEY (original_id) REFERENCES public.deliveries(id);
ALTER TABLE ONLY public.digest_recipients
    ADD CONSTRAINT fk_digest_recipients_digest_id_digests FOREIGN KEY (digest_id) REFERENCES public.digests(id);
ALTER TABLE ONLY public.digest_tickets
    ADD CONSTRAINT fk_digest_tickets_classification_id_classifications FOREIGN KEY (classification_id) REFERENCES public.classifications(id);
ALTER TABLE ONLY public.digest_tickets
    ADD CONSTRAINT fk_digest_tickets_digest_id_digests FOREIGN KEY (digest_id) REFERENCES public.digests(id);
ALTER TABLE ONLY public.digest_tickets
    ADD CONSTRAINT fk_digest_tickets_ticket_id_tickets FOREIGN KEY (ticket_id) REFERENCES public.tickets(id);
ALTER TABLE ONLY public.errands
    ADD CONSTRAINT fk_errands_classification_id_classifications FOREIGN KEY (classification_id) REFERENCES public.classifications(id);
ALTER TABLE ONLY public.errands
    ADD CONSTRAINT fk_errands_ticket_id_tickets FOREIGN KEY (ticket_id) REFERENCES public.tickets(id);
ALTER TABLE ONLY public.examples
    ADD CONSTRAINT fk_examples_ticket_id_tickets FOREIGN KEY (ticket_id) REFERENCES public.tickets(id);
ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT fk_recovery_codes_person_id_people FOREIGN KEY (person_id) REFERENCES public.people(id);
ALTER TABLE ONLY public.second_factors
    ADD CONSTRAINT fk_second_factors_person_id_people FOREIGN KEY (person_id) REFERENCES public.people(id);
ALTER TABLE ONLY public.sign_in_links
    ADD CONSTRAINT fk_sign_in_links_person_id_people FOREIGN KEY (person_id) REFERENCES public.people(id);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT fk_tickets_delivery_id_deliveries FOREIGN KEY (delivery_id) REFERENCES public.deliveries(id);
ALTER TABLE ONLY public.verdicts
    ADD CONSTRAINT fk_verdicts_judged_id_classifications FOREIGN KEY (judged_id) REFERENCES public.classifications(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.verdicts
    ADD CONSTRAINT fk_verdicts_ticket_id_tickets FOREIGN KEY (ticket_id) REFERENCES public.tickets(id);
ALTER TABLE ONLY public.ticket_words
    ADD CONSTRAINT ticket_words_rowid_fkey FOREIGN KEY (rowid) REFERENCES public.tickets(id) ON DELETE CASCADE;
