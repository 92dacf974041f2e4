-- quayside: no-transaction
CREATE INDEX CONCURRENTLY parts_name ON parts (name);
CREATE UNIQUE INDEX CONCURRENTLY parts_email ON parts (email);
