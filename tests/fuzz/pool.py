"""The users that requests are sent for, and what is known of them from the answers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

SIZE = 40


@dataclass
class Account:
    """A user of the service whom this run has registered, and how to sign them in."""

    id: str
    email: str
    secret: str
    username: str = ""
    access: str = ""
    refresh: str = ""
    etag: str = ""
    role: str = "user"
    enabled: bool = True


@dataclass
class Pool:
    """Users and admins. `root` is the first admin, whom nothing is done to, so that there is always one."""

    root: Account
    accounts: dict[str, Account] = field(default_factory=dict)
    cursors: list[str] = field(default_factory=list)
    errands: list[tuple[str, str]] = field(default_factory=list)
    """What must be done first: the name of an operation and the id of the account it is for."""

    def somebody(self, chance: random.Random) -> Account:
        """Any account but the first admin's; that one only as long as there is no other."""
        everybody = list(self.accounts.values())
        return chance.choice(everybody) if everybody else self.root

    def signed_in(self, chance: random.Random) -> Account:
        """Any account that has a token."""
        ready = [account for account in self.accounts.values() if account.access]
        return chance.choice(ready) if ready and chance.random() < 0.75 else self.root

    def errand(self, operation: str, account_id: str) -> None:
        if (operation, account_id) not in self.errands:
            self.errands.append((operation, account_id))

    def add(self, account: Account) -> None:
        """Take somebody in, and leave the one who has been here longest to themselves."""
        self.accounts[account.id] = account
        self.errand("issue", account.id)
        if len(self.accounts) > SIZE:
            gone = next(iter(self.accounts))
            del self.accounts[gone]
            self.errands = [errand for errand in self.errands if errand[1] != gone]

    def of(self, account_id: str) -> Account | None:
        return self.root if account_id == self.root.id else self.accounts.get(account_id)
