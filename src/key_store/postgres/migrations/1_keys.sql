-- Text is compared byte by byte: ids have no language.
CREATE TABLE organizations (
    id TEXT COLLATE "C" PRIMARY KEY,
    allowlist TEXT[] NOT NULL
);

-- A key's allowlist is its organization's. Times are Unix seconds.
CREATE TABLE api_keys (
    org_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    name TEXT NOT NULL,
    scopes TEXT[] NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at >= 0),
    created_by TEXT,
    expires_at BIGINT CHECK (expires_at >= 0),
    revoked_at BIGINT CHECK (revoked_at >= 0),
    last_used_at BIGINT CHECK (last_used_at >= 0),
    PRIMARY KEY (org_id, id)
);
