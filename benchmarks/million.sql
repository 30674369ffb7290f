-- A year of tickets, newest last. Every ticket is one of the texts, drawn by a number that looks random and is the same
-- each time; every eighth was reviewed, and every fifth of those corrected. Statements end with a semicolon at a line's end.

CREATE TEMP TABLE numbers AS
WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < :tickets)
SELECT n, (n * 2654435761 >> 7) % :texts AS k, (n * 2246822519 >> 9) % 1000 AS chance,
  strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || ((:tickets - n) * 31536000.0 / :tickets) || ' seconds') || '000' AS at,
  CASE n % 10 WHEN 0 THEN 'jira-service' WHEN 1 THEN 'zendesk-desk' WHEN 2 THEN 'zendesk-desk' ELSE 'standard' END AS source,
  CASE WHEN n > :tickets - :due THEN 'received'
    WHEN n % 8 = 0 THEN 'reviewed'
    WHEN n % 1111 = 7 THEN 'failed'
    WHEN n > :tickets * 0.9 AND n % 33 = 3 THEN 'needs_review'
    ELSE 'classified' END AS status
FROM up;

INSERT INTO deliveries (id, source, key, received_at, status, headers, body, body_sha256, accepted, updated, duplicates,
  rejected, conflict)
SELECT n / 2 + 1, source, 'msg_' || n, at,
  CASE WHEN n % 1800 = 1 THEN 'quarantined' WHEN n % 120 = 1 THEN 'duplicate' WHEN n % 800 = 3 THEN 'partial'
    ELSE 'accepted' END,
  '{"content-type": "application/json"}', CASE WHEN n > :tickets * 0.92 THEN CAST('{"id": 1}' AS BLOB) END,
  printf('%064x', n), 2, 0, 0, '[]', n % 10000 = 1
FROM numbers WHERE n % 2 = 1;

INSERT INTO tickets (id, source, external_id, delivery_id, short_description, long_description, requester_email, priority,
  source_created_at, received_at, status, category, request_type, due_at, at_risk_at, attempts, error, settled)
SELECT n, source, 'REQ-' || n, (n + 1) / 2, subject, text, requester, 'normal', at, at, status,
  CASE WHEN status NOT IN ('received', 'failed') THEN category END,
  CASE WHEN status NOT IN ('received', 'failed') THEN request_type END,
  CASE WHEN status NOT IN ('received', 'failed')
    THEN strftime('%Y-%m-%d %H:%M:%f', at, hours || ' hours') || '000' END,
  CASE WHEN status NOT IN ('received', 'failed')
    THEN strftime('%Y-%m-%d %H:%M:%f', at, (hours * 45) || ' minutes') || '000' END,
  1, CASE status WHEN 'failed' THEN 'the model refuses this text' END, CASE WHEN status <> 'received' THEN n END
FROM numbers JOIN texts USING (k);

INSERT INTO work (kind, subject_id, source, state, run_at, attempts, crashes, error_code)
SELECT 'classify', id, source, CASE status WHEN 'failed' THEN 'dead' ELSE 'due' END, received_at, 1, 0,
  CASE status WHEN 'failed' THEN 'refused' END
FROM tickets WHERE status IN ('received', 'failed');

INSERT INTO classifications (id, ticket_id, current, created_at, category, request_type, sla_value, sla_unit, sla_is_default,
  confidence, reasoning, alternatives, review_reason, engine, model, fallback, fuzzy_matched, catalog_version, prompt_version,
  prompt_tokens, completion_tokens, latency_ms, cost_micros)
SELECT n, n, status <> 'reviewed', at, a.category, a.request_type, a.hours, 'hours', 0, 0.3 + 0.69 * sqrt(chance / 1000.0),
  'The requester writes "' || substr(a.subject, 1, 30) || '".', '[]',
  CASE WHEN status = 'needs_review' OR chance < 120 AND status = 'reviewed' THEN 'low_confidence' END,
  'llm', 'gpt-4o-mini', 0, 0, :version, CASE WHEN n < :tickets / 2 THEN '5a1c07be92d4' ELSE 'c93fd8e1707b' END,
  4150, 92, 900, 420
