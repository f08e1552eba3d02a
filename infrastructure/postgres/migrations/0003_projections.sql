-- Where each reader of the log stands. The tables of the read models belong to their projections.

CREATE TABLE projections (
    name          text        NOT NULL,
    version       int         NOT NULL,     -- of the shape of its tables, part of their names
    generation    int         NOT NULL,     -- counts rebuilds of that shape, part of their names too
    position      bigint      NOT NULL DEFAULT 0,
    -- building: a rebuild fills it. following: a projector keeps it up to date, and nobody reads it.
    -- live: a projector keeps it up to date, and queries are answered from it.
    state         text        NOT NULL DEFAULT 'building' CHECK (state IN ('building', 'following', 'live')),
    live          boolean     NOT NULL GENERATED ALWAYS AS (state = 'live') STORED,
    left_at       timestamptz,              -- when a switch took it away from queries; NULL: never read yet
    paused_at     timestamptz,              -- set: nobody may own it
    owner         text,                     -- who holds the lease
    fencing       bigint      NOT NULL DEFAULT 0,
    lease_until   timestamptz NOT NULL DEFAULT '-infinity',
    advanced_at   timestamptz NOT NULL DEFAULT now(),
    last_error    text,
    PRIMARY KEY (name, version, generation)
);
CREATE UNIQUE INDEX projections_one_live ON projections (name, version) WHERE live;

-- Where the writers of a rebuild stand that several fill at once, each for the users of one part.
CREATE TABLE projection_parts (
    name        text    NOT NULL,
    version     int     NOT NULL,
    generation  int     NOT NULL,
    part        int     NOT NULL,           -- what a hash of the user's id leaves, divided by `parts`
    parts       int     NOT NULL,
    position    bigint  NOT NULL,
    target      bigint  NOT NULL,           -- of the log's last event when it was divided
    PRIMARY KEY (name, version, generation, part),
    FOREIGN KEY (name, version, generation) REFERENCES projections ON DELETE CASCADE
);

-- Streams that a projection cannot go on with. Their later events wait behind; nothing is skipped.
CREATE TABLE parked_streams (
    projection  text        NOT NULL,
    version     int         NOT NULL,
    generation  int         NOT NULL,
    user_id     uuid        NOT NULL,
    position    bigint      NOT NULL,       -- of the event that could not be applied
    event_name  text        NOT NULL,
    reason      text        NOT NULL,       -- the kind of fault; never a value
    attempts    int         NOT NULL DEFAULT 1,
    parked_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, version, generation, user_id)
);

-- Where each publisher stands; one row per stream it writes to.
CREATE TABLE relays (
    name           text        PRIMARY KEY,
    position       bigint      NOT NULL DEFAULT 0,
    last_sequence  bigint      NOT NULL DEFAULT 0,  -- of the broker's stream after that position
    owner          text,
    fencing        bigint      NOT NULL DEFAULT 0,
    lease_until    timestamptz NOT NULL DEFAULT '-infinity',
    advanced_at    timestamptz NOT NULL DEFAULT now(),
    last_error     text
);

-- Moves the position of a projection within the transaction that writes its rows, and tells who waits for it.
-- Raises when somebody else owns it by now, so that nothing of a fenced owner is ever written.
CREATE FUNCTION advance_projection(
    of_name text, of_version int, of_generation int, with_fencing bigint,
    from_position bigint, to_position bigint, lease interval
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    is_read boolean;
BEGIN
    UPDATE projections
    SET position = to_position, advanced_at = now(), last_error = NULL, lease_until = now() + lease
    WHERE name = of_name AND version = of_version AND generation = of_generation AND state <> 'building'
      AND fencing = with_fencing AND position = from_position
    RETURNING live INTO is_read;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'projection % is owned by somebody else', of_name USING ERRCODE = 'UF001';
    END IF;
    IF is_read THEN
        PERFORM pg_notify('usersd_projections', of_name || ':' || of_version || ':' || to_position);
    END IF;
END $$;
