-- At least 1.5 GB in several tables, one of them dominant, of what apps hold: numbers, times, short texts, some JSON.
DROP TABLE IF EXISTS account, entry, session, event;
CREATE TABLE account (id int PRIMARY KEY, name text NOT NULL, email text, created timestamptz, settings jsonb);
CREATE TABLE entry (
    id bigint, account int, cents bigint, currency char(3), booked timestamptz, reference text, note text
);
CREATE TABLE session (id uuid PRIMARY KEY, account int, seen timestamptz, agent text);
CREATE TABLE event (id bigint PRIMARY KEY, at timestamptz, kind text, payload jsonb);
SELECT setseed(0.4711);
INSERT INTO account SELECT n, 'Customer ' || md5(n::text), 'c' || n || '@example.com', now() - n * interval '1 minute',
    jsonb_build_object('theme', 'dark', 'language', (ARRAY['de', 'en', 'fr'])[1 + n % 3], 'limit', n % 1000)
FROM generate_series(1, 200000) n;
INSERT INTO entry SELECT n, 1 + (random() * 199999)::int, (random() * 1000000)::bigint, 'EUR',
    timestamptz '2020-01-01' + n * interval '17 seconds', 'RF' || lpad((n::bigint * 7919 % 100000000)::text, 12, '0'),
    (ARRAY['Card payment', 'Transfer to savings', 'Monthly subscription', 'Refund of order'])[1 + n % 4] || ' ' || n % 5000
FROM generate_series(1, 8500000) n;
INSERT INTO session SELECT gen_random_uuid(), 1 + (random() * 199999)::int, now() - random() * interval '90 days',
    'Mozilla/5.0 (X11; Linux x86_64; rv:' || 90 + n % 40 || '.0) Gecko/20100101 Firefox/' || 90 + n % 40 || '.0'
FROM generate_series(1, 800000) n;
INSERT INTO event SELECT n, now() - n * interval '1 second', (ARRAY['login', 'logout', 'order', 'view'])[1 + n % 4],
    jsonb_build_object('ip', '10.' || n % 256 || '.' || n / 256 % 256 || '.7', 'path', '/products/' || n % 9000)
FROM generate_series(1, 1500000) n;
ALTER TABLE entry ADD PRIMARY KEY (id);
CREATE INDEX ON entry (account, booked);
CREATE INDEX ON event (at);
ANALYZE;
