-- What a dump, a count or a hash could stumble over. As the owner of the database.
CREATE SCHEMA "odd ""schema""";
CREATE TYPE "odd ""schema""".mood AS ENUM ('fine', 'so so', 'it''s bad');
CREATE DOMAIN cents AS bigint CHECK (VALUE >= 0);
CREATE TABLE "odd ""schema"""."Order Lines" (
    "the id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "a ""quoted"" column" text,
    mood "odd ""schema""".mood,
    price cents,
    tax numeric(20, 6) GENERATED ALWAYS AS (price * 0.19) STORED,
    raw bytea,
    tags text[],
    extra jsonb,
    ratio double precision,
    at timestamptz,
    span interval,
    address inet
);
INSERT INTO "odd ""schema"""."Order Lines" ("a ""quoted"" column", mood, price, raw, tags, extra, ratio, at, span, address)
SELECT E'tab\tnewline\nbackslash\\ \\. ' || n, (enum_range(NULL::"odd ""schema""".mood))[1 + n % 3], n,
    sha256(n::text::bytea), ARRAY['a,b', '{', NULL, n::text], jsonb_build_object('n', n, 'ü', E'\u2028'),
    CASE n % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE n / 3.0 END,
    timestamptz '2026-10-25 00:59:59.999999+00' + n * interval '1 second', n * interval '1 day 1 microsecond', '2001:db8::1'
FROM generate_series(1, 3000) n;
INSERT INTO "odd ""schema"""."Order Lines" DEFAULT VALUES;
-- The same row several times: a hash that XORs rows would not see a pair of them.
CREATE TABLE twins (word text);
INSERT INTO twins SELECT 'same' FROM generate_series(1, 10);
CREATE TABLE nothing (id int PRIMARY KEY);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 7);
CREATE TABLE parts (id int, day date, note text) PARTITION BY RANGE (day);
CREATE TABLE parts_2025 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE parts_2026 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (id);
CREATE TABLE parts_2026_rest PARTITION OF parts_2026 DEFAULT;
INSERT INTO parts SELECT n, date '2025-06-01' + n, 'note ' || n FROM generate_series(1, 500) n;
CREATE TABLE parent (id int, kind text);
CREATE TABLE child (more text) INHERITS (parent);
INSERT INTO parent SELECT n, 'parent' FROM generate_series(1, 20) n;
INSERT INTO child SELECT n, 'child', 'more' FROM generate_series(1, 30) n;
CREATE UNLOGGED TABLE cache (id int, value text);
INSERT INTO cache VALUES (1, 'gone after a crash, but not from a backup');
CREATE TABLE large (id int PRIMARY KEY, body text);
INSERT INTO large SELECT n, repeat(md5(n::text), 20000) FROM generate_series(1, 8) n;
CREATE TABLE audit (id bigserial PRIMARY KEY, what text, at timestamptz DEFAULT clock_timestamp());
INSERT INTO audit (what) SELECT 'event ' || n FROM generate_series(1, 1000) n;
CREATE VIEW totals AS SELECT mood, sum(price) AS sum FROM "odd ""schema"""."Order Lines" GROUP BY mood;
CREATE MATERIALIZED VIEW stored_totals AS SELECT * FROM totals;
CREATE FUNCTION double(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE INDEX ON audit (double(length(what)));
COMMENT ON TABLE audit IS 'a comment with ''quotes'' and a ; in it';
GRANT SELECT ON audit TO reader;
SELECT lo_from_bytea(0, 'a large object') > 0;
