"""FastAPI-Users as its documentation sets it up, with the profile, list and renewal it leaves to others.

Passwords are hashed with bcrypt at BCRYPT_COST. PostgreSQL is found by the PG… variables.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users.password import PasswordHelper
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import (
    SQLAlchemyAccessTokenDatabase,
    SQLAlchemyBaseAccessTokenTableUUID,
)
from pwdlib import PasswordHash
from pwdlib.hashers.bcrypt import BcryptHasher
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET = os.environ["PEER_SECRET"]
POOL = int(os.environ["PEER_POOL"])
HASH = PasswordHash((BcryptHasher(rounds=int(os.environ["BCRYPT_COST"])),))

engine = create_async_engine("postgresql+asyncpg://", pool_size=POOL, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """Every table."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """A user with a name, in the library's own table."""

    first_name: Mapped[str | None] = mapped_column(default=None)
    last_name: Mapped[str | None] = mapped_column(default=None)


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    """The library's table of tokens that can be taken back."""


class UserRead(schemas.BaseUser[uuid.UUID]):
    """What is answered of a user."""

    first_name: str | None = None
    last_name: str | None = None


class UserCreate(schemas.BaseUserCreate):
    """What registers a user."""

    first_name: str | None = None
    last_name: str | None = None


class UserUpdate(schemas.BaseUserUpdate):
    """What changes a user."""

    first_name: str | None = None
    last_name: str | None = None


class Page(BaseModel):
    """A page of users, and how many there are."""

    users: list[UserRead]
    total: int


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    """The library's manager, without mails."""

    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]


async def user_database(opened: Session) -> AsyncIterator[Any]:
    yield SQLAlchemyUserDatabase(opened, User)


async def token_database(opened: Session) -> AsyncIterator[Any]:
    yield SQLAlchemyAccessTokenDatabase(opened, AccessToken)


async def user_manager(database: Annotated[Any, Depends(user_database)]) -> AsyncIterator[UserManager]:
    yield UserManager(database, PasswordHelper(HASH))


def database_strategy(database: Annotated[Any, Depends(token_database)]) -> Any:
    return DatabaseStrategy(database, lifetime_seconds=3600)


jwt = AuthenticationBackend(
    name="jwt",
    transport=BearerTransport(tokenUrl="auth/jwt/login"),
    get_strategy=lambda: JWTStrategy(secret=SECRET, lifetime_seconds=3600),
)
stored = AuthenticationBackend(
    name="stored",
    transport=BearerTransport(tokenUrl="auth/stored/login"),
    get_strategy=database_strategy,
)
users = FastAPIUsers[User, uuid.UUID](user_manager, [jwt, stored])
superuser = users.current_user(active=True, superuser=True)
user_and_token = users.authenticator.current_user_token(active=True, get_enabled_backends=lambda: [stored])


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield


app = FastAPI(lifespan=lifespan)
app.include_router(users.get_auth_router(jwt), prefix="/auth/jwt")
app.include_router(users.get_auth_router(stored), prefix="/auth/stored")
app.include_router(users.get_register_router(UserRead, UserCreate), prefix="/auth")


@app.get("/users", dependencies=[Depends(superuser)])
async def page(opened: Session, limit: int = 10, offset: int = 0) -> Page:
    """The library has no list: this one goes by the index that it makes."""
    found = await opened.scalars(select(User).order_by(User.email).limit(limit).offset(offset))
    total = await opened.scalar(select(func.count()).select_from(User))
    return Page(users=[UserRead.model_validate(user) for user in found], total=total or 0)


@app.post("/auth/stored/refresh")
async def refresh(
    known: Annotated[tuple[User, str], Depends(user_and_token)],
    strategy: Annotated[Any, Depends(database_strategy)],
) -> Any:
    """The library has no refresh: this one ends the token shown and makes another."""
    user, token = known
    await strategy.destroy_token(token, user)
    return await stored.login(strategy, user)


app.include_router(users.get_users_router(UserRead, UserUpdate), prefix="/users")
