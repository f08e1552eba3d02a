-- What the soak adds to a database: bad weather at commits, a diary of every reader's position, and the
-- tables of readers that are wrong on purpose.

CREATE TABLE soak_weather (stormy boolean NOT NULL);
INSERT INTO soak_weather VALUES (true);

-- Runs when a transaction commits: ends its connection, or holds the commit back while others come first.
-- Arguments: how likely each is for a row, and the longest time of the second in seconds.
CREATE FUNCTION soak_commits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    dice double precision := random();
BEGIN
    IF (SELECT stormy FROM soak_weather) THEN
        IF dice < TG_ARGV[0]::float THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
            PERFORM pg_sleep(1);
        ELSIF dice < TG_ARGV[0]::float + TG_ARGV[1]::float THEN
            PERFORM pg_sleep(random() * TG_ARGV[2]::float);
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE TABLE soak_moves (
    number      bigserial   PRIMARY KEY,
    name        text        NOT NULL,
    version     int         NOT NULL,
    generation  int         NOT NULL,
    came_from   bigint      NOT NULL,
    position    bigint      NOT NULL,
    was_fencing bigint      NOT NULL,
    fencing     bigint      NOT NULL,
    was_owner   text,
    owner       text,
    was_state   text        NOT NULL,
    state       text        NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION soak_notes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        OLD := NEW;
        OLD.state := 'none';
    END IF;
    INSERT INTO soak_moves (name, version, generation, came_from, position, was_fencing, fencing,
                            was_owner, owner, was_state, state)
    VALUES (NEW.name, NEW.version, NEW.generation, OLD.position, NEW.position, OLD.fencing, NEW.fencing,
            OLD.owner, NEW.owner, OLD.state, NEW.state);
    RETURN NULL;
END $$;
CREATE TRIGGER soak_notes AFTER INSERT OR UPDATE ON projections FOR EACH ROW EXECUTE FUNCTION soak_notes();

-- A log as many have one: its numbers are drawn when a row is made, and seen when it is committed.
CREATE TABLE naive_events (
    position  bigserial   PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE naive_positions (
    reader    text        PRIMARY KEY,
    position  bigint      NOT NULL DEFAULT 0,
    at        timestamptz NOT NULL DEFAULT '2000-01-01'
);
CREATE TABLE naive_rows (
    reader    text        NOT NULL,
    position  bigint      NOT NULL
);

CREATE CONSTRAINT TRIGGER soak_commits AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION soak_commits('0.0005', '0.01', '0.05');
CREATE CONSTRAINT TRIGGER soak_commits AFTER UPDATE ON projections DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION soak_commits('0.01', '0.05', '0.05');
CREATE CONSTRAINT TRIGGER soak_commits AFTER INSERT ON naive_events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION soak_commits('0.01', '0.3', '0.05');
CREATE CONSTRAINT TRIGGER soak_commits AFTER UPDATE ON naive_positions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION soak_commits('0.05', '0.1', '0.02');
CREATE CONSTRAINT TRIGGER soak_commits AFTER INSERT ON naive_rows DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION soak_commits('0.012', '0.01', '0.02');
