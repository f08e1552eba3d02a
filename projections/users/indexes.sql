CREATE INDEX {table}_changed ON {table} (changed_at, id);
CREATE INDEX {table}_created ON {table} (created_at, id);
CREATE INDEX {table}_status ON {table} (status, changed_at, id);
CREATE INDEX {table}_email ON {table} (email, id);
CREATE INDEX {table}_username ON {table} (username, id);
CREATE INDEX {table}_first_name ON {table} (first_name, id);
CREATE INDEX {table}_last_name ON {table} (last_name, id)
