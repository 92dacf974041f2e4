-- Two statements in one transaction.
CREATE TABLE parts (id serial PRIMARY KEY, name text);
CREATE INDEX ON parts (name);
