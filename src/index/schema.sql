CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    relative_path TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    folder TEXT NOT NULL,
    sha256 TEXT,
    size_bytes INTEGER,
    modified TEXT,
    container TEXT,
    sample_format TEXT,
    sample_rate REAL,
    channels INTEGER,
    bits_per_sample INTEGER,
    total_samples INTEGER,
    duration_seconds REAL,
    restore TEXT,
    complete INTEGER NOT NULL,
    recorded TEXT,
    recorded_from TEXT,
    recorded_local REAL,
    recorded_utc REAL,
    metadata TEXT,
    stamp TEXT NOT NULL
);
CREATE INDEX sources_recorded_local ON sources (recorded_local);
CREATE INDEX sources_recorded_utc ON sources (recorded_utc);

CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    source_id INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    chunk_id TEXT NOT NULL,
    tiff_path TEXT NOT NULL,
    start_sample INTEGER,
    num_samples INTEGER,
    start_seconds REAL,
    end_seconds REAL,
    tiff_sha256 TEXT,
    tiff_size INTEGER,
    tiff_mtime_ns INTEGER,
    problem TEXT,
    picture_x INTEGER,
    picture_y INTEGER,
    picture_width INTEGER,
    picture_height INTEGER,
    color_map TEXT,
    db_low REAL,
    db_high REAL,
    fmin REAL,
    fmax REAL
);
CREATE INDEX chunks_source ON chunks (source_id, number);

CREATE TABLE flacs (
    chunk_id INTEGER NOT NULL REFERENCES chunks (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    page INTEGER NOT NULL,
    first_channel INTEGER NOT NULL,
    channels INTEGER NOT NULL,
    flac_offset INTEGER,
    flac_size INTEGER,
    flac_sha256 TEXT,
    PRIMARY KEY (chunk_id, number)
) WITHOUT ROWID;

CREATE TABLE fields (
    id INTEGER PRIMARY KEY,
    source_id INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL
);
CREATE INDEX fields_source ON fields (source_id);
CREATE INDEX fields_key ON fields (key);

CREATE TABLE thumbnails (
    chunk_id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    jpeg BLOB
);

CREATE TABLE checks (
    chunk_id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
    ok INTEGER NOT NULL,
    message TEXT NOT NULL,
    checked TEXT NOT NULL
);

CREATE VIRTUAL TABLE words USING fts5 (path, metadata, tokenize = "unicode61 remove_diacritics 2", prefix = '1 2 3');
CREATE VIRTUAL TABLE field_words USING fts5 (value, tokenize = "unicode61 remove_diacritics 2");
