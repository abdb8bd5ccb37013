-- An id begins with its millisecond: the index is in the order of time, and a window of time is a range of it.
CREATE TABLE audit_records (
    org_id TEXT COLLATE "C" NOT NULL,
    id BYTEA NOT NULL CHECK (octet_length(id) = 16),
    event_type TEXT COLLATE "C" NOT NULL,
    search_text TEXT COLLATE "C" NOT NULL,
    entry TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (org_id, id)
);
