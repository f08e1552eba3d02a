-- What happened around accounts that changes no user: logins, thefts of tokens, sessions that were ended.

-- Kept for a retention of its own. Holds no secret, no name and no full address.
CREATE TABLE security_log (
    number      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    user_id     uuid,                           -- NULL: nobody has the name that was tried
    kind        text        NOT NULL,
    session_id  uuid,
    network     text        NOT NULL DEFAULT '',
    detail      text        NOT NULL DEFAULT ''
);
CREATE INDEX security_log_by_user ON security_log (user_id, number) WHERE user_id IS NOT NULL;
CREATE INDEX security_log_by_time ON security_log (at);

-- Sessions that were ended one by one, while the credential epoch of their user went on. Every process follows
-- the numbers, which become visible in their order, until no access token of the session can be alive.
CREATE TABLE revoked_sessions (
    number      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  uuid        NOT NULL,
    user_id     uuid        NOT NULL,
    revoked_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX revoked_sessions_by_session ON revoked_sessions (session_id);
CREATE INDEX revoked_sessions_by_user ON revoked_sessions (user_id);
CREATE INDEX revoked_sessions_by_expiry ON revoked_sessions (expires_at);

-- Ends one session of a user or, without a session, all of them but one; says so in the security log, and tells
-- every process. Answers with how many there were to end.
CREATE FUNCTION end_sessions(
    of_user uuid, only_session uuid, but_session uuid,
    by_session uuid, ended_at timestamptz, tokens_until timestamptz,
    as_kind text, from_network text
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    ended uuid[];
BEGIN
    -- The append locks this row before any session too, so that neither waits for the other in a circle.
    PERFORM 1 FROM credentials c WHERE c.user_id = of_user FOR NO KEY UPDATE;
    WITH gone AS (
        DELETE FROM sessions s
        WHERE s.user_id = of_user AND (only_session IS NULL OR s.id = only_session)
          AND s.id IS DISTINCT FROM but_session
        RETURNING s.id
    )
    SELECT array_agg(g.id) INTO ended FROM gone g;
    IF ended IS NULL THEN
        RETURN 0;
    END IF;
    -- Until the commit, so that whoever has seen a number will never see a lower one for the first time.
    PERFORM pg_advisory_xact_lock(7310580243119871);
    INSERT INTO revoked_sessions (session_id, user_id, revoked_at, expires_at)
    SELECT id, of_user, ended_at, tokens_until FROM unnest(ended) AS id;
    INSERT INTO security_log (at, user_id, kind, session_id, network, detail)
    VALUES (ended_at, of_user, as_kind, coalesce(only_session, by_session), from_network,
            CASE WHEN only_session IS NULL THEN cardinality(ended)::text ELSE '' END);
    PERFORM pg_notify('usersd_revoked_sessions', '');
    RETURN cardinality(ended);
END $$;