FROM numbers JOIN texts a
  ON a.k = CASE WHEN status = 'reviewed' AND n % 40 = 0 THEN (numbers.k + 1) % :texts ELSE numbers.k END
WHERE status NOT IN ('received', 'failed');

INSERT INTO classifications (id, ticket_id, current, created_at, category, request_type, sla_value, sla_unit, sla_is_default,
  confidence, reasoning, alternatives, engine, model, fallback, fuzzy_matched, catalog_version, prompt_tokens, completion_tokens,
  latency_ms, reviewer)
SELECT :tickets + n, n, 1, at, category, request_type, hours, 'hours', 0, 1, 'confirmed by grace@example.com', '[]',
  'person', '', 0, 0, :version, 0, 0, 0, 'grace@example.com'
FROM numbers JOIN texts USING (k) WHERE status = 'reviewed';

INSERT INTO review_outcomes (judged_id, ticket_id, day, source, engine, model, prompt_version, catalog_version, confidence, flagged,
  found_category, found_type, chosen_category, chosen_type)
SELECT e.id, e.ticket_id, substr(r.created_at, 1, 10), t.source, e.engine, e.model, e.prompt_version, e.catalog_version,
  e.confidence, e.review_reason IS NOT NULL, e.category, e.request_type, r.category, r.request_type
FROM classifications r JOIN classifications e ON e.id = r.id - :tickets JOIN tickets t ON t.id = r.ticket_id
WHERE r.id > :tickets;

INSERT INTO examples (ticket_id, category, request_type, created_at)
SELECT ticket_id, category, request_type, created_at FROM classifications WHERE id > :tickets;

INSERT INTO digests (id, name, period, status, created_at, settled_after, settled_until, tickets, recipients, message_id,
  attempts, sent_at)
SELECT n, 'digest', 'period-' || n, 'sent', strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || (260 - n) || ' days'),
  (n - 1) * :tickets / 260, n * :tickets / 260, :tickets / 260, '[]', '<' || n || '@example>', 1,
  strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || (260 - n) || ' days')
FROM numbers WHERE n <= 260;

INSERT INTO digest_tickets (digest_id, ticket_id, classification_id)
SELECT (n - 1) / (:tickets / 260) + 1, n, CASE status WHEN 'reviewed' THEN :tickets + n WHEN 'failed' THEN NULL ELSE n END
FROM numbers WHERE n <= :tickets / 260 * 260 AND status <> 'received';

INSERT INTO outgoing_calls (id, kind, source, ticket_id, classification_id, steps, created_at, attempted_at, outcome)
SELECT n, 'write_back', source, n, n, 1, at, at, CASE WHEN n % 2000 <> 1 THEN 'done' END
FROM numbers WHERE n > :tickets * 0.9 AND status = 'classified';

INSERT INTO work (kind, subject_id, source, state, run_at, attempts, crashes, error_code, error)
SELECT kind, id, source, 'dead', created_at, 1, 0, 'request', 'it answered 422' FROM outgoing_calls WHERE outcome IS NULL;

INSERT INTO entry_counters (category, request_type, tickets)
SELECT category, request_type, count(*) FROM tickets WHERE category IS NOT NULL GROUP BY 1, 2;

INSERT OR REPLACE INTO counters (name, value) SELECT 'ticket.' || status, count(*) FROM tickets GROUP BY status;

INSERT OR REPLACE INTO counters (name, value) SELECT 'delivery.' || status, count(*) FROM deliveries GROUP BY status;

INSERT OR REPLACE INTO counters (name, value) VALUES ('settled', :tickets);

INSERT INTO spending (day, model, calls, prompt_tokens, completion_tokens, cost_micros)
SELECT substr(at, 1, 10), 'gpt-4o-mini', count(*), 4150 * count(*), 92 * count(*), 420 * count(*) FROM numbers GROUP BY 1;

INSERT INTO ticket_words (ticket_words) VALUES ('rebuild');
