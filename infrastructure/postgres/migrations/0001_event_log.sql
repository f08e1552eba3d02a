-- The log of events, the tables an append writes together with it, and the append itself.
-- Why each column is there and what may never change: docs/adr/0002-what-an-event-row-holds.md

CREATE TABLE events (
    position   bigint PRIMARY KEY CHECK (position > 0),     -- 1, 2, 3 … over the whole log, without a gap
    stream_id  uuid   NOT NULL,             -- the user
    version    bigint NOT NULL,             -- 1, 2, 3 … within the stream
    name       text   NOT NULL,             -- the literal stored name, such as users.disabled.v1
    state      bytea  NOT NULL,             -- the envelope as JSON, what is personal in it sealed
    prev_hash  bytea,                       -- hash of version - 1, NULL for the first event of a stream
    hash       bytea  NOT NULL,             -- SHA-256 over prev_hash, stream, version, name and state
    UNIQUE (stream_id, version)
) WITH (autovacuum_analyze_scale_factor = 0.01);

CREATE FUNCTION refuse_change_of_the_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the event log is append-only: % on events is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER events_rows_are_final BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_the_log();
CREATE TRIGGER events_are_never_truncated BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_the_log();

-- Who holds an email or a username. Holds a keyed hash of the normalised value, never the value.
CREATE TABLE names (
    kind     text  NOT NULL,
    digest   bytea NOT NULL,
    user_id  uuid  NOT NULL,
    PRIMARY KEY (kind, digest)
);
CREATE INDEX names_by_user ON names (user_id);

-- What a login and the guards must know at once; written by the append, never by a projection.
CREATE TABLE credentials (
    user_id      uuid    PRIMARY KEY,
    secret_hash  text,                      -- NULL: no secret was ever set
    epoch        bigint  NOT NULL,          -- raised by whatever ends every session of the user
    status       text    NOT NULL,
    role         text    NOT NULL,
    verified     boolean NOT NULL,
    -- The session that raised the epoch and lives on, and the first epoch whose tokens of it still hold.
    carried      uuid,
    carried_from bigint,
    -- Position and time of the last change to what a token says; NULL while nothing has changed. Every
    -- process follows it, to know which tokens have lost their worth.
    changed      bigint,
    changed_at   timestamptz,
    -- Since when the account has had its status: from then on the grace of a closed one is counted.
    since        timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 80);
CREATE INDEX credentials_enabled_admins ON credentials (user_id) WHERE role = 'admin' AND status = 'enabled';
CREATE INDEX credentials_changed ON credentials (changed) WHERE changed IS NOT NULL;
CREATE INDEX credentials_closed ON credentials (status, user_id) WHERE status IN ('deleted', 'disabled');

-- The random key that seals what is personal of one user, wrapped by a key-encryption epoch.
-- A row whose key is NULL says that the key was destroyed on purpose.
CREATE TABLE user_keys (
    user_id       uuid   PRIMARY KEY,
    epoch         int    NOT NULL,
    wrapped       bytea,
    destroyed_at  timestamptz
);
CREATE INDEX user_keys_by_epoch ON user_keys (epoch) WHERE wrapped IS NOT NULL;

