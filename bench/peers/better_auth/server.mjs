// better-auth on node:http as its documentation sets it up: email and password, the admin and no other plugin.
// Passwords are hashed with bcrypt at BCRYPT_COST. PostgreSQL is found by the PG… variables.
import { createServer } from "node:http";
import { hash, verify } from "@node-rs/bcrypt";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { admin } from "better-auth/plugins";
import { Pool } from "pg";

const { PEER_SECRET, PEER_PORT, PEER_POOL, BCRYPT_COST, PEER_UPDATE_AGE } = process.env;

const options = {
  baseURL: `http://127.0.0.1:${PEER_PORT}`,
  secret: PEER_SECRET,
  database: new Pool({ max: Number(PEER_POOL) }),
  emailAndPassword: {
    enabled: true,
    autoSignIn: false,
    password: {
      hash: (password) => hash(password, { cost: Number(BCRYPT_COST) }),
      verify: ({ hash: stored, password }) => verify(password, stored),
    },
  },
  // How many seconds after its last renewal a session is renewed by whoever asks for it.
  session: PEER_UPDATE_AGE === undefined ? {} : { updateAge: Number(PEER_UPDATE_AGE) },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  plugins: [admin()],
};

const { runMigrations } = await getMigrations(options);
await runMigrations();
createServer(toNodeHandler(betterAuth(options))).listen(Number(PEER_PORT), "127.0.0.1");