-- What became of a command that came with an Idempotency-Key, until nobody may repeat it any more. Written
-- by the append, so that whatever is stored is remembered and whatever is not is not. Both hashes are keyed:
-- neither the key, nor who sent it, nor any part of the request can be read here.
CREATE TABLE idempotency_keys (
    digest      bytea       PRIMARY KEY,    -- of the caller and the key
    request     bytea       NOT NULL,       -- of method, path and body
    status      int         NOT NULL,       -- of the answer
    position    bigint      NOT NULL,       -- that the command reached
    user_id     uuid        NOT NULL,       -- whom it changed; erasing them takes these rows too
    expires_at  timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_by_user ON idempotency_keys (user_id);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

-- Appends commands in order, each whole or not at all, and says what became of each.
-- A refused command leaves its neighbours alone: everything is checked before anything is written,
-- and the advisory lock makes the checks exact. One call is one transaction and one flush.
--
-- c_*  one element per command: its stream and how many events it brings
-- e_*  one element per event, in the order of the commands
-- k_*  one element per name claimed (k_claims true) or released
-- s_*  one element per credentials row to write; a NULL s_hash leaves the hash as it is, and of the
--      sessions that a higher epoch ends only s_session lives on
-- u_*  one element per new user key
-- x_*  one element per command that forgets its user: key, secret, sessions and repeats go with it
-- r_*  one element per command that may be repeated: what to recognise it by, and until when
--
-- outcome: stored | known (these very bytes were stored before) | conflict (another version)
--          | taken (detail: the kind of name) | last_admin | repeated (its key was used before)
--          | old_epoch (the epoch that wraps the new user key has been destroyed since)
CREATE FUNCTION append_events(
    c_stream uuid[], c_events int[],
    e_version bigint[], e_name text[], e_state bytea[],
    k_command int[], k_kind text[], k_digest bytea[], k_claims boolean[],
    s_command int[], s_hash text[], s_epoch bigint[], s_status text[], s_role text[], s_verified boolean[],
    s_session uuid[],
    u_command int[], u_epoch int[], u_wrapped bytea[],
    x_command int[],
    r_command int[], r_digest bytea[], r_request bytea[], r_status int[],
    r_at timestamptz[], r_expires timestamptz[]
) RETURNS TABLE (outcome text, detail text, reached bigint)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS $$
DECLARE
    next_position bigint;
    first_event   int := 1;
    last_event    int;
    next_name     int := 1;
    next_secret   int := 1;
    next_key      int := 1;
    next_repeat   int := 1;
    stream        uuid;
    found_version bigint;
    found_state   bytea;
    found_hash    bytea;
    link          bytea;
    link_before   bytea;
    holder        uuid;
    old_epoch     bigint;
    destroyed     int[];
    wrote         boolean := false;
BEGIN
    PERFORM pg_advisory_xact_lock(7310580243119865);
    IF cardinality(u_command) > 0 THEN
        SELECT array_agg(y.epoch) INTO destroyed FROM keyring y WHERE y.purpose = 'seal' AND y.wrapped IS NULL;
    END IF;
    SELECT coalesce(max(e.position), 0) + 1 INTO next_position FROM events e;

    FOR c IN 1 .. cardinality(c_stream) LOOP
        stream := c_stream[c];
        last_event := first_event + c_events[c] - 1;
        outcome := 'stored';
        detail := NULL;
        reached := NULL;
        link := NULL;

        -- The version must be free and, beyond the first, the one before it must be there.
        FOR found_version, found_state, found_hash IN
            SELECT e.version, e.state, e.hash FROM events e
            WHERE e.stream_id = stream AND e.version >= e_version[first_event] - 1
            ORDER BY e.version LIMIT 2
        LOOP
            IF found_version = e_version[first_event] THEN
                outcome := CASE WHEN found_state = e_state[first_event] THEN 'known' ELSE 'conflict' END;
            ELSE
                link := found_hash;
            END IF;
        END LOOP;
        IF outcome = 'known' THEN
            SELECT e.position INTO reached FROM events e
            WHERE e.stream_id = stream AND e.version = e_version[last_event];
        ELSIF link IS NULL AND e_version[first_event] > 1 THEN
            outcome := 'conflict';
        END IF;

        -- Before anything else is held against a repeat: what forbids it may be its own first time.
        IF next_repeat <= cardinality(r_command) AND r_command[next_repeat] = c THEN
            IF outcome <> 'known'
               AND EXISTS (SELECT 1 FROM idempotency_keys r
                           WHERE r.digest = r_digest[next_repeat] AND r.expires_at > r_at[next_repeat]) THEN
                outcome := 'repeated';
            END IF;
            next_repeat := next_repeat + 1;
        END IF;

        WHILE next_name <= cardinality(k_command) AND k_command[next_name] = c LOOP
            IF outcome = 'stored' AND k_claims[next_name] THEN
                SELECT n.user_id INTO holder FROM names n
                WHERE n.kind = k_kind[next_name] AND n.digest = k_digest[next_name];
                IF FOUND AND holder <> stream THEN
                    outcome := 'taken';
                    detail := k_kind[next_name];
                END IF;
            END IF;
            next_name := next_name + 1;
        END LOOP;

        IF next_secret <= cardinality(s_command) AND s_command[next_secret] = c THEN
            IF outcome = 'stored'
               AND (s_status[next_secret] <> 'enabled' OR s_role[next_secret] <> 'admin')
               AND e_version[first_event] > 1
               AND EXISTS (SELECT 1 FROM credentials s WHERE s.user_id = stream
                           AND s.role = 'admin' AND s.status = 'enabled')
               AND NOT EXISTS (SELECT 1 FROM credentials s WHERE s.user_id <> stream
                               AND s.role = 'admin' AND s.status = 'enabled') THEN
                outcome := 'last_admin';
            END IF;
            next_secret := next_secret + 1;
        END IF;

        -- A key that nobody can unwrap any more would be lost with the process that made it.
        WHILE next_key <= cardinality(u_command) AND u_command[next_key] < c LOOP
            next_key := next_key + 1;
        END LOOP;
        IF outcome = 'stored' AND u_command[next_key] = c AND u_epoch[next_key] = ANY (destroyed) THEN
            outcome := 'old_epoch';
        END IF;

        IF outcome = 'stored' THEN
            wrote := true;
            FOR i IN first_event .. last_event LOOP
                link_before := link;
                link := sha256(coalesce(link_before, ''::bytea) || uuid_send(stream) || int8send(e_version[i])
                               || convert_to(e_name[i], 'UTF8') || '\x00'::bytea || e_state[i]);
                INSERT INTO events VALUES (next_position, stream, e_version[i], e_name[i], e_state[i],
                                           link_before, link);
                next_position := next_position + 1;
            END LOOP;
            reached := next_position - 1;

            -- Releases come before claims, so that a name may be given up and taken in one command.
            FOR i IN 1 .. 2 LOOP
                FOR n IN REVERSE next_name - 1 .. 1 LOOP
                    EXIT WHEN k_command[n] <> c;
                    IF i = 1 AND NOT k_claims[n] THEN
                        DELETE FROM names m WHERE m.kind = k_kind[n] AND m.digest = k_digest[n]
                                              AND m.user_id = stream;
                    ELSIF i = 2 AND k_claims[n] THEN
                        INSERT INTO names VALUES (k_kind[n], k_digest[n], stream) ON CONFLICT DO NOTHING;
                    END IF;
                END LOOP;
            END LOOP;

            IF next_secret > 1 AND s_command[next_secret - 1] = c THEN
                old_epoch := NULL;
                IF e_version[first_event] > 1 THEN
                    SELECT s.epoch INTO old_epoch FROM credentials s WHERE s.user_id = stream;
                END IF;
                INSERT INTO credentials AS s
                VALUES (stream, s_hash[next_secret - 1], s_epoch[next_secret - 1], s_status[next_secret - 1],
                        s_role[next_secret - 1], s_verified[next_secret - 1])
                ON CONFLICT (user_id) DO UPDATE
                SET secret_hash = coalesce(excluded.secret_hash, s.secret_hash), epoch = excluded.epoch,
                    status = excluded.status, role = excluded.role, verified = excluded.verified,
                    changed = reached, changed_at = clock_timestamp(),
                    since = CASE WHEN excluded.status = s.status THEN s.since ELSE clock_timestamp() END,
                    carried = CASE WHEN excluded.epoch = s.epoch THEN s.carried
                                   ELSE s_session[next_secret - 1] END,
                    carried_from = CASE WHEN excluded.epoch = s.epoch THEN s.carried_from
                                        WHEN s_session[next_secret - 1] IS NULL THEN NULL
                                        WHEN s_session[next_secret - 1] = s.carried THEN s.carried_from
                                        ELSE s.epoch END;
                IF old_epoch < s_epoch[next_secret - 1] THEN
                    UPDATE sessions v SET epoch = s_epoch[next_secret - 1]
                    WHERE v.id = s_session[next_secret - 1] AND v.user_id = stream AND v.epoch = old_epoch;
                    DELETE FROM sessions v
                    WHERE v.user_id = stream AND v.epoch < s_epoch[next_secret - 1];
                END IF;
                IF s_role[next_secret - 1] = 'admin' THEN
                    INSERT INTO names VALUES ('first_admin', ''::bytea, stream) ON CONFLICT DO NOTHING;
                END IF;
            END IF;

            WHILE next_key <= cardinality(u_command) AND u_command[next_key] <= c LOOP
                IF u_command[next_key] = c THEN
                    INSERT INTO user_keys VALUES (stream, u_epoch[next_key], u_wrapped[next_key]);
                END IF;
                next_key := next_key + 1;
            END LOOP;

            IF c = ANY (x_command) THEN
                UPDATE user_keys k SET wrapped = NULL, destroyed_at = clock_timestamp() WHERE k.user_id = stream;
                UPDATE credentials s SET secret_hash = NULL WHERE s.user_id = stream;
                DELETE FROM sessions v WHERE v.user_id = stream;
                DELETE FROM idempotency_keys r WHERE r.user_id = stream;
                INSERT INTO erasures (user_id, position, requested_at, key_epoch)
                SELECT stream, reached, k.destroyed_at, k.epoch FROM user_keys k WHERE k.user_id = stream
                ON CONFLICT DO NOTHING;
            END IF;

            IF next_repeat > 1 AND r_command[next_repeat - 1] = c THEN
                -- A row that is there has expired: it was looked for above.
                INSERT INTO idempotency_keys AS r
                VALUES (r_digest[next_repeat - 1], r_request[next_repeat - 1], r_status[next_repeat - 1],
                        reached, stream, r_expires[next_repeat - 1])
                ON CONFLICT (digest) DO UPDATE
                SET request = excluded.request, status = excluded.status, position = excluded.position,
                    user_id = excluded.user_id, expires_at = excluded.expires_at;
            END IF;
        END IF;

        RETURN NEXT;
        first_event := last_event + 1;
    END LOOP;

    IF wrote THEN
        PERFORM pg_notify('usersd_events', (next_position - 1)::text);
    END IF;
END $$;
